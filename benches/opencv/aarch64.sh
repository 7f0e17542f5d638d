#!/bin/bash
# Instructions of a scan on 64-bit ARM under qemu-user, Debian's libopencv over ours, on the same gray
# frames: `make count-detector-aarch64`. A count does not depend on how busy the machine is.
#
# FACELATCH_SIDE=FILE takes a build of examples/side.rs for aarch64 that exists already.
# shellcheck source=../../lab/lib.sh
. "$(dirname "$0")/../../lab/lib.sh"
cd "$REPO"
need mmdebstrap=mmdebstrap aarch64-linux-gnu-g++=g++-aarch64-linux-gnu qemu-aarch64=qemu-user \
    /usr/include/opencv4/opencv2/objdetect.hpp=libopencv-objdetect-dev \
    /usr/share/opencv4/haarcascades/haarcascade_frontalface_default.xml=opencv-data >&2
xml=/usr/share/opencv4/haarcascades/haarcascade_frontalface_default.xml
cache=${XDG_CACHE_HOME:-$HOME/.cache}/facelatch/bench
mkdir -p "$cache"

# The libraries of the release that this machine's headers are of, unpacked only.
version=$(dpkg-query -W -f '${Version}' libopencv-objdetect-dev)
tree=$cache/opencv-aarch64-$version
if [ ! -e "$tree/done" ]; then
    as_root rm -rf --one-file-system "$tree"
    # shellcheck disable=SC2016
    as_root unshare --mount --propagation private mmdebstrap --quiet --variant=extract --arch=arm64 \
        --include=libopencv-objdetect406 bookworm "$tree" "$(mirror)" \
        --setup-hook='for d in bin sbin lib; do mkdir -p "$1/usr/$d"; ln -s "usr/$d" "$1/$d"; done' >&2
    as_root touch "$tree/done"
fi
libraries=$tree/usr/lib/aarch64-linux-gnu
aarch64-linux-gnu-g++ -O2 -o "$cache/side-aarch64" benches/opencv/side.cpp -I/usr/include/opencv4 \
    -Wl,--allow-shlib-undefined "$libraries"/libopencv_{objdetect,core}.so.406
theirs() {
    FACELATCH_SYSROOT=$tree tools/count-aarch64.sh \
        -E "LD_LIBRARY_PATH=$libraries:$libraries/blas:$libraries/lapack" "$cache/side-aarch64" "$xml"
}
program=${FACELATCH_SIDE:-target/aarch64-unknown-linux-gnu/release/examples/side}
[ -n "${FACELATCH_SIDE:-}" ] || tools/aarch64.sh cargo build --release --example side >&2
ours() { tools/count-aarch64.sh "$program" "$xml"; }

python=$(tools/opencv.sh)
frames=$(mktemp -d)
trap 'rm -rf "$frames"' EXIT
"$python" - "$frames" <<'P'
import os
import sys

import cv2
import numpy as np

folder = sys.argv[1]
dice = np.random.default_rng(1)
y, x = np.mgrid[0:480, 0:640]
scenes = {"flat-wall": (110 + x * 60 // 640 + y * 20 // 480 + dice.integers(0, 8, x.shape)).astype(np.uint8)}
for name, path in (("busy", "sample_faces/img2.jpg"), ("crowd", "cmu_mit/newtest/class57.png")):
    picture = cv2.imread(os.path.join("../shared/data", path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        continue
    zoom = max(640 / picture.shape[1], 480 / picture.shape[0])
    picture = cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    scenes[name] = picture[:480, :640]
for name, picture in scenes.items():
    for width, height in ((640, 480), (320, 240)):
        frame = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        with open(os.path.join(folder, f"{name}.{width}x{height}"), "wb") as f:
            f.write(f"F {width} {height}\n".encode() + frame.tobytes())
P

# scan SIDE FRAME FACTOR LEAST: instructions of one scan, as the difference of two and one, so that
# loading and the first scan's preparations do not count; and the rectangles.
scan() {
    local side=$1 frame=$2 line="R $3 3 $4 1" one two
    count() {
        { cat "$frame"; for _ in $(seq "$1"); do printf '\n%s' "$line"; done; echo; } |
            "$side" 2>&1 >"$frames/$side.out" | awk '$1 == "instructions" { print $2 }'
    }
    one=$(count 1)
    two=$(count 2)
    echo $((two - one))
}
printf '%-10s %-8s %5s %4s %14s %14s %6s\n' scene frame scale min OpenCV ours ratio
for frame in "$frames"/*.*x*; do
    for factor in 1.1 1.2; do
        for least in 24 80; do
            a=$(scan theirs "$frame" "$factor" "$least")
            b=$(scan ours "$frame" "$factor" "$least")
            name=$(basename "$frame")
            printf '%-10s %-8s %5s %4s %14s %14s %s\n' "${name%.*}" "${name#*.}" "$factor" "$least" "$a" "$b" \
                "$(awk "BEGIN { printf \"%.2fx\", $a / $b }")"
        done
    done
done | tee "$frames/table"
awk '{ sub("x", "", $7); s += log($7); if (!n || $7 + 0 < least) least = $7 + 0; n++ }
    END { printf "geometric mean %.2fx, least %.2fx, %d cases\n", exp(s / n), least, n }' "$frames/table"
