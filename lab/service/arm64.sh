#!/bin/bash
# The package for 64-bit ARM: what is in it, and its life in a clean Debian for arm64, whose programs and
# maintainer scripts run under qemu-user. No systemd runs there; run.sh has that.
#
#   lab/service/arm64.sh [PACKAGE]      without one, it is made
#
# The kernel's table of foreign programs (binfmt_misc) is one of a new user namespace: this machine's own
# stays as it is.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"

name=lab-service-arm64
as_root true 2>/dev/null || skip $name "a root filesystem needs root or sudo without a password"
as_root unshare --mount --user --map-root-user sh -c \
    'mount -t binfmt_misc none /proc/sys/fs/binfmt_misc && [ -e /proc/sys/fs/binfmt_misc/register ]' 2>/dev/null ||
    skip $name "this kernel gives a user namespace no binfmt_misc of its own (Linux 6.7 does)"
need lintian=lintian
package=${1:-$("$REPO/tools/deb.sh" arm64)}
image=$("$LAB/rootfs.sh" arm64)
qemu=$(fetch_deb bookworm qemu-user-static)/usr/bin/qemu-aarch64-static

failed=0
ok() { printf '%s: ok %s\n' $name "$*"; }
fail() { printf '%s: FAIL %s\n' $name "$*"; failed=$((failed + 1)); }
# check WORDS COMMAND...
check() { if "${@:2}"; then ok "$1"; else fail "$1"; fi; }
contents=$(dpkg-deb --contents "$package")
contains() { grep -q " \./$1\$" <<<"$contents"; }

check "it says arm64" test "$(dpkg-deb --field "$package" Architecture)" = arm64
for file in usr/bin/facelatch lib/systemd/system/facelatch.service usr/lib/sysusers.d/facelatch.conf \
    usr/lib/tmpfiles.d/facelatch.conf usr/lib/udev/rules.d/60-facelatch.rules etc/facelatch/facelatch.toml \
    usr/share/man/man1/facelatch.1.gz usr/share/bash-completion/completions/facelatch; do
    contains "$file" || contains "usr/$file" || fail "it has no $file"
done
if report=$(lintian --fail-on error "$package"); then
    ok "lintian: no errors, $(grep -c '^W:' <<<"$report" || true) warnings"
else
    fail "lintian: $(grep '^E:' <<<"$report" | head -3 | tr '\n' ';')"
fi

share=$(mktemp -d "${TMPDIR:-/tmp}/facelatch-arm64.XXXXXX")
trap 'rm -rf --one-file-system "$share"' EXIT
chmod 755 "$share"
cp "$package" "$share/facelatch.deb"
cp "$REPO/assets/portraits/collins.jpg" "$share/face.jpg"
cp "$qemu" "$share/qemu"

# Inside: the checks go to standard output, what the programs say to the log.
cat >"$share/test.sh" <<'END'
ok() { printf 'ok %s\n' "$*" >&3; }
check() { if "${@:2}"; then ok "$1"; else printf 'FAIL %s\n' "$1" >&3; fi; }
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
# The root filesystem was unpacked, not installed: dpkg knows of no other package there.
check "install: dpkg -i, with its scripts" dpkg --force-depends -i /lab/facelatch.deb
check "install: the user and its group of GPIO lines are there" sh -c 'getent passwd facelatch && getent group gpio'
check "install: /var/lib/facelatch is the daemon's alone" test "$(stat -c '%a %U' /var/lib/facelatch)" = "700 facelatch"
check "the program runs: $(facelatch --version)" facelatch check
check "it finds a face, and enrols her" facelatch enrol Eileen --pictures /lab/face.jpg
check "and lists her" sh -c 'facelatch people list | grep -q Eileen'
check "remove" dpkg -r facelatch
check "remove: the gallery is kept" test -s /var/lib/facelatch/gallery
check "purge" dpkg -P facelatch
left=$(find / -xdev -name '*facelatch*' -not -path '/lab/*' | tr '\n' ' ')
check "purge: nothing of that name is left${left:+, but: $left}" test -z "$left"
check "purge: the user is gone" sh -c '! getent passwd facelatch'
printf 'end\n' >&3
END
cat >"$share/inside.sh" <<'END'
set -e
read -r _
share=$1 root=$1/system
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
# An ELF file of 64 bits, little endian, for AArch64; the interpreter is opened now, out of the chroot.
printf '%s' ":arm64:M::\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff:$share/qemu:F" \
    >/proc/sys/fs/binfmt_misc/register
exec chroot "$root" /bin/bash /lab/test.sh 3>>"$share/result" >>"$share/log" 2>&1
END
cat >"$share/outside.sh" <<'END'
set -e
share=$1 image=$2
mount --make-rprivate /
mkdir "$share"/{tmp,system,go}
mount -t tmpfs tmpfs "$share/tmp"
mkdir "$share"/tmp/{lower,upper,work}
mount -o ro,loop "$image" "$share/tmp/lower"
mount -t overlay overlay -o "lowerdir=$share/tmp/lower,upperdir=$share/tmp/upper,workdir=$share/tmp/work" "$share/system"
mkdir -p "$share"/system/{lab,proc}
mount -t proc proc "$share/system/proc"
mount --bind "$share" "$share/system/lab"
mkfifo "$share/go/ahead"
unshare --user --mount bash "$share/inside.sh" "$share" <"$share/go/ahead" &
exec 4>"$share/go/ahead"
# All users of the root filesystem, under their own numbers.
sleep 0.2
echo '0 0 65536' >"/proc/$!/uid_map"
echo '0 0 65536' >"/proc/$!/gid_map"
echo >&4
wait $!
END
touch "$share/result" "$share/log"
as_root unshare --mount bash "$share/outside.sh" "$share" "$image" >>"$share/log" 2>&1 || true
sed "/^end/d; s/^/$name: /" "$share/result"
failed=$((failed + $(grep -c '^FAIL ' "$share/result" || true)))
if ! grep -q '^end' "$share/result"; then
    tail -20 "$share/log" >&2
    die "the test did not run to its end"
fi
[ $failed = 0 ] || { tail -40 "$share/log" >&2; die "$failed checks failed"; }
say "$(grep -c '^ok ' "$share/result") checks hold in the root filesystem for arm64"
