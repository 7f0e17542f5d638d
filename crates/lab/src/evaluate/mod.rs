//! How well a network tells people apart: pairs, metrics, intervals, and pictures of them.
//!
//! * [`pairs`]: which pictures are compared.
//! * [`metrics`]: what the scores of many pairs say.
//! * [`intervals`]: confidence intervals for shares.
//! * [`calibration`]: what trials of known people say about a door, and what they are too few to say.
//! * [`report`]: curves, histogram and the worst pairs, as pictures.

pub mod calibration;
pub mod intervals;
pub mod metrics;
pub mod pairs;
pub mod report;

pub use metrics::{EvaluationReport, PairScore};
pub use pairs::{Pair, PairSet, PairsError};
