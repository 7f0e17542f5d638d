//! The log of a daemon whose standard error is systemd's journal: a real systemd-journald, started in
//! namespaces of its own, with a `/run` of its own. Systemd itself is not there: the test says to the
//! daemon what systemd says (`JOURNAL_STREAM`). `make lab-service` runs the unit under systemd.

use crate::common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

const JOURNALD: &str = "/lib/systemd/systemd-journald";

/// Runs inside: $1 the program, $2 its configuration, $3 where the entries go.
const SCRIPT: &str = r#"
set -eu
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
/lib/systemd/systemd-journald 2>"$3/journald" & journald=$!
until [ -S /run/systemd/journal/socket ]; do sleep 0.05; done
# run_one NAME: the daemon with its standard error connected to the journal, until it has started.
run_one() {
    "$@" & daemon=$!
    tries=0
    until [ -S "$(dirname "$config")/socket" ]; do
        tries=$((tries + 1)); [ $tries -lt 600 ] || exit 3
        sleep 0.05
    done
    sleep 0.3
    kill -TERM $daemon; wait $daemon || true
}
program=$1 config=$2
export program config
run_one systemd-cat -t told sh -c 'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$program" run --config "$config"'
run_one systemd-cat -t untold sh -c 'unset JOURNAL_STREAM; exec "$program" run --config "$config"'
# What a stopped journal cannot take must not hold the daemon: it starts and ends all the same.
kill -STOP $journald
run_one sh -c 'ino=$(stat -L -c %d:%i "$(dirname "$config")/log"); JOURNAL_STREAM=$ino exec "$program" run --config "$config" 2>"$(dirname "$config")/log"'
kill -CONT $journald
journalctl --sync 2>/dev/null || sleep 1
journalctl --no-pager -D /run/log/journal -o json --all >"$3/entries"
kill $journald
"#;

/// Why the test cannot be made here, if so.
fn hindrance() -> Option<&'static str> {
    if !Path::new(JOURNALD).exists() || Command::new("systemd-cat").arg("--version").output().is_err() {
        return Some("no systemd-journald here");
    }
    let namespaces = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "--pid",
            "--fork",
            "mount",
            "-t",
            "tmpfs",
            "tmpfs",
            "/run",
        ])
        .stderr(Stdio::null())
        .status();
    (!namespaces.is_ok_and(|status| status.success())).then_some("this machine gives no user namespaces")
}

#[test]
fn a_log_line_is_an_entry_of_the_journal_with_fields() {
    if let Some(why) = hindrance() {
        println!("skipped: a_log_line_is_an_entry_of_the_journal_with_fields: {why}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    common::empty_hall(&dir.join("camera"), 600);
    fs::write(dir.join("log"), "").unwrap();
    let config = common::config_within(dir);
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replace("[store]\n", &format!("[store]\nstate = \"{}\"\n", dir.join("state").display()));
    let camera = dir.join("camera").display().to_string();
    fs::write(
        &config,
        format!("[camera]\nrecording = \"{camera}\"\nfps = 5\n[gateway]\nsocket = \"\"\n{text}"),
    )
    .unwrap();

    let output = Command::new("timeout")
        .args(["120", "unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"])
        .args(["sh", "-c", SCRIPT, "sh", env!("CARGO_BIN_EXE_facelatch"), &config])
        .arg(dir)
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}\n{}", fs::read_to_string(dir.join("log")).unwrap());

    let entries: Vec<Value> = fs::read_to_string(dir.join("entries"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |event: &str| -> Vec<&Value> {
        entries.iter().filter(|entry| entry["FACELATCH_EVENT"] == event).collect()
    };
    // Told by JOURNAL_STREAM: once by the first daemon, once by the one whose journal stood still.
    let started = of("started");
    assert_eq!(started.len(), 2, "{entries:#?}");
    for entry in started {
        assert!(entry["FACELATCH_CAMERA"].as_str().unwrap().contains(&camera), "{entry}");
        assert_eq!(entry["_TRANSPORT"], "journal");
        assert_eq!(entry["PRIORITY"], "6");
        assert_eq!(entry["SYSLOG_IDENTIFIER"], "facelatch");
        assert!(entry["MESSAGE"].as_str().unwrap().starts_with("event=started camera="), "{entry}");
        assert_eq!(entry["CODE_MODULE"], "facelatch::daemon");
    }
    // The last line is there as well, although the process ends behind it.
    assert!(!of("stopping").is_empty());
    // Without it the lines go to standard error, as before: no fields of ours.
    let plain: Vec<&Value> = entries.iter().filter(|entry| entry["SYSLOG_IDENTIFIER"] == "untold").collect();
    assert!(plain.iter().any(|entry| entry["MESSAGE"].as_str().is_some_and(|m| m.contains("event=started"))));
    assert!(plain.iter().all(|entry| entry.get("FACELATCH_EVENT").is_none()));
}
