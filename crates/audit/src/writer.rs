//! Appending to the log: recovery at the start, a sync for each batch, rotation.

use super::check::{continues, file_name, first_of, log_files, scan};
use super::disk::{LogDisk, refused};
use super::entry::{self, AuditEvent, ChainedEntry, Checkpoint, Context, Entry, Marks, Stamp};
use super::error::AuditError;
use super::kept::Kept;

/// When a new file is started and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// A file that has grown to this many bytes is followed by a new one.
    pub file_bytes: u64,
    /// So many files are kept; at least 2.
    pub keep_files: usize,
    /// Of older files what each pool of [`super::kept`] may hold.
    pub pool_bytes: u64,
}

/// The log, open for appending.
///
/// [`AuditLog::append`] returns when its entries are on the disk. When it fails the log is as it was,
/// and the same entries may be given again.
#[derive(Debug)]
pub struct AuditLog<D> {
    disk: D,
    rotation: Rotation,
    context: Context,
    /// Oldest first; the last one is written.
    files: Vec<String>,
    /// Length of the last file's entries.
    len: u64,
    head: Checkpoint,
    /// A write failed: what lies behind `len` is not ours.
    dirty: bool,
    /// A file that a failed rotation left behind.
    unfinished: Option<String>,
    /// Entries that have reached the disk and that nobody has asked for yet.
    written: Vec<Entry>,
    /// What outlives the files.
    kept: Kept,
    said: Said,
    /// The wall clock at the last entry that was there when the log was opened.
    found_ms: u64,
}

/// What the entries have said so far.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    /// Of gallery and state; nothing in a log of earlier versions.
    marks: Option<Marks>,
    /// The wall clock at the last one.
    wall_ms: u64,
}

impl Said {
    fn note(&mut self, entry: &Entry) {
        self.wall_ms = entry.wall_ms;
        if let Some(marks) = entry.marks {
            self.marks = Some(self.marks.unwrap_or_default().max(marks));
        }
    }
}

/// What a start finds at the end of the last file.
enum Tail {
    Good {
        len: u64,
        head: Checkpoint,
    },
    /// The last write was interrupted: nothing that was synced is concerned.
    Torn {
        len: u64,
        head: Checkpoint,
        bytes: usize,
    },
    /// The file's very first entry was truncated.
    NoStart {
        bytes: usize,
    },
    /// Entries that had been synced are no longer as they were written.
    Damaged {
        after: Checkpoint,
        entry: u64,
    },
}

impl<D: LogDisk> AuditLog<D> {
    /// Opens the log and brings it in order after a power cut: an unfinished last write is replaced by
    /// an entry `cut` that says so. Damage further up is left as evidence: a new file begins, and its
    /// first entry says why.
    ///
    /// # Errors
    /// When the disk cannot be read or written.
    pub fn open(disk: D, rotation: Rotation, context: Context, now: Stamp) -> Result<Self, AuditError> {
        let files = log_files(disk.names().map_err(|e| refused(&disk, "", "read", e))?);
        let mut log = AuditLog {
            disk,
            rotation,
            context,
            files,
            len: 0,
            head: Checkpoint::START,
            dirty: false,
            unfinished: None,
            written: Vec::new(),
            kept: Kept::default(),
            said: Said::default(),
            found_ms: 0,
        };
        log.recover(now)?;
        let retired = log.files.first().and_then(|name| first_of(name)).is_some_and(|first| first > 1);
        log.kept = Kept::open(&mut log.disk, &log.files, retired)?;
        Ok(log)
    }

    /// The last entry that is on the disk.
    pub fn head(&self) -> Checkpoint {
        self.head
    }

    /// What its entries say of gallery and state; nothing in a log of earlier versions.
    pub fn marks(&self) -> Option<Marks> {
        self.said.marks
    }

    /// What the wall clock said at the last entry that was there when the log was opened, in ms since 1970;
    /// 0 without one.
    pub fn found_wall_ms(&self) -> u64 {
        self.found_ms
    }

    /// True when the log has this entry, or has retired it: false when it was truncated, started again or put back
    /// from a copy since.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn holds(&self, at: Checkpoint) -> Result<bool, AuditError> {
        if at.entries >= self.head.entries {
            return Ok(at == self.head || at == Checkpoint::START);
        }
        let begun_before = |name: &&String| first_of(name).is_some_and(|first| first <= at.entries);
        let Some(name) = self.files.iter().rfind(begun_before) else {
            return Ok(true);
        };
        let bytes = self.disk.read(name).map_err(|e| refused(&self.disk, name, "read", e))?;
        let mut found = None;
        let good = scan(name, &bytes, |line, _| {
            if line.entry.seq == at.entries {
                found = Some(line.hash);
            }
        });
        // What stands behind damage still says which entry it is.
        let behind = || bytes[good.len..].split(|b| *b == b'\n').filter_map(unchecked);
        let found = found.or_else(|| behind().find(|l| l.entry.seq == at.entries).map(|l| l.hash));
        Ok(found == Some(at.hash))
    }

    /// The entries that have reached the disk since this was asked last, those about the log itself
    /// included.
    pub fn take_written(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.written)
    }

    fn recover(&mut self, now: Stamp) -> Result<(), AuditError> {
        // Files whose very first entry was truncated. Their removal must not be the last trace of them:
        // the entry comes first.
        let (mut startless, mut cut) = (Vec::new(), 0);
        loop {
            let Some(name) = self.files.last().cloned() else {
                let note = (!startless.is_empty()).then(|| format!("why=cut bytes={cut}"));
                self.begin(Checkpoint::START, note, now)?;
                break;
            };
            let bytes = self.disk.read(&name).map_err(|e| refused(&self.disk, &name, "read", e))?;
            let end = tail(&name, &bytes, &mut self.said);
            self.found_ms = self.said.wall_ms;
            match end {
                Tail::NoStart { bytes } => {
                    cut += bytes;
                    startless.push(name);
                    self.files.pop();
                    continue;
                }
                Tail::Good { len, head } => {
                    (self.len, self.head) = (len, head);
                    if !startless.is_empty() {
                        self.write(&[(now, cut_off(cut))], None)?;
                    }
                }
                Tail::Torn { len, head, bytes } => {
                    (self.len, self.head) = (len, head);
                    // Written over the unfinished tail: until the entry is on the disk there is
                    // something for the next start to find.
                    self.write(&[(now, cut_off(cut + bytes))], None)?;
                    self.disk.truncate(&name, self.len).map_err(|e| refused(&self.disk, &name, "cut", e))?;
                }
                Tail::Damaged { after, entry } => {
                    // It may have been its first entry that said how far the others had come.
                    for earlier in self.files.iter().rev().skip(1) {
                        if self.said.marks.is_some() {
                            break;
                        }
                        let bytes =
                            self.disk.read(earlier).map_err(|e| refused(&self.disk, earlier, "read", e))?;
                        let _ = tail(earlier, &bytes, &mut self.said);
                    }
                    self.begin(after, Some(format!("why=damaged file={name} entry={entry}")), now)?;
                }
            }
            break;
        }
        for name in startless {
            if !self.files.contains(&name) {
                self.disk.remove(&name).map_err(|e| refused(&self.disk, &name, "remove", e))?;
            }
        }
        Ok(())
    }

    /// Appends entries; on return they are on the disk.
    ///
    /// # Errors
    /// When the disk refuses. Nothing counts as written then, and the call may be repeated.
    pub fn append(&mut self, events: &[(Stamp, AuditEvent)]) -> Result<(), AuditError> {
        self.drop_unfinished()?;
        if self.dirty {
            let name = self.last_file();
            self.disk.truncate(&name, self.len).map_err(|e| refused(&self.disk, &name, "cut", e))?;
            self.dirty = false;
        }
        self.write(events, None)?;
        // From here on the entries are safe; what fails now is done at the next call.
        if let Some((now, _)) = events.last()
            && let Err(error) = self.rotate(*now)
        {
            log::warn!("event=audit_rotation_failed error={:?}", error.to_string());
        }
        Ok(())
    }

    fn last_file(&self) -> String {
        self.files.last().cloned().unwrap_or_default()
    }

    fn write(&mut self, events: &[(Stamp, AuditEvent)], after: Option<Checkpoint>) -> Result<(), AuditError> {
        let (mut bytes, mut entries) = (Vec::new(), Vec::with_capacity(events.len()));
        let mut said = self.said;
        let head = events.iter().fold(self.head, |head, (stamp, event)| {
            let mut entry = self.entry(head, *stamp, event, after);
            entry.marks = event.mark.map(|mark| said.marks.unwrap_or_default().with(mark));
            said.note(&entry);
            let head = entry.chained(head, &mut bytes);
            entries.push(entry);
            head
        });
        let name = self.last_file();
        self.dirty = true;
        self.disk.write_at(&name, self.len, &bytes).map_err(|e| refused(&self.disk, &name, "write", e))?;
        self.disk.sync(&name).map_err(|e| refused(&self.disk, &name, "sync", e))?;
        self.dirty = false;
        self.len += bytes.len() as u64;
        self.head = head;
        self.said = said;
        self.written.append(&mut entries);
        Ok(())
    }

    fn entry(&self, head: Checkpoint, at: Stamp, event: &AuditEvent, after: Option<Checkpoint>) -> Entry {
        Entry {
            seq: head.entries + 1,
            synced: self.head.entries,
            wall_ms: at.wall_ms,
            mono_ns: at.mono.as_nanos(),
            event: event.event.clone(),
            subject: event.subject,
            similarity: event.similarity,
            detail: event.detail.clone(),
            after,
            marks: None,
            model: self.context.model,
            config: self.context.config,
        }
    }

    /// Begins a file that continues `after`. What is to be noted stands in its first entry, so that a
    /// power cut cannot keep the one and lose the other.
    fn begin(&mut self, after: Checkpoint, note: Option<String>, now: Stamp) -> Result<(), AuditError> {
        let name = file_name(after.entries + 1);
        let mut bytes = Vec::new();
        let start = AuditEvent { event: entry::FILE.to_owned(), detail: note, ..AuditEvent::default() };
        // What the files before have said goes on, so that a start needs to read the last file alone.
        let entry = Entry { marks: self.said.marks, ..self.entry(after, now, &start, Some(after)) };
        let head = entry.chained(after, &mut bytes);
        self.unfinished = Some(name.clone());
        self.disk.create(&name).map_err(|e| refused(&self.disk, &name, "make", e))?;
        self.disk.write_at(&name, 0, &bytes).map_err(|e| refused(&self.disk, &name, "write", e))?;
        self.disk.sync(&name).map_err(|e| refused(&self.disk, &name, "sync", e))?;
        self.unfinished = None;
        if self.files.last() != Some(&name) {
            self.files.push(name);
        }
        self.len = bytes.len() as u64;
        self.head = head;
        self.written.push(entry);
        Ok(())
    }

    /// The file that a failed rotation left must be gone before the old one is continued.
    fn drop_unfinished(&mut self) -> Result<(), AuditError> {
        if let Some(name) = &self.unfinished {
            match self.disk.remove(name) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(refused(&self.disk, name, "remove", e));
                }
                _ => self.unfinished = None,
            }
        }
        Ok(())
    }

    fn rotate(&mut self, now: Stamp) -> Result<(), AuditError> {
        if self.len < self.rotation.file_bytes {
            return Ok(());
        }
        self.begin(self.head, None, now)?;
        log::info!("event=audit_file entries={} hash={}", self.head.entries, self.head.hash);
        while self.files.len() > self.rotation.keep_files.max(2) {
            // What the second file continues is the end of the first.
            let (oldest, second) = (self.files[0].clone(), self.files[1].clone());
            let bytes = self.disk.read(&second).map_err(|e| refused(&self.disk, &second, "read", e))?;
            let end = continues(&second, &bytes);
            if !self.kept.is_noted(end) {
                let bytes = self.disk.read(&oldest).map_err(|e| refused(&self.disk, &oldest, "read", e))?;
                let pools = self.kept.copy(&mut self.disk, &bytes, self.rotation.pool_bytes)?;
                // It says that the oldest file goes, and then the file goes.
                let note = AuditEvent::new(entry::RETIRED).with(format!("file={oldest}{pools}"));
                self.write(&[(now, note)], end)?;
                self.kept.stated(end);
            }
            self.disk.remove(&oldest).map_err(|e| refused(&self.disk, &oldest, "remove", e))?;
            self.files.remove(0);
        }
        self.kept.trim(&mut self.disk)
    }
}

fn cut_off(bytes: usize) -> AuditEvent {
    AuditEvent::new("cut").with(format!("bytes={bytes}"))
}

impl Entry {
    fn chained(&self, head: Checkpoint, out: &mut Vec<u8>) -> Checkpoint {
        Checkpoint { entries: self.seq, hash: self.write(head.hash, out) }
    }
}

/// The line as it stands, without a look at the chain.
fn unchecked(line: &[u8]) -> Option<ChainedEntry> {
    let (hash, json) = entry::split(line)?;
    Some(ChainedEntry { hash, entry: serde_json::from_slice(json).ok()? })
}

/// What a start finds at the end of a file, and what its entries say.
fn tail(name: &str, bytes: &[u8], said: &mut Said) -> Tail {
    let scan = scan(name, bytes, |line, _| said.note(&line.entry));
    let len = scan.len as u64;
    if scan.problem.is_none() {
        return Tail::Good { len, head: scan.head };
    }
    // Is anything behind the break that was written when the broken entry had long been synced?
    let broken = scan.head.entries + 1;
    let behind = bytes[scan.len..].split(|b| *b == b'\n').filter_map(unchecked);
    // A new file is named after what it continues, and must not take the place of this one.
    let (mut damaged, mut last, mut said_behind) = (false, scan.head, *said);
    last.entries = last.entries.max(broken);
    for line in behind {
        damaged |= line.entry.synced >= broken;
        said_behind.note(&line.entry);
        if line.entry.seq > last.entries {
            last = Checkpoint { entries: line.entry.seq, hash: line.hash };
        }
    }
    let cut = bytes.len() - scan.len;
    if damaged {
        // Those are entries that had been on the disk. A torn write has said nothing.
        *said = said_behind;
    }
    match scan.after {
        _ if damaged => Tail::Damaged { after: last, entry: broken },
        None => Tail::NoStart { bytes: cut },
        Some(_) => Tail::Torn { len, head: scan.head, bytes: cut },
    }
}

#[cfg(test)]
pub(super) mod tests;
