# What the scripts of the lab share: source it, do not run it.
# shellcheck shell=bash
#
# Everything fetched or built lies in the cache, outside the repository, in folders named by what
# they were made from; a folder without its `done` mark is made anew.

set -Eeuo pipefail
trap '[ $? = 77 ] || printf "lab: failed: %s line %s: %s\n" "${BASH_SOURCE[0]}" "$LINENO" "$BASH_COMMAND" >&2' ERR

LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPO=$(dirname "$LAB")
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/facelatch/lab
mkdir -p "$CACHE"

say() { printf 'lab: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Skips are named, with the reason: exit status 77, as automake's test harness has it.
skip() { say "skipped: $1: $2"; exit 77; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

# need COMMAND=PACKAGE...: installs the packages of missing commands (or files, given with a slash).
need() {
    local missing=() pair
    for pair in "$@"; do
        local what=${pair%%=*}
        case $what in
            */*) [ -e "$what" ] || missing+=("${pair#*=}") ;;
            *) command -v "$what" >/dev/null || missing+=("${pair#*=}") ;;
        esac
    done
    [ ${#missing[@]} = 0 ] && return
    "$REPO/tools/install.sh" "the lab" "${missing[@]}"
}

# begin_run: sets `began`, and `run` to a folder that goes with the script, as does the process in `emulator`.
begin_run() {
    began=$(date +%s%N)
    run=$(mktemp -d "${TMPDIR:-/tmp}/facelatch-lab.XXXXXX")
    emulator=
    trap end_run EXIT
}
end_run() {
    [ -z "$emulator" ] || end "$emulator"
    as_root rm -rf --one-file-system "$run"
}

# The Debian mirror that this machine is configured for.
mirror() {
    local uri
    uri=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 2>/dev/null |
        awk '$1 == "Debian" && $2 == "Debian" { print $3; exit }')
    [ -n "$uri" ] || die "no Debian mirror is configured: run apt-get update once"
    printf '%s\n' "$uri"
}

# private_apt COMMAND SUITE[/ARCH] ARGS...: apt-get or apt-cache on another suite (or for other
# machines), without touching this machine's own lists.
private_apt() {
    local command=$1 suite=${2%/*} arch=${2#*/} root=$CACHE/apt-${2//\//-}
    [ "$arch" != "$suite" ] || arch=$(dpkg --print-architecture)
    shift 2
    mkdir -p "$root"/{state/lists/partial,cache/archives/partial}
    [ -e "$root/sources.list" ] || printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
        "$(mirror)" "$suite" >"$root/sources.list"
    "$command" -qq -o Dir::State="$root/state" -o Dir::State::status=/dev/null -o Dir::Cache="$root/cache" \
        -o Dir::Etc::SourceList="$root/sources.list" -o Dir::Etc::SourceParts=- \
        -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User=root "$@"
}

# update_apt SUITE[/ARCH]: fetches the suite's lists unless they are younger than a day.
update_apt() {
    local stamp=$CACHE/apt-${1//\//-}/updated
    [ -n "$(find "$stamp" -mtime -1 2>/dev/null)" ] && return
    private_apt apt-get "$1" update >&2
    touch "$stamp"
}

# field SUITE[/ARCH] PACKAGE FIELD [PREFIX]: a field of the newest version of a package (of those
# whose value begins with PREFIX); empty when there is none.
field() {
    update_apt "$1"
    private_apt apt-cache "$1" show "$2" 2>/dev/null |
        awk -v field="$3:" -v prefix="${4:-}" '$1 == field && !found && index($2, prefix) == 1 { $1 = ""; print substr($0, 2); found = 1 }'
}

# fetch_deb SUITE[/ARCH] PACKAGE [PREFIX]: unpacks the newest version of a package (of those that begin
# with PREFIX); prints the folder.
fetch_deb() {
    local suite=$1 package=$2 version folder
    version=$(field "$suite" "$package" Version "${3:-}")
    [ -n "$version" ] || die "$package is not in $suite"
    folder=$CACHE/deb/$package-${version//[:~]/_}
    [ "${suite#*/}" = "$suite" ] || folder=$folder-${suite#*/}
    if [ ! -e "$folder.done" ]; then
        rm -rf --one-file-system "$folder" "$folder.deb" && mkdir -p "$folder" "$folder.deb"
        say "fetching $package $version"
        (cd "$folder.deb" && private_apt apt-get "$suite" download "$package=$version" >&2)
        dpkg -x "$folder.deb"/*.deb "$folder"
        rm -rf --one-file-system "$folder.deb"
        touch "$folder.done"
    fi
    printf '%s\n' "$folder"
}

# persist_outputs FILE: teaches gpio-sim.c one thing: with gpio_sim.persist_gpio_outputs=1 an output
# keeps its level when its holder is gone, as on a Raspberry Pi's kernel (its pinctrl-bcm2835 has a
# parameter of that name).
persist_outputs() {
    perl -0pi -e 's/(static void gpio_sim_free\()/static bool persist_gpio_outputs;\nmodule_param(persist_gpio_outputs, bool, 0444);\n\n$1/;
        s/(scoped_guard\(mutex, &chip->lock\) \{\n)(\s*__assign_bit\(offset, chip->value_map,\n\s*!!test_bit\(offset, chip->pull_map\)\);\n\s*__clear_bit\(offset, chip->request_map\);)/$1\t\tif (!persist_gpio_outputs || test_bit(offset, chip->direction_map))\n$2/' \
        "$1"
    grep -q 'if (!persist_gpio_outputs' "$1" || die "gpio-sim.c has changed: persist_gpio_outputs could not be added"
}

# can_run NAME MIB: skips, by name, what this machine cannot run; MIB is the memory that the boards take.
can_run() {
    [ "$(uname -m)" = x86_64 ] || skip "$1" "its kernels and emulators are made for x86-64, this is $(uname -m)"
    command -v apt-get >/dev/null || skip "$1" "its parts come from Debian's archive, and this system has no apt-get"
    as_root true 2>/dev/null || skip "$1" "making the root filesystem needs root or sudo without a password"
    as_root unshare --mount true 2>/dev/null || skip "$1" "root may not make a mount namespace here (a container without CAP_SYS_ADMIN?)"
    local free=$(($(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo) / 1024))
    [ "$free" -ge "$2" ] || skip "$1" "it takes $2 MiB of memory, $free are free"
}

# walkups FOLDER PROGRAMS: three walk-ups that the camera plays, as folders of pictures: enrol and verify of
# one person, stranger of another. Recordings of real people where there is ../shared; otherwise the
# demonstration's, made from photographs of two people.
walkups() {
    local shared=${FACELATCH_SHARED:-$REPO/../shared}/data/walkup
    mkdir -p "$1"
    if [ -d "$shared" ]; then
        clip "$shared/02-1" "$1/enrol" 400
        clip "$shared/02-2" "$1/verify" 400
        clip "$shared/07-2" "$1/stranger" 100
        return
    fi
    say "no ../shared/data/walkup: the camera plays the demonstration's walk-ups"
    "$2/facelatch" demo --recordings --out "$1/demo" >/dev/null || die "facelatch demo fails"
    mv "$1/demo/recordings/enrolment" "$1/enrol"
    mv "$1/demo/recordings/visit" "$1/verify"
    mv "$1/demo/recordings/stranger" "$1/stranger"
    rm -r "$1/demo"
}

# binaries amd64|arm64: builds what is installed in the board, and for amd64 the programs that test it from
# inside and outside; prints the folder. LAB_BINARIES=FOLDER takes them from FOLDER/amd64 or FOLDER/arm64
# instead.
binaries() {
    local arch=$1 out=$CACHE/binaries/$1 build=(cargo) target=${CARGO_TARGET_DIR:-$REPO/target}
    local what=(--package facelatch --package facelatch-edges --bin facelatch --example lab_camera)
    if [ -n "${LAB_BINARIES:-}" ]; then
        printf '%s\n' "$LAB_BINARIES/$arch"
        return
    fi
    if [ "$arch" = amd64 ]; then
        what+=(--example lab_search --test lab_edges)
    else
        build=("$REPO/tools/aarch64.sh" cargo) target=$target/aarch64-unknown-linux-gnu
    fi
    mkdir -p "$out"
    # One build for all, of which cargo says where the test's program lies.
    (cd "$REPO" && "${build[@]}" build --release --message-format=json-render-diagnostics "${what[@]}") \
        >"$out.json" || { [ $? != 77 ] || exit 77; die "facelatch does not build"; }
    cp "$target/release/facelatch" "$target/release/examples/lab_camera" "$out/"
    if [ "$arch" = amd64 ]; then
        cp "$target/release/examples/lab_search" "$out/"
        cp "$(sed -n 's/.*"executable":"\([^"]*lab_edges-[^"]*\)".*/\1/p' "$out.json" | tail -1)" "$out/lab_edges"
    fi
    rm "$out.json"
    printf '%s\n' "$out"
}

# clip FROM TO FRAMES: the first frames of a walk-up. (No `head`, which would end `sort` by a signal.)
clip() {
    mkdir -p "$2"
    find "$1" -type f | sort | sed -n "1,$3p" | xargs -d '\n' cp -t "$2"
}

# fill_share FOLDER BINARIES MODULES OURS: what the board gets from us, and board.sh's settings (which are in
# our variables kind, parts, persist, kills, slow, hold_ms, width, height, fps and min_face). OURS is the
# folder of the programs that run on this machine.
fill_share() {
    local share=$1
    mkdir -p "$share"/{bin,modules,walkup}
    cp "$2"/* "$share/bin/"
    cp -r "$3"/. "$share/modules/"
    cp "$LAB/board.sh" "$LAB/facelatch.toml" "$REPO"/systemd/{facelatch.service,facelatch.sysusers,60-facelatch.rules} "$share/"
    sed -i "s/HOLD_MS/$hold_ms/; s/WIDTH/$width/; s/HEIGHT/$height/; s/FPS/$fps/; s/MIN_FACE/$min_face/" "$share/facelatch.toml"
    [ "$slow" = 1 ] || sed -i 's/^#SLOW //' "$share/facelatch.toml"
    printf '%s=%s\n' KIND "$kind" PERSIST "$persist" KILLS "$kills" SLOW "$slow" HOLD_MS "$hold_ms" SIZE "${width}x$height" FPS "$fps" >"$share/settings"
    printf 'PARTS="%s"\n' "$parts" >>"$share/settings"
    walkups "$share/walkup" "$4"
}

# first PID: the process, and what it starts, goes before the machine's other work, where that may be asked
# for: the lab's bounds are those of a board that has a processor to itself.
first() { as_root renice -n -20 -p "$1" >/dev/null 2>&1 || true; }

# await PID SECONDS WHAT: until the process ends; ends it when it takes too long, with all that it started
# where it leads a group, as user-mode Linux does.
await() {
    local pid=$1 limit=$2
    for _ in $(seq 1 $((limit * 2))); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.5
    done
    if kill -0 "$pid" 2>/dev/null; then
        say "$3 did not finish within $limit s"
        as_root kill "$pid" 2>/dev/null || true
        sleep 2
    fi
    end "$pid"
}

# end PID: by a signal that none can ignore. One of user-mode Linux's helpers may outlive it: told to end in the
# middle of a panic, it can turn in circles for ever.
end() { as_root kill -KILL -- "-$1" 2>/dev/null || as_root kill -KILL "$1" 2>/dev/null || true; }

# report NAME RUN BEGAN: prints what the board found; fails when a check does not hold.
report() {
    local name=$1 run=$2 share=$2/share took=$((($(date +%s%N) - $3) / 1000000))
    if [ -n "${LAB_KEEP:-}" ]; then
        mkdir -p "$LAB_KEEP/$name"
        cp "$run/console" "$LAB_KEEP/$name/"
        find "$share" -maxdepth 1 -type f -exec cp {} "$LAB_KEEP/$name/" \;
    fi
    if ! grep -q '^end ' "$share/result" 2>/dev/null; then
        tail -20 "$run/console" >&2
        cat "$share/result" "$share/board.log" >&2 2>/dev/null || true
        die "$name: the board did not run its test to the end"
    fi
    sed "s/^/$name: /" "$share/result"
    printf '%s: boot, test and power-off took %d.%03d s\n' "$name" $((took / 1000)) $((took % 1000))
    grep -q '^ok ' "$share/result" || die "$name: no check was made"
    if grep -q '^FAIL ' "$share/result"; then die "$name: $(grep -c '^FAIL ' "$share/result") checks failed"; fi
    say "$name: $(grep -c '^ok ' "$share/result") checks hold"
}

# in_workbench BENCH RUN IMAGE COMMAND...: runs a command of the workbench with the folder RUN at /mnt and the
# file IMAGE at /mnt/root.ext4 (nothing when empty), in its own mount namespace. Replaces the calling (sub)shell.
in_workbench() {
    local bench=$1/root run=$2 image=$3
    shift 3
    # shellcheck disable=SC2016
    exec $([ "$(id -u)" = 0 ] || echo sudo -n) unshare --mount --propagation private bash -ec '
        bench=$1 run=$2 image=$3
        shift 3
        mount --bind "$run" "$bench/mnt"
        if [ -n "$image" ]; then
            : >>"$bench/mnt/root.ext4"
            mount --bind "$image" "$bench/mnt/root.ext4"
        fi
        mount --rbind /dev "$bench/dev"
        mount -t proc proc "$bench/proc"
        exec chroot "$bench" "$@"' in_workbench "$bench" "$run" "$image" "$@"
}

# dependencies STOCK RELEASE MODULE...: the files of modules, in the order to load them.
dependencies() {
    local stock=$1 release=$2 module
    shift 2
    for module in "$@"; do
        modprobe -d "$stock" -S "$release" --show-depends "$module" | awk '$1 == "insmod" { print $2 }'
    done | awk '!seen[$0]++'
}

# unpacked FILE TO: a module, as it is or decompressed.
unpacked() {
    case $1 in
        *.xz) xz -dc "$1" >"$2" ;;
        *) cp "$1" "$2" ;;
    esac
}

# board_modules STOCK RELEASE FOLDER MODULE...: puts modules, with what they need, where fill_share takes them.
board_modules() {
    local stock=$1 release=$2 folder=$3/$2 file
    shift 3
    mkdir -p "$folder"
    dependencies "$stock" "$release" "$@" | while read -r file; do
        unpacked "$file" "$folder/$(basename "${file%.xz}")"
    done
}

# initrd FILE ARCH STOCK RELEASE MODULE... <SCRIPT: an initial RAM disk with busybox that loads the modules and
# runs the script; a folder FILE.d, where there is one, goes into it.
initrd() {
    local file=$1 arch=$2 stock=$3 release=$4 tree=$1.tree number=10 module busybox script
    shift 4
    script=$(cat)
    need cpio=cpio >&2
    busybox=$(fetch_deb "trixie/$arch" busybox-static)
    mkdir -p "$tree"/{bin,sbin,usr/bin,usr/sbin,dev,proc,sys,new,tmp,modules}
    cp "$busybox"/usr/bin/busybox "$tree/bin/" 2>/dev/null || cp "$busybox"/bin/busybox "$tree/bin/"
    dependencies "$stock" "$release" "$@" | while read -r module; do
        unpacked "$module" "$tree/modules/$number-$(basename "${module%.xz}")"
        number=$((number + 1))
    done
    [ ! -d "$file.d" ] || cp -r "$file.d"/. "$tree/"
    {
        printf '#!/bin/busybox sh\n/bin/busybox --install -s\nmount -t devtmpfs dev /dev\nmount -t proc proc /proc\nmount -t sysfs sys /sys\n'
        printf 'for module in /modules/*.ko; do insmod $module; done\n%s\n' "$script"
    } >"$tree/init"
    chmod 755 "$tree/init"
    (cd "$tree" && find . | cpio --quiet -o -H newc -R 0:0) >"$file"
    rm -rf --one-file-system "$tree"
}
