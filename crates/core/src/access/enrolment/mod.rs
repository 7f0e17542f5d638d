//! Enrolment: a countdown while one usable face is seen, and what the person is told meanwhile.
//!
//! `Enrolment` owns what is in progress and returns what follows from each frame; the controller
//! carries that out.

mod countdown;
mod prompt;
mod rules;
mod words;

use serde::{Deserialize, Serialize};

use super::quality::QualityIssue;
use super::sighting::Sighting;
use crate::time::Timestamp;
use countdown::Countdown;
use prompt::{Asked, Prompt};
pub use rules::EnrolmentRules;
pub use words::{EnrolFailure, EnrolGrant, EnrolNotice, EnrolStep, EnrolWait, FrameCounts};

/// The enrolment that is in progress, if one is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Enrolment {
    session: Option<Session>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Session {
    countdown: Countdown,
    prompt: Prompt,
}

/// What follows from a frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Progress {
    /// What to do with collected frames, in order.
    pub steps: Vec<EnrolStep>,
    /// What to tell the person.
    pub notice: Option<EnrolNotice>,
    /// The countdown ended with enough frames: the enrolment is over.
    pub is_taken: bool,
}

impl Session {
    /// Whole seconds until it fails, rounded up.
    fn seconds_until_end(&self, now: Timestamp) -> u32 {
        self.countdown.deadline().since(now).as_secs_f64().ceil() as u32
    }
}

impl Enrolment {
    /// Starts one; what was collected for an earlier one no longer counts.
    pub fn start(&mut self, rules: EnrolmentRules, now: Timestamp) {
        self.session = Some(Session { countdown: Countdown::start(rules, now), prompt: Prompt::new(now) });
    }

    pub fn is_under_way(&self) -> bool {
        self.session.is_some()
    }

    /// True while the countdown is what the person is told.
    pub fn is_counting(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.prompt.is_counting())
    }

    /// The next time at which [`Enrolment::is_overdue`] or [`Enrolment::remind`] has something to say.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.session.as_ref().map(|session| session.countdown.deadline().min(session.prompt.due()))
    }

    /// True when its time is over.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.session.as_ref().is_some_and(|session| now >= session.countdown.deadline())
    }

    /// What to say when nothing was said for a while.
    pub fn remind(&mut self, now: Timestamp) -> Option<EnrolNotice> {
        let session = self.session.as_mut()?;
        let left = session.seconds_until_end(now);
        session.prompt.remind(now, left)
    }

    /// A frame was too old to count.
    pub fn on_stale_frame(&mut self) {
        if let Some(session) = &mut self.session {
            session.countdown.on_stale_frame();
        }
    }

    /// Takes a processed frame.
    pub fn on_sighting(&mut self, now: Timestamp, sighting: &Sighting) -> Progress {
        let Some(session) = &mut self.session else { return Progress::default() };
        let counted = session.countdown.on_sighting(sighting);
        let is_taken = counted.steps.contains(&EnrolStep::Store);
        let notice = match counted.waits_for {
            _ if is_taken => None,
            // Looked at before the enrolment began: it says nothing.
            Some(EnrolWait::Better(QualityIssue::PoseUnknown)) => None,
            wait => {
                let until_end = session.seconds_until_end(now);
                session.prompt.on_frame(now, Asked { wait, seconds_left: counted.seconds_left, until_end })
            }
        };
        if is_taken {
            self.session = None;
        }
        Progress { steps: counted.steps, notice, is_taken }
    }

    /// Ends it without a template; what became of its frames, if one was in progress.
    pub fn abandon(&mut self) -> Option<FrameCounts> {
        self.session.take().map(|session| session.countdown.frames())
    }

    /// Whole seconds left of the countdown.
    pub fn seconds_left(&self) -> Option<u32> {
        self.session.as_ref().map(|session| session.countdown.seconds_left())
    }

    /// What became of the frames so far.
    pub fn frames(&self) -> Option<FrameCounts> {
        self.session.as_ref().map(|session| session.countdown.frames())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::access::sighting::Seen;
    use crate::ids::TrackId;
    use crate::picture::Rect;

    const RULES: EnrolmentRules = EnrolmentRules {
        countdown: Duration::from_secs(1),
        frames: 2,
        templates: 1,
        timeout: Duration::from_secs(10),
        max_gap: Duration::from_millis(200),
        restart_after: Duration::from_secs(2),
    };

    fn ms(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn face(at: u64, unusable: Option<QualityIssue>) -> Sighting {
        let (likeness, cues) = Default::default();
        let seen = Seen::Face { track: TrackId(1), face: Rect::new(0, 0, 99, 99), likeness, unusable, cues };
        Sighting { captured: ms(at), sequence: at, gallery_version: 0, seen, light: None }
    }

    fn started() -> Enrolment {
        let mut enrolment = Enrolment::default();
        enrolment.start(RULES, ms(0));
        enrolment
    }

    #[test]
    fn nothing_is_under_way_before_the_start_or_after_the_end() {
        let mut enrolment = Enrolment::default();
        assert!(!enrolment.is_under_way() && !enrolment.is_counting() && !enrolment.is_overdue(ms(99_999)));
        assert_eq!((enrolment.deadline(), enrolment.frames(), enrolment.seconds_left()), (None, None, None));
        assert_eq!(enrolment.on_sighting(ms(0), &face(0, None)), Progress::default());
        assert_eq!((enrolment.remind(ms(99_999)), enrolment.abandon()), (None, None));
        let mut enrolment = started();
        enrolment.on_stale_frame();
        assert_eq!(enrolment.frames().map(|frames| frames.stale), Some(1));
        assert_eq!(enrolment.abandon().map(|frames| frames.stale), Some(1));
        assert!(!enrolment.is_under_way());
    }

    #[test]
    fn fit_frames_count_down_to_the_end() {
        let mut enrolment = started();
        let mut steps = Vec::new();
        for at in (0..=1_000).step_by(100) {
            assert!(enrolment.is_under_way());
            let progress = enrolment.on_sighting(ms(at), &face(at, None));
            assert_eq!(progress.is_taken, at == 1_000);
            let counting = EnrolNotice::Countdown { seconds_left: 1 };
            assert_eq!(progress.notice, (at == 0).then_some(counting), "{at} ms");
            assert_eq!(enrolment.is_counting(), at < 1_000);
            steps.extend(progress.steps);
        }
        assert_eq!(steps, [EnrolStep::Collect, EnrolStep::Collect, EnrolStep::Store]);
        assert!(!enrolment.is_under_way());
    }

    #[test]
    fn it_speaks_up_in_time_and_ends_in_time() {
        let mut enrolment = started();
        assert_eq!(enrolment.seconds_left(), Some(1));
        assert_eq!(enrolment.deadline(), Some(ms(5_000)), "nobody waits in silence");
        let wait = EnrolWait::Picture;
        let still = |seconds_left| Some(EnrolNotice::StillWaiting { wait, seconds_left });
        assert_eq!([ms(4_999), ms(5_000)].map(|now| enrolment.remind(now)), [None, still(5)]);
        assert_eq!(enrolment.deadline(), Some(ms(10_000)));
        assert_eq!([ms(9_999), ms(10_000)].map(|now| enrolment.is_overdue(now)), [false, true]);
    }

    #[test]
    fn a_frame_looked_at_before_the_start_says_nothing() {
        let mut enrolment = started();
        let unknown = enrolment.on_sighting(ms(0), &face(0, Some(QualityIssue::PoseUnknown)));
        assert_eq!(unknown, Progress::default());
        let turned = enrolment.on_sighting(ms(100), &face(100, Some(QualityIssue::Turned)));
        let wait = EnrolWait::Better(QualityIssue::Turned);
        assert_eq!(turned.notice, Some(EnrolNotice::Waiting(wait)));
        assert!(!enrolment.is_counting());
    }
}
