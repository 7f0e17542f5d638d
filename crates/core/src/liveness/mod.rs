//! Liveness: is it a face before the camera, or a picture of one?
//!
//! Five cues, each in a file with its formula, its source and its tests, and each blind to something:
//!
//! | Cue | Name in files | Field of [`Cues`] | Looks at | Says nothing about |
//! |---|---|---|---|---|
//! | [`planarity`] | planar | `motion`, `residual` | motion that no flat thing makes | what does not move |
//! | [`background`] | surroundings | `along` | whether what is around the face moves with it | a tight cut-out, bare walls |
//! | [`moire`] | texture | `peak` | rasters of print and screen | prints finer than the camera sees |
//! | [`lbp`] | patterns | `patterns` | the finest structure of the face, as learned from prints and skin | faces too small or too blurred to show any |
//! | network | network | `network` | borders, paper, tones: what a small network was taught (`facelatch_vision::embed::liveness`) | what it was not taught |
//!
//! What they and the rest build on:
//!
//! | Module | Holds |
//! |---|---|
//! | [`reduced`] | the reduced picture on which motion is measured |
//! | [`align`] | how a flat thing moved between two pictures |
//! | [`turn`] | whether the head turned or nodded (`turn` and `nod` of [`Cues`]) |
//! | [`challenge`] | what is asked of a face that is not clearly alive, and whether it did it |
//!
//! [`Watch`] follows the face and measures all but the last ([`Cues`]); [`fusion`] judges the frames of the
//! 15-frame rule and some before them. What was measured travels with the sighting, so that a recording replays to the same
//! verdicts, also under other rules. What this stops and what it does not is in `docs/design/liveness.md`.

pub mod align;
pub mod background;
pub mod challenge;
mod cues;
pub mod fusion;
pub mod lbp;
pub mod moire;
pub mod planarity;
pub mod reduced;
pub mod turn;
mod watch;

pub use challenge::{Asked, ChallengeRules, Gesture};
pub use cues::Cues;
pub use fusion::{Cue, CueSet, Evidence, Liveness, LivenessRules, Unsure};
pub use watch::Watch;
