//! How well a network tells people apart: pairs, metrics, intervals, and pictures of them.

pub mod calibration;
pub mod intervals;
pub mod metrics;
pub mod pairs;
pub mod report;

pub use metrics::{Report, Score};
pub use pairs::{Pair, PairSet, PairsError};
