//! `facelatch people` without a daemon: notes, names, copies, a new key, and the entries of all that.

mod common;

use std::fs;
use std::path::Path;

use common::{config_within, facelatch, one_error_line};

#[test]
fn people_are_noted_copied_restored_and_moved() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let config = config_within(folder.path());
    fs::write(path("recording"), "similarities\n").unwrap();
    let run = |arguments: &[&str]| facelatch(arguments.iter().chain(&["--config", &config]));
    let done = |arguments: &[&str]| {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        text
    };
    let portraits = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/portraits");
    let portrait = |name: &str| portraits.join(name).display().to_string();
    done(&["enroll", "Ada", "--pictures", &portrait("hopper.jpg")]);
    done(&["enroll", "Mike", "--pictures", &portrait("collins.jpg")]);
    let twice = one_error_line(&run(&["enroll", "Eve", "--pictures", &portrait("collins.jpg")]));
    assert!(twice.contains("already enrolled as \"Mike\""), "{twice}");
    done(&["people", "note", "Ada", "--consent", "form 12", "--expires", "2100-01-31"]);
    let shown = done(&["people", "show", "Ada"]);
    assert!(shown.contains("form 12") && shown.contains("2100-01-31"), "{shown}");
    done(&["people", "rename", "Mike", "Michael"]);
    let taken = one_error_line(&run(&["people", "rename", "Ada", "Michael"]));
    assert!(taken.contains("enrolled already"), "{taken}");

    let (backup, backup_key) = (path("backup"), path("backup-key"));
    done(&["people", "backup", &backup, "--key", &backup_key]);
    done(&["people", "remove", "Ada"]);
    assert!(!Path::new(&path("recording")).exists(), "similarities to Ada stood in it");
    let restored = run(&["people", "restore", &backup, "--key", &backup_key]);
    assert_eq!(restored.status.code(), Some(1), "somebody was left out");
    assert!(!done(&["people", "list"]).contains("Ada"), "who was removed stays removed");
    fs::remove_file(path("gallery")).unwrap();
    done(&["people", "restore", &backup, "--key", &backup_key]);
    let copy = path("copy");
    done(&["people", "export", &copy, "--key", &path("copy-key"), "Ada"]);
    done(&["people", "rename", "Ada", "Eve"]);
    let known = one_error_line(&run(&["people", "import", &copy, "--key", &path("copy-key")]));
    assert!(known.contains("already enrolled as \"Eve\""), "{known}");
    done(&["people", "remove", "Eve"]);
    let sealed = one_error_line(&run(&["people", "import", &copy, "--key", &backup_key]));
    assert!(sealed.contains("another key"), "{sealed}");
    done(&["people", "import", &copy, "--key", &path("copy-key")]);
    assert!(done(&["people", "show", "Ada"]).contains("form 12"));

    let before = fs::read(path("key")).unwrap();
    done(&["people", "rotate-key"]);
    assert_ne!(fs::read(path("key")).unwrap(), before);
    let list = done(&["people", "list"]);
    assert!(list.contains("Ada") && list.contains("Michael"), "{list}");
    fs::write(path("key"), before).unwrap();
    let old = one_error_line(&run(&["people", "list"]));
    assert!(old.contains("another key"), "{old}");

    let entries = done(&["audit", "show"]);
    for event in
        ["enrolled", "noted", "renamed", "exported", "removed", "restored", "key_rotated", "from=copy"]
    {
        assert!(entries.contains(event), "{event}: {entries}");
    }
    assert!(!entries.contains("Ada") && !entries.contains("form 12"), "no name and no note in the log");
}
