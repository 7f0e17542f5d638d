//! The strike's time energised, bounded by construction: a release cannot be made without its end.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::doorway::CONTACT_LAG;
use super::fault::Fault;
use crate::ids::SubjectId;
use crate::time::Timestamp;

/// Why the strike is released.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseReason {
    /// The 15-frame rule identified a subject.
    Identified {
        /// Who.
        subject: SubjectId,
        /// Mean similarity of the window.
        mean_similarity: f32,
    },
    /// Request to exit.
    Rex,
    /// An operator holds the door open.
    HoldOpen {
        /// For this long.
        time: Duration,
    },
}

impl ReleaseReason {
    /// The name of every cause.
    pub const NAMES: [&str; 3] = ["identified", "rex", "hold_open"];

    /// The name in figures.
    pub fn name(&self) -> &'static str {
        match self {
            ReleaseReason::Identified { .. } => Self::NAMES[0],
            ReleaseReason::Rex => Self::NAMES[1],
            ReleaseReason::HoldOpen { .. } => Self::NAMES[2],
        }
    }
}

/// Why the strike is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecureReason {
    /// The hold time, or the time of holding open, is over.
    TimeOver,
    /// The door was opened and closed.
    DoorClosed,
    /// An operator's command.
    Command,
    /// The audit log did not take the entry.
    NotRecorded,
    /// Something broke.
    Fault(Fault),
    /// The door's files do not match.
    RolledBack,
}

impl SecureReason {
    /// The name in logs, status and the audit log.
    pub fn name(self) -> &'static str {
        match self {
            SecureReason::TimeOver => "time_over",
            SecureReason::DoorClosed => "door_closed",
            SecureReason::Command => "command",
            SecureReason::NotRecorded => "not_recorded",
            SecureReason::Fault(_) => "fault",
            SecureReason::RolledBack => "rolled_back",
        }
    }
}

/// A release in progress.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Release {
    until: Timestamp,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// For one passage: over as soon as the door was opened and closed. `exit`: somebody inside asked
    /// for it, or asked while it lasted.
    Passage { opened: bool, exit: bool },
    /// Held open by an operator.
    Held,
}

impl Release {
    /// For one passage.
    pub fn passage(now: Timestamp, hold: Duration) -> Self {
        Release { until: now + hold, kind: Kind::Passage { opened: false, exit: false } }
    }

    /// Somebody inside asks to leave while it lasts.
    pub fn ask_exit(&mut self) {
        if let Kind::Passage { exit, .. } = &mut self.kind {
            *exit = true;
        }
    }

    /// True when somebody inside relies on it.
    pub fn is_exit(&self) -> bool {
        matches!(self.kind, Kind::Passage { exit: true, .. })
    }

    /// Held open.
    pub fn held(now: Timestamp, time: Duration) -> Self {
        Release { until: now + time, kind: Kind::Held }
    }

    /// Held open for at least this long; not at all before this release would have ended.
    pub fn extended(self, now: Timestamp, time: Duration) -> Self {
        Release { until: self.until.max(now + time), kind: Kind::Held }
    }

    pub fn is_held(&self) -> bool {
        self.kind == Kind::Held
    }

    /// When it ends.
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// The door moved; true when somebody has passed.
    pub fn door_moved(&mut self, open: bool) -> bool {
        match &mut self.kind {
            Kind::Passage { opened, .. } if open => {
                *opened = true;
                false
            }
            Kind::Passage { opened, .. } => *opened,
            Kind::Held => false,
        }
    }
}

/// The strike as it was last driven: released until a time, or secured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct StrikeTimer {
    release: Option<Release>,
    secured: Option<Timestamp>,
}

/// What securing the strike ended.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was secured already.
    Nothing,
    /// A passage.
    Passage,
    /// An operator's holding open.
    HoldOpen,
}

impl StrikeTimer {
    /// Takes up what was recorded.
    pub fn recorded(release: Option<Release>, secured: Option<Timestamp>) -> Self {
        StrikeTimer { release, secured }
    }

    pub fn release(&self) -> Option<Release> {
        self.release
    }

    /// When a release last ended.
    pub fn secured(&self) -> Option<Timestamp> {
        self.secured
    }

    pub fn is_released(&self) -> bool {
        self.release.is_some()
    }

    /// True while an operator holds the door open.
    pub fn is_held(&self) -> bool {
        self.release.is_some_and(|release| release.is_held())
    }

    /// True while a release is in progress that somebody inside asked for.
    pub fn is_exit(&self) -> bool {
        self.release.is_some_and(|release| release.is_exit())
    }

    /// When the release in progress ends.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.release.map(|release| release.until())
    }

    /// True when the release in progress should have ended.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.release.is_some_and(|release| now >= release.until())
    }

    /// Releases for one passage; false when a release is in progress. That is not prolonged: the time energised stays
    /// bounded by the hold time whatever comes in. `exit`: somebody inside asked for it.
    pub fn pass(&mut self, now: Timestamp, hold: Duration, exit: bool) -> bool {
        let begins = self.release.is_none();
        let release = self.release.get_or_insert(Release::passage(now, hold));
        if exit {
            release.ask_exit();
        }
        begins
    }

    /// Holds open for so long, whatever was before; for how long.
    pub fn hold_open(&mut self, now: Timestamp, time: Duration) -> Duration {
        self.release = Some(Release::held(now, time));
        time
    }

    /// Holds open for at least so long; for how long then, unless it is held open for longer as it is.
    pub fn unlock(&mut self, now: Timestamp, time: Duration) -> Option<Duration> {
        let before = self.release;
        let release = before.map_or_else(|| Release::held(now, time), |release| release.extended(now, time));
        self.release = Some(release);
        (self.release != before).then(|| release.until().since(now))
    }

    /// Secures; what that ended.
    pub fn secure(&mut self, now: Timestamp) -> Ended {
        let Some(release) = self.release.take() else { return Ended::Nothing };
        self.secured = Some(now);
        if release.is_held() { Ended::HoldOpen } else { Ended::Passage }
    }

    /// The door moved; true when somebody has passed.
    pub fn door_moved(&mut self, open: bool) -> bool {
        self.release.as_mut().is_some_and(|release| release.door_moved(open))
    }

    /// True when a door seen to open now may be opened: the strike is released, or was until just now.
    pub fn lets_open(&self, now: Timestamp) -> bool {
        self.is_released() || self.secured.is_some_and(|at| now.since(at) <= CONTACT_LAG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Timestamp = |s| Timestamp::from_millis(s * 1_000);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_release_is_not_prolonged_and_remembers_who_leaves() {
        let mut strike = StrikeTimer::default();
        assert!(strike.pass(S(1), 3 * SECOND, false));
        assert!(!strike.is_exit());
        assert!(!strike.pass(S(3), 3 * SECOND, true), "in progress");
        assert!(strike.is_exit() && strike.is_released() && !strike.is_held());
        assert!(!strike.pass(S(3), 3 * SECOND, false));
        assert!(strike.is_exit(), "somebody relies on it still");
        assert_eq!(strike.deadline(), Some(S(4)));
        assert_eq!([3, 4, 5].map(|s| strike.is_overdue(S(s))), [false, true, true]);
        assert_eq!([strike.secure(S(4)), strike.secure(S(5))], [Ended::Passage, Ended::Nothing]);
        assert_eq!((strike.secured(), strike.deadline(), strike.is_exit()), (Some(S(4)), None, false));
    }

    #[test]
    fn an_unlock_never_shortens_and_holding_open_does() {
        let mut strike = StrikeTimer::default();
        assert_eq!(strike.unlock(S(0), 5 * SECOND), Some(5 * SECOND));
        assert_eq!(strike.unlock(S(1), 4 * SECOND), None, "until then anyway");
        assert_eq!(strike.unlock(S(2), 4 * SECOND), Some(4 * SECOND));
        assert_eq!(strike.hold_open(S(2), SECOND), SECOND);
        assert_eq!((strike.deadline(), strike.is_held()), (Some(S(3)), true));
        assert_eq!(strike.secure(S(2)), Ended::HoldOpen);
        // A passage becomes a hold-open of at least its own time.
        assert!(strike.pass(S(10), 3 * SECOND, true));
        assert_eq!(strike.unlock(S(11), SECOND), Some(2 * SECOND));
        assert!(strike.is_held() && !strike.is_exit());
    }

    #[test]
    fn a_passage_ends_when_the_door_has_opened_and_closed() {
        let mut strike = StrikeTimer::default();
        assert!(!strike.door_moved(false));
        assert!(strike.pass(S(0), 3 * SECOND, false));
        assert_eq!(
            [false, true, true, false].map(|open| strike.door_moved(open)),
            [false, false, false, true]
        );
        let _ = strike.hold_open(S(1), SECOND);
        assert_eq!([true, false].map(|open| strike.door_moved(open)), [false, false]);
    }

    #[test]
    fn a_door_may_open_while_released_and_a_moment_after() {
        let mut strike = StrikeTimer::default();
        assert!(!strike.lets_open(S(0)));
        assert!(strike.pass(S(0), SECOND, false));
        assert!(strike.lets_open(S(0)));
        assert_eq!(strike.secure(S(1)), Ended::Passage);
        assert!(strike.lets_open(S(1) + CONTACT_LAG));
        assert!(!strike.lets_open(S(1) + CONTACT_LAG + Duration::from_nanos(1)));
    }
}
