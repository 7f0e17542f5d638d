//! `[strike]`

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Config;
use super::table::{Fault, section};
use crate::gpio::{Backend, LineAddress, Polarity};
use crate::strike::{LockType, StrikeSettings};

section! {
    /// The strike's line.
    [strike] StrikeConfig;

    /// What drives it: simulated, gpiocdev (any board) or rppal (Raspberry Pi).
    backend: Backend = Backend::default();
    /// A line's name, chip:offset (gpiochip0:17) or a BCM number ("17").
    line: Option<LineAddress> = None, example r#""RELAY""#;
    /// Level that energises the relay: active-high or active-low.
    polarity: Polarity = Polarity::default();
    /// Without power the lock is locked (fail-secure) or open (fail-safe).
    lock: LockType = LockType::default();
    /// File in which a simulated strike shows its state: secured or released.
    state_file: Option<PathBuf> = None, example r#""strike""#;
    /// On a kernel that keeps the line driven after a crash: warn, refuse (to start) or accept.
    persistent_outputs: PersistentOutputs = PersistentOutputs::default();
}

/// What to do on a kernel that keeps an output driven when its holder has died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PersistentOutputs {
    /// Start, and log a warning.
    #[default]
    Warn,
    /// Do not start.
    Refuse,
    /// Start without a warning.
    Accept,
}

impl StrikeConfig {
    pub(super) fn check_line(&self) -> Result<(), Fault> {
        if self.backend != Backend::Simulated && self.line.is_none() {
            let problem = "this backend needs a line";
            return Err(Fault { key: "strike.line", value: "(none)".into(), problem });
        }
        Ok(())
    }
}

impl Config {
    /// The strike's settings.
    pub fn strike_settings(&self) -> StrikeSettings {
        StrikeSettings {
            backend: self.strike.backend,
            line: self.strike.line.clone(),
            polarity: self.strike.polarity,
            lock: self.strike.lock,
            state_file: self.strike.state_file.clone(),
        }
    }
}
