#!/bin/sh
# Installs Debian packages, and shows what it does:
#
#   tools/install.sh WHAT-FOR PACKAGE...
#
# All of it goes to standard error, so that a script's answer can be on standard output.
set -eu

what_for=$1
shift
exec >&2
if ! command -v apt-get >/dev/null; then
  echo "$what_for needs $*: install them (this system has no apt-get)"
  exit 2
fi
as_root=
if [ "$(id -u)" != 0 ]; then
  as_root=sudo
  command -v sudo >/dev/null || {
    echo "$what_for needs $*: as root, run: apt-get install $*"
    exit 2
  }
fi
echo "== installing $* ($what_for needs them)"
# A list of packages that cannot be renewed may still do.
$as_root apt-get -q -o DPkg::Lock::Timeout=600 update || true
# Another apt that ends at the same time may sweep the downloads away (docker-clean does): again, then.
for try in 1 2 3; do
  # RUNLEVEL: a broker that is installed for a test is not started as a service.
  $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -y -o DPkg::Lock::Timeout=600 \
    install --no-install-recommends "$@" && exit
  sleep "$try"
done
echo "cannot install $*: apt's words are above"
exit 2
