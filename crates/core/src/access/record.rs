//! A run as lines, and its replay.
//!
//! Every call of the controller is a [`Step`]: when, what, and the actions it answered with. A
//! [`Snapshot`] is the controller's whole state; each start of the daemon begins with one, and further
//! ones follow now and then, so that any file can be replayed from its first snapshot. Nothing
//! biometric is recorded: faces appear as similarities.
//!
//! [`Replay`] runs the steps again. As they were, the actions must be the same byte for byte. With
//! other rules ("what if") the controller's own deadlines are served when they come, because they may
//! differ from the recorded ones.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::controller::Controller;
use super::event::{Action, Event};
use super::input::Input;
use super::reason::DenyCode;
use super::release::ReleaseReason;
use super::rules::AccessRules;
use crate::time::Timestamp;

/// One line of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The controller's whole state.
    Snapshot(Box<Snapshot>),
    /// One call of the controller.
    Step(Step),
}

/// The controller's state before the next step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The form of these lines: [`FORMAT`].
    pub format: u32,
    /// When.
    pub at: Timestamp,
    /// Why it was taken.
    pub because: Because,
    /// The state.
    pub controller: Controller,
}

/// The form of recordings that this program writes and reads.
pub const FORMAT: u32 = 6;

/// Why a snapshot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The daemon started.
    Started,
    /// Some time has passed: the steps before lead to this state.
    Periodic,
    /// Steps before this were lost.
    Lost,
}

/// One call of the controller and what it answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The `now` of the call.
    pub at: Timestamp,
    /// The call.
    pub call: Call,
    /// The answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
}

/// A call of the controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// A deadline has come.
    Timeout,
    /// Something happened.
    Input(Input),
}

impl Controller {
    /// Makes a call.
    pub fn call(&mut self, now: Timestamp, call: Call) -> Vec<Action> {
        match call {
            Call::Timeout => self.handle_timeout(now),
            Call::Input(input) => self.handle(now, input),
        }
    }
}

/// Other numbers for a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WhatIf {
    /// Another threshold of the 15-frame rule.
    pub threshold: Option<f32>,
    /// Another number of frames in a window.
    pub frames: Option<usize>,
    /// Another hold time.
    pub hold: Option<Duration>,
}

impl WhatIf {
    fn is_none(&self) -> bool {
        *self == WhatIf::default()
    }

    fn apply(&self, rules: &mut AccessRules) {
        rules.window.threshold = self.threshold.unwrap_or(rules.window.threshold);
        rules.window.frames = self.frames.unwrap_or(rules.window.frames);
        rules.hold = self.hold.unwrap_or(rules.hold);
    }
}

/// Why a line cannot be replayed.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ReplayError {
    /// Nothing says in which state the controller was.
    #[error("a step before the first snapshot: the start of the recording is missing")]
    NoSnapshot,
    /// Written by another version.
    #[error("this recording has format {0}; this facelatch reads format {FORMAT}")]
    Format(u32),
    /// The replay answered something else.
    #[error("at {at:?} the replay differs: recorded {recorded}, replayed {replayed}")]
    Differs {
        /// When.
        at: Timestamp,
        /// The recorded actions, as JSON.
        recorded: String,
        /// The replayed ones.
        replayed: String,
    },
    /// The steps do not lead to the state that was recorded.
    #[error("at {at:?} the replayed controller is not in the recorded state")]
    OtherState {
        /// When.
        at: Timestamp,
    },
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    /// Calls of the controller.
    pub steps: u64,
    /// Actions it answered with.
    pub actions: u64,
    /// Releases for faces.
    pub releases_by_face: u64,
    /// Releases by request to exit.
    pub releases_by_rex: u64,
    /// Times that an operator held the door open.
    pub held_open: u64,
    /// Denials by reason.
    pub denials: std::collections::BTreeMap<DenyCode, u64>,
    /// Lockouts.
    pub lockouts: u64,
    /// Alarms.
    pub alarms: u64,
    /// How long the strike was released in all, in ms.
    pub released_ms: u64,
    #[serde(skip)]
    since: Option<Timestamp>,
}

impl Tally {
    fn add(&mut self, at: Timestamp, actions: &[Action]) {
        self.actions += actions.len() as u64;
        for action in actions {
            match action {
                Action::Release => {
                    self.since.get_or_insert(at);
                }
                Action::Secure => {
                    let since = self.since.take();
                    self.released_ms += since.map_or(0, |since| at.since(since).as_millis() as u64);
                }
                Action::Report(Event::Released(ReleaseReason::Identified { .. })) => {
                    self.releases_by_face += 1
                }
                Action::Report(Event::Released(ReleaseReason::Rex)) => self.releases_by_rex += 1,
                Action::Report(Event::Released(ReleaseReason::HoldOpen { .. })) => self.held_open += 1,
                Action::Report(Event::Denied(reason)) => *self.denials.entry(reason.code()).or_default() += 1,
                Action::Report(Event::LockedOut { .. }) => self.lockouts += 1,
                Action::Report(Event::Alarm(_)) => self.alarms += 1,
                _ => {}
            }
        }
    }
}

/// Runs recorded steps again.
#[derive(Debug, Default)]
pub struct Replay {
    what_if: WhatIf,
    controller: Option<Controller>,
    /// As recorded.
    pub recorded: Tally,
    /// As replayed.
    pub replayed: Tally,
}

impl Replay {
    /// A replay with the rules as recorded, or with others.
    pub fn new(what_if: WhatIf) -> Self {
        Replay { what_if, ..Replay::default() }
    }

    /// Takes the next line; returns what the replayed controller does on it, each with its time.
    ///
    /// # Errors
    /// When the line cannot be replayed, or, with the rules as recorded, something else comes out.
    pub fn line(&mut self, line: Line) -> Result<Vec<(Timestamp, Action)>, ReplayError> {
        match line {
            Line::Snapshot(snapshot) => self.snapshot(*snapshot).map(|()| Vec::new()),
            Line::Step(step) => self.step(step),
        }
    }

    /// After lines that cannot be read: waits for the next snapshot.
    pub fn lose(&mut self) {
        self.controller = None;
    }

    fn snapshot(&mut self, snapshot: Snapshot) -> Result<(), ReplayError> {
        let Snapshot { format, at, because, mut controller } = snapshot;
        if format != FORMAT {
            return Err(ReplayError::Format(format));
        }
        if because == Because::Periodic
            && let Some(replayed) = &self.controller
        {
            let same = !self.what_if.is_none() || to_json(replayed) == to_json(&controller);
            return if same { Ok(()) } else { Err(ReplayError::OtherState { at }) };
        }
        if !self.what_if.is_none() {
            controller.retune(|rules| self.what_if.apply(rules));
        }
        // A start secures the strike, which a snapshot taken after it does not say.
        self.recorded.add(at, &[Action::Secure]);
        self.replayed.add(at, &[Action::Secure]);
        self.controller = Some(controller);
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<Vec<(Timestamp, Action)>, ReplayError> {
        let Step { at, call, actions } = step;
        let controller = self.controller.as_mut().ok_or(ReplayError::NoSnapshot)?;
        self.recorded.steps += 1;
        self.recorded.add(at, &actions);
        let mut done = Vec::new();
        let mut run = |controller: &mut Controller, at, call| {
            let actions = controller.call(at, call);
            self.replayed.steps += 1;
            self.replayed.add(at, &actions);
            done.extend(actions.into_iter().map(|action| (at, action)));
        };
        if self.what_if.is_none() {
            run(controller, at, call);
            let replayed: Vec<Action> = done.iter().map(|(_, action)| *action).collect();
            let (recorded, replayed) = (to_json(&actions), to_json(&replayed));
            if recorded != replayed {
                return Err(ReplayError::Differs { at, recorded, replayed });
            }
        } else {
            while let Some(due) = controller.poll_timeout().filter(|due| *due <= at) {
                run(controller, due, Call::Timeout);
            }
            if call != Call::Timeout {
                run(controller, at, call);
            }
        }
        Ok(done)
    }
}

/// The bytes that a recording holds.
fn to_json(value: &impl Serialize) -> String {
    // Plain numbers, texts and lists: JSON has a form for all of them.
    serde_json::to_string(value).unwrap_or_default()
}
