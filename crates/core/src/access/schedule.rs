//! Schedules: on which days and at which hours a person may come in.
//!
//! The core is told the civil time (day of the week and minute of the day in the board's zone); that
//! daylight saving is right follows from asking civil time and nothing else. An hour that is left out
//! in spring is nobody's, one that comes twice in autumn counts both times.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::SubjectId;

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    /// Monday first.
    pub const ALL: [Weekday; 7] = [
        Weekday::Monday,
        Weekday::Tuesday,
        Weekday::Wednesday,
        Weekday::Thursday,
        Weekday::Friday,
        Weekday::Saturday,
        Weekday::Sunday,
    ];
    const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

    fn bit(self) -> u8 {
        1 << self as u8
    }

    fn before(self) -> Weekday {
        Self::ALL[(self as usize + 6) % 7]
    }
}

/// A time of the week in the board's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CivilTime {
    /// The day.
    pub weekday: Weekday,
    /// Minutes since the day's first, 0 to 1439.
    pub minute: u16,
}

/// What the board's clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Civil {
    /// The clock was not set since the board started: what it says means nothing.
    Unset,
    /// The time of the week.
    At(CivilTime),
}

/// What to do with people who have hours while the clock is not set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnsetClock {
    /// Keep them out.
    #[default]
    Deny,
    /// Let them in at any hour.
    Allow,
}

const DAY: u16 = 24 * 60;

/// Days of the week with one stretch of hours, written `mon-fri 08:00-18:00`, `sat,sun 22:00-02:00`
/// (until two the next morning) or `always`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    days: u8,
    /// First minute of the day.
    from: u16,
    /// First minute after; not after `from` for hours that go over midnight.
    to: u16,
}

impl Hours {
    /// Any day, any hour.
    pub const ALWAYS: Hours = Hours { days: 0x7f, from: 0, to: DAY };

    fn contain(&self, time: CivilTime) -> bool {
        let starts = |day: Weekday| self.days & day.bit() != 0;
        if self.from < self.to {
            return starts(time.weekday) && (self.from..self.to).contains(&time.minute);
        }
        // After midnight the hours belong to the day on which they began.
        (starts(time.weekday) && time.minute >= self.from)
            || (starts(time.weekday.before()) && time.minute < self.to)
    }
}

/// Why a text is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a schedule: write \"mon-fri 08:00-18:00\", \"sat,sun 22:00-02:00\" or \"always\"")]
pub struct HoursError(String);

impl FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "always" {
            return Ok(Self::ALWAYS);
        }
        let parse = || {
            let (days, hours) = text.split_once(' ')?;
            let (from, to) = hours.trim().split_once('-')?;
            let hours = Hours { days: parse_days(days)?, from: parse_minute(from)?, to: parse_minute(to)? };
            (hours.from != hours.to && hours.from < DAY).then_some(hours)
        };
        parse().ok_or_else(|| HoursError(text.to_owned()))
    }
}

fn parse_days(text: &str) -> Option<u8> {
    let day = |name: &str| Weekday::NAMES.iter().position(|n| *n == name);
    let mut days = 0;
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut at, last) = (day(first)?, day(last)?);
        days |= 1 << at;
        while at != last {
            at = (at + 1) % 7;
            days |= 1 << at;
        }
    }
    Some(days)
}

fn parse_minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |t: &str| (t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse().ok())?;
    let (hour, minute): (u16, u16) = (digits(hour)?, digits(minute)?);
    (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ALWAYS {
            return f.write_str("always");
        }
        let days = Weekday::ALL.iter().filter(|day| self.days & day.bit() != 0);
        let days: Vec<&str> = days.map(|day| Weekday::NAMES[*day as usize]).collect();
        let (from, to) = (self.from, self.to);
        write!(f, "{} {:02}:{:02}-{:02}:{:02}", days.join(","), from / 60, from % 60, to / 60, to % 60)
    }
}

impl fmt::Debug for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Hours {
    type Error = HoursError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> String {
        hours.to_string()
    }
}

/// All hours at which a person may come in; none for never.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schedule(Vec<Hours>);

impl Schedule {
    /// Any day, any hour.
    pub fn always() -> Self {
        Schedule(vec![Hours::ALWAYS])
    }

    /// At no hour of any day.
    pub fn never() -> Self {
        Schedule(Vec::new())
    }

    /// True when no clock is needed to say yes.
    fn is_always(&self) -> bool {
        self.0.contains(&Hours::ALWAYS)
    }

    fn contains(&self, time: CivilTime) -> bool {
        self.0.iter().any(|hours| hours.contain(time))
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule::always()
    }
}

impl From<Vec<Hours>> for Schedule {
    fn from(hours: Vec<Hours>) -> Self {
        Schedule(hours)
    }
}

/// Whether a schedule lets somebody in.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Open,
    Closed,
    ClockNotSet,
}

/// When each person of the gallery may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timetable {
    /// People with hours of their own.
    pub people: BTreeMap<SubjectId, Schedule>,
    /// Everybody else.
    pub others: Schedule,
    /// People whose face lets the enrolment button work.
    #[serde(default)]
    pub administrators: BTreeSet<SubjectId>,
}

impl Timetable {
    pub(super) fn admits(&self, subject: SubjectId, civil: Civil, unset: UnsetClock) -> Admission {
        let schedule = self.people.get(&subject).unwrap_or(&self.others);
        match civil {
            _ if schedule.is_always() => Admission::Open,
            Civil::At(time) if schedule.contains(time) => Admission::Open,
            Civil::At(_) => Admission::Closed,
            Civil::Unset if schedule.0.is_empty() => Admission::Closed,
            Civil::Unset => match unset {
                UnsetClock::Allow => Admission::Open,
                UnsetClock::Deny => Admission::ClockNotSet,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(hours: &[&str]) -> Schedule {
        Schedule(hours.iter().map(|h| h.parse().unwrap()).collect())
    }

    fn at(weekday: Weekday, hour: u16, minute: u16) -> CivilTime {
        CivilTime { weekday, minute: hour * 60 + minute }
    }

    #[test]
    fn hours_table() {
        use Weekday::*;
        for (hours, time, inside) in [
            (&["mon-fri 08:00-18:00"][..], at(Monday, 8, 0), true),
            (&["mon-fri 08:00-18:00"], at(Monday, 7, 59), false),
            (&["mon-fri 08:00-18:00"], at(Friday, 17, 59), true),
            (&["mon-fri 08:00-18:00"], at(Friday, 18, 0), false),
            (&["mon-fri 08:00-18:00"], at(Saturday, 12, 0), false),
            (&["fri-mon 00:00-24:00"], at(Sunday, 23, 59), true),
            (&["fri-mon 00:00-24:00"], at(Tuesday, 0, 0), false),
            (&["fri 22:00-02:00"], at(Friday, 22, 0), true),
            (&["fri 22:00-02:00"], at(Saturday, 1, 59), true),
            (&["fri 22:00-02:00"], at(Saturday, 2, 0), false),
            (&["fri 22:00-02:00"], at(Friday, 1, 0), false),
            (&["sun 22:00-02:00"], at(Monday, 1, 0), true),
            (&["sun 22:00-02:00"], at(Sunday, 21, 59), false),
            (&["sun 22:00-02:00"], at(Sunday, 1, 0), false),
            (&["tue 00:00-24:00"], at(Tuesday, 23, 59), true),
            (&["tue 00:00-24:00"], at(Wednesday, 0, 0), false),
            (&["mon 08:00-09:00", "mon,wed 10:00-11:00"], at(Wednesday, 10, 30), true),
            (&["always"], at(Wednesday, 3, 0), true),
            (&[], at(Wednesday, 3, 0), false),
        ] {
            assert_eq!(schedule(hours).contains(time), inside, "{hours:?} {time:?}");
        }
    }

    #[test]
    fn texts_return_and_mistakes_are_named() {
        for (text, written) in [
            ("always", "always"),
            ("mon-fri 08:00-18:00", "mon,tue,wed,thu,fri 08:00-18:00"),
            ("sat,sun 22:00-02:00", "sat,sun 22:00-02:00"),
            ("sun-mon 00:00-24:00", "mon,sun 00:00-24:00"),
        ] {
            let hours: Hours = text.parse().unwrap();
            assert_eq!(hours.to_string(), written);
            assert_eq!(written.parse(), Ok(hours));
        }
        for bad in ["", "mon", "mon 8:00-18:00", "mon 08:00", "mo 08:00-09:00", "mon 08:60-09:00"] {
            assert_eq!(bad.parse::<Hours>(), Err(HoursError(bad.to_owned())));
        }
        for bad in [
            "mon 08:00-08:00",
            "mon 24:00-08:00",
            "mon 08:00-24:01",
            "mon- 08:00-09:00",
            "mon +8:00-09:00",
            "mon 08:-9-09:00",
        ] {
            assert!(bad.parse::<Hours>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_unset_clock_matters_only_to_people_with_hours() {
        let office = schedule(&["mon-fri 08:00-18:00"]);
        let timetable = Timetable {
            people: [(SubjectId(1), office), (SubjectId(2), schedule(&[]))].into(),
            others: Schedule::always(),
            ..Timetable::default()
        };
        let admits = |id, civil, unset| timetable.admits(SubjectId(id), civil, unset);
        let noon = Civil::At(at(Weekday::Monday, 12, 0));
        assert_eq!(admits(1, noon, UnsetClock::Deny), Admission::Open);
        assert_eq!(admits(1, Civil::Unset, UnsetClock::Deny), Admission::ClockNotSet);
        assert_eq!(admits(1, Civil::Unset, UnsetClock::Allow), Admission::Open);
        assert_eq!(admits(2, Civil::Unset, UnsetClock::Allow), Admission::Closed, "never is never");
        assert_eq!(admits(3, Civil::Unset, UnsetClock::Deny), Admission::Open);
        let night = Civil::At(at(Weekday::Monday, 3, 0));
        assert_eq!(
            [1, 2, 3].map(|id| admits(id, night, UnsetClock::Allow)),
            [Admission::Closed, Admission::Closed, Admission::Open]
        );
        assert_eq!(Schedule::default(), Schedule::always());
        assert_eq!(Schedule::never(), schedule(&[]));
    }
}
