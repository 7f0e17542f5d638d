#!/bin/sh
# Installs what a build needs and a bare Debian 12 lacks: libclang, by which the v4l crate reads the
# kernel's headers, and cmake, which builds libjpeg-turbo. Rust itself is not installed: it says how. Does
# nothing when all is there.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
least=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$here/../Cargo.toml")
if ! command -v cargo >/dev/null; then
  cat >&2 <<END
Rust is missing (this needs version $least or newer). One of these installs it:
  Debian 13:       apt-get install rustup && rustup default stable
                   or, without rustup: apt-get install -t trixie-backports cargo rustc
  any other Linux: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh
                   and then, in the same shell: . "\$HOME/.cargo/env"
END
  exit 2
fi
have=$(rustc --version | awk '{ print $2 }')
# The lower of the two versions must be the one that is needed.
if [ "$(printf '%s\n%s\n' "$least" "${have%%-*}" | sort -V | head -n 1)" != "$least" ]; then
  echo "Rust $have is too old: this needs $least or newer (with rustup: rustup update stable)" >&2
  exit 2
fi

if ls /usr/lib/llvm-*/lib/libclang*.so* >/dev/null 2>&1 && command -v cmake >/dev/null && command -v cc >/dev/null; then
  exit 0
fi
"$here/install.sh" "the build" libclang-dev cmake make gcc g++ libc6-dev
