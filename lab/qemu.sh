#!/bin/bash
# The virtual board on a stock Debian kernel under full emulation: what user-mode Linux cannot show.
#
#   lab/qemu.sh amd64    enforces the unit's DeviceAllow=
#   lab/qemu.sh arm64    the aarch64 build, on QEMU's `virt` board
#
# Emulated, arithmetic is about a hundred times slower than the machine: the camera is small (160x120, the
# size of the recordings) and slow. All else is as in run.sh, with persistent outputs.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

arch=$1
name=lab-$arch
can_run "$name" 1500
bench=$("$LAB/workbench.sh")
stock=$("$LAB/stock.sh" "$arch")
release=$(basename "$stock"/lib/modules/*)
image=$("$LAB/rootfs.sh" "$arch")
programs=$(binaries "$arch")
ours=$(binaries amd64)

begin_run

kind=$arch slow=10 persist=1 kills=1 hold_ms=3000 width=160 height=120 fps=2 min_face=30
case $arch in
    amd64) parts="start policy kill stop" ;;
    arm64) parts="start enrol stranger release kill stop" ;;
esac
board_modules "$stock" "$release" "$run/modules" v4l2loopback gpio-sim
fill_share "$run/share" "$programs" "$run/modules" "$ours"
cp "$LAB/policy.sh" "$run/share/"

# The initial RAM disk: modules for disk and share, then the root filesystem.
initrd "$run/initrd" "$arch" "$stock" "$release" virtio_pci virtio_blk ext4 9p 9pnet_virtio <<'END'
mount -t ext4 /dev/vda /new || sleep 3 && mount -t ext4 /dev/vda /new 2>/dev/null
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 lab /new/lab
sed -i /hostfs/d /new/etc/fstab
for d in dev proc sys; do mount --move /$d /new/$d; done
exec switch_root /new /sbin/init
END

cp "$stock/vmlinuz" "$run/"
case $arch in
    amd64) machine=(qemu-system-x86_64 -M q35 -cpu max) console=ttyS0 ;;
    arm64) machine=(qemu-system-aarch64 -M virt -cpu cortex-a72) console=ttyAMA0 ;;
esac
in_workbench "$bench" "$run" "$image" "${machine[@]}" -accel tcg,thread=multi -smp 2 -m 1G -nodefaults -no-reboot \
    -kernel /mnt/vmlinuz -initrd /mnt/initrd -serial stdio -display none \
    -append "console=$console root=/dev/vda rw quiet systemd.show_status=no mitigations=off audit=0" \
    -drive file=/mnt/root.ext4,format=raw,if=virtio,snapshot=on \
    -virtfs local,path=/mnt/share,mount_tag=lab,security_model=none \
    >"$run/console" 2>&1 </dev/null &
emulator=$!
first "$emulator"
await "$emulator" "${LAB_LIMIT:-900}" "the board"
emulator=
report "$name" "$run" "$began"
