//! The log in a real journal: systemd's own journald, in a mount namespace with a /run of its own.

use std::fs;
use std::process::Command;

use serde_json::Value;

/// Starts a journald, then the program with its stderr in the journal; prints the journal as JSON.
const SCRIPT: &str = r#"
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal /run/log/journal || exit 77
/lib/systemd/systemd-journald 2>/dev/null &
journald=$!
trap 'kill $journald' EXIT
for _ in $(seq 100); do [ ! -S /run/systemd/journal/stdout ] || break; sleep 0.1; done
[ -S /run/systemd/journal/stdout ] || exit 77
# As systemd does for a unit (systemd.exec(5)); systemd-cat connects stderr and leaves the variable out.
systemd-cat --identifier=cat sh -c '
    JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$@"' sh "$@"
journalctl --sync
journalctl -D /run/log/journal -o json --no-pager
"#;

fn unshare(script: &str, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).args(arguments);
    command.output().unwrap_or_else(|e| std::process::Output {
        status: std::os::unix::process::ExitStatusExt::from_raw(77 << 8),
        stdout: Vec::new(),
        stderr: e.to_string().into_bytes(),
    })
}

#[test]
fn pairs_of_a_line_are_fields_of_its_entry() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    let config = folder.path().join("facelatch.toml");
    // A camera that is over at once: the daemon starts, says so and stops.
    fs::create_dir(folder.path().join("camera")).unwrap();
    image::GrayImage::new(64, 64).save(folder.path().join("camera/0.png")).unwrap();
    let text = format!(
        "[camera]\nrecording = \"{dir}/camera\"\n[store]\ngallery = \"{dir}/gallery\"\nkey = \"{dir}/key\"\n\
         state = \"{dir}/state\"\n[audit]\nfolder = \"{dir}/audit\"\n[daemon]\nsocket = \"{dir}/socket\"\n\
         [gateway]\nsocket = \"\"\n"
    );
    fs::write(&config, text).unwrap();
    let program = env!("CARGO_BIN_EXE_facelatch");
    let output = unshare(SCRIPT, &[program, "run", "--config", config.to_str().unwrap()]);
    if output.status.code() == Some(77) || output.status.code() == Some(1) && output.stdout.is_empty() {
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        println!("skipped: pairs_of_a_line_are_fields: no journald in a namespace here: {why}");
        return;
    }
    let entries: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |event: &str| entries.iter().find(|entry| entry["FACELATCH_EVENT"] == event);
    let started = of("started").unwrap_or_else(|| panic!("no event=started: {entries:?}"));
    assert_eq!(started["_TRANSPORT"], "journal", "by journald's own protocol");
    assert_eq!((&started["SYSLOG_IDENTIFIER"], &started["PRIORITY"]), (&"facelatch".into(), &"5".into()));
    let message = started["MESSAGE"].as_str().unwrap();
    let camera = started["FACELATCH_CAMERA"].as_str().unwrap();
    assert!(
        message.starts_with("event=started ") && message.contains(&format!("camera={camera:?}")),
        "{message}"
    );
    assert!(of("recording_over").is_some(), "{entries:?}");

    // Elsewhere the same lines go to stderr.
    let plain =
        Command::new(program).args(["run", "--config"]).arg(&config).env("JOURNAL_STREAM", "1:2").output();
    let plain = String::from_utf8(plain.unwrap().stderr).unwrap();
    assert!(plain.contains("event=started camera="), "{plain}");
}
