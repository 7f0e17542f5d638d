//! Liveness: is it a face before the camera, or a picture of one?
//!
//! Five cues, each in a file with its formula, its source and its tests, and each blind to something:
//!
//! | Cue | Looks at | Says nothing about |
//! |---|---|---|
//! | [`planar`] | motion that no flat thing makes | what does not move |
//! | [`surroundings`] | whether what is around the face moves with it | a tight cut-out, bare walls |
//! | [`texture`] | rasters of print and screen | prints finer than the camera sees |
//! | [`patterns`] | the finest structure of the face, as learned from prints and skin | faces too small or too blurred to show any |
//! | network | borders, paper, tones: what a small network was taught (`facelatch_vision::embed::liveness`) | what it was not taught |
//!
//! [`Watch`] follows the face and measures all but the last ([`Cues`]); [`fusion`] judges the frames of the
//! 15-frame rule and some before them. What was measured travels with the sighting, so that a recording replays to the same
//! verdicts, also under other rules. What this stops and what it does not is in `docs/design/liveness.md`.

pub mod align;
pub mod challenge;
pub mod fusion;
pub mod patterns;
pub mod planar;
pub mod reduced;
pub mod surroundings;
pub mod texture;
pub mod turn;
mod watch;

use serde::{Deserialize, Serialize};

pub use challenge::{Asked, ChallengeRules, Gesture};
pub use fusion::{Cue, CueSet, Evidence, Liveness, LivenessRules, Unsure};
pub use watch::Watch;

/// What was measured of a face in one frame; no biometric data. `None`: this frame says nothing of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cues {
    /// How far the face moved in some frames, in widths of the face.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub motion: Option<f32>,
    /// Motion that no homography explains, in widths of the face ([`planar`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residual: Option<f32>,
    /// Whether the surroundings stand still (-1) or move with the face (1) ([`surroundings`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub along: Option<f32>,
    /// The highest peak of the face's spectrum, decimal logarithm ([`texture`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<f32>,
    /// Logarithm of the odds that the face lives, by its patterns ([`patterns`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patterns: Option<f32>,
    /// The network's probability that the face is alive, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<f32>,
    /// While a challenge goes on: how far the head has turned since it was asked to ([`turn`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<f32>,
    /// The same of a nod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nod: Option<f32>,
}
