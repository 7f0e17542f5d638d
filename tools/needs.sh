#!/bin/sh
# Installs what a build needs and a bare Debian 12 with Rust lacks: libclang, by which the v4l crate
# reads the kernel's headers, and cmake, which builds libjpeg-turbo. Does nothing when they are there.
set -eu

if ls /usr/lib/llvm-*/lib/libclang*.so* >/dev/null 2>&1 && command -v cmake >/dev/null && command -v cc >/dev/null; then
  exit 0
fi

as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
echo "installing libclang-dev, cmake and gcc (the build needs them)" >&2
$as_root apt-get update -qq
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends \
  libclang-dev libclang-common-14-dev cmake make gcc g++ libc6-dev >&2
