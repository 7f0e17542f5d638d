//! Numbers for people and faces, and how much a face is like a person: what every other part speaks of.

use std::fmt;

use serde::{Deserialize, Serialize};

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
    #[serde(deserialize_with = "number_or_none")]
    pub similarity: f32,
}

/// The subjects of a large gallery that are not listed with a score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Others {
    /// How many.
    pub count: u32,
    /// None of them is more like the probe than this.
    #[serde(deserialize_with = "number_or_none")]
    pub at_most: f32,
}

/// How much a probe is like the subjects of the gallery.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Likeness {
    /// Its similarity to each subject, or in a large gallery to those most like it; in any order, a subject
    /// once.
    pub scores: Vec<Score>,
    /// The rest of a large gallery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<Others>,
}

impl Likeness {
    /// How many subjects it says something of.
    pub fn subjects(&self) -> usize {
        self.scores.len() + self.others.map_or(0, |others| others.count as usize)
    }
}

impl From<Vec<Score>> for Likeness {
    fn from(scores: Vec<Score>) -> Self {
        Likeness { scores, others: None }
    }
}

/// JSON cannot express NaN; it is written as null.
fn number_or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    Ok(Option::<f32>::deserialize(deserializer)?.unwrap_or(f32::NAN))
}
