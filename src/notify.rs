//! Talking to the service manager: ready, alive, stopping, status. Nothing happens outside systemd.

use std::time::Duration;

use log::warn;
use sd_notify::NotifyState;

/// The service manager's ear.
#[derive(Debug)]
pub struct Notify {
    watchdog: Option<Duration>,
    status: String,
}

impl Notify {
    /// Reads from the environment whether a service manager listens and how often it wants to hear.
    pub fn from_env() -> Self {
        Notify { watchdog: sd_notify::watchdog_enabled(), status: String::new() }
    }

    /// How often [`Notify::alive`] must be called at least: half the manager's limit; `None` when it
    /// sets none.
    pub fn interval(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    /// The door works: what was ordered after this service may start.
    pub fn ready(&self) {
        send(&[NotifyState::Ready]);
    }

    /// Frames progress and the controller answers. To be called for that reason only, never by a
    /// timer alone: a heartbeat that outlives the camera is the fault it should uncover.
    pub fn alive(&self) {
        if self.watchdog.is_some() {
            send(&[NotifyState::Watchdog]);
        }
    }

    /// The service ends on purpose.
    pub fn stopping(&self) {
        send(&[NotifyState::Stopping]);
    }

    /// One line for `systemctl status`; the same line is sent once.
    pub fn status(&mut self, text: &str) {
        let line = text.replace('\n', " ");
        if line != self.status {
            send(&[NotifyState::Status(&line)]);
            self.status = line;
        }
    }
}

fn send(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!("service manager not reached reason=\"{error}\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_limit() {
        let notify = |watchdog| Notify { watchdog, status: String::new() };
        assert_eq!(notify(Some(Duration::from_secs(10))).interval(), Some(Duration::from_secs(5)));
        assert_eq!(notify(None).interval(), None);
    }
}
