#!/bin/sh
# Licences, banned crates, sources and advisories of all dependencies, by deny.toml. Installs cargo-deny outside
# the repository.
#
# Advisories come from https://github.com/RustSec/advisory-db. Where that cannot be reached, the copy of an earlier
# run is used, or none: then it is said, and everything else is still checked. FACELATCH_ADVISORIES=required makes
# that a failure.
set -eu

version=0.20.2
root=$(cd "$(dirname "$0")/.." && pwd)
home=${XDG_CACHE_HOME:-$HOME/.cache}/facelatch/cargo-deny-$version
deny=$home/bin/cargo-deny
if ! [ -x "$deny" ]; then
    echo "installing cargo-deny $version into $home (some minutes, once)" >&2
    # Hardly optimised: it runs for seconds.
    (unset CARGO_TARGET_DIR && CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install --quiet --locked --version "$version" --root "$home" cargo-deny >&2)
fi

cd "$root"
check() {
    manifest=$1
    shift
    echo "$manifest:"
    "$deny" --log-level error --manifest-path "$manifest" --config deny.toml "$@"
}
check Cargo.toml check -A license-exception-not-encountered licenses bans sources
# Has but a part of the crates, and so of the licences.
check fuzz/Cargo.toml check -A license-not-encountered licenses bans sources

said=$home/fetched
if timeout 120 "$deny" fetch db >"$said" 2>&1; then
    how=
    echo "advisories: of today"
elif ls -d "${CARGO_HOME:-$HOME/.cargo}"/advisory-dbs/*/crates >/dev/null 2>&1; then
    how=--offline
    cat "$said"
    echo "advisories: the database cannot be reached; checked by the copy of the last run that could"
else
    cat "$said"
    echo "advisories: NOT CHECKED, the database cannot be reached and there is no earlier copy of it"
    [ "${FACELATCH_ADVISORIES:-}" != required ] || exit 1
    exit 0
fi
for manifest in Cargo.toml fuzz/Cargo.toml; do
    # shellcheck disable=SC2086
    check "$manifest" $how check advisories
done
