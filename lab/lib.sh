# What the scripts of the lab share: source it, do not run it.
# shellcheck shell=bash
#
# Everything fetched or built lies in the cache, outside the repository, in folders named by what
# they were made from; a folder without its `done` mark is made anew.

set -euo pipefail

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
    say "installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 update >&2 || true
    # Another apt that ends at the same time may sweep the downloads away (docker-clean does): again, then.
    local try
    for try in 1 2 3; do
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=600 \
            install --no-install-recommends "${missing[@]}" >&2 && return
        sleep "$try"
    done
    die "cannot install ${missing[*]}"
}

# The Debian mirror that this machine is configured for.
mirror() {
    local uri
    uri=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 2>/dev/null |
        awk '$1 == "Debian" && $2 == "Debian" { print $3; exit }')
    [ -n "$uri" ] || die "no Debian mirror is configured: run apt-get update once"
    printf '%s\n' "$uri"
}

# private_apt SUITE ARGS...: apt-get on another suite, without touching this machine's own lists.
private_apt() {
    local suite=$1 root=$CACHE/apt-$1
    shift
    mkdir -p "$root"/{state/lists/partial,cache/archives/partial}
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
        "$(mirror)" "$suite" >"$root/sources.list"
    apt-get -qq -o Dir::State="$root/state" -o Dir::State::status=/dev/null -o Dir::Cache="$root/cache" \
        -o Dir::Etc::SourceList="$root/sources.list" -o Dir::Etc::SourceParts=- \
        -o APT::Sandbox::User=root "$@"
}

# update_apt SUITE: fetches the suite's lists unless they are younger than a day.
update_apt() {
    local stamp=$CACHE/apt-$1/updated
    [ -n "$(find "$stamp" -mtime -1 2>/dev/null)" ] && return
    private_apt "$1" update >&2
    touch "$stamp"
}

# fetch_deb SUITE PACKAGE [PREFIX]: unpacks the newest version of a package (of those that begin with
# PREFIX); prints the folder.
fetch_deb() {
    local suite=$1 package=$2 prefix=${3:-} version folder
    update_apt "$suite"
    version=$(APT_CONFIG='' apt-cache -o Dir::State="$CACHE/apt-$suite/state" -o Dir::State::status=/dev/null \
        -o Dir::Cache="$CACHE/apt-$suite/cache" -o Dir::Etc::SourceList="$CACHE/apt-$suite/sources.list" \
        -o Dir::Etc::SourceParts=- show "$package" | awk -v prefix="$prefix" '/^Version:/ && !found && index($2, prefix) == 1 { print $2; found = 1 }')
    [ -n "$version" ] || die "$package is not in $suite"
    folder=$CACHE/deb/$package-${version//[:~]/_}
    if [ ! -e "$folder.done" ]; then
        rm -rf --one-file-system "$folder" && mkdir -p "$folder"
        say "fetching $package $version"
        (cd "$CACHE/deb" && private_apt "$suite" download "$package=$version" >&2)
        dpkg -x "$CACHE/deb/$package"_*.deb "$folder"
        rm -f "$CACHE/deb/$package"_*.deb
        touch "$folder.done"
    fi
    printf '%s\n' "$folder"
}
