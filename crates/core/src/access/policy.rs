//! Permission: the few places that say who may pass.

use serde::{Deserialize, Serialize};

use super::event::{Cause, Mode, SubjectId};
use super::reason::DenyReason;
use super::schedule::{Admission, Civil, Timetable, UnsetClock};

/// Whether the strike may be released. Made here and for request to exit alone; turned into a release
/// in one place, `Controller::decide`.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Permission {
    Granted(Cause),
    Denied(DenyReason),
}

/// What is known when a window has identified a person.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identified {
    pub subject: SubjectId,
    pub mean_similarity: f32,
    pub civil: Civil,
    /// The approach has had its release.
    pub approach_spent: bool,
}

/// What holds for everybody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Policy {
    pub timetable: Timetable,
    pub unset_clock: UnsetClock,
}

impl Policy {
    /// May the person whom the 15-frame rule has identified come in?
    pub fn identified(&self, mode: Mode, who: Identified) -> Permission {
        let Identified { subject, mean_similarity, civil, approach_spent } = who;
        if mode != Mode::Normal {
            return Permission::Denied(DenyReason::SecureMode);
        }
        match self.timetable.admits(subject, civil, self.unset_clock) {
            Admission::Closed => Permission::Denied(DenyReason::OutOfHours { subject }),
            Admission::ClockNotSet => Permission::Denied(DenyReason::ClockNotSet { subject }),
            Admission::Open if approach_spent => Permission::Denied(DenyReason::AlreadyReleased { subject }),
            Admission::Open => Permission::Granted(Cause::Identified { subject, mean_similarity }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::schedule::{CivilTime, Weekday};
    use super::*;

    #[test]
    fn table() {
        let office = vec!["mon-fri 08:00-18:00".parse().unwrap()].into();
        let timetable = Timetable { people: [(SubjectId(1), office)].into(), ..Timetable::default() };
        let policy = Policy { timetable, unset_clock: UnsetClock::Deny };
        let on = |weekday| Civil::At(CivilTime { weekday, minute: 12 * 60 });
        let (monday, sunday) = (on(Weekday::Monday), on(Weekday::Sunday));
        let subject = SubjectId(1);
        for (name, who, mode, civil, approach_spent, denied) in [
            ("in hours", 1, Mode::Normal, monday, false, None),
            ("out of hours", 1, Mode::Normal, sunday, false, Some(DenyReason::OutOfHours { subject })),
            ("no clock", 1, Mode::Normal, Civil::Unset, false, Some(DenyReason::ClockNotSet { subject })),
            ("secure mode", 1, Mode::Secure, monday, false, Some(DenyReason::SecureMode)),
            ("again", 1, Mode::Normal, monday, true, Some(DenyReason::AlreadyReleased { subject })),
            ("no hours of their own", 2, Mode::Normal, Civil::Unset, false, None),
        ] {
            let subject = SubjectId(who);
            let who = Identified { subject, mean_similarity: 0.5, civil, approach_spent };
            let granted = Permission::Granted(Cause::Identified { subject, mean_similarity: 0.5 });
            assert_eq!(policy.identified(mode, who), denied.map_or(granted, Permission::Denied), "{name}");
        }
    }
}
