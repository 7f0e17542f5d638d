#!/bin/bash
# Makes the lab's workbench: a Debian 13 root filesystem with what Debian 12 lacks or has too old: QEMU 10
# (which knows the Raspberry Pi 4), and gcc 14 with the headers of the stock kernels. Prints its folder.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need mmdebstrap=mmdebstrap
release=$(field trixie linux-image-amd64 Depends | sed -n 's/^linux-image-\([^ ]*\)-amd64 .*/\1/p')
[ -n "$release" ] || die "no kernel found in trixie"
packages=qemu-system-x86,qemu-system-arm,make,gcc-14,gcc-14-aarch64-linux-gnu,libc6-dev,linux-kbuild-$release,linux-headers-$release-common
key=$({ echo "$packages"; cat "$LAB/workbench.sh"; } | sha256sum | cut -c1-12)
out=$CACHE/workbench-trixie-$release-$key
if [ ! -e "$out/done" ]; then
    say "making the workbench (QEMU, compilers: about two minutes, once)"
    as_root rm -rf --one-file-system "$out" && mkdir -p "$out"
    as_root unshare --mount --propagation private mmdebstrap --quiet --variant=minbase --include="$packages" \
        --dpkgopt=path-exclude=/usr/share/doc/* --dpkgopt=path-exclude=/usr/share/locale/* --dpkgopt=path-exclude=/usr/share/man/* \
        --customize-hook='rm -rf "$1"/var/cache/apt/*.bin "$1"/var/lib/apt/lists/*' \
        trixie "$out/root" "$(mirror)" >&2
    printf '%s\n' "$release" >"$out/release"
    touch "$out/done"
fi
printf '%s\n' "$out"
