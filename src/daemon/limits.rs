//! How many clients each socket serves at a time, and how long they may take.

use std::time::Duration;

use crate::protocol::MAX_REQUEST;

/// What a request needs a place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlaceKind {
    /// It can only take access away.
    Securing,
    /// It stays, and is told news.
    Watching,
    /// Everything else.
    Other,
}

/// How many clients there may be, and how long they may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections that are not served yet.
    pub waiting: usize,
    /// All of a request must come within this time, and is served within it or turned away.
    pub patience: Duration,
    /// The longest request in bytes.
    pub request: u64,
    /// Served at a time: requests that secure.
    pub securing: usize,
    /// Served at a time: watchers.
    pub watching: usize,
    /// Served at a time: everything else.
    pub others: usize,
    /// Between two requests that do not secure, and between two batches of connections: hammering the
    /// socket must not cost the door its time.
    pub pause: Option<Duration>,
}

/// The operator's socket.
pub(super) const OPERATORS: Limits = Limits {
    waiting: 64,
    patience: Duration::from_secs(5),
    request: MAX_REQUEST,
    securing: 4,
    watching: 8,
    others: 8,
    pause: None,
};
/// The gateway's: its requests are small. It watches by three connections, and leaves old ones behind
/// when it is restarted.
pub(super) const GATEWAYS: Limits = Limits {
    waiting: 256,
    patience: Duration::from_secs(2),
    request: 4_096,
    securing: 4,
    watching: 6,
    others: 8,
    pause: Some(Duration::from_millis(5)),
};
