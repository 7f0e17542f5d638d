#!/bin/sh
# The documented automation (docs/guide/home-assistant.md) in a real Home Assistant, with the real daemon, gateway
# and mosquitto.
#
#   tests/homeassistant/run.sh
#
# Home Assistant wants a newer Python than Debian 12 has: it is installed into a root file system of Debian 13,
# which is kept outside the repository (about 1.5 GB, some minutes the first time). Needs root or sudo.
set -eu

version=2025.4.4
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
home=${XDG_CACHE_HOME:-$HOME/.cache}/facelatch/homeassistant-$version
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
{
    "$root/tools/mosquitto.sh"
    if ! [ -e "$home/ready" ]; then
        command -v mmdebstrap >/dev/null || {
            $as_root apt-get update -qq
            DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends mmdebstrap
        }
        mirror=$(sed -n 's/^URIs: *//p; s/^deb *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\).*/\2/p' /etc/apt/sources.list \
            /etc/apt/sources.list.d/debian* 2>/dev/null | grep -m 1 debian || echo http://deb.debian.org/debian)
        $as_root rm -rf "$home"
        mkdir -p "$home"
        echo "installing Home Assistant $version into $home (some minutes, once)"
        # gcc and its like: not every part of Home Assistant comes built.
        $as_root unshare --mount --propagation private mmdebstrap --quiet --variant=minbase \
            --include=python3-venv,python3-dev,ca-certificates,g++,make,cmake,libffi-dev,libssl-dev,libjpeg-dev,zlib1g-dev \
            trixie "$home/root" "$mirror"
        $as_root cp /etc/resolv.conf "$home/root/etc/"
        $as_root cp /etc/ssl/certs/ca-certificates.crt "$home/root/etc/ssl/certs/"
        # uv asks pip's index, where the machine has one of its own.
        index=$(python3 -m pip config get global.index-url 2>/dev/null || true)
        $as_root unshare --mount --propagation private sh -eu -c '
            mount -t proc proc "$1/proc"
            mount --rbind /dev "$1/dev"
            inside() {
                env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
                    PIP_CERT=/etc/ssl/certs/ca-certificates.crt UV_HTTP_TIMEOUT=300 ${3:+PIP_INDEX_URL=$3 UV_INDEX_URL=$3} \
                    chroot "$1" sh -euc "$4"
            }
            inside "$1" "$2" "$3" "
                python3 -m venv /ha
                /ha/bin/pip install --quiet uv
                VIRTUAL_ENV=/ha /ha/bin/uv pip install --quiet homeassistant==$2 paho-mqtt==2.1.0"
        ' sh "$home/root" "$version" "$index"
        touch "$home/ready"
    fi
    cd "$root"
    # FACELATCH_PROGRAM=FILE tests that build, as in the labs.
    [ -n "${FACELATCH_PROGRAM:-}" ] || cargo build --quiet --package facelatch --package facelatch-gateway --bins
} >&2
target=${CARGO_TARGET_DIR:-$root/target}/debug
exec $as_root python3 "$here/automation.py" --program "${FACELATCH_PROGRAM:-$target/facelatch}" --root "$home/root" \
    --page "$root/docs/guide/home-assistant.md"
