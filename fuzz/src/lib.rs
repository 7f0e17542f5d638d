//! The parts of facelatch that are fuzzed, under its name.

#![allow(dead_code, reason = "the modules are used by others as well")]

#[path = "../../src/access/mod.rs"]
pub mod access;
#[path = "../../src/detect/mod.rs"]
pub mod detect;
#[path = "../../src/matching/mod.rs"]
pub mod matching;
#[path = "../../src/picture.rs"]
pub mod picture;
#[path = "../../src/store/mod.rs"]
pub mod store;
#[path = "../../src/time.rs"]
pub mod time;
