//! The strike: the one output that opens the door.
//!
//! | Kind | Drives |
//! |---|---|
//! | [`Simulated`] | nothing; its transitions can be read by tests and `facelatch attempt` |
//! | `gpiocdev` | a line of the kernel's GPIO character device |
//! | `rppal` | a Raspberry Pi's pin by BCM number |
//!
//! Fail-secure: opening a strike secures it, dropping it secures it, and a failed
//! [`Strike::set`] leaves the caller with an error that must end in [`StrikeState::Secured`].
//! Which electrical level that is follows from [`StrikeSettings`] and is worked out once, in
//! [`StrikeSettings::level`].

mod simulated;

#[cfg(feature = "gpiocdev")]
pub mod gpiocdev;
#[cfg(feature = "rppal")]
pub mod rppal;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::simulated::{Simulated, Transition, Transitions};
use crate::gpio::{Backend, LineAddress, Polarity};
pub use facelatch_core::strike::StrikeState;

/// A door strike.
pub trait Strike: Send {
    /// Brings the strike into `state`; the same state twice is fine.
    ///
    /// # Errors
    /// When the line cannot be driven. The strike's state is then unknown: the caller tries to
    /// secure it and, failing that, ends the process so that its supervisor does.
    fn set(&mut self, state: StrikeState) -> Result<(), StrikeError>;

    /// What is driven, for people: `gpiocdev line RELAY (/dev/gpiochip0:4)`.
    fn describe(&self) -> String;
}

/// What the lock does without power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LockType {
    /// Locked without power: the line is active while the strike is released.
    #[default]
    FailSecure,
    /// Open without power (a magnetic lock): the line is active while the strike is secured.
    FailSafe,
}

/// Where the strike is and how it is wired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StrikeSettings {
    /// What drives it.
    pub backend: Backend,
    /// The line; needed by every backend but [`Backend::Simulated`].
    pub line: Option<LineAddress>,
    /// Which level energises the relay.
    pub polarity: Polarity,
    /// What the lock does without power.
    pub lock: LockType,
    /// Where a simulated strike shows its state.
    pub state_file: Option<PathBuf>,
}

/// Electrical level of an output.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Ground.
    Low,
    /// Supply.
    High,
}

impl StrikeSettings {
    /// True when both name the same line, whatever its levels mean to each.
    pub fn is_same_line(&self, other: &StrikeSettings) -> bool {
        let line = |s: &StrikeSettings| (s.backend, s.line.clone(), s.state_file.clone());
        line(self) == line(other)
    }

    /// The level that puts the line into `state`: the one place where polarity and lock type count.
    pub fn level(&self, state: StrikeState) -> Level {
        let energised = match self.lock {
            LockType::FailSecure => state == StrikeState::Released,
            LockType::FailSafe => state == StrikeState::Secured,
        };
        match (energised, self.polarity) {
            (true, Polarity::ActiveHigh) | (false, Polarity::ActiveLow) => Level::High,
            (true, Polarity::ActiveLow) | (false, Polarity::ActiveHigh) => Level::Low,
        }
    }
}

/// Opens the strike that `settings` name, secured.
///
/// # Errors
/// See [`StrikeError`].
pub fn open(settings: &StrikeSettings) -> Result<Box<dyn Strike>, StrikeError> {
    match settings.backend {
        Backend::Simulated => Ok(Box::new(match &settings.state_file {
            Some(path) => Simulated::shown_in(path)?,
            None => Simulated::new(),
        })),
        #[cfg(feature = "gpiocdev")]
        Backend::Gpiocdev => Ok(Box::new(gpiocdev::Gpiocdev::open(settings)?)),
        #[cfg(feature = "rppal")]
        Backend::Rppal => Ok(Box::new(rppal::Rppal::open(settings)?)),
        #[allow(unreachable_patterns)]
        missing => Err(StrikeError::NotBuilt { backend: missing }),
    }
}

/// Why a strike cannot be opened or driven.
#[derive(Debug, thiserror::Error)]
pub enum StrikeError {
    /// The settings name no line.
    #[error("the {backend} strike needs a line: set strike.line")]
    NoLine {
        /// The backend asked for.
        backend: Backend,
    },
    /// The settings name a line in a form that the backend does not know.
    #[error("strike line {line}: the {backend} strike takes {takes}")]
    WrongAddress {
        /// The backend asked for.
        backend: Backend,
        /// The line as configured.
        line: LineAddress,
        /// What it takes.
        takes: &'static str,
    },
    /// The line cannot be found or taken.
    #[error("strike line {line}: {why}")]
    Open {
        /// The line as configured.
        line: LineAddress,
        /// What is wrong and what to do.
        why: String,
    },
    /// The line was taken but cannot be set.
    #[error("strike line {line} cannot be set to {state}: {why}")]
    Set {
        /// The line as configured.
        line: LineAddress,
        /// The state asked for.
        state: StrikeState,
        /// The kernel's error.
        why: String,
    },
    /// The simulated strike cannot show its state.
    #[error("strike state {path}: cannot be written: {why}; name a writable file in strike.state_file")]
    StateFile {
        /// The file.
        path: PathBuf,
        /// The system's error.
        why: String,
    },
    /// This program was built without the backend.
    #[error("this facelatch was built without the {backend} strike: build it with --features {backend}")]
    NotBuilt {
        /// The backend asked for.
        backend: Backend,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_not_there_are_named() {
        for (backend, line, expected) in [
            (Backend::Gpiocdev, None, "set strike.line"),
            (Backend::Rppal, None, "set strike.line"),
            (Backend::Gpiocdev, Some("NO-SUCH-LINE"), "strike line NO-SUCH-LINE: "),
            (Backend::Gpiocdev, Some("no-chip:3"), "strike line no-chip:3: "),
            (Backend::Gpiocdev, Some("17"), "BCM number, for the rppal kind"),
            (Backend::Rppal, Some("RELAY"), "takes a BCM number"),
        ] {
            let line = line.map(|l| l.parse().unwrap());
            let settings = StrikeSettings { backend, line, ..Default::default() };
            let message = open(&settings).err().expect("no such line").to_string();
            assert!(message.contains(expected) && !message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn level_table() {
        use {Level::*, LockType::*, Polarity::*, StrikeState::*};
        for (polarity, lock, secured, released) in [
            (ActiveHigh, FailSecure, Low, High),
            (ActiveLow, FailSecure, High, Low),
            (ActiveHigh, FailSafe, High, Low),
            (ActiveLow, FailSafe, Low, High),
        ] {
            let settings = StrikeSettings { polarity, lock, ..Default::default() };
            assert_eq!(settings.level(Secured), secured, "{settings:?}");
            assert_eq!(settings.level(Released), released, "{settings:?}");
        }
    }
}
