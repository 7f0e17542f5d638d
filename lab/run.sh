#!/bin/bash
# The fast lab: boots the virtual board (user-mode Linux), runs board.sh in it and prints its checks.
#
#   lab/run.sh [--persist]   --persist: outputs keep their level when their holder dies, as on a
#                            Raspberry Pi's kernel
#
# LAB_BINARIES=FOLDER takes `facelatch`, `lab_camera` and `lab_edges` from there instead of building them.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

persist=0
[ "${1:-}" = --persist ] && persist=1
hold_ms=3000

[ "$(uname -m)" = x86_64 ] || skip lab "user-mode Linux is built for x86-64 only, this is $(uname -m)"
as_root true 2>/dev/null || skip lab "making the root filesystem needs root or sudo without a password"
walkup=${FACELATCH_SHARED:-$REPO/../shared}/data/walkup
[ -d "$walkup" ] || skip lab "no ../shared/data/walkup: the walk-ups of real people that the camera plays"

kernel=$("$LAB/kernel.sh")
image=$("$LAB/rootfs.sh")
if [ -n "${LAB_BINARIES:-}" ]; then
    binaries=$LAB_BINARIES
else
    (cd "$REPO" && cargo build --release --quiet --bin facelatch --example lab_camera &&
        cargo test --release --quiet --no-run --test lab_edges) || die "facelatch does not build"
    binaries=$CACHE/binaries
    target=${CARGO_TARGET_DIR:-$REPO/target}/release
    mkdir -p "$binaries"
    cp "$target/facelatch" "$target/examples/lab_camera" "$binaries/"
    # The newest build of the test.
    find "$target/deps" -name 'lab_edges-*' -executable -type f -printf '%T@ %p\n' | sort -n | tail -1 |
        cut -d' ' -f2- | xargs -I{} cp {} "$binaries/lab_edges"
fi

began=$(date +%s%N)
run=$(mktemp -d "${TMPDIR:-/tmp}/facelatch-lab.XXXXXX")
uml=
cleanup() {
    if [ -n "$uml" ] && kill -0 "$uml" 2>/dev/null; then kill "$uml" 2>/dev/null || true; fi
    rm -rf --one-file-system "$run"
}
trap cleanup EXIT
share=$run/share
mkdir -p "$share"/{bin,modules,walkup}
cp "$binaries/facelatch" "$binaries/lab_camera" "$binaries/lab_edges" "$share/bin/"
cp -r "$kernel"/lib/modules/* "$share/modules/"
cp "$LAB/board.sh" "$LAB/facelatch.toml" "$REPO/systemd/facelatch.service" "$share/"
cp "$REPO/systemd/facelatch.sysusers" "$REPO/systemd/60-facelatch.rules" "$share/"
sed -i "s/HOLD_MS/$hold_ms/" "$share/facelatch.toml"
printf 'HOLD_MS=%s\nPERSIST=%s\n' "$hold_ms" "$persist" >"$share/settings"
# clip FOLDER NAME FRAMES: the first frames of a walk-up.
clip() {
    mkdir -p "$share/walkup/$2"
    find "$walkup/$1" -type f | sort | head -"$3" | xargs -d '\n' cp -t "$share/walkup/$2"
}
clip 02-1 enrol 400
clip 02-2 verify 400
clip 07-2 stranger 140

"$kernel/linux" mem=768M ubd0="$run/cow,$image" root=/dev/ubda rw con=null con0=null,fd:1 con1=null \
    hostfs="$share" umid="$(basename "$run")" uml_dir="$run" gpio_sim.persist_gpio_outputs="$persist" \
    systemd.show_status=no quiet >"$run/console" 2>&1 </dev/null &
uml=$!
for _ in $(seq 1 "${LAB_LIMIT:-300}"); do
    kill -0 "$uml" 2>/dev/null || break
    sleep 1
done
if kill -0 "$uml" 2>/dev/null; then
    say "the board did not finish within ${LAB_LIMIT:-300} s"
    kill "$uml" 2>/dev/null || true
fi
wait "$uml" 2>/dev/null || true
uml=

if [ -n "${LAB_KEEP:-}" ]; then
    mkdir -p "$LAB_KEEP"
    cp "$run/console" "$LAB_KEEP/"
    find "$share" -maxdepth 1 -type f -exec cp {} "$LAB_KEEP/" \;
fi
took=$((($(date +%s%N) - began) / 1000000))
if ! grep -q '^end ' "$share/result" 2>/dev/null; then
    tail -20 "$run/console" >&2
    cat "$share/result" "$share/board.log" >&2 2>/dev/null || true
    die "the board did not run its test to the end"
fi
sed "s/^/lab: /" "$share/result"
printf 'lab: boot, test and power-off took %s.%03d s\n' $((took / 1000)) $((took % 1000))
grep -q '^ok ' "$share/result" || die "no check was made"
if grep -q '^FAIL ' "$share/result"; then die "$(grep -c '^FAIL ' "$share/result") checks failed"; fi
say "$(grep -c '^ok ' "$share/result") checks hold"
