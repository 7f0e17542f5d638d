#!/bin/sh
# Prints the path of a Python that has OpenCV 4, made on first use outside the repository; installs
# OpenCV's cascades. For the tests that compare with OpenCV itself.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
[ -e /usr/share/opencv4/haarcascades/haarcascade_frontalface_default.xml ] ||
  "$here/install.sh" "the comparison with OpenCV" opencv-data
exec "$here/python.sh" opencv-4.12 "$here/opencv-requirements.txt"
