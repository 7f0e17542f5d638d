//! What an engineer runs, and no door: attempts on recordings, evaluation, drawn doors and their plots.
//!
//! | Module | Holds |
//! |---|---|
//! | [`attempt`] | the daemon's decisions on a recording, in its time |
//! | [`evaluate`] | error rates and which of them a sample supports |
//! | [`demo`] | drawn people who walk up, and drawn attacks |
//! | [`draw`] | contact sheets and plots |

pub mod attempt;
pub mod demo;
pub mod draw;
pub mod evaluate;
