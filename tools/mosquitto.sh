#!/bin/sh
# Installs what tests/mqtt.rs needs: the mosquitto broker, without starting it as a service, its own
# reader, and openssl.
set -eu

PATH=$PATH:/usr/sbin
if command -v mosquitto >/dev/null && command -v mosquitto_sub >/dev/null && command -v openssl >/dev/null; then
  exit 0
fi

as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
echo "installing mosquitto, mosquitto-clients and openssl (the test of MQTT needs them)" >&2
$as_root apt-get update -qq
RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends mosquitto mosquitto-clients openssl >&2
