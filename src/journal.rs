//! The log: lines on stderr, and under systemd entries of the journal whose fields are the line's pairs.
//!
//! A line of the log is `key=value` pairs. To the journal each goes as a field `FACELATCH_<KEY>`, so that
//! `journalctl FACELATCH_EVENT=denied` finds what is looked for. The fields say what the line says and
//! nothing else; nothing biometric is in a log line.

use log::{Log, Metadata, Record};
use systemd_journal_logger::{JournalLog, connected_to_journal};

/// More pairs than a line of ours has.
const MAX_FIELDS: usize = 32;

/// Starts logging for this process.
pub fn start() {
    let stderr =
        env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("facelatch=info"))
            .format_timestamp_millis()
            .build();
    let level = stderr.filter();
    // Only where stderr goes to the journal, as systemd says by JOURNAL_STREAM: a command that somebody
    // types in a terminal talks to the terminal.
    let journal = if connected_to_journal() { JournalLog::new().ok() } else { None };
    let logger: Box<dyn Log> = match journal {
        Some(journal) => Box::new(Journal { journal, stderr }),
        None => Box::new(stderr),
    };
    if log::set_boxed_logger(logger).is_ok() {
        log::set_max_level(level);
    }
}

struct Journal {
    journal: JournalLog,
    /// Says which lines count, and takes those that the journal does not.
    stderr: env_logger::Logger,
}

impl Log for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.stderr.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.stderr.matches(record) {
            return;
        }
        let line = record.args().to_string();
        let fields: Vec<(String, String)> =
            pairs(&line).map(|(key, value)| (format!("FACELATCH_{key}"), value)).take(MAX_FIELDS).collect();
        let mut entry = record.to_builder();
        let sent = self.journal.journal_send(&entry.key_values(&fields).build());
        if sent.is_err() {
            self.stderr.log(record);
        }
    }

    fn flush(&self) {}
}

/// The pairs of a line. A value in quotes, as `{:?}` writes them, comes without them; other words are
/// passed over.
fn pairs(line: &str) -> impl Iterator<Item = (&str, String)> {
    let mut rest = line;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return None;
            }
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let (key, behind) = rest.split_at(end);
            if let Some(text) = behind.strip_prefix('=').filter(|_| !key.is_empty()) {
                let (value, left) = value(text);
                rest = left;
                return Some((key, value));
            }
            rest = rest.find(char::is_whitespace).map_or("", |space| &rest[space..]);
        }
    })
}

/// A value at the beginning of a text, and what follows it.
fn value(text: &str) -> (String, &str) {
    let plain = || {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        (text[..end].to_owned(), &text[end..])
    };
    let Some(quoted) = text.strip_prefix('"') else { return plain() };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, escaped @ ('"' | '\\' | '\''))) => value.push(escaped),
                Some((_, other)) => value.extend(['\\', other]),
                None => break,
            },
            other => value.push(other),
        }
    }
    // The quotes never end: it is no quoted value.
    plain()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(line: &str) -> Vec<(&str, String)> {
        pairs(line).collect()
    }

    #[test]
    fn pairs_of_a_line_are_found_as_they_were_written() {
        let odd = "a \"word\" with = and \\ and\nmore";
        let line = format!("event=denied reason={odd:?} subject=3 mean_similarity=0.412 empty=");
        let expected = [
            ("event", "denied"),
            ("reason", odd),
            ("subject", "3"),
            ("mean_similarity", "0.412"),
            ("empty", ""),
        ];
        assert_eq!(all(&line), expected.map(|(key, value)| (key, value.to_owned())));
    }

    #[test]
    fn what_is_no_pair_is_passed_over() {
        assert!(all("no pairs here, = nor here: x-y=1").is_empty());
        assert!(all("").is_empty());
        assert_eq!(all("a=\"open b=1"), [("a", "\"open".to_owned()), ("b", "1".to_owned())]);
        assert_eq!(all("gr\u{fc}n=1 a=\u{fc}"), [("a", "\u{fc}".to_owned())]);
    }
}
