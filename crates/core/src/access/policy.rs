//! The policy: may this face come in? One ordered list of reasons against it, in [`Policy::decide`]. What a
//! challenge in progress denies is in `faces`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::mode::Mode;
use super::quality::QualityIssue;
use super::reason::DenyReason;
use super::release::ReleaseReason;
use super::schedule::{Admission, Civil, Timetable, UnsetClock};
use super::window::Verdict;
use crate::ids::SubjectId;
use crate::liveness::Liveness;

/// Tag of [`Permission::Granted`]: every bit differs from [`DENIED`].
const GRANTED: u32 = 0x5a69_c396;
/// Tag of [`Permission::Denied`].
const DENIED: u32 = !GRANTED;

/// Whether the strike may be released. Granted here and for request to exit alone; turned into a release
/// in one place, `Controller::apply_permission`.
///
/// The two tags differ in all bits: a bit that flips in memory does not turn a denial into a permission.
#[must_use]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Permission {
    Granted(ReleaseReason) = GRANTED,
    Denied(DenyReason) = DENIED,
}

/// What the policy makes of what is known.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Decision {
    /// Nobody is asked who they are while everybody may pass.
    Open,
    /// Nothing stands against looking at this face, or at more of it.
    Look,
    /// So it is.
    Settled(Permission),
    /// Doubt about liveness was settled by the second factor, given or not. One that was given is used up.
    BySecondFactor(Permission),
    /// The face would be let in if it were clearly alive: it is to be asked for a gesture.
    Challenge { subject: SubjectId, evidence: f32 },
}

/// What is known when somebody is in the picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub mode: Mode,
    /// How long no face opens yet.
    pub locked_out: Option<Duration>,
    /// What this approach was refused for, until the face has left.
    pub refused: Option<DenyReason>,
    /// This approach has had its release, or shall get none.
    pub is_spent: bool,
    /// This approach's release was not recorded in time.
    pub is_unrecorded: bool,
    pub civil: Civil,
    pub view: View,
}

/// What the camera sees.
#[derive(Clone, Copy, Debug)]
pub(super) enum View {
    SeveralFaces {
        count: u32,
    },
    /// One face that was not compared with anybody yet.
    Face,
    /// One face, and what its latest frames say.
    Known(Face),
}

/// What the latest frames say of a face.
#[derive(Clone, Copy, Debug)]
pub(super) struct Face {
    pub verdict: Verdict,
    /// A flaw of the picture that the person cannot help.
    pub flaw: Option<QualityIssue>,
    pub life: Life,
}

/// Whether an identified face is alive.
#[derive(Clone, Copy, Debug)]
pub(super) enum Life {
    /// That is not asked at this door, or the face has met its challenge.
    Settled,
    /// By its cues. What settles doubt, if they leave any?
    Judged(Liveness, Doubt),
}

/// What settles doubt about liveness.
#[derive(Clone, Copy, Debug)]
pub(super) enum Doubt {
    /// It denies.
    Denies,
    /// A gesture.
    Challenge,
    /// A second factor.
    SecondFactor {
        /// It was given just now.
        is_given: bool,
    },
}

impl Life {
    /// True when an administrator's face may authorise something: a picture of it, or doubt, may not.
    pub fn is_certain(&self) -> bool {
        matches!(self, Life::Settled | Life::Judged(Liveness::Live { .. }, _))
    }
}

/// What holds for everybody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Policy {
    pub timetable: Timetable,
    pub unset_clock: UnsetClock,
}

impl Policy {
    /// May whoever is in the picture come in? The first reason against it counts.
    pub fn decide(&self, facts: &Facts) -> Decision {
        let deny = |reason| Decision::Settled(Permission::Denied(reason));

        // 1. The door as a whole.
        if facts.mode == Mode::HoldOpen {
            return Decision::Open;
        }
        // 2. Whoever passes with somebody else is not let in.
        if let View::SeveralFaces { count } = facts.view {
            return deny(DenyReason::SeveralFaces { count });
        }
        // 3. An operator's word.
        if facts.mode != Mode::Normal {
            return deny(DenyReason::SecureMode);
        }
        // 4. Too many denied attempts.
        if let Some(left) = facts.locked_out {
            return deny(DenyReason::LockedOut { left });
        }
        // 5. A picture was shown, or a challenge not met, in this approach.
        if let Some(reason) = facts.refused {
            return deny(reason);
        }
        // 6. Identity.
        let View::Known(face) = facts.view else { return Decision::Look };
        let (subject, mean_similarity) = match (face.verdict, face.flaw) {
            (Verdict::Identified { subject, mean_similarity }, _) => (subject, mean_similarity),
            (Verdict::Undecided { .. }, _) => return Decision::Look,
            (Verdict::Unknown { best_mean: best_mean @ Some(_) }, Some(unusable)) => {
                return deny(DenyReason::PoorPicture { unusable, best_mean });
            }
            (Verdict::Unknown { best_mean }, _) => return deny(DenyReason::Unknown { best_mean }),
            (Verdict::Ambiguous { best, second }, _) => {
                let (subject, other, best_mean) = (best.subject, second.subject, best.similarity);
                return deny(DenyReason::Ambiguous { subject, other, best_mean });
            }
        };
        // 7. At this hour?
        match self.timetable.admits(subject, facts.civil, self.unset_clock) {
            Admission::Open => {}
            Admission::Closed => return deny(DenyReason::OutOfHours { subject }),
            Admission::ClockNotSet => return deny(DenyReason::ClockNotSet { subject }),
        }
        // 8. Once an approach.
        match (facts.is_spent, facts.is_unrecorded) {
            (false, _) => {}
            (true, true) => return deny(DenyReason::NotRecorded),
            (true, false) => return deny(DenyReason::AlreadyReleased { subject }),
        }
        // 9. A person, not a picture of one.
        let granted = Permission::Granted(ReleaseReason::Identified { subject, mean_similarity });
        match face.life {
            Life::Settled | Life::Judged(Liveness::Live { .. }, _) => Decision::Settled(granted),
            Life::Judged(Liveness::Spoof { evidence }, _) => deny(DenyReason::Spoof { subject, evidence }),
            Life::Judged(Liveness::NotSure { evidence }, doubt) => match doubt {
                Doubt::Denies => deny(DenyReason::NotSureAlive { subject, evidence }),
                Doubt::Challenge => Decision::Challenge { subject, evidence },
                Doubt::SecondFactor { is_given: true } => Decision::BySecondFactor(granted),
                Doubt::SecondFactor { is_given: false } => {
                    Decision::BySecondFactor(Permission::Denied(DenyReason::SecondFactor {
                        subject,
                        evidence,
                    }))
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::{CivilTime, Weekday};
    use super::*;
    use crate::ids::Score;

    const ADA: SubjectId = SubjectId(1);
    const GRANT: Decision = Decision::Settled(Permission::Granted(ReleaseReason::Identified {
        subject: ADA,
        mean_similarity: 0.5,
    }));

    fn policy() -> Policy {
        let office = vec!["mon-fri 08:00-18:00".parse().unwrap()].into();
        let timetable = Timetable { people: [(ADA, office)].into(), ..Timetable::default() };
        Policy { timetable, unset_clock: UnsetClock::Deny }
    }

    fn noon(weekday: Weekday) -> Civil {
        Civil::At(CivilTime { weekday, minute: 12 * 60 })
    }

    fn known(verdict: Verdict, flaw: Option<QualityIssue>, life: Life) -> View {
        View::Known(Face { verdict, flaw, life })
    }

    fn identified(subject: SubjectId, life: Life) -> View {
        known(Verdict::Identified { subject, mean_similarity: 0.5 }, None, life)
    }

    /// Ada in her hours, and nothing against her.
    fn welcome() -> Facts {
        Facts {
            mode: Mode::Normal,
            locked_out: None,
            refused: None,
            is_spent: false,
            is_unrecorded: false,
            civil: noon(Weekday::Monday),
            view: identified(ADA, Life::Settled),
        }
    }

    fn denied(reason: DenyReason) -> Decision {
        Decision::Settled(Permission::Denied(reason))
    }

    #[test]
    fn one_bit_does_not_turn_a_denial_into_a_permission() {
        assert_eq!((GRANTED ^ DENIED).count_ones(), 32);
        assert!((12..=20).contains(&GRANTED.count_ones()), "nor is it what memory is full of");
    }

    #[test]
    fn the_first_reason_counts() {
        let spoof = DenyReason::Spoof { subject: ADA, evidence: -2.0 };
        let left = Duration::from_secs(5);
        let picture = Life::Judged(Liveness::Spoof { evidence: -3.0 }, Doubt::Denies);
        // Everything that can be is against Ada; from line to line one thing less.
        let mut facts = Facts {
            mode: Mode::HoldOpen,
            locked_out: Some(left),
            refused: Some(spoof),
            is_spent: true,
            is_unrecorded: true,
            civil: noon(Weekday::Sunday),
            view: View::SeveralFaces { count: 2 },
        };
        let mut expect = |change: fn(&mut Facts), expected: Decision| {
            change(&mut facts);
            assert_eq!(policy().decide(&facts), expected, "{facts:?}");
        };
        expect(|_| {}, Decision::Open);
        expect(|facts| facts.mode = Mode::Secure, denied(DenyReason::SeveralFaces { count: 2 }));
        expect(|facts| facts.view = View::Face, denied(DenyReason::SecureMode));
        expect(|facts| facts.mode = Mode::Normal, denied(DenyReason::LockedOut { left }));
        expect(|facts| facts.locked_out = None, denied(spoof));
        expect(|facts| facts.refused = None, Decision::Look);
        let picture_of_ada = identified(ADA, picture);
        facts.view = picture_of_ada;
        let mut expect = |change: fn(&mut Facts), expected: Decision| {
            change(&mut facts);
            assert_eq!(policy().decide(&facts), expected, "{facts:?}");
        };
        expect(|_| {}, denied(DenyReason::OutOfHours { subject: ADA }));
        expect(|facts| facts.civil = Civil::Unset, denied(DenyReason::ClockNotSet { subject: ADA }));
        expect(|facts| facts.civil = noon(Weekday::Monday), denied(DenyReason::NotRecorded));
        expect(|facts| facts.is_unrecorded = false, denied(DenyReason::AlreadyReleased { subject: ADA }));
        expect(|facts| facts.is_spent = false, denied(DenyReason::Spoof { subject: ADA, evidence: -3.0 }));
        expect(|facts| facts.view = identified(ADA, Life::Settled), GRANT);
    }

    #[test]
    fn who_is_not_identified_is_denied_or_looked_at_further() {
        let score = |subject| Score { subject: SubjectId(subject), similarity: 0.6 };
        let (best_mean, dark) = (Some(0.2), Some(QualityIssue::TooDark));
        for (verdict, flaw, expected) in [
            (Verdict::Undecided { collected: 14 }, dark, Decision::Look),
            (Verdict::Unknown { best_mean }, None, denied(DenyReason::Unknown { best_mean })),
            (
                Verdict::Unknown { best_mean },
                dark,
                denied(DenyReason::PoorPicture { unusable: QualityIssue::TooDark, best_mean }),
            ),
            // There is nobody to be like, in whatever light.
            (Verdict::Unknown { best_mean: None }, dark, denied(DenyReason::Unknown { best_mean: None })),
            (
                Verdict::Ambiguous { best: score(1), second: score(2) },
                dark,
                denied(DenyReason::Ambiguous { subject: ADA, other: SubjectId(2), best_mean: 0.6 }),
            ),
            (Verdict::Identified { subject: ADA, mean_similarity: 0.5 }, dark, GRANT),
        ] {
            let facts = Facts { view: known(verdict, flaw, Life::Settled), ..welcome() };
            assert_eq!(policy().decide(&facts), expected, "{facts:?}");
        }
    }

    #[test]
    fn people_without_hours_of_their_own_need_no_clock() {
        let eve = SubjectId(2);
        let facts = Facts { civil: Civil::Unset, view: identified(eve, Life::Settled), ..welcome() };
        let cause = ReleaseReason::Identified { subject: eve, mean_similarity: 0.5 };
        assert_eq!(policy().decide(&facts), Decision::Settled(Permission::Granted(cause)));
    }

    #[test]
    fn doubt_opens_only_with_a_second_proof() {
        let (subject, evidence) = (ADA, 0.3);
        let doubt = |doubt| Life::Judged(Liveness::NotSure { evidence }, doubt);
        let live = Life::Judged(Liveness::Live { evidence }, Doubt::Denies);
        let Decision::Settled(granted) = GRANT else { unreachable!() };
        let missing = Permission::Denied(DenyReason::SecondFactor { subject, evidence });
        for (life, is_certain, expected) in [
            (live, true, GRANT),
            (Life::Settled, true, GRANT),
            (doubt(Doubt::Denies), false, denied(DenyReason::NotSureAlive { subject, evidence })),
            (doubt(Doubt::Challenge), false, Decision::Challenge { subject, evidence }),
            (doubt(Doubt::SecondFactor { is_given: true }), false, Decision::BySecondFactor(granted)),
            (doubt(Doubt::SecondFactor { is_given: false }), false, Decision::BySecondFactor(missing)),
        ] {
            assert_eq!(life.is_certain(), is_certain, "{life:?}");
            let facts = Facts { view: identified(ADA, life), ..welcome() };
            assert_eq!(policy().decide(&facts), expected, "{life:?}");
        }
    }
}
