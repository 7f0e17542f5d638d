"""The automation of docs/guide/home-assistant.md in a real Home Assistant, through every kind of outage.

Beside it runs a control, which takes the sensor "Last event" as its trigger: it must fire again after an outage, or
the outages tested here are none.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

EVENT, LOCK = "event.front_door_event", "lock.front_door_lock"
CONTROL = """
- alias: control
  triggers:
    - trigger: state
      entity_id: sensor.front_door_last_event
  conditions:
    - condition: template
      value_template: >-
        {{ trigger.to_state.attributes.seq | int(0) > trigger.from_state.attributes.seq | default(0) | int(0) }}
"""


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def wait_for(what, ask, limit=120):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            if found := ask():
                return found
        except (OSError, KeyError):
            pass
        time.sleep(0.2)
    raise SystemExit(f"it never came: {what}")


def documented(page):
    """The automation in the page's YAML block that begins with an alias, without its actions."""
    blocks = page.read_text().split("```yaml\n")[1:]
    blocks = [block.split("```")[0] for block in blocks]
    (block,) = [block for block in blocks if block.startswith("alias:")]
    before, _ = block.split("actions:")
    lines = before.splitlines()
    return "\n".join(["- " + lines[0], *("  " + line for line in lines[1:])]) + "\n"


def reporting(automation, name):
    """With an action that says what it was fired for."""
    said = "{{ trigger.to_state.attributes.seq }} {{ trigger.to_state.attributes.event }}"
    return automation + (
        f"  actions:\n    - action: mqtt.publish\n      data:\n        topic: fired/{name}\n"
        f'        payload: "{said}"\n        qos: 1\n'
    )


class Running:
    """A program that can be killed and started again."""

    def __init__(self, command, log, **more):
        self.command, self.log, self.more = command, log, more
        self.up()

    def up(self):
        self.child = subprocess.Popen(
            self.command, stdout=open(self.log, "ab"), stderr=subprocess.STDOUT, start_new_session=True, **self.more
        )

    def kill(self, how=signal.SIGKILL):
        if self.child.poll() is None:
            os.killpg(self.child.pid, how)
            self.child.wait()


class HomeAssistant:
    def __init__(self, root, folder, port):
        self.address, self.token = f"http://127.0.0.1:{port}", None
        self.inside = Path("/") / f"config-{folder.name}"
        self.config = root / self.inside.relative_to("/")
        self.config.mkdir()
        (self.config / "configuration.yaml").write_text(
            f"api:\nconfig:\nonboarding:\nlogger:\n  default: warning\nhttp:\n  server_host: 127.0.0.1\n"
            f"  server_port: {port}\nautomation: !include automations.yaml\n"
        )
        environment = {
            "PATH": "/ha/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
            "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
        }
        script = 'mount -t proc proc "$1/proc"; mount --rbind /dev "$1/dev"; exec chroot "$1" /ha/bin/hass --config "$2"'
        self.command = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", root, self.inside]
        self.environment, self.log = environment, folder / "homeassistant.log"

    def start(self):
        self.running = Running(self.command, self.log, env=self.environment)
        self.wait_up()

    def wait_up(self):
        wait_for("Home Assistant", lambda: self.ask("GET", "/api/onboarding", text=True), 400)

    def restart(self):
        self.running.kill(signal.SIGTERM)
        self.running.up()
        self.wait_up()

    def ask(self, method, path, body=None, text=False, form=False):
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded" if form else "application/json"
            body = (urllib.parse.urlencode(body) if form else json.dumps(body)).encode()
        request = urllib.request.Request(self.address + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            said = answer.read().decode()
        return said if text else json.loads(said)

    def set_up(self, broker):
        user = {"client_id": self.address + "/", "name": "Owner", "username": "owner", "password": "a secret", "language": "en"}
        code = self.ask("POST", "/api/onboarding/users", user)["auth_code"]
        form = {"grant_type": "authorization_code", "code": code, "client_id": self.address + "/"}
        self.token = self.ask("POST", "/auth/token", form, form=True)["access_token"]
        flow = self.ask("POST", "/api/config/config_entries/flow", {"handler": "mqtt"})
        done = self.ask("POST", f"/api/config/config_entries/flow/{flow['flow_id']}", {"broker": "127.0.0.1", "port": broker})
        assert done["type"] == "create_entry", done

    def state(self, entity):
        return self.ask("GET", f"/api/states/{entity}")["state"]

    def call(self, service, entity):
        self.ask("POST", "/api/services/" + service.replace(".", "/"), {"entity_id": entity})

    def template(self, text):
        return self.ask("POST", "/api/template", {"template": text}, text=True)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--program", type=Path, required=True)
    options.add_argument("--root", type=Path, required=True)
    options.add_argument("--page", type=Path, required=True)
    options = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="facelatch-ha-"))
    stops = []
    try:
        go(options, folder, stops)
    except BaseException:
        for log in sorted(folder.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text()[-4000:]}", file=sys.stderr)
        raise
    finally:
        for stop in reversed(stops):
            stop()
        shutil.rmtree(folder)


def go(options, folder, stops):
    port, web = free_port(), free_port()
    program = options.program.resolve()

    def start(name, command):
        running = Running(command, folder / f"{name}.log")
        stops.append(running.kill)
        return running

    os.chmod(folder, 0o755)
    (folder / "mosquitto.conf").write_text(
        f"user root\nlistener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
        f"persistence_location {folder}/\nautosave_on_changes true\nautosave_interval 1\n"
    )
    camera = folder / "camera"
    camera.mkdir()
    first = camera / "00000.pgm"
    first.write_bytes(b"P5 320 240 255\n" + bytes([90]) * (320 * 240))
    for number in range(1, 9_000):
        os.link(first, camera / f"{number:05}.pgm")
    config = folder / "facelatch.toml"
    config.write_text(
        f'[camera]\nrecording = "{camera}"\nfps = 5\n[liveness]\ncheck = false\n[store]\ngallery = "{folder}/gallery"\n'
        f'key = "{folder}/key"\nstate = "{folder}/state"\n[audit]\nfolder = "{folder}/audit"\n[daemon]\n'
        f'socket = "{folder}/socket"\n[gateway]\nsocket = "{folder}/gateway"\nrights = ["view", "release"]\n'
    )
    gateway_config = folder / "gateway.toml"
    gateway_config.write_text(
        f'[door]\nsocket = "{folder}/gateway"\nname = "Front door"\n[web]\nenabled = false\n'
        f'url = "https://door.local:8430/"\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\ntls = false\ndoor = "front"\n'
        f'unlock = true\nunlock_s = 2\ndelivered = "{folder}/delivered"\n'
    )
    broker = start("mosquitto", [shutil.which("mosquitto", path="/usr/sbin:/usr/bin"), "-c", folder / "mosquitto.conf"])
    daemon = start("daemon", [program, "run", "--config", config])
    gateway = start("gateway", [program, "gateway", "--config", gateway_config])
    home = HomeAssistant(options.root, folder, web)
    stops.append(lambda: shutil.rmtree(home.config))
    automations = reporting(documented(options.page), "documented") + reporting(CONTROL, "control")
    (home.config / "automations.yaml").write_text(automations)
    home.start()
    stops.append(lambda: home.running.kill(signal.SIGTERM))
    home.set_up(port)

    fired = folder / "fired"
    # It comes back to the broker by itself, and the broker keeps for it what comes meanwhile.
    start("reader", ["sh", "-c", f'exec mosquitto_sub -h 127.0.0.1 -p {port} -i reader -c -q 1 -v -t "fired/#" >>{fired}'])

    def times(name):
        lines = fired.read_text().splitlines() if fired.exists() else []
        return [line.split(" ", 1)[1] for line in lines if line.startswith(f"fired/{name} ")]

    def mode(*words):
        subprocess.run([program, "mode", "--config", config, *words], check=True, stdout=subprocess.DEVNULL)

    def there():
        return home.state(LOCK) == "locked" and home.state(EVENT) != "unavailable"

    wait_for("the door in Home Assistant", there)
    print("Home Assistant", home.ask("GET", "/api/config")["version"], "shows the door:", home.state(EVENT), home.state(LOCK))
    device = {field: home.template(f"{{{{ device_attr('{EVENT}', '{field}') }}}}") for field in ("configuration_url", "serial_number")}
    print("device:", device)
    assert device["configuration_url"] == "https://door.local:8430/" and len(device["serial_number"]) >= 4, device

    def open_once(how):
        """One release by Home Assistant's own lock; the documented automation fires once for it."""
        before = times("documented")
        home.call("lock.unlock", LOCK)
        wait_for("the automation", lambda: len(times("documented")) > len(before))
        wait_for("the strike's way back", lambda: home.state(LOCK) == "locked")
        time.sleep(2)
        new = times("documented")[len(before):]
        assert len(new) == 1 and new[0].endswith(" release"), f"{how}: {new}"

    open_once("at first")

    # Many at once: each release fires once, however close to other events it comes.
    before = times("documented")
    for _ in range(20):
        mode("hold-open", "--for", "1")
        mode("normal")
    wait_for("all of the burst", lambda: len(times("documented")) >= len(before) + 20)
    time.sleep(3)
    burst = times("documented")[len(before):]
    assert len(burst) == 20 and len(set(burst)) == 20, burst
    print("20 releases in a burst: documented fired 20 times")

    again = 0

    def outage(what, body, late=(0,)):
        nonlocal again
        before, control = times("documented"), len(times("control"))
        body()
        wait_for(f"the door after {what}", there)
        # What Home Assistant has to say about it, it has said by then.
        time.sleep(5)
        new, controls = times("documented")[len(before):], len(times("control")) - control
        again += controls
        print(f"{what}: documented fired {len(new)} times, control {controls}")
        assert len(new) in late and all(said.endswith(" release") for said in new), f"{what}: {new}"
        open_once(f"after {what}")

    def again_after(running, pause=3):
        running.kill()
        time.sleep(pause)
        running.up()

    for turn in (1, 2):
        outage(f"gateway killed ({turn})", lambda: again_after(gateway))
        outage(f"broker killed ({turn})", lambda: again_after(broker))
        outage(f"Home Assistant restarted ({turn})", home.restart)
        outage(f"daemon killed ({turn})", lambda: again_after(daemon))

    def release_without(running):
        running.kill()
        time.sleep(1)
        mode("hold-open", "--for", "1")
        time.sleep(3)
        running.up()

    outage("a release while the gateway was away", lambda: release_without(gateway), late=(1,))
    # Home Assistant or the gateway is back first; what came before it is no event for Home Assistant.
    outage("a release while the broker was away", lambda: release_without(broker), late=(0, 1))
    assert again > 0, "the control fired after no outage: these were none"

    # An operator's minute is not cut short by Home Assistant's two seconds.
    mode("hold-open", "--for", "60")
    wait_for("the operator's hold-open", lambda: home.state(LOCK) == "unlocked")
    home.call("lock.unlock", LOCK)
    time.sleep(6)
    assert home.state(LOCK) == "unlocked", "an unlock has cut an operator's hold-open short"
    home.call("lock.lock", LOCK)
    wait_for("the strike's way back", lambda: home.state(LOCK) == "locked")
    print("hold-open of 60 s outlives an unlock of 2 s; LOCK ends it")
    warnings = [line for line in home.log.read_text().splitlines() if "mqtt" in line and ("WARNING" in line or "ERROR" in line)]
    ours = [line for line in warnings if "facelatch" in line or "front" in line]
    assert not ours, ours
    print("passed")


main()
