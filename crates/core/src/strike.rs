//! The strike's two states: the word that decision, edge and protocol share.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the strike does.
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StrikeState {
    /// The door is locked.
    #[default]
    Secured,
    /// The door can be opened.
    Released,
}

impl fmt::Display for StrikeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StrikeState::Secured => "secured",
            StrikeState::Released => "released",
        })
    }
}
