//! The controller's vocabulary: inputs, events and actions.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::picture::Rect;
use crate::time::Timestamp;

/// A person of the gallery, by a number that says nothing about the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubjectId(pub u32);

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One face followed from frame to frame; a new number each time tracking breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrackId(pub u64);

/// How much a probe is like one subject of the gallery, similarity = 1 - distance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Whom it was compared with.
    pub subject: SubjectId,
    /// Similarity of the probe and the subject's closest template.
    pub similarity: f32,
}

/// Why a face cannot serve for enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unusable {
    /// The face is too small in the picture.
    TooSmall,
    /// The face's mean gray value is too low.
    TooDark,
    /// The face's mean gray value is too high.
    TooBright,
    /// The face has hardly any contrast.
    Flat,
}

impl Unusable {
    /// What to tell the person in front of the camera.
    pub fn advice(self) -> &'static str {
        match self {
            Unusable::TooSmall => "come closer",
            Unusable::TooDark => "too dark: more light on the face",
            Unusable::TooBright => "too bright: less light on the face",
            Unusable::Flat => "no contrast in the face: clean the lens or change the light",
        }
    }
}

/// What vision saw in one processed frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Seen {
    /// No face.
    NoFace,
    /// More than one face: nobody is identified.
    SeveralFaces {
        /// How many.
        count: u32,
    },
    /// Exactly one face.
    Face {
        /// The track it belongs to.
        track: TrackId,
        /// Its box in the frame.
        face: Rect,
        /// Its similarity to each subject of the gallery, in any order, a subject once.
        scores: Vec<Score>,
        /// Why it cannot be enrolled, if so. Matching takes it all the same.
        unusable: Option<Unusable>,
    },
}

/// One processed frame, as the controller is told of it. Holds no biometric data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// When the frame was captured, on the clock of `now`.
    pub captured: Timestamp,
    /// The camera's frame number.
    pub sequence: u64,
    /// Which state of the gallery the scores belong to.
    pub gallery_version: u64,
    /// What was seen.
    pub seen: Seen,
}

/// What the controller is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Input {
    /// A frame was processed.
    Sighting(Sighting),
    /// The camera stopped delivering: everything seen so far is void.
    CameraLost,
    /// The gallery changed: scores of earlier versions no longer count.
    GalleryChanged {
        /// The version from now on.
        version: u64,
    },
    /// Somebody inside asks to leave (REX): the strike is released at once.
    Rex,
    /// The door's contact.
    Door {
        /// True when the door stands open.
        open: bool,
    },
    /// Start enrolling the next single face seen.
    Enrol,
    /// Stop an enrolment that is under way.
    CancelEnrol,
    /// Secure the strike now and forget the attempt.
    Secure,
}

/// Why the strike is released.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Cause {
    /// The 15-frame rule identified a subject.
    Identified {
        /// Who.
        subject: SubjectId,
        /// Mean similarity of the window.
        mean_similarity: f32,
    },
    /// Request to exit.
    Rex,
}

/// Why nobody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum DenyReason {
    /// A full window, and nobody of the gallery is like it enough.
    Unknown {
        /// The best mean similarity of any subject, if there is a subject.
        best_mean: Option<f32>,
    },
    /// More than one face in the picture.
    SeveralFaces {
        /// How many.
        count: u32,
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

/// What a standing countdown waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolWait {
    /// A face.
    Face,
    /// One person only.
    OnePerson,
    /// A better view of the face.
    Better(Unusable),
}

impl EnrolWait {
    /// What to tell the person in front of the camera.
    pub fn advice(self) -> &'static str {
        match self {
            EnrolWait::Face => "look at the camera",
            EnrolWait::OnePerson => "only one person please",
            EnrolWait::Better(unusable) => unusable.advice(),
        }
    }
}

/// Something worth a line in the log and the status.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The picture is empty (said once, when a face has gone).
    NoFace,
    /// A face is being identified (said once per window).
    Identifying {
        /// Which.
        track: TrackId,
    },
    /// Nobody is let in (said once per window, or once per run of frames with several faces).
    Denied(DenyReason),
    /// The window says who it is, but this approach has had its release (said once per window).
    AlreadyReleased {
        /// Who.
        subject: SubjectId,
    },
    /// The strike is released.
    Released(Cause),
    /// The strike is secured again.
    Secured,
    /// A frame too old to decide on was refused.
    StaleFrame {
        /// How old it was.
        age: Duration,
    },
    /// An enrolment began.
    EnrolStarted,
    /// The countdown stands at so many whole seconds (said when the number changes).
    EnrolCountdown {
        /// Seconds left, rounded up.
        seconds_left: u32,
    },
    /// The countdown stands still (said when the reason changes).
    EnrolWaiting(EnrolWait),
    /// The countdown ended: a template is being made of the collected frames.
    EnrolTaken,
    /// No template was taken.
    EnrolFailed(EnrolFailure),
}

/// What the lights and the buzzer should show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Indication {
    /// Nothing goes on.
    Idle,
    /// A face is being identified (orange).
    Identifying,
    /// The strike is released (green).
    Released,
    /// Nobody is let in (red).
    Denied,
    /// An enrolment counts down.
    EnrolCounting,
    /// An enrolment waits for a usable face.
    EnrolWaiting,
}

/// What an enrolment asks of its surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnrolStep {
    /// Forget the frames collected so far.
    Discard,
    /// Keep the embedding of the frame just handled.
    Collect,
    /// Make the template of the frames collected and store it.
    Store,
}

/// What the surroundings must do, in order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// Drive the strike to released.
    Release,
    /// Drive the strike to secured.
    Secure,
    /// Show this on lights and buzzer.
    Indicate(Indication),
    /// Do this for the enrolment.
    Enrol(EnrolStep),
    /// Log and publish this.
    Report(Event),
}
