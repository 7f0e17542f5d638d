//! Who may start an enrolment by the button.
//!
//! Enrolling somebody gives them the door: the button alone does not authorise. It counts for a
//! while after an operator said so or an enrolled administrator's face was identified, for one enrolment
//! each time, and for as long as a key switch or jumper on a line of its own is closed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What the button needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ButtonPolicy {
    /// An operator's word, an administrator's face, or the key line.
    #[default]
    Authorised,
    /// Nothing: whoever can press it can enrol anybody (the reference system).
    Anyone,
    /// It never starts an enrolment.
    Nobody,
}

/// The numbers of the button's authorisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ButtonRules {
    /// What it needs.
    pub policy: ButtonPolicy,
    /// How long an administrator's face counts, and the longest time an operator can ask for.
    pub window: Duration,
}

impl Default for ButtonRules {
    fn default() -> Self {
        ButtonRules { policy: ButtonPolicy::Authorised, window: Duration::from_secs(60) }
    }
}

/// Whether the button starts an enrolment.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enrol {
    /// It does.
    Granted,
    /// It does not.
    Refused,
}

/// What has been authorised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Authority {
    rules: ButtonRules,
    until: Option<Timestamp>,
    key: bool,
}

impl Authority {
    /// Nothing yet.
    pub fn new(rules: ButtonRules) -> Self {
        Authority { rules, until: None, key: false }
    }

    /// The button counts for this long, at most the rules' window; zero revokes it. Returns how long.
    pub fn allow(&mut self, now: Timestamp, time: Duration) -> Duration {
        let time = time.min(self.rules.window);
        self.until = (!time.is_zero()).then(|| now + time);
        time
    }

    /// An administrator was identified; true when this opens a window that was closed.
    pub fn on_administrator(&mut self, now: Timestamp) -> bool {
        let news = self.left(now).is_none();
        self.until = Some(now + self.rules.window);
        news && self.rules.policy == ButtonPolicy::Authorised
    }

    /// The key line moved.
    pub fn set_key(&mut self, active: bool) {
        self.key = active;
    }

    /// How long the button counts without the key.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        self.until.map(|until| until.since(now)).filter(|left| !left.is_zero())
    }

    /// The button was pressed. An enrolment uses up what an operator or an administrator granted.
    pub fn press(&mut self, now: Timestamp) -> Enrol {
        let granted = match self.rules.policy {
            ButtonPolicy::Anyone => true,
            ButtonPolicy::Nobody => false,
            ButtonPolicy::Authorised => self.key || self.left(now).is_some(),
        };
        if granted {
            self.until = None;
            Enrol::Granted
        } else {
            Enrol::Refused
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Timestamp = |s| Timestamp::from_millis(s * 1_000);

    fn authority(policy: ButtonPolicy) -> Authority {
        Authority::new(ButtonRules { policy, window: Duration::from_secs(60) })
    }

    #[test]
    fn table() {
        type Prepare = fn(&mut Authority);
        let nothing: Prepare = |_| {};
        let word: Prepare = |a| assert_eq!(a.allow(S(0), Duration::from_secs(20)), Duration::from_secs(20));
        let face: Prepare = |a| {
            let _ = a.on_administrator(S(0));
        };
        let key: Prepare = |a| a.set_key(true);
        for (name, policy, prepare, at, expected) in [
            ("nothing said", ButtonPolicy::Authorised, nothing, 1, Enrol::Refused),
            ("an operator's word", ButtonPolicy::Authorised, word, 19, Enrol::Granted),
            ("and its end", ButtonPolicy::Authorised, word, 20, Enrol::Refused),
            ("an administrator's face", ButtonPolicy::Authorised, face, 59, Enrol::Granted),
            ("and its end", ButtonPolicy::Authorised, face, 60, Enrol::Refused),
            ("the key", ButtonPolicy::Authorised, key, 9_999, Enrol::Granted),
            ("anyone", ButtonPolicy::Anyone, nothing, 1, Enrol::Granted),
            ("nobody", ButtonPolicy::Nobody, key, 1, Enrol::Refused),
            ("nobody, whatever is said", ButtonPolicy::Nobody, face, 1, Enrol::Refused),
        ] {
            let mut authority = authority(policy);
            prepare(&mut authority);
            assert_eq!(authority.press(S(at)), expected, "{name}");
        }
    }

    #[test]
    fn what_was_granted_counts_once_and_the_key_as_long_as_it_is_closed() {
        let mut a = authority(ButtonPolicy::Authorised);
        let _ = a.allow(S(0), Duration::from_secs(3_600));
        assert_eq!(a.left(S(0)), Some(Duration::from_secs(60)), "no longer than the rules say");
        assert_eq!([a.press(S(1)), a.press(S(2))], [Enrol::Granted, Enrol::Refused]);
        let _ = a.allow(S(3), Duration::from_secs(30));
        let _ = a.allow(S(4), Duration::ZERO);
        assert_eq!(a.press(S(5)), Enrol::Refused, "taken back");
        a.set_key(true);
        assert_eq!([a.press(S(6)), a.press(S(7))], [Enrol::Granted, Enrol::Granted]);
        a.set_key(false);
        assert_eq!(a.press(S(8)), Enrol::Refused);
    }
}
