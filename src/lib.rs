//! facelatch: a door controller that opens for the faces it knows.
//!
//! Data flows one way: camera → vision → decision → strike. Imports run downward only:
//!
//! | Layer | Modules |
//! |---|---|
//! | composition | [`cli`], [`daemon`], [`config`] |
//! | laboratory | the crate `facelatch_lab`: [`attempt`], [`evaluate`], [`demo`], [`draw`] |
//! | pipeline | the crate `facelatch_vision`: [`vision`], [`embed`]; networks: `facelatch_nn` |
//! | edges, one device each | the crate `facelatch_edges`: [`camera`], [`strike`], [`lines`], [`gpio`], [`store`], [`picture_file`]; the log: [`audit`] |
//! | core, pure | the crate `facelatch_core`: [`detect`], [`matching`], [`access`], [`liveness`], [`door`], [`picture`], [`time`] |
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
