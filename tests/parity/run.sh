#!/bin/sh
# The same rectangles as OpenCV, on every instruction set of this machine: `make parity`.
#
#   PARITY=small|sample|full   how many frames and cases (default sample; full takes hours)
#   PARITY_SETS=all            or names: portable,sse2,sse4.2,avx2,neon
#   PARITY_CASCADES="..."      names of opencv-data's cascades (default frontalface_default)
#   PARITY_AARCH64=1           the build for aarch64, under qemu-user
#   PARITY_DATA=../shared/data
#
# OpenCV's answers are kept in the user's cache folder, so that a broken-off run continues.
set -eu
cd "$(dirname "$0")/../.."
data=${PARITY_DATA:-../shared/data}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/facelatch/parity
cascades=/usr/share/opencv4/haarcascades
[ -d "$data" ] || { echo "skipped: parity: no $data"; exit 0; }
python=$(tools/opencv.sh)
if [ -n "${PARITY_AARCH64:-}" ]; then
  tools/aarch64.sh cargo build --release --example parity
  ours="qemu-aarch64 -L /usr/aarch64-linux-gnu target/aarch64-unknown-linux-gnu/release/examples/parity"
else
  cargo build --release --example parity
  ours=target/release/examples/parity
fi
status=0
for name in ${PARITY_CASCADES:-frontalface_default}; do
  xml=$cascades/haarcascade_$name.xml
  echo "cascade $name"
  "$python" tests/parity/expect.py --cascade "$xml" --data "$data" \
      --set "${PARITY:-sample}" --cache "$cache/expected" > "$cache/cases.$$"
  # shellcheck disable=SC2086
  $ours "$xml" "${PARITY_SETS:-all}" < "$cache/cases.$$" || status=1
  rm -f "$cache/cases.$$"
done
exit $status
