#!/bin/bash
# The end-to-end test, run as root inside the virtual board (see run.sh, which starts it).
# Everything is watched from outside the daemon: the relay by gpio-sim and by the kernel's own trace of
# GPIO writes (monotonic time stamps), the rest by the journal.
# Writes one line a check to /lab/result: "ok NAME figure" or "FAIL NAME reason".
set -u
. /lab/settings # HOLD_MS and PERSIST
exec >>/lab/board.log 2>&1
PS4='+ '
: >/lab/result

ok() { echo "ok $*" | tee -a /lab/result; }
fail() { echo "FAIL $*" | tee -a /lab/result; }
note() { echo "note $*" | tee -a /lab/result; }
now_ms() { local up; read -r up _ </proc/uptime; up=${up/./}0; echo "$((10#$up))"; }

finish() {
    echo "end $(now_ms) ms after boot" >>/lab/result
    journalctl -o short-monotonic --no-hostname >/lab/journal.txt
    cp /sys/kernel/tracing/trace /lab/trace.txt 2>/dev/null
    systemctl --force --no-block poweroff
}
trap finish EXIT

# --- the board: a GPIO chip with a relay and a button, and a camera -------------------------------
mount -t configfs none /sys/kernel/config 2>/dev/null
mount -t tracefs none /sys/kernel/tracing 2>/dev/null
sim=/sys/kernel/config/gpio-sim/board
board_gpio() {
    mkdir -p $sim/bank0/line4 $sim/bank0/line5 $sim/bank0/line6
    echo 8 >$sim/bank0/num_lines
    echo lab >$sim/bank0/label
    echo RELAY >$sim/bank0/line4/name
    echo BUTTON >$sim/bank0/line5/name
    echo REX >$sim/bank0/line6/name
    echo 1 >$sim/live
    lines=/sys/devices/platform/$(cat $sim/dev_name)/$(cat $sim/bank0/chip_name)
}
remove_gpio() {
    echo 0 >$sim/live
    rmdir $sim/bank0/line* $sim/bank0 $sim
}
relay() { cat "$lines/sim_gpio4/value"; }
press() { # press LINE: to ground for 150 ms, against the daemon's pull-up
    echo pull-down >"$lines/sim_gpio$1/pull"
    sleep 0.15
    echo pull-up >"$lines/sim_gpio$1/pull"
}
camera() { echo "$*" >/run/lab-camera; }
start_camera() { # start_camera OPTIONS...
    /lab/bin/lab_camera /dev/video0 /run/lab-camera "$@" >>/lab/camera.log 2>&1 &
    camera_pid=$!
}
stop_camera() { kill "$camera_pid" 2>/dev/null; wait "$camera_pid" 2>/dev/null; }

# wait_for MS COMMAND...: until the command succeeds; prints how long it took.
wait_for() {
    local limit=$1 from
    shift
    from=$(now_ms)
    while ! "$@" >/dev/null 2>&1; do
        [ $(($(now_ms) - from)) -gt "$limit" ] && return 1
        sleep 0.02
    done
    echo $(($(now_ms) - from))
}
said() { journalctl -u facelatch --since "@$mark" -o cat | grep -q -e "$1"; }
mark() { sleep 0.05; mark=$(date +%s.%N | cut -c1-17); }
relay_is() { [ "$(relay)" = "$1" ]; }
# The kernel's time stamps of writes to the relay since the trace was cleared: "seconds level".
relay_writes() { awk '/gpio_value:/ { for (i = 1; i <= NF; i++) if ($i == "gpio_value:") { t = $(i-1); sub(":", "", t); if ($(i+1) == base + 4) print t, $NF } }' base="$gpio_base" /sys/kernel/tracing/trace; }
# Whether a process other than the killed one wrote the relay's inactive level.
secured_by_another() { grep 'gpio_value:.* set 0' /sys/kernel/tracing/trace | grep -qv -- "-$victim "; }
clear_trace() { echo >/sys/kernel/tracing/trace; }

echo scene >/run/lab-camera
mkdir -p /lib/modules
cp -r /lab/modules/* /lib/modules/
depmod
modprobe v4l2loopback video_nr=0 card_label=LabCamera exclusive_caps=1 || fail board "no v4l2loopback"
# The kernel's own test camera, which can be unplugged: one device, capture only, at the number 8.
modprobe vivid n_devs=1 node_types=0x1 vid_cap_nr=8 || fail board "no vivid"

# --- installed as a user would ---------------------------------------------------------------------
install -m 755 /lab/bin/facelatch /usr/bin/facelatch
install -D -m 644 /lab/facelatch.toml /etc/facelatch/facelatch.toml
install -m 644 /lab/facelatch.service /etc/systemd/system/facelatch.service
install -D -m 644 /lab/facelatch.sysusers /usr/lib/sysusers.d/facelatch.conf
systemd-sysusers
install -m 644 /lab/60-facelatch.rules /etc/udev/rules.d/60-facelatch.rules
udevadm control --reload
systemctl daemon-reload

# --- 1: no GPIO chip at the start -------------------------------------------------------------------
udevadm settle
start_camera
mark
systemctl start --no-block facelatch
if took=$(wait_for 8000 said 'GPIO'); then
    ok missing_chip "said so after $took ms: $(journalctl -u facelatch --since "@$mark" -o cat | grep -m1 GPIO)"
else
    fail missing_chip "nothing was said: $(journalctl -u facelatch --since "@$mark" -o cat | tail -3)"
fi
code=$(systemctl show -p ExecMainStatus --value facelatch)
[ "$code" = 2 ] && ok missing_chip_exit "exit status 2" || fail missing_chip_exit "exit status $code"
if took=$(wait_for 8000 sh -c '[ "$(systemctl show -p NRestarts --value facelatch)" -ge 1 ]'); then
    ok missing_chip_retry "systemd tried again ($(systemctl show -p NRestarts --value facelatch) times)"
else
    fail missing_chip_retry "systemd did not try again"
fi

# --- 2: the edges by themselves, while nobody holds the lines ------------------------------------------
systemctl stop facelatch
systemctl reset-failed facelatch
board_gpio
udevadm settle
if FACELATCH_LAB_LINES=$lines FACELATCH_LAB_VIVID=8 timeout 60 /lab/bin/lab_edges --test-threads=1 --nocapture >/lab/edges.txt 2>&1; then
    ok edges "$(sed -n 's/^test result: ok. \([0-9]*\) passed.*/\1/p' /lab/edges.txt) tests of camera, strike and inputs"
    ok unplugged_and_back "$(grep 'frames again' /lab/edges.txt) (bound 5 s)"
    ok format_restored "$(grep 'our format again' /lab/edges.txt) (bound 5 s)"
else
    fail edges "$(grep -m3 'panicked\|FAILED' -A1 /lab/edges.txt | tr '\n' ' ')"
fi
remove_gpio
rmmod vivid
mark
systemctl start --no-block facelatch
sleep 1

# --- 3: the chip is there: systemd's next attempt succeeds --------------------------------------------
echo mono >/sys/kernel/tracing/trace_clock
echo 1 >/sys/kernel/tracing/events/gpio/gpio_value/enable
gpio_base=
board_gpio
chip=/dev/$(cat $sim/bank0/chip_name)
udevadm settle
note chip "$(ls -l "$chip" | cut -d' ' -f1-4)"
if took=$(wait_for 15000 systemctl -q is-active facelatch); then
    ok start "active $took ms after the chip appeared"
else
    fail start "not active: $(journalctl -u facelatch -o cat | tail -3)"
    exit
fi
if [ -z "$gpio_base" ]; then
    # The first write seen is the relay's: the strike is opened, secured, before anything else.
    gpio_base=$(awk '/gpio_value:/ { for (i = 1; i <= NF; i++) if ($i == "gpio_value:") { print $(i+1) - 4; exit } }' /sys/kernel/tracing/trace)
fi
/usr/bin/facelatch doctor >/lab/doctor.txt 2>&1
for word in /dev/video0 LabCamera YUYV RELAY 'facelatch strike'; do
    grep -q "$word" /lab/doctor.txt || fail doctor "it does not name $word"
done
if [ "$PERSIST" = 1 ]; then grep -q 'PROBLEM.*strict_gpiod' /lab/doctor.txt && ok doctor_persist "warns that outputs outlive their program" || fail doctor_persist "no warning"; fi
relay_is 0 && ok secured_at_start "RELAY is inactive" || fail secured_at_start "RELAY is active"

# --- 4: enrolment by the button -----------------------------------------------------------------------
mark
press 5
sleep 0.3
camera play /lab/walkup/enrol
if took=$(wait_for 40000 said 'enrolled'); then
    ok enrol "by the button in $took ms: $(journalctl -u facelatch --since "@$mark" -o cat | grep -m1 enrolled)"
else
    fail enrol "not enrolled: $(journalctl -u facelatch --since "@$mark" -o cat | tail -3)"
fi
camera scene
relay_is 0 && ok enrol_secured "RELAY stayed inactive" || fail enrol_secured "RELAY is active after an enrolment"
sleep 2

# --- 5: another person --------------------------------------------------------------------------------
clear_trace
mark
camera play /lab/walkup/stranger
wait_for 60000 grep -q scene /run/lab-camera >/dev/null
sleep 0.5
denials=$(journalctl -u facelatch --since "@$mark" -o cat | grep -c 'event=deny')
if [ -n "$(relay_writes | awk '$2 == 1')" ]; then
    fail stranger "RELAY went active: $(relay_writes)"
elif [ "$denials" = 0 ]; then
    fail stranger "nobody was denied: was a face seen at all?"
else
    ok stranger "RELAY never went active; denied $denials times"
fi
sleep 1.5

# --- 6: the enrolled person, and the hold time by the kernel's stamps ---------------------------------
clear_trace
camera play /lab/walkup/verify
if took=$(wait_for 60000 relay_is 1); then
    ok release "RELAY active $took ms after the person came"
    wait_for 10000 relay_is 0 >/dev/null || fail secure "RELAY stays active"
    held=$(relay_writes | awk '$2 == 1 && !on { on = $1 } $2 == 0 && on { printf "%.0f", ($1 - on) * 1000; exit }')
    if [ -n "$held" ] && [ "$held" -ge $((HOLD_MS - 20)) ] && [ "$held" -le $((HOLD_MS + 200)) ]; then
        ok hold "RELAY held $held ms, $HOLD_MS configured (bound: -20, +200)"
    else
        fail hold "RELAY held ${held:-?} ms, $HOLD_MS configured: $(relay_writes | tr '\n' ';')"
    fi
else
    fail release "RELAY never went active: $(journalctl -u facelatch -o cat | tail -3)"
fi
camera scene

# --- 7: request to exit -------------------------------------------------------------------------------
clear_trace
press 6
if took=$(wait_for 1000 relay_is 1); then ok rex "RELAY active $took ms after the press ended"; else fail rex "REX does not open"; fi
wait_for 10000 relay_is 0 >/dev/null

# --- 8: killed while released --------------------------------------------------------------------------
victim=$(systemctl show -p MainPID --value facelatch)
clear_trace
press 6
if wait_for 1000 relay_is 1 >/dev/null; then
    kill -9 "$victim"
    # With persistent outputs the kernel keeps the level: only ExecStopPost= can secure it, and the
    # kernel's trace shows a write by another process. Without, the chip drops the line by itself.
    if ! took=$(wait_for 3000 relay_is 0); then
        fail kill9 "RELAY stays active after kill -9"
    elif [ "$took" -gt 1000 ]; then
        fail kill9 "RELAY inactive only $took ms after kill -9"
    else
        ok kill9 "RELAY inactive $took ms after kill -9 (bound 1000; persistent outputs: $PERSIST)"
    fi
    if took=$(wait_for 5000 secured_by_another); then
        ok kill9_stop_post "secured by ExecStopPost= as well: $(awk '/gpio_value:.* set 0/ { print $1; exit }' /sys/kernel/tracing/trace)"
    else
        fail kill9_stop_post "no write by another process: $(relay_writes | tr '\n' ';')"
    fi
else
    fail kill9 "REX does not open"
fi
wait_for 15000 systemctl -q is-active facelatch >/dev/null && ok restart "systemd started it again" || fail restart "not active after kill -9"

# --- 9: the camera goes silent and vanishes in the middle of an attempt ---------------------------------
sleep 1
clear_trace
camera play /lab/walkup/verify
sleep 0.4
mark
stop_camera
sleep 1
if [ -z "$(relay_writes | awk '$2 == 1')" ]; then ok unplug "RELAY never went active without a camera"; else fail unplug "RELAY went active"; fi
wait_for 6000 said 'camera.lost' >/dev/null && ok unplug_noticed "$(journalctl -u facelatch --since "@$mark" -o cat | grep -m1 'camera.lost')" || fail unplug_noticed "nothing was said"
camera scene
udevadm settle
start_camera
if took=$(wait_for 8000 said 'camera.back'); then
    [ "$took" -le 5000 ] && ok replug "frames again $took ms after it came back (bound 5000)" || fail replug "only after $took ms"
else
    fail replug "the camera was not opened again"
fi

# --- 10: another format ----------------------------------------------------------------------------------
mark
stop_camera
wait_for 6000 said 'camera.lost' >/dev/null || fail format_change "the silent camera was not noticed"
start_camera --format MJPG
if took=$(wait_for 8000 said 'camera.back.*MJPG size=640x480'); then ok format_change "taken as MJPG $took ms after it came back"; else fail format_change "$(journalctl -u facelatch --since "@$mark" -o cat | tail -3)"; fi

# --- 11: garbage ------------------------------------------------------------------------------------------
mark
camera garbage
if took=$(wait_for 5000 said 'frame.skipped'); then ok garbage "$(journalctl -u facelatch --since "@$mark" -o cat | grep -m1 'frame.skipped')"; else fail garbage "nothing was said"; fi
sleep 1
camera cut
sleep 1
camera scene
sleep 1
if systemctl -q is-active facelatch && relay_is 0; then ok garbage_survived "the daemon goes on, RELAY inactive"; else fail garbage_survived "$(journalctl -u facelatch --since "@$mark" -o cat | tail -3)"; fi
note status "$(facelatch status --config /etc/facelatch/facelatch.toml --json 2>&1)"

# --- 12: stopped in good order ------------------------------------------------------------------------------
press 6
wait_for 1000 relay_is 1 >/dev/null
systemctl stop facelatch
relay_is 0 && ok stop "RELAY inactive after systemctl stop while released" || fail stop "RELAY active after systemctl stop"
stop_camera

# --- 13: the whole run once more, from the recording: kill -9 and restarts included -----------------------
cp /var/lib/facelatch/recording /lab/recording
if replayed=$(facelatch replay /lab/recording 2>&1); then
    ok replay "$(head -1 <<<"$replayed" | tr -d '\n')"
else
    fail replay "$(head -3 <<<"$replayed" | tr '\n' ' ')"
fi
note what_if "$(facelatch replay /lab/recording --threshold 0.99 --json 2>&1)"
