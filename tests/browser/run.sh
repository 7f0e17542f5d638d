#!/bin/sh
# The page in a real Chromium, before the real daemon on recorded cameras.
#
#   tests/browser/run.sh [--screenshots FOLDER]
#
# Chromium is Debian's package; Playwright (its driver) and axe-core (accessibility) are kept outside the
# repository. People of ../shared are enrolled where it is there, the portraits of the program in any case.
set -eu

playwright=1.65.2 axe=4.14.1
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
home=${XDG_CACHE_HOME:-$HOME/.cache}/facelatch/browser-$playwright-$axe
{
    # what=package for each that is missing
    missing=
    command -v chromium >/dev/null || missing="$missing chromium"
    command -v npm >/dev/null || missing="$missing npm"
    python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3 python3-venv"
    # shellcheck disable=SC2086
    [ -z "$missing" ] || "$root/tools/install.sh" "the test of the page" $missing
    if ! [ -e "$home/ready" ]; then
        python3 -m venv --clear "$home"
        "$home/bin/pip" install --progress-bar off --disable-pip-version-check "playwright==$playwright"
        (cd "$home" && npm pack --silent "axe-core@$axe" && tar -xzf "axe-core-$axe.tgz" package/axe.min.js)
        touch "$home/ready"
    fi
    cd "$root"
    # FACELATCH_PROGRAM=FILE tests that build, with facelatch-gateway beside it, as in the labs.
    cargo build --package facelatch --package facelatch-gateway --bins --example walkup
} >&2
target=${CARGO_TARGET_DIR:-$root/target}/debug
exec "$home/bin/python" "$here/page.py" --program "${FACELATCH_PROGRAM:-$target/facelatch}" --walkup "$target/examples/walkup" \
    --axe "$home/package/axe.min.js" --shared "$root/../shared" "$@"
