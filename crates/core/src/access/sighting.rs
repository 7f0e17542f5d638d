//! What vision saw, as the decision is told of it.

use serde::{Deserialize, Serialize};

use super::quality::QualityIssue;
use crate::ids::{Likeness, TrackId};
use crate::liveness::Cues;
use crate::picture::Rect;
use crate::time::Timestamp;

/// What vision saw in one processed frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
        /// How much it is like the people enrolled.
        #[serde(flatten)]
        likeness: Likeness,
        /// Why it cannot be enrolled, if so. Matching uses it anyway.
        unusable: Option<QualityIssue>,
        /// What speaks for or against its being alive.
        #[serde(default)]
        cues: Cues,
    },
}

/// One processed frame, as an input of the controller. Holds no biometric data.
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
    /// Why a face could not be seen at all, if so: the whole picture is too dark or too bright. Asked only
    /// during an enrolment, in a frame without a face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub light: Option<QualityIssue>,
}
