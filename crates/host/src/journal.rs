//! The journal of systemd: each log line as an entry, with the line's `key=value` pairs as fields.
//!
//! `event=denied reason=unknown` becomes an entry with that message and the fields
//! `FACELATCH_EVENT=denied` and `FACELATCH_REASON=unknown`, so that `journalctl
//! FACELATCH_EVENT=denied` finds it. A field says nothing that the line does not say.
//!
//! An entry is one datagram of <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>. Logging never waits
//! for the journal: what it cannot take at once is lost and counted, so that a journal that hangs cannot
//! hold the strike's thread.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU64, Ordering};

use log::{Level, Log, Metadata, Record};

/// What the names of our fields begin with.
const PREFIX: &str = "FACELATCH_";
/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// The journal's limit on the name of a field.
const MAX_NAME: usize = 64;
/// The journal accepts at most 1,024 fields per entry; no line of ours has that many.
const MAX_FIELDS: usize = 64;
/// A longer line is truncated, so that an entry fits a datagram.
const MAX_LINE: usize = 16_384;

/// Starts logging for this process: to the journal when standard error is connected to it, as systemd does
/// for a service (`JOURNAL_STREAM`), and otherwise to standard error. `RUST_LOG` says what is logged.
pub fn start(identifier: &'static str) {
    let wanted = env_logger::Env::default().default_filter_or("facelatch=info");
    let stderr = env_logger::Builder::from_env(wanted).format_timestamp_millis().build();
    let level = stderr.filter();
    let socket = is_connected().then(|| connect(SOCKET));
    let (logger, unreachable): (Box<dyn Log>, _) = match socket {
        Some(Ok(socket)) => (Box::new(Journal { identifier, stderr, socket, lost: AtomicU64::new(0) }), None),
        Some(Err(error)) => (Box::new(stderr), Some(error)),
        None => (Box::new(stderr), None),
    };
    if log::set_boxed_logger(logger).is_ok() {
        log::set_max_level(level);
    }
    if let Some(error) = unreachable {
        log::warn!("event=journal_unreachable error={:?}", error.to_string());
    }
}

/// Whether standard error is the very socket that systemd says it is.
fn is_connected() -> bool {
    let Some(said) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let place = io::stderr().as_fd().try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    place.is_ok_and(|place| *said == *format!("{}:{}", place.dev(), place.ino()))
}

fn connect(path: &str) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

struct Journal {
    /// The program's name, by which `journalctl -t` finds its lines.
    identifier: &'static str,
    /// Also where lines go while nobody has the journal's socket.
    stderr: env_logger::Logger,
    socket: UnixDatagram,
    lost: AtomicU64,
}

impl Journal {
    fn send(&self, record: &Record<'_>) -> io::Result<()> {
        let entry = entry(self.identifier, record);
        match self.socket.send(&entry) {
            // The journal was restarted.
            Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotConnected) => {
                self.socket.connect(SOCKET)?;
                self.socket.send(&entry)?;
            }
            outcome => drop(outcome?),
        }
        Ok(())
    }

    fn write(&self, record: &Record<'_>) {
        match self.send(record) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => self.stderr.log(record),
        }
    }

    /// Says how many lines were lost, once there is room to say it.
    fn report_dropped(&self) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let words =
                format_args!("event=log_lines_lost lines={lost} reason=\"the journal did not take them\"");
            let said =
                self.send(&Record::builder().level(Level::Error).target(module_path!()).args(words).build());
            if said.is_err() {
                self.lost.fetch_add(lost, Ordering::Relaxed);
            }
        }
    }
}

impl Log for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.stderr.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.stderr.matches(record) {
            self.report_dropped();
            self.write(record);
        }
    }

    fn flush(&self) {}
}

/// The datagram of a record.
fn entry(identifier: &str, record: &Record<'_>) -> Vec<u8> {
    let mut message = record.args().to_string();
    message.truncate(message.floor_char_boundary(MAX_LINE));
    let mut out = Vec::with_capacity(1024);
    // The journal's numbers are those of syslog(3).
    let priority = match record.level() {
        Level::Error => "3",
        Level::Warn => "4",
        Level::Info => "6",
        Level::Debug | Level::Trace => "7",
    };
    field(&mut out, "PRIORITY", priority);
    field(&mut out, "SYSLOG_IDENTIFIER", identifier);
    field(&mut out, "CODE_MODULE", record.module_path().unwrap_or(record.target()));
    for (name, value) in fields(&message) {
        field(&mut out, &name, &value);
    }
    field(&mut out, "MESSAGE", &message);
    out
}

/// Appends a field: its name, the length of the value as 64 bits, little-endian, and the value.
fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

/// The pairs of a log line as names and values of the journal's fields.
fn fields(line: &str) -> impl Iterator<Item = (String, String)> {
    let fits = |key: &str| key.len() <= MAX_NAME - PREFIX.len();
    let named = |(key, value): (String, String)| (format!("{PREFIX}{}", key.to_ascii_uppercase()), value);
    pairs(line).into_iter().filter(move |(key, _)| fits(key)).map(named).take(MAX_FIELDS)
}

/// The `key=value` pairs of a line, keys of lower-case letters, digits and `_`. A value may be bare, up
/// to the next blank, or quoted as `{:?}` quotes a text.
fn pairs(line: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some((key, after)) = rest.split_once('=') {
        let key = key.rsplit(' ').next().unwrap_or_default();
        let (value, left) = value(after);
        rest = left;
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !key.is_empty() && key.chars().all(valid) {
            found.push((key.to_owned(), value));
        }
    }
    found
}

/// A value and what follows it.
fn value(text: &str) -> (String, &str) {
    let quoted = text.strip_prefix('"').and_then(|inner| {
        let mut escaped = false;
        let end = inner.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        Some((unescape(&inner[..end]), &inner[end + 1..]))
    });
    quoted.unwrap_or_else(|| {
        let end = text.find(' ').unwrap_or(text.len());
        (text[..end].to_owned(), &text[end..])
    })
}

/// Takes back the escapes of `{:?}`; what is none of them stays as it is.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let (c, left) = escape(after).unwrap_or(('\\', after));
        out.push(c);
        rest = left;
    }
    out + rest
}

/// The character of an escape, without its backslash, and what follows it.
fn escape(text: &str) -> Option<(char, &str)> {
    if let Some((code, left)) = text.strip_prefix("u{").and_then(|t| t.split_once('}')) {
        return Some((char::from_u32(u32::from_str_radix(code, 16).ok()?)?, left));
    }
    let c = match text.chars().next()? {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        '0' => '\0',
        c @ ('"' | '\'' | '\\') => c,
        _ => return None,
    };
    Some((c, &text[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn pairs_become_fields() {
        for (line, expected) in [
            ("event=stopping", &[("FACELATCH_EVENT", "stopping")][..]),
            (
                "event=released subject=3 mean=0.91",
                &[("FACELATCH_EVENT", "released"), ("FACELATCH_SUBJECT", "3"), ("FACELATCH_MEAN", "0.91")],
            ),
            (
                r#"event=a reason="no \"b\" = c, d\nnew" e=f"#,
                &[
                    ("FACELATCH_EVENT", "a"),
                    ("FACELATCH_REASON", "no \"b\" = c, d\nnew"),
                    ("FACELATCH_E", "f"),
                ],
            ),
            (r#"reason="unfinished a=1"#, &[("FACELATCH_REASON", "\"unfinished"), ("FACELATCH_A", "1")]),
            ("plain words", &[]),
            ("", &[]),
            ("=x Y=1 ä=2 z=", &[("FACELATCH_Z", "")]),
        ] {
            assert_eq!(fields(line).collect::<Vec<_>>(), owned(expected), "{line}");
        }
    }

    #[test]
    fn an_embedding_is_redacted_in_a_field_as_in_the_line() {
        let embedding = facelatch_core::matching::Embedding::new(vec![0.6, 0.8]);
        let line = format!("event=test probe={embedding:?}");
        let said = format!("{:?}", fields(&line).collect::<Vec<_>>());
        assert!(said.contains("FACELATCH_PROBE"), "{said}");
        assert!(!said.contains("0.6") && !said.contains("0.8"), "{said}");
    }

    /// A socket of the test's own in the journal's place; `tests/all/journal.rs` has the real one.
    fn journal() -> (tempfile::TempDir, UnixDatagram, Journal) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixDatagram::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let stderr = env_logger::Builder::new().filter_level(log::LevelFilter::Info).build();
        let socket = connect(path.to_str().unwrap()).unwrap();
        (folder, listener, Journal { identifier: "facelatch", stderr, socket, lost: AtomicU64::new(0) })
    }

    fn say(journal: &Journal, level: Level, words: &str) {
        journal.log(&Record::builder().level(level).target("t").args(format_args!("{words}")).build());
    }

    fn received(listener: &UnixDatagram) -> Vec<String> {
        let mut buffer = vec![0; 65_536];
        std::iter::from_fn(|| {
            let count = listener.recv(&mut buffer).ok()?;
            Some(String::from_utf8_lossy(&buffer[..count]).into_owned())
        })
        .collect()
    }

    #[test]
    fn an_entry_is_its_fields_with_their_lengths() {
        let (_folder, listener, journal) = journal();
        say(&journal, Level::Warn, "event=e reason=\"a\\nb\"");
        say(&journal, Level::Debug, "event=not_asked_for");
        let length = |n: u8| format!("\n{}\0\0\0\0\0\0\0", char::from(n));
        let expected = [
            format!("PRIORITY{}4\n", length(1)),
            format!("SYSLOG_IDENTIFIER{}facelatch\n", length(9)),
            format!("CODE_MODULE{}t\n", length(1)),
            format!("FACELATCH_EVENT{}e\n", length(1)),
            format!("FACELATCH_REASON{}a\nb\n", length(3)),
            format!("MESSAGE{}event=e reason=\"a\\nb\"\n", length(21)),
        ];
        assert_eq!(received(&listener), [expected.concat()]);
    }

    #[test]
    fn a_journal_that_takes_nothing_holds_nobody_and_losses_are_counted() {
        let (_folder, listener, journal) = journal();
        const LINES: usize = 2_000;
        for n in 0..LINES {
            say(&journal, Level::Info, &format!("event=e n={n}"));
        }
        let taken = received(&listener).len();
        assert!(taken < LINES, "the socket's queue has no bound here");
        say(&journal, Level::Info, "event=last");
        let after = received(&listener);
        assert_eq!(after.len(), 2);
        assert!(after[0].contains(&format!("event=log_lines_lost lines={} ", LINES - taken)), "{after:?}");
        assert!(after[1].contains("event=last"));
    }

    #[test]
    fn a_very_long_line_is_cut_off_and_sent() {
        let (_folder, listener, journal) = journal();
        say(&journal, Level::Info, &format!("event=e reason={}", "ä".repeat(100_000)));
        let [entry] = &received(&listener)[..] else { panic!("one entry") };
        assert!(entry.len() < 2 * MAX_LINE + 1_000 && entry.contains("FACELATCH_EVENT"));
        // Of more fields than it takes the journal would keep nothing.
        say(&journal, Level::Info, &"a= ".repeat(5_000));
        let [entry] = &received(&listener)[..] else { panic!("one entry") };
        assert_eq!(entry.matches("FACELATCH_A").count(), MAX_FIELDS);
    }

    proptest! {
        #[test]
        fn any_quoted_text_comes_back(text in any::<String>(), word in "[a-z]{1,5}") {
            let line = format!("{word}={text:?} after=1");
            let name = format!("{PREFIX}{}", word.to_ascii_uppercase());
            let expected = vec![(name, text), (format!("{PREFIX}AFTER"), "1".to_owned())];
            prop_assert_eq!(fields(&line).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn no_line_is_too_odd(line in any::<String>()) {
            for (name, _) in fields(&line) {
                prop_assert!(name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'));
            }
        }
    }
}
