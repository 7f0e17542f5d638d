#!/bin/bash
# Builds and tests for 64-bit ARM boards on an x86-64 Debian, without `cross` and without rustup's servers:
#
#   tools/aarch64.sh cargo build --release      # target/aarch64-unknown-linux-gnu/release/facelatch
#   tools/aarch64.sh cargo test                 # the tests, run under qemu-user
#   tools/aarch64.sh                            # only makes the toolchain; prints its folder
#
# `cargo build`, `test`, `run`, `bench`, `check`, `clippy`, `rustc` get --target; any other command is run with
# the environment that such a build needs.
#
# The standard library is built once, from Debian's source of the very version of rustc that is
# installed (a library of another version does not load), and kept in the cache with a copy of that
# compiler, whose own folders stay as they are. With internet access `cross` does the same in a
# container: see cross.toml.
# shellcheck source=../lab/lib.sh
. "$(dirname "$0")/../lab/lib.sh"

target=aarch64-unknown-linux-gnu
[ "$(uname -m)" = x86_64 ] || skip aarch64 "this builds on x86-64 for aarch64, this is $(uname -m)"
"$REPO/tools/needs.sh"
need aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu aarch64-linux-gnu-g++=g++-aarch64-linux-gnu \
    /usr/aarch64-linux-gnu/lib/libc.so.6=libc6-dev-arm64-cross qemu-aarch64=qemu-user >&2

version=$(rustc --version | awk '{ print $2 }')
recipe=1 # counts changes of what follows that need another toolchain
toolchain=$CACHE/rust-$target-$version-$recipe
# From here on cargo and rustc are the copy's.
on_path() {
    export PATH=$toolchain/bin:$PATH
    unset LD_LIBRARY_PATH RUSTC RUSTDOC RUSTUP_TOOLCHAIN
}
exec 9>"$toolchain.lock"
flock 9
if [ ! -e "$toolchain/done" ]; then
    # Debian keeps the versions that stable Rust had in the backports of its stable release.
    source=
    for suite in trixie-backports forky sid; do
        source=$(fetch_deb "$suite" rust-src "$version+") && break
    done
    [ -n "$source" ] || skip aarch64 "Debian has no rust-src $version: install a version it has (apt-cache policy rust-src in trixie-backports)"
    say "building Rust's standard library for $target (about 2 minutes, once)"
    rm -rf --one-file-system "$toolchain" && mkdir -p "$toolchain/lib/rustlib"
    sysroot=$(rustc --print sysroot)
    mkdir "$toolchain/bin"
    # cargo as well: rustup's would have its own toolchain's libraries loaded, and with them its own sysroot.
    cp "$sysroot"/bin/{cargo,rustc,rustdoc} "$toolchain/bin/"
    for extra in cargo-clippy clippy-driver; do [ ! -e "$sysroot/bin/$extra" ] || cp "$sysroot/bin/$extra" "$toolchain/bin/"; done
    cp -r "$sysroot"/lib/*.so* "$toolchain/lib/"
    cp -r "$sysroot"/lib/rustlib/x86_64-unknown-linux-gnu "$toolchain/lib/rustlib/"
    mkdir -p "$toolchain/lib/rustlib/src/rust"
    cp -r "$source"/usr/src/rustc-"$version"/library "$toolchain/lib/rustlib/src/rust/"
    seed=$toolchain/seed
    on_path
    mkdir -p "$seed/src"
    printf '[package]\nname = "seed"\nversion = "0.0.0"\nedition = "2021"\n' >"$seed/Cargo.toml"
    echo '' >"$seed/src/lib.rs"
    (cd "$seed" && unset CARGO_TARGET_DIR RUSTFLAGS && RUSTC_BOOTSTRAP=1 CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc \
        cargo build --release --target $target -Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test) >"$toolchain/log" 2>&1 ||
        { tail -5 "$toolchain/log" >&2; die "the standard library does not build: see $toolchain/log"; }
    mkdir -p "$toolchain/lib/rustlib/$target/lib"
    cp "$seed/target/$target/release/deps"/*.rlib "$toolchain/lib/rustlib/$target/lib/"
    rm -f "$toolchain/lib/rustlib/$target/lib"/libseed-*.rlib
    rm -rf --one-file-system "$seed" "$toolchain/lib/rustlib/src"
    touch "$toolchain/done"
fi
exec 9>&-

if [ $# = 0 ]; then
    printf '%s\n' "$toolchain"
    exit
fi

# The names say aarch64: builds for this machine (build scripts, procedural macros) are not touched.
on_path
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc CXX_aarch64_unknown_linux_gnu=aarch64-linux-gnu-g++
export AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
# bindgen (of the v4l crate) reads the kernel's headers.
export BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu="--sysroot=/usr/aarch64-linux-gnu -I/usr/aarch64-linux-gnu/include"
case "$1 ${2:-}" in
    "cargo build" | "cargo test" | "cargo run" | "cargo bench" | "cargo check" | "cargo clippy" | "cargo rustc")
        verb=$2
        shift 2
        exec cargo "$verb" --target "$target" "$@"
        ;;
    *) exec "$@" ;;
esac
