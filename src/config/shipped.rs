//! `config/facelatch.toml`, written from the tables of the sections.

use std::fmt::Write;

use super::SECTIONS;
use super::table::{Key, Section};

/// Where a comment beside a key begins, and how long a line may be.
const COMMENT_AT: usize = 26;
const LONGEST: usize = 110;

const HEADER: &str = "\
# facelatch: every key with its default. A key may be left out; an unknown key is refused.
# Keys without a default are written \"#: key = value\": remove the \"#: \" to set them.
# `facelatch check --config FILE` shows what a file would do.
# The file can name people: the package gives it to root and the group facelatch (0640).
";

/// The text of the shipped file.
pub(crate) fn file() -> String {
    let mut text = HEADER.to_owned();
    for section in SECTIONS {
        let _ = write!(text, "\n{}[{}]\n", comment(section.about), section.name);
        text.extend(section.keys.iter().map(|key| lines_of(section, key)));
    }
    text
}

/// A key with its words, beside it where the line has room, otherwise above it.
fn lines_of(section: &Section, key: &Key) -> String {
    let example = key.example.unwrap_or_default();
    let code = match (key.default)() {
        None => format!("#: {} = {example}", key.name),
        Some(table) if table == "{}" => {
            let entries: String = example.lines().map(|line| format!("#: {line}\n")).collect();
            return format!("\n{}[{}.{}]\n{entries}", comment(key.words), section.name, key.name);
        }
        Some(default) => format!("{} = {default}", key.name),
    };
    let range = key.range.map(|range| format!(" [{range}]")).unwrap_or_default();
    let beside = format!("{code:COMMENT_AT$}  # {}{range}\n", key.words.trim_end_matches('.'));
    if beside.chars().count() <= LONGEST {
        beside
    } else {
        format!("{}{code}\n", comment(&format!("{}{range}", key.words)))
    }
}

/// Lines of comment, broken between words.
fn comment(words: &str) -> String {
    let mut lines = String::new();
    let mut line = "#".to_owned();
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > LONGEST {
            lines += &(std::mem::replace(&mut line, "#".to_owned()) + "\n");
        }
        line = line + " " + word;
    }
    lines + &line + "\n"
}
