//! The gateway's side of the daemon's socket (`docs/protocol.md`).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::audit::Entry;
use crate::clock;
use crate::daemon::protocol::{Entries, Hello, PROTOCOL, Reply, Request, Right, State, View};

/// An answer that takes longer is given up.
const ANSWER: Duration = Duration::from_secs(10);
/// The daemon tells a watcher of its state several times a second while frames come, and at least this
/// often otherwise: silence means that it hangs.
const SILENCE: Duration = Duration::from_secs(15);
/// No enrolment is longer (`enrolment.timeout_ms` of the daemon goes up to 600 s).
pub const LONGEST_ENROLMENT: Duration = Duration::from_secs(620);
/// Between two looks whether an answer is still wanted.
const TICK: Duration = Duration::from_millis(500);
/// A longer reply is none of the daemon's.
const MAX_REPLY: u64 = 8 << 20;
/// The pauses between two tries double from the first to the second of these.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// Why the door gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No daemon listens.
    #[error("the door's daemon does not run: systemctl status facelatch")]
    Absent,
    /// The socket may not be used, or the daemon went away.
    #[error("socket {path}: {source} (may this user use it, and does the daemon run?)")]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What came is none of the protocol.
    #[error(
        "socket {path}: the daemon's answer is not understood: {problem}; install the same version of both"
    )]
    Garbled {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The gateway has not got the right.
    #[error("{message}")]
    NotAllowed {
        /// The right that it takes; `None`: nobody gives it to a gateway.
        right: Option<Right>,
        /// What to do.
        message: String,
    },
    /// The daemon would not or could not.
    #[error("{message}")]
    Refused {
        /// Its words.
        message: String,
    },
}

/// What a watcher is told.
#[derive(Clone, Debug)]
pub enum News {
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
pub struct Want {
    /// The last entry of the audit log that is at hand; without it, entries from now on.
    pub since: Option<u64>,
    /// With pictures.
    pub picture: bool,
}

/// Tells threads to stop, and wakes those who sleep.
#[derive(Debug, Default)]
pub struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// From now on.
    pub fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// True when it is time to.
    pub fn is_set(&self) -> bool {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps, unless it is time to stop; true then.
    pub fn sleep(&self, time: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let slept = self.changed.wait_timeout_while(stopped, time, |stopped| !*stopped);
        *slept.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The way to the door. Each request has a connection of its own.
#[derive(Clone, Debug)]
pub struct DoorLink {
    path: PathBuf,
}

impl DoorLink {
    /// By the socket at this path.
    pub fn new(path: &Path) -> Self {
        DoorLink { path: path.to_owned() }
    }

    fn lost(&self, source: io::Error) -> LinkError {
        LinkError::Io { path: self.path.clone(), source }
    }

    fn send(&self, request: &Request) -> Result<BufReader<UnixStream>, LinkError> {
        let lost = |source| self.lost(source);
        let mut stream = UnixStream::connect(&self.path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => LinkError::Absent,
            _ => lost(e),
        })?;
        stream.set_read_timeout(Some(TICK)).map_err(lost)?;
        stream.set_write_timeout(Some(ANSWER)).map_err(lost)?;
        let mut line = serde_json::to_vec(request).map_err(|e| lost(e.into()))?;
        line.push(b'\n');
        stream.write_all(&line).map_err(lost)?;
        Ok(BufReader::new(stream))
    }

    /// The next reply within `patience`, unless it is `given_up` before. One that this version does not
    /// know is passed over.
    fn receive(
        &self,
        reader: &mut BufReader<UnixStream>,
        patience: Duration,
        given_up: &impl Fn() -> bool,
    ) -> Result<Reply, LinkError> {
        let garbled = |problem| LinkError::Garbled { path: self.path.clone(), problem };
        let until = clock::now() + patience;
        let mut line = Vec::new();
        loop {
            match reader.by_ref().take(MAX_REPLY).read_until(b'\n', &mut line) {
                Ok(_) if line.last() == Some(&b'\n') => {}
                Ok(_) => return Err(self.lost(io::ErrorKind::UnexpectedEof.into())),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    if given_up() {
                        return Err(LinkError::Refused { message: "cancelled".to_owned() });
                    }
                    if clock::now() >= until || line.len() as u64 > MAX_REPLY {
                        return Err(self.lost(io::ErrorKind::TimedOut.into()));
                    }
                    continue;
                }
                Err(e) => return Err(self.lost(e)),
            }
            let value: serde_json::Value =
                serde_json::from_slice(&line).map_err(|e| garbled(e.to_string()))?;
            const KNOWN: [&str; 7] = ["progress", "ok", "error", "refused", "state", "entry", "view"];
            if value["reply"].as_str().is_some_and(|name| KNOWN.contains(&name)) {
                return serde_json::from_value(value).map_err(|e| garbled(e.to_string()));
            }
            line.clear();
        }
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
        mut progress: impl FnMut(&str) -> ControlFlow<()>,
    ) -> Result<serde_json::Value, LinkError> {
        let mut reader = self.send(request)?;
        loop {
            match self.receive(&mut reader, patience, &given_up)? {
                Reply::Ok { result } => return Ok(result),
                Reply::Error { message } => return Err(LinkError::Refused { message }),
                Reply::Refused { right, message } => return Err(LinkError::NotAllowed { right, message }),
                Reply::Progress { text } => {
                    if progress(&text).is_break() {
                        return Err(LinkError::Refused { message: "cancelled".to_owned() });
                    }
                }
                Reply::State { .. } | Reply::Entry { .. } | Reply::View { .. } => {}
            }
        }
    }

    /// Asks what is answered at once.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, LinkError> {
        let result = self.ask_with(request, ANSWER, || false, |_| ControlFlow::Continue(()))?;
        serde_json::from_value(result)
            .map_err(|e| LinkError::Garbled { path: self.path.clone(), problem: e.to_string() })
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
        want: Want,
        given_up: impl Fn() -> bool,
        mut on: impl FnMut(News) -> ControlFlow<()>,
    ) -> Result<(), LinkError> {
        let request = Request::Watch { since: want.since, picture: want.picture };
        let mut reader = self.send(&request)?;
        loop {
            let news = match self.receive(&mut reader, SILENCE, &given_up)? {
                Reply::State { state } => News::State(state),
                Reply::Entry { entry } => News::Entry(entry),
                Reply::View { view } => News::View(view),
                Reply::Progress { .. } | Reply::Ok { .. } => continue,
                Reply::Error { message } => return Err(LinkError::Refused { message }),
                Reply::Refused { right, message } => return Err(LinkError::NotAllowed { right, message }),
            };
            if on(news).is_break() {
                return Ok(());
            }
        }
    }

    /// Watches the door over its restarts, and so on until `stop` or until `on` breaks. Entries go on
    /// where they ended: `on` gets each one once, in order.
    pub fn follow(&self, mut want: Want, stop: &Stop, mut on: impl FnMut(News) -> ControlFlow<()>) {
        let mut pause = BACK_OFF.0;
        let mut told_down = false;
        while !stop.is_set() {
            let mut broke = false;
            let error = match self.hello() {
                Ok(hello) => {
                    if on(News::Up(hello)).is_break() {
                        return;
                    }
                    told_down = false;
                    // From here on none is missed over a restart of the daemon.
                    want.since = want.since.or_else(|| self.head());
                    let outcome = self.watch(
                        want,
                        || stop.is_set(),
                        |news| {
                            pause = BACK_OFF.0;
                            if let News::Entry(entry) = &news {
                                want.since = Some(entry.seq);
                            }
                            broke = stop.is_set() || on(news).is_break();
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
            let words = error.map_or_else(|| "the door hung up".to_owned(), |e| e.to_string());
            if !std::mem::replace(&mut told_down, true) && on(News::Down(words)).is_break() {
                return;
            }
            if stop.sleep(pause) {
                return;
            }
            pause = (pause * 2).min(BACK_OFF.1);
        }
    }
}
