//! Power cuts and tampering, on a disk that loses what was not synced.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::super::check::check;
use super::super::entry::{Hash, Mark};
use super::super::kept::kept_entries;
use super::*;
use facelatch_core::access::SubjectId;
use facelatch_core::time::Timestamp;

/// xorshift64*: a test names its seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

#[derive(Default)]
pub(crate) struct DiskState {
    /// What the running system sees.
    pub(crate) seen: BTreeMap<String, Vec<u8>>,
    /// What survives a power cut for sure.
    safe: BTreeMap<String, Vec<u8>>,
    /// Calls left until the power fails.
    fuse: Option<usize>,
    /// The next sync fails, and what it should have saved stays in doubt.
    fail_sync: bool,
}

/// A disk in memory. A call at which the power fails is done, half done or not done.
#[derive(Clone, Default)]
pub(crate) struct MemDisk(pub(crate) Rc<RefCell<DiskState>>);

impl MemDisk {
    fn dead(&self) -> bool {
        let mut state = self.0.borrow_mut();
        match &mut state.fuse {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                *left == 0
            }
            None => false,
        }
    }

    fn fail<T>() -> io::Result<T> {
        Err(io::Error::other("the power is gone"))
    }

    /// The power comes back: of what was written since the last sync any part may have reached the
    /// disk, and in its place may stand zeros, garbage or what was there before.
    fn power_cut(&self, random: &mut Random) {
        let state = &mut *self.0.borrow_mut();
        state.fuse = None;
        for (name, seen) in &mut state.seen {
            let safe = state.safe.get(name).cloned().unwrap_or_default();
            if *seen == safe {
                continue;
            }
            let same = seen.iter().zip(&safe).take_while(|(a, b)| a == b).count();
            let mut left = safe[..same.min(safe.len())].to_vec();
            let arrived = match random.below(4) {
                0 => 0,
                1 => seen.len() - same,
                _ => random.below(seen.len() - same + 1),
            };
            left.extend_from_slice(&seen[same..same + arrived]);
            let missing = random.below(seen.len() - left.len() + 1);
            match random.below(6) {
                0 => left.extend(std::iter::repeat_n(0, missing)),
                1 => left.extend((0..missing).map(|_| random.next() as u8)),
                2 => {
                    // A hole: a later block arrived, an earlier one did not.
                    left = seen.clone();
                    let from = same + random.below(seen.len() - same + 1);
                    let to = from + random.below(seen.len() - from + 1);
                    left[from..to].fill(0);
                }
                _ => {}
            }
            if left.len() < safe.len() {
                left.extend_from_slice(&safe[left.len()..]);
            }
            *seen = left;
        }
        state.safe = state.seen.clone();
    }
}

impl LogDisk for MemDisk {
    fn place(&self, name: &str) -> String {
        name.to_owned()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.borrow().seen.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.0.borrow().seen.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let dead = self.dead();
        let mut state = self.0.borrow_mut();
        state.seen.insert(name.to_owned(), Vec::new());
        state.safe.insert(name.to_owned(), Vec::new());
        if dead { Self::fail() } else { Ok(()) }
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let dead = self.dead();
        let mut state = self.0.borrow_mut();
        let file = state.seen.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        let (from, to) = (offset as usize, offset as usize + bytes.len());
        if file.len() < to {
            file.resize(to, 0);
        }
        file[from..to].copy_from_slice(bytes);
        if dead { Self::fail() } else { Ok(()) }
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        if self.dead() {
            return Self::fail();
        }
        let mut state = self.0.borrow_mut();
        if std::mem::take(&mut state.fail_sync) {
            return Err(io::Error::other("I/O error"));
        }
        let seen = state.seen.get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        state.safe.insert(name.to_owned(), seen);
        Ok(())
    }

    fn truncate(&mut self, name: &str, len: u64) -> io::Result<()> {
        if self.dead() {
            return Self::fail();
        }
        let mut state = self.0.borrow_mut();
        let file = state.seen.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        file.truncate(len as usize);
        let file = file.clone();
        state.safe.insert(name.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let dead = self.dead();
        let mut state = self.0.borrow_mut();
        state.seen.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.safe.remove(name);
        if dead { Self::fail() } else { Ok(()) }
    }
}

pub(crate) const ROTATION: Rotation = Rotation { file_bytes: 3_000, keep_files: 4, pool_bytes: 1 << 20 };
pub(crate) const CONTEXT: Context = Context { model: Hash([1; 32]), config: Hash([2; 32]) };

pub(crate) fn at(ms: u64) -> Stamp {
    Stamp { wall_ms: 1_700_000_000_000 + ms, mono: Timestamp::from_millis(ms) }
}

pub(crate) fn open(disk: &MemDisk, rotation: Rotation) -> Result<AuditLog<MemDisk>, AuditError> {
    AuditLog::open(disk.clone(), rotation, CONTEXT, at(0))
}

pub(crate) fn batch(random: &mut Random, number: u64) -> Vec<(Stamp, AuditEvent)> {
    let event = |i| AuditEvent {
        event: ["release", "deny", "secured"][random.below(3)].to_owned(),
        subject: Some(SubjectId(random.below(50) as u32)),
        similarity: Some(random.below(1000) as f32 / 1000.0),
        detail: Some(format!("number={number}.{i}")),
        mark: None,
    };
    (0..1 + number % 3).map(event).map(|event| (at(number), event)).collect()
}

/// The releases that can still be read: those kept of retired files, and those in the files.
fn releases(disk: &MemDisk, first: u64) -> Vec<String> {
    let mut found: Vec<String> =
        kept_entries(disk, first).unwrap().into_iter().filter_map(|(entry, _)| entry.detail).collect();
    check(disk, None, |entry, _| {
        found.extend(entry.detail.clone().filter(|_| entry.event == "release"));
    })
    .unwrap()
    .unwrap();
    found
}

fn details(disk: &MemDisk) -> Vec<String> {
    let mut found = Vec::new();
    check(disk, None, |entry, _| found.extend(entry.detail.clone())).unwrap().unwrap();
    found
}

/// The last good entry of a log with a torn tail.
fn torn_after(disk: &MemDisk) -> Option<u64> {
    let mut last = 0;
    let broken = check(disk, None, |entry, _| last = entry.seq).unwrap().is_err();
    broken.then_some(last)
}

/// That a tail torn after this entry is spoken of behind it; false when none was torn.
fn is_noted(disk: &MemDisk, torn_after: Option<u64>, seed: u64) -> bool {
    let Some(last) = torn_after else { return false };
    let mut noted = false;
    let holds = check(disk, None, |entry, _| {
        let detail = entry.detail.as_deref().unwrap_or_default();
        noted |= (entry.event == "cut" || detail.starts_with("why=cut")) && entry.seq > last;
        assert!(!detail.contains("damaged"), "seed {seed}: nothing was damaged");
    });
    assert!(holds.unwrap().is_ok() && noted, "seed {seed}: a torn tail went unsaid");
    true
}

#[test]
fn a_thousand_power_cuts_lose_nothing_that_was_synced_and_are_noted() {
    let (mut cuts_noted, mut nested, mut retired) = (0, 0, 0);
    for seed in 0..1_000 {
        let mut random = Random::new(seed + 1);
        let disk = MemDisk::default();
        let mut synced: Vec<String> = Vec::new();
        let mut opened: Vec<String> = Vec::new();
        let mut head = Checkpoint::START;
        let mut number = 0;
        let mut owed = None;
        // A power cut while the log is written, and now and then another while it recovers.
        for round in 0..3 {
            disk.0.borrow_mut().fuse = Some(1 + random.below(if round == 0 { 120 } else { 12 }));
            let Ok(mut log) = open(&disk, ROTATION) else {
                nested += 1;
                disk.power_cut(&mut random);
                owed = owed.or(torn_after(&disk));
                continue;
            };
            cuts_noted += usize::from(is_noted(&disk, owed.take(), seed));
            assert!(log.head().entries >= head.entries, "seed {seed}");
            loop {
                number += 1;
                let events = batch(&mut random, number);
                if log.append(&events).is_err() {
                    break;
                }
                synced.extend(events.iter().filter_map(|(_, event)| event.detail.clone()));
                let release = events.iter().filter(|(_, event)| event.event == "release");
                opened.extend(release.filter_map(|(_, event)| event.detail.clone()));
                head = log.head();
                if disk.0.borrow().fuse == Some(0) {
                    break;
                }
            }
            disk.power_cut(&mut random);
            owed = torn_after(&disk);
        }
        let log = open(&disk, ROTATION).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        drop(log);
        let report = check(&disk, Some(head), |_, _| ()).unwrap();
        let report = report.unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        assert!(!report.checkpoint_too_old, "seed {seed}");
        cuts_noted += usize::from(is_noted(&disk, owed, seed));
        // What is kept holds the synced entries without a gap, in order; only retired ones are gone.
        let kept: Vec<String> = details(&disk).into_iter().filter(|d| synced.contains(d)).collect();
        assert!(synced.ends_with(&kept), "seed {seed}");
        assert!(report.first > 1 || kept.len() == synced.len(), "seed {seed}");
        // Of a retired file the releases stay, each of them once.
        let mut left = releases(&disk, report.first);
        left.retain(|detail| opened.contains(detail));
        assert_eq!(left, opened, "seed {seed}");
        retired += report.kept;
    }
    println!(
        "power cuts: 1000 runs of three, {nested} while recovering; torn tails noted: {cuts_noted}; synced entries lost: 0"
    );
    println!("releases kept of retired files: {retired}; lost or doubled: 0");
    assert!(cuts_noted > 300 && nested > 100, "the cuts hit too rarely: {cuts_noted} {nested}");
    assert!(retired > 1_000, "files were retired too rarely: {retired}");
}

/// A log of several files, one of them retired, and the checkpoint of its end.
fn written(random: &mut Random) -> (MemDisk, Checkpoint) {
    let disk = MemDisk::default();
    let mut log = open(&disk, ROTATION).unwrap();
    for number in 1..60 {
        log.append(&batch(random, number)).unwrap();
    }
    let head = log.head();
    assert!(check(&disk, Some(head), |_, _| ()).unwrap().unwrap().first > 1);
    (disk, head)
}

/// Its lines, each with the file it stands in and the number of its entry.
fn lines(disk: &MemDisk) -> Vec<(String, u64, Vec<u8>)> {
    let mut found = Vec::new();
    for name in log_files(disk.names().unwrap()) {
        let bytes = disk.read(&name).unwrap();
        scan(&name, &bytes, |line, text| found.push((name.clone(), line.entry.seq, text.to_vec())));
    }
    found
}

/// Puts lines into their files.
fn put(disk: &MemDisk, lines: &[(String, u64, Vec<u8>)]) {
    let mut state = disk.0.borrow_mut();
    state.seen.clear();
    for (name, _, text) in lines {
        state.seen.entry(name.clone()).or_default().extend_from_slice(text);
    }
}

/// A change to the lines, and the entry that is broken first by it.
type Tamper = fn(&mut Vec<(String, u64, Vec<u8>)>, &mut Random) -> u64;

fn tampered(name: &str, how: Tamper) {
    let (disk, head) = written(&mut Random::new(7));
    let good = lines(&disk);
    for seed in 0..1_000 {
        let mut random = Random::new(seed + 1);
        let mut bad = good.clone();
        let entry = how(&mut bad, &mut random);
        put(&disk, &bad);
        let found = check(&disk, Some(head), |_, _| ()).unwrap();
        match found {
            Ok(_) => panic!("{name}, seed {seed}: not detected"),
            Err(broken) => assert_eq!(broken.entry, entry, "{name}, seed {seed}: {broken}"),
        }
    }
    println!("{name}: 1000 of 1000 detected, the first broken entry named each time");
}

#[test]
fn flipped_bits_are_found() {
    tampered("flip", |lines, random| {
        let at = random.below(lines.len());
        let byte = random.below(lines[at].2.len());
        lines[at].2[byte] ^= 1 << random.below(8);
        lines[at].1
    });
}

#[test]
fn deleted_entries_are_found() {
    tampered("delete", |lines, random| {
        // The last one is a cut tail, which has its own test.
        let at = random.below(lines.len() - 1);
        let many = 1 + random.below(3).min(lines.len() - 2 - at);
        let gone = lines[at].clone();
        lines.drain(at..at + many);
        // Without its beginning the log lacks all from the first entry on, whatever was retired.
        if at == 0 && lines[0].0 != gone.0 { 1 } else { gone.1 }
    });
}

#[test]
fn reordered_entries_are_found() {
    tampered("reorder", |lines, random| {
        let (mut a, mut b) = (0, 0);
        while a == b {
            (a, b) = (random.below(lines.len()), random.below(lines.len()));
        }
        let first = lines[a.min(b)].1;
        let text = lines[a].2.clone();
        lines[a].2 = std::mem::replace(&mut lines[b].2, text);
        first
    });
}

#[test]
fn inserted_entries_are_found() {
    tampered("insert", |lines, random| {
        let (from, to) = (random.below(lines.len()), 1 + random.below(lines.len() - 1));
        let mut copy = lines[from].clone();
        // In the file of the line before: the entry that should stand there is the next one.
        copy.0 = lines[to - 1].0.clone();
        if random.below(2) == 0 {
            // Not a mere copy: a new entry that states the next number and another's hash.
            let json = Entry {
                seq: lines[to - 1].1 + 1,
                ..serde_json::from_slice(entry::split(&copy.2[..copy.2.len() - 1]).unwrap().1).unwrap()
            };
            json.write(Hash([9; 32]), &mut copy.2);
        }
        // A line before itself is in its place: the one after it is not.
        let itself = from == to && copy.0 == lines[to].0;
        let entry = lines[to - 1].1 + 1 + u64::from(itself);
        lines.insert(to, copy);
        entry
    });
}

#[test]
fn a_cut_tail_is_found_against_the_checkpoint() {
    tampered("truncate", |lines, random| {
        let at = random.below(lines.len());
        let entry = lines[at].1;
        let keep = random.below(lines[at].2.len());
        lines.truncate(at + 1);
        lines[at].2.truncate(keep);
        // With no line left in it a file is not there.
        let empty = lines[at].2.is_empty();
        if empty {
            lines.pop();
        }
        if lines.is_empty() { 1 } else { entry }
    });
}

#[test]
fn a_log_written_anew_is_found_against_the_checkpoint() {
    let (_, head) = written(&mut Random::new(7));
    let (other, _) = written(&mut Random::new(8));
    assert!(check(&other, None, |_, _| ()).unwrap().is_ok(), "its chain holds");
    let broken = check(&other, Some(head), |_, _| ()).unwrap().unwrap_err();
    assert!(broken.problem.contains("checkpoint"), "{broken}");
}

#[test]
fn files_removed_without_a_note_are_missed() {
    let (disk, _) = written(&mut Random::new(7));
    let files = log_files(disk.names().unwrap());
    assert_eq!(files.len(), ROTATION.keep_files);
    disk.0.borrow_mut().seen.remove(&files[0]);
    let broken = check(&disk, None, |_, _| ()).unwrap().unwrap_err();
    assert!(broken.entry == 1 && broken.problem.contains("retired"), "{broken}");
}

#[test]
fn damage_is_kept_as_evidence_and_the_log_goes_on() {
    // One whose last file has a few batches: what comes behind the damage had been synced after it.
    let long = |(disk, _): &(MemDisk, _)| {
        let all = lines(disk);
        all.iter().filter(|line| line.0 == all[all.len() - 1].0).count() > 6
    };
    let (disk, _) = (7..).map(|seed| written(&mut Random::new(seed))).find(long).unwrap();
    let mut bad = lines(&disk);
    let last_file = bad.last().unwrap().0.clone();
    let second = bad.iter().position(|line| line.0 == last_file).unwrap() + 1;
    let (entry, before) = (bad[second].1, bad.len());
    bad[second].2[70] ^= 1;
    put(&disk, &bad);
    let mut log = open(&disk, ROTATION).unwrap();
    log.append(&[(at(5), AuditEvent::new("started"))]).unwrap();
    let last = log.files.last().cloned().unwrap();
    let text = String::from_utf8(disk.read(&last).unwrap()).unwrap();
    assert!(text.contains("why=damaged") && text.contains(&format!("entry={entry}")), "{text}");
    assert!(lines(&disk).len() < before + 3 && disk.read(&last_file).unwrap().len() > 100);
    let broken = check(&disk, None, |_, _| ()).unwrap().unwrap_err();
    assert_eq!(broken.entry, entry, "{broken}");
}

#[test]
fn a_failed_sync_loses_nothing_when_it_is_tried_again() {
    let disk = MemDisk::default();
    let mut log = open(&disk, ROTATION).unwrap();
    let mut random = Random::new(3);
    for number in 1..200 {
        let events = batch(&mut random, number);
        disk.0.borrow_mut().fail_sync = number % 3 == 0;
        if log.append(&events).is_err() {
            log.append(&events).unwrap();
        }
        // A rotation may have met the failing sync instead: it comes to pass later.
        disk.0.borrow_mut().fail_sync = false;
    }
    let head = log.head();
    let report = check(&disk, Some(head), |_, _| ()).unwrap().unwrap();
    assert!(report.files <= ROTATION.keep_files);
    let kept: Vec<String> = details(&disk).into_iter().filter(|d| d.starts_with("number=")).collect();
    let mut once = kept.clone();
    once.dedup();
    assert_eq!(kept, once, "an entry was written twice");
    assert_eq!(kept.last().unwrap(), "number=199.1");
}

#[test]
fn marks_go_on_over_files_cuts_and_damage_and_an_older_log_lacks_what_is_known() {
    let change = |version| Mark::Change { version, next_id: 3 };
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let disk = MemDisk::default();
        let mut log = open(&disk, ROTATION).unwrap();
        assert_eq!(log.marks(), None);
        log.append(&[(at(1), AuditEvent::new("enrolled").marked(change(1)))]).unwrap();
        let (mut known, mut version, mut older) = (vec![log.head()], 1, None);
        for n in 0..30 {
            log.append(&batch(&mut random, n)).unwrap();
            if random.below(3) == 0 {
                version += 1;
                log.append(&[(at(n), AuditEvent::new("removed").marked(change(version)))]).unwrap();
                log.append(&[(at(n), AuditEvent::new("enrolled").marked(change(version)))]).unwrap();
            }
            known.push(log.head());
            if n == 15 {
                older = Some(disk.0.borrow().seen.clone());
            }
        }
        let part = if version == 1 { 1 } else { 2 };
        let marks = Marks { gallery: version, part, next_id: 3, ..Marks::default() };
        assert_eq!(log.marks(), Some(marks), "seed {seed}");
        drop(log);
        // The last write is torn: what was on the disk is still known.
        let last = log_files(disk.names().unwrap()).pop().unwrap();
        disk.0.borrow_mut().seen.get_mut(&last).unwrap().extend_from_slice(b"0123 torn");
        let log = open(&disk, ROTATION).unwrap();
        assert_eq!(log.marks(), Some(marks), "seed {seed}");
        assert_eq!(log.found_wall_ms(), at(29).wall_ms, "the entry about the cut has another clock");
        for head in &known {
            assert!(log.holds(*head).unwrap(), "seed {seed}: {head:?}");
            let other = Checkpoint { hash: Hash([9; 32]), ..*head };
            let retired = first_of(&log.files[0]).unwrap() > head.entries;
            assert_eq!(log.holds(other).unwrap(), retired, "seed {seed}: {head:?}");
        }
        assert!(log.holds(Checkpoint::START).unwrap());
        // Garbage in the midst of the last file: what stands behind it counts.
        let damaged = disk.0.borrow().seen[&last].len() / 2;
        let of_a_change = {
            let text = &disk.0.borrow().seen[&last];
            let start = text[..damaged].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let line = text[start..].split(|byte| *byte == b'\n').next().unwrap();
            let line = String::from_utf8_lossy(line);
            line.contains("enrolled") || line.contains("removed")
        };
        disk.0.borrow_mut().seen.get_mut(&last).unwrap()[damaged] ^= 0x55;
        let log = open(&disk, ROTATION).unwrap();
        if of_a_change {
            // The entry that broke may be one of the two of the last change, which the gallery then owes again.
            let found = log.marks().unwrap();
            assert_eq!(Marks { part, ..found }, marks, "seed {seed}");
            assert!(found.part + 1 >= part, "seed {seed}: {found:?}");
        } else {
            assert_eq!(log.marks(), Some(marks), "seed {seed}");
        }
        let lacking = known.iter().filter(|head| !log.holds(**head).unwrap()).count();
        assert!(
            lacking <= 1,
            "seed {seed}: but for the broken entry itself all are there, {lacking} are not"
        );
        // An older copy of the folder, and one with nothing in it.
        disk.0.borrow_mut().seen = older.unwrap();
        let log = open(&disk, ROTATION).unwrap();
        assert!(!log.holds(*known.last().unwrap()).unwrap(), "seed {seed}");
        assert!(log.marks().unwrap().gallery <= version);
        disk.0.borrow_mut().seen.clear();
        let log = open(&disk, ROTATION).unwrap();
        assert!(known.iter().all(|head| !log.holds(*head).unwrap()), "seed {seed}");
        assert_eq!(log.marks(), None);
    }
}

#[test]
fn an_empty_folder_holds_no_log() {
    let broken = check(&MemDisk::default(), None, |_, _| ()).unwrap().unwrap_err();
    assert!(broken.problem.contains("it is empty"), "{broken}");
}
