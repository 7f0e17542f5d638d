//! The controller as a whole: what it answers to what happens at a door.

mod challenge;
mod enrolment;
mod identification;
mod liveness;
mod lockout;
mod modes;
mod status;
mod strike;

use std::collections::BTreeSet;

use super::*;
use crate::access::approach::ApproachRules;
use crate::access::authority::ButtonRules;
use crate::access::enrolment::{EnrolWait, EnrolmentRules};
use crate::access::lockout::{LockoutRules, SavedLock, SavedLockout};
use crate::access::persistence::RETRY_SAVE_AFTER;
use crate::access::quality::QualityIssue;
use crate::access::reason::{ChallengeEnd, DenyCode, DenyReason};
use crate::access::schedule::UnsetClock;
use crate::access::sighting::Seen;
use crate::access::window::WindowRules;
use crate::ids::{Score, SubjectId, TrackId};
use crate::liveness::{Asked, Cues, LivenessRules, Unsure};
use crate::picture::Rect;

fn rules() -> AccessRules {
    AccessRules {
        window: WindowRules {
            frames: 15,
            threshold: 0.3,
            gallery_raise: 0.0,
            margin: 0.0,
            max_gap: Duration::from_millis(500),
            max_age: Duration::from_secs(5),
        },
        hold: Duration::from_secs(3),
        max_hold_open: Duration::from_secs(3_600),
        approach: ApproachRules { gap: Duration::from_millis(1_500), cooldown: Duration::from_secs(30) },
        max_frame_age: Duration::from_secs(1),
        lockout: LockoutRules {
            attempts: 3,
            first: Duration::from_secs(30),
            longest: Duration::from_secs(900),
            forget: Duration::from_secs(3_600),
            again: Duration::from_secs(10),
        },
        unset_clock: UnsetClock::Deny,
        held_open_after: Duration::from_secs(20),
        enrolment: EnrolmentRules {
            countdown: Duration::from_secs(5),
            frames: 15,
            templates: 3,
            timeout: Duration::from_secs(60),
            max_gap: Duration::from_millis(500),
            restart_after: Duration::from_secs(2),
        },
        button: ButtonRules::default(),
        liveness: None,
    }
}

/// A controller fed one frame every 50 ms; remembers the events with their times in ms.
struct Door {
    controller: Controller,
    now: u64,
    events: Vec<(u64, Event)>,
    released: bool,
}

impl Door {
    fn new() -> Self {
        Door::resumed(Restored::Fresh)
    }

    fn resumed(resume: Restored<PersistentState>) -> Self {
        let mut controller = Controller::new(rules(), 1, Timetable::default());
        let mut door = Door { controller: controller.clone(), now: 0, events: vec![], released: false };
        let actions = controller.start(Timestamp::ZERO, resume);
        assert_eq!(actions[0], Action::Secure);
        door.controller = controller;
        door.carry_out(actions);
        door
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Release => self.released = true,
                Action::Secure => self.released = false,
                Action::Report(event) => self.events.push((self.now, event)),
                Action::Indicate(_) | Action::Enrol(_) | Action::Save(_) => {}
            }
        }
    }

    fn input(&mut self, input: Input) {
        let actions = self.controller.handle(Timestamp::from_millis(self.now), input);
        self.carry_out(actions);
    }

    fn frame(&mut self, seen: Seen) {
        self.now += 50;
        self.input(sighting(self.now, 1, seen));
    }

    fn frames(&mut self, n: usize, seen: &Seen) {
        for _ in 0..n {
            self.frame(seen.clone());
        }
    }

    fn take(&mut self) -> Vec<(u64, Event)> {
        std::mem::take(&mut self.events)
    }
}

fn sighting(ms: u64, gallery_version: u64, seen: Seen) -> Input {
    let captured = Timestamp::from_millis(ms);
    let sighting = Sighting { captured, sequence: ms, gallery_version, seen, light: None };
    Input::Sighting { sighting, civil: Civil::Unset }
}

fn face(track: u64, similarity: f32) -> Seen {
    Seen::Face {
        track: TrackId(track),
        face: Rect::new(0, 0, 100, 100),
        likeness: vec![Score { subject: SubjectId(1), similarity }].into(),
        unusable: None,
        cues: Cues::default(),
    }
}

fn identified(mean: f32) -> Event {
    Event::Released(ReleaseReason::Identified { subject: SubjectId(1), mean_similarity: mean })
}

/// Frames of subject 1's face; alive, a picture, or neither clearly.
fn shown(track: u64, residual: f32, network: f32) -> Seen {
    match face(track, 0.5) {
        Seen::Face { track, face, likeness, unusable, .. } => Seen::Face {
            track,
            face,
            likeness,
            unusable,
            cues: Cues {
                motion: Some(0.05),
                residual: Some(residual),
                along: None,
                peak: Some(1.2),
                patterns: Some(4.0),
                network: Some(network),
                ..Cues::default()
            },
        },
        other => other,
    }
}

fn alive() -> Seen {
    shown(1, 0.012, 0.9)
}

fn picture() -> Seen {
    shown(1, 0.002, 0.05)
}

fn unclear() -> Seen {
    shown(1, 0.003, 0.8)
}

fn checking(change: impl FnOnce(&mut LivenessRules)) -> Door {
    let mut door = Door::new();
    let mut liveness = LivenessRules::default();
    change(&mut liveness);
    let rules = AccessRules { liveness: Some(liveness), ..rules() };
    door.controller = Controller::new(rules, 1, Timetable::default());
    let actions = door.controller.start(Timestamp::ZERO, Restored::Fresh);
    door.carry_out(actions);
    door
}

fn denied(door: &mut Door) -> Vec<DenyCode> {
    let code = |(_, event)| match event {
        Event::Denied(reason) => Some(reason.code()),
        _ => None,
    };
    door.take().into_iter().filter_map(code).collect()
}
