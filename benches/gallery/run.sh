#!/bin/sh
# Exact search among a million templates beside FAISS and usearch, taking turns in one run. Its Python
# lives outside the repository.
#
#   benches/gallery/run.sh [--templates N] [--rounds N]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
venv=${XDG_CACHE_HOME:-$HOME/.cache}/facelatch/venv-gallery
if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --requirement "$here/requirements.txt" >&2
    cp "$here/requirements.txt" "$venv/installed.txt"
fi
cd "$root"
program=$(cargo bench --bench gallery --no-run 2>&1 | sed -n 's/.*Executable .* (\(.*\))$/\1/p')
[ -n "$program" ] || { echo "the bench does not build: run cargo bench --bench gallery --no-run" >&2; exit 2; }
OMP_NUM_THREADS=1 exec "$venv/bin/python" "$here/compare.py" "$program" "$@"
