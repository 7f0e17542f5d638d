#!/bin/sh
# Prints the path of a Python that has OpenCV 4, made on first use outside the repository; installs
# OpenCV's cascades. For the tests that compare with OpenCV itself.
set -eu

home=${XDG_CACHE_HOME:-$HOME/.cache}/facelatch/opencv-4.12
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
{
  if ! [ -e /usr/share/opencv4/haarcascades/haarcascade_frontalface_default.xml ]; then
    $as_root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends opencv-data
  fi
  if ! "$home/bin/python" -c 'import cv2' 2>/dev/null; then
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
      $as_root apt-get update -qq
      DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends python3-venv
    fi
    python3 -m venv --clear "$home"
    "$home/bin/pip" install --quiet --disable-pip-version-check 'opencv-python-headless>=4.12,<5' numpy
  fi
} >&2
echo "$home/bin/python"
