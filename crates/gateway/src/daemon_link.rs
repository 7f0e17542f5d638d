//! The gateway's side of the daemon's socket (`docs/reference/protocol.md`).

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::sync::Monitor;
use facelatch_audit::Entry;
use facelatch_host::backoff::Backoff;
use facelatch_protocol::client::Client;
pub use facelatch_protocol::client::LinkError;
use facelatch_protocol::{Entries, Hello, PROTOCOL, Reply, Request, State, View};

/// The daemon tells a watcher of its state several times a second while frames come, and at least this
/// often otherwise: silence means that it hangs.
const SILENCE: Duration = Duration::from_secs(15);
/// No enrolment is longer (`enrolment.timeout_ms` of the daemon goes up to 600 s).
pub const LONGEST_ENROLMENT: Duration = Duration::from_secs(620);
/// Pauses between two attempts to reach the daemon: the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// What a watcher gets.
#[derive(Clone, Debug)]
pub enum LinkUpdate {
    /// The daemon answers.
    Up(Hello),
    /// It does not any more, or not yet.
    Down(String),
    /// How the door is.
    State(Box<State>),
    /// The next entry of the audit log.
    Entry(Box<Entry>),
    /// What the door sees.
    View(Box<View>),
}

/// What to watch.
#[derive(Clone, Copy, Debug, Default)]
pub struct WatchOptions {
    /// The last entry of the audit log that is at hand; without it, entries from now on.
    pub since: Option<u64>,
    /// With pictures.
    pub picture: bool,
}

/// Tells threads to stop, and wakes those who sleep.
#[derive(Debug, Default)]
pub struct StopSignal(Monitor<bool>);

impl StopSignal {
    /// From now on.
    pub fn stop(&self) {
        self.0.change(|stopped| *stopped = true);
    }

    /// True when it is time to.
    pub fn is_set(&self) -> bool {
        *self.0.lock()
    }

    /// Sleeps, unless it is time to stop; true then.
    pub fn sleep(&self, time: Duration) -> bool {
        *self.0.wait_while(time, |stopped| !*stopped)
    }
}

/// The gateway's way to the door: requests, and watching it over its restarts.
#[derive(Clone, Debug)]
pub struct DaemonLink(Client);

impl DaemonLink {
    /// By the socket at this path.
    pub fn new(path: &Path) -> Self {
        DaemonLink(Client::new(path))
    }

    /// Asks, tells `progress` what is said in between, and returns the answer. When it is `given_up` or
    /// `progress` breaks, the connection ends, which cancels an enrolment.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn ask_with(
        &self,
        request: &Request,
        patience: Duration,
        given_up: impl Fn() -> bool,
        progress: impl FnMut(&str) -> ControlFlow<()>,
    ) -> Result<serde_json::Value, LinkError> {
        self.0.clone().within(patience).ask_with(request, given_up, progress)
    }

    /// Asks what is answered at once.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, LinkError> {
        self.0.ask(request)
    }

    /// Which daemon answers, and what it lets this gateway do.
    ///
    /// # Errors
    /// When none answers, or one of another protocol.
    pub fn hello(&self) -> Result<Hello, LinkError> {
        self.ask(&Request::Hello { protocol: PROTOCOL })
    }

    /// The last entry of the audit log.
    fn head(&self) -> Option<u64> {
        self.ask(&Request::Entries { since: u64::MAX, limit: 0 }).ok().map(|entries: Entries| entries.head)
    }

    /// Watches the door until it is `given_up`, `on` breaks or the connection ends.
    ///
    /// # Errors
    /// Why it ended.
    pub fn watch(
        &self,
        want: WatchOptions,
        given_up: impl Fn() -> bool,
        mut on: impl FnMut(LinkUpdate) -> ControlFlow<()>,
    ) -> Result<(), LinkError> {
        let request = Request::Watch { since: want.since, picture: want.picture };
        let watched = self.0.clone().within(SILENCE).follow(&request, given_up, |reply| match reply {
            Reply::State { state } => on(LinkUpdate::State(state)),
            Reply::Entry { entry } => on(LinkUpdate::Entry(entry)),
            Reply::View { view } => on(LinkUpdate::View(view)),
            _ => ControlFlow::Continue(()),
        });
        watched.map(|_| ())
    }

    /// Watches the door across its restarts, until `stop` or until `on` breaks. Entries go on
    /// where they ended: `on` gets each one once, in order.
    pub fn follow(
        &self,
        mut want: WatchOptions,
        stop: &StopSignal,
        mut on: impl FnMut(LinkUpdate) -> ControlFlow<()>,
    ) {
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        let mut told_down = false;
        while !stop.is_set() {
            let mut broke = false;
            let error = match self.hello() {
                Ok(hello) => {
                    if on(LinkUpdate::Up(hello)).is_break() {
                        return;
                    }
                    told_down = false;
                    // From here on none is missed over a restart of the daemon.
                    want.since = want.since.or_else(|| self.head());
                    let outcome = self.watch(
                        want,
                        || stop.is_set(),
                        |update| {
                            backoff.works();
                            if let LinkUpdate::Entry(entry) = &update {
                                want.since = Some(entry.seq);
                            }
                            broke = stop.is_set() || on(update).is_break();
                            if broke { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                        },
                    );
                    outcome.err()
                }
                Err(error) => Some(error),
            };
            if broke {
                return;
            }
            let words = error.map_or_else(|| "the door closed the connection".to_owned(), |e| e.to_string());
            if !std::mem::replace(&mut told_down, true) && on(LinkUpdate::Down(words)).is_break() {
                return;
            }
            if stop.sleep(backoff.failed()) {
                return;
            }
        }
    }
}
