//! What outlives the files of the log: releases, enrolments and removals are copied into pools of their
//! own before the file that holds them is retired, so that no flood of other entries pushes them out.
//!
//! A pool is a chain of files, `kept-POOL-NUMBER.log`, each named after the number of its first line in
//! the pool. A file begins with what it continues, `after COUNT HASH`. Every other line is an entry: the
//! pool's own hash, the hash of the entry before it in the log, and the entry's JSON as it stood there, with
//! blanks in between. The pool's hash is SHA-256 over the hash of the line before and the rest of the
//! line; the entry's own hash follows from the second and the third as it does in the log.
//!
//! The log speaks of the pools: each `retired` entry states from where to where they go. A line that is
//! changed, removed or slipped in breaks the pool's chain; a pool that is truncated or replaced is not the
//! one that the log states.
//!
//! The order at a retirement: lines into the pools, the `retired` entry, removal of the file. A power cut
//! after the first leaves lines that no entry states yet; they are in the oldest file as well, and are not
//! copied twice.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::disk::{LogDisk, refused};
use super::entry::{self, Checkpoint, Entry, Hash};
use super::error::{AuditError, Break};

/// The number of files in a pool, which share its bytes equally.
const FILES: usize = 16;

/// Which entries share a retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Who was enrolled and who was removed.
    People,
    /// For whom the door was opened.
    Releases,
    /// Openings for nobody in particular, and what changed who may come in.
    Others,
}

impl Pool {
    /// All of them.
    pub const ALL: [Pool; 3] = [Pool::People, Pool::Releases, Pool::Others];

    /// Its name in files and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Pool::People => "people",
            Pool::Releases => "releases",
            Pool::Others => "others",
        }
    }

    /// Where an entry is kept, if at all. What outsiders can repeat at will is here only where the
    /// recorder counts instead of writing when it becomes too much, and then apart from the rest.
    pub fn of(entry: &Entry) -> Option<Self> {
        match entry.event.as_str() {
            "enrolled" | "look_added" | "removed" => Some(Pool::People),
            "release" => match &entry.detail {
                Some(detail) if detail.starts_with("cause=identified") => Some(Pool::Releases),
                _ => Some(Pool::Others),
            },
            "renamed" | "noted" | "exported" | "mode" | "enrol_allowed" => Some(Pool::Others),
            _ => None,
        }
    }

    fn file_name(self, first: u64) -> String {
        format!("kept-{}-{first:012}.log", self.name())
    }

    /// Its files among `names` with the number of the first line, in their order.
    fn files(self, names: &[String]) -> Vec<(u64, String)> {
        let first = |name: &String| {
            let rest = name.strip_prefix("kept-")?.strip_prefix(self.name())?;
            let first = rest.strip_prefix('-')?.strip_suffix(".log")?.parse().ok()?;
            (first > 0 && self.file_name(first) == *name).then(|| (first, name.clone()))
        };
        let mut files: Vec<_> = names.iter().filter_map(first).collect();
        files.sort();
        files
    }
}

/// From where to where a pool goes: what its first file continues, and its last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    from: Checkpoint,
    to: Checkpoint,
}

/// What a `retired` entry states of the pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spans([Span; Pool::ALL.len()]);

impl Spans {
    /// No pool has anything.
    pub(super) const NONE: Spans =
        Spans([Span { from: Checkpoint::START, to: Checkpoint::START }; Pool::ALL.len()]);

    /// Takes over what a later `retired` entry states. One that states nothing was written by an earlier
    /// version, which leaves the pools as they are.
    pub(super) fn update(&mut self, retired: &Entry) {
        let spans = Spans::of(retired);
        if spans != Spans::NONE {
            *self = spans;
        }
    }

    /// Reads the `key=value` pairs of a `retired` entry; the log of an earlier version has none of these.
    fn of(retired: &Entry) -> Self {
        let place = |text: &str| {
            let (entries, hash) = text.split_once(':')?;
            Some(Checkpoint { entries: entries.parse().ok()?, hash: Hash::parse(hash.as_bytes())? })
        };
        let mut spans = Spans::NONE;
        for pair in retired.detail.iter().flat_map(|detail| detail.split(' ')) {
            let Some((key, value)) = pair.split_once('=') else { continue };
            for (pool, span) in Pool::ALL.iter().zip(&mut spans.0).filter(|(pool, _)| pool.name() == key) {
                let ends = value.split_once("..").and_then(|(a, b)| Some((place(a)?, place(b)?)));
                match ends {
                    Some((from, to)) => *span = Span { from, to },
                    None => log::warn!("event=audit_pool_unknown pool={}", pool.name()),
                }
            }
        }
        spans
    }

    fn in_words(&self) -> String {
        let mut text = String::new();
        for (pool, Span { from, to }) in Pool::ALL.iter().zip(&self.0).filter(|(_, s)| s.to.entries > 0) {
            // Writing to a string cannot fail.
            let _ =
                write!(text, " {}={}:{}..{}:{}", pool.name(), from.entries, from.hash, to.entries, to.hash);
        }
        text
    }
}

/// One entry in a pool.
struct KeptLine<'a> {
    /// The entry before it in the log.
    before: Hash,
    /// Its own hash in the log.
    own: Hash,
    json: &'a [u8],
}

impl<'a> KeptLine<'a> {
    /// What stands behind the pool's hash.
    fn rest(&self) -> Vec<u8> {
        let mut rest = format!("{} ", self.before).into_bytes();
        rest.extend_from_slice(self.json);
        rest
    }

    /// Reads a line (without its end) that follows the pool's line of hash `last`.
    fn read(text: &'a [u8], last: Hash) -> Result<(Self, Hash), &'static str> {
        let (hash, rest) = entry::split(text).ok_or("it is not an entry of a pool")?;
        if last.chain(rest) != hash {
            return Err("its hash does not follow from the line before");
        }
        let (before, json) = entry::split(rest).ok_or("it is not an entry of a pool")?;
        Ok((KeptLine { before, own: before.chain(json), json }, hash))
    }
}

fn header(after: Checkpoint) -> String {
    format!("after {} {}\n", after.entries, after.hash)
}

/// What a pool's file continues, and the length of the line that says so.
fn read_header(bytes: &[u8], first: u64) -> Option<(Checkpoint, usize)> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?.strip_prefix("after ")?;
    let (entries, hash) = text.split_once(' ')?;
    let after = Checkpoint { entries: entries.parse().ok()?, hash: Hash::parse(hash.as_bytes())? };
    (after.entries.checked_add(1) == Some(first)).then_some((after, end + 1))
}

/// How far a pool's file follows from itself.
struct Scan {
    /// What it continues; `None` when its first line is broken.
    after: Option<Checkpoint>,
    /// Its last good line, by its number in the pool.
    head: Checkpoint,
    /// Bytes of the good lines, the first included.
    len: usize,
    /// Good lines, the first included.
    lines: usize,
    problem: Option<&'static str>,
}

/// Reads a pool's file as far as it holds, or until `each` says what is wrong.
fn scan(
    bytes: &[u8],
    first: u64,
    mut each: impl FnMut(Checkpoint, &KeptLine<'_>) -> Result<(), &'static str>,
) -> Scan {
    let mut scan = Scan { after: None, head: Checkpoint::START, len: 0, lines: 0, problem: None };
    let Some((after, len)) = read_header(bytes, first) else {
        scan.problem = Some("it does not begin as a file of a pool");
        return scan;
    };
    (scan.after, scan.head, scan.len, scan.lines) = (Some(after), after, len, 1);
    while scan.len < bytes.len() {
        let rest = &bytes[scan.len..];
        let Some(end) = rest.iter().position(|b| *b == b'\n') else {
            scan.problem = Some("it is incomplete: a write was interrupted");
            return scan;
        };
        let read = KeptLine::read(&rest[..end], scan.head.hash).and_then(|(line, hash)| {
            let place = Checkpoint { entries: scan.head.entries + 1, hash };
            each(place, &line)?;
            Ok(place)
        });
        match read {
            Ok(place) => scan.head = place,
            Err(problem) => {
                scan.problem = Some(problem);
                return scan;
            }
        }
        scan.len += end + 1;
        scan.lines += 1;
    }
    scan
}

/// A pool, open for appending.
#[derive(Debug)]
struct Shelf {
    pool: Pool,
    /// Names, with what each continues.
    files: Vec<(String, Checkpoint)>,
    /// Length of the last file.
    len: u64,
    head: Checkpoint,
    /// Lines that no entry of the log states yet, by their hash in the log.
    unstated: HashSet<Hash>,
    /// A write failed: what lies behind `len` is not ours.
    dirty: bool,
}

impl Shelf {
    /// Opens a pool of which the log states that it goes to `to`. What was truncated after it is in the log
    /// as well and is removed. A pool that does not reach `to` is damaged: it stays as evidence, and a new
    /// file goes on from there.
    fn open(
        pool: Pool,
        disk: &mut impl LogDisk,
        names: &[String],
        to: Checkpoint,
    ) -> Result<Self, AuditError> {
        let mut shelf =
            Shelf { pool, files: Vec::new(), len: 0, head: to, unstated: HashSet::new(), dirty: false };
        let files = pool.files(names);
        let start = files.iter().rposition(|(first, _)| first - 1 < to.entries).unwrap_or(0);
        // Those before are not looked at: `check` does that.
        for (first, name) in &files[..start] {
            shelf.files.push((name.clone(), Checkpoint { entries: first - 1, hash: Hash::ZERO }));
        }
        let (mut reached, mut sound, mut end) = (to == Checkpoint::START, true, None);
        for (first, name) in &files[start..] {
            let bytes = disk.read(name).map_err(|e| refused(disk, name, "read", e))?;
            let mut unstated = Vec::new();
            let found = scan(&bytes, *first, |place, line| {
                if place.entries > to.entries {
                    unstated.push(line.own);
                }
                reached |= sound && place == to;
                Ok(())
            });
            reached |= sound && found.after == Some(to);
            let continues = found.after.is_some() && end.is_none_or(|end| found.after == Some(end));
            let after = found.after.unwrap_or(Checkpoint { entries: first - 1, hash: Hash::ZERO });
            if sound && reached && continues {
                if found.problem.is_some() {
                    disk.truncate(name, found.len as u64).map_err(|e| refused(disk, name, "cut", e))?;
                }
                shelf.files.push((name.clone(), after));
                shelf.unstated.extend(unstated);
                (shelf.len, end) = (found.len as u64, Some(found.head));
                sound = found.problem.is_none();
            } else {
                sound = false;
                if *first > to.entries {
                    // Nothing in it has been stated: all of it is in the log's oldest file.
                    remove(disk, name)?;
                } else {
                    shelf.files.push((name.clone(), after));
                }
            }
        }
        match end.filter(|_| reached) {
            Some(end) => shelf.head = end,
            None => {
                if !reached {
                    log::error!("event=audit_pool_damaged pool={} entries={}", pool.name(), to.entries);
                }
                // The next line begins a file.
                shelf.len = u64::MAX;
            }
        }
        Ok(shelf)
    }

    /// Appends what is not there yet; on return it is on the disk.
    fn append(
        &mut self,
        disk: &mut impl LogDisk,
        lines: &[KeptLine<'_>],
        file_bytes: u64,
    ) -> Result<(), AuditError> {
        if self.dirty
            && let Some((name, _)) = self.files.last()
        {
            disk.truncate(name, self.len).map_err(|e| refused(disk, name, "cut", e))?;
            self.dirty = false;
        }
        let mut lines = lines.iter().filter(|line| !self.unstated.contains(&line.own)).collect::<Vec<_>>();
        lines.reverse();
        while !lines.is_empty() {
            let begins = self.files.is_empty() || self.len >= file_bytes;
            let (name, at) = match self.files.last() {
                Some((name, _)) if !begins => (name.clone(), self.len),
                _ => (self.pool.file_name(self.head.entries + 1), 0),
            };
            let mut bytes = Vec::new();
            if begins {
                disk.create(&name).map_err(|e| refused(disk, &name, "make", e))?;
                bytes.extend_from_slice(header(self.head).as_bytes());
            }
            let (mut head, mut added) = (self.head, Vec::new());
            while (added.is_empty() || at + (bytes.len() as u64) < file_bytes)
                && let Some(line) = lines.pop()
            {
                let text = line.rest();
                head = Checkpoint { entries: head.entries + 1, hash: head.hash.chain(&text) };
                bytes.extend_from_slice(format!("{} ", head.hash).as_bytes());
                bytes.extend_from_slice(&text);
                bytes.push(b'\n');
                added.push(line.own);
            }
            self.dirty = !begins;
            disk.write_at(&name, at, &bytes).map_err(|e| refused(disk, &name, "write", e))?;
            disk.sync(&name).map_err(|e| refused(disk, &name, "sync", e))?;
            self.dirty = false;
            if begins {
                self.files.push((name, self.head));
            }
            (self.len, self.head) = (at + bytes.len() as u64, head);
            self.unstated.extend(added);
        }
        Ok(())
    }

    /// Files beyond what a pool may have.
    fn surplus(&self) -> usize {
        self.files.len().saturating_sub(FILES)
    }

    fn span(&self, disk: &impl LogDisk) -> Result<Span, AuditError> {
        let from = match self.files.get(self.surplus()) {
            // What a file continues is known of those that were read.
            Some((name, Checkpoint { entries, hash: Hash::ZERO })) if *entries > 0 => {
                let bytes = disk.read(name).map_err(|e| refused(disk, name, "read", e))?;
                read_header(&bytes, entries + 1).map_or(self.head, |(after, _)| after)
            }
            Some((_, after)) => *after,
            None => self.head,
        };
        Ok(Span { from, to: self.head })
    }

    fn trim(&mut self, disk: &mut impl LogDisk) -> Result<(), AuditError> {
        for _ in 0..self.surplus() {
            remove(disk, &self.files[0].0)?;
            self.files.remove(0);
        }
        Ok(())
    }
}

fn remove(disk: &mut impl LogDisk, name: &str) -> Result<(), AuditError> {
    match disk.remove(name) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(refused(disk, name, "remove", e)),
        _ => Ok(()),
    }
}

/// The pools, open for appending.
#[derive(Debug, Default)]
pub(super) struct Kept {
    shelves: Vec<Shelf>,
    /// What the last `retired` entry says is gone: its file may still be there.
    noted: Option<Checkpoint>,
}

impl Kept {
    /// Opens the pools beside the log of these files, oldest first.
    pub(super) fn open(disk: &mut impl LogDisk, files: &[String], retired: bool) -> Result<Self, AuditError> {
        let names = disk.names().map_err(|e| refused(disk, "", "read", e))?;
        let (noted, spans) = if retired { last_note(disk, files)? } else { (None, Spans::NONE) };
        let mut kept = Kept { shelves: Vec::new(), noted };
        for (pool, span) in Pool::ALL.into_iter().zip(spans.0) {
            kept.shelves.push(Shelf::open(pool, disk, &names, span.to)?);
        }
        Ok(kept)
    }

    /// True when the log says already that it begins behind `end`.
    pub(super) fn is_noted(&self, end: Option<Checkpoint>) -> bool {
        end.is_some() && self.noted == end
    }

    /// Copies what is to be kept of a file that is about to be retired, and gives what the `retired` entry
    /// is to state of the pools.
    pub(super) fn copy(
        &mut self,
        disk: &mut impl LogDisk,
        bytes: &[u8],
        pool_bytes: u64,
    ) -> Result<String, AuditError> {
        let mut spans = Spans::NONE;
        for (shelf, span) in self.shelves.iter_mut().zip(&mut spans.0) {
            let lines = worth_keeping(bytes, shelf.pool);
            shelf.append(disk, &lines, (pool_bytes / FILES as u64).max(1))?;
            *span = shelf.span(disk)?;
        }
        Ok(spans.in_words())
    }

    /// The `retired` entry is on the disk.
    pub(super) fn stated(&mut self, end: Option<Checkpoint>) {
        self.noted = end;
        for shelf in &mut self.shelves {
            shelf.unstated.clear();
        }
    }

    /// Removes the oldest lines of pools that have become too large; the `retired` entry says so already.
    pub(super) fn trim(&mut self, disk: &mut impl LogDisk) -> Result<(), AuditError> {
        self.shelves.iter_mut().try_for_each(|shelf| shelf.trim(disk))
    }
}

/// The lines of a file that a pool takes. Of a damaged file those that still follow from the line before
/// them.
fn worth_keeping(bytes: &[u8], pool: Pool) -> Vec<KeptLine<'_>> {
    let (mut lines, mut before) = (Vec::new(), None);
    for text in bytes.split(|b| *b == b'\n') {
        let Some((own, json)) = entry::split(text) else {
            before = None;
            continue;
        };
        let is_kept = || {
            let entry: Option<Entry> = serde_json::from_slice(json).ok();
            entry.is_some_and(|entry| Pool::of(&entry) == Some(pool))
        };
        if let Some(before) = before
            && is_kept()
            && Hash::chain(before, json) == own
        {
            lines.push(KeptLine { before, own, json });
        }
        before = Some(own);
    }
    lines
}

/// What the log's last `retired` entry says is gone, and where its pools go. An earlier version wrote such
/// entries without the pools.
fn last_note(disk: &impl LogDisk, files: &[String]) -> Result<(Option<Checkpoint>, Spans), AuditError> {
    let mut noted = None;
    for name in files.iter().rev() {
        let bytes = disk.read(name).map_err(|e| refused(disk, name, "read", e))?;
        let notes = bytes.rsplit(|b| *b == b'\n').filter_map(|text| {
            let text = std::str::from_utf8(entry::split(text)?.1).ok()?;
            // Most lines need not be understood.
            text.contains(entry::RETIRED).then(|| serde_json::from_str::<Entry>(text).ok()).flatten()
        });
        for note in notes.filter(|entry| entry.event == entry::RETIRED) {
            noted = noted.or(note.after);
            let spans = Spans::of(&note);
            if spans != Spans::NONE {
                return Ok((noted, spans));
            }
        }
    }
    Ok((noted, Spans::NONE))
}

const ANEW: &str = "it is not the one that the log names: the pool was rewritten";

/// What the log says of its pools.
pub(super) struct Stated {
    /// By its last `retired` entry.
    pub spans: Spans,
    /// What the oldest file holds that is to be kept: it may have been copied without an entry that says
    /// so yet.
    pub oldest: HashSet<Hash>,
}

/// Reads the pools beside a log whose own chain holds; tells how many entries of retired files they have.
pub(super) fn check(disk: &impl LogDisk, stated: &Stated) -> Result<Result<u64, Break>, AuditError> {
    let names = disk.names().map_err(|e| refused(disk, "", "read", e))?;
    let mut kept = 0;
    for (pool, Span { from, to }) in Pool::ALL.into_iter().zip(stated.spans.0) {
        let missing = |entry, count: u64| {
            let problem = format!("{count} of the entries kept in the pool {:?} are missing", pool.name());
            Ok(Err(Break { entry, file: None, line: 0, problem }))
        };
        let (mut head, mut last) = (None, 0);
        for (first, name) in pool.files(&names) {
            let bytes = disk.read(&name).map_err(|e| refused(disk, &name, "read", e))?;
            let differs = |place: Checkpoint| {
                [from, to].iter().any(|end| place.entries == end.entries && place.hash != end.hash)
            };
            let mut untold = false;
            let found = scan(&bytes, first, |place, line| {
                let entry: Entry =
                    serde_json::from_slice(line.json).map_err(|_| "its content is of another version")?;
                if differs(place) {
                    return Err(ANEW);
                }
                if place.entries > to.entries && !stated.oldest.contains(&line.own) {
                    untold = true;
                    return Err("no entry of the log speaks of it");
                }
                last = entry.seq;
                kept += u64::from(place.entries > from.entries && place.entries <= to.entries);
                Ok(())
            });
            let problem = match (head, found.after) {
                (None, Some(after)) if after.entries > from.entries => {
                    return missing(last + 1, after.entries - from.entries);
                }
                (Some(head), Some(after)) if after != head => {
                    Some("its file does not continue the one before")
                }
                (None, Some(after)) if differs(after) => Some(ANEW),
                _ => found.problem,
            };
            let good = if found.after.is_some() { Some(found.head) } else { head };
            if found.problem.is_some()
                && problem == found.problem
                && !untold
                && good.map_or(0, |place| place.entries) >= to.entries
            {
                // A copy in progress or interrupted: what the log states is there, and the rest is
                // in its oldest file.
                head = good;
                break;
            }
            if let Some(problem) = problem {
                let (entry, problem) = (last + 1, problem.to_owned());
                return Ok(Err(Break { entry, file: Some(name), line: found.lines + 1, problem }));
            }
            head = Some(found.head);
        }
        let reached = head.map_or(from.entries, |head| head.entries);
        if reached < to.entries {
            return missing(last + 1, to.entries - reached);
        }
    }
    Ok(Ok(kept))
}

/// The entries kept of retired files that come before entry `before`, in their order, each with its line as
/// it stood in the log. Of each pool those before the first that is broken: `check` says which that is.
///
/// # Errors
/// When a file cannot be read.
pub fn kept_entries(disk: &impl LogDisk, before: u64) -> Result<Vec<(Entry, Vec<u8>)>, AuditError> {
    let names = disk.names().map_err(|e| refused(disk, "", "read", e))?;
    let mut entries = Vec::new();
    for pool in Pool::ALL {
        let mut head = None;
        for (first, name) in pool.files(&names) {
            let bytes = disk.read(&name).map_err(|e| refused(disk, &name, "read", e))?;
            let mut found = Vec::new();
            let end = scan(&bytes, first, |_, line| {
                if let Ok(entry) = serde_json::from_slice::<Entry>(line.json)
                    && entry.seq < before
                {
                    let mut text = format!("{} ", line.own).into_bytes();
                    text.extend_from_slice(line.json);
                    text.push(b'\n');
                    found.push((entry, text));
                }
                Ok(())
            });
            if head.is_some_and(|head| end.after != Some(head)) {
                break;
            }
            entries.append(&mut found);
            if end.problem.is_some() {
                break;
            }
            head = Some(end.head);
        }
    }
    entries.sort_by_key(|(entry, _)| entry.seq);
    Ok(entries)
}

#[cfg(test)]
mod tests;
