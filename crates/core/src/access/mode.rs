//! The mode that the door is in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fault::RolledBack;

/// What an operator may ask of the door as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModeCommand {
    /// Faces and request to exit open.
    Normal,
    /// No face opens, over restarts, until the normal mode is asked for. Request to exit still opens, and the
    /// strike can be held open.
    Secure,
    /// The strike stays released for this long, at most [`super::AccessRules::max_hold_open`]; then the mode is
    /// what it was.
    HoldOpen {
        /// How long.
        time: Duration,
    },
    /// The strike is released for at least this long, as by [`ModeCommand::HoldOpen`]; a release in progress that ends
    /// later ends when it would have. So a moment's unlock by another system does not cut short what an operator
    /// holds open, or what somebody leaves by.
    Unlock {
        /// At least how long.
        time: Duration,
    },
}

/// The mode that the door is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Faces and request to exit open.
    #[default]
    Normal,
    /// No face opens.
    Secure,
    /// The strike is released until a time.
    HoldOpen,
}

impl Mode {
    /// The name in logs, status and the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Normal => "normal",
            Mode::Secure => "secure",
            Mode::HoldOpen => "hold_open",
        }
    }
}

/// What keeps faces out until an operator ends it. Outlives a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Restriction {
    secure_mode: bool,
    rolled_back: RolledBack,
}

impl Restriction {
    /// Takes up what was recorded or saved.
    pub fn resumed(secure_mode: bool, rolled_back: RolledBack) -> Self {
        Restriction { secure_mode, rolled_back }
    }

    pub fn secure_mode(&self) -> bool {
        self.secure_mode
    }

    pub fn rolled_back(&self) -> RolledBack {
        self.rolled_back
    }

    /// The mode, given whether the strike is held open.
    pub fn mode(&self, is_held: bool) -> Mode {
        match (is_held, self.secure_mode) {
            (true, _) => Mode::HoldOpen,
            (false, true) => Mode::Secure,
            (false, false) => Mode::Normal,
        }
    }

    /// The operator's secure mode.
    pub fn secure(&mut self) {
        self.secure_mode = true;
    }

    /// The operator's normal mode. It does not accept files that were put back: that takes a word of its own.
    pub fn normal(&mut self) {
        self.secure_mode = self.rolled_back.any();
    }

    /// Files were found put back; true when that was not known of all of them.
    pub fn roll_back(&mut self, what: RolledBack) -> bool {
        let before = self.rolled_back;
        self.rolled_back = before.and(what);
        self.secure_mode = true;
        self.rolled_back != before
    }

    /// An operator accepts the files as they are; false when nothing was wrong with them.
    pub fn accept_rollback(&mut self) -> bool {
        let any = self.rolled_back.any();
        if any {
            *self = Restriction::default();
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_mode_does_not_accept_files_that_were_put_back() {
        let gallery = RolledBack { gallery: true, ..RolledBack::default() };
        let mut restriction = Restriction::default();
        assert_eq!([false, true].map(|held| restriction.mode(held)), [Mode::Normal, Mode::HoldOpen]);
        restriction.secure();
        assert_eq!([false, true].map(|held| restriction.mode(held)), [Mode::Secure, Mode::HoldOpen]);
        restriction.normal();
        assert_eq!(restriction.mode(false), Mode::Normal);
        assert!(!restriction.accept_rollback());
        assert_eq!([gallery, gallery].map(|what| restriction.roll_back(what)), [true, false]);
        assert!(restriction.roll_back(RolledBack { log: true, ..RolledBack::default() }), "more of them");
        restriction.normal();
        assert_eq!(restriction.mode(false), Mode::Secure);
        assert!(restriction.accept_rollback());
        assert_eq!(restriction, Restriction::default());
    }
}
