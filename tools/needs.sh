#!/bin/sh
# Installs what a build needs and a bare Debian 12 with Rust lacks: libclang, by which the v4l crate
# reads the kernel's headers. Does nothing when it is there.
set -eu

ls /usr/lib/llvm-*/lib/libclang*.so* >/dev/null 2>&1 && exit 0

as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
echo "installing libclang-dev (needed to build the camera's bindings)" >&2
$as_root apt-get update -qq
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends libclang-dev gcc libc6-dev >&2
