//! When the daemon looks for people whose time is over, and by which clock.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::access::{Civil, SubjectId};
use crate::clock::{self, WallClock};
use crate::door::WallTime;
use crate::expiry::{Expiry, Look};
use crate::matching::Gallery;
use crate::time::Timestamp;

/// Expiry dates are checked this often; a change of the gallery takes one person at a time.
const EVERY: Duration = Duration::from_secs(10);
/// For how long the clock has said that somebody's time is over is noted for a restart so often.
const NOTE_EVERY: Duration = Duration::from_secs(3_600);

/// Whose time is over, and what is known of the clock.
pub(super) struct ExpiryWatch {
    wall: WallClock,
    expiry: Expiry,
    /// When to look again.
    next: Timestamp,
    /// When that was noted last, and of how many people.
    noted: (Timestamp, usize),
}

impl ExpiryWatch {
    pub(super) fn new(wall: WallClock, expiry: Expiry) -> Self {
        ExpiryWatch { wall, expiry, next: Timestamp::ZERO, noted: (Timestamp::ZERO, 0) }
    }

    /// What the wall clock says.
    pub(super) fn wall_time(&self) -> WallTime {
        let unix = clock::unix();
        WallTime { unix, civil: self.wall.civil(unix) }
    }

    /// The newest entry of the audit log is of this time, in seconds since 1970.
    pub(super) fn log_says(&mut self, now: Timestamp, unix: u64) {
        self.expiry.log_says(now, unix);
        self.next = now;
    }

    /// True when it is time to look.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.next <= now
    }

    /// Whose time is over.
    pub(super) fn look(&mut self, now: Timestamp, gallery: &Gallery) -> Look {
        self.next = now + EVERY;
        let wall = self.wall_time();
        // A clock that is not set says nothing.
        let clock = (wall.civil != Civil::Unset).then_some(wall.unix);
        self.expiry.look(now, clock, gallery)
    }

    /// True while the clock is under suspicion: nobody is erased by it.
    pub(super) fn is_suspect(&self) -> bool {
        self.expiry.is_suspect()
    }

    /// What is to be noted for a restart, when that is due.
    pub(super) fn due_note(&mut self, now: Timestamp) -> Option<BTreeMap<SubjectId, (u64, u64)>> {
        let noted = self.expiry.noted();
        let (last, people) = self.noted;
        let due = noted.len() != people || (people > 0 && now.since(last) >= NOTE_EVERY);
        due.then(|| {
            self.noted = (now, noted.len());
            noted
        })
    }
}
