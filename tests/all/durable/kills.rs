//! Kills: never a person without an entry, never a frame of somebody removed after the next start.

use std::fs;
use std::time::Duration;

use facelatch::demo::portrait::Portrait;
use facelatch::demo::walkup::{Walk, WalkUp};
use facelatch::matching::Note;
use facelatch::protocol::Request;

use super::bench::{Bench, now_ms};

/// How many kills, of those that the environment asks for.
fn kills(otherwise: u64) -> u64 {
    std::env::var("FACELATCH_KILLS").ok().and_then(|n| n.parse::<u64>().ok()).map_or(otherwise, |n| n / 2)
}

/// The command line without a daemon, killed before its first step, its second, and so on to its last.
#[test]
fn a_command_killed_before_each_of_its_steps_loses_nothing() {
    let wanted = kills(150);
    let bench = Bench::new("recording = \"/no/recording\"");
    fs::create_dir(bench.path("audit")).unwrap();
    let (mut killed, mut finished, mut next, mut steps) = (0, 0, 0u32, [0u64; 5]);
    let mut step = 0;
    'all: for kind in (0..steps.len()).cycle() {
        let mut ended = false;
        while !ended {
            if killed >= wanted {
                break 'all;
            }
            // Somebody to be changed, with a name that is known, and somebody new.
            let ids = ids(&bench);
            let Some(&somebody) = ids.last() else {
                next += 1;
                let (file, key) = bench.backup(next);
                assert!(bench.run(&["people", "restore", &file, "--key", &key]).status.success());
                continue;
            };
            let list = bench.said(&["people", "list"]);
            let line = list.lines().find(|line| line.contains(&format!("(id {somebody},"))).unwrap();
            let name = line.split("  (").next().unwrap().to_owned();
            bench.somebody_is_recorded();
            next += 1;
            let (file, key) = bench.backup(next);
            let to = format!("name {killed}x{finished}");
            let command: &[&str] = match kind {
                0 => &["people", "restore", &file, "--key", &key],
                1 => &["people", "remove", &name],
                2 => &["people", "rename", &name, &to],
                3 => &["people", "note", &name, "--consent", &to],
                _ => &["people", "rotate-key"],
            };
            ended = !bench.run_killed(command, step);
            if ended {
                steps[kind] = steps[kind].max(step);
                step = 0;
                finished += 1;
            } else {
                step += 1;
                killed += 1;
            }
            // The next start is killed as well, at another step each time, and then there is one that is not.
            if killed % 3 == 0 && bench.run_killed(&["people", "list"], killed % 9) {
                killed += 1;
            }
            bench.verifies_without_daemon();
            let (erased, due) = bench.erased();
            assert!(erased >= due, "{command:?}, step {step}: erased {erased}, due {due}");
            if !self::ids(&bench).contains(&somebody) {
                assert!(bench.frames().is_empty() && !bench.path("recording").exists(), "{command:?}");
            }
        }
    }
    println!(
        "{killed} kills, {finished} came to their end; steps of restore, remove, rename, note, rotate-key: {steps:?}"
    );
    // As far as all had their turn, each has had several.
    assert!(killed >= wanted && (wanted < 150 || steps.iter().all(|n| *n >= 8)), "{steps:?}");
}

fn ids(bench: &Bench) -> Vec<u32> {
    let list = bench.said(&["people", "list", "--json"]);
    let id =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_u64().unwrap() as u32;
    list.lines().map(id).collect()
}

impl Bench {
    /// What must hold after a start of the command line.
    fn verifies_without_daemon(&self) {
        self.entries_agree_with(ids(self));
        self.verifies();
    }
}

/// The daemon before somebody who comes again and again, killed before a step of a change, and before steps of
/// the start after.
#[test]
fn a_daemon_killed_at_any_step_loses_nothing() {
    let wanted = kills(24);
    let visit = tempfile::tempdir().unwrap();
    let walkup = WalkUp::new("test", Portrait::collins().unwrap(), Walk::VISIT);
    for n in 0..walkup.len() {
        let first = visit.path().join(format!("0000-{n:04}.jpg"));
        walkup.frame(n).save(&first).unwrap();
        for round in 1..40 {
            fs::hard_link(&first, visit.path().join(format!("{round:04}-{n:04}.jpg"))).unwrap();
        }
    }
    let mut bench = Bench::new(&format!("recording = \"{}\"\nfps = 20", visit.path().display()));
    let (mut killed, mut at_start, mut finished, mut round) = (0, 0, 0, 0u64);
    let mut removals = 0;
    assert!(bench.start(None));
    let state = |secure| Request::Mode {
        mode: if secure {
            facelatch::access::ModeCommand::Secure
        } else {
            facelatch::access::ModeCommand::Normal
        },
    };
    while killed < wanted {
        round += 1;
        let people = bench.people();
        let somebody = people.first().map(|person| person.name.clone());
        let request = match (round % 5, somebody) {
            (1 | 3, Some(name)) if people.len() > 2 || round % 5 == 3 => {
                // There is something of theirs to erase.
                let until = std::time::Instant::now() + Duration::from_secs(20);
                while bench.frames().is_empty() && std::time::Instant::now() < until {
                    std::thread::sleep(Duration::from_millis(5));
                }
                removals += u64::from(!bench.frames().is_empty());
                Request::Remove { name }
            }
            (2, Some(name)) => Request::Rename { to: format!("renamed {round}"), name },
            (4, Some(name)) => {
                Request::Note { name, note: Note { consent: Some(Some("form".into())), expires: None } }
            }
            (4, None) => state(true),
            _ => bench.add(&format!("person {round}"), round),
        };
        let asked_for = now_ms();
        // A change has about 20 steps, the erasure of 100 frames as many again: each is met.
        bench.arm(round * 7 % 45);
        let answer = bench.ask(&request);
        if bench.dies(Duration::from_millis(if answer.is_ok() { 400 } else { 2_000 })) {
            killed += 1;
        } else {
            finished += 1;
            bench.kill();
        }
        // Starts that are killed on their way.
        for n in 0..2 {
            if killed < wanted && !bench.start(Some((round * 5 + n * 11) % 37)) {
                killed += 1;
                at_start += 1;
            } else if bench.daemon.is_some() {
                if bench.dies(Duration::from_millis(300)) {
                    killed += 1;
                    at_start += 1;
                } else {
                    bench.kill();
                }
            }
        }
        let starts = bench.starts();
        assert!(bench.start(None));
        // The entry of this start is behind those that the ones before have left out.
        let entries = bench.wait_for("started", |_| bench.starts() > starts);
        assert!(entries.iter().all(|entry| entry.event != "rolled_back"), "round {round}");
        let ids: Vec<u32> = bench.people().iter().map(|person| person.id).collect();
        let gone =
            matches!(&request, Request::Remove { name } if bench.people().iter().all(|p| p.name != *name));
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while {
            let (erased, due) = bench.erased();
            (gone && due == 0) || erased < due
        } {
            assert!(std::time::Instant::now() < until, "round {round}: not erased: {:?}", bench.erased());
            std::thread::sleep(Duration::from_millis(10));
        }
        bench.entries_agree_with(ids);
        if gone {
            let old: Vec<u64> = bench.frames().into_iter().filter(|at| *at < asked_for).collect();
            assert!(old.is_empty(), "round {round}: {} frames from before the removal", old.len());
        }
        let status = bench.status();
        assert_eq!((status.rolled_back, status.alarm), (None, None), "round {round}");
        bench.verifies();
    }
    bench.stop();
    bench.verifies();
    assert!(bench.start(None));
    assert_eq!(bench.status().rolled_back, None);
    println!(
        "{killed} kills, {at_start} of them during a start; {finished} changes came to their end; {removals} removals with frames to erase"
    );
    assert!(removals > 0 && at_start > 0);
}
