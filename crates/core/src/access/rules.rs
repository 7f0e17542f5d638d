//! The numbers of the access decision.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::approach::ApproachRules;
use super::authority::ButtonRules;
use super::enrolment::EnrolmentRules;
use super::lockout::LockoutRules;
use super::schedule::UnsetClock;
use super::window::WindowRules;
use crate::liveness::LivenessRules;

/// The numbers of the access decision.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessRules {
    /// The 15-frame rule.
    pub window: WindowRules,
    /// How long the strike stays released.
    pub hold: Duration,
    /// The longest time for which an operator can hold the door open; zero for not at all.
    pub max_hold_open: Duration,
    /// One release an approach.
    pub approach: ApproachRules,
    /// A frame older than this when it is decided on is refused.
    pub max_frame_age: Duration,
    /// Denied attempts and their price.
    pub lockout: LockoutRules,
    /// What to do about hours while the clock is not set.
    pub unset_clock: UnsetClock,
    /// A door left open for this long raises an alarm.
    pub held_open_after: Duration,
    /// The enrolment countdown.
    pub enrolment: EnrolmentRules,
    /// Who may start one by the button.
    pub button: ButtonRules,
    /// Whether a known face must be alive, and how that is told; `None` lets pictures in.
    pub liveness: Option<LivenessRules>,
}
