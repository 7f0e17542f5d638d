//! The house rules that the compiler does not check: which crate may have what, and who imports whom.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The files of an edge (`crates/edges/src/NAME`), each without its tests.
fn edge(name: &str) -> Vec<(PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/edges/src");
    let mut files = Vec::new();
    if src.join(name).is_dir() {
        rust_files(&src.join(name), &mut files);
    }
    let single = src.join(format!("{name}.rs"));
    files.extend(single.is_file().then_some(single));
    assert!(!files.is_empty(), "no module {name}");
    let text =
        |path: &PathBuf| fs::read_to_string(path).unwrap().split("#[cfg(test)]").next().unwrap().to_owned();
    files.iter().map(|path| (path.clone(), text(path))).collect()
}

fn offences(modules: &[&str], forbidden: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in modules.iter().flat_map(|name| edge(name)) {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in forbidden.iter().filter(|word| code.contains(**word)) {
                found.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    found
}

const EDGES: [&str; 5] = ["camera", "strike", "lines", "store", "picture_file"];

/// The walls between the crates, and what each must not have behind it. What the core may name of the
/// standard library is held by clippy: `crates/core/clippy.toml`.
#[test]
fn no_crate_reaches_over_its_wall() {
    const NETWORK: [&str; 6] = ["axum", "hyper", "rustls", "rumqttc-v4-next", "argon2", "tokio"];
    const DEVICES: [&str; 3] = ["v4l", "gpiocdev", "rppal"];
    let tree = |package: &str| {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
            .args(["--package", package])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("names are text");
        text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let core = tree("facelatch-core");
    let above: Vec<&str> =
        core.iter().map(String::as_str).filter(|name| name.starts_with("facelatch")).collect();
    assert_eq!(above, ["facelatch-core", "facelatch-simd"]);
    assert_eq!(tree("facelatch-simd").into_iter().collect::<Vec<_>>(), ["facelatch-simd"]);
    for stranger in NETWORK.iter().chain(&DEVICES).chain(&["tract-onnx", "clap", "log", "image", "rustix"]) {
        assert!(!core.contains(*stranger), "the core has {stranger}");
    }
    // What each crate may have of ours, and what it must not have of others'.
    type Wall<'a> = (&'a str, &'a [&'a str], &'a [&'a [&'a str]]);
    let walls: [Wall<'_>; 9] = [
        ("facelatch-nn", &["simd"], &[&NETWORK, &DEVICES, &["clap"]]),
        ("facelatch-host", &["core", "simd"], &[&NETWORK, &["v4l", "gpiocdev", "rppal", "tract-onnx"]]),
        (
            "facelatch-audit",
            &["core", "host", "simd"],
            &[&NETWORK, &["v4l", "gpiocdev", "rppal", "tract-onnx"]],
        ),
        ("facelatch-protocol", &["audit", "core", "host", "simd"], &[&NETWORK, &DEVICES, &["tract-onnx"]]),
        ("facelatch-edges", &["core", "host", "simd"], &[&NETWORK, &["tract-onnx"]]),
        ("facelatch-vision", &["core", "nn", "simd"], &[&NETWORK, &DEVICES, &["clap"]]),
        ("facelatch-lab", &["core", "edges", "host", "nn", "simd", "vision"], &[&NETWORK]),
        (
            "facelatch-gateway",
            &["audit", "core", "host", "protocol", "simd"],
            &[&["v4l", "gpiocdev", "rppal", "tract-onnx", "chacha20poly1305", "turbojpeg"]],
        ),
        (
            "facelatch",
            &["audit", "core", "edges", "host", "lab", "nn", "protocol", "simd", "vision"],
            &[&NETWORK],
        ),
    ];
    for (package, ours, strangers) in walls {
        let tree = tree(package);
        for stranger in strangers.iter().copied().flatten() {
            assert!(!tree.contains(*stranger), "{package} has {stranger}");
        }
        let allowed: BTreeSet<String> = ours.iter().map(|name| format!("facelatch-{name}")).collect();
        let own = |name: &&String| name.starts_with("facelatch") && *name != package;
        let found: BTreeSet<String> = tree.iter().filter(own).cloned().collect();
        assert!(found.is_subset(&allowed), "{package}: {found:?}");
    }
}

#[test]
fn edges_do_not_import_each_other() {
    for edge in EDGES {
        let others: Vec<String> =
            EDGES.iter().filter(|e| **e != edge).map(|e| format!("crate::{e}")).collect();
        let words: Vec<&str> = others.iter().map(String::as_str).collect();
        // Recordings are made of picture files.
        let found: Vec<String> = offences(&[edge], &words)
            .into_iter()
            .filter(|line| !(edge == "camera" && line.contains("crate::picture_file")))
            .collect();
        assert_eq!(found, Vec::<String>::new());
    }
}

#[test]
fn threads_are_spawned_in_one_place_of_each_process() {
    let mut all = Vec::new();
    for folder in ["src", "crates"] {
        rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut all);
    }
    let is_test = |path: &PathBuf| path.ends_with("tests.rs") || path.iter().any(|part| part == "tests");
    for path in all.iter().filter(|path| !is_test(path)) {
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let spawns = code.contains("thread::spawn") || code.contains("thread::Builder");
        let one_place = path.ends_with("daemon/spawn.rs") || path.ends_with("gateway/src/lib.rs");
        assert!(!spawns || one_place, "{} spawns a thread", path.display());
    }
}

/// A file that takes another's place must be synced first, and its folder after: `facelatch_host::disk` does that.
#[test]
fn files_are_swapped_in_in_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    for folder in ["src", "crates"] {
        rust_files(&root.join(folder), &mut all);
    }
    let mut renames = Vec::new();
    for path in all {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        if code.contains("fs::rename(") {
            renames.push(path.strip_prefix(root).unwrap().display().to_string());
        }
    }
    renames.sort();
    // A recording that has grown is set aside, unsynced as it is.
    assert_eq!(renames, ["crates/edges/src/store/recording.rs", "crates/host/src/disk.rs"]);
}
