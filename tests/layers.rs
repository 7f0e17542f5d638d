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

/// The files of a module (`src/NAME.rs` and `src/NAME/`), each without its tests.
fn module(name: &str) -> Vec<(PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
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
    for (path, text) in modules.iter().flat_map(|name| module(name)) {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in forbidden.iter().filter(|word| code.contains(**word)) {
                found.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    found
}

const EDGES: [&str; 7] = ["camera", "strike", "lines", "store", "audit", "notify", "picture_file"];

/// The walls between the crates, and what each must not have behind it. What the core may name of the
/// standard library is held by clippy: `crates/core/clippy.toml`.
#[test]
fn no_crate_reaches_over_its_wall() {
    const NETWORK: [&str; 6] = ["axum", "hyper", "rustls", "rumqttc", "argon2", "tokio"];
    const DEVICES: [&str; 5] = ["v4l", "gpiocdev", "rppal", "rustix", "libc"];
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
    for stranger in NETWORK.iter().chain(&DEVICES).chain(&["tract-onnx", "clap", "log", "image"]) {
        assert!(!core.contains(*stranger), "the core has {stranger}");
    }
    assert_eq!(tree("facelatch-simd").into_iter().collect::<Vec<_>>(), ["facelatch-simd"]);
    let nn = tree("facelatch-nn");
    assert!(
        nn.contains("tract-onnx") && !nn.contains("facelatch-core") && !nn.contains("facelatch"),
        "{nn:?}"
    );
    for stranger in NETWORK.iter().chain(&["v4l", "gpiocdev", "rppal", "clap"]) {
        assert!(!nn.contains(*stranger), "the network runtime has {stranger}");
    }
}

#[test]
fn edges_do_not_import_each_other_or_what_is_above() {
    for edge in EDGES {
        let mut others: Vec<String> =
            EDGES.iter().filter(|e| **e != edge).map(|e| format!("crate::{e}::")).collect();
        others.extend(["daemon", "cli", "config", "door", "vision"].map(|m| format!("crate::{m}")));
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
    for path in all.iter().filter(|path| !path.ends_with("tests.rs")) {
        let text = fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        let spawns = code.contains("thread::spawn") || code.contains("thread::Builder");
        let one_place = path.ends_with("daemon/mod.rs") || path.ends_with("gateway/mod.rs");
        assert!(!spawns || one_place, "{} spawns a thread", path.display());
    }
}

/// A file that takes another's place must be synced first, and its folder after: `store::disk` does that.
#[test]
fn files_are_swapped_in_in_one_place() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    rust_files(&src, &mut all);
    let mut renames = Vec::new();
    for path in all {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        if code.contains("fs::rename(") {
            renames.push(path.strip_prefix(&src).unwrap().display().to_string());
        }
    }
    renames.sort();
    // A recording that has grown is set aside, unsynced as it is.
    assert_eq!(renames, ["store/disk.rs", "store/recording.rs"]);
}
