//! The strike's time energised, bounded by construction: a release cannot be made without its end.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A release under way.
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

    /// Held open for at least so long; not at all before this release would have ended.
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
