//! The words of an enrolment: who may start one, what it waits for, what it asks for, how it ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::access::quality::QualityIssue;
use crate::ids::SubjectId;

/// Who let the button enrol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolGrant {
    /// An operator.
    Operator,
    /// An administrator's face.
    Administrator {
        /// Whose.
        subject: SubjectId,
    },
}

/// Why an enrolment took no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolFailure {
    /// The time for the whole enrolment passed before the countdown ended.
    TimedOut,
    /// Somebody cancelled it.
    Cancelled,
    /// The camera was lost.
    CameraLost,
}

impl fmt::Display for EnrolFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EnrolFailure::TimedOut => "no single usable face was seen for long enough",
            EnrolFailure::Cancelled => "cancelled",
            EnrolFailure::CameraLost => "the camera was lost",
        })
    }
}

/// What an enrolment waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolWait {
    /// A face.
    Face,
    /// One person only.
    OnePerson,
    /// A better view of the face.
    Better(QualityIssue),
    /// The countdown is over, but frames are missing.
    More,
    /// No frame comes that is fresh enough to count.
    Picture,
}

impl EnrolWait {
    /// What to tell the person in front of the camera.
    pub fn advice(self) -> &'static str {
        match self {
            EnrolWait::Face => "look at the camera",
            EnrolWait::OnePerson => "only one person please",
            EnrolWait::Better(unusable) => unusable.advice(),
            EnrolWait::More => "almost done: keep looking at the camera",
            EnrolWait::Picture => "waiting for a picture from the camera",
        }
    }
}

/// What an enrolment asks of its surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolStep {
    /// Forget the frames collected so far.
    Discard,
    /// Keep the embedding of the frame just handled.
    Collect,
    /// Make the template of the frames collected and store it.
    Store,
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
    /// [`QualityIssue::TooSmall`].
    pub too_small: u32,
    /// [`QualityIssue::TooDark`].
    pub too_dark: u32,
    /// [`QualityIssue::TooBright`].
    pub too_bright: u32,
    /// [`QualityIssue::Flat`].
    pub flat: u32,
    /// [`QualityIssue::Blurred`].
    pub blurred: u32,
    /// [`QualityIssue::Turned`].
    pub turned: u32,
    /// Too old to count when they had been looked at.
    pub stale: u32,
}

impl FrameCounts {
    /// Each count with its name in logs and its words, except [`FrameCounts::seen`].
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

    /// Counts a frame that the enrolment has this against.
    pub(super) fn count(&mut self, frame: Option<EnrolWait>) {
        let of = match frame {
            None | Some(EnrolWait::More) => &mut self.fit,
            Some(EnrolWait::Face) => &mut self.no_face,
            Some(EnrolWait::Picture) => &mut self.stale,
            Some(EnrolWait::OnePerson) => &mut self.several_faces,
            Some(EnrolWait::Better(unusable)) => match unusable {
                QualityIssue::TooSmall => &mut self.too_small,
                QualityIssue::TooDark => &mut self.too_dark,
                QualityIssue::TooBright => &mut self.too_bright,
                QualityIssue::Flat => &mut self.flat,
                QualityIssue::Blurred => &mut self.blurred,
                QualityIssue::Turned => &mut self.turned,
                // Looked at before the enrolment began.
                QualityIssue::PoseUnknown => return,
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

/// What a person being enrolled is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolNotice {
    /// Whole seconds left in the countdown.
    Countdown {
        /// Seconds left, rounded up.
        seconds_left: u32,
    },
    /// Most frames are of no use.
    Waiting(EnrolWait),
    /// The same continues.
    StillWaiting {
        /// What is waited for.
        wait: EnrolWait,
        /// Whole seconds until the enrolment fails.
        seconds_left: u32,
    },
}
