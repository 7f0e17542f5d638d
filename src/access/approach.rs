//! Approaches: who stays before the camera is let in once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::SubjectId;
use crate::time::Timestamp;

/// The numbers of an approach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApproachRules {
    /// An approach ends when no face was seen for longer than this.
    pub gap: Duration,
    /// After so long a person who stays in the picture may be released again.
    pub cooldown: Duration,
}

/// The present approach: from a first face until the picture was empty for long enough.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Approach {
    rules: ApproachRules,
    last_face: Option<Timestamp>,
    spent: Option<Timestamp>,
    /// A picture of a face was shown: whose, and how sure that is. Nothing opens in this approach.
    refused: Option<(SubjectId, f32)>,
}

impl Approach {
    pub fn new(rules: ApproachRules) -> Self {
        Approach { rules, last_face: None, spent: None, refused: None }
    }

    /// There is a face, or several: after a long enough absence this begins a new approach.
    pub fn face(&mut self, now: Timestamp) {
        let left = self.last_face.is_none_or(|last| now.since(last) > self.rules.gap);
        let cooled = self.spent.is_some_and(|at| now.since(at) > self.rules.cooldown);
        if left || cooled {
            self.spent = None;
        }
        // Time alone does not turn a picture into a person.
        if left {
            self.refused = None;
        }
        self.last_face = Some(now);
    }

    /// The approach has had its release, or shall get none.
    pub fn spend(&mut self, now: Timestamp) {
        self.spent = Some(now);
    }

    /// A picture was shown: nothing opens until it has left.
    pub fn refuse(&mut self, subject: SubjectId, evidence: f32) {
        self.refused = Some((subject, evidence));
    }

    /// Whose picture was shown, and the evidence.
    pub fn refused(&self) -> Option<(SubjectId, f32)> {
        self.refused
    }

    pub fn is_spent(&self) -> bool {
        self.spent.is_some()
    }
}
