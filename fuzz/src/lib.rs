//! The parts of facelatch that are fuzzed, under its name.

#![allow(dead_code, reason = "the modules are used by others as well")]

#[path = "../../src/detect/mod.rs"]
pub mod detect;
#[path = "../../src/picture.rs"]
pub mod picture;
#[path = "../../src/time.rs"]
pub mod time;
