//! What is generated: docs/reference, from the definition of the command line, the tables of the daemon's
//! configuration and the gateway's shipped file; and config/facelatch.toml, from the same tables. The tests
//! compare the files with their sources; `make reference` writes them.

use std::fmt::Write;
use std::path::Path;

use clap::builder::StyledStr;
use clap::{ArgAction, Command};

use crate::config::table::Section;
use crate::config::{SECTIONS, shipped};

/// A cell of a Markdown table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn plain(text: Option<&StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default()
}

/// What a command takes, a row each.
fn arguments(command: &Command) -> String {
    let mut rows = String::new();
    for argument in command.get_arguments().filter(|a| !a.is_hide_set() && a.get_id() != "help") {
        let long = argument.get_long().map(|long| format!("--{long}"));
        let values: Vec<String> = argument
            .get_value_names()
            .unwrap_or_default()
            .iter()
            .map(|name| if long.is_some() { name.to_string() } else { format!("<{name}>") })
            .collect();
        let takes_value =
            !matches!(argument.get_action(), ArgAction::SetTrue | ArgAction::Count | ArgAction::Version);
        let name = match (long, takes_value) {
            (Some(long), true) => format!("{long} {}", values.join(" ")),
            (Some(long), false) => long,
            (None, _) => values.join(" "),
        };
        let defaults: Vec<_> = argument.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
        let default = if takes_value && !defaults.is_empty() {
            format!("; default `{}`", defaults.join(" "))
        } else {
            String::new()
        };
        let required = if argument.is_required_set() { " (required)" } else { "" };
        let _ = writeln!(
            rows,
            "| `{}`{required} | {}{} |",
            cell(name.trim()),
            cell(&plain(argument.get_help())),
            cell(&default)
        );
    }
    rows
}

fn section(page: &mut String, command: &Command, path: &str) {
    let name = if path.is_empty() {
        command.get_name().to_owned()
    } else {
        format!("{path} {}", command.get_name())
    };
    if !path.is_empty() {
        let level = "#".repeat(name.split(' ').count().min(4));
        let about = plain(command.get_long_about().or(command.get_about()));
        let aliases: Vec<String> = command.get_visible_aliases().map(|alias| format!("`{alias}`")).collect();
        let _ = write!(page, "\n{level} `{name}`\n\n{}\n", about.trim());
        if !aliases.is_empty() {
            let _ = write!(page, "\nAlso: {}.\n", aliases.join(", "));
        }
        let rows = arguments(command);
        if !rows.is_empty() {
            let _ = write!(page, "\n| Argument | Meaning |\n|---|---|\n{rows}");
        }
    }
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        section(page, sub, &name);
    }
}

/// docs/reference/cli.md.
fn cli_page(definition: &Command) -> String {
    let mut page = String::from(
        "# Command line\n\nGenerated from the program's own definition by `make reference`.\n\n\
         `--json` prints one JSON object a line. Exit status: 0 success, 1 negative answer, 2 error.\n",
    );
    section(&mut page, definition, "");
    page
}

/// docs/reference/config.md: a table a section.
fn config_page(sections: &[Section]) -> String {
    let mut page = String::from(
        "# Configuration of the door\n\nThe keys of [`config/facelatch.toml`](../../config/facelatch.toml). \
         Generated from `src/config` by `make reference`. A key may be left out; an unknown key is refused. A key \
         without a default shows an example in parentheses.\n",
    );
    for Section { name, about, keys } in sections {
        let _ = write!(page, "\n## [{name}]\n\n{about}\n\n");
        page += "| Key | Default | Range | Meaning |\n|---|---|---|---|\n";
        for key in *keys {
            let default = match ((key.default)(), key.example) {
                (Some(default), None) => format!("`{default}`"),
                (_, Some(example)) => {
                    let lines: Vec<String> = example.lines().map(|line| format!("`{line}`")).collect();
                    format!("({})", lines.join("; "))
                }
                (None, None) => String::new(),
            };
            let old = key.old.map(|old| format!(" (Was `{old}`.)")).unwrap_or_default();
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {}{old} |",
                key.name,
                cell(&default),
                key.range.unwrap_or_default(),
                cell(key.words),
            );
        }
    }
    page
}

/// One line of the gateway's shipped file.
enum ConfigLine<'a> {
    Section { name: &'a str, about: &'a str },
    Key { name: &'a str, value: &'a str, about: &'a str, has_default: bool },
    Comment(&'a str),
    Other,
}

fn config_line(line: &str) -> ConfigLine<'_> {
    let split = |text: &'_ str| -> usize {
        // A `#` within quotes or brackets' texts starts no comment.
        let mut quoted = false;
        text.char_indices()
            .find(|(_, c)| {
                quoted ^= *c == '"';
                *c == '#' && !quoted
            })
            .map_or(text.len(), |(at, _)| at)
    };
    let (line, has_default) = match line.strip_prefix("#: ") {
        Some(line) => (line, false),
        None => (line, true),
    };
    if let Some(comment) = line.strip_prefix('#') {
        return ConfigLine::Comment(comment.trim());
    }
    let (code, about) = line.split_at(split(line));
    let about = about.trim_start_matches('#').trim();
    let code = code.trim();
    if let Some(name) = code.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return ConfigLine::Section { name, about };
    }
    match code.split_once('=') {
        Some((name, value)) => ConfigLine::Key { name: name.trim(), value: value.trim(), about, has_default },
        None => ConfigLine::Other,
    }
}

/// docs/reference/gateway-config.md, from the shipped file: a table a section.
fn gateway_page(text: &str) -> String {
    let mut page = String::from(
        "# Configuration of the gateway\n\nGenerated from [`config/gateway.toml`](../../config/gateway.toml) by \
         `make reference`. An unknown key is refused. A key that may be left out and has no default shows an \
         example in parentheses.\n",
    );
    let mut in_table = false;
    let mut notes = Vec::new();
    for line in text.lines() {
        match config_line(line) {
            ConfigLine::Section { name, about } => {
                let _ = write!(page, "\n## [{name}]\n");
                notes = if about.is_empty() { Vec::new() } else { vec![about] };
                in_table = false;
            }
            ConfigLine::Comment(comment) => notes.push(comment),
            ConfigLine::Key { name, value, about, has_default } => {
                if !in_table {
                    if !notes.is_empty() && page.contains("\n## [") {
                        let _ = write!(page, "\n{}\n", notes.join(" "));
                    }
                    notes.clear();
                    page += "\n| Key | Default | Meaning |\n|---|---|---|\n";
                    in_table = true;
                }
                let note = std::mem::take(&mut notes).join(" ");
                let about =
                    [note.as_str(), about].iter().filter(|t| !t.is_empty()).copied().collect::<Vec<_>>();
                let value = if has_default { format!("`{value}`") } else { format!("(`{value}`)") };
                let _ = writeln!(page, "| `{name}` | {} | {} |", cell(&value), cell(&about.join(". ")));
            }
            ConfigLine::Other => {}
        }
    }
    page
}

/// Compares a file of the repository with what it should be, or writes it for `make reference`.
fn held(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("FACELATCH_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "{name} is not what the code says: make reference");
}

#[test]
fn the_command_lines_page_is_what_the_code_says() {
    held("docs/reference/cli.md", &cli_page(&super::definition()));
}

#[test]
fn the_shipped_configuration_and_its_page_are_what_the_tables_say() {
    held("config/facelatch.toml", &shipped::file());
    held("docs/reference/config.md", &config_page(SECTIONS));
}

#[test]
fn the_gateways_page_is_what_the_shipped_file_says() {
    held("docs/reference/gateway-config.md", &gateway_page(include_str!("../../config/gateway.toml")));
}
