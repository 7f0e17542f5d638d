//! Why nobody is let in: one list of reasons, with stable names and plain words.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::quality::QualityIssue;
use crate::ids::SubjectId;

/// Why nobody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenyReason {
    /// A full window of usable frames, and nobody of the gallery is like it enough. Counts towards a
    /// lockout.
    Unknown {
        /// The best mean similarity of any subject, if there is a subject.
        best_mean: Option<f32>,
    },
    /// A full window in which no subject leads the others clearly: two people much alike, or one person
    /// enrolled twice. Counts towards a lockout.
    Ambiguous {
        /// The best one.
        subject: SubjectId,
        /// The second-best one.
        other: SubjectId,
        /// The best one's mean similarity.
        best_mean: f32,
    },
    /// As [`DenyReason::Unknown`], but a frame was too dark, too bright or too small to count against
    /// the person.
    PoorPicture {
        /// What was wrong with it.
        unusable: QualityIssue,
        /// The best mean similarity of any subject, if there is a subject.
        best_mean: Option<f32>,
    },
    /// More than one face in the picture: who passes with somebody else is not let in.
    SeveralFaces {
        /// How many.
        count: u32,
    },
    /// This approach has had its release: leave the picture, or wait.
    AlreadyReleased {
        /// Who.
        subject: SubjectId,
    },
    /// Too many denied attempts.
    LockedOut {
        /// Until faces count again.
        left: Duration,
    },
    /// The person may not come in at this day and hour.
    OutOfHours {
        /// Who.
        subject: SubjectId,
    },
    /// The person's hours cannot be checked.
    ClockNotSet {
        /// Who.
        subject: SubjectId,
    },
    /// An operator has put the door into secure mode.
    SecureMode,
    /// The person was identified, but the entry of it did not reach the audit log in time.
    NotRecorded,
    /// A picture of a known face was held before the camera: nothing opens until it has left. Counts
    /// towards a lockout.
    Spoof {
        /// Whose.
        subject: SubjectId,
        /// The evidence, below 0.
        evidence: f32,
    },
    /// The person was identified, and is neither clearly alive nor clearly a picture.
    NotSureAlive {
        /// Who.
        subject: SubjectId,
        /// The evidence.
        evidence: f32,
    },
    /// The same where a second factor settles it.
    SecondFactor {
        /// Who.
        subject: SubjectId,
        /// The evidence.
        evidence: f32,
    },
    /// The same where turning the head settles it: the person is asked to.
    TurnHead {
        /// Who.
        subject: SubjectId,
        /// The evidence.
        evidence: f32,
    },
    /// The same where nodding settles it.
    Nod {
        /// Who.
        subject: SubjectId,
        /// The evidence.
        evidence: f32,
    },
    /// What was asked for was not done: nothing opens until the face has left. Counts towards a lockout,
    /// unless the face just left.
    ChallengeFailed {
        /// Who.
        subject: SubjectId,
        /// What ended it.
        end: ChallengeEnd,
    },
}

/// What ended a challenge that was not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChallengeEnd {
    /// Its time was over.
    TimeOver,
    /// The face was out of sight for longer than the window's largest gap.
    FaceLeft,
    /// Another face came, or one that is not like the person any more.
    OtherFace,
}

impl ChallengeEnd {
    /// The name in logs.
    pub fn name(self) -> &'static str {
        match self {
            ChallengeEnd::TimeOver => "time_over",
            ChallengeEnd::FaceLeft => "face_left",
            ChallengeEnd::OtherFace => "other_face",
        }
    }
}

/// A [`DenyReason`] without its numbers: what lights, buzzer, status and audit log tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenyCode {
    /// A full window like nobody.
    Unknown,
    /// There is nobody to be like.
    NobodyEnrolled,
    /// Like two people.
    Ambiguous,
    /// Too dark, too bright or too small.
    PoorPicture,
    /// More than one face.
    SeveralFaces,
    /// One release an approach.
    AlreadyReleased,
    /// Too many denied attempts.
    LockedOut,
    /// Not at this hour.
    OutOfHours,
    /// Hours cannot be checked.
    ClockNotSet,
    /// Secure mode.
    SecureMode,
    /// The audit log did not take the entry.
    NotRecorded,
    /// A picture of a face.
    Spoof,
    /// Neither clearly alive nor clearly a picture.
    NotSureAlive,
    /// The same, and a second factor is waited for.
    SecondFactor,
    /// The same, and a turn of the head is waited for.
    TurnHead,
    /// The same, and a nod is waited for.
    Nod,
    /// The head was not turned, or not nodded with, in time.
    ChallengeFailed,
}

impl DenyCode {
    /// Every code.
    pub const ALL: [DenyCode; 17] = [
        DenyCode::Unknown,
        DenyCode::Ambiguous,
        DenyCode::NobodyEnrolled,
        DenyCode::PoorPicture,
        DenyCode::SeveralFaces,
        DenyCode::AlreadyReleased,
        DenyCode::LockedOut,
        DenyCode::OutOfHours,
        DenyCode::ClockNotSet,
        DenyCode::SecureMode,
        DenyCode::NotRecorded,
        DenyCode::Spoof,
        DenyCode::NotSureAlive,
        DenyCode::SecondFactor,
        DenyCode::TurnHead,
        DenyCode::Nod,
        DenyCode::ChallengeFailed,
    ];

    /// The name in logs, status and the audit log; it does not change between versions.
    pub fn name(self) -> &'static str {
        self.words().0
    }

    /// The code with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }

    /// The reason in a few words, for whoever reads the log. What the person at the door is told says
    /// [`DenyReason`].
    pub fn summary(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            DenyCode::Unknown => ("unknown", "a face that is not enrolled"),
            DenyCode::NobodyEnrolled => ("nobody_enrolled", "nobody is enrolled"),
            DenyCode::Ambiguous => ("ambiguous", "like two people"),
            DenyCode::PoorPicture => ("poor_picture", "too dark, too bright or too far away"),
            DenyCode::SeveralFaces => ("several_faces", "more than one face"),
            DenyCode::AlreadyReleased => ("already_released", "was already let in"),
            DenyCode::LockedOut => ("locked_out", "lockout after too many denied attempts"),
            DenyCode::OutOfHours => ("out_of_hours", "outside permitted hours"),
            DenyCode::ClockNotSet => ("clock_not_set", "the clock is not set"),
            DenyCode::SecureMode => ("secure_mode", "secure mode"),
            DenyCode::NotRecorded => ("not_recorded", "the log could not be written"),
            DenyCode::Spoof => ("spoof", "a picture, not a person"),
            DenyCode::NotSureAlive => ("not_sure_alive", "not clear whether a person or a picture"),
            DenyCode::SecondFactor => ("second_factor", "the second factor was missing"),
            DenyCode::TurnHead => ("turn_head", "asked to turn the head"),
            DenyCode::Nod => ("nod", "asked to nod"),
            DenyCode::ChallengeFailed => ("challenge_failed", "the head movement challenge failed"),
        }
    }

    /// How lights and buzzer tell it: the number of blinks and beeps; `None` for a steady light and one long beep.
    pub fn blinks(self) -> Option<u8> {
        match self {
            DenyCode::Unknown
            | DenyCode::Ambiguous
            | DenyCode::NobodyEnrolled
            | DenyCode::Spoof
            | DenyCode::ChallengeFailed => None,
            DenyCode::AlreadyReleased => Some(1),
            DenyCode::SeveralFaces => Some(2),
            // What the person can help: show the face better, or give the second factor.
            DenyCode::PoorPicture | DenyCode::NotSureAlive | DenyCode::SecondFactor => Some(3),
            DenyCode::LockedOut => Some(4),
            DenyCode::OutOfHours | DenyCode::ClockNotSet => Some(5),
            DenyCode::SecureMode => Some(6),
            DenyCode::NotRecorded => Some(7),
            // Without a pause, and in both lights: something is asked for.
            DenyCode::TurnHead | DenyCode::Nod => Some(8),
        }
    }
}

impl DenyReason {
    /// True for what counts towards a lockout: a stranger's face that could be seen well, a picture of
    /// a face, and a face that did not do what it was asked for. An empty gallery has nothing to be guessed.
    pub fn is_an_attempt(&self) -> bool {
        match self {
            // Whoever passes by and goes on has tried nothing.
            DenyReason::ChallengeFailed { end, .. } => *end != ChallengeEnd::FaceLeft,
            DenyReason::Unknown { best_mean } => best_mean.is_some(),
            DenyReason::Ambiguous { .. } | DenyReason::Spoof { .. } => true,
            _ => false,
        }
    }

    /// True for what keeps a face out of this approach whoever it turns out to be: nothing opens until it has left.
    pub fn ends_the_approach(&self) -> bool {
        matches!(self, DenyReason::Spoof { .. } | DenyReason::ChallengeFailed { .. })
    }

    /// True for what is said without asking who it is: the frames so far count for nobody.
    pub fn voids_frames(&self) -> bool {
        match self {
            DenyReason::SeveralFaces { .. } | DenyReason::LockedOut { .. } | DenyReason::SecureMode => true,
            _ => self.ends_the_approach(),
        }
    }

    /// The reason without its numbers.
    pub fn code(&self) -> DenyCode {
        match self {
            DenyReason::Unknown { best_mean: Some(_) } => DenyCode::Unknown,
            DenyReason::Unknown { best_mean: None } => DenyCode::NobodyEnrolled,
            DenyReason::Ambiguous { .. } => DenyCode::Ambiguous,
            DenyReason::PoorPicture { .. } => DenyCode::PoorPicture,
            DenyReason::SeveralFaces { .. } => DenyCode::SeveralFaces,
            DenyReason::AlreadyReleased { .. } => DenyCode::AlreadyReleased,
            DenyReason::LockedOut { .. } => DenyCode::LockedOut,
            DenyReason::OutOfHours { .. } => DenyCode::OutOfHours,
            DenyReason::ClockNotSet { .. } => DenyCode::ClockNotSet,
            DenyReason::SecureMode => DenyCode::SecureMode,
            DenyReason::NotRecorded => DenyCode::NotRecorded,
            DenyReason::Spoof { .. } => DenyCode::Spoof,
            DenyReason::NotSureAlive { .. } => DenyCode::NotSureAlive,
            DenyReason::SecondFactor { .. } => DenyCode::SecondFactor,
            DenyReason::TurnHead { .. } => DenyCode::TurnHead,
            DenyReason::Nod { .. } => DenyCode::Nod,
            DenyReason::ChallengeFailed { .. } => DenyCode::ChallengeFailed,
        }
    }
}

impl fmt::Display for DenyReason {
    /// The reason in words for the person at the door.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DenyReason::Unknown { best_mean: Some(_) } => write!(f, "this face is not enrolled"),
            DenyReason::Unknown { best_mean: None } => write!(f, "nobody is enrolled"),
            DenyReason::Ambiguous { .. } => {
                write!(f, "two enrolled people match: ask an operator")
            }
            DenyReason::PoorPicture { unusable, .. } => write!(f, "not recognised: {}", unusable.advice()),
            DenyReason::SeveralFaces { count } => write!(f, "{count} faces at once: one at a time please"),
            DenyReason::AlreadyReleased { .. } => {
                write!(f, "the door was already opened for you: step back and come again")
            }
            DenyReason::LockedOut { left } => {
                let seconds = left.as_secs_f64().ceil();
                write!(f, "too many denied attempts: locked for another {seconds} s")
            }
            DenyReason::OutOfHours { .. } => write!(f, "outside your permitted hours"),
            DenyReason::ClockNotSet { .. } => {
                write!(f, "the door's clock is not set, so your hours cannot be checked")
            }
            DenyReason::SecureMode => write!(f, "an operator has secured the door"),
            DenyReason::NotRecorded => {
                write!(f, "the door's log cannot be written: tell an operator, and come again")
            }
            DenyReason::Spoof { .. } => {
                write!(f, "this looks like a picture of a face: step out of view and come again")
            }
            DenyReason::NotSureAlive { .. } => {
                write!(f, "please move your head a little")
            }
            DenyReason::SecondFactor { .. } => {
                write!(f, "please give the second factor (code or key)")
            }
            DenyReason::TurnHead { .. } => {
                write!(f, "turn your head a little to one side and look at the camera again")
            }
            DenyReason::Nod { .. } => write!(f, "nod once and look at the camera again"),
            DenyReason::ChallengeFailed { .. } => {
                write!(f, "the movement was not seen: step out of view and come again")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_are_what_serde_writes() {
        for (n, code) in DenyCode::ALL.iter().enumerate() {
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
            assert_eq!(DenyCode::from_name(code.name()), Some(*code));
            assert!(DenyCode::ALL[..n].iter().all(|other| other.name() != code.name()));
        }
        assert_eq!(DenyCode::from_name("else"), None);
    }

    #[test]
    fn strangers_pictures_and_failed_challenges_are_attempts_and_nothing_else_is() {
        let (subject, evidence) = (SubjectId(1), -2.0);
        let failed = |end| DenyReason::ChallengeFailed { subject, end };
        let (best_mean, left) = (Some(0.1), Duration::from_secs(1));
        // Whether it counts towards a lockout, voids the frames so far, and keeps the face out until it has left.
        for (reason, attempt, voids, ends) in [
            (DenyReason::Unknown { best_mean }, true, false, false),
            (DenyReason::Unknown { best_mean: None }, false, false, false),
            (DenyReason::Ambiguous { subject, other: SubjectId(2), best_mean: 0.6 }, true, false, false),
            (DenyReason::PoorPicture { unusable: QualityIssue::TooDark, best_mean }, false, false, false),
            (DenyReason::SeveralFaces { count: 2 }, false, true, false),
            (DenyReason::AlreadyReleased { subject }, false, false, false),
            (DenyReason::LockedOut { left }, false, true, false),
            (DenyReason::OutOfHours { subject }, false, false, false),
            (DenyReason::ClockNotSet { subject }, false, false, false),
            (DenyReason::SecureMode, false, true, false),
            (DenyReason::NotRecorded, false, false, false),
            (DenyReason::Spoof { subject, evidence }, true, true, true),
            (DenyReason::NotSureAlive { subject, evidence }, false, false, false),
            (DenyReason::SecondFactor { subject, evidence }, false, false, false),
            (DenyReason::TurnHead { subject, evidence }, false, false, false),
            (DenyReason::Nod { subject, evidence }, false, false, false),
            (failed(ChallengeEnd::TimeOver), true, true, true),
            (failed(ChallengeEnd::OtherFace), true, true, true),
            // Whoever passes by and goes on has tried nothing.
            (failed(ChallengeEnd::FaceLeft), false, true, true),
        ] {
            let is = (reason.is_an_attempt(), reason.voids_frames(), reason.ends_the_approach());
            assert_eq!(is, (attempt, voids, ends), "{reason:?}");
        }
    }
}
