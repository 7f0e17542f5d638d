//! The shape of the source: no modules that import each other in a circle, no file too long to read at
//! once, no public type name with two meanings.
//!
//! Each check has a list of what is known to break it. The lists may only shrink: a check fails on
//! anything that is not in its list, and on an entry that is no longer true.

mod modules;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use modules::{Crate, crates};

/// Groups of modules that import each other, `crate: module, module`.
const KNOWN_CIRCLES: &[&str] = &[];

/// Modules that import their children and are imported by them, directly or not. What both need belongs
/// into a child of its own, so that the parent only declares and re-exports.
const KNOWN_PARENTS: &[&str] = &[
    "edges: camera",
    "edges: lines",
    "edges: picture_file",
    "edges: strike",
    "facelatch: cli",
    "vision: embed",
];

/// Files with more lines of code than [`MAX_LINES`].
const KNOWN_LONG_FILES: &[&str] = &[];

/// Names of several public types.
const KNOWN_SHARED_NAMES: &[&str] = &[];

/// Lines of code that a file may have: comments, blank lines and tests are not counted.
const MAX_LINES: usize = 600;

fn workspace() -> Vec<Crate> {
    let found = crates(Path::new(env!("CARGO_MANIFEST_DIR")));
    let names: Vec<&str> = found.iter().map(|krate| krate.name.as_str()).collect();
    assert!(names.contains(&"facelatch") && names.contains(&"core"), "{names:?}");
    found
}

/// Compares what was found, by name with the details to print, with what is known.
fn compare(what: &str, found: &BTreeMap<String, String>, known: &[&str]) {
    for (name, details) in found {
        println!("{what}: {name}{details}");
    }
    let known: BTreeSet<&str> = known.iter().copied().collect();
    let new: Vec<&str> = found.keys().map(String::as_str).filter(|name| !known.contains(name)).collect();
    let gone: Vec<&str> = known.into_iter().filter(|name| !found.contains_key(*name)).collect();
    assert!(new.is_empty(), "{what}: not in the list of known ones: {new:#?}");
    assert!(gone.is_empty(), "{what}: no longer there, take them from the list: {gone:#?}");
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let mut found = BTreeMap::new();
    for krate in workspace() {
        for circle in krate.circles() {
            let inside: BTreeSet<&String> = circle.iter().collect();
            let edges = krate.imports.iter().filter(|(a, b)| inside.contains(a) && inside.contains(b));
            let details: String = edges.map(|(a, b)| format!("\n    {a} -> {b}")).collect();
            found.insert(format!("{}: {}", krate.name, circle.join(", ")), details);
        }
    }
    compare("circle of imports", &found, KNOWN_CIRCLES);
}

#[test]
fn no_parent_is_in_a_circle_with_its_children() {
    let mut found = BTreeMap::new();
    for krate in workspace() {
        for (parent, children) in krate.parents_in_circles() {
            found.insert(format!("{}: {parent}", krate.name), format!(" ({})", children.join(", ")));
        }
    }
    compare("parent in a circle", &found, KNOWN_PARENTS);
}

#[test]
fn no_file_is_too_long() {
    let mut found = BTreeMap::new();
    for krate in workspace() {
        for (path, lines) in &krate.lines {
            if *lines > MAX_LINES {
                found.insert(path.clone(), format!(" ({lines} lines of code)"));
            }
        }
    }
    compare("long file", &found, KNOWN_LONG_FILES);
}

#[test]
fn a_public_type_name_has_one_meaning() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for krate in workspace() {
        for (name, path) in krate.types {
            places.entry(name).or_default().push(path);
        }
    }
    places.retain(|_, paths| paths.len() > 1);
    let found = places.into_iter().map(|(name, paths)| (name, format!(" ({})", paths.join(", ")))).collect();
    compare("type name", &found, KNOWN_SHARED_NAMES);
}
