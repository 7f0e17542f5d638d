//! A second opinion on the controller: what must hold whatever happens, written down without looking
//! at how the controller does it.

#![allow(dead_code, reason = "each test file uses a part of this")]

pub mod pictures;

use std::time::Duration;

use facelatch_core::access::{
    AccessRules, Action, ApproachRules, ButtonRules, ChallengeEnd, Civil, DenyReason, EnrolmentRules, Event,
    Fault, Input, LockoutRules, ModeCommand, ReleaseReason, Score, Seen, Sighting, SubjectId, TrackId,
    UnsetClock, WindowRules,
};
use facelatch_core::time::Timestamp;

/// Deadlines are served late by at most this: the tick of "hold time + one tick".
pub const TICK: Duration = Duration::from_millis(10);

/// Rules with small numbers: a test gets through them in a few steps.
pub fn rules() -> AccessRules {
    AccessRules {
        window: WindowRules {
            frames: 3,
            threshold: 0.3,
            gallery_raise: 0.07,
            margin: 0.05,
            max_gap: Duration::from_millis(500),
            max_age: Duration::from_secs(2),
        },
        hold: Duration::from_millis(700),
        max_hold_open: Duration::from_secs(5),
        approach: ApproachRules { gap: Duration::from_millis(900), cooldown: Duration::from_secs(4) },
        max_frame_age: Duration::from_millis(400),
        lockout: LockoutRules {
            attempts: 2,
            first: Duration::from_secs(2),
            longest: Duration::from_secs(7),
            forget: Duration::from_secs(30),
            again: Duration::from_secs(1),
        },
        unset_clock: UnsetClock::Deny,
        held_open_after: Duration::from_secs(2),
        enrolment: EnrolmentRules {
            countdown: Duration::from_secs(1),
            frames: 2,
            templates: 3,
            timeout: Duration::from_secs(3),
            max_gap: Duration::from_millis(500),
            restart_after: Duration::from_secs(2),
        },
        button: ButtonRules::default(),
        liveness: None,
    }
}

/// A generator of random numbers (SplitMix64): the same seed, the same run.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True once in `n`.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// A number in 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A waiting time with this mean.
    pub fn wait(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.unit()).ln())
    }
}

/// A frame of the present run: one tracked face without a break.
#[derive(Clone, Debug)]
struct Frame {
    captured: Timestamp,
    track: TrackId,
    /// Who really stands there, where the test knows.
    person: u32,
    scores: Vec<Score>,
}

/// May this person come in at this time, by the test's own reading of the schedules?
pub type Hours = fn(SubjectId, Civil) -> bool;

/// What a restarted controller must know.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub locked_until: Option<Timestamp>,
    pub denials: u32,
    pub secure_mode: bool,
}

/// Watches a controller from outside.
#[derive(Clone, Debug)]
pub struct Watcher {
    rules: AccessRules,
    hours: Hours,
    gallery_version: u64,
    run: Vec<Frame>,
    /// The face was asked to turn or to nod: it may be out of sight for a moment.
    asked: bool,
    /// The strike is energised, at the latest until.
    pub until: Option<Timestamp>,
    /// Somebody inside has asked for the release in progress.
    exit: bool,
    /// An operator holds the door open.
    held: bool,
    last_secured: Option<Timestamp>,
    last_face: Option<Timestamp>,
    released_in_approach: Option<Timestamp>,
    /// No face may open before.
    pub locked_until: Option<Timestamp>,
    /// Strangers' attempts in a row.
    denials: u32,
    last_attempt: Option<Timestamp>,
    pub secure_mode: bool,
    enrolling: bool,
    door_open: Option<bool>,
    /// Releases for faces, for request to exit, and times held open.
    pub releases: [u64; 3],
    pub lockouts: u64,
    pub faults: u64,
}

impl Watcher {
    pub fn new(rules: AccessRules, gallery_version: u64, hours: Hours) -> Self {
        Watcher {
            rules,
            hours,
            gallery_version,
            run: Vec::new(),
            asked: false,
            until: None,
            exit: false,
            held: false,
            last_secured: None,
            last_face: None,
            released_in_approach: None,
            locked_until: None,
            denials: 0,
            last_attempt: None,
            secure_mode: false,
            enrolling: false,
            door_open: None,
            releases: [0; 3],
            lockouts: 0,
            faults: 0,
        }
    }

    /// Strangers' attempts in a row that the controller may not have forgotten by now.
    pub fn denials(&self, now: Timestamp) -> u32 {
        let forgotten = self.last_attempt.is_some_and(|at| now.since(at) >= self.rules.lockout.forget);
        if forgotten { 0 } else { self.denials }
    }

    /// The process started anew: what the last one knew is lost but for what was saved.
    pub fn restart(&mut self, now: Timestamp, gallery_version: u64, saved: Known) {
        let old = self.clone();
        *self = Watcher {
            locked_until: saved.locked_until,
            denials: saved.denials,
            last_attempt: Some(now),
            secure_mode: saved.secure_mode,
            releases: old.releases,
            lockouts: old.lockouts,
            faults: old.faults,
            ..Watcher::new(old.rules, gallery_version, old.hours)
        };
    }

    /// Another gallery is in force.
    pub fn gallery(&mut self, version: u64) {
        self.gallery_version = version;
        self.run.clear();
    }

    /// Checks a timeout that the controller served.
    pub fn timeout(&mut self, now: Timestamp, actions: &[Action]) -> Result<(), String> {
        self.book(now, actions, None)?;
        self.bound(now)
    }

    /// Checks what the controller answered to an input. `person`: whose face it really is.
    pub fn input(
        &mut self,
        now: Timestamp,
        input: &Input,
        person: u32,
        actions: &[Action],
    ) -> Result<(), String> {
        let door_before = self.door_open;
        let exit_before = self.exit && self.until.is_some_and(|until| now < until);
        match input {
            Input::Sighting { sighting, .. } => self.sighting(now, sighting, person),
            Input::GalleryChanged { version, .. } => self.gallery(*version),
            Input::SetMode(ModeCommand::Secure) => self.secure_mode = true,
            Input::SetMode(ModeCommand::Normal) => self.secure_mode = false,
            Input::SetMode(ModeCommand::HoldOpen { time }) if !time.is_zero() => self.run.clear(),
            // Of an unlock that changes nothing because the door is held open for longer, faces notice nothing.
            Input::SetMode(ModeCommand::Unlock { .. }) if actions.contains(&Action::Release) => {
                self.run.clear();
            }
            Input::ClearLockout => {
                self.locked_until = None;
                self.denials = 0;
            }
            Input::Door { open } => self.door_open = Some(*open),
            Input::Fault(_) => self.faults += 1,
            _ => {}
        }
        self.book(now, actions, Some(input))?;
        self.bound(now)?;
        let released = self.until.is_some();
        if let Input::SetMode(ModeCommand::Unlock { time }) = input {
            let least = now + (*time).min(self.rules.max_hold_open);
            if !time.is_zero() && self.until < Some(least) {
                return Err(format!("an unlock of {time:?} ends {:?}", self.until));
            }
        }
        match input {
            // A disk that fails keeps nobody in who asked to leave.
            Input::Fault(Fault::Store) | Input::NotRecorded if exit_before => {
                if released {
                    Ok(())
                } else {
                    Err(format!("{input:?} kept somebody in"))
                }
            }
            Input::Fault(_) | Input::NotRecorded | Input::Secure | Input::SetMode(ModeCommand::Secure)
                if released =>
            {
                Err(format!("the strike is still released after {input:?}"))
            }
            Input::Rex if !released => Err("request to exit did not open".into()),
            Input::Door { open: true } if door_before == Some(false) && !released => {
                let lag = Duration::from_millis(250);
                let excused = self.last_secured.is_some_and(|at| now.since(at) <= lag);
                let alarm = |a: &Action| matches!(a, Action::Report(Event::Alarm(_)));
                if excused || actions.iter().any(alarm) {
                    Ok(())
                } else {
                    Err("forced open without an alarm".into())
                }
            }
            _ => Ok(()),
        }
    }

    fn sighting(&mut self, now: Timestamp, sighting: &Sighting, person: u32) {
        let fresh = now.since(sighting.captured) <= self.rules.max_frame_age;
        if fresh && sighting.seen != Seen::NoFace {
            let left = self.last_face.is_none_or(|last| now.since(last) > self.rules.approach.gap);
            let cooled =
                self.released_in_approach.is_some_and(|at| now.since(at) > self.rules.approach.cooldown);
            if left || cooled {
                self.released_in_approach = None;
            }
            self.last_face = Some(now);
        }
        match &sighting.seen {
            Seen::Face { track, likeness, .. }
                if fresh && sighting.gallery_version == self.gallery_version =>
            {
                let frame = Frame {
                    captured: sighting.captured,
                    track: *track,
                    person,
                    scores: likeness.scores.clone(),
                };
                if self.run.len() > 2 * self.rules.window.frames {
                    self.run.drain(..self.rules.window.frames);
                }
                self.run.push(frame);
            }
            Seen::NoFace if fresh && self.asked => {}
            _ => {
                self.asked = false;
                self.run.clear();
            }
        }
    }

    /// Follows the strike through the actions; every release needs a cause.
    fn book(&mut self, now: Timestamp, actions: &[Action], input: Option<&Input>) -> Result<(), String> {
        // A press counts for the passage in progress, and for the one it brings about.
        let rex = matches!(input, Some(Input::Rex));
        self.exit |= rex && !self.held;
        for action in actions {
            match action {
                Action::Secure => {
                    (self.exit, self.held) = (false, false);
                    if let Some(until) = self.until.take() {
                        self.last_secured = Some(now);
                        if now.since(until) > TICK {
                            return Err(format!("secured {:?} late", now.since(until)));
                        }
                    }
                }
                Action::Release => {
                    let until = self.cause(now, input)?;
                    // A release in progress may be replaced by an operator, and by nobody else.
                    let by_operator = matches!(input, Some(Input::SetMode(_)));
                    if self.until.is_some() && !by_operator {
                        return Err("a release in progress was prolonged".into());
                    }
                    self.until = Some(until);
                    (self.exit, self.held) = (rex, by_operator);
                }
                Action::Report(Event::Released(ReleaseReason::Identified { subject, .. })) => {
                    self.identified(now, *subject, input)?;
                }
                Action::Report(Event::Denied(
                    DenyReason::Unknown { best_mean: Some(_) }
                    | DenyReason::Ambiguous { .. }
                    | DenyReason::Spoof { .. }
                    | DenyReason::ChallengeFailed {
                        end: ChallengeEnd::TimeOver | ChallengeEnd::OtherFace, ..
                    },
                )) => {
                    self.denials = self.denials(now) + 1;
                    self.last_attempt = Some(now);
                    if self.denials >= self.rules.lockout.attempts {
                        let doublings = (self.denials - self.rules.lockout.attempts).min(20);
                        let time = self.rules.lockout.first.saturating_mul(1 << doublings);
                        self.locked_until = Some(now + time.min(self.rules.lockout.longest));
                        self.lockouts += 1;
                        let told = |a: &Action| matches!(a, Action::Report(Event::LockedOut { .. }));
                        if !actions.iter().any(told) {
                            return Err(format!("{} denied attempts without a lockout", self.denials));
                        }
                    }
                }
                Action::Report(Event::Denied(reason)) => {
                    self.asked = matches!(reason, DenyReason::TurnHead { .. } | DenyReason::Nod { .. });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The latest end of a release that this input may bring about.
    fn cause(&mut self, now: Timestamp, input: Option<&Input>) -> Result<Timestamp, String> {
        match input {
            Some(Input::Rex) => {
                self.releases[1] += 1;
                Ok(now + self.rules.hold)
            }
            Some(Input::SetMode(ModeCommand::HoldOpen { time })) => {
                self.releases[2] += 1;
                Ok(now + (*time).min(self.rules.max_hold_open))
            }
            Some(Input::SetMode(ModeCommand::Unlock { time })) => {
                self.releases[2] += 1;
                let end = now + (*time).min(self.rules.max_hold_open);
                Ok(self.until.map_or(end, |until| until.max(end)))
            }
            Some(Input::Sighting { .. }) => {
                self.releases[0] += 1;
                Ok(now + self.rules.hold)
            }
            other => Err(format!("released by {other:?}")),
        }
    }

    /// A release for a face: by the 15-frame rule on one face, in hours, once an approach.
    fn identified(
        &mut self,
        now: Timestamp,
        subject: SubjectId,
        input: Option<&Input>,
    ) -> Result<(), String> {
        let Some(Input::Sighting { civil, .. }) = input else {
            return Err(format!("identified without a frame: {input:?}"));
        };
        let rule = self.rules.window;
        let Some(first) = self.run.len().checked_sub(rule.frames) else {
            return Err(format!("{} frames are too few", self.run.len()));
        };
        let window = &self.run[first..];
        let (oldest, newest) = (&window[0], &window[window.len() - 1]);
        if window.iter().any(|f| f.track != newest.track) {
            return Err("the window mixes two tracked faces".into());
        }
        if window.iter().any(|f| f.person != newest.person) {
            return Err("the window mixes two people".into());
        }
        let gap = |pair: &[Frame]| {
            pair[1].captured > pair[0].captured && pair[1].captured.since(pair[0].captured) <= rule.max_gap
        };
        if !window.windows(2).all(gap) || newest.captured.since(oldest.captured) > rule.max_age {
            return Err("the window has a gap or is too old".into());
        }
        let of = |f: &Frame, who| f.scores.iter().find(|s| s.subject == who).map(|s| f64::from(s.similarity));
        let mean = |who| {
            let sum: Option<f64> = window.iter().map(|f| of(f, who)).sum();
            sum.map(|sum| (sum / rule.frames as f64) as f32).filter(|mean| mean.is_finite())
        };
        let own = mean(subject);
        let tenfold = (newest.scores.len() as f32).log10();
        if !own.is_some_and(|own| own >= rule.threshold + rule.gallery_raise * tenfold - 1e-6) {
            return Err(format!("mean similarity {own:?} does not open"));
        }
        let others = newest.scores.iter().map(|s| s.subject).filter(|other| *other != subject);
        if others.filter_map(mean).any(|other| own.is_some_and(|own| own - other < rule.margin - 1e-6)) {
            return Err(format!("{subject} does not lead clearly"));
        }
        if self.secure_mode {
            return Err("a face opened in secure mode".into());
        }
        if self.locked_until.is_some_and(|until| now < until) {
            return Err(format!("a face opened during a lockout until {:?}", self.locked_until));
        }
        if !(self.hours)(subject, *civil) {
            return Err(format!("{subject} came in out of hours: {civil:?}"));
        }
        if self.released_in_approach.is_some() {
            return Err("a second release in one approach".into());
        }
        self.asked = false;
        self.released_in_approach = Some(now);
        self.denials = 0;
        self.locked_until = None;
        Ok(())
    }

    fn bound(&self, now: Timestamp) -> Result<(), String> {
        match self.until {
            Some(until) if now >= until => Err(format!("energised at {now:?}, to be secured by {until:?}")),
            _ => Ok(()),
        }
    }
}
