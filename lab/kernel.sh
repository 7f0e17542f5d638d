#!/bin/bash
# Builds the lab's kernel: user-mode Linux with V4L2 and gpio-sim, and the v4l2loopback module.
# Prints the folder that holds `linux` and its modules.
#
# gpio-sim learns one thing here: with gpio_sim.persist_gpio_outputs=1 an output keeps its level
# when its holder is gone, as on a Raspberry Pi's kernel (its pinctrl-bcm2835 has a parameter of
# that name).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need flex=flex bison=bison bc=bc xz=xz-utils gcc=build-essential make=build-essential perl=perl depmod=kmod
source_deb=$(fetch_deb trixie linux-source-6.12)
loopback_deb=$(fetch_deb trixie v4l2loopback-dkms)
recipe=1 # counts changes of what follows that need another build
key=$({ cat "$LAB/uml.config"; echo "$recipe"; gcc -dumpfullversion; } | sha256sum | cut -c1-12)
out=$CACHE/uml-$(basename "$source_deb")-$(basename "$loopback_deb")-$key

if [ ! -e "$out/done" ]; then
    say "building the kernel (about 6 minutes of CPU time, once)"
    rm -rf --one-file-system "$out" && mkdir -p "$out"
    tree=$out/tree
    mkdir "$tree"
    tar -C "$tree" --strip-components=1 -xf "$source_deb"/usr/src/linux-source-6.12.tar.xz \
        --exclude='*/drivers/gpu/drm/amd/include/*' --exclude='*/tools/testing/*'
    perl -0pi -e 's/(static void gpio_sim_free\()/static bool persist_gpio_outputs;\nmodule_param(persist_gpio_outputs, bool, 0444);\n\n$1/;
        s/(scoped_guard\(mutex, &chip->lock\) \{\n)(\s*__assign_bit\(offset, chip->value_map,\n\s*!!test_bit\(offset, chip->pull_map\)\);\n\s*__clear_bit\(offset, chip->request_map\);)/$1\t\tif (!persist_gpio_outputs || test_bit(offset, chip->direction_map))\n$2/' \
        "$tree/drivers/gpio/gpio-sim.c"
    grep -q 'if (!persist_gpio_outputs' "$tree/drivers/gpio/gpio-sim.c" || die "gpio-sim.c has changed: persist_gpio_outputs could not be added"
    # On a CPU with AMX the extended register state is larger than the 2696 bytes that user-mode Linux
    # hands back, and the host refuses a part of it. What is beyond belongs to AMX, which nothing in
    # the board may use: it goes back as zeros.
    perl -0pi -e 's/(int restore_fp_registers\(int pid, unsigned long \*fp_regs\)\n\{\n#ifdef PTRACE_SETREGSET\n\tstruct iovec iov;\n)(\tif \(have_xstate_support\) \{\n)\t\tiov\.iov_base = fp_regs;\n\t\tiov\.iov_len = FP_SIZE \* sizeof\(unsigned long\);/$1\tstatic char whole[16384];\n\n$2\t\tmemcpy(whole, fp_regs, FP_SIZE * sizeof(unsigned long));\n\t\tiov.iov_base = whole;\n\t\tiov.iov_len = sizeof(whole);/;
        s/#include <errno.h>\n/#include <errno.h>\n#include <string.h>\n/' "$tree/arch/x86/um/os-Linux/registers.c"
    grep -q 'sizeof(whole)' "$tree/arch/x86/um/os-Linux/registers.c" || die "registers.c has changed: the larger register state could not be added"
    build() { nice -n 10 make -s -C "$tree" ARCH=um -j"$(nproc)" "$@" >>"$out/log" 2>&1 </dev/null; }
    build KCONFIG_ALLCONFIG="$LAB/uml.config" allnoconfig || die "configuring the kernel failed: see $out/log"
    for wanted in GPIO_SIM VIDEO_DEV HOSTFS CGROUP_BPF SECCOMP_FILTER EXT4_FS; do
        grep -q "^CONFIG_$wanted=y" "$tree/.config" || die "the kernel lacks $wanted: see $tree/.config"
    done
    build linux modules || die "building the kernel failed: see $out/log"
    cp -r "$loopback_deb"/usr/src/v4l2loopback-* "$out/v4l2loopback"
    rm -f "$out/v4l2loopback/Makefile"
    build M="$out/v4l2loopback" modules || die "building v4l2loopback failed: see $out/log"
    build INSTALL_MOD_PATH="$out" INSTALL_MOD_STRIP=1 modules_install || die "installing the modules failed: see $out/log"
    build INSTALL_MOD_PATH="$out" INSTALL_MOD_STRIP=1 M="$out/v4l2loopback" modules_install ||
        die "installing v4l2loopback failed: see $out/log"
    rm -f "$out"/lib/modules/*/build
    cp "$tree/linux" "$out/"
    cp "$tree/.config" "$out/config"
    rm -rf --one-file-system "$tree" "$out/v4l2loopback"
    touch "$out/done"
fi
printf '%s\n' "$out"
