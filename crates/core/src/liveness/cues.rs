//! The figures of a frame.

use serde::{Deserialize, Serialize};

/// What was measured of a face in one frame; no biometric data. `None`: this frame says nothing of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cues {
    /// How far the face moved in some frames, in widths of the face.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub motion: Option<f32>,
    /// Motion that no homography explains, in widths of the face ([`super::planarity`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residual: Option<f32>,
    /// Whether the surroundings stand still (-1) or move with the face (1) ([`super::background`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub along: Option<f32>,
    /// The highest peak of the face's spectrum, decimal logarithm ([`super::moire`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<f32>,
    /// Logarithm of the odds that the face lives, by its patterns ([`super::lbp`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patterns: Option<f32>,
    /// The network's probability that the face is alive, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<f32>,
    /// During a challenge: how far the head has turned since it was asked to ([`super::turn`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<f32>,
    /// The same of a nod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nod: Option<f32>,
}
