//! The enrolment countdown: it runs only while exactly one face is seen, and only usable frames of it
//! are taken.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rules::EnrolmentRules;
use super::words::{EnrolStep, EnrolWait, FrameCounts};
use crate::access::sighting::{Seen, Sighting};
use crate::time::Timestamp;

/// What the countdown makes of a frame.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counted {
    /// What to do with collected frames, in order.
    pub steps: Vec<EnrolStep>,
    /// Whole seconds left, rounded up; at 0 the template is taken as soon as its frames are there.
    pub seconds_left: u32,
    /// Why the frame is of no use, if so.
    pub waits_for: Option<EnrolWait>,
}

/// One enrolment in progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Countdown {
    rules: EnrolmentRules,
    deadline: Timestamp,
    counted: Duration,
    collected: u32,
    last_seen: Option<Timestamp>,
    running: bool,
    frames: FrameCounts,
}

impl Countdown {
    pub fn start(rules: EnrolmentRules, now: Timestamp) -> Self {
        Countdown {
            rules,
            deadline: now + rules.timeout,
            counted: Duration::ZERO,
            collected: 0,
            last_seen: None,
            running: false,
            frames: FrameCounts::default(),
        }
    }

    /// What became of the frames so far.
    pub fn frames(&self) -> FrameCounts {
        self.frames
    }

    /// A frame was too old.
    pub fn on_stale_frame(&mut self) {
        self.frames.count(Some(EnrolWait::Picture));
    }

    /// Whole seconds left, rounded up.
    pub fn seconds_left(&self) -> u32 {
        self.rules.countdown.saturating_sub(self.counted).as_secs_f64().ceil() as u32
    }

    /// When the enrolment fails if nothing else ends it.
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// Takes a processed frame: time counts from one frame of a single face to the next one.
    ///
    /// That all collected frames show one person is checked on their embeddings when the template is
    /// made; here, a long absence starts the countdown again.
    pub fn on_sighting(&mut self, sighting: &Sighting) -> Counted {
        let mut steps = Vec::new();
        let waits_for = match &sighting.seen {
            Seen::NoFace => Some(sighting.light.map_or(EnrolWait::Face, EnrolWait::Better)),
            Seen::SeveralFaces { .. } => Some(EnrolWait::OnePerson),
            Seen::Face { unusable, .. } => {
                self.count(sighting.captured, &mut steps);
                if unusable.is_none() {
                    self.collect(&mut steps);
                }
                unusable.map(EnrolWait::Better)
            }
        };
        self.running = matches!(sighting.seen, Seen::Face { .. });
        self.frames.count(waits_for);
        Counted { steps, seconds_left: self.seconds_left(), waits_for }
    }

    fn count(&mut self, captured: Timestamp, steps: &mut Vec<EnrolStep>) {
        if let Some(last) = self.last_seen {
            let passed = captured.since(last);
            if passed > self.rules.restart_after {
                self.counted = Duration::ZERO;
                if self.collected > 0 {
                    self.collected = 0;
                    steps.push(EnrolStep::Discard);
                }
            } else if self.running && passed <= self.rules.max_gap {
                self.counted += passed;
            }
        }
        self.last_seen = Some(captured);
    }

    /// Frame k of n is due when k/n of the countdown has passed: the last one at its end. What was due while
    /// the frames were of no use is made up for by those that follow.
    fn collect(&mut self, steps: &mut Vec<EnrolStep>) {
        let frames = self.rules.frames.max(1);
        let due = self.rules.countdown.mul_f64(f64::from(self.collected + 1) / f64::from(frames));
        if self.counted >= due {
            steps.push(EnrolStep::Collect);
            self.collected += 1;
            if self.collected == frames {
                steps.push(EnrolStep::Store);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::quality::QualityIssue;
    use crate::ids::TrackId;
    use crate::picture::Rect;

    const RULES: EnrolmentRules = EnrolmentRules {
        countdown: Duration::from_secs(1),
        frames: 4,
        templates: 3,
        timeout: Duration::from_secs(10),
        max_gap: Duration::from_millis(200),
        restart_after: Duration::from_secs(2),
    };

    fn seen(ms: u64, seen: Seen) -> Sighting {
        Sighting { captured: Timestamp::from_millis(ms), sequence: ms, gallery_version: 0, seen, light: None }
    }

    fn face(ms: u64, unusable: Option<QualityIssue>) -> Sighting {
        let face = Rect::new(0, 0, 99, 99);
        let (likeness, cues) = Default::default();
        seen(ms, Seen::Face { track: TrackId(1), face, likeness, unusable, cues })
    }

    #[test]
    fn collects_evenly_and_stores_at_the_end() {
        let mut countdown = Countdown::start(RULES, Timestamp::ZERO);
        let mut collected = Vec::new();
        for ms in (0..=1_000).step_by(50) {
            let counted = countdown.on_sighting(&face(5_000 + ms, None));
            if counted.steps.contains(&EnrolStep::Collect) {
                collected.push(ms);
            }
            let last = ms == 1_000;
            assert_eq!(counted.steps.contains(&EnrolStep::Store), last);
            assert_eq!(counted.seconds_left, u32::from(!last));
        }
        assert_eq!(collected, [250, 500, 750, 1_000]);
    }

    #[test]
    fn one_frame_is_taken_at_the_end() {
        let mut countdown = Countdown::start(EnrolmentRules { frames: 1, ..RULES }, Timestamp::ZERO);
        let steps: Vec<_> = (0..=20).map(|n| countdown.on_sighting(&face(n * 50, None)).steps).collect();
        assert!(steps[..20].iter().all(Vec::is_empty));
        assert_eq!(steps[20], [EnrolStep::Collect, EnrolStep::Store]);
    }

    #[test]
    fn stands_still_without_one_face_and_says_why() {
        let mut countdown = Countdown::start(RULES, Timestamp::ZERO);
        for (sighting, expected) in [
            (face(0, None), None),
            (seen(100, Seen::NoFace), Some(EnrolWait::Face)),
            (
                Sighting { light: Some(QualityIssue::TooDark), ..seen(150, Seen::NoFace) },
                Some(EnrolWait::Better(QualityIssue::TooDark)),
            ),
            (seen(200, Seen::SeveralFaces { count: 2 }), Some(EnrolWait::OnePerson)),
            (face(300, None), None),
        ] {
            assert_eq!(countdown.on_sighting(&sighting).waits_for, expected);
        }
        let counts = countdown.frames();
        assert_eq!(counts.to_string(), "5 frames: 2 fit, 1 without a face, 1 with several faces, 1 too dark");
        assert_eq!(FrameCounts::default().to_string(), "0 frames: 0 fit");
        assert_eq!(countdown.counted, Duration::ZERO);
        let _ = countdown.on_sighting(&face(400, None));
        assert_eq!(countdown.counted, Duration::from_millis(100));
    }

    #[test]
    fn no_useless_frame_is_taken_and_later_ones_make_up_for_it() {
        let mut countdown = Countdown::start(RULES, Timestamp::ZERO);
        let (mut collected, mut stored) = (Vec::new(), None);
        for ms in (0..=1_400).step_by(50) {
            // Of use for a moment, then not until the countdown is over.
            let unusable = (300..1_200).contains(&ms).then_some(QualityIssue::TooDark);
            let counted = countdown.on_sighting(&face(ms, unusable));
            assert_eq!(counted.waits_for, unusable.map(EnrolWait::Better));
            if counted.steps.contains(&EnrolStep::Collect) {
                collected.push(ms);
            }
            if counted.steps.contains(&EnrolStep::Store) {
                stored = Some(ms);
                break;
            }
        }
        assert_eq!((&collected[..], stored), (&[250, 1_200, 1_250, 1_300][..], Some(1_300)));
    }

    #[test]
    fn a_long_absence_starts_again() {
        let mut countdown = Countdown::start(RULES, Timestamp::ZERO);
        for ms in (0..=500).step_by(50) {
            let _ = countdown.on_sighting(&face(ms, None));
        }
        assert_eq!(countdown.collected, 2);
        let counted = countdown.on_sighting(&face(3_000, None));
        assert_eq!(counted.steps, [EnrolStep::Discard]);
        assert_eq!(countdown.counted, Duration::ZERO);
    }
}
