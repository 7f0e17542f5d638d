//! The client of the daemon's socket (`docs/reference/protocol.md`), for the command line and for the gateway.
//!
//! A connection carries one request, so each request gets a connection of its own. Nothing is held open
//! between two of them: the daemon serves few clients at a time, and drops one that has not asked in time.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::{Reply, Request, Right};
use facelatch_host::clock;

/// How long to wait for an answer.
const ANSWER: Duration = Duration::from_secs(10);
/// How often to check whether an answer is still wanted.
const TICK: Duration = Duration::from_millis(500);
/// The longest reply; the daemon's are shorter.
const MAX_REPLY: u64 = 8 << 20;

/// Why the door gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No daemon listens.
    #[error("the door's daemon is not running (check: systemctl status facelatch)")]
    Absent,
    /// The socket may not be used.
    #[error("socket {path}: {source} (check permissions and that the daemon is running)", path = .path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The daemon went away, or takes too long.
    #[error("socket {path}: the daemon did not answer: {source} (see its log: journalctl -u facelatch)", path = .path.display())]
    Lost {
        /// The socket.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The reply does not follow the protocol.
    #[error("socket {path}: cannot understand the daemon's answer: {problem}; install the same version of both", path = .path.display())]
    Garbled {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The client does not have the right.
    #[error("{message}")]
    NotAllowed {
        /// The right needed; `None` if no gateway can have it.
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

/// The way to the door.
#[derive(Clone, Debug)]
pub struct Client {
    path: PathBuf,
    patience: Duration,
}

impl Client {
    /// By the socket at this path, whether or not somebody listens there.
    pub fn new(path: &Path) -> Self {
        Client { path: path.to_owned(), patience: ANSWER }
    }

    /// By the socket at this path; `None` when no daemon listens there.
    ///
    /// # Errors
    /// When the socket is there but may not be used.
    pub fn find(path: &Path) -> Result<Option<Self>, LinkError> {
        let client = Client::new(path);
        match client.connect() {
            Ok(_) => Ok(Some(client)),
            Err(LinkError::Absent) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives up on an answer, and on each part of one, that takes longer than this.
    #[must_use]
    pub fn within(self, patience: Duration) -> Self {
        Client { patience, ..self }
    }

    fn lost(&self, source: io::Error) -> LinkError {
        LinkError::Lost { path: self.path.clone(), source }
    }

    fn garbled(&self, problem: impl ToString) -> LinkError {
        LinkError::Garbled { path: self.path.clone(), problem: problem.to_string() }
    }

    fn connect(&self) -> Result<UnixStream, LinkError> {
        UnixStream::connect(&self.path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => LinkError::Absent,
            _ => LinkError::Io { path: self.path.clone(), source },
        })
    }

    fn send(&self, request: &Request) -> Result<BufReader<UnixStream>, LinkError> {
        let lost = |source| self.lost(source);
        let stream = self.connect()?;
        stream.set_read_timeout(Some(TICK.min(self.patience))).map_err(lost)?;
        stream.set_write_timeout(Some(self.patience)).map_err(lost)?;
        let mut line = serde_json::to_vec(request).map_err(|e| lost(e.into()))?;
        line.push(b'\n');
        let mut reader = BufReader::new(stream);
        if let Err(source) = reader.get_mut().write_all(&line) {
            // The daemon may have said why it reads no more.
            return match self.receive(&mut reader, &|| false) {
                Ok(Reply::Error { message, .. }) => Err(LinkError::Refused { message }),
                _ => Err(lost(source)),
            };
        }
        Ok(reader)
    }

    /// The next reply, unless it is `given_up` before. One that this version does not know is skipped.
    fn receive(
        &self,
        reader: &mut BufReader<UnixStream>,
        given_up: &impl Fn() -> bool,
    ) -> Result<Reply, LinkError> {
        let until = clock::now() + self.patience;
        let mut line = Vec::new();
        loop {
            let room = (MAX_REPLY + 1).saturating_sub(line.len() as u64);
            match reader.by_ref().take(room).read_until(b'\n', &mut line) {
                Ok(_) if line.last() == Some(&b'\n') => {}
                Ok(_) if line.len() as u64 > MAX_REPLY => {
                    return Err(self.garbled("a reply that is too long"));
                }
                Ok(_) => return Err(self.lost(io::ErrorKind::UnexpectedEof.into())),
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    if given_up() {
                        return Err(LinkError::Refused { message: "cancelled".to_owned() });
                    }
                    if clock::now() >= until {
                        return Err(self.lost(io::ErrorKind::TimedOut.into()));
                    }
                    continue;
                }
                Err(e) => return Err(self.lost(e)),
            }
            let value: serde_json::Value = serde_json::from_slice(&line).map_err(|e| self.garbled(e))?;
            const KNOWN: [&str; 7] = ["progress", "ok", "error", "refused", "state", "entry", "view"];
            if value["reply"].as_str().is_some_and(|name| KNOWN.contains(&name)) {
                return serde_json::from_value(value).map_err(|e| self.garbled(e));
            }
            line.clear();
        }
    }

    /// Asks, and hands over every reply until `on` breaks, it is `given_up`, or the request is answered:
    /// then with the answer. Whatever ends it, the connection ends with it, which cancels an enrolment.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn follow(
        &self,
        request: &Request,
        given_up: impl Fn() -> bool,
        mut on: impl FnMut(Reply) -> ControlFlow<()>,
    ) -> Result<Option<serde_json::Value>, LinkError> {
        let mut reader = self.send(request)?;
        loop {
            match self.receive(&mut reader, &given_up)? {
                Reply::Ok { result } => return Ok(Some(result)),
                Reply::Error { message, .. } => return Err(LinkError::Refused { message }),
                Reply::Refused { right, message } => return Err(LinkError::NotAllowed { right, message }),
                reply => {
                    if on(reply).is_break() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Asks, and tells `progress` what is said in between.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn ask_with(
        &self,
        request: &Request,
        given_up: impl Fn() -> bool,
        mut progress: impl FnMut(&str) -> ControlFlow<()>,
    ) -> Result<serde_json::Value, LinkError> {
        let answer = self.follow(request, given_up, |reply| match reply {
            Reply::Progress { text } => progress(&text),
            _ => ControlFlow::Continue(()),
        })?;
        answer.ok_or_else(|| LinkError::Refused { message: "cancelled".to_owned() })
    }

    /// Asks what is answered at once.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, LinkError> {
        let result = self.ask_with(request, || false, |_| ControlFlow::Continue(()))?;
        serde_json::from_value(result).map_err(|e| self.garbled(e))
    }
}
