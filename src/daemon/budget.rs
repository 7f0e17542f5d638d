//! Budgets against floods: how much of what outsiders cause is served, and how much of it gets an entry
//! of its own in the audit log. Pure: the time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Timestamp;

/// A token bucket: a burst, then a rate per second.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    left: f64,
    most: f64,
    per_s: f64,
    at: Timestamp,
}

impl Budget {
    pub(super) fn new(most: f64, per_s: f64) -> Self {
        Budget { left: most, most, per_s, at: Timestamp::ZERO }
    }

    /// Takes one; false when there is none.
    pub(super) fn take(&mut self, now: Timestamp) -> bool {
        self.left = (self.left + now.since(self.at).as_secs_f64() * self.per_s).min(self.most);
        self.at = self.at.max(now);
        let enough = self.left >= 1.0;
        self.left -= f64::from(u8::from(enough));
        enough
    }
}

/// How many entries a kind may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    /// At once.
    pub burst: u32,
    /// The interval after that.
    pub every: Duration,
}

impl Allowance {
    /// What an outsider can cause at will: a face at the door, a button, the gateway.
    pub const OUTSIDE: Allowance = Allowance { burst: 60, every: Duration::from_secs(120) };
    /// What the traffic of a busy door causes: exits, the door's contact, the strike's way back.
    pub const TRAFFIC: Allowance = Allowance { burst: 240, every: Duration::from_secs(20) };

    /// The most entries that a kind can have within `time`, the one that counts the rest included.
    #[cfg(test)]
    fn most(self, time: Duration) -> u64 {
        u64::from(self.burst) + (time.as_nanos() / self.every.as_nanos()) as u64 + 1
    }
}

/// What is counted together: an event, and what tells it from others of its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryKind {
    /// The event's name in the audit log.
    pub event: &'static str,
    /// Its `key=value` pairs that all of the kind have in common; often none.
    pub detail: String,
}

/// Which entries are written: each while its kind has a budget, and of the others the number.
#[derive(Debug, Default)]
pub(super) struct Quotas {
    kinds: BTreeMap<EntryKind, Quota>,
}

#[derive(Debug)]
struct Quota {
    budget: Budget,
    /// Those without an entry of their own that no entry has counted yet.
    more: u64,
}

impl Quotas {
    /// True when this one gets an entry of its own; otherwise it is counted. Those that follow one that
    /// was counted are counted as well until [`Quotas::due`] has said how many: entries keep their order.
    pub(super) fn admit(&mut self, now: Timestamp, kind: &EntryKind, allowance: Allowance) -> bool {
        if !self.kinds.contains_key(kind) {
            let per_s = 1.0 / allowance.every.as_secs_f64();
            let budget = Budget::new(f64::from(allowance.burst), per_s);
            self.kinds.insert(kind.clone(), Quota { budget, more: 0 });
        }
        let Some(quota) = self.kinds.get_mut(kind) else { return true };
        let own = quota.more == 0 && quota.budget.take(now);
        quota.more += u64::from(!own);
        own
    }

    /// What was counted and may be written now: each kind with its number.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<(EntryKind, u64)> {
        self.take(|quota| quota.budget.take(now))
    }

    /// All that was counted, whether there is a budget for it or not: for the end.
    pub(super) fn rest(&mut self) -> Vec<(EntryKind, u64)> {
        self.take(|_| true)
    }

    fn take(&mut self, mut may: impl FnMut(&mut Quota) -> bool) -> Vec<(EntryKind, u64)> {
        let counted = self.kinds.iter_mut().filter(|(_, quota)| quota.more > 0);
        let due = counted
            .filter_map(|(kind, quota)| may(quota).then(|| (kind.clone(), std::mem::take(&mut quota.more))));
        due.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(detail: &str) -> EntryKind {
        EntryKind { event: "deny", detail: detail.to_owned() }
    }

    const FEW: Allowance = Allowance { burst: 3, every: Duration::from_secs(10) };

    #[test]
    fn a_flood_has_a_few_entries_and_then_their_number() {
        let at = Timestamp::from_millis;
        let (mut quotas, flood) = (Quotas::default(), kind("reason=several_faces"));
        let own = (0..100).filter(|n| quotas.admit(at(n * 10), &flood, FEW)).count();
        assert_eq!(own, 3);
        assert!(quotas.due(at(5_000)).is_empty(), "not before its time");
        assert!(quotas.admit(at(5_000), &kind("reason=unknown"), FEW), "another kind has its own budget");
        assert_eq!(quotas.due(at(10_100)), [(flood.clone(), 97)]);
        assert!(quotas.due(at(60_000)).is_empty(), "a number is told once");
        assert!(quotas.admit(at(60_000), &flood, FEW), "and then there is a budget again");
    }

    #[test]
    fn what_follows_a_counted_one_waits_for_the_number() {
        let at = Timestamp::from_millis;
        let (mut quotas, flood) = (Quotas::default(), kind(""));
        for n in 0..4 {
            quotas.admit(at(n), &flood, FEW);
        }
        // There is a budget for one: the number of those before comes first.
        assert!(!quotas.admit(at(15_000), &flood, FEW));
        assert_eq!(quotas.due(at(15_000)), [(flood.clone(), 2)]);
        assert!(quotas.admit(at(25_000), &flood, FEW));
    }

    #[test]
    fn a_clock_that_stands_still_or_steps_back_gives_nothing() {
        let mut budget = Budget::new(1.0, 1.0);
        let at = Timestamp::from_millis;
        assert!(budget.take(at(50_000)));
        assert!(!budget.take(at(50_000)));
        assert!(!budget.take(at(10_000)), "back");
        assert!(!budget.take(at(50_100)), "what was before the step back does not count twice");
        assert!(budget.take(at(51_000)));
    }

    #[test]
    fn random_floods_keep_to_the_bound_and_lose_no_number() {
        for seed in 1..=500u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut below = |n: u64| {
                state ^= state >> 12;
                state ^= state << 25;
                state ^= state >> 27;
                (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % n
            };
            let allowance =
                Allowance { burst: 1 + below(8) as u32, every: Duration::from_millis(50 + below(5_000)) };
            let kinds: Vec<EntryKind> = (0..1 + below(4)).map(|n| kind(&format!("n={n}"))).collect();
            let mut quotas = Quotas::default();
            let mut happened = vec![0u64; kinds.len()];
            let (mut entries, mut told) = (vec![0u64; kinds.len()], vec![0u64; kinds.len()]);
            let slow = 1 + below(400);
            let mut ms = 1_000_000;
            for _ in 0..3_000 {
                ms += below(slow);
                let (n, now) = (below(kinds.len() as u64) as usize, Timestamp::from_millis(ms));
                happened[n] += 1;
                if quotas.admit(now, &kinds[n], allowance) {
                    entries[n] += 1;
                    told[n] += 1;
                }
                if below(3) == 0 {
                    for (kind, more) in quotas.due(now) {
                        let n = kinds.iter().position(|k| *k == kind).unwrap();
                        entries[n] += 1;
                        told[n] += more;
                    }
                }
            }
            let most = allowance.most(Duration::from_millis(ms - 1_000_000));
            assert!(entries.iter().all(|n| *n <= most), "seed {seed}: {entries:?}, at most {most}");
            for (kind, more) in quotas.rest() {
                told[kinds.iter().position(|k| *k == kind).unwrap()] += more;
            }
            assert_eq!(told, happened, "seed {seed}");
        }
    }
}
