//! The kernel's clocks.
//!
//! V4L2 stamps frames and the GPIO character device stamps edges with `CLOCK_MONOTONIC`; [`now`] is
//! the same clock, so that "now", a frame and a button press can be compared. [`WallClock`] tells the
//! time of the week in the board's zone, for schedules alone. Only edges and the composition may ask
//! for either: the core gets time as an argument.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;
use rustix::time::{ClockId, clock_gettime};

use facelatch_core::access::{Civil, CivilTime, Weekday};
use facelatch_core::time::Timestamp;

/// Time since boot by `CLOCK_MONOTONIC`.
pub fn now() -> Timestamp {
    let t = clock_gettime(ClockId::Monotonic);
    // Neither part is negative for this clock.
    let secs = u64::try_from(t.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(t.tv_nsec).unwrap_or(0);
    Timestamp::from_nanos(secs.saturating_mul(1_000_000_000).saturating_add(nanos))
}

/// Wall-clock seconds since 1970; 0 on a board whose clock is before that.
pub fn unix() -> u64 {
    unix_millis() / 1_000
}

/// Wall-clock milliseconds since 1970; 0 on a board whose clock is before that.
pub fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A clock that says less than this (2025-01-01) was not set, whoever claims that it was.
const EARLIEST: u64 = 1_735_689_600;

/// False for a wall clock that was not set yet.
pub fn is_plausible(unix: u64) -> bool {
    unix >= EARLIEST
}

/// The zone cannot be found.
#[derive(Debug, thiserror::Error)]
#[error(
    "schedule.zone = \"{zone}\": {problem} (names: timedatectl list-timezones; they need the package tzdata)"
)]
pub struct ZoneError {
    zone: String,
    problem: String,
}

/// The wall clock in the board's zone.
#[derive(Clone, Debug)]
pub struct WallClock {
    zone: TimeZone,
    synced: Option<PathBuf>,
}

impl WallClock {
    /// The clock in `zone`, or in the zone that the system is set to. It counts as set once the file
    /// `synced` is there; without one, always.
    ///
    /// # Errors
    /// When there is no such zone.
    pub fn open(zone: Option<&str>, synced: Option<&Path>) -> Result<Self, ZoneError> {
        let zone = match zone {
            Some(name) => TimeZone::get(name).map_err(|e| ZoneError {
                zone: name.to_owned(),
                problem: e.to_string().replace('\n', " "),
            })?,
            None => TimeZone::try_system().unwrap_or_else(|error| {
                log::debug!("zone=UTC reason={:?}", error.to_string());
                TimeZone::UTC
            }),
        };
        Ok(WallClock { zone, synced: synced.map(Path::to_owned) })
    }

    /// What it says at `unix` seconds since 1970.
    pub fn civil(&self, unix: u64) -> Civil {
        if !is_plausible(unix) || self.synced.as_ref().is_some_and(|file| !file.exists()) {
            return Civil::Unset;
        }
        i64::try_from(unix).map_or(Civil::Unset, |unix| civil(&self.zone, unix))
    }
}

fn civil(zone: &TimeZone, unix: i64) -> Civil {
    let Ok(instant) = jiff::Timestamp::from_second(unix) else { return Civil::Unset };
    let local = zone.to_datetime(instant);
    let weekday = Weekday::ALL[usize::from(local.weekday().to_monday_zero_offset().unsigned_abs())];
    let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
    Civil::At(CivilTime { weekday, minute })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_not_run_backwards() {
        let first = now();
        let second = now();
        assert!(second >= first);
        assert!(first > Timestamp::ZERO);
    }

    /// The rules of Berlin as POSIX writes them, so that no zone files are needed.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn at(unix: i64) -> (Weekday, u16) {
        match civil(&berlin(), unix) {
            Civil::At(time) => (time.weekday, time.minute),
            Civil::Unset => panic!("unset"),
        }
    }

    #[test]
    fn civil_time_is_right_across_daylight_saving() {
        use Weekday::*;
        // 2026-03-29: 01:59:59 CET is followed by 03:00:00 CEST, one second later.
        let spring = 1_774_746_000;
        assert_eq!(at(spring - 1), (Sunday, 119));
        assert_eq!(at(spring), (Sunday, 180));
        // 2026-10-25: 02:59:59 CEST is followed by 02:00:00 CET.
        let autumn = 1_792_890_000;
        assert_eq!(at(autumn - 1), (Sunday, 179));
        assert_eq!(at(autumn), (Sunday, 120));
        // Eight in the morning is eight in the morning on both sides: 06:00 UTC in summer, 07:00 in winter.
        let saturday_summer = autumn - 86_400 + 5 * 3_600;
        assert_eq!(at(saturday_summer), (Saturday, 8 * 60));
        assert_eq!(at(saturday_summer + 2 * 86_400), (Monday, 7 * 60));
        assert_eq!(at(saturday_summer + 2 * 86_400 + 3_600), (Monday, 8 * 60));
    }

    #[test]
    fn a_clock_that_was_not_set_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("synchronized");
        let clock = WallClock { zone: TimeZone::UTC, synced: Some(file.clone()) };
        let thursday = 1_792_890_000 - 3 * 86_400;
        assert_eq!(clock.civil(thursday), Civil::Unset);
        std::fs::write(&file, "").unwrap();
        assert!(matches!(clock.civil(thursday), Civil::At(CivilTime { weekday: Weekday::Thursday, .. })));
        assert_eq!(clock.civil(0), Civil::Unset, "1970 is never right");
        let battery = WallClock { zone: TimeZone::UTC, synced: None };
        assert!(matches!(battery.civil(thursday), Civil::At(_)));
        let error = WallClock::open(Some("Europe/Nowhere"), None).unwrap_err().to_string();
        assert!(error.contains("Europe/Nowhere") && !error.contains('\n'), "{error}");
    }
}
