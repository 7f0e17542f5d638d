#!/bin/bash
# The stock Debian 13 kernel for QEMU, with the two modules that Debian does not have: gpio-sim (with
# persistent outputs, see kernel.sh) and v4l2loopback.
#
#   lab/stock.sh amd64|arm64     prints a folder: vmlinuz, lib/modules, and dtbs (arm64)
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

arch=$1
need xz=xz-utils perl=perl depmod=kmod >&2
bench=$("$LAB/workbench.sh")
release=$(cat "$bench/release")-$arch
image=$(fetch_deb "trixie/$arch" "linux-image-$release")
headers=$(fetch_deb "trixie/$arch" "linux-headers-$release")
source_deb=$(fetch_deb trixie linux-source-6.12)
loopback_deb=$(fetch_deb trixie v4l2loopback-dkms)
recipe=1 # counts changes of what follows that need another build
key=$({ declare -f persist_outputs && echo "$recipe" && echo "$bench$image$source_deb$loopback_deb"; } | sha256sum | cut -c1-12)
out=$CACHE/stock-$release-$key
if [ ! -e "$out/done" ]; then
    say "building modules for $release (half a minute, once)"
    as_root rm -rf --one-file-system "$out" && mkdir -p "$out"/build/{gpio-sim,v4l2loopback}
    tar -C "$out/build" --strip-components=1 -xf "$source_deb"/usr/src/linux-source-6.12.tar.xz \
        --wildcards '*/drivers/gpio/gpio-sim.c' '*/kernel/irq/irq_sim.c'
    mv "$out/build/drivers/gpio/gpio-sim.c" "$out/build/gpio-sim/main.c"
    mv "$out/build/kernel/irq/irq_sim.c" "$out/build/gpio-sim/"
    persist_outputs "$out/build/gpio-sim/main.c"
    # Modules cannot call irq_to_desc: the same by what is exported.
    sed -i 's/irq_to_desc(irqnum)/irq_data_to_desc(irq_get_irq_data(irqnum))/' "$out/build/gpio-sim/irq_sim.c"
    printf 'obj-m := gpio-sim.o\ngpio-sim-y := main.o irq_sim.o\n' >"$out/build/gpio-sim/Makefile"
    cp "$loopback_deb"/usr/src/v4l2loopback-*/*.[ch] "$out/build/v4l2loopback/"
    printf 'obj-m := v4l2loopback.o\n' >"$out/build/v4l2loopback/Makefile"
    cross=
    [ "$arch" = amd64 ] || cross=aarch64-linux-gnu-
    src=/usr/src/linux-headers-$release
    # shellcheck disable=SC2016
    as_root env BENCH="$bench/root" BUILD="$out/build" HEADERS="$headers$src" SRC="$src" CROSS_COMPILE="$cross" \
        unshare --mount --propagation private bash -ec '
            mkdir -p "$BENCH$SRC" "$BENCH/build"
            mount --bind "$HEADERS" "$BENCH$SRC"
            mount --bind "$BUILD" "$BENCH/build"
            for module in gpio-sim v4l2loopback; do
                chroot "$BENCH" make -s -C "$SRC" M=/build/$module modules
            done' >"$out/log" 2>&1 || { tail -5 "$out/log" >&2; die "the modules do not build: see $out/log"; }
    mkdir -p "$out/lib/modules/$release"
    cp -r "$image"/usr/lib/modules/"$release"/. "$out/lib/modules/$release/" 2>/dev/null ||
        cp -r "$image"/lib/modules/"$release"/. "$out/lib/modules/$release/"
    mkdir -p "$out/lib/modules/$release/updates"
    cp "$out/build"/*/*.ko "$out/lib/modules/$release/updates/"
    depmod -b "$out" "$release"
    cp "$image/boot/vmlinuz-$release" "$out/vmlinuz"
    [ "$arch" = amd64 ] || cp "$image/usr/lib/linux-image-$release"/broadcom/bcm{2837-rpi-3-b,2711-rpi-4-b}.dtb "$out/"
    as_root rm -rf --one-file-system "$out/build"
    touch "$out/done"
fi
printf '%s\n' "$out"
