//! What the thread that owns the strike counts, and what it publishes for watchers.

use std::sync::Arc;
use std::time::Duration;

use super::broadcaster::Broadcaster;
use crate::access::{DenyCode, Event, Indication, ReleaseReason, WindowRules};
use crate::door::{Door, Report};
use crate::protocol::metrics::{Feedings, Metrics, count};
use crate::protocol::{Attempt, AttemptColour, State};
use crate::time::Timestamp;

/// Between two states that nothing happened in.
const STATE_EVERY: Duration = Duration::from_millis(250);
/// Between two states while somebody looks at the picture: the bar of the 15 frames fills.
const VIEWED_STATE_EVERY: Duration = Duration::from_millis(95);

/// The part of the thread that owns the strike that counts and publishes. It never waits.
#[derive(Debug)]
pub struct Publisher {
    /// Where it is published.
    pub broadcaster: Arc<Broadcaster>,
    /// What is counted.
    pub metrics: Metrics,
    feedings: Feedings,
    watchdog: Option<Duration>,
    window: WindowRules,
    /// Whom the latest release was for.
    identified: Option<String>,
    /// When the frame was captured that is being decided on.
    captured: Timestamp,
    /// The same of a frame that has released, until the strike is driven.
    releasing: Option<Timestamp>,
    published: Timestamp,
    /// Something happened since.
    changed: bool,
}

impl Publisher {
    /// One that has counted nothing yet.
    pub fn new(broadcaster: Arc<Broadcaster>, window: WindowRules) -> Self {
        Publisher {
            broadcaster,
            metrics: Metrics::default(),
            feedings: Feedings::default(),
            watchdog: None,
            window,
            identified: None,
            captured: Timestamp::ZERO,
            releasing: None,
            published: Timestamp::ZERO,
            changed: true,
        }
    }

    /// The supervisor kills after this long without a sign of life.
    pub(super) fn watched_by(&mut self, limit: Option<Duration>) {
        self.watchdog = limit;
    }

    /// The watchdog was fed.
    pub(super) fn fed(&mut self, now: Timestamp) {
        self.feedings.note(now);
        self.metrics.watchdog = self.watchdog.map(|limit| self.feedings.margin(limit));
    }

    /// A frame of this time is about to be decided on.
    pub(super) fn seen(&mut self, captured: Timestamp) {
        self.captured = captured;
    }

    /// The frame before the controller has released; the strike is yet to be driven.
    pub(super) fn releases_for_face(&mut self) {
        self.releasing = Some(self.captured);
    }

    /// The strike was driven.
    pub(super) fn driven(&mut self, now: Timestamp, released: bool) {
        if let Some(captured) = self.releasing.take().filter(|_| released) {
            self.metrics.release.add(now.since(captured));
        }
        self.changed = true;
    }

    /// Counts a report.
    pub(super) fn reported(&mut self, report: &Report, door: &Door) {
        self.changed = true;
        let Report::Event(event) = report else { return };
        match event {
            Event::Released(cause) => {
                let who = match cause {
                    ReleaseReason::Identified { subject, .. } => door.gallery().subject(*subject),
                    ReleaseReason::Rex | ReleaseReason::HoldOpen { .. } => None,
                };
                self.identified = who.map(|subject| subject.name.clone());
                count(&mut self.metrics.releases, cause.name());
            }
            Event::Denied(reason) => count(&mut self.metrics.denials, reason.code().name()),
            Event::Alarm(alarm) => count(&mut self.metrics.alarms, alarm.name()),
            Event::Fault(fault) => count(&mut self.metrics.faults, fault.name()),
            _ => {}
        }
    }

    /// True when a state is due for somebody.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        // With a picture the bar of the 15 frames fills: a state for each.
        let every = if self.broadcaster.is_viewed() { VIEWED_STATE_EVERY } else { STATE_EVERY };
        self.broadcaster.is_watched() && (self.changed || now.since(self.published) >= every)
    }

    /// The attempt in progress, as the person at the door sees it.
    pub(super) fn attempt(&self, door: &Door, shown: Indication, words: Words<'_>) -> Attempt {
        let controller = door.controller();
        let said = |text: Option<&str>, otherwise: &str| text.unwrap_or(otherwise).to_owned();
        let (colour, words) = match shown {
            Indication::Idle => (AttemptColour::None, String::new()),
            Indication::Identifying => (AttemptColour::Orange, "Identifying ...".to_owned()),
            Indication::Released => {
                let name = self.identified.as_ref().map(|name| format!("Identity: {name}"));
                (AttemptColour::Green, said(name.as_deref(), "released"))
            }
            Indication::Denied(DenyCode::Unknown) => (AttemptColour::Red, "Identity Unknown!".to_owned()),
            Indication::Denied(code) => (AttemptColour::Red, said(words.denial, code.name())),
            Indication::Alarm(alarm) => (AttemptColour::Red, format!("alarm: {}", alarm.name())),
            Indication::EnrolCounting | Indication::EnrolWaiting => {
                (AttemptColour::Orange, said(words.enrolment, "enrolling"))
            }
        };
        let people = door.gallery().subjects().len();
        Attempt {
            colour,
            words,
            frames: controller.window_frames(),
            of: self.window.frames,
            mean: controller.window_mean().map(|score| score.similarity).filter(|mean| mean.is_finite()),
            required: self.window.required(people),
        }
    }

    /// Publishes a state.
    pub(super) fn publish(&mut self, now: Timestamp, state: State) {
        // Every frame has an attempt; the state as a whole is for fewer looks.
        let whole = self.changed || now.since(self.published) >= STATE_EVERY;
        if self.broadcaster.try_publish(state, whole) && whole {
            self.published = now;
            self.changed = false;
        }
    }
}

/// What was said last to people.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a> {
    pub denial: Option<&'a str>,
    pub enrolment: Option<&'a str>,
}
