//! What facelatch decides with, and nothing else.
//!
//! | Module | Holds |
//! |---|---|
//! | [`ids`] | numbers for people and faces, and how much a face is like a person |
//! | [`picture`] | gray pictures and rectangles |
//! | [`time`] | a point in time, given by whoever has a clock |
//! | [`detect`] | the integral-image Haar cascade |
//! | [`matching`] | embeddings, templates, the gallery and comparing with it |
//! | [`liveness`] | the cues that tell a face from a picture of one |
//! | [`access`] | the decision: events in, actions out |
//! | [`door`] | controller, gallery and enrolment put together; [`expiry`]: whose time is over |
//! | [`observation`], [`capture`], [`strike`] | words that the door shares with vision, camera and strike |
//! | [`resample`] | pictures of another size |
//!
//! This crate has no clock, file, thread, environment, process or device: time is an argument, and a
//! recorded run replays to identical decisions. `clippy.toml` beside its manifest lists what it must not
//! name, whatever the path or alias, and the lints below cannot be allowed again further down.

#![forbid(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros)]

pub mod access;
pub mod capture;
pub mod detect;
pub mod door;
pub mod expiry;
pub mod ids;
pub mod liveness;
pub mod matching;
pub mod observation;
pub mod picture;
pub mod resample;
pub mod strike;
pub mod time;
