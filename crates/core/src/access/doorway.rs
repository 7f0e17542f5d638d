//! The door's contact: forced open, held open.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fault::Alarm;
use crate::time::Timestamp;

/// A door seen to open so soon after the strike was secured was pulled in time: contact and debouncing
/// take a while.
pub const CONTACT_LAG: Duration = Duration::from_millis(250);

/// What the contact has reported. Without a contact there are neither reports nor alarms.
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

    /// Whether the door is open, if the contact has reported.
    pub fn open(&self) -> Option<bool> {
        self.open
    }

    pub fn alarm(&self) -> Option<Alarm> {
        self.alarm
    }

    /// Takes what the contact says.
    pub fn on_contact(&mut self, now: Timestamp, open: bool) -> Moved {
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
    pub fn restart_timer(&mut self, now: Timestamp) {
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
    pub fn end_alarm(&mut self) -> Option<Alarm> {
        self.alarm.take()
    }

    /// When [`Doorway::is_open_too_long`] becomes true.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.held
    }

    /// True when the door has stood open for too long.
    pub fn is_open_too_long(&self, now: Timestamp) -> bool {
        self.held.is_some_and(|at| now >= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Timestamp = |s| Timestamp::from_millis(s * 1_000);

    fn doorway() -> Doorway {
        Doorway::new(Duration::from_secs(20))
    }

    #[test]
    fn a_door_found_open_has_not_moved_and_may_stand_open_too_long() {
        let mut door = doorway();
        assert_eq!((door.open(), door.deadline()), (None, None));
        assert_eq!(door.on_contact(S(1), true), Moved::No);
        assert_eq!((door.open(), door.deadline()), (Some(true), Some(S(21))));
        assert_eq!([20, 21, 22].map(|s| door.is_open_too_long(S(s))), [false, true, true]);
        assert_eq!(door.on_contact(S(2), true), Moved::No, "said again");
        assert_eq!(door.deadline(), Some(S(21)), "and its time goes on");
        assert_eq!(door.on_contact(S(3), false), Moved::Closed);
        assert_eq!((door.deadline(), door.is_open_too_long(S(99))), (None, false));
        assert_eq!(door.on_contact(S(4), false), Moved::No);
        assert_eq!(door.on_contact(S(5), true), Moved::Opened);
        assert_eq!(doorway().on_contact(S(5), false), Moved::No, "found closed");
    }

    #[test]
    fn one_alarm_at_a_time_and_none_again_until_the_door_moves() {
        let mut door = doorway();
        assert_eq!(door.on_contact(S(0), false), Moved::No);
        assert_eq!(door.on_contact(S(1), true), Moved::Opened);
        assert_eq!([Alarm::ForcedOpen, Alarm::HeldOpen].map(|alarm| door.raise(alarm)), [true, false]);
        assert_eq!((door.alarm(), door.deadline()), (Some(Alarm::ForcedOpen), None));
        door.restart_timer(S(2));
        assert_eq!(door.deadline(), None, "an alarm is enough");
        assert_eq!(door.end_alarm(), Some(Alarm::ForcedOpen));
        assert_eq!((door.end_alarm(), door.alarm()), (None, None));
    }

    #[test]
    fn what_was_held_open_by_an_operator_has_its_whole_time_afterwards() {
        let mut door = doorway();
        door.restart_timer(S(1));
        assert_eq!(door.deadline(), None, "it is not open");
        assert_eq!(door.on_contact(S(1), true), Moved::No);
        door.restart_timer(S(10));
        assert_eq!(door.deadline(), Some(S(30)));
        assert_eq!(door.on_contact(S(11), false), Moved::Closed);
        door.restart_timer(S(12));
        assert_eq!(door.deadline(), None);
    }
}
