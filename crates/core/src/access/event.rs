//! What the controller says: events for people and the log, actions for the machine.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::enrolment::{EnrolFailure, EnrolGrant, EnrolNotice, EnrolStep, EnrolWait, FrameCounts};
use super::fault::{Alarm, Fault, RolledBack};
use super::lockout::SavedLockout;
use super::mode::Mode;
use super::reason::{DenyCode, DenyReason};
use super::release::{ReleaseReason, SecureReason};
use crate::ids::TrackId;

/// Something worth a line in the log and the status.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The picture is empty (reported once, when a face has gone).
    NoFace,
    /// A face is being identified (reported once per window).
    Identifying {
        /// Which.
        track: TrackId,
    },
    /// Nobody is let in (reported once per window and reason; an unknown face who stays is told again).
    Denied(DenyReason),
    /// The strike is released.
    Released(ReleaseReason),
    /// The strike is secured again.
    Secured(SecureReason),
    /// The door moved.
    Door {
        /// True when it stands open.
        open: bool,
    },
    /// An alarm began.
    Alarm(Alarm),
    /// The alarm ended: the door is closed, or an operator has accepted the files.
    AlarmOver(Alarm),
    /// Too many denied attempts: no face opens for a while.
    LockedOut {
        /// Denied attempts in a row.
        denials: u32,
        /// For this long.
        time: Duration,
    },
    /// The lockout is over.
    LockoutOver,
    /// An operator lifted the lockout and forgot the denials.
    LockoutCleared,
    /// The mode changed.
    ModeChanged(Mode),
    /// Something broke.
    Fault(Fault),
    /// A frame too old to decide on was refused.
    StaleFrame {
        /// How old it was.
        age: Duration,
    },
    /// The button may enrol once within this time.
    EnrolAllowed {
        /// Why.
        by: EnrolGrant,
        /// For this long.
        time: Duration,
    },
    /// The button was pressed without authorisation.
    ButtonRefused,
    /// An enrolment began.
    EnrolStarted,
    /// The countdown in whole seconds (reported when the number changes).
    EnrolCountdown {
        /// Seconds left, rounded up.
        seconds_left: u32,
    },
    /// Most frames are of no use (reported when the reason changes).
    EnrolWaiting(EnrolWait),
    /// The same continues.
    EnrolStillWaiting {
        /// What is waited for.
        wait: EnrolWait,
        /// Whole seconds until the enrolment fails.
        seconds_left: u32,
    },
    /// The countdown ended: a template is being made of the collected frames.
    EnrolTaken,
    /// No template was taken.
    EnrolFailed {
        /// Why.
        why: EnrolFailure,
        /// What became of the frames.
        frames: FrameCounts,
    },
}

impl Event {
    /// The name in logs and the audit log; it does not change between versions.
    pub fn name(&self) -> &'static str {
        match self {
            Event::NoFace => "no_face",
            Event::Identifying { .. } => "identifying",
            Event::Denied(_) => "deny",
            Event::Released(_) => "release",
            Event::Secured(_) => "secured",
            Event::Door { open: true } => "door_opened",
            Event::Door { open: false } => "door_closed",
            Event::Alarm(_) => "alarm",
            Event::AlarmOver(_) => "alarm_over",
            Event::LockedOut { .. } => "locked_out",
            Event::LockoutOver => "lockout_over",
            Event::LockoutCleared => "lockout_cleared",
            Event::ModeChanged(_) => "mode",
            Event::Fault(_) => "fault",
            Event::StaleFrame { .. } => "stale_frame",
            Event::EnrolAllowed { .. } => "enrol_allowed",
            Event::ButtonRefused => "button_refused",
            Event::EnrolStarted => "enrol_started",
            Event::EnrolCountdown { .. } => "enrol_countdown",
            Event::EnrolWaiting(_) | Event::EnrolStillWaiting { .. } => "enrol_waiting",
            Event::EnrolTaken => "enrol_taken",
            Event::EnrolFailed { .. } => "enrol_failed",
        }
    }
}

impl From<EnrolNotice> for Event {
    fn from(notice: EnrolNotice) -> Self {
        match notice {
            EnrolNotice::Countdown { seconds_left } => Event::EnrolCountdown { seconds_left },
            EnrolNotice::Waiting(wait) => Event::EnrolWaiting(wait),
            EnrolNotice::StillWaiting { wait, seconds_left } => {
                Event::EnrolStillWaiting { wait, seconds_left }
            }
        }
    }
}

/// What the lights and the buzzer should show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Indication {
    /// Nothing is happening.
    Idle,
    /// A face is being identified (orange).
    Identifying,
    /// The strike is released (green).
    Released,
    /// Nobody is let in, and why (red, in a pattern for each reason).
    Denied(DenyCode),
    /// Somebody should look after the door: it was forced, is held open, or its files were put back.
    Alarm(Alarm),
    /// An enrolment counts down.
    EnrolCounting,
    /// An enrolment waits for a usable face.
    EnrolWaiting,
}

/// What must outlive a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersistentState {
    /// Denied attempts and the lockout that they earned.
    pub lockout: SavedLockout,
    /// Whether the operator's secure mode is on.
    pub secure_mode: bool,
    /// What was found older than it should be, until an operator accepts it.
    #[serde(default)]
    pub rolled_back: RolledBack,
}

/// What the surroundings must do, in order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Drive the strike to released.
    Release,
    /// Drive the strike to secured.
    Secure,
    /// Show this on lights and buzzer.
    Indicate(Indication),
    /// Do this for the enrolment.
    Enrol(EnrolStep),
    /// Log and publish this.
    Report(Event),
    /// Write this where it outlives a restart; say [`Fault::Store`] when that fails.
    Save(PersistentState),
}
