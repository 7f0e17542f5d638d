//! People whose time is over, by a wall clock that may be wrong.
//!
//! Whoever's time is over is not let in from that moment on, which a clock set right undoes. Erased they are
//! once the clock has said so for a day of uptime without a break: one wrong clock erases nobody.
//!
//! A clock that jumps against what was known of the time is under suspicion until it has gone on from there
//! for a day. Until then a person's time is over also by the time as it was known: setting the clock back lets
//! nobody in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ids::SubjectId;
use crate::matching::Gallery;
use crate::time::Timestamp;

/// So long the clock must say the same before what cannot be undone is done.
pub const PROOF: Duration = Duration::from_secs(86_400);
/// The largest correction of a clock, in seconds, that is not a jump.
const TOLERANCE: u64 = 3_600;
/// The longest time, in seconds, that the board may have been off since the log's newest entry.
const OFF: u64 = 60 * 86_400;
/// Two looks are not further apart while the process runs.
const GAP: Duration = Duration::from_secs(60);
/// Jumps are reported at most this often.
const TELL: Duration = Duration::from_secs(3_600);

/// A time of the wall clock, in seconds since 1970, and when that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    unix: u64,
    at: Timestamp,
}

impl Known {
    fn at(self, now: Timestamp) -> u64 {
        self.unix.saturating_add(now.since(self.at).as_secs())
    }

    fn agrees(self, now: Timestamp, unix: u64) -> bool {
        self.at(now).abs_diff(unix) <= TOLERANCE
    }
}

/// A clock under suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Suspect {
    clock: Known,
    since: Timestamp,
}

/// A person whom the clock has reported as expired for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Over {
    /// The date that is over.
    expires: u64,
    /// The clock has said so for this time of uptime.
    said: Duration,
}

/// Who has expired, and for how long.
#[derive(Clone, Debug, Default)]
pub struct Expiry {
    known: Option<Known>,
    /// What is known is the time of the log's newest entry: nobody knows for how long the board was off.
    from_log: bool,
    suspect: Option<Suspect>,
    over: BTreeMap<SubjectId, Over>,
    looked: Option<Timestamp>,
    told: Option<Timestamp>,
}

/// What a look has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Those who are not let in.
    pub over: BTreeSet<SubjectId>,
    /// One of them who is to be erased.
    pub erase: Option<SubjectId>,
    /// The clock has jumped by this many seconds from the known time.
    pub jump: Option<i64>,
}

impl Expiry {
    /// With what was noted before a restart ([`Expiry::noted`]).
    pub fn resumed(noted: &BTreeMap<SubjectId, (u64, u64)>) -> Self {
        let over = |(id, (expires, said)): (&SubjectId, &(u64, u64))| {
            (*id, Over { expires: *expires, said: Duration::from_secs(*said) })
        };
        Expiry { over: noted.iter().map(over).collect(), ..Expiry::default() }
    }

    /// For each person the date that is over, and for how many seconds the clock has said so: for a restart.
    pub fn noted(&self) -> BTreeMap<SubjectId, (u64, u64)> {
        self.over.iter().map(|(id, over)| (*id, (over.expires, over.said.as_secs()))).collect()
    }

    /// The newest entry of the audit log is of this time: now cannot be earlier.
    pub fn log_says(&mut self, now: Timestamp, unix: u64) {
        if self.known.is_none_or(|known| known.at(now) < unix) {
            (self.known, self.from_log) = (Some(Known { unix, at: now }), true);
        }
    }

    /// True while the clock is under suspicion.
    pub fn is_suspect(&self) -> bool {
        self.suspect.is_some()
    }

    /// Looks at everybody's date. `clock`: the wall clock, in seconds since 1970, if it is set.
    pub fn look(&mut self, now: Timestamp, clock: Option<u64>, gallery: &Gallery) -> Look {
        let passed = self.looked.replace(now).map_or(Duration::ZERO, |last| now.since(last).min(GAP));
        let jump = clock.and_then(|unix| self.judge(now, unix));
        let latest = clock.max(self.known.map(|known| known.at(now)));
        let mut look = Look { jump, ..Look::default() };
        let mut over = BTreeMap::new();
        for subject in gallery.subjects() {
            let Some(expires) = subject.expires else { continue };
            if latest.is_some_and(|latest| expires <= latest) {
                look.over.insert(subject.id);
            }
            if clock.is_some_and(|clock| expires <= clock) {
                let before = self.over.get(&subject.id).filter(|over| over.expires == expires);
                let said = before.map_or(Duration::ZERO, |over| over.said + passed);
                over.insert(subject.id, Over { expires, said });
                if said >= PROOF && self.suspect.is_none() && look.erase.is_none() {
                    look.erase = Some(subject.id);
                }
            } else if let (None, Some(before)) = (clock, self.over.get(&subject.id)) {
                // A clock that is not set yet says nothing: what was noted before a restart still holds.
                over.insert(subject.id, *before);
            }
        }
        self.over = over;
        look
    }

    /// Whether the clock goes on as what was known does; the jump, if it is to be told.
    fn judge(&mut self, now: Timestamp, unix: u64) -> Option<i64> {
        let fits = self.known.is_none_or(|known| {
            let expected = known.at(now);
            let off = if self.from_log { OFF } else { 0 };
            known.agrees(now, unix) || (expected..=expected.saturating_add(off)).contains(&unix)
        });
        let proved = |suspect: Suspect| now.since(suspect.since) >= PROOF;
        match self.suspect {
            _ if fits => {}
            Some(suspect) if suspect.clock.agrees(now, unix) => {
                if !proved(suspect) {
                    self.suspect = Some(Suspect { clock: Known { unix, at: now }, ..suspect });
                    return None;
                }
            }
            _ => {
                self.suspect = Some(Suspect { clock: Known { unix, at: now }, since: now });
                let expected = self.known.map_or(unix, |known| known.at(now));
                let tell = self.told.is_none_or(|told| now.since(told) >= TELL);
                self.told = if tell { Some(now) } else { self.told };
                return tell
                    .then(|| i64::try_from(i128::from(unix) - i128::from(expected)).unwrap_or(i64::MAX));
            }
        }
        (self.known, self.from_log, self.suspect) = (Some(Known { unix, at: now }), false, None);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::{Embedding, ModelHash, Note};

    const NOW: u64 = 1_790_000_000;
    const DAY: u64 = 86_400;
    const YEARS: u64 = 5 * 365 * DAY;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    /// Somebody until `expires`, and somebody for ever.
    fn people(expires: u64) -> Gallery {
        let mut gallery = Gallery::default();
        for (n, name) in ["Ada", "Eve"].into_iter().enumerate() {
            let template = Embedding::new(vec![n as f32, 1.0]);
            let _ = gallery.enrol(name, vec![template], ModelHash([1; 32]), 1).unwrap();
        }
        let _ = gallery.note("Ada", &Note { consent: None, expires: Some(Some(expires)) }).unwrap();
        gallery
    }

    const ADA: SubjectId = SubjectId(0);

    /// Looks every ten seconds from `from` to `to` of uptime; the last look, and whether anybody was erased.
    fn run(
        expiry: &mut Expiry,
        people: &Gallery,
        from: u64,
        to: u64,
        clock: impl Fn(u64) -> Option<u64>,
    ) -> (Look, bool) {
        let (mut last, mut erased) = (Look::default(), false);
        for second in (from..=to).step_by(10) {
            last = expiry.look(at(second), clock(second), people);
            erased |= last.erase.is_some();
        }
        (last, erased)
    }

    #[test]
    fn whose_time_is_over_is_kept_out_at_once_and_erased_after_a_day() {
        let (mut expiry, people) = (Expiry::default(), people(NOW + 100));
        let right = |second| Some(NOW + second);
        let (look, erased) = run(&mut expiry, &people, 0, 90, right);
        assert!(look.over.is_empty() && !erased);
        let (look, erased) = run(&mut expiry, &people, 100, DAY, right);
        assert_eq!((look.over, erased), ([ADA].into(), false));
        let (look, _) = run(&mut expiry, &people, DAY + 10, DAY + 110, right);
        assert_eq!(look.erase, Some(ADA));
        // A longer time is a new date.
        let mut longer = people.clone();
        let _ = longer.note("Ada", &Note { consent: None, expires: Some(Some(NOW + 2 * DAY)) }).unwrap();
        let (look, _) = run(&mut expiry, &longer, DAY + 120, DAY + 130, right);
        assert_eq!(look, Look::default());
    }

    #[test]
    fn a_clock_five_years_ahead_for_hours_erases_nobody() {
        let (mut expiry, people) = (Expiry::default(), people(NOW + 30 * DAY));
        let mut look = run(&mut expiry, &people, 0, 1_000, |s| Some(NOW + s)).0;
        assert!(look.over.is_empty() && look.jump.is_none());
        look = expiry.look(at(1_010), Some(NOW + YEARS), &people);
        assert!(look.jump.is_some_and(|jump| jump.unsigned_abs().abs_diff(YEARS) < 2_000), "{look:?}");
        assert_eq!(look.over, [ADA].into(), "kept out");
        let (_, erased) =
            run(&mut expiry, &people, 1_020, 1_010 + DAY - 20, |s| Some(NOW + YEARS + s - 1_010));
        assert!(!erased && expiry.is_suspect());
        // Once corrected, the person is let in again, and the day starts again.
        let (look, _) = run(&mut expiry, &people, DAY + 1_000, DAY + 1_000, |s| Some(NOW + s));
        assert_eq!((look, expiry.is_suspect()), (Look::default(), false));
        let (_, erased) = run(&mut expiry, &people, DAY + 1_010, 2 * DAY, |s| Some(NOW + YEARS + s));
        assert!(!erased);
        // A clock that has gone on from there for a day is the time.
        let (_, erased) = run(&mut expiry, &people, 2 * DAY + 10, 2 * DAY + 2_000, |s| Some(NOW + YEARS + s));
        assert!(erased && !expiry.is_suspect());
    }

    #[test]
    fn a_clock_set_back_lets_nobody_in_and_is_told_once_an_hour() {
        let (mut expiry, people) = (Expiry::default(), people(NOW));
        let right = |second| Some(NOW + second);
        assert_eq!(run(&mut expiry, &people, 0, 1_000, right).0.over, [ADA].into());
        let back = |second: u64| Some(NOW - YEARS + second);
        let first = expiry.look(at(1_010), back(1_010), &people);
        assert!(first.jump.is_some_and(|jump| jump < 0) && first.over == [ADA].into(), "{first:?}");
        // Back and forth: one entry an hour.
        let mut told = 0;
        for second in (1_020..8_000).step_by(10) {
            let clock = if second % 20 == 0 { NOW + YEARS } else { NOW - YEARS };
            told += u32::from(expiry.look(at(second), Some(clock), &people).jump.is_some());
        }
        assert!((1..=2).contains(&told), "{told}");
        let (look, erased) = run(&mut expiry, &people, 8_000, DAY + 7_000, back);
        assert_eq!((look.over, erased), ([ADA].into(), false));
        let (look, _) = run(&mut expiry, &people, DAY + 7_010, DAY + 9_000, back);
        assert_eq!(look.over, BTreeSet::new(), "it has proved itself");
    }

    #[test]
    fn the_log_says_the_earliest_that_it_can_be() {
        let people = people(NOW);
        // Off for a month, the clock runs on: nothing unusual.
        let mut expiry = Expiry::default();
        expiry.log_says(at(5), NOW - 30 * DAY);
        let look = expiry.look(at(10), Some(NOW + 5), &people);
        assert_eq!((look.jump, look.over), (None, [ADA].into()));
        // Behind the log, or not set at all: who was over stays over, and nobody is erased for it.
        for clock in [Some(NOW - YEARS), None] {
            let mut expiry = Expiry::default();
            expiry.log_says(at(5), NOW + DAY);
            let (look, erased) = run(&mut expiry, &people, 10, DAY / 2, |s| clock.map(|unix| unix + s));
            assert_eq!((look.over, erased), ([ADA].into(), false), "{clock:?}");
            assert_eq!(expiry.is_suspect(), clock.is_some());
        }
        // Years ahead of it at the start.
        let mut expiry = Expiry::default();
        expiry.log_says(at(5), NOW - 30 * DAY);
        assert!(expiry.look(at(10), Some(NOW + YEARS), &people).jump.is_some());
    }

    #[test]
    fn a_day_is_counted_over_restarts() {
        let (mut expiry, people) = (Expiry::default(), people(NOW));
        let right = |second| Some(NOW + second);
        for start in 0..3 {
            let from = start * 2 * DAY;
            let (_, erased) = run(&mut expiry, &people, from, from + DAY / 3 - 10, right);
            assert!(!erased, "start {start}");
            expiry = Expiry::resumed(&expiry.noted());
        }
        // A moment of a clock that is not set yet.
        assert_eq!(expiry.look(at(9 * DAY), None, &people).erase, None);
        let (_, erased) = run(&mut expiry, &people, 9 * DAY + 10, 9 * DAY + 60, right);
        assert!(erased, "{expiry:?}");
    }
}
