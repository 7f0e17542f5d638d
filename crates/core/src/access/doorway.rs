//! The door's contact: forced open, held open.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::Alarm;
use crate::time::Timestamp;

/// A door seen to open so soon after the strike was secured was pulled in time: contact and debouncing
/// take a while.
pub const CONTACT_LAG: Duration = Duration::from_millis(250);

/// What the contact has told. Without a contact nothing is ever told, and there are no alarms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Doorway {
    held_open_after: Duration,
    open: Option<bool>,
    /// When the open door becomes an alarm.
    held: Option<Timestamp>,
    alarm: Option<Alarm>,
}

/// What a move of the door means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// It did not move.
    No,
    Opened,
    Closed,
}

impl Doorway {
    pub fn new(held_open_after: Duration) -> Self {
        Doorway { held_open_after, open: None, held: None, alarm: None }
    }

    /// Whether the door stands open, if the contact has told.
    pub fn open(&self) -> Option<bool> {
        self.open
    }

    pub fn alarm(&self) -> Option<Alarm> {
        self.alarm
    }

    /// Takes what the contact says.
    pub fn contact(&mut self, now: Timestamp, open: bool) -> Moved {
        let before = self.open.replace(open);
        match (before, open) {
            (Some(false) | None, true) => {
                self.held = Some(now + self.held_open_after);
                // At start the door is found, not seen to open.
                if before.is_some() { Moved::Opened } else { Moved::No }
            }
            (Some(true), false) => {
                self.held = None;
                Moved::Closed
            }
            _ => Moved::No,
        }
    }

    /// An open door is nothing unusual up to now.
    pub fn excuse(&mut self, now: Timestamp) {
        if self.open == Some(true) && self.alarm.is_none() {
            self.held = Some(now + self.held_open_after);
        }
    }

    /// Raises an alarm; false when there is one already.
    pub fn raise(&mut self, alarm: Alarm) -> bool {
        let new = self.alarm.is_none();
        if new {
            self.alarm = Some(alarm);
            self.held = None;
        }
        new
    }

    /// Ends the alarm, if there is one.
    pub fn calm(&mut self) -> Option<Alarm> {
        self.alarm.take()
    }

    /// When [`Doorway::is_held`] becomes true.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.held
    }

    /// True when the door has stood open for too long.
    pub fn is_held(&self, now: Timestamp) -> bool {
        self.held.is_some_and(|at| now >= at)
    }
}
