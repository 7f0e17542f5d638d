//! Who is logged in, and how often somebody may try.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::gateway::GatewayError;
use crate::gateway::secret::{Fingerprint, token};
use crate::time::Timestamp;

/// Sessions at a time; the one used longest ago makes room.
const MAX_SESSIONS: usize = 64;
/// A session ends after so long, used or not.
const LONGEST: Duration = Duration::from_secs(12 * 3_600);
/// Wrong passwords that cost nothing yet.
const FREE: u32 = 4;
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(900);
/// Addresses remembered.
const MAX_ADDRESSES: usize = 1_024;

/// One who is logged in.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// What its forms must carry.
    pub csrf: String,
    /// For the access log: says which session, and opens none.
    pub number: u64,
}

struct Held {
    session: Session,
    begun: Timestamp,
    used: Timestamp,
}

/// Everybody who is logged in. The tokens themselves are not kept.
pub struct Sessions {
    idle: Duration,
    held: Mutex<(u64, HashMap<Fingerprint, Held>)>,
}

impl Sessions {
    /// Sessions that end after so long without use.
    pub fn new(idle: Duration) -> Self {
        Sessions { idle, held: Mutex::default() }
    }

    /// Begins a session; its token goes into the cookie.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn begin(&self, now: Timestamp) -> Result<String, GatewayError> {
        let (word, csrf) = (token()?, token()?);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.1.retain(|_, h| self.lasts(h, now));
        if held.1.len() >= MAX_SESSIONS
            && let Some(oldest) = held.1.iter().min_by_key(|(_, h)| h.used).map(|(key, _)| *key)
        {
            held.1.remove(&oldest);
        }
        held.0 += 1;
        let session = Session { csrf, number: held.0 };
        held.1.insert(Fingerprint::of(&word), Held { session, begun: now, used: now });
        Ok(word)
    }

    fn lasts(&self, held: &Held, now: Timestamp) -> bool {
        now.since(held.used) < self.idle && now.since(held.begun) < LONGEST
    }

    /// The session of this token. `used`: it counts as used.
    pub fn find(&self, token: &str, now: Timestamp, used: bool) -> Option<Session> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let found = held.1.get_mut(&Fingerprint::of(token))?;
        if !self.lasts(found, now) {
            return None;
        }
        if used {
            found.used = now;
        }
        Some(found.session.clone())
    }

    /// Ends the session of this token.
    pub fn end(&self, token: &str) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&Fingerprint::of(token));
    }
}

/// Wrong passwords by address: each further one doubles the wait.
#[derive(Default)]
pub struct Throttle {
    wrong: Mutex<HashMap<IpAddr, (u32, Timestamp)>>,
}

impl Throttle {
    /// How long this address has to wait.
    pub fn wait(&self, address: IpAddr, now: Timestamp) -> Option<Duration> {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, at) = wrong.get(&network(address))?;
        let wait = Duration::from_secs(1 << count.checked_sub(FREE)?.min(20)).min(LONGEST_WAIT);
        let left = (*at + wait).since(now);
        (!left.is_zero()).then_some(left)
    }

    /// A password was given.
    pub fn note(&self, address: IpAddr, right: bool, now: Timestamp) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if right {
            wrong.remove(&network(address));
            return;
        }
        wrong.retain(|_, (_, at)| now.since(*at) < 2 * LONGEST_WAIT);
        if wrong.len() >= MAX_ADDRESSES
            && let Some(oldest) = wrong.iter().min_by_key(|(_, (_, at))| *at).map(|(key, _)| *key)
        {
            wrong.remove(&oldest);
        }
        let entry = wrong.entry(network(address)).or_insert((0, now));
        *entry = (entry.0.saturating_add(1), now);
    }
}

/// A host has 2^64 addresses of IPv6 for the asking.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(s)
    }

    #[test]
    fn a_session_ends_by_itself_by_logout_and_to_make_room() {
        let sessions = Sessions::new(Duration::from_secs(60));
        let one = sessions.begin(at(0)).unwrap();
        assert!(sessions.find("another", at(1), true).is_none());
        assert!(sessions.find(&one, at(59), true).is_some());
        assert!(sessions.find(&one, at(100), false).is_some(), "a look does not prolong it");
        assert!(sessions.find(&one, at(119), false).is_none());
        let mut used = 200;
        let two = sessions.begin(at(used)).unwrap();
        while used < 200 + LONGEST.as_secs() - 60 {
            used += 50;
            assert!(sessions.find(&two, at(used), true).is_some(), "{used}");
        }
        assert!(sessions.find(&two, at(200 + LONGEST.as_secs()), true).is_none(), "used or not");
        let three = sessions.begin(at(90_000)).unwrap();
        sessions.end(&three);
        assert!(sessions.find(&three, at(90_000), true).is_none());
        let tokens: Vec<_> =
            (0..MAX_SESSIONS as u64 + 1).map(|n| sessions.begin(at(100_000 + n / 8)).unwrap()).collect();
        let now = at(100_020);
        assert_eq!(tokens.iter().filter(|t| sessions.find(t, now, false).is_some()).count(), MAX_SESSIONS);
    }

    #[test]
    fn each_wrong_password_doubles_the_wait() {
        let throttle = Throttle::default();
        let host: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..FREE - 1 {
            throttle.note(host, false, at(0));
        }
        assert_eq!(throttle.wait(host, at(0)), None);
        let mut waits = Vec::new();
        for _ in 0..12 {
            throttle.note(host, false, at(0));
            waits.push(throttle.wait(host, at(0)).unwrap().as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
        assert_eq!(throttle.wait(host, at(901)), None);
        assert_eq!(throttle.wait("192.0.2.2".parse().unwrap(), at(0)), None, "others do not wait");
        throttle.note(host, true, at(2));
        assert_eq!(throttle.wait(host, at(2)), None);
        let neighbours = ["2001:db8::1", "2001:db8::ffff:1"].map(|a| network(a.parse().unwrap()));
        assert_eq!(neighbours[0], neighbours[1]);
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), host);
        for n in 0..3_000u32 {
            throttle.note(IpAddr::V4(n.into()), false, at(3));
        }
        assert!(throttle.wrong.lock().unwrap().len() <= MAX_ADDRESSES);
    }
}
