//! `[schedule]`

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::Config;
use super::table::{Fault, section};
use crate::access::{Hours, UnsetClock};
use crate::clock::{WallClock, ZoneError};
use crate::door::NamedHours;
use crate::matching::name::tidy;

section! {
    /// When people may come in. Hours: "mon-fri 08:00-18:00", "sat,sun 22:00-02:00" (until the next morning),
    /// "always".
    [schedule] ScheduleConfig;

    /// Time zone of the hours. Without it: the system's.
    zone: Option<String> = None, example r#""Europe/Berlin""#;
    /// For people with hours, while the clock is not set: deny or allow.
    unset_clock: UnsetClock = UnsetClock::Deny;
    /// The clock counts as set once this file exists; "" on a board with a battery-backed clock.
    synced_file: PathBuf = "/run/systemd/timesync/synchronized".into();
    /// Hours of everybody without hours of their own; `[]` for never.
    default: Vec<Hours> = vec![Hours::ALWAYS];
    /// Hours by name, as enrolled. Put a name in quotes if it has characters other than A-Z, a-z, 0-9, - and _.
    people: BTreeMap<String, Vec<Hours>> = BTreeMap::new(),
        example "Ada = [\"mon-fri 08:00-18:00\", \"sat 09:00-12:00\"]\n\"Grace O'Brien\" = [\"mon-fri 08:00-18:00\"]";
}

impl ScheduleConfig {
    pub(super) fn check_names(&self) -> Result<(), Fault> {
        let mut names = BTreeSet::new();
        match self.people.keys().find(|name| !names.insert(tidy(name))) {
            Some(twice) => {
                let problem = "this name is listed twice, typed in two ways: list it once";
                Err(Fault::new("schedule.people", twice, problem))
            }
            None => Ok(()),
        }
    }
}

impl Config {
    /// When people may come in, by name.
    pub fn named_hours(&self) -> NamedHours {
        let people = self.schedule.people.iter();
        NamedHours {
            people: people.map(|(name, hours)| (tidy(name), hours.clone().into())).collect(),
            others: self.schedule.default.clone().into(),
            administrators: self.enrolment.administrators.iter().map(|name| tidy(name)).collect(),
        }
    }

    /// The wall clock in the configured zone.
    ///
    /// # Errors
    /// When there is no such zone.
    pub fn wall_clock(&self) -> Result<WallClock, ZoneError> {
        let synced = Some(self.schedule.synced_file.as_path()).filter(|p| !p.as_os_str().is_empty());
        WallClock::open(self.schedule.zone.as_deref(), synced)
    }
}
