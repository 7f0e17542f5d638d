//! A door in simulated time: people, buttons, contact, operator, clocks, camera, disk and kills are
//! drawn from one seed; controller, door, tracker, gallery and stores are the product's own.
//!
//! Time jumps from event to event. While nobody is before the camera its empty frames change nothing
//! and are left out; a visit is simulated frame by frame.

pub mod disk;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use facelatch::access::record::{Line, Replay, WhatIf};
use facelatch::access::{
    AccessRules, Action, ApproachRules, ButtonRules, Civil, CivilTime, DenyReason, EnrolmentRules, Event,
    Fault, Input, LockoutRules, ModeCommand, PersistentState, QualityIssue, Restored, Seen, Sighting,
    SubjectId, UnsetClock, Weekday, WindowRules,
};
use facelatch::door::{
    Door, DoorError, Effect, Existing, ModelFacts, NamedHours, PeopleChange, Report, Terms, WallTime,
};
use facelatch::liveness::{Asked, ChallengeRules, Gesture, LivenessRules, Unsure};
use facelatch::matching::{Embedding, Gallery, Metric, ModelHash};
use facelatch::observation::Observation;
use facelatch::picture::Rect;
use facelatch::store::{GalleryStore, Ledger, StateStore, StoreError, StoreKey};
use facelatch::strike::StrikeState;
use facelatch::time::Timestamp;
use facelatch::vision::{TrackRules, Tracker};

use crate::watch::pictures::{Made, Pictures, Shown};
use crate::watch::{Known, Random, TICK, Watcher};
use disk::SimulatedDisk;

const MODEL: ModelFacts =
    ModelFacts { hash: ModelHash([7; 32]), metric: Metric::Euclidean, distinct_person_threshold: 0.3 };
const HOUR: Duration = Duration::from_secs(3_600);
/// A Monday at midnight.
const MONDAY: i64 = 1_767_571_200;
/// Time between two frames.
const FRAME: Duration = Duration::from_millis(100);

/// Enrolled at the start, people 0 to 2; all others are strangers. Their hours: `hours` and `may`.
const PEOPLE: [&str; 3] = ["always", "office", "night"];
/// Strangers are people 3 to 7.
const EVERYBODY: u64 = 8;

/// The rules of a seed: without the liveness check, and with each answer to doubt.
pub fn rules(seed: u64) -> AccessRules {
    let with = |unsure| {
        let challenge = ChallengeRules { asked: Asked::Either, time: Duration::from_secs(5), seed };
        Some(LivenessRules { unsure, challenge, ..LivenessRules::default() })
    };
    let liveness = match seed % 4 {
        0 => None,
        1 => with(Unsure::Deny),
        2 => with(Unsure::SecondFactor),
        _ => with(Unsure::Challenge),
    };

    AccessRules {
        window: WindowRules {
            frames: 15,
            threshold: 0.3,
            gallery_raise: 0.07,
            margin: 0.05,
            max_gap: Duration::from_millis(500),
            max_age: Duration::from_secs(5),
        },
        hold: Duration::from_secs(3),
        max_hold_open: Duration::from_secs(1_800),
        approach: ApproachRules { gap: Duration::from_millis(1_500), cooldown: Duration::from_secs(30) },
        max_frame_age: Duration::from_secs(1),
        lockout: LockoutRules {
            attempts: 3,
            first: Duration::from_secs(30),
            longest: Duration::from_secs(900),
            forget: Duration::from_secs(1_200),
            again: Duration::from_secs(10),
        },
        unset_clock: UnsetClock::Deny,
        held_open_after: Duration::from_secs(30),
        enrolment: EnrolmentRules {
            countdown: Duration::from_secs(5),
            frames: 15,
            templates: 3,
            timeout: Duration::from_secs(60),
            max_gap: Duration::from_millis(500),
            restart_after: Duration::from_secs(2),
        },
        button: ButtonRules::default(),
        liveness,
    }
}

fn hours() -> NamedHours {
    let schedule = |text: &str| vec![text.parse().expect("hours")].into();
    let people = [
        ("office".to_owned(), schedule("mon-fri 08:00-18:00")),
        ("night".to_owned(), schedule("fri 22:00-06:00")),
    ];
    NamedHours { people: people.into(), ..NamedHours::default() }
}

/// The same hours once more, as minutes of the week.
fn may(subject: SubjectId, civil: Civil) -> bool {
    let minute = match civil {
        Civil::At(time) => Some(time.weekday as u32 * 1_440 + u32::from(time.minute)),
        Civil::Unset => None,
    };
    let within = |from: u32, to: u32| minute.is_some_and(|m| (from..to).contains(&m));
    match subject.0 {
        1 => (0..5).any(|day| within(day * 1_440 + 480, day * 1_440 + 1_080)),
        2 => within(4 * 1_440 + 1_320, 5 * 1_440 + 360),
        _ => true,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    /// A visit begins.
    Visit,
    /// The next frame of the visit in progress.
    Frame,
    Rex,
    Door(bool),
    Operator,
    /// Somebody gives the second factor.
    Factor,
    /// Somebody is enrolled or removed.
    People,
    /// The disk gets to the gallery.
    SaveGallery,
    /// The audit log did not take the entry of a release in time.
    AuditLate,
    CameraFails,
    CameraReturns,
    DiskFails,
    DiskReturns,
    /// Somebody, or a time server, sets the wall clock.
    ClockSet,
    Kill,
    PowerCut,
    /// The process starts again.
    Start,
    Deadline,
}

impl Happens {
    /// What comes again and again by itself.
    const REGULAR: [Happens; 9] = [
        Happens::Visit,
        Happens::Rex,
        Happens::Operator,
        Happens::People,
        Happens::CameraFails,
        Happens::DiskFails,
        Happens::ClockSet,
        Happens::Kill,
        Happens::PowerCut,
    ];
}

/// Who stands before the camera.
#[derive(Debug, Default)]
struct Visit {
    /// Frames still to come.
    frames: u64,
    person: u32,
    /// Where, in pixels from the left.
    x: i32,
    /// A second face is in the picture for so many frames.
    second_face: u64,
    dark: bool,
    made: Made,
    manner: Manner,
    /// What the face was asked to do, and for how many frames it has been.
    asked: Option<(Gesture, u64)>,
}

impl Visit {
    /// What the next frame shows.
    fn show(&mut self, random: &mut Random) -> Shown {
        // A picture is held up, or put away.
        if self.manner != Manner::HasAHelper && random.once_in(60) {
            self.made = Visit::made(random);
        }
        let Some((gesture, frames)) = &mut self.asked else {
            return Shown { made: self.made, person: self.person, ..Shown::default() };
        };
        *frames += 1;
        let away = (5..12).contains(frames) || (self.manner == Manner::StaysTurned && *frames >= 5);
        let (gesture, person) = match self.manner {
            Manner::Ignores => return Shown { made: self.made, person: self.person, ..Shown::default() },
            Manner::DoesTheOther if *gesture == Gesture::Turn => (Gesture::Nod, self.person),
            Manner::DoesTheOther => (Gesture::Turn, self.person),
            // Somebody else's head in the same place for a moment.
            Manner::HasAHelper if away => (*gesture, (self.person + 1) % EVERYBODY as u32),
            _ => (*gesture, self.person),
        };
        let strength = if away { 0.3 } else { 0.0 };
        let (turn, nod) = match gesture {
            Gesture::Turn => (strength, 0.0),
            Gesture::Nod => (0.0, -strength),
        };
        Shown { made: self.made, person, turn, nod }
    }

    fn made(random: &mut Random) -> Made {
        match random.below(10) {
            0..=4 => Made::Flesh,
            5..=6 => Made::Paper,
            7..=8 => Made::Doubtful,
            _ => Made::Unmeasured,
        }
    }
}

/// What somebody does who is asked to turn the head or to nod.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Manner {
    #[default]
    Obeys,
    Ignores,
    DoesTheOther,
    StaysTurned,
    HasAHelper,
}

struct Process {
    door: Door,
    store: GalleryStore,
    /// The gallery that is to be written.
    changed: Option<Arc<Gallery>>,
    state: StateStore,
    tracker: Tracker,
    sequence: u64,
    recorded: Option<Vec<String>>,
}

/// What a simulation came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub hours: u64,
    pub frames: u64,
    /// For faces, by request to exit, held open.
    pub releases: [u64; 3],
    pub lockouts: u64,
    /// Faults told to the door; kills and power cuts.
    pub faults: u64,
    pub restarts: u64,
    /// Steps that were recorded and replayed.
    pub replayed: u64,
    /// With the liveness check, see [`Pictures::counts`].
    pub pictures: [u64; 6],
}

pub struct Simulation {
    random: Random,
    /// True time, which no process sees.
    now: Timestamp,
    /// When, in order, what, and whether it comes again by itself.
    events: BinaryHeap<Reverse<(Timestamp, u64, Happens, bool)>>,
    number: u64,
    /// When the machine was switched on, and how often.
    boot: (Timestamp, u64),
    disk: SimulatedDisk,
    key: tempfile::TempDir,
    process: Option<Process>,
    watcher: Watcher,
    rules: AccessRules,
    pictures: Pictures,
    /// What is known to be on disk, with the lockout's end in true time.
    acknowledged: (PersistentState, Option<Timestamp>),
    /// A write of this failed: the disk has it or not.
    attempted: Option<(PersistentState, Option<Timestamp>)>,
    gallery_on_disk: u64,
    visit: Visit,
    camera_works: bool,
    /// Wall clock minus true time, in s; `None` while it is not set.
    wall: Option<i64>,
    figures: Figures,
}

/// Runs a door for so many hours; the error says what was violated, and when.
pub fn run(seed: u64, hours: u32) -> Result<Figures, String> {
    let mut simulation = Simulation::new(seed);
    let end = Timestamp::ZERO + HOUR * hours;
    while let Some(Reverse((at, _, happens, regular))) = simulation.events.pop() {
        if at >= end {
            break;
        }
        simulation.now = at;
        if regular {
            simulation.again(happens);
        }
        simulation.step(happens).map_err(|violation| {
            format!("seed {seed}, at {:.3} s, {happens:?}: {violation}", at.as_secs_f64())
        })?;
    }
    simulation.replay().map_err(|violation| format!("seed {seed}, at the end: {violation}"))?;
    let Simulation { watcher, figures, pictures, .. } = simulation;
    let (releases, lockouts, faults) = (watcher.releases, watcher.lockouts, watcher.faults);
    Ok(Figures { hours: hours.into(), releases, lockouts, faults, pictures: pictures.counts, ..figures })
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut simulation = Simulation {
            random: Random::new(seed),
            now: Timestamp::ZERO,
            events: BinaryHeap::new(),
            number: 0,
            boot: (Timestamp::ZERO, 0),
            disk: SimulatedDisk::default(),
            key: tempfile::tempdir().expect("a folder for the key"),
            process: None,
            watcher: Watcher::new(rules(seed), 0, may),
            rules: rules(seed),
            pictures: Pictures::default(),
            acknowledged: (PersistentState::default(), None),
            attempted: None,
            gallery_on_disk: 0,
            visit: Visit::default(),
            camera_works: true,
            // Every seed begins in another hour of the week.
            wall: Some(MONDAY + (seed % 168 * 3_600) as i64),
            figures: Figures::default(),
        };
        let mut gallery = Gallery::default();
        for (person, name) in (0..).zip(PEOPLE) {
            let _ =
                gallery.enrol(name, vec![simulation.look(person)], MODEL.hash, 0).expect("a good template");
        }
        simulation.gallery_store().save(&gallery, &Ledger::default()).expect("the disk works");
        simulation.gallery_on_disk = gallery.version();
        simulation.after(Duration::ZERO, Happens::Start);
        for happens in Happens::REGULAR {
            simulation.again(happens);
        }
        simulation
    }

    fn after(&mut self, wait: Duration, happens: Happens) {
        self.push(wait, happens, false);
    }

    fn push(&mut self, wait: Duration, happens: Happens, regular: bool) {
        self.number += 1;
        self.events.push(Reverse((self.now + wait, self.number, happens, regular)));
    }

    fn after_ms(&mut self, low: u64, high: u64, happens: Happens) {
        let wait = Duration::from_millis(self.random.between(low, high));
        self.after(wait, happens);
    }

    /// Draws when this happens next.
    fn again(&mut self, happens: Happens) {
        let mean = match happens {
            Happens::Visit => HOUR / 6,
            Happens::Rex => HOUR / 4,
            Happens::Operator => HOUR * 3,
            Happens::People => HOUR * 20,
            Happens::CameraFails | Happens::Kill => HOUR * 4,
            Happens::DiskFails | Happens::ClockSet => HOUR * 8,
            Happens::PowerCut => HOUR * 10,
            _ => return,
        };
        let wait = self.random.wait(mean);
        self.push(wait, happens, true);
    }

    fn step(&mut self, happens: Happens) -> Result<(), String> {
        self.serve_deadlines()?;
        match happens {
            Happens::Visit => self.begin_visit(),
            Happens::Frame => self.frame()?,
            Happens::Rex => {
                self.input(Input::Rex)?;
                if self.random.once_in(4) {
                    self.after_ms(10, 4_000, Happens::Rex);
                }
                self.somebody_passes();
            }
            Happens::Door(open) => self.input(Input::Door { open })?,
            Happens::Factor => self.input(Input::SecondFactor)?,
            Happens::Operator => self.operator()?,
            Happens::People => self.people()?,
            Happens::SaveGallery => self.save_gallery()?,
            Happens::AuditLate => self.input(Input::NotRecorded)?,
            Happens::CameraFails => {
                self.camera_works = false;
                self.input(Input::Fault(Fault::Camera))?;
                self.after_ms(200, 60_000, Happens::CameraReturns);
            }
            Happens::CameraReturns => self.camera_works = true,
            Happens::DiskFails => {
                self.disk.set_broken(true);
                self.after_ms(1_000, 600_000, Happens::DiskReturns);
            }
            Happens::DiskReturns => self.disk.set_broken(false),
            Happens::ClockSet => {
                let jump = self.random.below(14 * 86_400) as i64 - 7 * 86_400;
                let base = self.wall.unwrap_or(MONDAY);
                self.wall = (!self.random.once_in(3)).then_some(base + jump);
            }
            // Half of the kills hit in the middle of a write that is still to come.
            Happens::Kill if self.random.once_in(2) => self.disk.kill_after(self.random.below(4)),
            Happens::Kill => self.kill()?,
            Happens::PowerCut => {
                self.kill()?;
                self.disk.lose_power(&mut self.random);
                self.boot = (self.now, self.boot.1 + 1);
                self.wall = self.wall.filter(|_| self.random.once_in(2));
            }
            Happens::Start => self.start()?,
            Happens::Deadline => {}
        }
        if self.disk.has_killed() {
            self.kill()?;
        }
        self.await_deadline();
        Ok(())
    }

    fn begin_visit(&mut self) {
        let person = match self.random.below(10) {
            0..=5 => self.random.below(3),
            _ => self.random.between(3, EVERYBODY - 1),
        };
        if self.visit.frames == 0 {
            self.after(FRAME, Happens::Frame);
        }
        // Beside whoever stood there: nobody can tell people apart who swap in one place between two
        // frames, and no window could.
        let x = self.visit.x + self.random.between(200, 400) as i32;
        let dark = self.random.once_in(12);
        let frames = self.random.between(5, 90);
        let made = Visit::made(&mut self.random);
        let manner = match self.random.below(10) {
            0 => Manner::Ignores,
            1 => Manner::DoesTheOther,
            2 => Manner::StaysTurned,
            3 => Manner::HasAHelper,
            _ => Manner::Obeys,
        };
        // A living person's window would open for both: nobody could tell.
        let made = if manner == Manner::HasAHelper { Made::Doubtful } else { made };
        self.visit =
            Visit { frames, person: person as u32, x, second_face: 0, dark, made, manner, asked: None };
    }

    fn frame(&mut self) -> Result<(), String> {
        let visit = &mut self.visit;
        visit.frames = visit.frames.saturating_sub(1);
        if visit.frames > 0 {
            let wait = FRAME.mul_f64(0.5 + self.random.unit());
            let wait = if self.random.once_in(60) { wait * 8 } else { wait };
            self.after(wait, Happens::Frame);
        }
        let (random, visit) = (&mut self.random, &mut self.visit);
        visit.x += random.below(21) as i32 - 10;
        if random.once_in(60) {
            visit.second_face = random.between(1, 5);
        }
        if random.once_in(120) {
            // Another person takes the place from one frame to the next.
            visit.person = random.below(EVERYBODY) as u32;
            visit.x += 400;
        }
        visit.second_face = visit.second_face.saturating_sub(1);
        if !self.camera_works {
            return Ok(());
        }
        let (x, dark) = (visit.x, visit.dark);
        let shown = visit.show(random);
        let person = shown.person;
        let nobody = visit.frames == 0 || random.once_in(80);
        let several = visit.second_face > 0;
        let age = if random.once_in(100) { random.between(900, 1_500) } else { random.between(20, 80) };
        let captured = self.monotonic() - Duration::from_millis(age);
        let probe = self.look(person);
        let (now, wall) = (self.monotonic(), self.wall_time());
        let Some(process) = &mut self.process else { return Ok(()) };
        let face = Rect::new(x, 100, 120, 120);
        let seen = if nobody {
            Seen::NoFace
        } else if several {
            process.tracker.lose();
            Seen::SeveralFaces { count: 2 }
        } else {
            Seen::Face {
                track: process.tracker.follow(captured, face),
                face,
                likeness: process.door.gallery().scores(&probe, MODEL.metric).into(),
                unusable: dark.then_some(QualityIssue::TooDark),
                cues: shown.cues(),
            }
        };
        process.sequence += 1;
        let gallery_version = process.door.gallery().version();
        let sighting = Sighting { captured, sequence: process.sequence, gallery_version, seen, light: None };
        let observation = Observation { sighting, faces: vec![face], embedding: Some(probe) };
        self.figures.frames += 1;
        let effects = process.door.observe(now, wall, &observation);
        let input = Input::Sighting { sighting: observation.sighting, civil: wall.civil };
        let before = self.watcher.releases[0];
        self.pictures.shown = shown;
        self.check(now, Some(&input), effects, |watcher, actions| {
            watcher.input(now, &input, person, actions)
        })?;
        if self.watcher.releases[0] > before {
            self.somebody_passes();
            if self.random.once_in(30) {
                self.after_ms(1, 2_000, Happens::CameraFails);
            }
            if self.random.once_in(30) {
                self.after_ms(1, 1_000, Happens::AuditLate);
            }
        }
        Ok(())
    }

    fn somebody_passes(&mut self) {
        if !self.random.once_in(5) {
            let opens = self.random.between(300, 3_500);
            let closes = if self.random.once_in(20) { 60_000 } else { self.random.between(500, 4_000) };
            self.after(Duration::from_millis(opens), Happens::Door(true));
            self.after(Duration::from_millis(opens + closes), Happens::Door(false));
        }
    }

    fn operator(&mut self) -> Result<(), String> {
        match self.random.below(8) {
            0 => self.input(Input::Secure),
            1 => self.input(Input::ClearLockout),
            2 => {
                // Back to normal after a while.
                self.after_ms(60_000, 3_600_000, Happens::Operator);
                self.input(Input::SetMode(ModeCommand::Secure))
            }
            3 => {
                let time = Duration::from_secs(self.random.between(1, 2_000));
                self.input(Input::SetMode(ModeCommand::HoldOpen { time }))
            }
            4 => self.input(Input::Door { open: true }),
            _ => self.input(Input::SetMode(ModeCommand::Normal)),
        }
    }

    /// Enrols a stranger, from pictures or before the camera, in place of the one before, or removes him again.
    fn people(&mut self) -> Result<(), String> {
        let pictures: Vec<Embedding> = (0..5).map(|_| self.look(3)).collect();
        let (now, choice) = (self.monotonic(), self.random.below(3));
        let Some(process) = &mut self.process else { return Ok(()) };
        let guest = process.door.gallery().find("guest").map(|s| s.id);
        let existing = guest.map_or(Existing::Refuse, Existing::Replace);
        let terms = Terms { existing, unlike: true, ..Terms::default() };
        let outcome = match choice {
            0 => process.door.enrol_from(0, "guest", &pictures, terms),
            1 => process.door.enrol(now, Some("guest"), terms),
            _ => process.door.change_people(&PeopleChange::Remove { name: "guest".into() }),
        };
        match outcome {
            Ok(effects) => {
                if process.door.controller().is_enrolling() {
                    self.pictures.forget();
                }
                self.check(now, None, effects, |watcher, actions| watcher.timeout(now, actions))
            }
            Err(DoorError::Gallery(_) | DoorError::Enrolled { .. } | DoorError::Saving | DoorError::Busy) => {
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    fn save_gallery(&mut self) -> Result<(), String> {
        let now = self.monotonic();
        let Some(process) = &mut self.process else { return Ok(()) };
        let Some(gallery) = process.changed.take() else { return Ok(()) };
        let outcome = process.store.save(&gallery, &Ledger::default()).map_err(|error| error.to_string());
        if self.disk.has_killed() {
            return self.kill();
        }
        let effects = process.door.gallery_saved(now, outcome);
        self.pictures.forget();
        self.check(now, None, effects, |watcher, actions| watcher.timeout(now, actions))
    }

    /// What the network makes of a person's face: near the same point each time.
    fn look(&mut self, person: u32) -> Embedding {
        let noise = |random: &mut Random| (random.unit() - 0.5) as f32 * 0.4;
        let point = |axis: u32| if axis == person { 1.0 } else { 0.0 };
        let values = (0..EVERYBODY as u32).map(|axis| point(axis) + noise(&mut self.random)).collect();
        Embedding::new(values)
    }

    /// The monotonic clock that the process sees.
    fn monotonic(&self) -> Timestamp {
        Timestamp::ZERO + self.now.since(self.boot.0)
    }

    fn true_time(&self, monotonic: Timestamp) -> Timestamp {
        self.boot.0 + monotonic.since(Timestamp::ZERO)
    }

    fn wall_time(&self) -> WallTime {
        let Some(offset) = self.wall else { return WallTime::UNSET };
        let unix = offset + self.now.as_secs_f64() as i64;
        let minute = ((unix - MONDAY) / 60).rem_euclid(7 * 1_440);
        let weekday = Weekday::ALL[(minute / 1_440) as usize];
        let civil = Civil::At(CivilTime { weekday, minute: (minute % 1_440) as u16 });
        WallTime { unix: unix as u64, civil }
    }

    fn gallery_store(&self) -> GalleryStore {
        let key = StoreKey::open_or_create(&self.key.path().join("key")).expect("the key");
        GalleryStore::on(Box::new(self.disk.clone()), Path::new("/gallery"), key)
    }

    fn start(&mut self) -> Result<(), String> {
        if self.process.is_some() {
            return Ok(());
        }
        let store = self.gallery_store();
        let gallery = match store.load() {
            Ok(gallery) => Arc::new(gallery),
            // The disk does not answer: the supervisor tries again.
            Err(StoreError::Io { .. }) => {
                self.after(Duration::from_secs(1), Happens::Start);
                return Ok(());
            }
            Err(error) => return Err(format!("the gallery is lost: {error}")),
        };
        let version = gallery.version();
        if version < self.gallery_on_disk {
            return Err("a stored change of the gallery is lost".into());
        }
        let boot = self.boot.1.to_string();
        let state = StateStore::on(Box::new(self.disk.clone()), Path::new("/state"), &boot);
        let resume = state.load();
        if self.disk.has_killed() {
            self.after(Duration::from_secs(1), Happens::Start);
            return Ok(());
        }
        let saved = match resume {
            Restored::Fresh => PersistentState::default(),
            Restored::SameBoot(saved) | Restored::OtherBoot(saved) => saved,
            Restored::Unreadable => return Err("the state file is damaged".into()),
        };
        if let Some(attempted) = self.attempted.take()
            && attempted.0 == saved
        {
            self.acknowledged = attempted;
        }
        let (acknowledged, lock) = self.acknowledged;
        if saved != acknowledged {
            return Err(format!("saved {acknowledged:?}, found {saved:?}"));
        }
        let now = self.monotonic();
        let left = lock.map(|until| until.since(self.now)).filter(|left| !left.is_zero());
        let (denials, secure_mode) = (saved.lockout.denials, saved.secure_mode);
        self.watcher.restart(
            now,
            version,
            Known { locked_until: left.map(|l| now + l), denials, secure_mode },
        );
        let mut door = Door::new(self.rules, MODEL, gallery).with_hours(hours());
        let recorded = self.random.once_in(8);
        if recorded {
            door = door.recorded();
        }
        let tracker = Tracker::new(TrackRules { min_overlap: 0.3, max_gap: Duration::from_millis(500) });
        let effects = door.start(now, resume);
        let recorded = recorded.then(Vec::new);
        self.process = Some(Process { door, store, changed: None, state, tracker, sequence: 0, recorded });
        self.figures.restarts += 1;
        self.visit.asked = None;
        self.pictures.restart();
        self.check(now, None, effects, |watcher, actions| watcher.timeout(now, actions))
    }

    /// The process dies; what secures the strike then is the unit's ExecStopPost, tested elsewhere.
    fn kill(&mut self) -> Result<(), String> {
        self.replay()?;
        if self.process.take().is_some() {
            self.after_ms(1_000, 5_000, Happens::Start);
        }
        Ok(())
    }

    /// Replays what the process recorded.
    fn replay(&mut self) -> Result<(), String> {
        let Some(lines) = self.process.as_mut().and_then(|p| p.recorded.take()) else { return Ok(()) };
        let mut replay = Replay::new(WhatIf::default());
        for line in lines {
            let line: Line = serde_json::from_str(&line).map_err(|e| e.to_string())?;
            let _ = replay.line(line).map_err(|e| e.to_string())?;
        }
        self.figures.replayed += replay.replayed.steps;
        Ok(())
    }

    fn serve_deadlines(&mut self) -> Result<(), String> {
        let now = self.monotonic();
        let Some(process) = &mut self.process else { return Ok(()) };
        if process.door.poll_timeout().is_none_or(|due| due > now) {
            return Ok(());
        }
        let effects = process.door.handle_timeout(now);
        self.check(now, None, effects, |watcher, actions| watcher.timeout(now, actions))
    }

    /// Lets time come to the door's next deadline, a little late.
    fn await_deadline(&mut self) {
        let due = self.process.as_ref().and_then(|p| p.door.poll_timeout());
        let Some(due) = due.map(|due| self.true_time(due)) else { return };
        let at = due + TICK.mul_f64(self.random.unit());
        // Whatever happens before serves it as well.
        if self.events.peek().is_none_or(|Reverse((next, ..))| at < *next) {
            self.after(at.since(self.now), Happens::Deadline);
        }
    }

    fn input(&mut self, input: Input) -> Result<(), String> {
        let now = self.monotonic();
        let Some(process) = &mut self.process else { return Ok(()) };
        let effects = process.door.handle(now, input.clone());
        self.check(now, Some(&input), effects, |watcher, actions| watcher.input(now, &input, 0, actions))
    }

    /// Carries out what the door wants, and has it watched.
    fn check(
        &mut self,
        now: Timestamp,
        input: Option<&Input>,
        effects: Vec<Effect>,
        watch: impl FnOnce(&mut Watcher, &[Action]) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let (mut actions, mut gallery, mut saves) = (Vec::new(), None, Vec::new());
        let mut save_gallery = false;
        for effect in effects {
            match effect {
                Effect::Strike(StrikeState::Released) => actions.push(Action::Release),
                Effect::Strike(StrikeState::Secured) => actions.push(Action::Secure),
                Effect::Report(Report::Event(event)) => actions.push(Action::Report(event)),
                Effect::Report(_) | Effect::Indicate(_) => {}
                Effect::Gallery(changed) => gallery = Some(changed.version()),
                Effect::SaveGallery(changed) => {
                    if process.changed.replace(changed).is_some() {
                        return Err("two changes of the gallery at a time".into());
                    }
                    save_gallery = true;
                }
                Effect::Save(saved) => saves.push((saved, process.state.save(&saved).is_ok())),
                Effect::Record(line) => {
                    if let Some(recorded) = &mut process.recorded {
                        recorded.push(serde_json::to_string(&line).map_err(|e| e.to_string())?);
                    }
                }
            }
        }
        let is_released = process.door.controller().is_released();
        if save_gallery {
            self.after_ms(1, 5_000, Happens::SaveGallery);
        }
        watch(&mut self.watcher, &actions)?;
        self.pictures.check(now, input, &actions, self.rules)?;
        for action in &actions {
            match action {
                Action::Report(Event::Denied(DenyReason::TurnHead { .. })) => {
                    self.visit.asked = Some((Gesture::Turn, 0));
                }
                Action::Report(Event::Denied(DenyReason::Nod { .. })) => {
                    self.visit.asked = Some((Gesture::Nod, 0));
                }
                Action::Report(Event::Denied(DenyReason::SecondFactor { .. })) if self.random.once_in(2) => {
                    self.after_ms(200, 15_000, Happens::Factor);
                }
                _ => {}
            }
        }
        if let Some(version) = gallery {
            self.gallery_on_disk = version;
            self.watcher.gallery(version);
        }
        if is_released != self.watcher.until.is_some() {
            return Err("the controller does not know its strike".into());
        }
        for (saved, written) in saves {
            let locked = saved.lockout.locked.and(self.watcher.locked_until);
            let entry = (saved, locked.map(|until| self.true_time(until)));
            if written {
                (self.acknowledged, self.attempted) = (entry, None);
                continue;
            }
            self.attempted = Some(entry);
            // Killed in mid-write: there is nobody left to be told.
            return if self.disk.has_killed() { self.kill() } else { self.input(Input::Fault(Fault::Store)) };
        }
        Ok(())
    }
}
