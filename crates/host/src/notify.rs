//! Messages to systemd: ready, alive, stopping. Outside systemd nothing happens.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use sd_notify::NotifyState;

use facelatch_core::time::Timestamp;

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

    /// It kills after this long without a sign of life.
    pub fn limit(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The door works.
    pub fn ready(&self) {
        tell(&NotifyState::Ready);
    }

    /// One line for `systemctl status`; the same line is sent once.
    pub fn status(&self, text: &str) {
        let line = text.replace('\n', " ");
        if *self.status.borrow() != line {
            tell(&NotifyState::Status(&line));
            *self.status.borrow_mut() = line;
        }
    }

    /// The door goes out of service.
    pub fn stopping(&self) {
        tell(&NotifyState::Stopping);
    }

    /// Feeds the watchdog. The caller does so only while it gets somewhere; more often than needed is
    /// fine. True when it was told.
    pub fn feed(&self, now: Timestamp) -> bool {
        let Some(interval) = self.interval() else { return false };
        let due = self.fed.get().is_none_or(|fed| now.since(fed) >= interval);
        if due {
            self.fed.set(Some(now));
            tell(&NotifyState::Watchdog);
        }
        due
    }
}

fn tell(state: &NotifyState<'_>) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(Path::new(&socket), state) {
        log::warn!("event=notify_failed error={:?}", error.to_string());
    }
}

/// Sends without waiting, unlike `sd_notify::notify`: a service manager that reads no more must not hold up
/// the thread that owns the strike.
fn send(socket: &Path, state: &NotifyState<'_>) -> io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    sender.connect(socket)?;
    sender.send(format!("{state}\n").as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_that_reads_no_more_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let mut told = 0;
        let full = loop {
            match send(&path, &NotifyState::Watchdog) {
                Ok(()) => told += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        let mut word = [0; 64];
        let count = manager.recv(&mut word).unwrap();
        assert_eq!(&word[..count], b"WATCHDOG=1\n", "the first of {told}");
        send(&path, &NotifyState::Watchdog).unwrap();
    }

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
