//! The daemon itself, as a process: a recording for a camera, its socket, signals and the strike.

use crate::common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::facelatch;
use facelatch::demo::portrait::Portrait;
use facelatch::demo::walkup::{Walk, WalkUp};

/// A running daemon; killed when a test fails.
struct Daemon {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
}

impl Daemon {
    fn start(config: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_facelatch"))
            .args(["run", "--config"])
            .arg(config)
            .env("RUST_LOG", "facelatch=debug")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut daemon = Daemon { child, log };
        let renamed = daemon.wait_for("event=config_key_renamed");
        assert!(renamed.contains("daemon.stall_ms is now daemon.watchdog_stall_ms: rename it"), "{renamed}");
        // A name in the configuration that nobody has is spoken of, once, and not by itself.
        let warning = daemon.wait_for("event=schedule_strangers");
        assert!(warning.contains("key=schedule.people names=1") && !warning.contains("Eilen"), "{warning}");
        daemon.wait_for("event=started");
        daemon
    }

    /// Reads the log up to a line with these words; panics when the daemon ends before.
    fn wait_for(&mut self, words: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "{words:?} never came:\n{seen}");
            if line.contains(words) {
                return line;
            }
            seen.push_str(&line);
        }
    }

    fn rest(&mut self) -> String {
        let mut text = String::new();
        self.log.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Renders a walk-up into a folder of pictures, as a camera would have recorded it.
fn record(folder: &Path, who: Portrait, walk: Walk) {
    fs::create_dir_all(folder).unwrap();
    let walkup = WalkUp::new("test", who, walk);
    for n in 0..walkup.len() {
        walkup.frame(n).save(folder.join(format!("{n:04}.jpg"))).unwrap();
    }
}

/// `stall_ms` is the old name of a key: this version accepts it with a hint.
fn config(dir: &Path, recording: &Path) -> std::path::PathBuf {
    let path = dir.join("facelatch.toml");
    let text = format!(
        "[camera]\nrecording = \"{1}\"\nfps = 20\n[liveness]\ncheck = false\n[access]\nhold_ms = 400\n\
         [store]\ngallery = \"{0}/gallery\"\nkey = \"{0}/key\"\n\
         state = \"{0}/state\"\n[recording]\nenabled = true\nfile = \"{0}/recording\"\n\
         frames = true\nframes_folder = \"{0}/frames\"\n[audit]\nfolder = \"{0}/audit\"\n[daemon]\nsocket = \"{0}/socket\"\n\
         stall_ms = 5000\n[schedule.people]\nEilen = [\"mon-sun 00:00-24:00\"]\n",
        dir.display(),
        recording.display()
    );
    fs::write(&path, text).unwrap();
    path
}

fn words(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_recorded_visit_opens_for_the_person_enrolled_and_names_stay_out_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    record(&dir.join("visit"), Portrait::collins().unwrap(), Walk::VISIT);
    let config = config(dir, &dir.join("visit"));
    let conf = config.to_str().unwrap();
    let portrait = common::portrait();
    let out = facelatch(["enroll", "Eileen", "--pictures", portrait.to_str().unwrap(), "--config", conf]);
    assert_eq!(out.status.code(), Some(0), "{}", words(&out));

    let mut daemon = Daemon::start(&config);
    let listed = facelatch(["people", "list", "--json", "--config", conf]);
    assert!(words(&listed).contains("\"name\":\"Eileen\""), "{}", words(&listed));
    let status = facelatch(["status", "--json", "--config", conf]);
    assert!(words(&status).contains("\"running\":true"), "{}", words(&status));

    daemon.wait_for("event=release subject=0");
    let status = facelatch(["status", "--json", "--config", conf]);
    assert!(words(&status).contains("\"strike\":"), "{}", words(&status));
    daemon.wait_for("event=secured");
    let rest = daemon.rest();
    assert!(rest.contains("event=recording_over"), "{rest}");
    assert!(!rest.contains("Eileen"), "names do not belong in the log: {rest}");
    assert!(daemon.child.wait().unwrap().success());
    assert!(!dir.join("socket").exists(), "the socket is removed");

    // The run was recorded: it replays to the same actions, and to others with other numbers.
    let recording = dir.join("recording");
    let bytes = fs::read(&recording).unwrap();
    assert!(!bytes.windows(6).any(|w| w == b"Eileen"), "nor in the recording");
    let replay = |arguments: &[&str]| {
        let out = facelatch([&["replay", recording.to_str().unwrap()], arguments].concat());
        assert_eq!(out.status.code(), Some(0), "{}", words(&out));
        words(&out)
    };
    assert!(replay(&[]).contains("identical"), "{}", replay(&[]));
    let what_if = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&replay(&[arguments, &["--json"]].concat())).unwrap()
    };
    let strict = what_if(&["--threshold", "0.999"]);
    assert!(strict["recorded"]["releases_by_face"].as_u64() > Some(0), "{strict}");
    assert_eq!(strict["replayed"]["releases_by_face"], 0, "{strict}");
    let longer = what_if(&["--hold-time", "800"]);
    assert!(
        longer["replayed"]["released_ms"].as_u64() > longer["recorded"]["released_ms"].as_u64(),
        "{longer}"
    );
    // A changed action is found.
    let text = String::from_utf8(bytes).unwrap();
    fs::write(&recording, text.replacen("[\"release\"", "[\"secure\"", 1)).unwrap();
    let out = facelatch(["replay", recording.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(1), "{}", words(&out));
    assert!(words(&out).contains("the replay differs"), "{}", words(&out));

    // The audit log has it, without the name, and tells when it is no longer as it was written.
    let shown = words(&facelatch(["audit", "show", "--config", conf]));
    for entry in ["started", "release subject=0 similarity=0.", "secured", "stopped reason=\"in good order\""]
    {
        assert!(shown.contains(entry), "{entry}: {shown}");
    }
    assert!(!shown.contains("Eileen"), "{shown}");
    let checkpoint = dir.join("checkpoint");
    let checkpoint = checkpoint.to_str().unwrap();
    let exported = facelatch(["audit", "export", "--head", "--out", checkpoint, "--config", conf]);
    assert_eq!(exported.status.code(), Some(0), "{}", words(&exported));
    let verify = || facelatch(["audit", "verify", "--checkpoint", checkpoint, "--config", conf]);
    assert_eq!(verify().status.code(), Some(0), "{}", words(&verify()));
    let log = fs::read_dir(dir.join("audit")).unwrap().map(|e| e.unwrap().path());
    let log = log.into_iter().find(|p| p.extension().is_some_and(|e| e == "log")).unwrap();
    let text = fs::read_to_string(&log).unwrap();
    let release = text.lines().position(|line| line.contains("\"release\"")).unwrap();
    let changed = |(number, line): (usize, &str)| {
        if number == release { line.replacen("\"subject\":0", "\"subject\":1", 1) } else { line.to_owned() }
    };
    let forged: Vec<String> = text.lines().enumerate().map(changed).collect();
    fs::write(&log, forged.join("\n") + "\n").unwrap();
    let broken = verify();
    assert_eq!(broken.status.code(), Some(1));
    assert!(words(&broken).contains(&format!("BROKEN at entry {}", release + 1)), "{}", words(&broken));
    let short: String = text.lines().take(release).flat_map(|line| [line, "\n"]).collect();
    fs::write(&log, short).unwrap();
    let folder = dir.join("audit");
    let alone = facelatch(["audit", "verify", "--folder", folder.to_str().unwrap()]);
    assert_eq!(alone.status.code(), Some(0), "a chain by itself");
    let known = facelatch(["audit", "verify", "--config", conf]);
    assert_eq!(known.status.code(), Some(1), "gallery and state know of more: {}", words(&known));
    assert!(words(&verify()).contains("when the checkpoint was exported"), "{}", words(&verify()));
}

#[test]
fn doctor_asks_what_the_configuration_asks_for() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    common::empty_hall(&dir.join("hall"), 3);
    let hall = format!("[camera]\nrecording = \"{}\"\n", dir.join("hall").display());
    let path = dir.join("door.toml");
    let doctor = |text: &str| {
        let state = dir.display();
        let rest = format!(
            "[store]\ngallery = \"{state}/gallery\"\nkey = \"{state}/key\"\n[daemon]\nsocket = \"{state}/socket\"\n"
        );
        fs::write(&path, format!("{text}\n{rest}")).unwrap();
        let out = facelatch(["doctor", "--config", path.to_str().unwrap()]);
        (out.status.code(), words(&out))
    };
    let named = |text: &str, key: &str, what: &str| {
        let (code, said) = doctor(text);
        let line = said.lines().find(|line| line.starts_with("PROBLEM") && line.contains(key));
        assert_eq!(code, Some(1), "{said}");
        assert!(line.is_some_and(|line| line.contains(what)), "{key}, {what}: {said}");
    };
    // A recorded camera and a simulated strike ask for no device.
    let (code, said) = doctor(&hall);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("nothing is wrong") && !said.contains("PROBLEM"), "{said}");
    assert!(said.contains(path.to_str().unwrap()), "{said}");
    // What is asked for and not there is named with its key.
    let strike = format!("{hall}[strike]\nbackend = \"gpiocdev\"\nline = \"NO-SUCH-RELAY\"\n");
    named(&strike, "strike.line = \"NO-SUCH-RELAY\"", "GPIO");
    let rex = format!("{strike}[lines]\nrex = {{ line = \"nochip:3\" }}\n");
    named(&rex, "lines.rex = \"nochip:3\"", "GPIO");
    named("[camera]\nrecording = \"/no/such/film\"\n", "/no/such/film", "");
    // What `check` asks: keys, values, networks, the zone.
    named(&format!("{hall}fsp = 3\n"), "fsp", "door.toml");
    named(&format!("{hall}[access]\nhold_ms = 1\n"), "access.hold_ms = 1", "200");
    named(
        &format!("{hall}hang_ms = 900\nframe_timeout_ms = 900\n"),
        "camera.hang_ms",
        "camera.frame_timeout_ms",
    );
    named(&format!("{hall}[model]\ncard = \"/no/such/card.toml\"\n"), "/no/such/card.toml", "");
    let out = facelatch(["doctor", "--json", "--config", "/no/such/door.toml"]);
    let found: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(1), "{found}");
    let first = found["problems"].as_array().unwrap().iter().find(|p| p.to_string().contains("door.toml"));
    assert!(first.is_some(), "{found}");
}

#[test]
fn frames_with_a_face_are_kept_sealed_and_go_with_a_person() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    record(&dir.join("visit"), Portrait::collins().unwrap(), Walk::VISIT);
    let config = config(dir, &dir.join("visit"));
    let conf = config.to_str().unwrap();
    let portrait = common::portrait();
    let enroll = |name: &str| {
        let out = facelatch(["enroll", name, "--pictures", portrait.to_str().unwrap(), "--config", conf]);
        assert_eq!(out.status.code(), Some(0), "{}", words(&out));
    };
    enroll("Eileen");
    let check = words(&facelatch(["check", "--config", conf]));
    assert!(
        check.contains("no enrolled person with the name \"Eilen\"") && check.contains("PICTURES OF PEOPLE"),
        "{check}"
    );
    let hint = "key daemon.stall_ms is now daemon.watchdog_stall_ms: rename it";
    assert!(check.contains(hint), "{check}");
    let doctor = facelatch(["doctor", "--config", conf]);
    assert_eq!(doctor.status.code(), Some(1));
    assert!(
        words(&doctor).lines().any(|line| line.starts_with("note") && line.ends_with(hint)),
        "{}",
        words(&doctor)
    );
    assert!(words(&doctor).contains("\"Eilen\" is not enrolled"), "{}", words(&doctor));
    let frames = |arguments: &[&str]| facelatch([&["frames"], arguments, &["--config", conf]].concat());
    assert_eq!(frames(&["list"]).status.code(), Some(1), "none yet");

    let mut daemon = Daemon::start(&config);
    daemon.wait_for("event=release subject=0");
    daemon.rest();
    let listed = words(&frames(&["list", "--json"]));
    let notes: Vec<serde_json::Value> =
        listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(notes.len() >= 15, "a window of faces at least: {listed}");
    assert!(notes.iter().all(|n| n["note"]["faces"].as_array().is_some_and(|f| !f.is_empty())), "{listed}");
    for entry in fs::read_dir(dir.join("frames")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        for plain in [&[0xff, 0xd8, 0xff, 0xe0, 0, 0x10][..], b"JFIF\0\x01", b"\"faces"] {
            assert!(!bytes.windows(plain.len()).any(|w| w == plain), "{plain:?} is readable");
        }
    }
    let out = dir.join("export");
    let exported = frames(&["export", "--out", out.to_str().unwrap(), notes[0]["name"].as_str().unwrap()]);
    assert_eq!(exported.status.code(), Some(0), "{}", words(&exported));
    let picture = fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    let picture = facelatch::picture_file::load_gray(&picture).unwrap();
    assert!(picture.width() >= 320 && picture.pixels().iter().any(|&p| p != picture.pixels()[0]));
    let strange = frames(&["export", "--out", out.to_str().unwrap(), "../key"]);
    assert_eq!(strange.status.code(), Some(2), "{}", words(&strange));
    // Another key opens none of them, and says so.
    fs::rename(dir.join("key"), dir.join("kept")).unwrap();
    fs::write(dir.join("key"), [1; 32]).unwrap();
    fs::set_permissions(dir.join("key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let wrong = frames(&["list"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(words(&wrong).contains("another key"), "{}", words(&wrong));
    fs::rename(dir.join("kept"), dir.join("key")).unwrap();

    let removed = facelatch(["people", "remove", "Eileen", "--config", conf]);
    assert_eq!(removed.status.code(), Some(0), "{}", words(&removed));
    assert_eq!(fs::read_dir(dir.join("frames")).unwrap().count(), 0, "they went with her");

    // The running daemon erases them as well.
    enroll("Eileen");
    let mut daemon = Daemon::start(&config);
    daemon.wait_for("event=release subject=1");
    let removed = facelatch(["people", "remove", "Eileen", "--config", conf]);
    assert_eq!(removed.status.code(), Some(0), "{}", words(&removed));
    daemon.wait_for("event=frames_erased");
    daemon.rest();
}

#[test]
fn pages_and_completions_come_from_the_command_line_itself() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("man");
    assert_eq!(facelatch(["manual", folder.to_str().unwrap()]).status.code(), Some(0));
    let page = fs::read_to_string(folder.join("facelatch-audit-verify.1")).unwrap();
    assert!(page.contains("checkpoint"), "{page}");
    for shell in ["bash", "zsh", "fish"] {
        let out = facelatch(["completions", shell]);
        assert!(words(&out).contains("checkpoint"), "{shell}");
    }
}

#[test]
fn the_countdown_over_the_socket_and_what_else_clients_ask() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // Enrolment needs 5 s of face in all: the walk is played twice.
    let visit = dir.join("visit");
    record(&visit, Portrait::hopper().unwrap(), Walk::ENROLMENT);
    let frames: Vec<_> = fs::read_dir(&visit).unwrap().map(|e| e.unwrap().path()).collect();
    for round in 1..4 {
        for frame in &frames {
            let name = frame.file_name().unwrap().to_str().unwrap();
            fs::copy(frame, visit.join(format!("{round}{name}"))).unwrap();
        }
    }
    let config = config(dir, &visit);
    let conf = config.to_str().unwrap();
    let mut daemon = Daemon::start(&config);

    let second = facelatch(["run", "--config", conf]);
    assert_eq!(second.status.code(), Some(2));
    assert!(words(&second).contains("another facelatch"), "{}", words(&second));
    let bad = facelatch(["enroll", "a/b", "--config", conf]);
    assert_eq!(bad.status.code(), Some(1), "{}", words(&bad));

    let enrolled = facelatch(["enroll", "Grace", "--config", conf]);
    assert_eq!(enrolled.status.code(), Some(0), "{}", words(&enrolled));
    for said in ["Image will be taken in 5..", "Image will be taken in 1..", "enrolled Grace"] {
        assert!(words(&enrolled).contains(said), "{}", words(&enrolled));
    }
    let mode = |arguments: &[&str]| words(&facelatch([&["mode"], arguments, &["--config", conf]].concat()));
    assert_eq!(mode(&[]), "normal\n");
    assert!(mode(&["hold-open"]).contains("--for"), "a time is asked for");
    assert!(mode(&["hold-open", "--for", "100000"]).contains("max_hold_open_s"));
    assert_eq!(mode(&["hold-open", "--for", "60"]), "hold_open\n");
    daemon.wait_for("event=release cause=hold_open");
    assert_eq!(mode(&["secure"]), "secure\n");
    daemon.wait_for("event=secured why=command");
    let status = facelatch(["status", "--json", "--config", conf]);
    assert!(words(&status).contains("\"mode\":\"secure\""), "{}", words(&status));
    assert!(mode(&["--clear-lockout"]).contains("was cleared"));
    let removed = facelatch(["people", "remove", "Grace", "--config", conf]);
    assert_eq!(removed.status.code(), Some(0), "{}", words(&removed));
    let secured = facelatch(["secure", "--config", conf]);
    assert!(words(&secured).contains("secured by the daemon"), "{}", words(&secured));

    // A stop by signal is in good order: the strike is secured, the exit is clean.
    let pid = daemon.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    daemon.wait_for("event=stopping");
    assert!(daemon.child.wait().unwrap().success());

    // Secure mode outlives the stop.
    let mut daemon = Daemon::start(&config);
    assert_eq!(words(&facelatch(["mode", "--config", conf])), "secure\n");
    daemon.child.kill().unwrap();
    daemon.rest();
    let state = fs::read_to_string(dir.join("state")).unwrap();
    assert!(state.contains("\"secure_mode\":true"), "{state}");
}

/// A kernel that keeps its outputs driven leaves the door open when its holder is killed; here the file of a
/// simulated strike stands for the line.
#[test]
fn the_line_that_the_daemon_drove_is_secured_whatever_the_configuration_says_since() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let path = config(dir, Path::new("/no/recording"));
    let text = fs::read_to_string(&path).unwrap();
    let strike = |line: &str| format!("{text}[strike]\nstate_file = \"{}/{line}\"\n", dir.display());
    fs::create_dir(dir.join("service")).unwrap();
    let service = |command: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_facelatch"));
        program.args([command, "--config"]).arg(&path).env("STATE_DIRECTORY", dir.join("service"));
        program.output().unwrap()
    };
    let shown = |line: &str| fs::read_to_string(dir.join(line)).unwrap_or_default().trim().to_owned();
    let broken = text.replace("fps = 20", "fsp = 20");
    for (changed, error) in [(&broken, "fsp"), (&strike("moved"), "/no/recording")] {
        for command in ["secure", "run"] {
            // It secures, keeps its configuration, and then finds no camera.
            fs::write(&path, strike("line")).unwrap();
            assert!(words(&service("run")).contains("/no/recording"));
            fs::write(dir.join("line"), "released\n").unwrap();
            fs::write(dir.join("moved"), "released\n").unwrap();
            fs::write(&path, changed).unwrap();
            let said = words(&service(command));
            assert_eq!(shown("line"), "secured", "{command}: {said}");
            assert!(said.contains("event=former_strike_secured"), "{command}: {said}");
            if changed == &broken || command == "run" {
                assert!(said.contains(error), "{command}: {said}");
            }
            assert_eq!(shown("moved") == "secured", changed != &broken, "{command}: {said}");
        }
    }
    // Where the line is the same, it is secured once, as it is wired now.
    fs::write(&path, strike("moved") + "polarity = \"active-low\"\n").unwrap();
    let said = words(&service("secure"));
    assert!(said.contains("secured simulated") && !said.contains("former"), "{said}");
}

#[test]
fn without_a_daemon_status_says_so_and_secure_takes_the_line_itself() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), Path::new("unused"));
    let conf = config.to_str().unwrap();
    let status = facelatch(["status", "--config", conf]);
    assert_eq!(status.status.code(), Some(1));
    let secured = facelatch(["secure", "--config", conf]);
    assert_eq!(secured.status.code(), Some(0), "{}", words(&secured));
    assert!(words(&secured).contains("simulated"), "{}", words(&secured));
}
