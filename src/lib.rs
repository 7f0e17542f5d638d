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

pub use facelatch_core::{
    access, detect, door, expiry, liveness, matching, observation, picture, resample, time,
};
pub use facelatch_edges::{camera, gpio, lines, picture_file, store, strike};
pub use facelatch_host::{clock, disk, journal, lock, notify, private};
pub use facelatch_lab::{attempt, demo, draw, evaluate};
pub use facelatch_vision::embed;
pub use {facelatch_audit as audit, facelatch_protocol as protocol, facelatch_vision as vision};

pub mod cli;
pub mod config;
pub mod daemon;
pub mod face;
