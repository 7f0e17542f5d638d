//! Pools that are read back, trimmed, tampered with and damaged.

use super::super::check::check;
use super::super::writer::tests::{CONTEXT, MemDisk, ROTATION, Random, at, batch, open};
use super::super::{AuditEvent, AuditLog, LogCheck, Rotation, Stamp};
use super::*;
use facelatch_core::access::SubjectId;

fn release(number: u64) -> AuditEvent {
    let subject = Some(SubjectId(number as u32));
    AuditEvent { subject, similarity: Some(0.9), ..AuditEvent::new("release").with("cause=identified") }
}

/// One release, one enrolment, and then noise that pushes both out many times over.
fn flooded(rotation: Rotation) -> (MemDisk, AuditLog<MemDisk>) {
    let disk = MemDisk::default();
    let mut log = open(&disk, rotation).unwrap();
    log.append(&[(
        at(1),
        AuditEvent { subject: Some(SubjectId(7)), ..AuditEvent::new("enrolled").with("from=camera") },
    )])
    .unwrap();
    log.append(&[(at(2), release(7))]).unwrap();
    let noise = |n| (at(n), AuditEvent::new("deny").with("reason=several_faces count=2"));
    for n in 3..300 {
        log.append(&[noise(n)]).unwrap();
    }
    (disk, log)
}

fn report(disk: &MemDisk) -> LogCheck {
    check(disk, None, |_, _| ()).unwrap().unwrap()
}

fn pool_files(disk: &MemDisk) -> Vec<String> {
    let names = disk.names().unwrap();
    names.into_iter().filter(|name| name.starts_with("kept-")).collect()
}

#[test]
fn noise_pushes_out_noise_and_nothing_else() {
    let (disk, mut log) = flooded(ROTATION);
    let found = report(&disk);
    assert!(found.first > 100 && found.files == ROTATION.keep_files, "{found:?}");
    assert_eq!(found.kept, 2);
    let kept = kept_entries(&disk, found.first).unwrap();
    let events: Vec<_> = kept.iter().map(|(entry, _)| (entry.seq, entry.event.as_str())).collect();
    assert_eq!(events, [(2, "enrolled"), (3, "release")]);
    // Each stands as it stood in the log: its hash follows from the entry before, which is gone.
    let own = entry::split(kept[1].1.strip_suffix(b"\n").unwrap()).unwrap().0;
    let before = entry::split(kept[0].1.strip_suffix(b"\n").unwrap()).unwrap().0;
    assert_eq!(before.chain(entry::split(kept[1].1.strip_suffix(b"\n").unwrap()).unwrap().1), own);
    // A start continues where the last one ended.
    drop(log);
    log = open(&disk, ROTATION).unwrap();
    for n in 0..200 {
        log.append(&[(at(1_000 + n), release(n))]).unwrap();
    }
    assert!(report(&disk).kept > 100);
    let seqs: Vec<u64> = kept_entries(&disk, u64::MAX).unwrap().iter().map(|(e, _)| e.seq).collect();
    assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
}

#[test]
fn a_pool_that_is_full_loses_its_oldest_and_the_log_says_so() {
    let rotation = Rotation { pool_bytes: 16 * 2_000, ..ROTATION };
    let (disk, mut log) = flooded(rotation);
    for n in 0..600 {
        log.append(&[(at(1_000 + n), release(n))]).unwrap();
    }
    let found = report(&disk);
    let files = pool_files(&disk);
    let releases = files.iter().filter(|name| name.starts_with("kept-releases")).count();
    assert_eq!((releases, files.len()), (FILES, FILES + 1), "the enrolment has a pool of its own");
    let kept = kept_entries(&disk, found.first).unwrap();
    assert_eq!(kept[0].0.event, "enrolled");
    assert!(kept.len() as u64 == found.kept && kept.len() > 30 && kept.len() < 100, "{}", kept.len());
    // What has gone by the rule is not missed; the first that should be there is.
    let first = files.iter().find(|name| name.starts_with("kept-releases")).unwrap();
    disk.0.borrow_mut().seen.remove(first);
    let broken = check(&disk, None, |_, _| ()).unwrap().unwrap_err();
    assert!(broken.problem.contains("pool \"releases\" are missing"), "{broken}");
}

/// A log with every pool filled, the files of its pools, and what they hold.
fn filled() -> (MemDisk, Vec<(String, Vec<u8>)>) {
    let (disk, mut log) = flooded(Rotation { pool_bytes: 16 * 3_000, ..ROTATION });
    let mut random = Random::new(5);
    for n in 0..150 {
        log.append(&[(at(2_000 + n), release(n))]).unwrap();
        log.append(&batch(&mut random, n)).unwrap();
    }
    assert!(report(&disk).kept > 100);
    let files = pool_files(&disk).into_iter().map(|name| (name.clone(), disk.read(&name).unwrap())).collect();
    (disk, files)
}

#[test]
fn what_is_done_to_a_pool_is_found() {
    let (disk, files) = filled();
    assert!(files.len() > 8, "{}", files.len());
    let put = |name: &str, bytes: Option<Vec<u8>>| {
        let mut state = disk.0.borrow_mut();
        match bytes {
            Some(bytes) => state.seen.insert(name.to_owned(), bytes),
            None => state.seen.remove(name),
        };
    };
    for seed in 0..1_000 {
        let mut random = Random::new(seed + 1);
        let (name, good) = &files[random.below(files.len())];
        let mut bad = good.clone();
        let lines: Vec<&[u8]> = good.split_inclusive(|b| *b == b'\n').collect();
        let how = ["flip", "delete", "swap", "insert", "cut", "remove"][seed as usize % 6];
        match how {
            "flip" => {
                let at = random.below(bad.len());
                bad[at] ^= 1 << random.below(8);
            }
            "delete" => {
                let mut lines = lines.clone();
                lines.remove(random.below(lines.len()));
                bad = lines.concat();
            }
            "swap" if lines.len() > 2 => {
                let (a, mut lines) = (1 + random.below(lines.len() - 2), lines.clone());
                lines.swap(a, a + 1);
                bad = lines.concat();
            }
            "insert" => {
                let mut lines = lines.clone();
                let line = lines[random.below(lines.len() - 1)];
                // Behind the last one it would be what a cut-off copy leaves: nobody reads it.
                lines.insert(1 + random.below(lines.len() - 1), line);
                bad = lines.concat();
            }
            _ => bad.truncate(random.below(bad.len())),
        }
        put(name, (how != "remove").then_some(bad));
        let found = check(&disk, None, |_, _| ()).unwrap();
        let broken = found.expect_err(&format!("seed {seed}: {how} of {name} was not found"));
        assert!(broken.file.is_none_or(|file| file.starts_with("kept-")), "seed {seed}");
        put(name, Some(good.clone()));
    }
    report(&disk);
    for (name, _) in &files {
        put(name, None);
    }
    let broken = check(&disk, None, |_, _| ()).unwrap().unwrap_err();
    assert!(broken.problem.contains("are missing"), "{broken}");
}

#[test]
fn a_pool_in_another_s_place_is_found() {
    let (disk, _) = filled();
    let (other, mut log) = flooded(ROTATION);
    for n in 0..400 {
        log.append(&[(at(9_000 + n), release(1_000 + n))]).unwrap();
    }
    let mut state = disk.0.borrow_mut();
    state.seen.retain(|name, _| !name.starts_with("kept-releases"));
    for name in pool_files(&other).iter().filter(|name| name.starts_with("kept-releases")) {
        state.seen.insert(name.clone(), other.read(name).unwrap());
    }
    drop(state);
    let broken = check(&disk, None, |_, _| ()).unwrap().unwrap_err();
    assert!(broken.problem.contains("was rewritten"), "{broken}");
}

#[test]
fn damage_to_a_pool_stays_as_evidence_and_the_pool_goes_on() {
    let (disk, files) = filled();
    let (name, bytes) = files.iter().rfind(|(name, _)| name.starts_with("kept-releases")).unwrap();
    let mut bad = bytes.clone();
    let at_byte = bad.len() - 20;
    bad[at_byte] ^= 1;
    disk.0.borrow_mut().seen.insert(name.clone(), bad.clone());
    let mut log = open(&disk, ROTATION).unwrap();
    for n in 0..200 {
        log.append(&[(at(50_000 + n), release(n))]).unwrap();
    }
    assert_eq!(disk.read(name).unwrap(), bad);
    let broken = check(&disk, None, |_, _| ()).unwrap().unwrap_err();
    assert_eq!(broken.file.as_ref(), Some(name), "{broken}");
    let after = pool_files(&disk).into_iter().filter(|file| file.starts_with("kept-releases") && file > name);
    assert!(after.count() > 0, "later releases are kept as well");
}

#[test]
fn a_log_of_an_earlier_version_has_no_pools_and_gets_them() {
    let (disk, log) = flooded(ROTATION);
    drop(log);
    // As an earlier version would have left it: retired files without pools.
    let stamp = |n| Stamp { wall_ms: n, mono: facelatch_core::time::Timestamp::from_millis(n) };
    let old = MemDisk::default();
    let after = Checkpoint { entries: 40, hash: Hash([3; 32]) };
    let mut bytes = Vec::new();
    let entry = |seq: u64, event: &str, after, detail: Option<&str>| Entry {
        seq,
        synced: seq - 1,
        wall_ms: seq,
        mono_ns: seq,
        event: event.to_owned(),
        subject: None,
        similarity: None,
        detail: detail.map(str::to_owned),
        after,
        marks: None,
        model: CONTEXT.model,
        config: CONTEXT.config,
    };
    let hash = entry(41, entry::FILE, Some(after), None).write(after.hash, &mut bytes);
    entry(42, entry::RETIRED, Some(after), Some("file=audit-000000000001.log")).write(hash, &mut bytes);
    old.0.borrow_mut().seen.insert("audit-000000000041.log".to_owned(), bytes);
    assert_eq!(report(&old).kept, 0);
    let mut log = AuditLog::open(old.clone(), ROTATION, CONTEXT, stamp(5)).unwrap();
    log.append(&[(stamp(6), release(1))]).unwrap();
    for n in 10..200 {
        log.append(&[(stamp(n), AuditEvent::new("deny"))]).unwrap();
    }
    assert_eq!(report(&old).kept, 1);
    assert_eq!(report(&disk).kept, 2);
}
