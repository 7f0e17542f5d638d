//! Approaches: who stays before the camera is let in once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::reason::DenyReason;
use crate::time::Timestamp;

/// The numbers of an approach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApproachRules {
    /// An approach ends when no face was seen for longer than this.
    pub gap: Duration,
    /// After this long a person who stays in the picture may be released again.
    pub cooldown: Duration,
}

/// The present approach: from a first face until the picture was empty for long enough.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Approach {
    rules: ApproachRules,
    last_face: Option<Timestamp>,
    spent: Option<Timestamp>,
    /// A picture of a face was shown, or a challenge not met: nothing opens in this approach.
    refused: Option<DenyReason>,
}

impl Approach {
    pub fn new(rules: ApproachRules) -> Self {
        Approach { rules, last_face: None, spent: None, refused: None }
    }

    /// There is a face, or several: after a long enough absence this begins a new approach.
    pub fn on_face(&mut self, now: Timestamp) {
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

    /// Nothing opens until the face has left.
    pub fn refuse(&mut self, why: DenyReason) {
        self.refused = Some(why);
    }

    /// Why nothing opens until the face has left.
    pub fn refused(&self) -> Option<DenyReason> {
        self.refused
    }

    pub fn is_spent(&self) -> bool {
        self.spent.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SubjectId;

    const RULES: ApproachRules =
        ApproachRules { gap: Duration::from_millis(1_500), cooldown: Duration::from_secs(30) };
    const PICTURE: DenyReason = DenyReason::Spoof { subject: SubjectId(1), evidence: -2.0 };

    fn ms(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    /// An approach that began at 0, has had its release at 1 s and was refused something then.
    fn spent() -> Approach {
        let mut approach = Approach::new(RULES);
        approach.on_face(ms(0));
        assert!(!approach.is_spent() && approach.refused().is_none());
        approach.spend(ms(1_000));
        approach.refuse(PICTURE);
        approach
    }

    #[test]
    fn an_absence_longer_than_the_gap_begins_another_approach() {
        for (back, left) in [(1_500, false), (1_501, true)] {
            let mut approach = spent();
            approach.on_face(ms(back));
            assert_eq!((approach.is_spent(), approach.refused().is_none()), (!left, left), "after {back} ms");
        }
    }

    #[test]
    fn the_cooldown_gives_another_release_but_no_picture_another_look() {
        for (until, cooled) in [(31_000, false), (31_500, true)] {
            let mut approach = spent();
            for at in (0..=until).step_by(500) {
                approach.on_face(ms(at));
            }
            assert_eq!((approach.is_spent(), approach.refused()), (!cooled, Some(PICTURE)), "to {until} ms");
        }
    }
}
