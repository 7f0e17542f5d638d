//! The challenge: who is not clearly alive is asked to turn the head or to nod, and does it.
//!
//! What is asked follows from a seed and the number of challenges before, so that a replay asks the same.
//! How far the head has turned is measured by [`super::turn`] against the view of the face when it was asked;
//! done is a gesture when several frames have the head turned clearly to one side, and several later ones
//! have it back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cues::Cues;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gesture {
    /// The head to either side and back.
    Turn,
    /// Down or up, and back.
    Nod,
}

/// Which gestures may be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// [`Gesture::Turn`] only.
    #[default]
    Turn,
    /// [`Gesture::Nod`] only.
    Nod,
    /// Either, as the seed has it.
    Either,
}

/// The numbers of the challenge.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeRules {
    /// What may be asked for.
    pub asked: Asked,
    /// How long the person has for it.
    pub time: Duration,
    /// Settles what is asked for.
    pub seed: u64,
}

impl Default for ChallengeRules {
    fn default() -> Self {
        ChallengeRules { asked: Asked::default(), time: Duration::from_secs(6), seed: 0 }
    }
}

impl ChallengeRules {
    /// What the challenge with this number, from 0, asks for.
    pub fn gesture(&self, number: u64) -> Gesture {
        match self.asked {
            Asked::Turn => Gesture::Turn,
            Asked::Nod => Gesture::Nod,
            Asked::Either if mixed(self.seed, number) & 1 == 0 => Gesture::Turn,
            Asked::Either => Gesture::Nod,
        }
    }
}

/// A number that follows from both (the finaliser of SplitMix64: Steele, Lea and Flood, OOPSLA 2014).
fn mixed(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// From here on a head has turned or nodded ([`super::turn::Turned`]).
pub const MIN_TURN: f32 = 0.16;

/// Down to here it is back.
pub const MAX_RETURNED: f32 = 0.07;

/// The other of both motions is less than this share of the one that was asked for.
const MAX_CROSS_SHARE: f32 = 0.5;

/// The number of frames that must show it turned, and of later ones that must show it back.
const MIN_FRAMES: u32 = 3;

/// How much of a gesture was seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    gesture: Gesture,
    /// Frames with the head to one side and to the other.
    away: [u32; 2],
    /// Frames with the head back after that.
    back: u32,
}

impl Progress {
    /// Nothing seen yet.
    pub fn new(gesture: Gesture) -> Self {
        Progress { gesture, away: [0; 2], back: 0 }
    }

    /// What is waited for.
    pub fn gesture(&self) -> Gesture {
        self.gesture
    }

    /// Takes what was measured in a frame.
    pub fn take(&mut self, cues: &Cues) {
        let (Some(turn), Some(nod)) = (cues.turn, cues.nod) else { return };
        let (own, other) = match self.gesture {
            Gesture::Turn => (turn, nod),
            Gesture::Nod => (nod, turn),
        };
        if own.abs() >= MIN_TURN && other.abs() <= MAX_CROSS_SHARE * own.abs() {
            self.away[usize::from(own > 0.0)] += 1;
            self.back = 0;
        } else if own.abs() <= MAX_RETURNED && self.is_away() {
            self.back += 1;
        }
    }

    /// The head was turned.
    pub fn is_away(&self) -> bool {
        self.away.iter().any(|frames| *frames >= MIN_FRAMES)
    }

    /// The head was turned, and is back.
    pub fn is_done(&self) -> bool {
        self.is_away() && self.back >= MIN_FRAMES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(gesture: Gesture, turned: &[(f32, f32)]) -> bool {
        let mut progress = Progress::new(gesture);
        for (turn, nod) in turned {
            progress.take(&Cues { turn: Some(*turn), nod: Some(*nod), ..Cues::default() });
        }
        progress.is_done()
    }

    #[test]
    fn table() {
        let (still, left, right, down) = ((0.01, -0.02), (0.2, 0.03), (-0.2, 0.03), (0.02, 0.2));
        for (name, gesture, seen, expected) in [
            ("there and back", Gesture::Turn, &[still, left, left, left, still, still, still][..], true),
            ("to the other side", Gesture::Turn, &[right, right, right, still, still, still], true),
            ("not back", Gesture::Turn, &[left, left, left, left, left, still, still], false),
            (
                "a glitch",
                Gesture::Turn,
                &[still, left, still, still, still, left, still, still, still],
                false,
            ),
            (
                "to and fro is not a turn to one side",
                Gesture::Turn,
                &[left, right, left, right, still, still, still],
                false,
            ),
            ("nothing", Gesture::Turn, &[still; 20], false),
            ("a nod", Gesture::Nod, &[down, down, down, still, still, still], true),
            (
                "a nod where a turn is asked for",
                Gesture::Turn,
                &[down, down, down, still, still, still],
                false,
            ),
            (
                "a turn where a nod is asked for",
                Gesture::Nod,
                &[left, left, left, still, still, still],
                false,
            ),
            ("askew", Gesture::Turn, &[(0.2, 0.2), (0.2, 0.2), (0.2, 0.2), still, still, still], false),
            ("no number", Gesture::Turn, &[(f32::NAN, f32::NAN); 9], false),
        ] {
            assert_eq!(done(gesture, seen), expected, "{name}");
        }
    }

    #[test]
    fn what_is_asked_follows_from_the_seed() {
        let rules = |asked, seed| ChallengeRules { asked, seed, ..ChallengeRules::default() };
        let nods = |asked, seed| (0..64).filter(|n| rules(asked, seed).gesture(*n) == Gesture::Nod).count();
        assert_eq!([nods(Asked::Turn, 5), nods(Asked::Nod, 5)], [0, 64]);
        assert!((16..=48).contains(&nods(Asked::Either, 5)));
        let order = |seed| (0..64).map(move |n| rules(Asked::Either, seed).gesture(n));
        assert!(order(1).eq(order(1)) && order(1).ne(order(2)));
    }
}
