#!/bin/sh
# Mutants of the decision core by cargo-mutants: each is a small bug, and a test must fail on it. What is mutated
# says .cargo/mutants.toml; docs/results/mutants.md says what came out. Installs cargo-mutants outside the repository.
#
# tools/mutants.sh [ARGUMENTS]: all of it, or what the arguments of cargo-mutants choose (--file, --shard, ...).
# tools/mutants.sh --diff: only what differs from the merge base with origin/main, or from the last commit.
set -eu

version=26.0.0
root=$(cd "$(dirname "$0")/.." && pwd)
home=${XDG_CACHE_HOME:-$HOME/.cache}/facelatch/cargo-mutants-$version
mutants=$home/bin/cargo-mutants
if ! [ -x "$mutants" ]; then
    echo "installing cargo-mutants $version into $home (some minutes, once)" >&2
    # Hardly optimised: it waits for the compiler and for tests.
    (unset CARGO_TARGET_DIR && CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --quiet --locked --version "$version" --root "$home" cargo-mutants >&2)
fi
