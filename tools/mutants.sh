#!/bin/sh
# Mutants of the decision core by cargo-mutants: each is a small bug, and a test must fail on it. What is mutated
# says .cargo/mutants.toml; docs/results/mutants.md says what came out. Installs cargo-mutants outside the repository.
#
# tools/mutants.sh [ARGUMENTS]: all of it, or what the arguments of cargo-mutants choose (--re access/policy, --shard 1/8).
# tools/mutants.sh --diff: only what differs from the merge base with origin/main, or from the last commit.
set -eu

version=27.1.0
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

# Dependencies are compiled once for all runs. The random sequences get fewer: a mutant's answer is wanted soon.
export CARGO_TARGET_DIR="${XDG_CACHE_HOME:-$HOME/.cache}/facelatch/mutants-target"
export FACELATCH_SEQUENCES="${FACELATCH_SEQUENCES:-3000}" FACELATCH_DEPTH="${FACELATCH_DEPTH:-4}"
cd "$root"
if [ "${1:-}" = --diff ]; then
    shift
    base=$(git merge-base HEAD origin/main 2>/dev/null) || base=$(git rev-parse --verify --quiet HEAD~1) || {
        echo "nothing to compare with: neither origin/main nor an earlier commit"
        exit 0
    }
    # On main itself the last commit is what changed.
    [ "$base" != "$(git rev-parse HEAD)" ] || base=$(git rev-parse --verify --quiet HEAD~1) || exit 0
    diff=$(mktemp)
    trap 'rm -f "$diff"' EXIT
    # Files that moved without a change hold nothing new.
    git diff --find-renames "$base" -- crates/core/src >"$diff"
    if ! [ -s "$diff" ]; then
        echo "no mutants: nothing in crates/core/src differs from $(git rev-parse --short "$base")"
        exit 0
    fi
    set -- --in-diff "$diff" "$@"
fi
mkdir -p "$root/target"
status=0
"$mutants" mutants --package facelatch-core --no-shuffle --output "$root/target" "$@" || status=$?
# 3: some ran into the time limit, which is another way to be caught; none was missed.
[ $status = 3 ] || exit $status
