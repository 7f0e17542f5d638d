#!/usr/bin/env bash
# Runs the fuzzers: tools/fuzz.sh SECONDS TARGET... Installs cargo-fuzz. What is found stays in
# fuzz/artifacts; what was learnt, in fuzz/corpus; both begin from fuzz/seeds.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
shift
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
# The sanitizers are unstable options, which stable compilers take like this.
export RUSTC_BOOTSTRAP=1
cargo fuzz build
failed=()
for target in "$@"; do
  corpus=fuzz/corpus/$target
  mkdir -p "$corpus"
  if [ -d "fuzz/seeds/$target" ]; then cp -n "fuzz/seeds/$target"/* "$corpus"/; fi
  echo "== $target: $seconds s"
  nice -n 10 cargo fuzz run "$target" "$corpus" -- \
    -max_total_time="$seconds" -timeout=300 -rss_limit_mb=4096 -max_len=65536 -print_final_stats=1 || failed+=("$target")
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "crashes in: ${failed[*]}; see fuzz/artifacts"
  exit 1
fi
