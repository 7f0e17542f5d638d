#!/bin/bash
# Instructions of one embedding on 64-bit ARM under qemu-user: `make count-embedder-aarch64`. A count does not
# depend on how busy the machine is.
#
#   benches/networks/aarch64.sh [CARD]
#
# FACELATCH_BENCH=FILE takes a build of benches/embedder.rs for aarch64 that exists already.
set -euo pipefail

cd "$(dirname "$0")/../.."
card=${1:-models/embedder.toml}
program=${FACELATCH_BENCH:-}
[ -n "$program" ] || program=$(tools/aarch64.sh cargo bench --bench embedder --no-run 2>&1 | tee >(cat >&2) |
    sed -n 's/.*Executable .* (\(.*\))$/\1/p')
[ -n "$program" ] || { echo "the bench does not build for aarch64" >&2; exit 2; }

# Loading and the first run's preparations do not count: the difference between eleven runs and one.
count() {
    echo "0 $1" | tools/count-aarch64.sh "$program" "$card" 2>&1 >/dev/null | awk '$1 == "instructions" { print $2 }'
}
one=$(count 1)
eleven=$(count 11)
awk -v card="$card" -v each=$(((eleven - one) / 10)) \
    'BEGIN { printf "%s: %.1f million instructions an embedding\n", card, each / 1e6 }'
