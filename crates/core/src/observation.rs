//! What vision says of a frame: the word that vision and the door share.

use crate::access::Sighting;
use crate::matching::Embedding;
use crate::picture::Rect;

/// What was seen in a frame, with what the decision must not get.
#[derive(Clone, Debug)]
pub struct Observation {
    /// For the controller.
    pub sighting: Sighting,
    /// Every box found, for people to look at.
    pub faces: Vec<Rect>,
    /// The embedding of the only face, for enrolment.
    pub embedding: Option<Embedding>,
}

/// What a frame is looked at for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Who it is.
    #[default]
    Identify,
    /// That, and whether the face is fit for enrolment: its pose is judged too.
    Enrol,
    /// Who it is, and whether the head turns or nods as it was asked to.
    Challenge,
}
