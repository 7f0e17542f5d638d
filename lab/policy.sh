# Run by board.sh, on kernels that enforce DeviceAllow=: what the unit may open, and what the daemon has open.
# shellcheck shell=bash disable=SC2154

# Devices that anybody may open, as far as their file modes go: what refuses them is the unit's policy.
# (/dev/kmsg is none of them: ProtectKernelLogs= hides it, which answers EACCES.)
others="/dev/video9 /dev/ttyS7 /dev/vda /dev/hwrng /dev/fuse /dev/loop-control"
cat >/run/inside.sh <<'END'
for device in "$@"; do
    if words=$( (: <"$device") 2>&1); then echo "opens $device"; else echo "refused $device ${words##*: }"; fi
done
END
# Only what the daemon's user can open outside the unit shows anything.
tried=
for device in $others; do
    [ -e "$device" ] || continue
    chmod 666 "$device"
    case $(runuser -u facelatch -- bash /run/inside.sh "$device") in
        opens*) tried="$tried $device" ;;
    esac
done
# The test is a command of the unit itself: its user, groups, control group and device policy.
mkdir -p /run/systemd/system/facelatch.service.d
# shellcheck disable=SC2086
printf '[Service]\nExecStartPre=/bin/bash /run/inside.sh %s\n' "/dev/video0 $chip /dev/null $tried" |
    tr '\n' '\1' | sed 's/  */ /g' | tr '\1' '\n' >/run/systemd/system/facelatch.service.d/inside.conf
systemctl daemon-reload
mark
systemctl restart facelatch
wait_for 15000 systemctl -q is-active facelatch >/dev/null || fail policy "not active: $(last_words)"
for device in /dev/video0 "$chip"; do
    if said "^opens $device"; then ok policy_allows "$device can be opened in the unit"; else fail policy_allows "$device: $(journal | grep -m1 -e "$device")"; fi
done
refused=
for device in $tried; do
    # A second camera is a camera: the unit allows the kind, the file's owner and group do the rest.
    [ "$device" = /dev/video9 ] && continue
    if said "^refused $device Operation not permitted"; then
        refused="$refused $device"
    else
        fail policy_refuses "$device: $(journal | grep -m1 -e "$device")"
    fi
done
if [ -n "$refused" ]; then ok policy_refuses "EPERM for$refused, which its user can open outside it"; else fail policy_refuses "no device was refused"; fi
if [ "$(cat "/sys/fs/cgroup/$(systemctl show -p ControlGroup --value facelatch)/cgroup.procs" | wc -l)" -ge 1 ]; then
    pid=$(systemctl show -p MainPID --value facelatch)
    open=$(ls -l "/proc/$pid/fd" | sed -n 's/.* -> \(.*\)/\1/p' | grep -e '^/dev/' -e gpio | sort -u | tr '\n' ' ')
    expected="/dev/null /dev/video0 anon_inode:gpio-line "
    if [ "$open" = "$expected" ]; then ok devices_open "the daemon has open: $open"; else fail devices_open "the daemon has open: $open (expected $expected)"; fi
fi
rm -r /run/systemd/system/facelatch.service.d
systemctl daemon-reload
