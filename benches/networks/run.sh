#!/bin/sh
# The shipped network in tract and in onnxruntime, taking turns in one run; also the third-party network
# of ../shared, where that is. Its Python lives outside the repository.
#
#   benches/networks/run.sh [CARD] [--rounds N]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
"$root/tools/needs.sh"
python=$("$root/tools/python.sh" venv-networks "$here/requirements.txt")
card=$root/models/embedder.toml
case ${1:-} in
*.toml)
    card=$1
    shift
    ;;
esac
cd "$root"
program=$(cargo bench --bench embedder --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -n "$program" ] || { echo "the bench does not build: run cargo bench --bench embedder --no-run" >&2; exit 2; }
beside=$root/../shared/models/mobilefacenet.onnx
if [ -e "$beside" ]; then set -- --beside "$beside" "$@"; fi
"$python" "$here/compare.py" "$program" "$card" "$@"
