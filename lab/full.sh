#!/bin/bash
# All kinds of the lab, one after the other; prints how each ended and how long it took. Kinds that this
# machine cannot run are skipped by name.
#
#   lab/full.sh [KIND...]     uml amd64 arm64 pi3 pi4 (all, unless named)
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

summary=
failed=0
[ $# -gt 0 ] || set -- uml amd64 arm64 pi3 pi4
for kind in "$@"; do
    case $kind in
        uml) command=("$LAB/run.sh") ;;
        amd64 | arm64) command=("$LAB/qemu.sh" "$kind") ;;
        pi3 | pi4) command=("$LAB/pi.sh" "${kind#pi}") ;;
        *) die "no kind of lab: $kind" ;;
    esac
    began=$SECONDS status=0
    "${command[@]}" || status=$?
    case $status in
        0) how=passed ;;
        77) how=skipped ;;
        *) how=FAILED failed=1 ;;
    esac
    summary="$summary$(printf '%-6s %-8s %4d s' "$kind" $how $((SECONDS - began)))"$'\n'
done
printf 'lab-full:\n%s' "$summary"
exit $failed
