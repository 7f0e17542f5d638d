#!/bin/bash
# Makes the root filesystem of the service lab: Debian 12 with systemd, as a folder. Prints its path.
# Nothing of facelatch is in it: the test installs the package, as a user would.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"

need mmdebstrap=mmdebstrap
packages=systemd,systemd-sysv,udev,dbus,procps,man-db
key=$({ echo "$packages"; cat "$LAB/service/rootfs.sh"; } | sha256sum | cut -c1-12)
out=$CACHE/service-bookworm-$key
if [ ! -e "$out/done" ]; then
    say "making the service lab's root filesystem (about a minute, once)"
    as_root rm -rf --one-file-system "$out" && mkdir -p "$out"
    # In its own mount namespace: a build that is interrupted leaves no mounts behind.
    as_root unshare --mount --propagation private mmdebstrap --quiet --variant=minbase --include="$packages" \
        --customize-hook='rm -rf "$1"/var/cache/apt/*.bin "$1"/var/lib/apt/lists/*' \
        --customize-hook='echo door >"$1/etc/hostname"; : >"$1/etc/fstab"; : >"$1/etc/machine-id"' \
        --customize-hook='chroot "$1" systemctl -q mask getty@.service console-getty.service systemd-logind.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer man-db.timer systemd-pstore.service systemd-random-seed.service systemd-resolved.service' \
        --customize-hook='printf "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n" >"$1/etc/systemd/journald.conf"' \
        bookworm "$out/tree" "$(mirror)" >&2
    as_root touch "$out/done"
fi
printf '%s\n' "$out/tree"
