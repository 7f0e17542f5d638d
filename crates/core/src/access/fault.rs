//! What breaks, what somebody should look after, and files that do not match.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The camera stopped delivering: everything seen so far is void.
    Camera,
    /// Detector or network failed.
    Vision,
    /// An input line cannot be read.
    Lines,
    /// The door's state could not be written: it is tried again.
    Store,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 4] = [Fault::Camera, Fault::Vision, Fault::Lines, Fault::Store];

    /// The name in logs, status and the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Camera => "camera",
            Fault::Vision => "vision",
            Fault::Lines => "lines",
            Fault::Store => "store",
        }
    }
}

/// What somebody should look after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alarm {
    /// The door opened although the strike was secured.
    ForcedOpen,
    /// The door stands open for too long.
    HeldOpen,
    /// Gallery, state or audit log is older than the others say: put back from a copy, or lost.
    RolledBack,
}

impl Alarm {
    /// Every alarm.
    pub const ALL: [Alarm; 3] = [Alarm::ForcedOpen, Alarm::HeldOpen, Alarm::RolledBack];

    /// The name in logs, status and the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Alarm::ForcedOpen => "forced_open",
            Alarm::HeldOpen => "held_open",
            Alarm::RolledBack => "rolled_back",
        }
    }
}

/// Which of the files that a door keeps are older than the others say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolledBack {
    /// The gallery.
    pub gallery: bool,
    /// The door's state.
    pub state: bool,
    /// The audit log.
    pub log: bool,
}

impl RolledBack {
    /// True when it is any of them.
    pub fn any(&self) -> bool {
        *self != RolledBack::default()
    }

    /// Those of both.
    #[must_use]
    pub fn and(self, other: RolledBack) -> Self {
        RolledBack {
            gallery: self.gallery || other.gallery,
            state: self.state || other.state,
            log: self.log || other.log,
        }
    }
}

impl fmt::Display for RolledBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [(self.gallery, "gallery"), (self.state, "state"), (self.log, "audit_log")];
        let names: Vec<&str> = named.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
        f.write_str(&names.join(","))
    }
}
