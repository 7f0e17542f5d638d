//! The numbers of an enrolment.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The numbers of an enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentRules {
    /// How long one face must be seen in all. The reference's 5 s.
    pub countdown: Duration,
    /// Usable frames that make the template, spread evenly over the countdown as far as there are any, at
    /// least 1. The reference takes one, at the end.
    pub frames: u32,
    /// The most templates that are made of them, at least 1.
    pub templates: u32,
    /// After this time without an end the enrolment fails.
    pub timeout: Duration,
    /// Time between two frames of one face counts when it is at most this long.
    pub max_gap: Duration,
    /// After this long without exactly one face it may be another person: the countdown restarts.
    pub restart_after: Duration,
}
