#!/bin/bash
# rppal on an emulated Raspberry Pi: the daemon lets an enrolled person in by BCM 17, and the level of that
# pin is read from outside, by QEMU's monitor from the chip's registers.
#
#   lab/pi.sh 3|4
#
# The board has no camera: the daemon plays the recording itself. It is started from the initial RAM disk,
# without systemd, on the unmodified Debian kernel (iomem=relaxed: rppal drives the registers by /dev/mem).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

model=$1
name=lab-pi$model
can_run "$name" 2500
bench=$("$LAB/workbench.sh")
stock=$("$LAB/stock.sh" arm64)
release=$(basename "$stock"/lib/modules/*)
programs=$(binaries arm64)
host=$(binaries amd64)
pin=17

begin_run

hold_ms=4000
case $model in
    3) machine=raspi3b dtb=bcm2837-rpi-3-b.dtb registers=0x3f200000 console=ttyS1 serial=(-serial null -serial stdio) ;;
    4) machine=raspi4b dtb=bcm2711-rpi-4-b.dtb registers=0xfe200000 console=ttyAMA0 serial=(-serial stdio) ;;
    *) die "which Raspberry Pi: 3 or 4?" ;;
esac

# The person is enrolled here, by the same program built for this machine.
root=$run/initrd.d
mkdir -p "$root"/{etc/facelatch,lab/verify,lib,usr/bin}
walkups "$run/walkup" "$host"
# Further apart, fewer: the daemon plays in real time, a frame a second.
find "$run/walkup/verify" -type f | sort | awk 'NR <= 200 && NR % 2' | xargs -d '\n' cp -t "$root/lab/verify"
settings() { # settings FOLDER BACKEND
    cat <<END
[camera]
recording = "$1/lab/verify"
width = 160
height = 120
fps = 1
[detector]
min_size = 30
[tracking]
max_gap_ms = 5000
[access]
window_frames = 5
hold_ms = $hold_ms
max_gap_ms = 5000
max_age_ms = 60000
max_frame_age_ms = 10000
[liveness]
check = false
[enrolment]
min_face = 30
min_contrast = 5.0
min_sharpness = 0.0
min_frontality = -1000
[strike]
backend = "$2"
line = "$pin"
[store]
gallery = "$1/etc/facelatch/gallery"
key = "$1/etc/facelatch/key"
[daemon]
socket = "/tmp/socket"
END
}
settings "$root" simulated >"$run/host.toml"
settings "" rppal >"$root/etc/facelatch/facelatch.toml"
clip "$run/walkup/enrol" "$run/enrol" 80
"$host/facelatch" enroll Ann --pictures "$run/enrol" --config "$run/host.toml" >"$run/enrol.log" 2>&1 ||
    { cat "$run/enrol.log" >&2; die "$name: the person cannot be enrolled"; }

cp "$programs/facelatch" "$root/usr/bin/"
cp /usr/aarch64-linux-gnu/lib/{ld-linux-aarch64.so.1,libc.so.6,libm.so.6,libgcc_s.so.1} "$root/lib/"
initrd "$run/initrd" arm64 "$stock" "$release" <<END
echo "lab: board \$(cat /proc/device-tree/model)"
/usr/bin/facelatch doctor
RUST_LOG=info /usr/bin/facelatch run --config /etc/facelatch/facelatch.toml 2>&1
echo "lab: the daemon ended with \$?"
while :; do sleep 60; done
END
cp "$stock/vmlinuz" "$stock/$dtb" "$run/"
if [ "$model" = 4 ]; then
    # HDMI's interrupts, clock and I2C are not in QEMU's raspi4b; their drivers, built into Debian's kernel,
    # end in an external abort.
    need fdtput=device-tree-compiler >&2
    for node in interrupt-controller@7ef00100 clock@7ef00000 i2c@7ef04500 i2c@7ef09500; do
        fdtput -t s "$run/$dtb" "/soc/$node" status disabled
    done
fi
mkfifo "$run/monitor.in" "$run/monitor.out"
in_workbench "$bench" "$run" "" qemu-system-aarch64 -M "$machine" -accel tcg,thread=multi \
    -kernel /mnt/vmlinuz -dtb "/mnt/$dtb" -initrd /mnt/initrd -display none "${serial[@]}" -monitor pipe:/mnt/monitor \
    -append "console=$console,115200 iomem=relaxed quiet rdinit=/init clk_ignore_unused" >"$run/console" 2>&1 </dev/null &
emulator=$!
first "$emulator"
exec 7<>"$run/monitor.in" 8<>"$run/monitor.out"
# word OFFSET: a register of the GPIO block, as the monitor shows it.
word() {
    local line value=
    printf 'xp /1wx 0x%x\n' $((registers + $1)) >&7
    while read -r -t 5 line <&8; do
        value=$(sed -n 's/^[0-9a-f]*: \(0x[0-9a-f]*\).*/\1/p' <<<"$line")
        [ -n "$value" ] && break
    done
    echo $((${value:-0}))
}
level() { echo $((($(word 0x34) >> pin) & 1)); }
function_of_pin() { echo $((($(word 0x04) >> ((pin - 10) * 3)) & 7)); }
result() { printf '%s: %s\n' "$name" "$*"; }
# until_level LEVEL SECONDS
until_level() {
    local from=$SECONDS
    while [ "$(level)" != "$1" ]; do
        [ $((SECONDS - from)) -le "$2" ] && kill -0 "$emulator" 2>/dev/null || return 1
        ! grep -q 'lab: the daemon ended' "$run/console" || return 1
        sleep 0.1
    done
}
lost() {
    tr -d '\r' <"$run/console" | tail -30 >&2
    die "$name: $*"
}
until_said() { # until_said WORDS SECONDS
    local from=$SECONDS
    until grep -q "$1" "$run/console"; do
        kill -0 "$emulator" 2>/dev/null || lost "QEMU ended"
        [ $((SECONDS - from)) -lt "$2" ] || lost "\"$1\" was not said within $2 s"
        sleep 0.5
    done
}
until_said 'event=started' 300
result "$(tr -d '\r' <"$run/console" | grep -m1 'lab: board')"
result "$(tr -d '\r' <"$run/console" | grep -m1 -o 'event=started.*')"
[ "$(function_of_pin)" = 1 ] || lost "BCM $pin is no output"
[ "$(level)" = 0 ] || lost "BCM $pin is high before the release"
result "ok before: BCM $pin is an output, level 0"
until_level 1 300 || lost "BCM $pin never went high"
rose=$(date +%s%N)
result "ok during: level 1, read from outside by the monitor"
until_level 0 60 || lost "BCM $pin stays high"
held=$((($(date +%s%N) - rose) / 1000000))
[ "$held" -ge $((hold_ms - 1000)) ] && [ "$held" -le $((hold_ms + 8000)) ] || lost "BCM $pin was high for $held ms, $hold_ms configured"
result "ok after: level 0 again; it was 1 for about $held ms ($hold_ms configured)"
result "$(tr -d '\r' <"$run/console" | grep -m1 -o 'event=release.*')"
echo quit >&7
await "$emulator" 20 "QEMU"
emulator=
took=$((($(date +%s%N) - began) / 1000000))
printf '%s: took %d.%03d s\n' "$name" $((took / 1000)) $((took % 1000))
