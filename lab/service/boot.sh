#!/bin/bash
# Becomes process 1 of a Debian of its own: run by run.sh in new namespaces, as root.
#
#   boot.sh TREE SHARE     TREE: the root filesystem, left as it is; SHARE: seen inside as /lab
set -euo pipefail
tree=$1 share=$2

mount --make-rprivate /
base=/run/facelatch-service-lab
mkdir -p "$base"
mount -t tmpfs tmpfs "$base"
mkdir "$base"/{upper,work,root}
mount -t overlay overlay -o "lowerdir=$tree,upperdir=$base/upper,workdir=$base/work" "$base/root"
root=$base/root
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 dev "$root/dev"
while read -r name major minor; do mknod -m 666 "$root/dev/$name" c "$major" "$minor"; done <<END
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
END
mkdir "$root"/dev/{pts,shm} "$root/lab"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount --bind "$share" "$root/lab"

# A disk that can be frozen, for what must not wait for it.
if [ -e "$share/disk.ext4" ] && mkdir -p "$root/var/lib/facelatch" &&
    mount -o loop "$share/disk.ext4" "$root/var/lib/facelatch"; then
    touch "$share/disk.mounted"
fi

cat >"$root/etc/systemd/system/lab.service" <<END
[Unit]
Description=The test that the lab was started for
After=basic.target dbus.service
[Service]
Type=oneshot
ExecStart=/bin/bash /lab/test.sh
TimeoutStartSec=infinity
END
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../lab.service "$root/etc/systemd/system/multi-user.target.wants/lab.service"

cd "$root"
mkdir -p old
pivot_root . old
umount -l /old
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
