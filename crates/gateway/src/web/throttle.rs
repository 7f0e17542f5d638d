//! How often a password may be tried.
//!
//! Guessing is slowed down, and nobody is locked out: a try waits for its turn and is then answered, so the
//! right password gets through after others' wrong ones. That matters where many share an address, as with
//! `ssh -L`. A browser that has logged in before has turns of its own and does not wait for others.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;

use crate::secret::Fingerprint;
use facelatch_core::time::Timestamp;
use facelatch_host::lock::lock;

/// Tries that do not wait.
const FREE_ATTEMPTS: u32 = 4;
/// The longest pause between two tries from one place.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// A try whose turn would come later than this is turned away.
const MAX_WAIT: Duration = Duration::from_secs(25);
/// All addresses together: this many tries at once, then one every [`REFILL`].
const BURST: u32 = 10;
const REFILL: Duration = Duration::from_secs(2);
/// A place without a try for this long starts over.
const FORGET_AFTER: Duration = Duration::from_secs(900);
/// Places remembered.
const MAX_SOURCES: usize = 1_024;

/// Where a try comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoginSource {
    /// A browser from which the right password was given before.
    Device(Fingerprint),
    /// Any other, by its address. A host has 2^64 addresses of IPv6 for the asking: they are one.
    Address(IpAddr),
}

impl LoginSource {
    /// The place of this address.
    pub fn address(address: IpAddr) -> Self {
        LoginSource::Address(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
            v4 => v4,
        })
    }
}

#[derive(Default)]
struct Attempts {
    /// The turn of each place's latest try, and how many there were that were not right, or not yet.
    places: HashMap<LoginSource, (Timestamp, u32)>,
    /// When all addresses together would have used up what they had, at one try in [`REFILL`].
    used_until: Timestamp,
}

/// The turns of everybody who tries.
#[derive(Default)]
pub struct LoginThrottle(Mutex<Attempts>);

fn pause(tries: u32) -> Duration {
    let doubled = tries.checked_sub(FREE_ATTEMPTS).map(|beyond| Duration::from_secs(1 << beyond.min(10)));
    doubled.unwrap_or_default().min(MAX_PAUSE)
}

impl LoginThrottle {
    /// How long this try has to wait for its turn.
    ///
    /// # Errors
    /// When that is too long to wait here: after how long another try is worth it.
    pub fn turn(&self, place: LoginSource, now: Timestamp) -> Result<Duration, Duration> {
        let mut attempts = lock(&self.0);
        let recent = |(turn, _): &(Timestamp, u32)| now.since(*turn) < FORGET_AFTER;
        let before = attempts.places.get(&place).copied().filter(recent);
        let own = before.map_or(now, |(turn, tries)| turn + pause(tries));
        let shared = match place {
            LoginSource::Device(_) => now,
            LoginSource::Address(_) => attempts.used_until - REFILL * (BURST - 1),
        };
        let turn = own.max(shared).max(now);
        let wait = turn.since(now);
        if wait > MAX_WAIT {
            return Err(wait - MAX_WAIT);
        }
        if before.is_none() && attempts.places.len() >= MAX_SOURCES {
            attempts.make_room(now);
        }
        attempts.places.insert(place, (turn, before.map_or(1, |(_, tries)| tries.saturating_add(1))));
        if matches!(place, LoginSource::Address(_)) {
            attempts.used_until = attempts.used_until.max(now) + REFILL;
        }
        Ok(wait)
    }

    /// The password given from there was the right one: nothing of what was tried from there counts.
    pub fn succeeded(&self, place: LoginSource) {
        let mut attempts = lock(&self.0);
        attempts.places.remove(&place);
        if matches!(place, LoginSource::Address(_)) {
            attempts.used_until = attempts.used_until - REFILL;
        }
    }
}

impl Attempts {
    fn make_room(&mut self, now: Timestamp) {
        self.places.retain(|_, (turn, _)| now.since(*turn) < FORGET_AFTER);
        while self.places.len() >= MAX_SOURCES {
            // Devices are few, and cannot be made up.
            let is_device = |place: &LoginSource| matches!(place, LoginSource::Device(_));
            let oldest = self.places.iter().min_by_key(|(place, (turn, _))| (is_device(place), *turn));
            let Some(oldest) = oldest.map(|(place, _)| *place) else { return };
            self.places.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(s)
    }

    fn host(n: u32) -> LoginSource {
        LoginSource::address(IpAddr::V4(n.into()))
    }

    #[test]
    fn a_few_wrong_ones_cost_seconds_and_the_wait_does_not_grow_beyond_ten() {
        let throttle = LoginThrottle::default();
        let (mut now, mut waits) = (at(1_000), Vec::new());
        for _ in 0..12 {
            let wait = throttle.turn(host(1), now).unwrap();
            waits.push(wait.as_secs());
            now = now + wait;
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 10, 10, 10, 10]);
        assert_eq!(throttle.turn(host(2), now), Ok(Duration::ZERO), "another address does not wait");
        assert_eq!(throttle.turn(host(1), now + MAX_PAUSE), Ok(Duration::ZERO), "nor this one, later");
        throttle.succeeded(host(1));
        for _ in 0..FREE_ATTEMPTS {
            assert_eq!(throttle.turn(host(1), now + MAX_PAUSE), Ok(Duration::ZERO));
        }
    }

    #[test]
    fn five_hundred_at_once_leave_a_short_line_behind() {
        let throttle = LoginThrottle::default();
        let now = at(1_000);
        let answers: Vec<_> = (0..500).map(|_| throttle.turn(host(1), now)).collect();
        let served: Vec<u64> = answers.iter().flatten().map(Duration::as_secs).collect();
        assert_eq!(served, [0, 0, 0, 0, 1, 3, 7, 15, 25]);
        let later = answers.last().unwrap().unwrap_err();
        assert_eq!(later, Duration::from_secs(10), "until there is room in the line");
        // Nobody is kept waiting for what others tried long ago.
        assert_eq!(throttle.turn(host(1), now + later + MAX_WAIT + FORGET_AFTER), Ok(Duration::ZERO));
    }

    #[test]
    fn who_comes_after_a_flood_waits_for_the_line_to_end_and_no_longer() {
        let (throttle, now) = (LoginThrottle::default(), at(1_000));
        let later = (0..500).filter_map(|_| throttle.turn(host(1), now).err()).last().unwrap();
        let wait = throttle.turn(host(1), now + later).unwrap();
        assert_eq!(wait, MAX_WAIT);
    }

    #[test]
    fn all_addresses_together_have_a_budget_and_a_known_device_does_not_need_it() {
        let throttle = LoginThrottle::default();
        let served = |throttle: &LoginThrottle, from: u32, now| {
            (from..from + 2_000).filter(|n| throttle.turn(host(*n), now).is_ok()).count()
        };
        // Those that are served at once, and those whose turn comes within the longest wait.
        let at_once = BURST as usize + 12;
        assert_eq!(served(&throttle, 0, at(1_000)), at_once);
        assert_eq!(served(&throttle, 10_000, at(1_000)), 0);
        let device = LoginSource::Device(Fingerprint::of("a device"));
        assert_eq!(throttle.turn(device, at(1_000)), Ok(Duration::ZERO));
        let mut all = at_once;
        for s in 1_001..4_600 {
            all += served(&throttle, s as u32 * 10_000, at(s));
        }
        assert!((1_800..1_850).contains(&all), "{all} in an hour");
        assert!(throttle.0.lock().unwrap().places.len() <= MAX_SOURCES);
        // A device can be stolen: it has no more than an address has.
        let tries = (0..100).filter(|_| throttle.turn(device, at(5_000)).is_ok()).count();
        assert_eq!(tries, 9);
    }

    #[test]
    fn a_network_of_ipv6_is_one_place_and_mapped_addresses_are_what_they_map() {
        let place = |text: &str| LoginSource::address(text.parse().unwrap());
        assert!(place("2001:db8::1") == place("2001:db8::ffff:1"));
        assert!(place("2001:db8::1") != place("2001:db8:0:1::1"));
        assert!(place("::ffff:192.0.2.1") == place("192.0.2.1"));
    }
}
