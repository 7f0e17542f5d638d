//! How often a password may be tried.
//!
//! Guessing is made slow, and nobody is locked out for it: a try waits for its turn and is then answered,
//! so that the right password comes through after others' wrong ones. That matters where many share an
//! address, as everybody does who comes by `ssh -L`. A browser that has logged in before has turns of its
//! own and waits for nobody else's.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;

use crate::secret::Fingerprint;
use crate::sync::lock;
use facelatch_core::time::Timestamp;

/// Tries that do not wait.
const FREE: u32 = 4;
/// The longest pause between two tries from one place.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A try whose turn would come later than this is turned away.
const LONGEST_WAIT: Duration = Duration::from_secs(25);
/// All addresses together: so many tries at once, and then one in so long.
const AT_ONCE: u32 = 10;
const ONE_IN: Duration = Duration::from_secs(2);
/// After so long without a try a place is as good as new.
const FORGOTTEN: Duration = Duration::from_secs(900);
/// Places remembered.
const MAX_PLACES: usize = 1_024;

/// Where a try comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// A browser from which the right password was given before.
    Device(Fingerprint),
    /// Any other, by its address. A host has 2^64 addresses of IPv6 for the asking: they are one.
    Address(IpAddr),
}

impl Place {
    /// The place of this address.
    pub fn address(address: IpAddr) -> Self {
        Place::Address(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
            v4 => v4,
        })
    }
}

#[derive(Default)]
struct Tried {
    /// The turn of each place's latest try, and how many there were that were not right, or not yet.
    places: HashMap<Place, (Timestamp, u32)>,
    /// When all addresses together would have used up what they had, at one try in [`ONE_IN`].
    used_until: Timestamp,
}

/// The turns of everybody who tries.
#[derive(Default)]
pub struct Guesses(Mutex<Tried>);

fn pause(tries: u32) -> Duration {
    let doubled = tries.checked_sub(FREE).map(|beyond| Duration::from_secs(1 << beyond.min(10)));
    doubled.unwrap_or_default().min(LONGEST_PAUSE)
}

impl Guesses {
    /// How long this try has to wait for its turn.
    ///
    /// # Errors
    /// When that is too long to wait here: after how long another try is worth it.
    pub fn turn(&self, place: Place, now: Timestamp) -> Result<Duration, Duration> {
        let mut tried = lock(&self.0);
        let recent = |(turn, _): &(Timestamp, u32)| now.since(*turn) < FORGOTTEN;
        let before = tried.places.get(&place).copied().filter(recent);
        let own = before.map_or(now, |(turn, tries)| turn + pause(tries));
        let shared = match place {
            Place::Device(_) => now,
            Place::Address(_) => tried.used_until - ONE_IN * (AT_ONCE - 1),
        };
        let turn = own.max(shared).max(now);
        let wait = turn.since(now);
        if wait > LONGEST_WAIT {
            return Err(wait - LONGEST_WAIT);
        }
        if before.is_none() && tried.places.len() >= MAX_PLACES {
            tried.make_room(now);
        }
        tried.places.insert(place, (turn, before.map_or(1, |(_, tries)| tries.saturating_add(1))));
        if matches!(place, Place::Address(_)) {
            tried.used_until = tried.used_until.max(now) + ONE_IN;
        }
        Ok(wait)
    }

    /// The password given from there was the right one: nothing of what was tried from there counts.
    pub fn right(&self, place: Place) {
        let mut tried = lock(&self.0);
        tried.places.remove(&place);
        if matches!(place, Place::Address(_)) {
            tried.used_until = tried.used_until - ONE_IN;
        }
    }
}

impl Tried {
    fn make_room(&mut self, now: Timestamp) {
        self.places.retain(|_, (turn, _)| now.since(*turn) < FORGOTTEN);
        while self.places.len() >= MAX_PLACES {
            // Devices are few, and cannot be made up.
            let is_device = |place: &Place| matches!(place, Place::Device(_));
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

    fn host(n: u32) -> Place {
        Place::address(IpAddr::V4(n.into()))
    }

    #[test]
    fn a_few_wrong_ones_cost_seconds_and_the_wait_does_not_grow_beyond_ten() {
        let guesses = Guesses::default();
        let (mut now, mut waits) = (at(1_000), Vec::new());
        for _ in 0..12 {
            let wait = guesses.turn(host(1), now).unwrap();
            waits.push(wait.as_secs());
            now = now + wait;
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 10, 10, 10, 10]);
        assert_eq!(guesses.turn(host(2), now), Ok(Duration::ZERO), "another address does not wait");
        assert_eq!(guesses.turn(host(1), now + LONGEST_PAUSE), Ok(Duration::ZERO), "nor this one, later");
        guesses.right(host(1));
        for _ in 0..FREE {
            assert_eq!(guesses.turn(host(1), now + LONGEST_PAUSE), Ok(Duration::ZERO));
        }
    }

    #[test]
    fn five_hundred_at_once_leave_a_short_line_behind() {
        let guesses = Guesses::default();
        let now = at(1_000);
        let answers: Vec<_> = (0..500).map(|_| guesses.turn(host(1), now)).collect();
        let served: Vec<u64> = answers.iter().flatten().map(Duration::as_secs).collect();
        assert_eq!(served, [0, 0, 0, 0, 1, 3, 7, 15, 25]);
        let later = answers.last().unwrap().unwrap_err();
        assert_eq!(later, Duration::from_secs(10), "until there is room in the line");
        // Nobody is kept waiting for what others tried long ago.
        assert_eq!(guesses.turn(host(1), now + later + LONGEST_WAIT + FORGOTTEN), Ok(Duration::ZERO));
    }

    #[test]
    fn who_comes_after_a_flood_waits_for_the_line_to_end_and_no_longer() {
        let (guesses, now) = (Guesses::default(), at(1_000));
        let later = (0..500).filter_map(|_| guesses.turn(host(1), now).err()).last().unwrap();
        let wait = guesses.turn(host(1), now + later).unwrap();
        assert_eq!(wait, LONGEST_WAIT);
    }

    #[test]
    fn all_addresses_together_have_a_budget_and_a_known_device_does_not_need_it() {
        let guesses = Guesses::default();
        let served = |guesses: &Guesses, from: u32, now| {
            (from..from + 2_000).filter(|n| guesses.turn(host(*n), now).is_ok()).count()
        };
        // Those that are served at once, and those whose turn comes within the longest wait.
        let at_once = AT_ONCE as usize + 12;
        assert_eq!(served(&guesses, 0, at(1_000)), at_once);
        assert_eq!(served(&guesses, 10_000, at(1_000)), 0);
        let device = Place::Device(Fingerprint::of("a device"));
        assert_eq!(guesses.turn(device, at(1_000)), Ok(Duration::ZERO));
        let mut all = at_once;
        for s in 1_001..4_600 {
            all += served(&guesses, s as u32 * 10_000, at(s));
        }
        assert!((1_800..1_850).contains(&all), "{all} in an hour");
        assert!(guesses.0.lock().unwrap().places.len() <= MAX_PLACES);
        // A device can be stolen: it has no more than an address has.
        let tries = (0..100).filter(|_| guesses.turn(device, at(5_000)).is_ok()).count();
        assert_eq!(tries, 9);
    }

    #[test]
    fn a_network_of_ipv6_is_one_place_and_mapped_addresses_are_what_they_map() {
        let place = |text: &str| Place::address(text.parse().unwrap());
        assert!(place("2001:db8::1") == place("2001:db8::ffff:1"));
        assert!(place("2001:db8::1") != place("2001:db8:0:1::1"));
        assert!(place("::ffff:192.0.2.1") == place("192.0.2.1"));
    }
}
