//! Login sessions.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::error::GatewayError;
use crate::secret::{Fingerprint, token};
use facelatch_core::time::Timestamp;
use facelatch_host::lock::lock;

/// Sessions at a time; the one used longest ago makes room.
const MAX_SESSIONS: usize = 64;
/// A session ends after this long, used or not.
const MAX_AGE: Duration = Duration::from_secs(12 * 3_600);

/// Somebody who is logged in.
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
    /// Sessions that end after this long without use.
    pub fn new(idle: Duration) -> Self {
        Sessions { idle, held: Mutex::default() }
    }

    /// Begins a session; its token goes into the cookie.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn begin(&self, now: Timestamp) -> Result<String, GatewayError> {
        let (word, csrf) = (token()?, token()?);
        let mut held = lock(&self.held);
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
        now.since(held.used) < self.idle && now.since(held.begun) < MAX_AGE
    }

    /// The session of this token. `used`: it counts as used.
    pub fn find(&self, token: &str, now: Timestamp, used: bool) -> Option<Session> {
        let mut held = lock(&self.held);
        let found = held.1.get_mut(&Fingerprint::of(token))?;
        if !self.lasts(found, now) {
            return None;
        }
        if used {
            found.used = now;
        }
        Some(found.session.clone())
    }

    /// Ends every session; how many there were.
    pub fn end_all(&self) -> usize {
        lock(&self.held).1.drain().count()
    }

    /// Ends the session of this token.
    pub fn end(&self, token: &str) {
        lock(&self.held).1.remove(&Fingerprint::of(token));
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
        while used < 200 + MAX_AGE.as_secs() - 60 {
            used += 50;
            assert!(sessions.find(&two, at(used), true).is_some(), "{used}");
        }
        assert!(sessions.find(&two, at(200 + MAX_AGE.as_secs()), true).is_none(), "used or not");
        let three = sessions.begin(at(90_000)).unwrap();
        sessions.end(&three);
        assert!(sessions.find(&three, at(90_000), true).is_none());
        let tokens: Vec<_> =
            (0..MAX_SESSIONS as u64 + 1).map(|n| sessions.begin(at(100_000 + n / 8)).unwrap()).collect();
        let now = at(100_020);
        let open = || tokens.iter().filter(|t| sessions.find(t, now, false).is_some()).count();
        assert_eq!(open(), MAX_SESSIONS);
        assert_eq!((sessions.end_all(), open()), (MAX_SESSIONS, 0));
    }
}
