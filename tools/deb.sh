#!/bin/bash
# Makes the Debian package, with manual pages and completions from the command line's own definition.
#
#   tools/deb.sh [amd64|arm64] [--version V] [--out FOLDER]     prints the package's path
#
# amd64 means the machine at hand, arm64 is cross-built by tools/aarch64.sh. FACELATCH_PROGRAM=FILE
# packs that program, and the facelatch-gateway beside it, instead of building them.
# shellcheck source=../lab/lib.sh
. "$(dirname "$0")/../lab/lib.sh"

cargo_deb=3.8.0
architecture=amd64 version='' out=$REPO/target/debian
while [ $# -gt 0 ]; do
    case $1 in
        amd64 | arm64) architecture=$1 ;;
        --version) version=$2; shift ;;
        --out) out=$2; shift ;;
        *) die "usage: tools/deb.sh [amd64|arm64] [--version V] [--out FOLDER]" ;;
    esac
    shift
done

"$REPO/tools/needs.sh" >&2
need dpkg-shlibdeps=dpkg-dev >&2
tools=$(dirname "$CACHE")/cargo-deb-$cargo_deb
if [ ! -x "$tools/bin/cargo-deb" ]; then
    say "installing cargo-deb $cargo_deb (once)"
    (unset CARGO_TARGET_DIR && cargo install --locked --version "$cargo_deb" --root "$tools" cargo-deb >&2)
fi
export PATH=$tools/bin:$PATH
cd "$REPO"
target=${CARGO_TARGET_DIR:-$REPO/target}

# The pages and completions come from a program that runs here.
if [ -n "${FACELATCH_PROGRAM:-}" ] && [ "$architecture" = amd64 ]; then
    mkdir -p "$target/release"
    for program in facelatch facelatch-gateway; do
        beside=$(dirname "$FACELATCH_PROGRAM")/$program
        [ "$beside" -ef "$target/release/$program" ] || cp "$beside" "$target/release/$program"
    done
else
    cargo build --release --package facelatch --package facelatch-gateway --bins >&2
fi
# Where the manifest looks for them, whatever CARGO_TARGET_DIR says.
pages=$REPO/target/package
rm -rf "$pages" && mkdir -p "$pages"
for program in facelatch facelatch-gateway; do
    "$target/release/$program" manual "$pages/man"
    for shell in bash zsh fish; do "$target/release/$program" completions "$shell" >"$pages/$program.$shell"; done
done

options=(--quiet --no-build --output "$out/")
[ -z "$version" ] || options+=(--deb-version "$version")
mkdir -p "$out"
case $architecture in
    amd64) cargo deb "${options[@]}" ;;
    arm64)
        tools/aarch64.sh cargo build --release --package facelatch --package facelatch-gateway --bins >&2
        tools/aarch64.sh cargo-deb "${options[@]}" --target aarch64-unknown-linux-gnu
        ;;
esac
