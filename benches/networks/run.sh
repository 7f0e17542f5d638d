#!/bin/sh
# The shipped network in tract and in onnxruntime, taking turns in one run; also the third-party network
# of ../shared, where that is. Its Python lives outside the repository.
#
#   benches/networks/run.sh [CARD] [--rounds N]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
venv=${XDG_CACHE_HOME:-$HOME/.cache}/facelatch/venv-networks
if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --requirement "$here/requirements.txt" >&2
    cp "$here/requirements.txt" "$venv/installed.txt"
fi
card=$root/models/embedder.toml
case ${1:-} in
*.toml)
    card=$1
    shift
    ;;
esac
cd "$root"
program=$(cargo bench --bench embedder --no-run 2>&1 | sed -n 's/.*Executable .* (\(.*\))$/\1/p')
[ -n "$program" ] || { echo "the bench does not build: run cargo bench --bench embedder --no-run" >&2; exit 2; }
beside=$root/../shared/models/mobilefacenet.onnx
if [ -e "$beside" ]; then set -- --beside "$beside" "$@"; fi
"$venv/bin/python" "$here/compare.py" "$program" "$card" "$@"
