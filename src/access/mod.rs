//! The access decision: events in, actions out; no clock, file, thread or device.
//!
//! * [`event`]: what the controller is told, and what it says.
//! * [`window`]: the 15-frame rule on one tracked face.
//! * [`enrolment`]: the countdown that takes a template.
//! * [`controller`]: strike, approaches and the order of things.
//!
//! The shape is "sans-IO": [`controller::Controller::handle`] takes a time and an input and returns
//! actions, so that a recorded run replays to the same decisions.

pub mod controller;
pub mod enrolment;
pub mod event;
pub mod window;

pub use controller::{AccessRules, Controller};
pub use enrolment::EnrolmentRules;
pub use event::{
    Action, Cause, DenyReason, EnrolFailure, EnrolStep, EnrolWait, Event, Indication, Input, Score, Seen,
    Sighting, SubjectId, TrackId, Unusable,
};
pub use window::{Verdict, WindowRules};
