//! The enrolment countdown (R6): it runs only while exactly one face is seen, and only usable frames of it
//! are taken.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::{EnrolStep, EnrolWait, Seen, Sighting, Unusable};
use crate::time::Timestamp;

/// The numbers of an enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentRules {
    /// How long one face must be seen in all. The reference's 5 s.
    pub countdown: Duration,
    /// Usable frames that make the template, spread evenly over the countdown as far as there are any, at
    /// least 1. The reference takes one, at the end.
    pub frames: u32,
    /// The most templates that are made of them, at least 1.
    pub templates: u32,
    /// After this time without an end the enrolment fails.
    pub timeout: Duration,
    /// Time between two frames of one face counts when it is at most this long.
    pub max_gap: Duration,
    /// After so long without one face it may be another person: the countdown starts again.
    pub restart_after: Duration,
}

/// What became of the frames of an enrolment: how many there were, and which gate refused how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FrameCounts {
    /// All frames.
    pub seen: u32,
    /// Fit for enrolment.
    pub fit: u32,
    /// Without a face.
    pub no_face: u32,
    /// With more than one.
    pub several_faces: u32,
    /// [`Unusable::TooSmall`].
    pub too_small: u32,
    /// [`Unusable::TooDark`].
    pub too_dark: u32,
    /// [`Unusable::TooBright`].
    pub too_bright: u32,
    /// [`Unusable::Flat`].
    pub flat: u32,
    /// [`Unusable::Blurred`].
    pub blurred: u32,
    /// [`Unusable::Turned`].
    pub turned: u32,
    /// Too old to count when they had been looked at.
    pub stale: u32,
}

impl FrameCounts {
    /// Each count with its name in logs and its words, but for [`FrameCounts::seen`].
    pub fn named(&self) -> [(&'static str, &'static str, u32); 10] {
        [
            ("fit", "fit", self.fit),
            ("no_face", "without a face", self.no_face),
            ("several_faces", "with several faces", self.several_faces),
            ("too_small", "too far away", self.too_small),
            ("too_dark", "too dark", self.too_dark),
            ("too_bright", "too bright", self.too_bright),
            ("flat", "without contrast", self.flat),
            ("blurred", "blurred or moving", self.blurred),
            ("turned", "turned away", self.turned),
            ("stale", "too old", self.stale),
        ]
    }

    fn count(&mut self, frame: Option<EnrolWait>) {
        let of = match frame {
            None | Some(EnrolWait::More) => &mut self.fit,
            Some(EnrolWait::Face) => &mut self.no_face,
            Some(EnrolWait::Picture) => &mut self.stale,
            Some(EnrolWait::OnePerson) => &mut self.several_faces,
            Some(EnrolWait::Better(unusable)) => match unusable {
                Unusable::TooSmall => &mut self.too_small,
                Unusable::TooDark => &mut self.too_dark,
                Unusable::TooBright => &mut self.too_bright,
                Unusable::Flat => &mut self.flat,
                Unusable::Blurred => &mut self.blurred,
                Unusable::Turned => &mut self.turned,
                // Looked at before the enrolment began.
                Unusable::PoseUnknown => return,
            },
        };
        *of += 1;
        self.seen += 1;
    }
}

impl fmt::Display for FrameCounts {
    /// Such as "600 frames: 412 turned away, 120 too dark, 68 fit".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} frames", self.seen)?;
        let mut named = self.named();
        named.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
        let mut sign = ": ";
        for (_, words, count) in named.into_iter().filter(|(name, _, count)| *count > 0 || *name == "fit") {
            write!(f, "{sign}{count} {words}")?;
            sign = ", ";
        }
        Ok(())
    }
}

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

/// One enrolment under way.
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
    pub fn stale(&mut self) {
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
    pub fn take(&mut self, sighting: &Sighting) -> Counted {
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
    use super::super::event::TrackId;
    use super::*;
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

    fn face(ms: u64, unusable: Option<Unusable>) -> Sighting {
        let face = Rect::new(0, 0, 99, 99);
        let (likeness, cues) = Default::default();
        seen(ms, Seen::Face { track: TrackId(1), face, likeness, unusable, cues })
    }

    #[test]
    fn collects_evenly_and_stores_at_the_end() {
        let mut countdown = Countdown::start(RULES, Timestamp::ZERO);
        let mut collected = Vec::new();
        for ms in (0..=1_000).step_by(50) {
            let counted = countdown.take(&face(5_000 + ms, None));
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
        let steps: Vec<_> = (0..=20).map(|n| countdown.take(&face(n * 50, None)).steps).collect();
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
                Sighting { light: Some(Unusable::TooDark), ..seen(150, Seen::NoFace) },
                Some(EnrolWait::Better(Unusable::TooDark)),
            ),
            (seen(200, Seen::SeveralFaces { count: 2 }), Some(EnrolWait::OnePerson)),
            (face(300, None), None),
        ] {
            assert_eq!(countdown.take(&sighting).waits_for, expected);
        }
        let counts = countdown.frames();
        assert_eq!(counts.to_string(), "5 frames: 2 fit, 1 without a face, 1 with several faces, 1 too dark");
        assert_eq!(FrameCounts::default().to_string(), "0 frames: 0 fit");
        assert_eq!(countdown.counted, Duration::ZERO);
        let _ = countdown.take(&face(400, None));
        assert_eq!(countdown.counted, Duration::from_millis(100));
    }

    #[test]
    fn no_useless_frame_is_taken_and_later_ones_make_up_for_it() {
        let mut countdown = Countdown::start(RULES, Timestamp::ZERO);
        let (mut collected, mut stored) = (Vec::new(), None);
        for ms in (0..=1_400).step_by(50) {
            // Of use for a moment, then not until the countdown is over.
            let unusable = (300..1_200).contains(&ms).then_some(Unusable::TooDark);
            let counted = countdown.take(&face(ms, unusable));
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
            let _ = countdown.take(&face(ms, None));
        }
        assert_eq!(countdown.collected, 2);
        let counted = countdown.take(&face(3_000, None));
        assert_eq!(counted.steps, [EnrolStep::Discard]);
        assert_eq!(countdown.counted, Duration::ZERO);
    }
}
