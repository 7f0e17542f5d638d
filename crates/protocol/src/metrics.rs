//! What the daemon counts about itself, for whoever watches it: numbers and names of stages, nothing
//! about a person.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use facelatch_core::time::Timestamp;

/// Upper bounds of a [`Histogram`]'s buckets in microseconds; one more bucket holds what is longer.
pub const BOUNDS_US: [u64; 15] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000,
];

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// How many fell into each bucket of [`BOUNDS_US`], and behind the last; not cumulative.
    pub counts: [u64; BOUNDS_US.len() + 1],
    /// All of them together, microseconds.
    pub sum_us: u64,
}

impl Histogram {
    /// One more.
    pub fn add(&mut self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.counts[BOUNDS_US.partition_point(|bound| *bound < us)] += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// How long a frame took, stage by stage; a stage that it did not need is missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageTimes {
    /// From the capture to the begin of the search.
    pub wait: Duration,
    /// Looking for faces.
    pub detect: Option<Duration>,
    /// Crop and network.
    pub embed: Option<Duration>,
    /// Comparing with everybody.
    pub compare: Option<Duration>,
    /// All of vision.
    pub vision: Duration,
}

/// The latency of each stage that a frame goes through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    /// From the capture to the begin of the search.
    pub wait: Histogram,
    /// Looking for faces.
    pub detect: Histogram,
    /// Crop and network.
    pub embed: Histogram,
    /// Comparing with everybody.
    pub compare: Histogram,
    /// All of vision.
    pub vision: Histogram,
    /// From the end of vision to the end of the decision and of what it asks for.
    pub decide: Histogram,
}

impl Stages {
    /// Adds a frame.
    pub fn add(&mut self, times: &StageTimes) {
        self.wait.add(times.wait);
        self.vision.add(times.vision);
        for (histogram, time) in [
            (&mut self.detect, times.detect),
            (&mut self.embed, times.embed),
            (&mut self.compare, times.compare),
        ] {
            if let Some(time) = time {
                histogram.add(time);
            }
        }
    }

    /// Each with its name.
    pub fn named(&self) -> [(&'static str, &Histogram); 6] {
        [
            ("wait", &self.wait),
            ("detect", &self.detect),
            ("embed", &self.embed),
            ("compare", &self.compare),
            ("vision", &self.vision),
            ("decide", &self.decide),
        ]
    }
}

/// What the supervisor's watchdog is given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watchdog {
    /// The time it waits, in s.
    pub limit_s: f64,
    /// The least that was left of that when it was fed, over the last one to two minutes, in s.
    pub margin_s: f64,
}

/// Everything counted since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The latency of each stage.
    pub stages: Stages,
    /// From the capture of the deciding frame to the driven strike.
    pub release: Histogram,
    /// Releases by cause: `identified`, `rex`, `hold_open`.
    pub releases: BTreeMap<String, u64>,
    /// Denials by reason, as the audit log names them.
    pub denials: BTreeMap<String, u64>,
    /// Alarms by name.
    pub alarms: BTreeMap<String, u64>,
    /// Faults by name.
    pub faults: BTreeMap<String, u64>,
    /// The watchdog, under a supervisor that has one.
    pub watchdog: Option<Watchdog>,
}

/// Adds one to what has this name.
pub fn count(counters: &mut BTreeMap<String, u64>, name: &str) {
    match counters.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counters.insert(name.to_owned(), 1);
        }
    }
}

/// The longest time between two feedings of the watchdog, in this minute and the one before.
#[derive(Debug, Default)]
pub struct Feedings {
    last: Option<Timestamp>,
    since: Option<Timestamp>,
    longest: Duration,
    before: Duration,
}

impl Feedings {
    const SPAN: Duration = Duration::from_secs(60);

    /// It was fed.
    pub fn note(&mut self, now: Timestamp) {
        if now.since(*self.since.get_or_insert(now)) >= Self::SPAN {
            self.before = std::mem::take(&mut self.longest);
            self.since = Some(now);
        }
        if let Some(last) = self.last.replace(now) {
            self.longest = self.longest.max(now.since(last));
        }
    }

    /// What was left of `limit` at the worst.
    pub fn margin(&self, limit: Duration) -> Watchdog {
        let longest = self.longest.max(self.before);
        Watchdog { limit_s: limit.as_secs_f64(), margin_s: limit.as_secs_f64() - longest.as_secs_f64() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut histogram = Histogram::default();
        for us in [0, 100, 101, 5_000_000, 5_000_001] {
            histogram.add(Duration::from_micros(us));
        }
        assert_eq!(histogram.counts[..2], [2, 1]);
        assert_eq!(histogram.counts[14..], [1, 1]);
        assert_eq!((histogram.count(), histogram.sum_us), (5, 10_000_202));
        histogram.add(Duration::MAX);
        assert_eq!(histogram.counts[15], 2);
    }

    #[test]
    fn the_margin_is_the_worst_of_two_minutes() {
        let at = |s: u64| Timestamp::ZERO + Duration::from_secs(s);
        let limit = Duration::from_secs(10);
        let mut feedings = Feedings::default();
        assert_eq!(feedings.margin(limit).margin_s, 10.0);
        for s in [1, 3, 10, 12] {
            feedings.note(at(s));
        }
        assert_eq!(feedings.margin(limit).margin_s, 3.0);
        for s in (14..200).step_by(2) {
            feedings.note(at(s));
        }
        assert_eq!(feedings.margin(limit).margin_s, 8.0);
    }
}
