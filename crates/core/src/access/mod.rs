//! The access decision: events in, actions out; no clock, file, thread or device.
//!
//! | Module | Holds |
//! |---|---|
//! | [`rules`] | the numbers |
//! | [`sighting`], [`input`] | what the controller is told; [`quality`]: what is wrong with a picture |
//! | [`event`] | what it says; [`reason`]: why nobody is let in, with stable names and plain words |
//! | [`window`] | the 15-frame rule on one tracked face |
//! | [`approach`] | one release an approach |
//! | [`lockout`], `attempts` | denied attempts and their price |
//! | [`schedule`] | when people may come in |
//! | `challenge` | a face that is asked to turn or to nod |
//! | `policy` | may this face come in: one ordered list of reasons |
//! | `faces` | from a frame to a permission |
//! | [`mode`], [`fault`] | what holds for the whole door; `persistence`: what of it outlives a restart |
//! | [`release`], [`doorway`] | the bounded time of the strike; the door's contact and its alarms |
//! | [`enrolment`], [`authority`] | the countdown that takes a template; who may start one by the button |
//! | [`controller`] | the order of things |
//! | [`record`] | a run as lines, and its replay |
//!
//! The shape is "sans-IO": [`controller::Controller::handle`] takes a time and an
//! input and returns actions, so that a recorded run replays to the same decisions.

pub mod approach;
mod attempts;
pub mod authority;
mod challenge;
pub mod controller;
pub mod doorway;
pub mod enrolment;
pub mod event;
mod faces;
pub mod fault;
pub mod input;
pub mod lockout;
pub mod mode;
mod persistence;
mod policy;
pub mod quality;
pub mod reason;
pub mod record;
pub mod release;
pub mod rules;
pub mod schedule;
pub mod sighting;
pub mod window;

pub use crate::ids::{Likeness, Others, Score, SubjectId, TrackId};
pub use approach::ApproachRules;
pub use authority::{ButtonPolicy, ButtonRules};
pub use controller::Controller;
pub use enrolment::{EnrolFailure, EnrolGrant, EnrolStep, EnrolWait, EnrolmentRules, FrameCounts};
pub use event::{Action, Event, Indication, PersistentState};
pub use fault::{Alarm, Fault, RolledBack};
pub use input::Input;
pub use lockout::{LockoutRules, Restored, SavedLock, SavedLockout};
pub use mode::{Mode, ModeCommand};
pub use quality::QualityIssue;
pub use reason::{ChallengeEnd, DenyCode, DenyReason};
pub use release::{ReleaseReason, SecureReason};
pub use rules::AccessRules;
pub use schedule::{Civil, CivilTime, Hours, HoursError, Schedule, Timetable, UnsetClock, Weekday};
pub use sighting::{Seen, Sighting};
pub use window::{Verdict, WindowRules};
