//! Who may come in when: by name, and by id.

use std::collections::{BTreeMap, BTreeSet};

use crate::access::{Civil, Schedule, Timetable};
use crate::matching::{Gallery, Subject, name};

/// What the wall clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallTime {
    /// Seconds since 1970, noted with people enrolled.
    pub unix: u64,
    /// The time of the week, for schedules.
    pub civil: Civil,
}

impl WallTime {
    /// Of a recording, which has none.
    pub const UNSET: WallTime = WallTime { unix: 0, civil: Civil::Unset };
}

/// Who may come in when, by name ([`name::tidy`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedHours {
    /// People with hours of their own.
    pub people: BTreeMap<String, Schedule>,
    /// Everybody else.
    pub others: Schedule,
    /// People whose face lets the enrolment button work.
    pub administrators: BTreeSet<String>,
}

impl NamedHours {
    /// The same by id. Names that nobody has are left out.
    pub fn timetable(&self, gallery: &Gallery) -> Timetable {
        let named = |s: &Subject| Some((s.id, self.people.get(&name::tidy(&s.name))?.clone()));
        let people = gallery.subjects().iter().filter_map(named).collect();
        let is_one = |s: &&Subject| self.administrators.contains(&name::tidy(&s.name));
        let administrators = gallery.subjects().iter().filter(is_one).map(|s| s.id).collect();
        Timetable { people, others: self.others.clone(), administrators }
    }

    /// Names with hours or rights of their own that nobody enrolled has: misspelt, or not enrolled yet.
    pub fn unknown_names<'a>(&'a self, gallery: &'a Gallery) -> impl Iterator<Item = &'a str> {
        let known = |name: &str| gallery.find(name).is_some();
        self.people.keys().chain(&self.administrators).map(String::as_str).filter(move |name| !known(name))
    }
}
