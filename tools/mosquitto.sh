#!/bin/sh
# Installs what tests/all/mqtt.rs needs: the mosquitto broker, without starting it as a service, its own
# reader, and openssl.
set -eu

PATH=$PATH:/usr/sbin
if command -v mosquitto >/dev/null && command -v mosquitto_sub >/dev/null && command -v openssl >/dev/null; then
  exit 0
fi
exec "$(dirname "$0")/install.sh" "the test of MQTT" mosquitto mosquitto-clients openssl
