//! `[lockout]`

use std::time::Duration;

use super::table::{Fault, section};
use crate::access::LockoutRules;

section! {
    /// When denied attempts lock faces out. Unknown faces, faces that match two people, pictures and failed
    /// challenges count; darkness, faults and several faces at once do not. Each window of a newly tracked face
    /// is an attempt: a stranger who moves makes about one every 2 s.
    [lockout] LockoutConfig;

    /// Denied attempts in a row that lock faces out; 0 for never.
    attempts: u32 = 10, range 0 to 100;
    /// The first lockout; each further denial doubles it.
    first_s: u64 = 30, range 1 to 3_600 s;
    /// The longest lockout.
    longest_s: u64 = 900, range 1 to 86_400 s;
    /// Forget the denials after this long without another one.
    reset_after_s: u64 = 3_600, range 60 to 604_800 s, old forget_s;
    /// An unknown face that stays counts as another attempt after this long.
    reattempt_after_ms: u64 = 10_000, range 1_000 to 600_000 ms, old again_ms;
}

impl LockoutConfig {
    pub(super) fn check_lengths(&self) -> Result<(), Fault> {
        if self.longest_s < self.first_s {
            let problem = "must be at least lockout.first_s";
            return Err(Fault::new("lockout.longest_s", self.longest_s, problem));
        }
        Ok(())
    }

    pub(super) fn rules(&self) -> LockoutRules {
        LockoutRules {
            attempts: self.attempts,
            first: Duration::from_secs(self.first_s),
            longest: Duration::from_secs(self.longest_s),
            forget: Duration::from_secs(self.reset_after_s),
            again: Duration::from_millis(self.reattempt_after_ms),
        }
    }
}
