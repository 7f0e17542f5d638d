//! The access decision: events in, actions out; no clock, file, thread or device.
//!
//! * [`event`]: what the controller is told, and what it says.
//! * [`reason`]: why nobody is let in, with stable names and plain words.
//! * [`window`]: the 15-frame rule on one tracked face.
//! * [`approach`]: one release an approach.
//! * [`lockout`], [`schedule`], [`policy`]: who may come in, and when nobody may.
//! * [`release`]: the bounded time of the strike; [`doorway`]: the door's contact and its alarms.
//! * [`enrolment`]: the countdown that takes a template, and `prompt`, what is said of it; [`authority`]: who may start one by the button.
//! * [`controller`]: the order of things.
//! * [`record`]: a run as lines, and its replay.
//!
//! The shape is "sans-IO": [`controller::Controller::handle`] takes a time and an input and returns
//! actions, so that a recorded run replays to the same decisions.

pub mod approach;
pub mod authority;
pub mod controller;
pub mod doorway;
pub mod enrolment;
pub mod event;
pub mod lockout;
pub mod planted;
pub mod policy;
mod prompt;
pub mod reason;
pub mod record;
pub mod release;
pub mod schedule;
pub mod window;

pub use approach::ApproachRules;
pub use authority::{ButtonPolicy, ButtonRules};
pub use controller::{AccessRules, Controller};
pub use enrolment::{EnrolmentRules, FrameCounts};
pub use event::{
    Action, Alarm, Cause, EnrolFailure, EnrolGrant, EnrolStep, EnrolWait, Event, Fault, Indication, Input,
    Likeness, Mode, ModeCommand, Others, Relock, RolledBack, Saved, Score, Seen, Sighting, SubjectId,
    TrackId, Unusable,
};
pub use lockout::{LockoutRules, Resume, SavedLock, SavedLockout};
pub use reason::{ChallengeEnd, DenyCode, DenyReason};
pub use schedule::{Civil, CivilTime, Hours, HoursError, Schedule, Timetable, UnsetClock, Weekday};
pub use window::{Verdict, WindowRules};
