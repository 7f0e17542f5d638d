"""The gateway's page in a real Chromium: log in, aim, enrol, see that person let in and another not,
export; usable at 360 pixels, and without serious faults of accessibility. See run.sh."""

import argparse
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

PASSWORD = "a good password"
PAGES = ["/", "/people", "/events", "/health"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Door:
    """A daemon and a gateway in a folder; the daemon's camera is a folder of pictures."""

    def __init__(self, program, folder):
        self.program, self.folder, self.daemon = program, folder, None
        self.port = free_port()
        (folder / "gateway.toml").write_text(
            f'[door]\nsocket = "{folder}/gateway"\nname = "Front door"\n[web]\nlisten = "127.0.0.1:{self.port}"\n'
            f'password_file = "{folder}/password"\ntoken_file = "{folder}/token"\n'
        )
        subprocess.run([program, "gateway", "password", "--config", folder / "gateway.toml"],
                       input=PASSWORD, text=True, check=True, stdout=subprocess.DEVNULL)
        self.gateway = subprocess.Popen([program, "gateway", "--config", folder / "gateway.toml"],
                                        stderr=open(folder / "gateway.log", "w"))

    def camera(self, clips, seconds=150):
        """(Re)starts the daemon before these clips, one after the other, again and again."""
        self.stop()
        films = tempfile.mkdtemp(dir=self.folder)
        frames = [f for clip in clips for f in sorted(Path(clip).glob("*.jpg"))]
        assert frames, clips
        for n in range(max(len(frames), 20 * seconds)):
            os.symlink(frames[n % len(frames)].resolve(), f"{films}/{n:06}.jpg")
        (self.folder / "facelatch.toml").write_text(
            f'[camera]\nrecording = "{films}"\nfps = 20\n[liveness]\ncheck = false\n[access]\ncooldown_ms = 2000\n'
            f'[store]\ngallery = "{self.folder}/gallery"\nkey = "{self.folder}/key"\nstate = "{self.folder}/state"\n'
            f'[audit]\nfolder = "{self.folder}/audit"\n[daemon]\nsocket = "{self.folder}/socket"\n'
            f'[gateway]\nsocket = "{self.folder}/gateway"\nrights = ["view", "enrol"]\n'
        )
        self.daemon = subprocess.Popen([self.program, "run", "--config", self.folder / "facelatch.toml"],
                                       stderr=open(self.folder / "daemon.log", "a"))

    def stop(self):
        if self.daemon:
            self.daemon.send_signal(signal.SIGTERM)
            self.daemon.wait(20)
            self.daemon = None

    def end(self):
        self.stop()
        self.gateway.kill()
        self.gateway.wait()


class Visit:
    """One browser on the page."""

    def __init__(self, browser, door, axe, shots):
        self.door, self.axe, self.shots = door, axe, shots
        self.base = f"http://127.0.0.1:{door.port}"
        self.context = browser.new_context(viewport={"width": 360, "height": 740}, accept_downloads=True)
        self.page = self.context.new_page()
        self.faults = []
        # What the policy of the page keeps out is a fault of the page.
        self.page.on("console", lambda m: m.type == "error" and self.faults.append(m.text))
        self.page.on("pageerror", lambda e: self.faults.append(str(e)))
        self.page.on("request", lambda r: r.url.startswith((self.base, "data:")) or self.faults.append(r.url))

    def shoot(self, name):
        if self.shots:
            top = {"x": 0, "y": 0, "width": 360, "height": 560}
            self.page.screenshot(path=self.shots / f"gateway-{name}.png", clip=top)

    def log_in(self):
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.door.port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        self.page.goto(self.base + "/")
        expect(self.page).to_have_url(self.base + "/login")
        self.accessible("/login")
        self.page.get_by_label("Password").fill("not the password")
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page.get_by_role("alert")).to_contain_text("not the password")
        self.faults.clear()  # the browser reports the 401 itself
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page).to_have_url(self.base + "/")

    def accessible(self, path):
        self.page.evaluate(self.axe)
        found = self.page.evaluate("axe.run().then((r) => r.violations)")
        serious = [v for v in found if v["impact"] in ("serious", "critical")]
        assert not serious, f"{path}: " + json.dumps(
            [[v["id"], [n["html"] for n in v["nodes"]][:3]] for v in serious], indent=1)
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= self.page.viewport_size["width"], f"{path}: {wide} pixels wide"

    def aim(self):
        """The picture comes and goes on, with a box around the face and figures about it."""
        page = self.page
        page.goto(self.base + "/")
        expect(page.locator("#boxes rect")).to_have_count(1, timeout=30_000)
        expect(page.locator("#size")).to_contain_text("pixels wide", timeout=30_000)
        first = page.locator("#picture").get_attribute("src")
        page.wait_for_function("(old) => document.getElementById('picture').src !== old", arg=first)

    def enrol(self, name):
        page = self.page
        page.goto(self.base + "/people")
        page.get_by_label("Name (leave empty").fill(name)
        page.get_by_role("button", name="Start the enrolment").click()
        expect(page).to_have_url(self.base + "/")
        expect(page.locator("#enrolment")).to_contain_text("Image will be taken in", timeout=60_000)
        self.shoot("enrol")
        expect(page.locator("#enrolment")).to_have_text(f"enrolled {name}", timeout=90_000)
        page.goto(self.base + "/people")
        expect(page.locator("summary", has_text=name)).to_be_visible()

    def sees(self, words, colour, shot):
        """What the door says of the person before it; the connection comes back by itself."""
        page = self.page
        page.goto(self.base + "/")
        page.wait_for_function(
            "([words, colour]) => { const w = document.getElementById('words');"
            " return w.textContent === words && w.classList.contains(colour); }",
            arg=[words, colour], timeout=90_000, polling=50)
        self.shoot(shot)

    def export(self):
        page = self.page
        page.goto(self.base + "/events")
        expect(page.get_by_text("The chain holds")).to_be_visible()
        self.shoot("events")
        with page.expect_download() as download:
            page.get_by_role("link", name="CSV").click()
        with open(download.value.path(), newline="") as file:
            rows = list(csv.DictReader(file))
        events = [row["event"] for row in rows]
        assert "release" in events and "deny" in events and "enrolled" in events, events
        assert [int(row["seq"]) for row in rows] == list(range(1, len(rows) + 1)), "every entry, once"
        with page.expect_download() as download:
            page.get_by_role("link", name="JSON").click()
        entries = json.loads(Path(download.value.path()).read_text())
        assert len(entries) >= len(rows)
        page.get_by_label("Event").select_option("deny")
        page.get_by_role("button", name="Show").click()
        page.wait_for_url("**/events?event=deny*")
        shown = page.locator("tbody tr")
        # Denials go on meanwhile.
        assert shown.count() >= min(50, events.count("deny"))
        for text in page.locator("tbody td:nth-child(3)").all_text_contents():
            assert text == "deny", text

    def manage(self, name):
        """Another name, a day to go, and gone."""
        page, other = self.page, f"{name} the Second"
        page.goto(self.base + "/people")

        def opened(of):
            person = page.locator("details", has=page.locator("summary", has_text=of))
            person.locator("summary").click()
            return person

        person = opened(name)
        self.accessible("/people with a person opened")
        person.get_by_label("New name").fill(other)
        person.get_by_role("button", name="Rename").click()
        person = opened(other)
        person.get_by_label("Remove automatically on").fill("2099-12-31")
        person.get_by_role("button", name="Set the date").click()
        expect(page.locator("summary", has_text=f"{other} · until 2099-12-31")).to_be_visible()
        person = opened(other)
        person.get_by_role("button", name=f"Remove {other}").click()
        # Without the tick the browser sends nothing.
        expect(page).to_have_url(self.base + "/people")
        expect(person).to_be_visible()
        person.get_by_label("I am sure").check()
        person.get_by_role("button", name=f"Remove {other}").click()
        expect(page.get_by_text("Nobody yet.")).to_be_visible()
        page.goto(self.base + "/events")
        with page.expect_download() as download:
            page.get_by_role("link", name="JSON").click()
        text = Path(download.value.path()).read_text()
        events = [entry["event"] for entry in json.loads(text)]
        for event in ("renamed", "noted", "removed"):
            assert events.count(event) == 1, (event, events)
        assert name not in text, "people are numbers in the log"

    def rest(self):
        for path in PAGES:
            for width in (360, 1280):
                self.page.set_viewport_size({"width": width, "height": 740})
                self.page.goto(self.base + path)
                self.page.wait_for_timeout(600)
                self.accessible(f"{path} at {width}")
        self.page.set_viewport_size({"width": 360, "height": 740})
        self.page.goto(self.base + "/health")
        self.page.get_by_role("button", name="Log out").click()
        expect(self.page).to_have_url(self.base + "/login")
        self.page.goto(self.base + "/events")
        expect(self.page).to_have_url(self.base + "/login")
        assert not self.faults, self.faults


def visit(browser, arguments, axe, who, enrolled, later, other, shots):
    with tempfile.TemporaryDirectory(prefix="facelatch-page.") as folder:
        door = Door(arguments.program, Path(folder))
        try:
            door.camera([enrolled])
            visit = Visit(browser, door, axe, shots)
            visit.log_in()
            visit.aim()
            visit.enrol(who)
            door.camera([later])
            visit.sees(f"Identity: {who}", "green", "released")
            door.camera([other])
            visit.sees("Identity Unknown!", "red", "denied")
            visit.export()
            visit.manage(who)
            visit.rest()
            print(f"ok {who}: logged in, aimed, enrolled, let in; another was not; events exported; renamed, given "
                  "a day, removed", flush=True)
        except BaseException:
            for name in ("gateway.log", "daemon.log"):
                path = Path(folder) / name
                lines = path.read_text().splitlines() if path.exists() else []
                lines = [line for line in lines if "event=http" not in line]
                print(f"-- {name}", *lines[-25:], sep="\n", file=sys.stderr)
            raise
        finally:
            door.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("program", "walkup", "axe", "shared"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--screenshots", type=Path)
    arguments = parser.parse_args()
    axe = Path(arguments.axe).read_text()
    if arguments.screenshots:
        arguments.screenshots.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as clips:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        rendered = {}
        for who, walk in (("collins", "enrolment"), ("collins", "visit"), ("hopper", "visit")):
            rendered[who, walk] = f"{clips}/{who}-{walk}"
            subprocess.run([arguments.walkup, who, walk, rendered[who, walk]], check=True)
        visit(browser, arguments, axe, "Eileen", rendered["collins", "enrolment"], rendered["collins", "visit"],
              rendered["hopper", "visit"], arguments.screenshots)
        people = Path(arguments.shared) / "data/walkup"
        if people.is_dir():
            visit(browser, arguments, axe, "Walker", people / "02-1", people / "02-2", people / "03-2", None)
        else:
            print("skipped: walkup people: no ../shared")
        browser.close()


main()
