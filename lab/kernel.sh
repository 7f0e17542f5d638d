#!/bin/bash
# Builds the lab's kernel: user-mode Linux with V4L2 and gpio-sim, and the v4l2loopback module.
# Prints the folder that holds `linux` and its modules.
#
# gpio-sim and v4l2loopback learn one thing each: see persist_outputs in lib.sh, and share_format below.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need flex=flex bison=bison bc=bc xz=xz-utils gcc=build-essential make=build-essential perl=perl depmod=kmod
source_deb=$(fetch_deb trixie linux-source-6.12)
loopback_deb=$(fetch_deb trixie v4l2loopback-dkms)
recipe=2 # counts changes of what follows that need another build
key=$({ cat "$LAB/uml.config"; echo "$recipe"; gcc -dumpfullversion; } | sha256sum | cut -c1-12)
out=$CACHE/uml-$(basename "$source_deb")-$(basename "$loopback_deb")-$key

# share_format FILE: while format_is_shared is on, any program may set the format of a node that another one
# captures from. Careful drivers refuse that (EBUSY), others do not.
share_format() {
    perl -0pi -e 's/(static int devices = -1;\n)/static bool format_is_shared;\nmodule_param(format_is_shared, bool, 0644);\n\n$1/;
        s/has_other_owners\(opener, dev\)\)(\n\s*\/\* use existing format)/(!format_is_shared && has_other_owners(opener, dev)))$1/;
        s/(release_token\(dev, opener, format\);\n\tif \(!\(dev->format_tokens & token\)\) \{\n\t\t)result = -EBUSY;/$1if (format_is_shared)\n\t\t\tdev->pix_format = f->fmt.pix;\n\t\telse\n\t\t\tresult = -EBUSY;/;
        s/if \(changed \|\| has_no_owners\(dev\)\)/if ((changed && !format_is_shared) || has_no_owners(dev))/' "$1"
    [ "$(grep -c format_is_shared "$1")" = 5 ] || die "v4l2loopback.c has changed: format_is_shared could not be added"
}

if [ ! -e "$out/done" ]; then
    say "building the kernel (about 6 minutes of CPU time, once)"
    rm -rf --one-file-system "$out" && mkdir -p "$out"
    tree=$out/tree
    mkdir "$tree"
    tar -C "$tree" --strip-components=1 -xf "$source_deb"/usr/src/linux-source-6.12.tar.xz \
        --exclude='*/drivers/gpu/drm/amd/include/*' --exclude='*/tools/testing/*'
    persist_outputs "$tree/drivers/gpio/gpio-sim.c"
    # On a CPU with AMX the extended register state is larger than the 2696 bytes that user-mode Linux
    # hands back, and the host refuses a part of it. What is beyond belongs to AMX, which nothing in
    # the board may use: it goes back as zeros.
    perl -0pi -e 's/(int restore_fp_registers\(int pid, unsigned long \*fp_regs\)\n\{\n#ifdef PTRACE_SETREGSET\n\tstruct iovec iov;\n)(\tif \(have_xstate_support\) \{\n)\t\tiov\.iov_base = fp_regs;\n\t\tiov\.iov_len = FP_SIZE \* sizeof\(unsigned long\);/$1\tstatic char whole[16384];\n\n$2\t\tmemcpy(whole, fp_regs, FP_SIZE * sizeof(unsigned long));\n\t\tiov.iov_base = whole;\n\t\tiov.iov_len = sizeof(whole);/;
        s/#include <errno.h>\n/#include <errno.h>\n#include <string.h>\n/' "$tree/arch/x86/um/os-Linux/registers.c"
    grep -q 'sizeof(whole)' "$tree/arch/x86/um/os-Linux/registers.c" || die "registers.c has changed: the larger register state could not be added"
    build() { make -s -C "$tree" ARCH=um -j"$(nproc)" "$@" >>"$out/log" 2>&1 </dev/null; }
    build KCONFIG_ALLCONFIG="$LAB/uml.config" allnoconfig || die "configuring the kernel failed: see $out/log"
    for wanted in GPIO_SIM VIDEO_DEV HOSTFS CGROUP_BPF SECCOMP_FILTER EXT4_FS; do
        grep -q "^CONFIG_$wanted=y" "$tree/.config" || die "the kernel lacks $wanted: see $tree/.config"
    done
    build linux modules || die "building the kernel failed: see $out/log"
    cp -r "$loopback_deb"/usr/src/v4l2loopback-* "$out/v4l2loopback"
    rm -f "$out/v4l2loopback/Makefile"
    share_format "$out/v4l2loopback/v4l2loopback.c"
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
