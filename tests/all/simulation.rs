//! Thousands of hours of a door's life, with everything that goes wrong.
//!
//! `FACELATCH_SEED=N cargo test --test all simulation::one_seed -- --nocapture` runs one seed again.

use crate::simulator::{Figures, run};

/// Hours that one seed runs for: over a week, so that every hour of the week comes.
const HOURS: u32 = 200;
const SEEDS: u64 = 260;

#[test]
fn ten_thousand_hours_without_a_violation() {
    let worker = |part: u64| {
        move || -> Vec<Figures> {
            let seeds = (part..SEEDS).step_by(2);
            seeds.map(|seed| run(seed, HOURS).unwrap_or_else(|violation| panic!("{violation}"))).collect()
        }
    };
    let other = std::thread::spawn(worker(1));
    let mut all = worker(0)();
    all.extend(other.join().unwrap());
    let sum = |figure: fn(&Figures) -> u64| all.iter().map(figure).sum::<u64>();
    let (hours, faces, replayed) = (sum(|f| f.hours), sum(|f| f.releases[0]), sum(|f| f.replayed));
    println!(
        "{hours} door-hours: {} frames, {faces} releases for faces, {} by REX, {} held open, {} lockouts, \
         {} faults, {} starts, {replayed} steps replayed identically, 0 violations",
        sum(|f| f.frames),
        sum(|f| f.releases[1]),
        sum(|f| f.releases[2]),
        sum(|f| f.lockouts),
        sum(|f| f.faults),
        sum(|f| f.restarts),
    );
    let pictures: Vec<u64> = (0..6).map(|n| all.iter().map(|f| f.pictures[n]).sum()).collect();
    println!(
        "with the liveness check: {} let in alive, {} by the second factor, {} by a challenge, {} pictures \
         refused, {} challenges, {} of them too late",
        pictures[0], pictures[1], pictures[2], pictures[3], pictures[4], pictures[5],
    );
    assert!(hours >= 10_000);
    assert!(pictures.iter().all(|n| *n > 50), "{pictures:?}");
    // It is no proof of anything when the door hardly ever opens, locks out or restarts.
    for (name, figure) in [
        ("releases for faces", faces),
        ("lockouts", sum(|f| f.lockouts)),
        ("faults", sum(|f| f.faults)),
        ("starts", sum(|f| f.restarts)),
        ("steps replayed", replayed),
    ] {
        assert!(figure > 1_000, "only {figure} {name}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(run(7, 30), run(7, 30));
    assert_ne!(run(7, 30), run(8, 30));
}

#[test]
fn one_seed() {
    let Some(seed) = std::env::var("FACELATCH_SEED").ok().and_then(|seed| seed.parse().ok()) else { return };
    println!("{:?}", run(seed, HOURS).unwrap_or_else(|violation| panic!("{violation}")));
}
