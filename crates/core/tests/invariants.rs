//! What must hold for the controller whatever happens: a million random sequences of events, and all
//! sequences of a small alphabet to a stated depth.
//!
//! `FACELATCH_SEQUENCES=N` runs another number of random sequences, and `FACELATCH_DEPTH=N` searches to another
//! depth: a run of mutants needs an answer within seconds.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may print, and use threads and its environment"
)]

mod watch;

use std::time::Duration;

use facelatch_core::access::{
    AccessRules, Action, Civil, Controller, Fault, Input, ModeCommand, PersistentState, QualityIssue,
    Restored, Score, Seen, Sighting, SubjectId, Timetable, TrackId,
};
use facelatch_core::liveness::{Asked, ChallengeRules, LivenessRules, Unsure};
use facelatch_core::picture::Rect;
use facelatch_core::time::Timestamp;
use watch::pictures::{Made, Pictures, Shown};
use watch::{Known, Random, Watcher, rules};

/// Random sequences, and steps in each at most.
const SEQUENCES: u64 = 1_000_000;
const LONGEST: u64 = 40;
/// One sequence of so many has the liveness check on.
const WITH_PICTURES: u64 = 5;
/// Steps of the exhaustive search.
const DEPTH: u32 = 6;

fn asked_for<T: std::str::FromStr>(variable: &str, default: T) -> T {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn sequences() -> u64 {
    asked_for("FACELATCH_SEQUENCES", SEQUENCES)
}

/// A controller, what watches it, and the time.
#[derive(Clone)]
struct Bench {
    controller: Controller,
    watcher: Watcher,
    rules: AccessRules,
    now: Timestamp,
    saved: PersistentState,
    steps: u64,
    pictures: Pictures,
}

impl Bench {
    fn new(rules: AccessRules) -> Self {
        let mut controller = Controller::new(rules, 1, Timetable::default());
        let _ = controller.start(Timestamp::ZERO, Restored::Fresh);
        let watcher = Watcher::new(rules, 1, |_, _| true);
        let saved = PersistentState::default();
        let pictures = Pictures::before(1);
        Bench { controller, watcher, rules, now: Timestamp::ZERO, saved, steps: 0, pictures }
    }

    fn note(&mut self, actions: &[Action]) {
        for action in actions {
            if let Action::Save(saved) = action {
                self.saved = *saved;
            }
        }
        self.steps += 1;
    }

    /// Lets time pass; deadlines are served when they come.
    fn pass(&mut self, time: Duration) -> Result<(), String> {
        let next = self.now + time;
        while let Some(due) = self.controller.poll_timeout().filter(|due| *due <= next) {
            // A deadline in the past would never end.
            self.now = self.now.max(due);
            let actions = self.controller.handle_timeout(self.now);
            self.watcher.timeout(self.now, &actions)?;
            self.pictures.check(self.now, None, &actions, self.rules)?;
            self.note(&actions);
            if self.controller.poll_timeout() == Some(due) {
                return Err(format!("the deadline {due:?} stays after it was served"));
            }
        }
        self.now = next;
        Ok(())
    }

    fn input(&mut self, input: Input) -> Result<(), String> {
        let actions = self.controller.handle(self.now, input.clone());
        self.watcher.input(self.now, &input, 0, &actions)?;
        self.pictures.check(self.now, Some(&input), &actions, self.rules)?;
        self.note(&actions);
        if self.controller.is_released() != self.watcher.until.is_some() {
            return Err("the controller does not know its strike".into());
        }
        Ok(())
    }

    fn restart(&mut self, same_boot: bool) -> Result<(), String> {
        let resume = if same_boot { Restored::SameBoot(self.saved) } else { Restored::OtherBoot(self.saved) };
        let w = &self.watcher;
        let known =
            Known { locked_until: w.locked_until, denials: w.denials(self.now), secure_mode: w.secure_mode };
        self.watcher.restart(self.now, 1, known);
        self.pictures.restart();
        self.controller = Controller::new(self.rules, 1, Timetable::default());
        let actions = self.controller.start(self.now, resume);
        self.note(&actions);
        self.watcher.timeout(self.now, &actions)
    }

    fn see(&mut self, age_ms: u64, version: u64, seen: Seen) -> Result<(), String> {
        let captured = self.now - Duration::from_millis(age_ms);
        let sighting = Sighting { captured, sequence: 0, gallery_version: version, seen, light: None };
        self.input(Input::Sighting { sighting, civil: Civil::Unset })
    }
}

fn face(track: u64, similarity: f32, unusable: Option<QualityIssue>, shown: Shown) -> Seen {
    let likeness = vec![Score { subject: SubjectId(1), similarity }].into();
    let face = Rect::new(0, 0, 99, 99);
    Seen::Face { track: TrackId(track), face, likeness, unusable, cues: shown.cues() }
}

fn random_step(bench: &mut Bench, random: &mut Random) -> Result<(), String> {
    if bench.controller.is_challenging() && !random.once_in(12) {
        // Something of a gesture.
        bench.pass(Duration::from_millis(random.between(1, 150)))?;
        let shown = &mut bench.pictures.shown;
        if random.once_in(5) {
            (shown.turn, shown.nod) = [(0.0, 0.0), (0.3, 0.0), (0.0, -0.3)][random.below(3) as usize];
        }
        shown.person = if random.once_in(20) { 9 } else { 1 };
        let similarity = if shown.person == 1 { 0.6 } else { 0.1 };
        let face = face(1, similarity, None, *shown);
        return bench.see(0, 1, face);
    }
    let ms = match random.below(20) {
        0 => random.between(500, 1_500),
        1 => random.between(1_500, 40_000),
        _ => random.between(1, 120),
    };
    bench.pass(Duration::from_millis(ms))?;
    let similarity = match random.below(12) {
        0 => f32::NAN,
        1 => 0.29,
        2..=4 => 0.05,
        _ => 0.6,
    };
    let track = 1 + u64::from(random.once_in(8));
    match random.below(64) {
        0..=39 => {
            let unusable = random.once_in(30).then_some(QualityIssue::TooDark);
            let age = if random.once_in(30) { 600 } else { 0 };
            let shown = &mut bench.pictures.shown;
            if bench.rules.liveness.is_some() && random.once_in(10) {
                let kinds = [Made::Flesh, Made::Paper, Made::Doubtful, Made::Unmeasured];
                shown.made = kinds[random.below(4) as usize];
            }
            if random.once_in(4) {
                (shown.turn, shown.nod) = [(0.0, 0.0), (0.3, 0.0), (0.0, -0.3)][random.below(3) as usize];
            }
            // Less like the person than half the threshold: somebody else.
            shown.person = if similarity >= 0.15 { 1 } else { 9 };
            let face = face(track, similarity, unusable, *shown);
            bench.see(age, u64::from(!random.once_in(40)), face)
        }
        40..=42 => bench.see(0, 1, Seen::NoFace),
        43..=44 => bench.see(0, 1, Seen::SeveralFaces { count: 2 }),
        45..=46 => bench.input(Input::Rex),
        47..=48 => bench.input(Input::Door { open: random.once_in(2) }),
        49 => bench.input(Input::Enrol),
        50 => bench.input(Input::CancelEnrol),
        60 => bench.input(Input::EnrolButton),
        61 => bench.input(Input::EnrolKey { active: random.once_in(2) }),
        62 => bench.input(Input::AllowEnrolment { time: Duration::from_millis(random.below(4_000)) }),
        51 => bench.input(Input::Secure),
        52 => bench.input(Input::SetMode(ModeCommand::Normal)),
        53 => bench.input(Input::SetMode(ModeCommand::Secure)),
        54 => {
            let time = Duration::from_millis(random.below(9_000));
            let held = random.once_in(2);
            let mode = if held { ModeCommand::HoldOpen { time } } else { ModeCommand::Unlock { time } };
            bench.input(Input::SetMode(mode))
        }
        55 => bench.input(Input::ClearLockout),
        56 => bench.input(Input::Fault(Fault::Camera)),
        57 => {
            let faults = [Fault::Vision, Fault::Lines, Fault::Store];
            bench.input(Input::Fault(faults[random.below(3) as usize]))
        }
        58 => bench.restart(random.once_in(2)),
        59 => bench.input(Input::NotRecorded),
        63 => bench.input(Input::SecondFactor),
        _ => bench.input(Input::GalleryChanged { version: 1, timetable: Timetable::default() }),
    }
}

/// Runs one sequence; the error names the seed.
fn run(seed: u64, rules: AccessRules) -> Result<Bench, String> {
    run_for(seed, LONGEST, rules)
}

fn run_for(seed: u64, longest: u64, rules: AccessRules) -> Result<Bench, String> {
    let mut random = Random::new(seed);
    let mut bench = Bench::new(rules);
    for step in 0..random.between(8, longest) {
        random_step(&mut bench, &mut random).map_err(|e| format!("seed {seed}, step {step}: {e}"))?;
    }
    bench.pass(Duration::from_secs(60)).map_err(|e| format!("seed {seed}, at the end: {e}"))?;
    if bench.controller.is_released() {
        return Err(format!("seed {seed}: still released after a minute of nothing"));
    }
    Ok(bench)
}

#[test]
fn a_million_random_sequences() {
    let sequences = sequences();
    let worker = |part: u64| {
        move || {
            let mut totals = [0_u64; 6];
            for seed in (part..sequences).step_by(2) {
                let bench = run(seed, rules()).unwrap_or_else(|violation| panic!("{violation}"));
                let w = &bench.watcher;
                let counts = [bench.steps, w.releases[0], w.releases[1], w.releases[2], w.lockouts, w.faults];
                totals.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
            }
            totals
        }
    };
    let other = std::thread::spawn(worker(1));
    let mine = worker(0)();
    let totals: Vec<u64> = mine.iter().zip(other.join().unwrap()).map(|(a, b)| a + b).collect();
    println!(
        "{sequences} sequences, {} steps: {} releases for faces, {} by REX, {} held open, {} lockouts, {} faults, 0 violations",
        totals[0], totals[1], totals[2], totals[3], totals[4], totals[5]
    );
    assert!(totals.iter().all(|&n| n > sequences / 100), "the sequences must get somewhere: {totals:?}");
}

#[test]
fn pictures_open_nothing_and_doubt_not_without_a_second_proof() {
    let sequences = sequences() / WITH_PICTURES;
    let mut totals = [0_u64; 6];
    for seed in 0..sequences {
        let unsure = [Unsure::Deny, Unsure::SecondFactor, Unsure::Challenge][seed as usize % 3];
        let challenge = ChallengeRules { asked: Asked::Either, time: Duration::from_secs(2), seed };
        let liveness = Some(LivenessRules { unsure, challenge, ..LivenessRules::default() });
        // Longer than the others: a challenge takes its frames.
        let bench = run_for(seed, 3 * LONGEST, AccessRules { liveness, ..rules() })
            .unwrap_or_else(|violation| panic!("{violation}"));
        totals.iter_mut().zip(bench.pictures.counts).for_each(|(total, count)| *total += count);
    }
    println!(
        "{sequences} sequences with the liveness check: {} let in alive, {} by the second factor, {} by a \
         challenge, {} pictures refused, {} challenges, {} of them too late, 0 violations",
        totals[0], totals[1], totals[2], totals[3], totals[4], totals[5]
    );
    assert!(totals.iter().all(|&n| n > sequences / 2_000), "the sequences must get somewhere: {totals:?}");
}

type Letter = fn(&mut Bench) -> Result<(), String>;

const UNMEASURED: Shown = Shown { made: Made::Unmeasured, person: 0, turn: 0.0, nod: 0.0 };

/// The alphabet of the exhaustive search. Each step takes 100 ms but the last, a long wait.
const ALPHABET: [Letter; 15] = [
    |b| b.see(0, 1, face(1, 0.9, None, UNMEASURED)),
    |b| b.see(0, 1, face(2, 0.9, None, UNMEASURED)),
    |b| b.see(0, 1, face(1, 0.0, None, UNMEASURED)),
    |b| b.see(0, 1, Seen::NoFace),
    |b| b.see(0, 1, Seen::SeveralFaces { count: 2 }),
    |b| b.input(Input::Rex),
    |b| b.input(Input::Door { open: true }),
    |b| b.input(Input::Door { open: false }),
    |b| b.input(Input::SetMode(ModeCommand::HoldOpen { time: Duration::from_millis(150) })),
    |b| b.input(Input::SetMode(ModeCommand::Secure)),
    |b| b.input(Input::SetMode(ModeCommand::Normal)),
    |b| b.input(Input::Fault(Fault::Camera)),
    |b| b.input(Input::Fault(Fault::Store)),
    |b| b.restart(true),
    |b| b.pass(Duration::from_millis(1_000)),
];

fn search(bench: &Bench, depth: u32, path: &mut Vec<usize>, visited: &mut u64) -> Result<(), String> {
    if depth == 0 {
        return Ok(());
    }
    for (letter, step) in ALPHABET.iter().enumerate() {
        path.push(letter);
        let mut next = bench.clone();
        next.pass(Duration::from_millis(100))
            .and_then(|()| step(&mut next))
            .map_err(|violation| format!("{path:?}: {violation}"))?;
        *visited += 1;
        search(&next, depth - 1, path, visited)?;
        path.pop();
    }
    Ok(())
}

#[test]
fn every_sequence_of_a_small_alphabet() {
    let depth = asked_for("FACELATCH_DEPTH", DEPTH);
    let mut small = rules();
    small.window.frames = 2;
    small.hold = Duration::from_millis(250);
    small.lockout.attempts = 1;
    small.lockout.first = Duration::from_millis(1_500);
    let bench = Bench::new(small);
    // The first letter is split over two threads.
    let worker = |part: usize| {
        let bench = bench.clone();
        move || {
            let mut visited = 0;
            for letter in (part..ALPHABET.len()).step_by(2) {
                let mut next = bench.clone();
                next.pass(Duration::from_millis(100)).and_then(|()| ALPHABET[letter](&mut next)).unwrap();
                visited += 1;
                search(&next, depth - 1, &mut vec![letter], &mut visited).unwrap_or_else(|v| panic!("{v}"));
            }
            visited
        }
    };
    let other = std::thread::spawn(worker(1));
    let visited: u64 = worker(0)() + other.join().unwrap();
    let letters = ALPHABET.len() as u64;
    let all: u64 = (1..=depth).map(|d| letters.pow(d)).sum();
    assert_eq!(visited, all);
    println!("depth {depth} over {letters} letters: {visited} states, 0 violations");
}
