//! facelatch: a door controller that opens for the faces it knows.
//!
//! Data flows one way: camera → vision → decision → strike. Imports run downward only:
//!
//! | Layer | Modules |
//! |---|---|
//! | composition | [`cli`], [`daemon`], [`gateway`], [`config`] |
//! | edges, one device each | [`camera`], [`strike`], [`store`], [`audit`] |
//! | pipeline | [`vision`], [`embed`], [`draw`] |
//! | networks | the crate `facelatch_nn` |
//! | core, pure | the crate `facelatch_core`: [`detect`], [`matching`], [`access`], [`liveness`], [`picture`], [`time`] |
//!
//! The core has no clock, file, thread, environment or device: time is an argument.
//! `docs/design/architecture.md` explains the whole to a newcomer.

pub use facelatch_core::{access, detect, liveness, matching, picture, time};

pub mod attempt;
pub mod audit;
pub mod camera;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod door;
pub mod draw;
pub mod embed;
pub mod evaluate;
pub mod expiry;
pub mod face;
pub mod gateway;
pub mod gpio;
pub mod journal;
pub mod lines;
pub mod notify;
pub mod picture_file;
pub mod private;
pub mod resample;
pub mod store;
pub mod strike;
pub mod vision;
