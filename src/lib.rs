//! facelatch: a door controller that opens for the faces it knows.
//!
//! Data flows one way: camera → vision → decision → strike. Imports run downward only:
//!
//! | Layer | Modules |
//! |---|---|
//! | composition | [`cli`], [`daemon`], [`gateway`], [`config`] |
//! | edges, one device each | [`camera`], [`strike`], [`store`], [`audit`] |
//! | pipeline | [`vision`], [`embed`], [`draw`] |
//! | core, pure | [`detect`], [`matching`], [`access`], [`liveness`], [`picture`], [`time`] |
//!
//! The core knows no clock, file, thread, environment or device: time is an argument.
//! `docs/architecture.md` explains the whole to a newcomer.

pub mod access;
pub mod attempt;
pub mod audit;
pub mod camera;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod detect;
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
pub mod liveness;
pub mod matching;
pub mod notify;
pub mod picture;
pub mod picture_file;
pub mod private;
pub mod resample;
pub mod store;
pub mod strike;
pub mod time;
pub mod vision;
