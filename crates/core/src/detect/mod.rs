//! Face detection: Viola–Jones on integral images (Viola and Jones, CVPR 2001; Lienhart and Maydt,
//! ICIP 2002 for tilted features), returning exactly the rectangles of OpenCV's `detectMultiScale`.
//!
//! [`Cascade`] holds the trained classifier, [`Detector`] scans pictures with it. Everything here is
//! pure: no file, clock, thread or environment. `docs/design/detector.md` explains the rules and the speed.

mod cascade;
mod detector;
mod group;
mod integral;
mod params;
mod portable;
mod pyramid;
mod search;
mod simd;

pub use cascade::{Cascade, CascadeError, Feature, Node, Stage, Tree, WeightedRect};
pub use detector::{Detector, Job, Sequential, Workers};
pub use facelatch_simd::InstructionSet;
pub use params::{ParamsError, ScanParams};
pub use search::{SearchKind, SearchParams, SearchParamsError, Searcher};
