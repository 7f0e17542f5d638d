#!/bin/sh
# The detector beside OpenCV's C++ detectMultiScale, taking turns: `make bench-detector`.
# Arguments go to benches/detector.rs, for example --rounds 9 --set avx2 --threads 2.
set -eu
cd "$(dirname "$0")/../.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/facelatch/bench
xml=/usr/share/opencv4/haarcascades/haarcascade_frontalface_default.xml
if [ ! -f /usr/include/opencv4/opencv2/objdetect.hpp ] || [ ! -f "$xml" ]; then
  tools/install.sh "the comparison with OpenCV" g++ libopencv-objdetect-dev opencv-data
fi
mkdir -p "$cache"
g++ -O2 -o "$cache/side" benches/opencv/side.cpp -I/usr/include/opencv4 -lopencv_objdetect -lopencv_core
set -- "$@" "$cache/side" "$xml"
for picture in ../shared/data/sample_faces/img2.jpg ../shared/data/cmu_mit/newtest/class57.png; do
  [ -f "$picture" ] && set -- "$@" "$picture"
done
exec cargo bench --bench detector -- "$@"
