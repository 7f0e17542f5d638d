//! The gallery through kills and torn writes: it opens, and holds the old or the new state.

#[allow(dead_code, reason = "the simulator uses the rest")]
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::simulator::disk::SimulatedDisk;
use crate::watch::Random;
use facelatch::disk::Disk;
use facelatch::matching::{Embedding, Gallery, ModelHash, Note};
use facelatch::store::{GalleryStore, Ledger, StoreError, StoreKey};

const MODEL: ModelHash = ModelHash([3; 32]);
const KINDS: [&str; 6] = ["enrol", "rename", "note", "remove", "import", "key rotation"];

fn open(disk: &SimulatedDisk) -> Result<GalleryStore, StoreError> {
    let key = StoreKey::on(disk, Path::new("/d/key"))?;
    GalleryStore::on(Box::new(disk.clone()), Path::new("/d/gallery"), key).settled()
}

fn embedding(random: &mut Random) -> Embedding {
    Embedding::new((0..128).map(|_| random.unit() as f32).collect())
}

/// A change of this kind; `None` where there is nobody to change.
fn changed(old: &Gallery, kind: usize, random: &mut Random) -> Option<Gallery> {
    let mut new = old.clone();
    let somebody = |random: &mut Random| {
        let people = old.subjects();
        (!people.is_empty()).then(|| people[random.below(people.len() as u64) as usize].name.clone())
    };
    match kind {
        0 => {
            let name = format!("person {}", random.below(12));
            let templates = (0..3).map(|_| embedding(random)).collect();
            let (held, now) = (new.find(&name).map(|s| (s.id, s.looks())), random.below(1 << 40));
            match held {
                None => {
                    let _ = new.enrol(&name, templates, MODEL, now).unwrap();
                }
                Some((id, 1)) => {
                    let _ = new.add_look(id, embedding(random), MODEL, now).unwrap();
                }
                Some((id, _)) => {
                    let _ = new.replace(id, templates, MODEL, now, true).unwrap();
                }
            }
        }
        1 => {
            let to = format!("renamed {}", random.below(1 << 50));
            let _ = new.rename(&somebody(random)?, &to).unwrap();
        }
        2 => {
            let consent = Some(Some(format!("form {}", random.below(99))));
            let note = Note { consent, expires: Some(Some(random.below(1 << 40))) };
            let _ = new.note(&somebody(random)?, &note).unwrap();
        }
        3 => {
            let _ = new.remove(&somebody(random)?).unwrap();
        }
        4 => {
            let mut board = Gallery::default();
            let name = format!("imported {}", random.below(1 << 50));
            let _ = board.enrol(&name, vec![embedding(random)], MODEL, 5).unwrap();
            let _ = new.import(&board.subjects()[0]).unwrap();
        }
        _ => {}
    }
    Some(new)
}

#[test]
fn a_thousand_kills_leave_the_old_or_the_new_gallery() {
    let mut counts = [[0usize; 2]; KINDS.len()];
    let (mut kills, mut cuts) = (0, 0);
    for seed in 0.. {
        if kills + cuts >= 1_000 {
            break;
        }
        let mut random = Random::new(seed);
        let disk = SimulatedDisk::default();
        let key = Path::new("/d/key");
        disk.write(key, &[seed as u8; 32]).unwrap();
        disk.sync(key).unwrap();
        disk.sync_folder(key).unwrap();
        let mut known = Gallery::default();
        for _ in 0..12 {
            let kind = random.below(KINDS.len() as u64) as usize;
            let mut store = open(&disk).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            assert_eq!(store.load().unwrap(), known, "seed {seed}");
            let Some(new) = changed(&known, kind, &mut random) else { continue };
            let ledger = Ledger { erase: random.below(9), ..Ledger::default() };
            disk.kill_after(random.below(11));
            let done = if kind == 5 { store.rotate_key(&new, &ledger) } else { store.save(&new, &ledger) };
            drop(store);
            let killed = disk.has_killed();
            let power = random.once_in(2);
            if power {
                disk.lose_power(&mut random);
                cuts += 1;
            } else {
                disk.kill_after(u64::MAX);
                kills += usize::from(killed);
            }
            let found = open(&disk).and_then(|store| store.load());
            let found = found.unwrap_or_else(|e| panic!("seed {seed}, {}: {e}", KINDS[kind]));
            if done.is_ok() {
                assert_eq!(found, new, "seed {seed}: {} was done and is lost", KINDS[kind]);
            }
            assert!(found == new || found == known, "seed {seed}: {} left something else", KINDS[kind]);
            counts[kind][usize::from(found == new)] += 1;
            known = found;
        }
    }
    println!("{kills} kills and {cuts} power cuts in the middle of a change; found after it:");
    for (kind, [old, new]) in KINDS.iter().zip(counts) {
        println!("  {kind:<13} {old:>4} old, {new:>4} new");
        assert!(new > 20, "{kind}");
    }
    assert!(kills + cuts >= 1_000);
}

/// The real program, killed at a random moment, on the real file system.
#[test]
fn real_kills_leave_a_gallery_that_opens() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let config = path("config.toml");
    let text = format!(
        "[store]\ngallery = \"{}\"\nkey = \"{}\"\n[daemon]\nsocket = \"{}\"\n[audit]\nfolder = \"{}\"\n\
         [recording]\nfile = \"{}\"\nframes_folder = \"{}\"\n",
        path("gallery").display(),
        path("key").display(),
        path("socket").display(),
        path("audit").display(),
        path("recording").display(),
        path("frames").display(),
    );
    std::fs::write(&config, text).unwrap();
    let store = || -> GalleryStore {
        GalleryStore::open(&path("gallery"), StoreKey::open_or_create(&path("key")).unwrap()).unwrap()
    };
    let mut random = Random::new(1);
    let mut gallery = Gallery::default();
    for n in 0..20 {
        let templates = (0..3).map(|_| embedding(&mut random)).collect();
        let _ = gallery.enrol(&format!("person {n}"), templates, MODEL, 1).unwrap();
    }
    store().save(&gallery, &Ledger::default()).unwrap();
    let facelatch: PathBuf = env!("CARGO_BIN_EXE_facelatch").into();
    let (mut killed, mut finished, mut changed) = (0, 0, 0);
    let mut name = "person 0".to_owned();
    // Up to so many microseconds a run is let be. It follows how fast the machine is just now: less after a run
    // that came to its end, more after one that did not.
    let mut patience = 20_000;
    for n in 0..150 {
        let to = format!("name {n}");
        let rotate = n % 3 == 0;
        let mut command = Command::new(&facelatch);
        match rotate {
            true => command.args(["people", "rotate-key"]),
            false => command.args(["people", "rename", &name, &to]),
        };
        let mut child = command
            .args(["--config", &config.display().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(random.below(patience)));
        let _ = child.kill();
        match child.wait().unwrap().success() {
            true => (finished, patience) = (finished + 1, (patience * 4 / 5).max(100)),
            false => (killed, patience) = (killed + 1, patience * 5 / 4),
        }
        let found = store().load().unwrap_or_else(|e| panic!("after kill {n}: {e}"));
        let mut renamed = gallery.clone();
        if !rotate {
            let _ = renamed.rename(&name, &to).unwrap();
        }
        // A new key, and entries that a kill left owing, raise the version and change nobody.
        let is = |other: &Gallery| found.subjects() == other.subjects() && found.next_id() == other.next_id();
        assert!(is(&gallery) || is(&renamed), "kill {n} left something else");
        if is(&renamed) && !rotate {
            name = to;
            changed += 1;
        }
        gallery = found;
    }
    println!(
        "150 runs of the real program: {killed} killed on the way, {finished} finished before; {changed} of 100 \
         renamed"
    );
    assert!(killed >= 10 && finished >= 10, "{killed} killed, {finished} finished");
}
