//! The scan in vectors of 16-bit lanes, one lane a window.
//!
//! A row of windows passes the contrast gate and the first stage in blocks of adjacent windows. The
//! windows that are left go on in their block while it is well filled; then they are moved,
//! transposed, into blocks of survivors from anywhere in the level.
//!
//! Integral images wrap at 16 bits: a feature's value is exact as long as it fits itself, and the
//! few features that do not fit are put together from rectangles that do. Votes are summed in fixed
//! point; where the sum comes near the threshold the stage is done again as OpenCV does it.
//!
//! | Module | Holds |
//! |---|---|
//! | `level` | the scan of one level, compiled for each instruction set |
//! | `plan` | what is prepared for a cascade and a size of picture |
//! | `table`, `layout` | the cascade as tables, and where a corner lies in memory |
//! | `contrast` | where the picture has any contrast: what is not even reduced |
//! | `reduce`, `integral` | the level's pixels and their integral image |
//! | `contrast_gate` | which windows have enough contrast, and their normalisers |
//! | `stage`, `row`, `survivors` | one stage; adjacent windows; the scattered ones that are left |
//! | `workspace` | the memory that a scan works in |
//! | `isa` | the vectors, on each instruction set |
//!
//! All of it is `#[inline(always)]` into the functions of `level` that carry the `#[target_feature]`s.
//! `docs/design/detector.md` has the gain.

mod contrast;
mod contrast_gate;
mod integral;
mod isa;
mod layout;
mod level;
mod plan;
mod reduce;
mod row;
mod stage;
mod survivors;
mod table;
mod workspace;

pub(super) use level::{INSTRUCTION_SETS, scan};
pub(super) use plan::LanePlan;
pub(super) use table::suits;
pub(super) use workspace::Workspace;
