//! The integration tests, one program: `cargo test --test all gateway::` runs those of one module.
//!
//! What needs a process of its own is apart: `detector_memory` (it counts allocations) and `lab_edges` (it runs
//! within the lab's boards).

mod attempt;
mod calibrate;
mod common;
mod daemon;
mod demo;
mod detector;
mod draw;
mod durable;
mod embed;
mod enrolment;
mod errors;
mod evaluate;
mod files;
mod gateway;
mod identification;
mod journal;
mod layers;
mod liveness;
mod mqtt;
mod naive_detector;
mod people;
mod simulation;
mod simulator;
mod store_crash;
mod structure;

// Stated once, for these tests and others': the detector's rules, and what must hold of a door.
#[path = "../naive_detector/mod.rs"]
mod reference;
#[path = "../../crates/core/tests/watch/mod.rs"]
mod watch;
