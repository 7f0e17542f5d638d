//! Older files in the place of newer ones: somebody with the board's card, or a backup of a single file.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use facelatch::access::{Alarm, Mode, ModeCommand};
use facelatch::audit::{AuditEvent, AuditLog, Context, FolderDisk, Hash, Rotation, Stamp};
use facelatch::protocol::Request;
use facelatch::time::Timestamp;

use super::bench::{Bench, look, now_ms};

/// A door before an empty hall, with two people enrolled by the running daemon.
fn door() -> Bench {
    let mut bench = hall();
    assert!(bench.start(None));
    for n in 1..=2 {
        bench.ask(&bench.add(&format!("person {n}"), n)).unwrap();
    }
    bench
}

/// A door before an empty hall, which has not run yet.
pub fn hall() -> Bench {
    let bench = Bench::new("recording = \"HALL\"\nfps = 10");
    let folder = bench.path("hall");
    fs::create_dir(&folder).unwrap();
    let first = folder.join("0000.png");
    image::GrayImage::from_pixel(320, 240, image::Luma([90])).save(&first).unwrap();
    for n in 1..2_000 {
        fs::hard_link(&first, folder.join(format!("{n:04}.png"))).unwrap();
    }
    let config = bench.path("facelatch.toml");
    let text = fs::read_to_string(&config).unwrap().replace("HALL", &folder.display().to_string());
    fs::write(config, text).unwrap();
    bench
}

/// A folder, or a file, as it is now.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    if from.is_dir() {
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

/// The door has seen it: secure mode, an alarm, an entry, a line in the status; over a restart, and whatever is
/// asked of it, until an operator accepts it by the word for that.
fn is_told_and_accepted(bench: &mut Bench, file: &str, words: &str) {
    assert!(bench.start(None));
    let entries = bench.wait_for("rolled_back", |entries| entries.iter().any(|e| e.event == "rolled_back"));
    let entry = entries.iter().rfind(|e| e.event == "rolled_back").unwrap();
    let detail = entry.detail.as_deref().unwrap();
    assert!(detail.contains(&format!("files={file}")) && detail.contains(words), "{detail}");
    bench.wait_for("alarm", |entries| {
        let alarm = |e: &facelatch::audit::Entry| {
            e.event == "alarm" && e.detail.as_deref() == Some("alarm=rolled_back")
        };
        entries.iter().any(alarm)
    });
    bench.wait_for("mode", |entries| entries.iter().any(|e| e.event == "mode"));
    for restart in [false, true] {
        if restart {
            bench.kill();
            assert!(bench.start(None));
            bench.wait_for("mode", |_| bench.status().mode == Mode::Secure);
        }
        let status = bench.status();
        assert_eq!(
            (status.mode, status.alarm),
            (Mode::Secure, Some(Alarm::RolledBack)),
            "restart: {restart}"
        );
        assert!(status.rolled_back.is_some_and(|told| told.contains(file)), "restart: {restart}");
        let said = bench.said(&["status"]);
        assert!(said.contains("ROLLED BACK") && said.contains("--accept-rollback"), "{said}");
        let refused = bench.ask(&Request::Mode { mode: ModeCommand::Normal }).unwrap_err();
        assert!(refused.contains("--accept-rollback"), "{refused}");
        assert_eq!(bench.status().mode, Mode::Secure);
    }
    assert_eq!(bench.said(&["mode", "normal", "--accept-rollback"]), "normal\n");
    for restart in [false, true] {
        if restart {
            bench.kill();
            assert!(bench.start(None));
            std::thread::sleep(Duration::from_millis(300));
        }
        let status = bench.status();
        assert_eq!((status.mode, status.alarm, status.rolled_back), (Mode::Normal, None, None), "{restart}");
    }
    let nothing = bench.ask(&Request::AcceptRollback {}).unwrap_err();
    assert!(nothing.contains("nothing to accept"), "{nothing}");
    let entries = bench.entries();
    let accepted = entries.iter().filter(|e| e.event == "rollback_accepted").count();
    assert_eq!(accepted, 1);
    bench.verifies();
}

#[test]
fn an_older_gallery_brings_nobody_back_unnoticed() {
    let mut bench = door();
    copy(&bench.path("gallery"), &bench.path("older"));
    bench.ask(&Request::Remove { name: "person 2".to_owned() }).unwrap();
    bench.ask(&bench.add("person 3", 3)).unwrap();
    let given_out = bench.people().iter().map(|p| p.id).max().unwrap();
    bench.wait_for("erased", |entries| entries.iter().any(|e| e.event == "erased"));
    bench.stop();
    copy(&bench.path("older"), &bench.path("gallery"));
    // Without a daemon nothing is changed on top of it.
    let refused = bench.run(&["people", "rename", "person 1", "nobody"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{error}");
    assert!(error.contains("version 2") && error.contains("--accept-rollback"), "{error}");
    // Who was removed is back, and can be removed before anything is accepted.
    assert!(bench.start(None));
    bench.wait_for("rolled_back", |entries| entries.iter().any(|e| e.event == "rolled_back"));
    assert!(bench.people().iter().any(|p| p.name == "person 2"));
    bench.ask(&Request::Remove { name: "person 2".to_owned() }).unwrap();
    bench.ask(&bench.add("person 4", 4)).unwrap();
    let new = bench.people().into_iter().find(|p| p.name == "person 4").unwrap().id;
    assert!(new > given_out, "id {new} was somebody else's");
    bench.kill();
    // The file fits by its version now; that it was put back still holds.
    assert!(bench.start(None));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(bench.status().mode, Mode::Secure);
    bench.stop();
    copy(&bench.path("older"), &bench.path("gallery"));
    is_told_and_accepted(&mut bench, "gallery", "the gallery is of version 2");
}

#[test]
fn a_lost_or_older_state_ends_no_secure_mode() {
    let mut bench = door();
    bench.wait_for("state", |entries| entries.iter().any(|e| e.event == "state"));
    copy(&bench.path("state"), &bench.path("older"));
    bench.ask(&Request::Mode { mode: ModeCommand::Secure }).unwrap();
    let told = |e: &facelatch::audit::Entry| {
        e.event == "state" && e.detail.as_deref().is_some_and(|d| d.contains("secure_mode=true"))
    };
    bench.wait_for("secure mode", |entries| entries.iter().any(told));
    bench.kill();
    fs::remove_file(bench.path("state")).unwrap();
    is_told_and_accepted(&mut bench, "state", "the door's state is lost");
    bench.stop();
    let mut bench = door();
    bench.wait_for("state", |entries| entries.iter().any(|e| e.event == "state"));
    copy(&bench.path("state"), &bench.path("older"));
    bench.ask(&Request::Mode { mode: ModeCommand::Secure }).unwrap();
    bench.wait_for("secure mode", |entries| entries.iter().any(told));
    bench.stop();
    copy(&bench.path("older"), &bench.path("state"));
    is_told_and_accepted(&mut bench, "state", "the door's state was written");
}

#[test]
fn an_emptied_shortened_or_older_log_is_no_log() {
    let mut bench = door();
    bench.wait_for("enrolled", |entries| entries.iter().filter(|e| e.event == "enrolled").count() == 2);
    bench.stop();
    copy(&bench.path("audit"), &bench.path("older"));
    assert!(bench.start(None));
    bench.ask(&bench.add("person 3", 3)).unwrap();
    bench.wait_for("enrolled", |entries| entries.iter().filter(|e| e.event == "enrolled").count() == 3);
    bench.stop();
    copy(&bench.path("audit"), &bench.path("whole"));
    let verify = |bench: &Bench, arguments: &[&str]| {
        let output = bench.run(&[&["audit", "verify"], arguments].concat());
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(verify(&bench, &[]).0, Some(0));
    // Its last entry is cut off: the chain holds, but state and gallery know better.
    let log = fs::read_dir(bench.path("audit")).unwrap().map(|e| e.unwrap().path());
    let log = log.into_iter().filter(|p| p.extension().is_some_and(|e| e == "log")).max().unwrap();
    let text = fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&log, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    let (code, said) = verify(&bench, &[]);
    assert!(code == Some(1) && said.contains("was written with this log at entry"), "{said}");
    let folder = bench.path("audit").display().to_string();
    let alone = verify(&bench, &["--folder", &folder]);
    assert_eq!(alone.0, Some(0), "a chain by itself: {}", alone.1);
    is_told_and_accepted(&mut bench, "audit_log", "the audit log lacks entry");
    bench.stop();
    // All of it is older; nothing is in it any more; the folder is gone.
    copy(&bench.path("older"), &bench.path("audit"));
    assert_eq!(verify(&bench, &[]).0, Some(1));
    is_told_and_accepted(&mut bench, "audit_log", "which the gallery knows");
    bench.stop();
    fs::remove_dir_all(bench.path("audit")).unwrap();
    fs::create_dir(bench.path("audit")).unwrap();
    for arguments in [&[][..], &["--folder", &folder], &["--json"]] {
        let (code, said) = verify(&bench, arguments);
        assert!(code == Some(1) && said.contains("it is empty"), "{arguments:?}: {said}");
    }
    fs::remove_dir(bench.path("audit")).unwrap();
    is_told_and_accepted(&mut bench, "audit_log", "the audit log lacks entry");
    // Who is enrolled afterwards, and everybody before, is as it was.
    assert_eq!(bench.people().len(), 3);
}

/// A gallery file of the version before, as that facelatch wrote it.
fn gallery_of_version_2(bench: &Bench, ids: std::ops::Range<u32>) -> Vec<u8> {
    let subject = |id: u32| {
        serde_json::json!({
            "id": id, "name": format!("person {id}"), "enrolled": 7, "model": bench.model,
            "templates": [look(id.into()).values()], "consent": null, "expires": null,
        })
    };
    let people: Vec<_> = ids.clone().map(subject).collect();
    let plain = serde_json::json!({ "version": 9, "next_id": ids.end, "subjects": people }).to_string();
    let (magic, nonce) = (*b"FLGAL\0\0\x02", [7; 24]);
    let key: [u8; 32] = fs::read(bench.path("key")).unwrap().try_into().unwrap();
    let sealed = XChaCha20Poly1305::new(&key.into())
        .encrypt(&XNonce::from(nonce), Payload { msg: plain.as_bytes(), aad: &magic })
        .unwrap();
    [&magic[..], &nonce, &sealed].concat()
}

#[test]
fn what_is_no_rollback_is_not_taken_for_one() {
    // The very first start, and the second.
    let mut bench = hall();
    let fits = |bench: &mut Bench, when: &str| {
        assert!(bench.start(None), "{when}");
        std::thread::sleep(Duration::from_millis(500));
        let status = bench.status();
        assert_eq!((status.mode, status.rolled_back), (Mode::Normal, None), "{when}");
        bench.stop();
        bench.verifies();
        let entries = bench.entries();
        assert!(entries.iter().all(|e| !matches!(e.event.as_str(), "rolled_back" | "alarm")), "{when}");
    };
    fits(&mut bench, "the first start");
    fits(&mut bench, "the second start");
    // An upgrade: gallery, state and log of the version before, which said nothing of each other.
    for file in ["gallery", "state"] {
        fs::remove_file(bench.path(file)).unwrap();
    }
    fs::remove_dir_all(bench.path("audit")).unwrap();
    fs::write(bench.path("gallery"), gallery_of_version_2(&bench, 3..6)).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let saved = serde_json::json!({"lockout": {"denials": 2, "locked": null}, "secure_mode": false});
    let state = serde_json::json!({"version": 1, "boot": boot.trim(), "saved": saved});
    fs::write(bench.path("state"), state.to_string()).unwrap();
    let now = Stamp { wall_ms: now_ms(), mono: Timestamp::from_millis(5) };
    let context = Context { model: Hash::ZERO, config: Hash::ZERO };
    let rotation = Rotation { file_bytes: 1 << 20, keep_files: 2, pool_bytes: 1 << 20 };
    let disk = FolderDisk::for_writing(&bench.path("audit")).unwrap();
    let mut log = AuditLog::open(disk, rotation, context, now).unwrap();
    for event in ["started", "enrolled", "enrolled", "enrolled", "stopped"] {
        log.append(&[(now, AuditEvent::new(event))]).unwrap();
    }
    drop(log);
    fits(&mut bench, "an upgrade");
    assert_eq!(bench.said(&["people", "list"]).lines().count(), 3);
    fits(&mut bench, "the start after an upgrade");
    // A change without the daemon, and a backup put back by the command for that after the gallery was lost.
    let (file, key) =
        (bench.path("backup").display().to_string(), bench.path("backup-key").display().to_string());
    assert!(bench.run(&["people", "backup", &file, "--key", &key]).status.success());
    assert!(bench.run(&["people", "rename", "person 4", "Ada"]).status.success());
    fits(&mut bench, "a change without the daemon");
    fs::remove_file(bench.path("gallery")).unwrap();
    assert!(bench.run(&["people", "restore", &file, "--key", &key]).status.success());
    fits(&mut bench, "a backup was restored");
    assert!(bench.run(&["people", "rotate-key"]).status.success());
    fits(&mut bench, "the key was changed");
    // A power cut in the midst of an entry.
    assert!(bench.start(None));
    std::thread::sleep(Duration::from_millis(300));
    bench.kill();
    let log = fs::read_dir(bench.path("audit")).unwrap().map(|e| e.unwrap().path());
    let log = log.into_iter().filter(|p| p.extension().is_some_and(|e| e == "log")).max().unwrap();
    let mut text = fs::read(&log).unwrap();
    text.extend_from_slice(b"0123456789abcdef torn");
    fs::write(&log, text).unwrap();
    fits(&mut bench, "a torn write");
    assert!(bench.entries().iter().any(|e| e.event == "cut"));
    // Files that are retired.
    let config = bench.path("facelatch.toml");
    let text = fs::read_to_string(&config).unwrap().replace("keep_files = 10000", "keep_files = 2");
    fs::write(&config, text).unwrap();
    for n in 0..60 {
        let name = if n % 2 == 0 { ["Michael", "person 3"] } else { ["person 3", "Michael"] };
        let consent = format!("{} {n}", "a long word ".repeat(30));
        assert!(bench.run(&["people", "note", "person 5", "--consent", &consent]).status.success());
        assert!(bench.run(&["people", "rename", name[1], name[0]]).status.success());
    }
    assert!(bench.entries()[0].seq > 1, "nothing was retired");
    fits(&mut bench, "old files were retired");
}
