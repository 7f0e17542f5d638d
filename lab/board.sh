#!/bin/bash
# The end-to-end test, run as root inside the virtual board (run.sh, qemu.sh start it).
# Everything is watched from outside the daemon: the relay by gpio-sim and by the kernel's own trace of
# GPIO writes (monotonic time stamps), the rest by the journal and by `facelatch status`.
# Writes one line a check to /lab/result: "ok NAME figure" or "FAIL NAME reason".
set -u
# KIND of board, PARTS to run, PERSIST (outputs outlive their holder), how many KILLS, SLOW (how many times slower than a
# real board waiting may take), HOLD_MS, and the camera's SIZE and FPS.
. /lab/settings
exec >>/lab/board.log 2>&1
: >/lab/result

ok() { echo "ok $*" | tee -a /lab/result; }
fail() { echo "FAIL $*" | tee -a /lab/result; }
note() { echo "note $*" | tee -a /lab/result; }
now_ms() { local up; read -r up _ </proc/uptime; up=${up/./}0; echo "$((10#$up))"; }
part() { case " $PARTS " in *" $1 "*) echo "--- $(now_ms) ms: $1" ;; *) return 1 ;; esac; }

finish() {
    echo "end $(now_ms) ms after boot" >>/lab/result
    cp /sys/kernel/tracing/trace /lab/trace.txt 2>/dev/null
    systemctl --force --no-block poweroff
}
trap finish EXIT
# As it comes: a board that hangs leaves it as well.
journalctl -f -n all -o short-monotonic --no-hostname >/lab/journal.txt 2>/dev/null &

# --- the board: a GPIO chip with all lines of a door, and a camera -----------------------------------
mount -t configfs none /sys/kernel/config 2>/dev/null
mount -t tracefs none /sys/kernel/tracing 2>/dev/null
sim=/sys/kernel/config/gpio-sim/board
board_gpio() {
    local line offset
    for line in GREEN:1 RED:2 BUZZER:3 RELAY:4 BUTTON:5 REX:6 DOOR:7; do
        offset=${line#*:}
        mkdir -p "$sim/bank0/line$offset"
        echo "${line%:*}" >"$sim/bank0/line$offset/name"
    done
    echo 8 >$sim/bank0/num_lines
    echo lab >$sim/bank0/label
    echo 1 >$sim/live
    lines=/sys/devices/platform/$(cat $sim/dev_name)/$(cat $sim/bank0/chip_name)
}
remove_gpio() {
    echo 0 >$sim/live
    rmdir $sim/bank0/line* $sim/bank0 $sim
}
level() { cat "$lines/sim_gpio$1/value"; }
relay() { level 4; }
pull() { echo "pull-$2" >"$lines/sim_gpio$1/pull"; }
press() { # press LINE: to ground for 150 ms, against the daemon's pull-up
    pull "$1" down
    sleep 0.15
    pull "$1" up
}
camera() { echo "$*" >/run/lab-camera; }
plug() { # plug NUMBER OPTIONS...: the camera appears as /dev/videoNUMBER, by the name that it always has
    node=$1
    shift
    /lab/bin/lab_camera "/dev/video$node" /run/lab-camera --size "$SIZE" --fps "$FPS" "$@" >>/lab/camera.log 2>&1 &
    camera_pid=$!
    mkdir -p /dev/v4l/by-id
    ln -sfn "../../video$node" /dev/v4l/by-id/lab-camera
}
unplug() {
    kill "$camera_pid" 2>/dev/null
    wait "$camera_pid" 2>/dev/null
    rm -f /dev/v4l/by-id/lab-camera
}

# wait_for MS COMMAND...: until the command succeeds; prints how long it took.
wait_for() {
    local limit=$(($1 * SLOW)) from
    shift
    from=$(now_ms)
    while ! "$@" >/dev/null 2>&1; do
        [ $(($(now_ms) - from)) -gt "$limit" ] && return 1
        sleep 0.02
    done
    echo $(($(now_ms) - from))
}
journal() { journalctl -u facelatch --since "@$mark" -o cat; }
said() { journal | grep -q -e "$1"; }
last_words() { journal | tail -3 | tr '\n' ';'; }
mark() { sleep 0.05; mark=$(date +%s.%N | cut -c1-17); }
relay_is() { [ "$(relay)" = "$1" ]; }
# A figure of `facelatch status`.
status() { facelatch status --config /etc/facelatch/facelatch.toml --json | sed -n 's/.*"'"$1"'":\([0-9]*\).*/\1/p'; }
status_above() { [ "$(status "$1")" -gt "$2" ]; }
# The kernel's time stamps of writes to a line since the trace was cleared: "seconds level process".
writes() {
    awk '/gpio_value:/ { for (i = 1; i <= NF; i++) if ($i == "gpio_value:" && $(i+1) == line && $(i+2) == "set") { t = $(i-1); sub(":", "", t); print t, $NF, $1 } }' \
        line=$((gpio_base + $1)) /sys/kernel/tracing/trace
}
went() { writes "$1" | awk -v to="$2" '$2 == to { found = 1 } END { exit !found }'; }
# Whether a process other than the killed one drove the relay inactive.
secured_by_another() { writes 4 | awk -v victim="$victim" '$2 == 0 && $3 !~ "-" victim "$" { found = 1 } END { exit !found }'; }
clear_trace() { echo >/sys/kernel/tracing/trace; }
# The first time that the relay was held since the trace was cleared, in ms by the kernel's stamps.
held_ms() { writes 4 | awk '$2 == 1 && !on { on = $1 } $2 == 0 && on { printf "%.0f", ($1 - on) * 1000; exit }'; }

camera scene
if [ -d /lab/modules ]; then
    mkdir -p /lib/modules
    cp -r /lab/modules/* /lib/modules/
    depmod
fi
# Two nodes: a camera that is plugged in again may come back under another number.
modprobe v4l2loopback devices=2 video_nr=0,9 card_label=LabCamera,LabCamera2 exclusive_caps=1,1 || fail board "no v4l2loopback"
# Built in on user-mode Linux, whose command line has the parameter.
modprobe -q gpio-sim persist_gpio_outputs="$PERSIST"
[ "$(cat /sys/module/gpio_sim/parameters/persist_gpio_outputs)" = "$([ "$PERSIST" = 1 ] && echo Y || echo N)" ] || fail board "gpio-sim does not know persistent outputs"

# --- installed as a user would ---------------------------------------------------------------------
install -m 755 /lab/bin/facelatch /usr/bin/facelatch
install -D -m 644 /lab/facelatch.toml /etc/facelatch/facelatch.toml
install -m 644 /lab/facelatch.service /etc/systemd/system/facelatch.service
install -D -m 644 /lab/facelatch.sysusers /usr/lib/sysusers.d/facelatch.conf
systemd-sysusers
install -m 644 /lab/60-facelatch.rules /etc/udev/rules.d/60-facelatch.rules
udevadm control --reload
systemctl daemon-reload
udevadm settle
plug 0

if part edges; then # the edges by themselves, while nobody holds the lines
    # The kernel's own test camera, which can be unplugged: one device, capture only, at the number 8.
    modprobe vivid n_devs=1 node_types=0x1 vid_cap_nr=8 || fail board "no vivid"
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
fi

mark
if part missing; then # no GPIO chip at the start
    systemctl start --no-block facelatch
    if took=$(wait_for 8000 said 'GPIO'); then
        ok missing_chip "said so after $took ms: $(journal | grep -m1 GPIO)"
    else
        fail missing_chip "nothing was said: $(last_words)"
    fi
    code=$(systemctl show -p ExecMainStatus --value facelatch)
    [ "$code" = 2 ] && ok missing_chip_exit "exit status 2" || fail missing_chip_exit "exit status $code"
    if took=$(wait_for 8000 sh -c '[ "$(systemctl show -p NRestarts --value facelatch)" -ge 1 ]'); then
        ok missing_chip_retry "systemd tried again ($(systemctl show -p NRestarts --value facelatch) times)"
    else
        fail missing_chip_retry "systemd did not try again"
    fi
fi

# --- start: the chip is there, by systemd's next attempt if there was one before ----------------------
echo mono >/sys/kernel/tracing/trace_clock
echo 1 >/sys/kernel/tracing/events/gpio/gpio_value/enable
board_gpio
chip=/dev/$(cat $sim/bank0/chip_name)
udevadm settle
note chip "$(ls -l "$chip" | cut -d' ' -f1-4)"
[[ " $PARTS " == *" missing "* ]] || systemctl start --no-block facelatch
if took=$(wait_for 15000 systemctl -q is-active facelatch); then
    ok start "active $took ms after the chip appeared"
else
    fail start "not active: $(last_words)"
    exit
fi
# The first write seen is the relay's: the strike is opened, secured, before anything else.
gpio_base=$(awk '/gpio_value:.* set / { for (i = 1; i <= NF; i++) if ($i == "gpio_value:") { print $(i+1) - 4; exit } }' /sys/kernel/tracing/trace)
/usr/bin/facelatch doctor >/lab/doctor.txt 2>&1
missed=
for word in /dev/video0 LabCamera YUYV by-id/lab-camera RELAY 'facelatch strike' 'facelatch buzzer'; do
    grep -q -e "$word" /lab/doctor.txt || missed="$missed $word"
done
[ -z "$missed" ] && ok doctor "names the camera, its steady name and format, the lines and who holds them" || fail doctor "it does not name$missed"
if [ "$PERSIST" = 1 ]; then
    grep -q 'PROBLEM.*strict_gpiod' /lab/doctor.txt && ok doctor_persist "warns that outputs outlive their program" || fail doctor_persist "no warning"
    said 'outputs_persist' && ok start_persist "start-up warns as well" || fail start_persist "start-up does not warn"
fi
relay_is 0 && ok secured_at_start "RELAY is inactive" || fail secured_at_start "RELAY is active"

if part policy; then # the unit's device policy, on a kernel that enforces it
    . /lab/policy.sh
fi

if part enrol; then # by the button
    mark
    # The camera stands still while an emulated board opens the recording, which ends an enrolment.
    camera play /lab/walkup/enrol
    if [ $SLOW -gt 1 ]; then sleep 8; fi
    press 5
    if took=$(wait_for 40000 said 'event=enrolled'); then
        ok enrol "by the button in $took ms: $(journal | grep -m1 event=enrolled)"
    else
        fail enrol "not enrolled: $(last_words) $(status last_frame_ms) $(status frames) $(status frames_with_face)"
    fi
    camera scene
    relay_is 0 && ok enrol_secured "RELAY stayed inactive" || fail enrol_secured "RELAY is active after an enrolment"
    sleep $SLOW
fi

if part stranger; then # another person
    clear_trace
    mark
    camera play /lab/walkup/stranger
    wait_for 60000 grep -q scene /run/lab-camera >/dev/null
    wait_for 3000 said 'event=deny' >/dev/null
    denials=$(journal | grep -c 'event=deny')
    if went 4 1; then
        fail stranger "RELAY went active: $(writes 4 | tr '\n' ';')"
    elif [ "$denials" = 0 ]; then
        fail stranger "nobody was denied: was a face seen at all?"
    else
        ok stranger "RELAY never went active; denied $denials times"
        if went 3 1 && went 2 0; then ok denied_lights "the buzzer sounded, the red light (active low) went on"; else fail denied_lights "$(writes 2; writes 3)"; fi
    fi
    sleep 1.5
fi

if part release; then # the enrolled person, and the hold time by the kernel's stamps
    clear_trace
    mark
    camera play /lab/walkup/verify
    if took=$(wait_for 40000 relay_is 1); then
        ok release "RELAY active $took ms after the person came"
        [ "$(level 1)" = 1 ] && ok green_light "on while released" || fail green_light "off while released"
        wait_for 10000 relay_is 0 >/dev/null || fail secure "RELAY stays active"
        held=$(held_ms)
        # It counts from the decision, and the line follows once the audit log has the entry.
        early=$((SLOW == 1 ? 100 : 200)) late=$((SLOW == 1 ? 200 : 2000))
        if [ -n "$held" ] && [ "$held" -ge $((HOLD_MS - early)) ] && [ "$held" -le $((HOLD_MS + late)) ]; then
            ok hold "RELAY held $held ms, $HOLD_MS configured (bound: -$early, +$late)"
        else
            fail hold "RELAY held ${held:-?} ms, $HOLD_MS configured: $(writes 4 | tr '\n' ';')"
        fi
    else
        fail release "RELAY never went active: $(last_words)"
    fi
    camera scene
    sleep 1
    wait_for 10000 relay_is 0 >/dev/null
fi

if part lines; then # request to exit; the door's contact: opened and closed again, it is locked before the hold time ends
    clear_trace
    press 6
    if took=$(wait_for 1000 relay_is 1); then ok rex "RELAY active $took ms after the press ended"; else fail rex "REX does not open: $(last_words)"; fi
    pull 7 up
    sleep 0.4
    pull 7 down
    wait_for 10000 relay_is 0 >/dev/null
    held=$(held_ms)
    if [ -n "$held" ] && [ "$held" -lt $((HOLD_MS - 500)) ]; then
        ok door_sensor "locked after $held ms of $HOLD_MS, when the door had opened and closed"
    else
        fail door_sensor "RELAY held ${held:-?} ms though the door had closed: $(last_words)"
    fi
fi

if part kill; then # killed while released
    for round in $(seq "$KILLS"); do
        victim=$(systemctl show -p MainPID --value facelatch)
        clear_trace
        mark
        press 6
        if ! wait_for 1000 relay_is 1 >/dev/null; then
            fail kill9 "REX does not open: $(last_words)"
            break
        fi
        from=$(awk '{ printf "%d", $1 * 1000 }' /proc/uptime)
        kill -9 "$victim"
        # With persistent outputs the kernel keeps the level: only ExecStopPost= can secure it, and the
        # kernel's trace shows a write by another process, with its time. Without, the chip drops the line by
        # itself before that.
        bound=$((1000 * SLOW))
        took=$(wait_for 3000 relay_is 0) || took=
        stop_post=
        if wait_for 5000 secured_by_another >/dev/null; then
            stop_post=$(writes 4 | awk -v from="$from" -v victim="$victim" '$2 == 0 && $3 !~ "-" victim "$" { printf "%.0f", $1 * 1000 - from; exit }')
        fi
        [ "$PERSIST" = 0 ] || [ -z "$took" ] || took=$stop_post
        if [ -z "$took" ]; then
            fail kill9 "RELAY stays active after kill -9"
        elif [ "$took" -gt "$bound" ]; then
            fail kill9 "RELAY inactive only $took ms after kill -9 (bound $bound)"
        else
            ok kill9 "$round: RELAY inactive $took ms after kill -9 (bound $bound; persistent outputs: $PERSIST)"
        fi
        if [ -z "$stop_post" ]; then
            fail kill9_stop_post "no write by another process: $(writes 4 | tr '\n' ';')"
        elif [ "$PERSIST" = 1 ] && [ "$stop_post" -gt "$bound" ]; then
            fail kill9_stop_post "$round: ExecStopPost= drove it inactive only $stop_post ms after kill -9 (bound $bound)"
        else
            ok kill9_stop_post "$round: ExecStopPost= drove it inactive $stop_post ms after kill -9 ($([ "$PERSIST" = 1 ] && echo "bound $bound" || echo "it was already"))"
        fi
        wait_for 15000 said 'event=started' >/dev/null || break
        wait_for 5000 systemctl -q is-active facelatch >/dev/null
    done
    if systemctl -q is-active facelatch; then ok restart "systemd started it again each time"; else fail restart "not active after kill -9: $(last_words)"; fi
fi

if part camera; then # unplugged in the middle of an attempt; it comes back under another number
    sleep 1
    clear_trace
    mark
    faces=$(status frames_with_face)
    camera slowly /lab/walkup/verify
    wait_for 20000 status_above frames_with_face $((faces + 2)) >/dev/null
    unplug
    seen=$(($(status frames_with_face) - faces))
    gone=$(now_ms)
    camera scene
    if [ "$seen" -ge 1 ] && [ "$seen" -lt 15 ]; then
        ok unplug_mid_attempt "after $seen frames with the enrolled face, of the 15 needed"
    else
        fail unplug_mid_attempt "$seen frames with a face were seen: that is no interrupted attempt"
    fi
    if wait_for 6000 said 'event=camera_lost' >/dev/null; then
        ok unplug_noticed "$(journal | grep -m1 'event=camera_lost') ($(($(now_ms) - gone)) ms after)"
    else
        fail unplug_noticed "nothing was said: $(last_words)"
    fi
    plug 9
    if took=$(wait_for 8000 said 'event=camera_back'); then
        if [ "$took" -le $((5000 * SLOW)) ]; then ok replug "frames again $took ms after it came back as /dev/video9 (bound $((5000 * SLOW)))"; else fail replug "only after $took ms"; fi
    else
        fail replug "the camera was not opened again: $(last_words)"
    fi
    if went 4 1; then fail unplug "RELAY went active: $(writes 4 | tr '\n' ';')"; else ok unplug "RELAY never went active"; fi
    camera play /lab/walkup/verify
    if took=$(wait_for 60000 relay_is 1); then ok unplug_after "the same person is let in $took ms after coming back"; else fail unplug_after "RELAY never went active: $(last_words)"; fi
    camera scene
    wait_for 10000 relay_is 0 >/dev/null
fi

if part format; then # another program changes the format of the node while the daemon captures from it
    mark
    before=$(status format_changes)
    echo Y >/sys/module/v4l2loopback/parameters/format_is_shared
    /lab/bin/lab_camera "/dev/video$node" capture --size 320x240 >>/lab/camera.log 2>&1 || fail format "the format cannot be changed"
    from=$(now_ms)
    if wait_for 5000 said 'event=camera_lost.*another program set it to format=YUYV size=320x240' >/dev/null; then
        noticed=$(($(now_ms) - from))
        [ $noticed -le $((3000 * SLOW)) ] && ok format_noticed "$noticed ms after (bound $((3000 * SLOW)))" || fail format_noticed "only after $noticed ms"
    else
        fail format_noticed "nothing was said: $(last_words)"
    fi
    if wait_for 5000 said 'event=camera_back.*format=YUYV size=640x480' >/dev/null; then
        restored=$(($(now_ms) - from))
        [ $restored -le $((5000 * SLOW)) ] && ok format_back "our size again $restored ms after (bound $((5000 * SLOW)))" || fail format_back "only after $restored ms"
    else
        fail format_back "$(last_words)"
    fi
    counted=$(($(status format_changes) - before))
    [ "$counted" = 1 ] && ok format_counted "1 in facelatch status" || fail format_counted "$counted changes in facelatch status"
    faces=$(status frames_with_face)
    camera play /lab/walkup/verify
    if wait_for 30000 status_above frames_with_face "$faces" >/dev/null; then ok format_survived "faces are seen again"; else fail format_survived "$(last_words)"; fi
    camera scene
    echo N >/sys/module/v4l2loopback/parameters/format_is_shared
    # The camera comes back with another format: it is taken as it is.
    mark
    unplug
    wait_for 5000 said 'event=camera_lost' >/dev/null
    plug 9 --format MJPG
    if wait_for 8000 said 'camera_back.*MJPG size=640x480' >/dev/null; then ok other_format "back as MJPG, and read as that"; else fail other_format "$(last_words)"; fi
    wait_for 10000 relay_is 0 >/dev/null
fi

if part garbage; then # frames that are no JPEG, and half ones
    for how in garbage cut; do
        mark
        before=$(status undecodable)
        camera $how
        if took=$(wait_for 5000 status_above undecodable $((before + 4))); then
            ok "$how" "$(($(status undecodable) - before)) frames counted and skipped within $took ms"
        else
            fail "$how" "$(($(status undecodable) - before)) frames counted"
        fi
    done
    journalctl -u facelatch -o cat | grep -q 'frame_skipped' && ok garbage_said "$(journalctl -u facelatch -o cat | grep -m1 'frame_skipped')" || fail garbage_said "the log is silent"
    camera scene
    frames=$(status frames_with_face)
    camera play /lab/walkup/verify
    if wait_for 30000 status_above frames_with_face "$frames" >/dev/null; then ok garbage_survived "faces are seen again"; else fail garbage_survived "$(last_words)"; fi
    camera scene
    wait_for 10000 relay_is 0 >/dev/null
fi
note status "$(facelatch status --config /etc/facelatch/facelatch.toml --json 2>&1)"

if part stop; then # stopped in good order while released
    press 6
    wait_for 1000 relay_is 1 >/dev/null
    systemctl stop facelatch
    relay_is 0 && ok stop "RELAY inactive after systemctl stop while released" || fail stop "RELAY active after systemctl stop"
fi
unplug

if part replay; then # the whole run once more, from the recording: kill -9 and restarts included
    cp /var/lib/facelatch/recording /lab/recording
    if replayed=$(facelatch replay /lab/recording 2>&1); then
        ok replay "$(head -1 <<<"$replayed" | tr -d '\n')"
    else
        fail replay "$(head -3 <<<"$replayed" | tr '\n' ' ')"
    fi
    note what_if "$(facelatch replay /lab/recording --threshold 0.99 --json 2>&1)"
fi

if part traces; then # what the search for templates and pictures needs: see run.sh
    install -m 600 -D -t /lab/secrets /var/lib/facelatch/gallery /var/lib/facelatch/key
fi
