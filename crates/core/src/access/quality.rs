//! What is wrong with the picture of a face.

use serde::{Deserialize, Serialize};

/// Why a face cannot serve for enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityIssue {
    /// The face is too small in the picture.
    TooSmall,
    /// The face's mean gray value is too low.
    TooDark,
    /// The face's mean gray value is too high.
    TooBright,
    /// The face has hardly any contrast.
    Flat,
    /// The face moves or is out of focus.
    Blurred,
    /// The head is turned or tilted.
    Turned,
    /// Where the head is turned was not asked, as nobody is being enrolled: the rest is well.
    PoseUnknown,
}

impl QualityIssue {
    /// What to tell the person in front of the camera.
    pub fn advice(self) -> &'static str {
        match self {
            QualityIssue::TooSmall => "come closer",
            QualityIssue::TooDark => "too dark: more light on the face",
            QualityIssue::TooBright => "too bright: less light on the face",
            QualityIssue::Flat => "no contrast in the face: clean the lens or change the light",
            QualityIssue::Blurred => "hold still",
            QualityIssue::Turned | QualityIssue::PoseUnknown => "look at the camera",
        }
    }

    /// True for what the person cannot help: it excuses a face that is not recognised. A stranger who
    /// moves or turns away is still a stranger.
    pub fn is_environmental(self) -> bool {
        match self {
            QualityIssue::TooSmall | QualityIssue::TooDark | QualityIssue::TooBright | QualityIssue::Flat => {
                true
            }
            QualityIssue::Blurred | QualityIssue::Turned | QualityIssue::PoseUnknown => false,
        }
    }
}
