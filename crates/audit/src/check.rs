//! Reading the log from its first entry to its last, and naming the first that is broken.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::disk::{LogDisk, refused};
use super::entry::{self, ChainedEntry, Checkpoint, Entry};
use super::error::{AuditError, Break};
use super::kept::{self, Pool, Spans, Stated};

/// A log whose chain holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogCheck {
    /// Number of the first entry that is kept; earlier ones were retired.
    pub first: u64,
    /// The last entry.
    pub head: Checkpoint,
    /// How many files.
    pub files: usize,
    /// Earlier entries that are kept although their files were retired.
    pub kept: u64,
    /// True when a checkpoint was asked for but is older than the first entry that is kept: it can say
    /// nothing any more.
    pub checkpoint_too_old: bool,
}

/// A file of the log, named after its first entry.
pub(super) fn file_name(first: u64) -> String {
    format!("audit-{first:012}.log")
}

/// The number of a file's first entry.
pub(super) fn first_of(name: &str) -> Option<u64> {
    let first = name.strip_prefix("audit-")?.strip_suffix(".log")?.parse().ok()?;
    (file_name(first) == name).then_some(first)
}

/// The log's files, oldest first.
pub(super) fn log_files(names: Vec<String>) -> Vec<String> {
    let mut files: Vec<(u64, String)> =
        names.into_iter().filter_map(|n| first_of(&n).map(|first| (first, n))).collect();
    files.sort();
    files.into_iter().map(|(_, name)| name).collect()
}

/// One file as far as its chain holds.
pub(super) struct Scan {
    /// What its first entry continues; `None` when that entry is broken.
    pub after: Option<Checkpoint>,
    /// Its last good entry.
    pub head: Checkpoint,
    /// Length of the good entries in bytes.
    pub len: usize,
    /// How many lines those are.
    pub lines: usize,
    /// What is wrong with the next one.
    pub problem: Option<&'static str>,
}

/// Reads a file's lines while they follow from each other.
pub(super) fn scan(name: &str, bytes: &[u8], mut each: impl FnMut(&ChainedEntry, &[u8])) -> Scan {
    let first = first_of(name).unwrap_or(0);
    let head = Checkpoint { entries: first.saturating_sub(1), ..Checkpoint::START };
    let mut scan = Scan { after: None, head, len: 0, lines: 0, problem: None };
    while scan.len < bytes.len() {
        let rest = &bytes[scan.len..];
        let Some(end) = rest.iter().position(|b| *b == b'\n') else {
            scan.problem = Some("it is incomplete: a write was interrupted");
            return scan;
        };
        match next(&scan, &rest[..end]) {
            Ok(line) => {
                if scan.lines == 0 {
                    scan.after = line.entry.after;
                }
                each(&line, &rest[..=end]);
                scan.head = Checkpoint { entries: line.entry.seq, hash: line.hash };
                scan.len += end + 1;
                scan.lines += 1;
            }
            Err(problem) => {
                scan.problem = Some(problem);
                return scan;
            }
        }
    }
    if scan.lines == 0 {
        scan.problem = Some("it is missing: the file is empty");
    }
    scan
}

/// What a file of the log continues; `None` when its first entry is broken.
pub(super) fn continues(name: &str, bytes: &[u8]) -> Option<Checkpoint> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    scan(name, &bytes[..=end], |_, _| ()).after
}

/// The next line, if it follows.
fn next(scan: &Scan, text: &[u8]) -> Result<ChainedEntry, &'static str> {
    let before = if scan.lines == 0 { stated_start(text)?.hash } else { scan.head.hash };
    let line = ChainedEntry::read(text, before)?;
    let starts = line.entry.event == entry::FILE;
    if starts != (scan.lines == 0) {
        return Err("a file's first entry is in another place");
    }
    if line.entry.seq != scan.head.entries + 1 {
        return Err("its number does not follow");
    }
    if starts && line.entry.after.is_some_and(|after| after.entries != scan.head.entries) {
        return Err("it continues another entry than the one before it");
    }
    Ok(line)
}

fn stated_start(text: &[u8]) -> Result<Checkpoint, &'static str> {
    let (_, json) = entry::split(text).ok_or("it is not an entry of an audit log")?;
    let entry: Entry = serde_json::from_slice(json).map_err(|_| "it does not start a file of the log")?;
    entry.after.ok_or("it does not start a file of the log")
}

/// Up to `limit` entries behind entry `since`, in their order, as far as the chain of their file holds,
/// along with the number of the last good entry of the log. Of each file only the own chain is checked:
/// [`check`] has the whole.
///
/// # Errors
/// When a file cannot be read.
pub fn entries_since(disk: &impl LogDisk, since: u64, limit: usize) -> Result<(Vec<Entry>, u64), AuditError> {
    let files = log_files(disk.names().map_err(|e| refused(disk, "", "read", e))?);
    let (mut entries, mut head) = (Vec::new(), 0);
    for (n, name) in files.iter().enumerate() {
        let next = files.get(n + 1).and_then(|name| first_of(name));
        let ends_before = next.is_some_and(|next| next <= since.saturating_add(1));
        let last = n + 1 == files.len();
        if ends_before || (entries.len() >= limit && !last) {
            continue;
        }
        let bytes = disk.read(name).map_err(|e| refused(disk, name, "read", e))?;
        let found = scan(name, &bytes, |line, _| {
            if line.entry.seq > since && entries.len() < limit {
                entries.push(line.entry.clone());
            }
        });
        head = found.head.entries;
    }
    Ok((entries, head))
}

/// Reads the whole log, tells `each` good entry with its line, and stops at the first broken one.
/// With a checkpoint the log must still hold that entry with that hash, unless it was retired.
///
/// # Errors
/// When a file cannot be read.
pub fn check(
    disk: &impl LogDisk,
    checkpoint: Option<Checkpoint>,
    mut each: impl FnMut(&Entry, &[u8]),
) -> Result<Result<LogCheck, Break>, AuditError> {
    let files = log_files(disk.names().map_err(|e| refused(disk, "", "read", e))?);
    let mut start = None;
    let mut head = Checkpoint::START;
    let mut retired = Vec::new();
    let mut differs = false;
    let mut stated = Stated { spans: Spans::NONE, oldest: HashSet::new() };
    for (n, name) in files.iter().enumerate() {
        let bytes = disk.read(name).map_err(|e| refused(disk, name, "read", e))?;
        let broken = |entry, line, problem: &str| {
            Ok(Err(Break { entry, file: Some(name.clone()), line, problem: problem.to_owned() }))
        };
        let scan = scan(name, &bytes, |line, text| {
            if line.entry.event == entry::RETIRED {
                retired.extend(line.entry.after);
                stated.spans.update(&line.entry);
            }
            if n == 0 && Pool::of(&line.entry).is_some() {
                stated.oldest.insert(line.hash);
            }
            differs |= checkpoint.is_some_and(|c| c.entries == line.entry.seq && c.hash != line.hash);
            each(&line.entry, text);
        });
        match (start, scan.after) {
            (None, Some(after)) => start = Some(after),
            (Some(_), Some(after)) if after != head => {
                let problem = match after.entries > head.entries {
                    true => "it is missing: the next file continues a later entry",
                    false => "the next file does not continue the file before",
                };
                return broken(head.entries + 1, 1, problem);
            }
            _ => {}
        }
        if let Some(problem) = scan.problem {
            let expected = if start.is_some() && scan.lines == 0 { head.entries } else { scan.head.entries };
            return broken(expected + 1, scan.lines + 1, problem);
        }
        head = scan.head;
    }
    if files.is_empty() {
        let problem = "it is empty: a log has an entry from the door's first start";
        return Ok(Err(Break { entry: 1, file: None, line: 0, problem: problem.to_owned() }));
    }
    let start = start.unwrap_or(Checkpoint::START);
    let missing = |entry, problem: String| Ok(Err(Break { entry, file: None, line: 0, problem }));
    let mut too_old = false;
    if let Some(checkpoint) = checkpoint {
        if checkpoint.entries > head.entries {
            let problem = format!(
                "the log ends at entry {}, but when the checkpoint was exported it had {}",
                head.entries, checkpoint.entries
            );
            return missing(head.entries + 1, problem);
        }
        if differs || (checkpoint.entries == start.entries && checkpoint.hash != start.hash) {
            let problem = "it is not the one that the checkpoint names: the log was rewritten";
            return missing(checkpoint.entries, problem.to_owned());
        }
        too_old = checkpoint.entries < start.entries;
    }
    if start.entries > 0 && !retired.contains(&start) {
        let problem =
            format!("entries 1 to {} are missing, and no entry says that they were retired", start.entries);
        return missing(1, problem);
    }
    let kept = match kept::check(disk, &stated)? {
        Ok(kept) => kept,
        Err(broken) => return Ok(Err(broken)),
    };
    Ok(Ok(LogCheck { first: start.entries + 1, head, files: files.len(), kept, checkpoint_too_old: too_old }))
}

/// The last line of an export.
#[derive(Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exported {
    pub checkpoint: Checkpoint,
}

/// Reads the checkpoint that ends an exported file.
///
/// # Errors
/// When the file cannot be read or ends in something else.
pub fn read_checkpoint(path: &Path) -> Result<Checkpoint, AuditError> {
    let place = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|source| AuditError::Io {
        place: place.clone(),
        what: "read",
        source,
    })?;
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    let exported: Exported =
        serde_json::from_str(last).map_err(|e| AuditError::Checkpoint { place, problem: e.to_string() })?;
    Ok(exported.checkpoint)
}
