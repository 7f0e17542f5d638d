//! Every mistake that a user can make gives one clear line and exit status 2.

use crate::common;

use std::fs;
use std::path::Path;

use common::{facelatch, portrait};
use sha2::{Digest, Sha256};

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// A configuration whose files all lie in `dir`.
fn config(dir: &Path, more: &str) -> String {
    let path = dir.join("facelatch.toml");
    let text = format!(
        "{more}\n[store]\ngallery = \"{0}/gallery\"\nkey = \"{0}/key\"\n[daemon]\nsocket = \"{0}/socket\"\n",
        dir.display()
    );
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn each_mistake_is_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let file = |name: &str, content: &[u8]| {
        fs::write(dir.join(name), content).unwrap();
        dir.join(name).display().to_string()
    };
    let whole = fs::read(portrait()).unwrap();
    let cut = file("cut.jpg", &whole[..whole.len() / 3]);
    let empty = file("empty.png", b"");
    let text = file("text.png", b"this is no picture");
    file("model.onnx", b"");
    let card = include_str!("../../models/embedder.toml");
    let card_of_empty = file("model.toml", card.replace("embedder.onnx", "model.onnx").as_bytes());
    let card_of_missing = file("missing.toml", card.replace("embedder.onnx", "gone.onnx").as_bytes());
    let bad_cascade = file("cascade.xml", b"<?xml version=\"1.0\"?><opencv_storage><x/></opencv_storage>");
    let good = portrait().display().to_string();
    let with = |name: &str, section: &str| {
        let sub = dir.join(name);
        fs::create_dir_all(&sub).unwrap();
        config(&sub, section)
    };
    let unknown_key = with("a", "[access]\nhold = 3");
    let bad_value = with("b", "[access]\nhold_ms = 0");
    let no_camera = with("c", "[camera]\ndevice = \"/dev/no-such-camera\"");
    let no_recording = with("d", "[camera]\nrecording = \"/no/such/recording\"");
    let no_model = with("e", &format!("[model]\ncard = \"{}\"", dir.join("none.toml").display()));
    let empty_model_config = with("f", &format!("[model]\ncard = \"{card_of_empty}\""));
    let wrong_cascade = with("g", &format!("[detector]\ncascade = \"{bad_cascade}\""));
    let no_line = with("h", "[strike]\nbackend = \"gpiocdev\"\nline = \"NO-SUCH-LINE\"");
    let no_daemon = with("i", "");

    for (args, words) in [
        (vec!["run", "--config", "/no/such/config.toml"], &["/no/such/config.toml", "cannot be read"][..]),
        (vec!["check", "--config", &unknown_key], &["facelatch.toml", "line 2", "hold"]),
        (vec!["run", "--config", &bad_value], &["access.hold_ms", "200"]),
        (vec!["run", "--config", &no_camera], &["/dev/no-such-camera", "no such camera"]),
        (vec!["run", "--config", &no_recording], &["/no/such/recording"]),
        (vec!["run", "--config", &no_model], &["none.toml"]),
        (vec!["run", "--config", &empty_model_config], &["model.onnx", "empty"]),
        (vec!["check", "--config", &wrong_cascade], &["cascade.xml"]),
        (vec!["run", "--config", &no_line], &["NO-SUCH-LINE"]),
        (vec!["secure", "--config", &no_line], &["NO-SUCH-LINE"]),
        (vec!["enroll", "Ada", "--config", &no_daemon], &["no daemon", "--pictures"]),
        (vec!["enroll", "a/b", "--pictures", &good, "--config", &no_daemon], &["a/b", "not a usable name"]),
        (vec!["people", "remove", "Ada", "--config", &no_daemon], &["Ada"]),
        (vec!["detect", &cut], &["cut.jpg"]),
        (vec!["detect", &empty], &["empty.png"]),
        (vec!["detect", &text], &["text.png"]),
        (vec!["detect", "/no/such/picture.png"], &["/no/such/picture.png"]),
        (vec!["detect", "--cascade", &bad_cascade, &good], &["cascade.xml"]),
        (vec!["detect", "--cascade", &empty, &good], &["empty.png"]),
        (vec!["detect", "--scale-factor", "1.0", &good], &["1"]),
        (vec!["compare", &good, &text], &["text.png"]),
        (vec!["compare", "--model", &card_of_empty, &good, &good], &["model.onnx", "empty"]),
        (vec!["compare", "--model", &card_of_missing, &good, &good], &["gone.onnx"]),
        (vec!["attempt", "--enroll", "Ada=/no/such", "--probe", &good], &["/no/such"]),
        (vec!["attempt", "--enroll", "Ada", "--probe", &good], &["NAME=PATH"]),
        (vec!["attempt", "--enroll", &format!("Ada={good}"), "--probe", &good, "--rate", "0"], &["rate"]),
        (vec!["cascade", "convert", &bad_cascade, "out.cascade"], &["cascade.xml"]),
        (vec!["model", "quantize", &text, "out.onnx"], &["text.png"]),
        (vec!["evaluate", "--subjects", "/no/such/folder"], &["/no/such/folder"]),
        (vec!["no-such-command"], &["no-such-command"]),
    ] {
        let out = facelatch(&args);
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{args:?}: {stderr}");
        for word in words {
            assert!(stderr.contains(word), "{args:?} does not say {word:?}: {stderr}");
        }
        let ours = stderr.lines().filter(|l| l.starts_with("facelatch: ")).count();
        assert!(ours == 1, "{args:?}: {stderr}");
    }
}

#[test]
fn templates_of_another_model_stay_and_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = config(dir.path(), "");
    let good = portrait().display().to_string();
    let out = facelatch(["enroll", "Ada", "--pictures", &good, "--config", &path]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let listed = facelatch(["people", "list", "--config", &path]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("Ada"));

    // The same network under another name in its graph is another file, and so another model.
    let model = include_bytes!("../../models/embedder.onnx");
    let mut other = model.to_vec();
    // Field 2 of an ONNX model is the producer's name: an unknown field appended changes the hash only.
    other.extend_from_slice(&[0xfa, 0x07, 0x01, b'x']);
    fs::write(dir.path().join("embedder.onnx"), &other).unwrap();
    let card = include_str!("../../models/embedder.toml");
    let old = card.lines().find(|l| l.starts_with("sha256")).unwrap();
    let hash = sha256_hex(&other);
    fs::write(dir.path().join("other.toml"), card.replace(old, &format!("sha256 = \"{hash}\""))).unwrap();
    let card = dir.path().join("other.toml");
    let path = config(dir.path(), &format!("[model]\ncard = \"{}\"", card.display()));
    let out = facelatch(["enroll", "Bob", "--pictures", &good, "--config", &path]);
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{stderr}");
    let listed = facelatch(["people", "list", "--json", "--config", &path]);
    let people: Vec<serde_json::Value> = String::from_utf8_lossy(&listed.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [ada, bob] = &people[..] else { panic!("{people:?}") };
    assert_eq!((&ada["name"], &bob["name"]), (&"Ada".into(), &"Bob".into()));
    assert_ne!(ada["model"], bob["model"]);
    assert_eq!(bob["model"], hash[..12]);
}
