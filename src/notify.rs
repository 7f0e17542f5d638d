//! What systemd is told: ready, alive, stopping. Outside systemd nothing happens.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::time::Timestamp;

/// The supervisor that started this process, if any.
#[derive(Debug)]
pub struct Supervisor {
    watchdog: Option<Duration>,
    fed: Cell<Option<Timestamp>>,
    status: RefCell<String>,
}

impl Supervisor {
    /// The supervisor that the environment names.
    pub fn from_env() -> Self {
        Supervisor {
            watchdog: sd_notify::watchdog_enabled(),
            fed: Cell::new(None),
            status: RefCell::default(),
        }
    }

    /// How often at least [`Supervisor::feed`] wants to be called: a quarter of the watchdog's time.
    pub fn interval(&self) -> Option<Duration> {
        self.watchdog.map(|time| time / 4)
    }

    /// Without a sign of life for so long it kills.
    pub fn limit(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The door works.
    pub fn ready(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// One line for `systemctl status`; the same line is sent once.
    pub fn status(&self, text: &str) {
        let line = text.replace('\n', " ");
        if *self.status.borrow() != line {
            tell(&[NotifyState::Status(&line)]);
            *self.status.borrow_mut() = line;
        }
    }

    /// The door goes out of service.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// Feeds the watchdog. The caller does so only while it gets somewhere; more often than needed is
    /// fine. True when it was told.
    pub fn feed(&self, now: Timestamp) -> bool {
        let Some(interval) = self.interval() else { return false };
        let due = self.fed.get().is_none_or(|fed| now.since(fed) >= interval);
        if due {
            self.fed.set(Some(now));
            tell(&[NotifyState::Watchdog]);
        }
        due
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        log::warn!("event=notify_failed error={:?}", error.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_limit() {
        let supervisor = |watchdog| Supervisor { watchdog, fed: Cell::new(None), status: RefCell::default() };
        assert_eq!(supervisor(Some(Duration::from_secs(10))).interval(), Some(Duration::from_millis(2_500)));
        let none = supervisor(None);
        assert_eq!(none.interval(), None);
        none.feed(Timestamp::ZERO);
        assert_eq!(none.fed.get(), None);
    }
}
