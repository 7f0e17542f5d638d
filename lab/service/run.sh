#!/bin/bash
# The service lab: the Debian package on a real systemd, as process 1 in namespaces of its own.
#
#   lab/service/run.sh
#
# No virtual machine, and so no GPIO lines and no camera: the strike is a file (strike.state_file),
# which stays as it is when its holder is killed, as a line of a Raspberry Pi does; the camera is a
# recording. `make lab` has the real lines. FACELATCH_PROGRAM=FILE tests that build.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"

name=lab-service
as_root true 2>/dev/null || skip $name "namespaces and a root filesystem need root or sudo without a password"
namespaces=(unshare --mount --pid --fork --uts --ipc --net --cgroup --kill-child)
as_root "${namespaces[@]}" bash -c 'mount --make-rprivate / && mount -t tmpfs tmpfs /mnt &&
    mkdir /mnt/{lower,upper,work,root,cgroup} && mount -t cgroup2 cgroup2 /mnt/cgroup &&
    mount -t overlay overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root' 2>/dev/null ||
    skip $name "this machine gives no new namespaces, no overlay or no cgroup2 to mount"

need lintian=lintian mke2fs=e2fsprogs
tree=$("$LAB/service/rootfs.sh") || skip $name "its root filesystem cannot be made here (above it says why)"
share=$(mktemp -d "${TMPDIR:-/tmp}/facelatch-service.XXXXXX")
booted=
cleanup() {
    [ -z "$booted" ] || as_root kill -9 "$booted" 2>/dev/null || true
    rm -rf --one-file-system "$share"
}
trap cleanup EXIT
chmod 755 "$share"

# The package, and one of an earlier commit to upgrade from.
new=$("$REPO/tools/deb.sh" amd64 --out "$share")
mv "$new" "$share/new.deb"
if old=$("$LAB/service/previous.sh"); then
    cp "$old" "$share/old.deb"
    printf 'ok the earlier package is of commit %s\n' "$(basename "$old" | sed 's/previous-\(.......\).*/\1/')" >"$share/result"
else
    printf 'skipped: upgrade from an earlier commit: its package cannot be made here; the same program stands in for it\n' >"$share/result"
    old=$(FACELATCH_PROGRAM=${CARGO_TARGET_DIR:-$REPO/target}/release/facelatch \
        "$REPO/tools/deb.sh" amd64 --version 0.0.9-1 --out "$share")
    mv "$old" "$share/old.deb"
fi
if lintian --fail-on error "$share/new.deb" >"$share/lintian"; then
    printf 'ok lintian: no errors, %s warnings\n' "$(grep -c '^W:' "$share/lintian" || true)" >>"$share/result"
else
    printf 'FAIL lintian: %s\n' "$(grep '^E:' "$share/lintian" | head -3 | tr '\n' ';')" >>"$share/result"
fi

cp "$LAB/service/test.sh" "$LAB/service/facelatch.toml" "$share/"
cp "$REPO/assets/portraits/collins.jpg" "$share/face.jpg"
mkdir "$share/recording"
for n in $(seq -w 1 6000); do ln -s ../face.jpg "$share/recording/$n.jpg"; done
truncate -s 32M "$share/disk.ext4"
mke2fs -q -t ext4 "$share/disk.ext4"

began=$(date +%s%N)
as_root "${namespaces[@]}" bash "$LAB/service/boot.sh" "$tree" "$share" >"$share/console" 2>&1 </dev/null &
booted=$!
for _ in $(seq 1 "${LAB_LIMIT:-420}"); do
    kill -0 "$booted" 2>/dev/null || break
    ! grep -q '^end' "$share/result" || break
    sleep 1
done
took=$((($(date +%s%N) - began) / 1000000))
as_root kill -9 "$booted" 2>/dev/null || true
wait "$booted" 2>/dev/null || true
booted=
[ -z "${LAB_KEEP:-}" ] || { mkdir -p "$LAB_KEEP" && find "$share" -maxdepth 1 -type f ! -name '*.ext4' -exec cp {} "$LAB_KEEP/" \;; }
if [ ! -e "$share/log" ]; then
    tail -20 "$share/console" >&2 || true
    skip $name "systemd does not come up in namespaces here (its words are above)"
fi
if ! grep -q '^end' "$share/result"; then
    tail -20 "$share/console" "$share/log" >&2 || true
    cat "$share/result" >&2
    die "the test did not run to its end"
fi
sed "/^end/d; s/^/$name: /" "$share/result"
printf '%s: took %s.%03d s\n' "$name" $((took / 1000)) $((took % 1000))
if grep -q '^FAIL ' "$share/result"; then die "$(grep -c '^FAIL ' "$share/result") checks failed"; fi
say "$(grep -c '^ok ' "$share/result") checks hold"
