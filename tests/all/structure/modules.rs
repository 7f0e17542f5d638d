//! The modules of a crate and who imports whom. A module is a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::source::{Import, Source};

/// How many re-exports are followed from a name to where it is defined.
const MAX_REEXPORTS: usize = 16;

/// The modules of one crate of the workspace.
pub struct Crate {
    /// The folder in `crates/`, or `facelatch` for the root package.
    pub name: String,
    /// Which module imports which; modules by their path, `crate` for the root.
    pub imports: BTreeSet<(String, String)>,
    /// Lines of code of each file, by its path in the workspace.
    pub lines: Vec<(String, usize)>,
    /// Public type names and the file that defines them.
    pub types: Vec<(String, String)>,
}

/// All crates of the workspace, the root package first.
pub fn crates(root: &Path) -> Vec<Crate> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let named = folders.into_iter().map(|folder| {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        (name, folder)
    });
    std::iter::once(("facelatch".to_owned(), root.to_owned()))
        .chain(named)
        .filter(|(_, folder)| folder.join("src").is_dir())
        .map(|(name, folder)| read(root, name, &folder.join("src")))
        .collect()
}

type Modules = BTreeMap<Vec<String>, Source>;

fn read(root: &Path, name: String, src: &Path) -> Crate {
    let mut krate = Crate { name, imports: BTreeSet::new(), lines: Vec::new(), types: Vec::new() };
    for main in ["lib.rs", "main.rs"].map(|file| src.join(file)).iter().filter(|file| file.is_file()) {
        let mut modules = Modules::new();
        load(root, main, Vec::new(), &mut modules, &mut krate);
        krate.imports.extend(imports(&modules));
    }
    krate
}

/// Reads a file and those that it declares.
fn load(root: &Path, file: &Path, module: Vec<String>, modules: &mut Modules, krate: &mut Crate) {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let source = Source::read(&text);
    let shown = file.strip_prefix(root).unwrap().display().to_string();
    krate.lines.push((shown.clone(), source.lines));
    krate.types.extend(source.types.iter().map(|name| (name.clone(), shown.clone())));
    let stem = file.file_stem().unwrap().to_string_lossy();
    let folder = match &*stem {
        "lib" | "main" | "mod" => file.parent().unwrap().to_owned(),
        _ => file.with_extension(""),
    };
    for name in &source.files {
        let candidates = [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
        let Some(path) = candidates.iter().find(|path| path.is_file()) else {
            panic!("{}: no file for `mod {name}`", file.display());
        };
        load(root, path, [&module[..], std::slice::from_ref(name)].concat(), modules, krate);
    }
    modules.insert(module, source);
}

fn shown(module: &[String]) -> String {
    if module.is_empty() { "crate".to_owned() } else { module.join("::") }
}

/// Who imports whom.
fn imports(modules: &Modules) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (module, source) in modules {
        let mut add = |path: &[String]| {
            if let Some(target) = resolve(modules, module, path, MAX_REEXPORTS)
                && target != *module
            {
                found.insert((shown(module), shown(&target)));
            }
        };
        for import in &source.names {
            // A parent that re-exports what its children define does not depend on them.
            let child = import.path.first().filter(|first| *first != "self").or(import.path.get(1));
            if !(import.public && child.is_some_and(|name| source.files.contains(name))) {
                add(&import.path);
            }
        }
        for path in &source.paths {
            // The first name may stand for a module that has been imported.
            match source.names.iter().find(|import| import.name == path[0]) {
                Some(import) => add(&[&import.path[..], &path[1..]].concat()),
                None => add(path),
            }
        }
    }
    found
}

/// The module that defines what a path in `from` leads to; `None` where it leads out of the crate.
fn resolve(modules: &Modules, from: &[String], path: &[String], left: usize) -> Option<Vec<String>> {
    let mut place = from.to_vec();
    let mut rest = path;
    match rest.first()?.as_str() {
        "crate" => place.clear(),
        "self" => {}
        "super" => {
            place.pop()?;
        }
        // A child, or the name of a crate or of something in this file.
        first if modules[from].files.iter().any(|file| file == first) => place.push(first.to_owned()),
        _ => return None,
    }
    rest = &rest[1..];
    while let Some(next) = rest.first() {
        if next == "super" {
            place.pop()?;
        } else if modules[&place].files.contains(next) {
            place.push(next.clone());
        } else {
            return defined_by(modules, &place, rest, left);
        }
        rest = &rest[1..];
    }
    Some(place)
}

/// The module that defines the first name of `rest`, looked for in `place`.
fn defined_by(modules: &Modules, place: &[String], rest: &[String], left: usize) -> Option<Vec<String>> {
    let (source, name) = (&modules[place], &rest[0]);
    let left = left.checked_sub(1)?;
    let taken_from =
        |import: &Import, rest: &[String]| resolve(modules, place, &[&import.path[..], rest].concat(), left);
    if let Some(import) = source.names.iter().find(|import| import.name == *name) {
        return taken_from(import, &rest[1..]);
    }
    if source.items.contains(name) {
        return Some(place.to_vec());
    }
    let everything = source.names.iter().filter(|import| import.name == "*" && import.public);
    let mut found = everything.filter_map(|import| {
        let target = taken_from(import, rest)?;
        modules[&target].items.contains(name).then_some(target)
    });
    // What a macro makes is found nowhere: it belongs to the module that it was looked for in.
    Some(found.next().unwrap_or_else(|| place.to_vec()))
}

type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// For each module, those that it imports, directly or not.
fn reached<'a>(imports: impl Iterator<Item = &'a (String, String)>) -> Graph<'a> {
    let mut direct = Graph::new();
    for (from, to) in imports {
        direct.entry(from).or_default().insert(to);
    }
    let all = direct.keys().map(|start| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![*start]);
        while let Some(module) = open.pop() {
            for next in direct.get(module).into_iter().flatten() {
                if seen.insert(*next) {
                    open.push(next);
                }
            }
        }
        (*start, seen)
    });
    all.collect()
}

/// Whether the import is that of something in a module by that module itself.
fn is_inward((from, to): &(String, String)) -> bool {
    from == "crate" || to.strip_prefix(from.as_str()).is_some_and(|rest| rest.starts_with("::"))
}

impl Crate {
    /// Groups of modules in which each imports, directly or not, every other, without the imports of
    /// children by their parents: [`Crate::parents_in_circles`] has those.
    pub fn circles(&self) -> Vec<Vec<String>> {
        let reached = reached(self.imports.iter().filter(|import| !is_inward(import)));
        let mut circles = BTreeSet::new();
        for (module, seen) in &reached {
            let back = |other: &&&str| reached.get(**other).is_some_and(|seen| seen.contains(module));
            let circle: BTreeSet<&str> = seen.iter().filter(back).copied().collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().map(|circle| circle.into_iter().map(str::to_owned).collect()).collect()
    }

    /// Modules that import something in themselves that imports them, directly or not, and what that is.
    pub fn parents_in_circles(&self) -> BTreeMap<String, Vec<String>> {
        let reached = reached(self.imports.iter());
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (parent, child) in self.imports.iter().filter(|import| is_inward(import)) {
            if reached.get(child.as_str()).is_some_and(|seen| seen.contains(parent.as_str())) {
                found.entry(parent.clone()).or_default().push(child.clone());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn krate(files: &[(&str, &str)]) -> Crate {
        let module =
            |path: &str| path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let modules: Modules = files.iter().map(|(path, text)| (module(path), Source::read(text))).collect();
        let imports = imports(&modules);
        Crate { name: String::new(), imports, lines: Vec::new(), types: Vec::new() }
    }

    #[test]
    fn a_circle_is_found_through_what_the_parent_reexports() {
        let found = krate(&[
            ("", "pub mod a;"),
            ("a", "mod b; mod c; mod d; pub use b::{self, B}; pub use d::*;"),
            ("a::b", "pub struct B(super::c::C);"),
            ("a::c", "use crate::a; pub struct C; fn f() { a::B::new(); std::mem::take(); }"),
            ("a::d", "use super::B as Other; pub struct D;"),
        ]);
        assert_eq!(found.circles(), [["a::b", "a::c"]], "{:?}", found.imports);
        assert_eq!(found.parents_in_circles(), BTreeMap::new());
        let open = krate(&[
            ("", "mod a; mod b;"),
            ("a", "use crate::b::B; pub struct A;"),
            ("b", "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }"),
        ]);
        assert_eq!(open.circles(), Vec::<Vec<String>>::new());
        assert!(open.imports.contains(&("a".to_owned(), "b".to_owned())));
    }

    #[test]
    fn a_parent_that_does_more_than_declare_is_found() {
        let found = krate(&[
            ("", "mod a; mod far;"),
            ("a", "mod b; use b::B; pub struct A;"),
            ("a::b", "use crate::far::Far; pub struct B;"),
            ("far", "use crate::a::A; pub struct Far;"),
        ]);
        assert_eq!(found.circles(), Vec::<Vec<String>>::new());
        assert_eq!(found.parents_in_circles(), BTreeMap::from([("a".to_owned(), vec!["a::b".to_owned()])]));
    }
}
