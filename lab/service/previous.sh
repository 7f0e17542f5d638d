#!/bin/bash
# Makes the package of an earlier commit, as its own tools/deb.sh makes it: what an owner upgrades from.
# Kept in the cache, a package a commit; prints its path. Fails when this clone lacks the commit.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"

commit=${LAB_PREVIOUS:-d2bd012a9d4c5685bba1c86c8df03b917f152e07}
kept=$CACHE/previous-$commit.deb
if [ ! -e "$kept" ]; then
    git -C "$REPO" cat-file -e "$commit^{commit}" 2>/dev/null || die "commit $commit is not in this clone"
    say "making the package of ${commit:0:7} (once)"
    tree=$CACHE/previous-$commit
    mkdir -p "$tree"
    git -C "$REPO" archive "$commit" | tar -x -C "$tree"
    # A target folder of its own, as cargo cannot tell two checkouts of one package apart by anything but
    # their age. The dependencies of this checkout serve where they are the same.
    ours=${CARGO_TARGET_DIR:-$REPO/target}/release
    export CARGO_TARGET_DIR=$tree/target
    mkdir -p "$CARGO_TARGET_DIR/release"
    for folder in .fingerprint build deps; do
        [ ! -e "$ours/$folder" ] || cp -a "$ours/$folder" "$CARGO_TARGET_DIR/release/"
    done
    find "$CARGO_TARGET_DIR" -maxdepth 3 -name '*facelatch*' -exec rm -rf {} +
    made=$("$tree/tools/deb.sh" amd64 --version 0.0.9-1 --out "$tree/out")
    mv "$made" "$kept"
    rm -rf --one-file-system "$tree"
fi
printf '%s\n' "$kept"
