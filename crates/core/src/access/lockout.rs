//! Lockout: after some denied attempts no face opens for a while, each time for longer.
//!
//! Only the monotonic clock counts, so that nobody shortens a lockout by setting the wall clock. That
//! clock restarts at each boot: a lockout that is found after a reboot begins again in full.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The numbers of the lockout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockoutRules {
    /// Denied attempts in a row that lock the door for faces; 0 for never.
    pub attempts: u32,
    /// The first lockout. Each further denial doubles it.
    pub first: Duration,
    /// No lockout is longer.
    pub longest: Duration,
    /// After this long without a denial, denials are forgotten.
    pub forget: Duration,
    /// An unknown face that stays in the picture is another attempt after this long.
    pub again: Duration,
}

/// What of a lockout must outlive a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedLockout {
    /// Denied attempts in a row.
    pub denials: u32,
    /// The lockout in force.
    pub locked: Option<SavedLock>,
}

/// A lockout in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedLock {
    /// Its end, by the monotonic clock of the boot in which it was written.
    pub until: Timestamp,
    /// Its whole length, for another boot.
    pub time: Duration,
}

/// The state after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restored<T> {
    /// Nothing was ever saved.
    Fresh,
    /// The machine has run on: times of the monotonic clock still mean the same.
    SameBoot(T),
    /// The machine was rebooted.
    OtherBoot(T),
    /// Something was saved that cannot be read.
    Unreadable,
}

impl<T> Restored<T> {
    /// A part of what was saved.
    pub fn map<U>(self, part: impl FnOnce(T) -> U) -> Restored<U> {
        match self {
            Restored::Fresh => Restored::Fresh,
            Restored::SameBoot(saved) => Restored::SameBoot(part(saved)),
            Restored::OtherBoot(saved) => Restored::OtherBoot(part(saved)),
            Restored::Unreadable => Restored::Unreadable,
        }
    }
}

/// Denied attempts, and the lockout they earned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Lockout {
    rules: LockoutRules,
    saved: SavedLockout,
    /// When the denials are forgotten.
    forget: Option<Timestamp>,
}

impl Lockout {
    pub fn new(rules: LockoutRules) -> Self {
        Lockout { rules, saved: SavedLockout::default(), forget: None }
    }

    pub fn rules(&self) -> &LockoutRules {
        &self.rules
    }

    /// Takes up what was saved. Never shortens a lockout; what cannot be read counts as the longest.
    pub fn resume(&mut self, now: Timestamp, resume: Restored<SavedLockout>) {
        let lock = |time| SavedLock { until: now + time, time };
        self.saved = match resume {
            Restored::Fresh => SavedLockout::default(),
            Restored::SameBoot(saved) => saved,
            Restored::OtherBoot(SavedLockout { denials, locked }) => {
                SavedLockout { denials, locked: locked.map(|l| lock(l.time)) }
            }
            Restored::Unreadable if self.rules.attempts > 0 => {
                SavedLockout { denials: self.rules.attempts, locked: Some(lock(self.rules.longest)) }
            }
            Restored::Unreadable => SavedLockout::default(),
        };
        self.forget_later(now);
    }

    pub fn saved(&self) -> SavedLockout {
        self.saved
    }

    /// How long faces do not count yet.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        self.saved.locked.map(|lock| lock.until.since(now)).filter(|left| !left.is_zero())
    }

    /// The next time at which [`Lockout::expire`] has something to do.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.saved.locked.map(|lock| lock.until).or(self.forget)
    }

    /// True when a lockout has just ended.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let over = self.saved.locked.is_some_and(|lock| now >= lock.until);
        if over {
            self.saved.locked = None;
            self.forget_later(now);
        } else if self.saved.locked.is_none() && self.forget.is_some_and(|at| now >= at) {
            self.clear();
        }
        over
    }

    /// Counts a denied attempt; the length of the lockout that it begins, if it does.
    pub fn deny(&mut self, now: Timestamp) -> Option<Duration> {
        if self.rules.attempts == 0 || self.saved.locked.is_some() {
            return None;
        }
        self.saved.denials = self.saved.denials.saturating_add(1);
        self.forget_later(now);
        let doublings = self.saved.denials.checked_sub(self.rules.attempts)?;
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let time = self.rules.first.saturating_mul(factor).min(self.rules.longest);
        self.saved.locked = Some(SavedLock { until: now + time, time });
        Some(time)
    }

    /// A known person came, or an operator ended it.
    pub fn clear(&mut self) {
        self.saved = SavedLockout::default();
        self.forget = None;
    }

    fn forget_later(&mut self, now: Timestamp) {
        self.forget = (self.saved.denials > 0).then(|| now + self.rules.forget);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: LockoutRules = LockoutRules {
        attempts: 3,
        first: Duration::from_secs(30),
        longest: Duration::from_secs(100),
        forget: Duration::from_secs(3_600),
        again: Duration::from_secs(10),
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn locked() -> Lockout {
        let mut lockout = Lockout::new(RULES);
        let begun = [1, 2, 3].map(|s| lockout.deny(at(s)));
        assert_eq!(begun, [None, None, Some(RULES.first)]);
        lockout
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let mut lockout = locked();
        let mut now = 3;
        for (time, next) in [(30, Some(60)), (60, Some(100)), (100, Some(100))] {
            assert_eq!(lockout.left(at(now + time - 1)), Some(Duration::from_secs(1)));
            assert!(!lockout.expire(at(now + time - 1)));
            assert!(lockout.expire(at(now + time)));
            now += time;
            assert_eq!(lockout.left(at(now)), None);
            assert_eq!(lockout.deny(at(now)), next.map(Duration::from_secs));
        }
        for n in 0..100 {
            now += 100;
            assert!(lockout.expire(at(now)));
            assert_eq!(lockout.deny(at(now)), Some(RULES.longest), "denial {n}");
        }
    }

    #[test]
    fn denials_are_forgotten_in_time_and_not_while_locked() {
        let mut lockout = Lockout::new(RULES);
        assert_eq!(lockout.deny(at(0)), None);
        assert_eq!(lockout.deadline(), Some(at(3_600)));
        assert!(!lockout.expire(at(3_600)));
        assert_eq!(lockout.saved(), SavedLockout::default());
        let mut lockout = locked();
        assert_eq!(lockout.deadline(), Some(at(33)));
        assert!(lockout.expire(at(5_000)));
        assert_eq!((lockout.saved().denials, lockout.deadline()), (3, Some(at(8_600))));
    }

    #[test]
    fn a_restart_never_shortens() {
        let saved = locked().saved();
        let left = |now: u64, resume| {
            let mut lockout = Lockout::new(RULES);
            lockout.resume(at(now), resume);
            lockout.left(at(now)).map(|d| d.as_secs())
        };
        assert_eq!(left(13, Restored::SameBoot(saved)), Some(20));
        assert_eq!(left(33, Restored::SameBoot(saved)), None);
        assert_eq!(
            left(2, Restored::OtherBoot(saved)),
            Some(30),
            "in full: nobody knows how long it was off"
        );
        assert_eq!(left(2_000_000, Restored::OtherBoot(saved)), Some(30));
        assert_eq!(left(5, Restored::Unreadable), Some(100));
        assert_eq!(left(5, Restored::Fresh), None);
    }

    #[test]
    fn none_is_wanted() {
        let mut lockout = Lockout::new(LockoutRules { attempts: 0, ..RULES });
        assert!((0..100).all(|s| lockout.deny(at(s)).is_none()));
        lockout.resume(at(0), Restored::Unreadable);
        assert_eq!(lockout.left(at(0)), None);
    }
    #[test]
    fn denials_during_a_lockout_do_not_count() {
        let mut lockout = locked();
        let saved = lockout.saved();
        assert_eq!((lockout.deny(at(4)), lockout.saved()), (None, saved));
        lockout.clear();
        assert_eq!((lockout.saved(), lockout.deadline(), lockout.left(at(4))), Default::default());
    }

    #[test]
    fn a_restart_keeps_denials_and_forgets_them_in_time() {
        let saved = SavedLockout { denials: 2, locked: None };
        let mut lockout = Lockout::new(RULES);
        lockout.resume(at(10), Restored::OtherBoot(saved));
        assert_eq!(lockout.deadline(), Some(at(3_610)));
        assert!(!lockout.expire(at(3_609)));
        assert_eq!(lockout.saved(), saved);
        assert_eq!(lockout.deny(at(3_609)), Some(RULES.first), "the third");
        lockout.resume(at(0), Restored::Fresh);
        assert_eq!((lockout.saved(), lockout.deadline()), (SavedLockout::default(), None));
        let parts = [Restored::Fresh, Restored::SameBoot(1), Restored::OtherBoot(2), Restored::Unreadable];
        let doubled = [Restored::Fresh, Restored::SameBoot(2), Restored::OtherBoot(4), Restored::Unreadable];
        assert_eq!(parts.map(|part| part.map(|n| 2 * n)), doubled);
    }
}
