#!/bin/bash
# The test of the service lab, run as root on a real systemd by boot.sh; its checks go to /lab/result.
exec >/lab/log 2>&1
set -x
export LC_ALL=C

ok() { printf 'ok %s\n' "$*" >>/lab/result; }
fail() { printf 'FAIL %s\n' "$*" >>/lab/result; journalctl --no-pager -u facelatch -u facelatch-gateway | tail -25; }
skipped() { printf 'skipped: %s\n' "$*" >>/lab/result; }
# check WORDS COMMAND...
check() { if "${@:2}"; then ok "$1"; else fail "$1"; fi; }
now() { date +%s%3N; }
strike() { tr -d ' \n' </run/lab/strike; }
property() { systemctl show facelatch --value --property "$1"; }
# until_strike STATE SECONDS: waits for it; true if it came.
until_strike() {
    local until=$(($(now) + $2 * 1000))
    { set +x; } 2>/dev/null
    while [ "$(strike)" != "$1" ]; do
        [ "$(now)" -lt "$until" ] || { set -x; return 1; }
        sleep 0.01
    done
    set -x
}
# The daemon is killed in mid-release; what for, names the checks.
kill_in_mid_release() {
    pid=$(property MainPID)
    local began took
    began=$(now)
    kill -9 "$pid"
    if until_strike secured 10; then
        took=$((${EPOCHREALTIME/./} / 1000 - began))
        check "$1: secured after $took ms (by ExecStopPost=), at most 1000" test $took -le 1000
    else
        fail "$1: secured"
    fi
}
# The person stands there all the time: a release would come within the cool-down.
nobody_let_in() {
    if until_strike released 12; then
        fail "$1: a release that is not on the disk"
    else
        ok "$1: nobody is let in whose entry is not on the disk"
    fi
}
until_active() {
    local until=$(($(now) + $1 * 1000))
    # Asked for in one call: between two the process may end.
    while state=$(systemctl show facelatch --value --property ActiveState,MainPID | sort | tr '\n' ' ') &&
        [[ $state != *active* || $state == *activ*ing* || $state == "${2:-0} "* || $state == "0 "* ]]; do
        [ "$(now)" -lt "$until" ] || return 1
        sleep 0.05
    done
}
verify() { facelatch audit verify --json "$@"; }

# --- a fresh installation, of the earlier package
export DEBIAN_FRONTEND=noninteractive
check "install: dpkg -i of the earlier package" dpkg -i /lab/old.deb
check "install: enabled at boot, and the user facelatch is there" \
    sh -c 'systemctl is-enabled facelatch && getent passwd facelatch && getent group gpio'
check "install: /var/lib/facelatch is the daemon's alone" \
    test "$(stat -c '%a %U' /var/lib/facelatch)" = "700 facelatch"
# As earlier packages left it, and as an owner may have it: the upgrade makes it the daemon's own.
chgrp root /etc/facelatch/facelatch.toml && chmod 644 /etc/facelatch/facelatch.toml
systemctl stop facelatch

# A group's device is reached although the unit has a user namespace of its own.
mkdir -p /run/lab && chown facelatch: /run/lab
printf 'seen' >/run/lab/chip && chown root:gpio /run/lab/chip && chmod 640 /run/lab/chip
check "PrivateUsers=: what the group gpio may read the service may read" systemd-run --quiet --wait \
    -p User=facelatch -p SupplementaryGroups=gpio -p PrivateUsers=yes /bin/grep -q seen /run/lab/chip

# --- configured, started, enrolled
# The earlier package does not know of liveness, and refuses what it does not know.
sed '/^\[liveness\]/,/^$/d' /lab/facelatch.toml >/etc/facelatch/facelatch.toml
mkdir -p /etc/systemd/system/facelatch.service.d
printf '[Service]\nReadWritePaths=/run/lab\n' >/etc/systemd/system/facelatch.service.d/lab.conf
systemctl daemon-reload
check "start: READY within its time" systemctl start facelatch
check "start: the strike is secured" test "$(strike)" = secured
check "enrol: a person from a picture, by the running daemon" facelatch enrol Eileen --pictures /lab/face.jpg
check "unlock: the strike is released for her" until_strike released 20
check "unlock: and secured by itself" until_strike secured 6

# --- upgrade
facelatch audit export --head --out /run/checkpoint
gallery=$(sha256sum </var/lib/facelatch/gallery)
pid=$(property MainPID)
# The owner's configuration was changed, and the package's own between the versions: dpkg would ask.
cp /lab/facelatch.toml /etc/facelatch/facelatch.toml
check "upgrade: dpkg -i of the package" dpkg --force-confold -i /lab/new.deb
check "upgrade: the new version runs" until_active 20 "$pid"
check "journal: the pairs of a line are fields" \
    sh -c 'journalctl -u facelatch FACELATCH_EVENT=started -o json --no-pager | grep -q "\"FACELATCH_CAMERA\""'
check "upgrade: the gallery is as it was" sh -c "[ \"\$(sha256sum </var/lib/facelatch/gallery)\" = '$gallery' ] && facelatch people list | grep -q Eileen"
check "upgrade: the audit log continues the checkpoint from before" verify --checkpoint /run/checkpoint
check "upgrade: the configuration is kept" cmp /lab/facelatch.toml /etc/facelatch/facelatch.toml
check "upgrade: the configuration is for root and the daemon alone" \
    test "$(stat -c '%a %U:%G' /etc/facelatch/facelatch.toml)" = "640 root:facelatch"
check "unit: no swap, no core file" \
    test "$(property MemorySwapMax) $(property LimitCORE) $(property LimitMEMLOCK)" = "0 0 infinity"
check "memory: the daemon's is locked" \
    sh -c "[ \$(awk '/^VmLck/ { print \$2 }' /proc/$(property MainPID)/status) -gt 10000 ]"
if facelatch status | grep 'CANNOT BE MATCHED'; then
    ok "upgrade: it brought another network, and says that she has to be enrolled anew"
    facelatch enrol Eileen --pictures /lab/face.jpg
fi
check "upgrade: the person is let in" until_strike released 30
unit=/lib/systemd/system/facelatch.service
check "systemd-analyze verify: clean" sh -c "[ -z \"\$(systemd-analyze verify $unit 2>&1)\" ]"
exposure=$(systemd-analyze security --offline=true --threshold=15 $unit | awk '/Overall exposure/ { print $7 }')
check "systemd-analyze security: exposure $exposure, at most 1.5" \
    systemd-analyze security --offline=true --threshold=15 --no-pager $unit
pid=$(property MainPID)
check "no network: the daemon has the loopback alone, and no route" \
    sh -c "[ \$(tail -n +3 /proc/$pid/net/dev | wc -l) = 1 ] && [ \$(wc -l </proc/$pid/net/route) -le 1 ]"

# --- the gateway beside it, with a network and without the door's things
http() { # PATH [HEADER]: what the gateway answers over the loopback
    exec 3<>/dev/tcp/127.0.0.1/8430 || return 1
    printf 'GET %s HTTP/1.1\r\nHost: door\r\nAccept: text/html\r\n%s\r\n' "$1" "${2:+$2$'\r\n'}" >&3
    cat <&3
    exec 3>&-
}
gateway=/lib/systemd/system/facelatch-gateway.service
check "gateway: off until its owner wants it" sh -c '! systemctl is-enabled facelatch-gateway && ! systemctl is-active facelatch-gateway'
echo 'a good password' | facelatch-gateway password
token=$(facelatch-gateway token)
check "gateway: READY" systemctl start facelatch-gateway
check "gateway: the login page over the loopback" grep -q 'name="password"' <(http /login)
check "gateway: without a session no page" grep -qi '^location: /login' <(http /people)
for _ in $(seq 50); do
    metrics=$(http /metrics "Authorization: Bearer $token")
    ! grep -q '^facelatch_frames_total [1-9]' <<<"$metrics" || break
    sleep 0.2
done
check "gateway: the door's figures from a daemon without a network" grep -q '^facelatch_up 1' <<<"$metrics"
check "gateway: $(grep '^facelatch_frames_total ' <<<"$metrics" | tr -d '\r')" grep -q '^facelatch_frames_total [1-9]' <<<"$metrics"
check "gateway: a user of its own without the door's groups, who cannot read the gallery" \
    sh -c '[ "$(id -nG facelatch-gateway)" = facelatch-gateway ] && ! setpriv --reuid facelatch-gateway --regid facelatch-gateway --clear-groups cat /var/lib/facelatch/gallery'
exposure=$(systemd-analyze security --offline=true --threshold=25 $gateway | awk '/Overall exposure/ { print $7 }')
check "systemd-analyze security: the gateway's exposure $exposure, at most 2.5" \
    systemd-analyze security --offline=true --threshold=25 --no-pager $gateway
check "systemd-analyze verify: the gateway's unit is clean" sh -c "[ -z \"\$(systemd-analyze verify $gateway 2>&1)\" ]"
systemctl kill -s KILL facelatch-gateway
sleep 1
check "gateway: killed, and the daemon does not notice" test "$(property MainPID)" = "$pid"
systemctl stop facelatch-gateway

# --- kill -9 in mid-release
if until_strike released 30; then
    kill_in_mid_release "kill -9 in mid-release"
    check "kill -9: started again" until_active 15 "$pid"
    sleep 0.3
    check "kill -9: secured after the start as well" test "$(strike)" = secured
else
    fail "kill -9 in mid-release: no release to kill"
fi

# --- the same after an edit that broke the configuration: the line that the daemon drove counts
if until_strike released 30; then
    sed -i.good '1i [camera' /etc/facelatch/facelatch.toml
    kill_in_mid_release "kill -9 with a broken configuration"
    mv /etc/facelatch/facelatch.toml.good /etc/facelatch/facelatch.toml
    check "kill -9 with a broken configuration: started again once it is mended" until_active 15 "$pid"
else
    fail "kill -9 with a broken configuration: no release to kill"
fi

# --- a vision thread that hangs, in mid-release: ptrace stops that thread alone, without a hook in the daemon
case $(uname -m) in aarch64) ptrace=117 ;; *) ptrace=101 ;; esac
sleep 60 &
if perl -e 'exit(syscall($ARGV[0] + 0, 0x4206, $ARGV[1] + 0, 0, 0) != 0)' $ptrace $!; then
    until_strike released 30 || fail "hang: no release"
    pid=$(property MainPID) restarts=$(property NRestarts)
    vision=$(grep -l '^vision$' /proc/"$pid"/task/*/comm | cut -d/ -f5)
    began=$(now)
    perl -e 'my ($nr, $tid) = @ARGV; for my $request (0x4206, 0x4207) {
        syscall($nr + 0, $request, $tid + 0, 0, 0) == 0 or die "ptrace: $!"; }
        # The thread can end only when its tracer takes note: __WALL.
        1 while waitpid(-1, 0x40000000) > 0;' $ptrace "$vision" &
    tracer=$!
    sleep 0.5
    check "hang: the vision thread is stopped" grep -q '^State:.*t ' "/proc/$pid/task/$vision/status"
    if until_strike secured 10; then
        ok "hang: the strike was secured $(($(now) - began)) ms later by the hold time, with the thread still hung"
    else
        fail "hang: the strike stays released"
    fi
    until_active 30 "$pid"
    took=$(($(now) - began))
    # daemon.watchdog_stall_ms (5 s), then WatchdogSec= (10 s) from the last feeding, then RestartSec= and the start.
    line="hang: restarted by the watchdog after $took ms, at most watchdog_stall_ms 5000 + WatchdogSec= 10000 + 5000 for the start"
    if [ "$(property NRestarts)" -gt "$restarts" ] && [ $took -le 20000 ]; then ok "$line"; else fail "$line"; fi
    check "hang: the journal says watchdog" sh -c 'journalctl -u facelatch --no-pager | grep -q "Watchdog timeout"'
    kill $tracer
    until_active 30 "$pid"
else
    skipped "hang: this machine lets nobody stop a thread (ptrace)"
fi

# --- five crashes in a row
restarts=$(property NRestarts)
began=$(now)
for crash in 1 2 3 4 5; do
    until_active 15
    pid=$(property MainPID)
    kill -9 "$pid"
    until_active 15 "$pid" || fail "crash $crash: not started again"
done
took=$(($(now) - began)) restarts=$(($(property NRestarts) - restarts))
check "five crashes in a row: $restarts restarts, $took ms in all, never given up" \
    test $restarts = 5 -a "$(systemctl is-active facelatch)" = active
check "five crashes in a row: secured" test "$(strike)" = secured

# --- a disk that hangs
if [ -e /lab/disk.mounted ]; then
    until_strike released 30 || fail "frozen disk: no release"
    began=$(now)
    fsfreeze --freeze /var/lib/facelatch
    if until_strike secured 10; then
        ok "frozen disk in mid-release: secured $(($(now) - began)) ms later by the hold time"
    else
        fail "frozen disk in mid-release: secured"
    fi
    # The person stays: after the cool-down comes the next release, which finds the disk frozen.
    nobody_let_in "frozen disk"
    fsfreeze --unfreeze /var/lib/facelatch
    check "frozen disk: it works again when the disk does" until_strike released 20
    sleep 1
    check "frozen disk: the log says so" sh -c 'facelatch audit show --last 1000 | grep -q "deny reason=not_recorded"'

    # --- a disk that is full
    until_strike secured 10
    dd if=/dev/zero of=/var/lib/facelatch/fill bs=4k
    # What is left of the log's last block is used up by entries.
    for _ in $(seq 1 12); do facelatch mode hold-open --for 1 && facelatch mode normal; done
    sleep 6
    facelatch mode hold-open --for 3
    check "full disk: an operator's command still releases" until_strike released 2
    check "full disk: and the release ends" until_strike secured 6
    nobody_let_in "full disk"
    check "full disk: the journal says so" sh -c 'journalctl -u facelatch --no-pager | grep -q event=audit_failed'
    rm /var/lib/facelatch/fill
    check "full disk: it works again when there is room" until_strike released 20

    # --- a start on a disk that has become read-only, as a worn card does
    until_strike secured 10
    systemctl stop facelatch
    mount -o remount,ro /var/lib/facelatch
    check "read-only disk: the daemon starts" systemctl start facelatch
    check "read-only disk: and says that its log is not written" sh -c 'sleep 1; facelatch status | grep -q "NOT WRITTEN"'
    facelatch mode hold-open --for 3
    check "read-only disk: an operator's command releases" until_strike released 2
    check "read-only disk: and the release ends" until_strike secured 6
    nobody_let_in "read-only disk"
    # The service's own view of the mount stays read-only.
    mount -o remount,rw /var/lib/facelatch && systemctl restart facelatch
    check "read-only disk: it works again when it is mended" until_strike released 20
else
    skipped "frozen disk: this machine gives no loop device"
fi

# --- the audit log
until_strike secured 10
check "audit: the chain holds after all of this, from before the upgrade on" verify --checkpoint /run/checkpoint
facelatch audit show --last 1000
check "audit: releases, refusals and starts are there" sh -c \
    'facelatch audit show --last 1000 >/run/entries; for e in started "release subject=0 similarity=" secured enrolled; do grep -q "$e" /run/entries || exit 1; done'
check "audit: no name, neither there nor in the journal" sh -c \
    '! grep -r Eileen /var/lib/facelatch/audit && ! journalctl --no-pager -u facelatch | grep Eileen'

# --- what else the package brings
check "pages: man finds facelatch and facelatch-audit-verify" sh -c 'man -w facelatch facelatch-audit-verify'
check "completions: bash's file loads" bash -n /usr/share/bash-completion/completions/facelatch

# --- remove, purge
check "remove" dpkg -r facelatch
check "remove: stopped and secured" sh -c '! systemctl is-active facelatch && grep -q secured /run/lab/strike'
check "remove: gallery and audit log are kept" sh -c 'test -s /var/lib/facelatch/gallery && ls /var/lib/facelatch/audit/*.log'
[ ! -e /lab/disk.mounted ] || { cp -a /var/lib/facelatch /run/kept && umount /var/lib/facelatch && cp -a /run/kept/. /var/lib/facelatch/ && rm -rf /run/kept; }
check "purge" dpkg -P facelatch
# /var/cache/man is man-db's own, and cleaned by it.
left=$(find / -xdev -name '*facelatch*' -not -path '/lab/*' -not -path '/proc/*' -not -path '/sys/*' -not -path '/var/log/journal/*' -not -path '/var/cache/man/*' | tr '\n' ' ')
check "purge: nothing of that name is left${left:+, but: $left}" test -z "$left"
check "purge: the user is gone" sh -c '! getent passwd facelatch'
journalctl --no-pager -u facelatch | tail -400
printf 'end\n' >>/lab/result
