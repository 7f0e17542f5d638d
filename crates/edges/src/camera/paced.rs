//! A recording played in real time, as a camera would deliver it.

use std::thread;
use std::time::Duration;

use super::{CameraError, Counters, FrameSource, Next};
use facelatch_core::time::Timestamp;
use facelatch_host::clock;

/// Delivers the frames of a source whose time is simulated when that time has come, stamped with
/// the monotonic clock.
pub struct Paced<S> {
    source: S,
    started: Option<Timestamp>,
}

impl<S: FrameSource> Paced<S> {
    /// Time begins with the first frame asked for.
    pub fn new(source: S) -> Self {
        Paced { source, started: None }
    }
}

impl<S: FrameSource> FrameSource for Paced<S> {
    fn next(&mut self, wait: Duration) -> Result<Next, CameraError> {
        let started = *self.started.get_or_insert_with(clock::now);
        let Next::Frame(mut frame) = self.source.next(wait)? else { return Ok(Next::End) };
        frame.captured = started + frame.captured.since(Timestamp::ZERO);
        thread::sleep(frame.captured.since(clock::now()));
        Ok(Next::Frame(frame))
    }

    fn describe(&self) -> String {
        self.source.describe()
    }

    fn counters(&self) -> Counters {
        self.source.counters()
    }
}
