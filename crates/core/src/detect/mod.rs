//! Face detection: Viola–Jones on integral images (Viola and Jones, CVPR 2001; Lienhart and Maydt,
//! ICIP 2002 for tilted features), returning exactly the rectangles of OpenCV's `detectMultiScale`.
//!
//! [`Cascade`] holds the trained classifier, [`Detector`] scans pictures with it. Everything here is
//! pure: no file, clock, thread or environment. `docs/design/detector.md` explains the rules and the speed.

mod cascade;
mod compact;
mod detector;
mod group;
mod integral;
mod pyramid;
mod scan;
mod search;
mod simd;
mod xml;

pub use cascade::{Cascade, CascadeError, Feature, Node, Stage, Tree, WeightedRect};
pub use detector::{Detector, Job, ParamsError, ScanParams, Sequential, Workers};
pub use search::{SearchKind, SearchParams, SearchParamsError, Searcher};
pub use simd::InstructionSet;
