#!/bin/sh
# Exact search among a million templates beside FAISS and usearch, taking turns in one run. Its Python
# lives outside the repository.
#
#   benches/gallery/run.sh [--templates N] [--rounds N]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
"$root/tools/needs.sh"
python=$("$root/tools/python.sh" venv-gallery "$here/requirements.txt")
cd "$root"
program=$(cargo bench --bench gallery --no-run --message-format=json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -n "$program" ] || { echo "the bench does not build: run cargo bench --bench gallery --no-run" >&2; exit 2; }
OMP_NUM_THREADS=1 exec "$python" "$here/compare.py" "$program" "$@"
