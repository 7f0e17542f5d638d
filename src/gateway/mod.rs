//! The operator's view: a second process that speaks to the daemon by its socket, and to people.
//!
//! It has no camera, no line, no gallery and no key. What it may ask is decided by the daemon.

pub mod door;
