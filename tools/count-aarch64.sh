#!/bin/sh
# Runs a program for 64-bit ARM under qemu-user and prints, as the last line of stderr, how many
# instructions it executed: a figure that does not depend on how busy the machine is.
#
#   tools/count-aarch64.sh PROGRAM [ARGUMENT...]
#
# FACELATCH_SYSROOT=FOLDER: where its loader and libraries are, if not those of the cross compiler.
# To count a part of a program, run it twice with another number of repetitions and divide the difference.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || { sed -n '2,8p' "$0" >&2; exit 2; }
command -v qemu-aarch64 >/dev/null || "$here/install.sh" "counting instructions" qemu-user
plugin=${XDG_CACHE_HOME:-$HOME/.cache}/facelatch/insn-plugin.so
if ! [ "$plugin" -nt "$here/insn-plugin.c" ]; then
  mkdir -p "$(dirname "$plugin")"
  cc -O2 -Wall -Wextra -shared -fPIC -fvisibility=hidden -o "$plugin.new" "$here/insn-plugin.c"
  mv "$plugin.new" "$plugin"
fi
count=$(mktemp)
trap 'rm -f "$count"' EXIT
status=0
qemu-aarch64 -L "${FACELATCH_SYSROOT:-/usr/aarch64-linux-gnu}" -plugin "$plugin,out=$count" "$@" || status=$?
echo "instructions $(cat "$count")" >&2
exit $status
