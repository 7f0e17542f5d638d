//! The strike's two states: the word that decision, edge and protocol share.

use std::fmt;

use serde::{Deserialize, Serialize};

/// [`StrikeState::Released`]: every bit differs from the other's.
const RELEASED: u32 = 0x3c96_a569;

/// What the strike does.
///
/// The two values differ in all bits: a bit that flips in memory does not turn one into the other.
#[must_use]
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StrikeState {
    /// The door is locked.
    #[default]
    Secured = !RELEASED,
    /// The door can be opened.
    Released = RELEASED,
}

impl fmt::Display for StrikeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StrikeState::Secured => "secured",
            StrikeState::Released => "released",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_does_not_release() {
        let (released, secured) = (StrikeState::Released as u32, StrikeState::Secured as u32);
        assert_eq!((released ^ secured).count_ones(), 32);
        assert!((12..=20).contains(&released.count_ones()), "nor is it what memory is full of");
        assert_eq!(StrikeState::default(), StrikeState::Secured);
    }
}
