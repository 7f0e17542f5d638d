//! Keys that have a new name. The old one is accepted for one version, with a hint.

use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::table::{Fault, Section};
use facelatch_host::config_file::line_at;

/// A key that a configuration gives under its old name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenamedKey {
    /// The line it is on.
    pub line: usize,
    /// Its section.
    pub section: &'static str,
    /// The name in the file.
    pub old: &'static str,
    /// The name to write instead.
    pub new: &'static str,
}

impl RenamedKey {
    /// What is wrong with this key, by the name that the file gives it; `None` for a fault of another key.
    pub(super) fn explain(&self, fault: &Fault) -> Option<String> {
        let RenamedKey { line, section, old, new } = self;
        let Fault { key, value, problem } = fault;
        let is_mine = key.split_once('.') == Some((*section, *new));
        is_mine.then(|| format!("line {line}: {section}.{old} (now {key}) = {value}: {problem}"))
    }
}

impl fmt::Display for RenamedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RenamedKey { line, section, old, new } = self;
        write!(f, "line {line}: key {section}.{old} is now {section}.{new}: rename it")
    }
}

/// Gives the keys of a document their new names, and says which they were, in the order of their lines.
///
/// # Errors
/// When a key is given under both names: the line, and which one to remove.
pub(super) fn rename(
    document: &mut DeTable<'_>,
    text: &str,
    sections: &[Section],
) -> Result<Vec<RenamedKey>, String> {
    let mut renamed = Vec::new();
    for Section { name: section, keys, .. } in sections {
        let Some(DeValue::Table(table)) = document.get_mut(*section).map(Spanned::get_mut) else { continue };
        for (key, old) in keys.iter().filter_map(|key| Some((key, key.old?))) {
            let Some((place, value)) = table.remove_entry(old) else { continue };
            let (line, new) = (line_at(text, place.span().start), key.name);
            if table.contains_key(new) {
                return Err(format!(
                    "line {line}: {section}.{old} is the old name of {section}.{new}, and both are given: \
                     remove {old}"
                ));
            }
            table.insert(Spanned::new(place.span(), new.into()), value);
            renamed.push(RenamedKey { line, section, old, new });
        }
    }
    renamed.sort_by_key(|key| key.line);
    Ok(renamed)
}
