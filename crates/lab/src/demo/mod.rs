//! The demonstration: two shipped portraits, walked up to a simulated camera.
//!
//! The frames are synthetic, the chain that sees them is the daemon's own. What the demonstration
//! shows is that the chain works from frame to strike; it says nothing about accuracy, because each
//! person's walk-ups come from one photograph.

pub mod attack;
mod noise;
pub mod portrait;
pub mod walkup;
