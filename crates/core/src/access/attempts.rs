//! Denials: what is said of a face that is not let in, once, and which of them count towards a lockout.

use std::time::Duration;

use super::lockout::{Lockout, LockoutRules, Restored, SavedLockout};
use super::reason::DenyReason;
use crate::time::Timestamp;

/// The denied attempts and the lockout that they earn.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attempts {
    lockout: Lockout,
    last_denial: Option<Timestamp>,
}

/// What follows from a denial.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    /// It was said before, and is not another attempt yet.
    Repeated,
    /// It is to be said.
    Told,
    /// It is to be said, and was one attempt too many.
    LockedOut { denials: u32, time: Duration },
}

impl Attempts {
    pub fn new(rules: LockoutRules) -> Self {
        Attempts { lockout: Lockout::new(rules), last_denial: None }
    }

    /// Takes up what was recorded.
    pub fn recorded(lockout: Lockout, last_denial: Option<Timestamp>) -> Self {
        Attempts { lockout, last_denial }
    }

    pub fn lockout(&self) -> &Lockout {
        &self.lockout
    }

    pub fn last_denial(&self) -> Option<Timestamp> {
        self.last_denial
    }

    /// Takes up what was saved before a restart.
    pub fn resume(&mut self, now: Timestamp, resume: Restored<SavedLockout>) {
        self.lockout.resume(now, resume);
    }

    /// Somebody was let in, or an operator said so.
    pub fn clear(&mut self) {
        self.lockout.clear();
    }

    /// True when a lockout has just ended.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        self.lockout.expire(now)
    }

    /// A face is denied; `is_news` when something else was said last. An unknown face that stays is another
    /// attempt after a while.
    pub fn deny(&mut self, now: Timestamp, reason: &DenyReason, is_news: bool) -> Denial {
        let is_attempt = reason.is_an_attempt();
        let again = |last: Timestamp| now.since(last) >= self.lockout.rules().again;
        if !(is_news || is_attempt && self.last_denial.is_some_and(again)) {
            return Denial::Repeated;
        }
        if !is_attempt {
            return Denial::Told;
        }
        self.last_denial = Some(now);
        match self.lockout.deny(now) {
            Some(time) => Denial::LockedOut { denials: self.lockout.saved().denials, time },
            None => Denial::Told,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SubjectId;

    const RULES: LockoutRules = LockoutRules {
        attempts: 3,
        first: Duration::from_secs(30),
        longest: Duration::from_secs(900),
        forget: Duration::from_secs(3_600),
        again: Duration::from_secs(10),
    };
    const STRANGER: DenyReason = DenyReason::Unknown { best_mean: Some(0.1) };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn a_stranger_who_stays_is_told_again_and_counts_again() {
        let mut attempts = Attempts::new(RULES);
        let mut deny = |s, is_news| attempts.deny(at(s), &STRANGER, is_news);
        assert_eq!(
            [deny(0, true), deny(1, false), deny(9, false)],
            [Denial::Told, Denial::Repeated, Denial::Repeated]
        );
        assert_eq!([deny(10, false), deny(19, false)], [Denial::Told, Denial::Repeated]);
        let locked = Denial::LockedOut { denials: 3, time: Duration::from_secs(30) };
        assert_eq!(deny(20, false), locked);
        assert_eq!(attempts.lockout().left(at(49)), Some(Duration::from_secs(1)));
        assert_eq!([at(49), at(50)].map(|now| attempts.expire(now)), [false, true]);
        attempts.clear();
        assert_eq!(attempts.lockout().saved(), SavedLockout::default());
    }

    #[test]
    fn what_is_no_attempt_is_told_once_and_never_counts() {
        let mut attempts = Attempts::new(RULES);
        let again = DenyReason::AlreadyReleased { subject: SubjectId(1) };
        assert_eq!(attempts.deny(at(0), &again, true), Denial::Told);
        assert_eq!(attempts.deny(at(60), &again, false), Denial::Repeated);
        assert_eq!((attempts.last_denial(), attempts.lockout().saved().denials), (None, 0));
        // Nor does it put off the next attempt of a stranger.
        assert_eq!(attempts.deny(at(61), &STRANGER, true), Denial::Told);
        assert_eq!(attempts.deny(at(65), &again, true), Denial::Told);
        assert_eq!(attempts.last_denial(), Some(at(61)));
    }
}
