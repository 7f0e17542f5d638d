#!/bin/bash
# The fast lab: boots the virtual board (user-mode Linux), runs board.sh in it and prints its checks.
#
#   lab/run.sh            both boards, side by side
#   lab/run.sh plain      the door from enrolment to power-off, with an unplugged camera
#   lab/run.sh persist    the edges, bad cameras and kills; outputs keep their level when their holder dies,
#                         as on a Raspberry Pi's kernel
#
# LAB_BINARIES=FOLDER takes programs from FOLDER/amd64 instead of building them; LAB_KEEP=FOLDER keeps the
# logs.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

can_run lab 1800

kernel=$("$LAB/kernel.sh")
# User-mode Linux needs ptrace, and memory of a file that may be executed. Without a root filesystem it
# comes as far as a panic within a second.
words=$(mktemp)
"$kernel/linux" mem=64M root=none panic=-1 con=null con0=null,fd:1 </dev/null >"$words" 2>&1 &
disown # a panic ends by SIGABRT, of which the shell would speak
await $! 60 "the kernel's trial"
grep -q 'Kernel panic' "$words" || skip lab "user-mode Linux does not start on this machine: $(tail -1 "$words")"
rm "$words"
image=$("$LAB/rootfs.sh" amd64)
programs=$(binaries amd64)

run=
uml=
cleanup() {
    [ -z "$uml" ] || end "$uml"
    [ -z "$run" ] || rm -rf --one-file-system "$run"
}
trap cleanup EXIT

# boot NAME
boot() {
    local began
    began=$(date +%s%N)
    run=$(mktemp -d "${TMPDIR:-/tmp}/facelatch-lab.XXXXXX")
    fill_share "$run/share" "$programs" "$kernel/lib/modules" "$programs"
    "$kernel/linux" mem=768M ubd0="$run/cow,$image" root=/dev/ubda rw con=null con0=null,fd:1 con1=null \
        hostfs="$run/share" umid="$(basename "$run")" uml_dir="$run" gpio_sim.persist_gpio_outputs="$persist" \
        systemd.show_status=no quiet >"$run/console" 2>&1 </dev/null &
    uml=$!
    first "$uml"
    await "$uml" "${LAB_LIMIT:-400}" "the board"
    uml=
    # Everything that the board wrote is in the copy-on-write file.
    if [ -d "$run/share/secrets" ]; then
        if words=$("$programs/lab_search" "$run"/share/secrets/{gallery,key} "${width}x$height" \
            --played "$run"/share/walkup/{enrol,verify} --in "$run/cow" "$run"/share/*.{txt,log} 2>&1); then
            echo "ok traces $words" >>"$run/share/result"
        else
            echo "FAIL traces $words" >>"$run/share/result"
        fi
    fi
    report "$1" "$run" "$began"
    rm -rf --one-file-system "$run"
    run=
}

kind=uml slow=1 hold_ms=3000 width=640 height=480 fps=20 min_face=80
case ${1:-both} in
    plain)
        persist=0 kills=1 parts="start enrol stranger release lines kill camera stop replay traces"
        boot lab
        ;;
    persist)
        persist=1 kills=3 parts="edges missing start kill format garbage"
        boot lab-persist
        ;;
    both) # side by side: each board has one processor, and waits most of the time
        export LAB_BINARIES=${programs%/*}
        said=$(mktemp)
        "$LAB/run.sh" persist >"$said" 2>&1 &
        other=$!
        failed=0
        "$LAB/run.sh" plain || failed=1
        wait $other || failed=1
        cat "$said"
        rm "$said"
        exit $failed
        ;;
    *) die "which board: plain or persist?" ;;
esac
