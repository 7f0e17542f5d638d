#!/bin/bash
# Makes the lab's root filesystem: Debian 12 with systemd, as an ext4 image. Prints its path.
# Nothing of facelatch is in it: the test installs that at boot, as a user would.
#
#   lab/rootfs.sh [amd64|arm64]
#
# Packages for arm64 are unpacked only, since this machine cannot run their scripts; what those would
# have left in /etc is the same as on amd64 and taken from there.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

arch=${1:-amd64}
need mmdebstrap=mmdebstrap mke2fs=e2fsprogs >&2
packages=systemd,systemd-sysv,udev,dbus,kmod,procps
key=$({ echo "$packages"; cat "$LAB/rootfs.sh"; } | sha256sum | cut -c1-12)
out=$CACHE/rootfs-bookworm-$arch-$key
if [ ! -e "$out/done" ]; then
    [ "$arch" = amd64 ] || amd64=$("$LAB/rootfs.sh" amd64)
    say "making the root filesystem for $arch (about a minute, once)"
    as_root rm -rf --one-file-system "$out" && mkdir -p "$out"
    # In its own mount namespace: a build that is interrupted leaves no mounts behind.
    debstrap() { as_root unshare --mount --propagation private mmdebstrap --quiet --include="$packages" "$@" bookworm "$out/tree" "$(mirror)" >&2; }
    if [ "$arch" = amd64 ]; then
        debstrap --variant=minbase \
            --customize-hook='rm -rf "$1"/usr/share/doc "$1"/usr/share/locale "$1"/var/cache/apt/*.bin "$1"/var/lib/apt/lists/*' \
            --customize-hook='echo door >"$1/etc/hostname"; echo "none /lab hostfs defaults 0 0" >"$1/etc/fstab"; : >"$1/etc/machine-id"' \
            --customize-hook='chroot "$1" passwd -q -d root' \
            --customize-hook='chroot "$1" systemctl -q mask getty@.service serial-getty@.service systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-pstore.service systemd-random-seed.service' \
            --customize-hook='printf "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n" >"$1/etc/systemd/journald.conf"' \
            --customize-hook='printf "[Unit]\nDescription=The test that the lab was started for\nAfter=basic.target dbus.service\n[Service]\nType=oneshot\nExecStart=/bin/bash /lab/board.sh\nExecStopPost=/bin/systemctl --force --no-block poweroff\nStandardOutput=null\nStandardError=null\nTimeoutStartSec=infinity\n" >"$1/etc/systemd/system/lab.service"; mkdir -p "$1/etc/systemd/system/multi-user.target.wants" "$1/lab"; ln -s ../lab.service "$1/etc/systemd/system/multi-user.target.wants/lab.service"'
    else
        # shellcheck disable=SC2016
        debstrap --variant=extract --arch="$arch" --include="?essential" \
            --setup-hook='for d in bin sbin lib; do mkdir -p "$1/usr/$d"; ln -s "usr/$d" "$1/$d"; done; cd "$1"; mkdir -p lab proc sys run tmp root mnt'
        as_root rm -rf "$out/tree/etc" "$out"/tree/usr/share/{doc,locale,man}
        as_root ln -s mawk "$out/tree/usr/bin/awk"
        as_root debugfs -R "rdump /etc $out/tree" "$amd64" 2>/dev/null
    fi
    truncate -s 700M "$out/root.ext4"
    as_root mke2fs -q -t ext4 -O ^has_journal -d "$out/tree" "$out/root.ext4" >&2
    as_root rm -rf --one-file-system "$out/tree"
    as_root touch "$out/done"
fi
printf '%s\n' "$out/root.ext4"
