#!/bin/sh
# Prints the path of a Python with the packages of a requirements file; both are made on first use, outside
# the repository, and anew when the file has changed:
#
#   tools/python.sh NAME REQUIREMENTS-FILE
set -eu

name=$1
requirements=$2
here=$(cd "$(dirname "$0")" && pwd)
home=${XDG_CACHE_HOME:-$HOME/.cache}/facelatch/$name
if ! cmp -s "$requirements" "$home/installed.txt"; then
  python3 -c 'import ensurepip' 2>/dev/null || "$here/install.sh" "the Python of $name" python3 python3-venv
  {
    echo "== making a Python with the packages of $requirements in $home (once)"
    # One that does not start (the system's Python is another now) is made anew.
    "$home/bin/python" -c '' 2>/dev/null || rm -rf --one-file-system "$home"
    python3 -m venv "$home"
    "$home/bin/pip" install --disable-pip-version-check --progress-bar off --requirement "$requirements"
  } >&2
  cp "$requirements" "$home/installed.txt"
fi
echo "$home/bin/python"
