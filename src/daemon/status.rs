//! What clients are told of the daemon as a whole.

use std::time::Duration;

use super::effects::Executor;
use super::publisher::Words;
use super::threads::SharedCounters;
use super::watchdog::FrameProgress;
use crate::door::ModelFacts;
use crate::lock::lock;
use crate::protocol::{State, Status};
use crate::time::Timestamp;

/// What the daemon knows of itself, besides what the door knows.
pub(super) struct Vitals {
    pub(super) started: Timestamp,
    pub(super) camera: String,
    pub(super) counters: SharedCounters,
    pub(super) threshold: f32,
    pub(super) model: ModelFacts,
    pub(super) progress: FrameProgress,
    frames: u64,
    frames_with_face: u64,
    last_frame: Duration,
}

impl Vitals {
    pub(super) fn new(
        started: Timestamp,
        stall: Duration,
        camera: String,
        threshold: f32,
        model: ModelFacts,
    ) -> Self {
        Vitals {
            started,
            camera,
            counters: SharedCounters::default(),
            threshold,
            model,
            progress: FrameProgress::new(started, stall),
            frames: 0,
            frames_with_face: 0,
            last_frame: Duration::ZERO,
        }
    }

    /// A frame was processed, taking this long.
    pub(super) fn processed(&mut self, now: Timestamp, with_face: bool, took: Duration) {
        self.progress.processed(now);
        self.frames += 1;
        self.frames_with_face += u64::from(with_face);
        self.last_frame = took;
    }

    /// The door's state, for watchers.
    pub(super) fn state(&self, now: Timestamp, executor: &Executor) -> State {
        let Executor { door, outputs, public, told, .. } = executor;
        let words = Words { denial: told.denial.as_deref(), enrolment: told.enrol_advice.as_deref() };
        State {
            status: self.status(now, executor),
            attempt: public.attempt(door, outputs.shown(), words),
            metrics: public.metrics.clone(),
        }
    }

    /// What `facelatch status` says.
    pub(super) fn status(&self, now: Timestamp, executor: &Executor) -> Status {
        let Executor { door, outputs, trail, told, .. } = executor;
        Status {
            strike: outputs.strike_state(),
            strike_line: outputs.describe(),
            camera: self.camera.clone(),
            camera_counters: *lock(&self.counters),
            camera_delivers: self.progress.has_frames() && self.progress.is_made(now),
            frames: self.frames,
            frames_with_face: self.frames_with_face,
            last_frame_ms: self.last_frame.as_secs_f64() * 1e3,
            people: door.gallery().subjects().len(),
            people_of_other_models: door.gallery().of_other_models(self.model.hash),
            enrolling: door.controller().is_enrolling(),
            enrol_advice: told.enrol_advice.clone(),
            enrolment_allowed_s: door.controller().enrolment_allowed(now).map(|left| left.as_secs() + 1),
            model: self.model.hash.to_string(),
            threshold: self.threshold,
            uptime_s: now.since(self.started).as_secs(),
            mode: door.controller().mode(),
            lockout_left_s: door.controller().lockout_left(now).map(|left| left.as_secs() + 1),
            door_open: door.controller().door_is_open(),
            alarm: door.controller().alarm(),
            rolled_back: executor.rolled_back(),
            audit_written: trail.works(),
            last_denial: told.denial.clone(),
            last_event: told.event.clone(),
        }
    }
}
