//! The daemon's Unix sockets: accept clients, hand their requests to the controller's thread.
//!
//! There are two: the operator's, for the daemon's own user and root, where everything may be asked, and
//! the gateway's, for its group, where the configured rights hold. Who a client is, is a matter of the
//! socket that it comes by: file modes decide, which hold in every namespace. (`SO_PEERCRED` would not:
//! in the unit's user namespace every other user is `nobody`.)
//!
//! What watchers ask, and what only reads the audit log, is answered in the client's own thread.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use super::budget::Budget;
use super::intake::{Intake, Kind, Limits};
use super::live::{Live, Watcher};
use super::{DaemonError, Message};
use crate::audit::{self, FolderDisk};
use crate::clock;
use crate::matching::Gallery;
use crate::protocol::{Entries, Hello, MAX_ENTRIES, MAX_REQUEST, PROTOCOL, Reply, Request, Right, Verified};
use crate::store;
use crate::time::Timestamp;

/// A client that does not read for so long is dropped.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);
/// The operator's socket.
const OPERATORS: Limits = Limits {
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
const GATEWAYS: Limits = Limits {
    waiting: 256,
    patience: Duration::from_secs(2),
    request: 4_096,
    securing: 4,
    watching: 6,
    others: 8,
    pause: Some(Duration::from_millis(5)),
};
/// A check of the audit log answers for so long.
const VERIFY_EVERY: Duration = Duration::from_secs(60);
/// A watcher is looked after at least so often.
const WATCH_TICK: Duration = Duration::from_millis(500);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The daemon's own user, or root.
    Operator,
    /// The gateway.
    Gateway,
}

/// What clients of a socket may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights(BTreeSet<Right>);

impl Rights {
    /// Those and no others.
    pub fn new(rights: impl IntoIterator<Item = Right>) -> Self {
        Rights(rights.into_iter().collect())
    }
}

/// The gateway's socket.
#[derive(Clone, Debug)]
pub struct GatewayPlace {
    /// Its path, in a folder that is there already and belongs to the gateway's group.
    pub socket: PathBuf,
    /// What the gateway may do.
    pub rights: Rights,
}

/// A request with the way back to its client.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub request: Request,
    /// The people of a [`Request::Import`], read by the client's thread.
    pub people: Gallery,
    /// By whom.
    pub peer: Peer,
    /// Where the replies go.
    pub client: Replies,
}

/// The way back to a client.
#[derive(Clone, Debug)]
pub struct Replies {
    sender: SyncSender<Reply>,
    alive: Weak<()>,
}

impl Replies {
    /// A way back, and where its replies come out; the client is there as long as the third lives.
    pub(super) fn new() -> (Self, Receiver<Reply>, Arc<()>) {
        let (sender, replies) = sync_channel(64);
        let alive = Arc::new(());
        (Replies { sender, alive: Arc::downgrade(&alive) }, replies, alive)
    }

    /// Sends a reply; a client that reads too slowly or has gone misses it, the daemon never waits.
    pub fn send(&self, reply: Reply) {
        let _ = self.sender.try_send(reply);
    }

    /// False when the client has hung up.
    pub fn is_connected(&self) -> bool {
        self.alive.strong_count() > 0
    }
}

/// The socket file. One that a killed daemon left behind is replaced at the next start.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    listener: UnixListener,
}

impl Socket {
    /// Binds the operator's socket, for the daemon's own user only (mode 0600).
    ///
    /// # Errors
    /// When another daemon answers there, or the folder cannot be written.
    pub fn bind(path: &Path) -> Result<Self, DaemonError> {
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            let error =
                |source| DaemonError::Socket { path: path.to_owned(), what: "make the folder of", source };
            fs::create_dir_all(dir).map_err(error)?;
        }
        Self::bind_with(path, 0o600)
    }

    /// Binds the gateway's socket, for its folder's group as well (mode 0660). The folder must be there:
    /// whoever makes it says who comes in.
    ///
    /// # Errors
    /// When another daemon answers there, or the folder is missing or cannot be written.
    pub fn bind_gateway(path: &Path) -> Result<Self, DaemonError> {
        Self::bind_with(path, 0o660)
    }

    fn bind_with(path: &Path, mode: u32) -> Result<Self, DaemonError> {
        let error = |what, source| DaemonError::Socket { path: path.to_owned(), what, source };
        if UnixStream::connect(path).is_ok() {
            return Err(DaemonError::AlreadyRunning { path: path.to_owned() });
        }
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(error("replace", e)),
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(|e| error("bind", e))?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|e| error("protect", e))?;
        Ok(Socket { path: path.to_owned(), listener })
    }

    /// Removes the file: no further client finds the daemon.
    pub fn close(&self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Accepts clients until the process ends.
    pub(super) fn serve(&self, desk: &Arc<Desk>) {
        Intake::new(&self.listener, desk).serve();
    }
}

/// What the clients of one socket are served with.
#[derive(Debug)]
pub(super) struct Desk {
    inbox: SyncSender<Message>,
    live: Arc<Live>,
    audit: PathBuf,
    peer: Peer,
    rights: Rights,
    /// What reaches the thread that owns the strike.
    requests: Mutex<Budget>,
    /// And of that, what secures: however much else is asked, this comes through.
    securing: Mutex<Budget>,
    /// Reading the log takes time of the disk and of the processor: one at a time, and not all the time.
    log: Mutex<Budget>,
    verified: Mutex<Option<(Timestamp, Verified)>>,
}

impl Desk {
    pub(super) fn operator(inbox: SyncSender<Message>, live: Arc<Live>, audit: PathBuf) -> Self {
        let rights = Rights::new([Right::View, Right::Enrol, Right::Release]);
        Desk::new(inbox, live, audit, Peer::Operator, rights)
    }

    pub(super) fn gateway(
        inbox: SyncSender<Message>,
        live: Arc<Live>,
        audit: PathBuf,
        rights: Rights,
    ) -> Self {
        Desk::new(inbox, live, audit, Peer::Gateway, rights)
    }

    fn new(inbox: SyncSender<Message>, live: Arc<Live>, audit: PathBuf, peer: Peer, rights: Rights) -> Self {
        let requests = Mutex::new(Budget::new(40.0, 20.0));
        let securing = Mutex::new(Budget::new(10.0, 5.0));
        let log = Mutex::new(Budget::new(6.0, 2.0));
        Desk { inbox, live, audit, peer, rights, requests, securing, log, verified: Mutex::default() }
    }

    /// How many may come, and how long they may take.
    pub(super) fn limits(&self) -> Limits {
        match self.peer {
            Peer::Operator => OPERATORS,
            Peer::Gateway => GATEWAYS,
        }
    }

    /// What this request needs a place for. What is refused has none of its own.
    pub(super) fn kind(&self, request: Option<&Request>) -> Kind {
        match request {
            Some(request) if !self.may(request) => Kind::Other,
            Some(request) if request.secures() => Kind::Securing,
            Some(Request::Watch { .. }) => Kind::Watching,
            _ => Kind::Other,
        }
    }

    fn may(&self, request: &Request) -> bool {
        // A hello is answered to whoever comes in.
        self.peer == Peer::Operator
            || matches!(request, Request::Hello { .. })
            || request.right().is_some_and(|right| self.rights.0.contains(&right))
    }

    /// Answers a client's request; `None`: it was too long.
    pub(super) fn serve(&self, mut stream: UnixStream, line: Option<Vec<u8>>) -> io::Result<()> {
        stream.set_write_timeout(Some(CLIENT_TIMEOUT))?;
        let limit = self.limits().request;
        let Some(line) = line else {
            return write_reply(&mut stream, &Reply::error(format!("a request has at most {limit} bytes")));
        };
        let reply = match serde_json::from_slice(&line) {
            Ok(request) => match self.answer(request, &mut stream)? {
                Some(reply) => reply,
                None => return Ok(()),
            },
            Err(error) => Reply::error(format!("request not understood: {error}")),
        };
        write_reply(&mut stream, &reply)
    }

    /// The reply, unless it is sent already.
    fn answer(&self, request: Request, stream: &mut UnixStream) -> io::Result<Option<Reply>> {
        let gone = |_| io::Error::other("the daemon is stopping");
        let right = request.right();
        if !self.may(&request) {
            let message = match right {
                Some(right) => format!(
                    "the gateway has not got the right \"{}\": the owner gives it by gateway.rights in the \
                     daemon's configuration",
                    right.name()
                ),
                None => "not by the gateway: use the command line on the board itself".to_owned(),
            };
            let refused = Message::Refused { command: request.name(), by: "gateway" };
            self.inbox.send(refused).map_err(gone)?;
            return Ok(Some(Reply::Refused { right, message }));
        }
        let enough = |budget: &Mutex<Budget>| {
            let mut budget = budget.lock().unwrap_or_else(PoisonError::into_inner);
            self.peer == Peer::Operator || budget.take(clock::now())
        };
        let busy = || Reply::error("too many requests: try again in a second");
        Ok(Some(match request {
            Request::Hello { protocol } => self.hello(protocol),
            Request::Watch { since, picture } => {
                self.watch(since, picture, stream)?;
                return Ok(None);
            }
            Request::Entries { since, limit } if enough(&self.log) => self.entries(since, limit),
            Request::VerifyLog {} => self.verify(),
            Request::Entries { .. } => busy(),
            request => {
                let budget = if request.secures() { &self.securing } else { &self.requests };
                if !enough(budget) {
                    return Ok(Some(busy()));
                }
                if let Request::ReportRefusal { what } = request {
                    let refused = Message::Refused { command: what.name(), by: "mqtt" };
                    self.inbox.send(refused).map_err(gone)?;
                    return Ok(Some(Reply::ok()));
                }
                let (client, replies, _alive) = Replies::new();
                let mut request = request;
                let people = match &mut request {
                    // It may be long: the door's thread is not kept from the strike.
                    Request::Import { person, .. } => match store::from_json(std::mem::take(person)) {
                        Ok(people) => people,
                        Err(problem) => return Ok(Some(Reply::error(problem))),
                    },
                    _ => Gallery::default(),
                };
                let asked = Asked { request, people, peer: self.peer, client };
                self.inbox.send(Message::Asked(asked)).map_err(gone)?;
                forward(stream, &replies)?;
                return Ok(None);
            }
        }))
    }

    fn hello(&self, protocol: u32) -> Reply {
        if protocol != PROTOCOL {
            let message = format!(
                "the daemon speaks protocol {PROTOCOL}, the client {protocol}: install the same version of both"
            );
            return Reply::error(message);
        }
        let hello = Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            rights: self.rights.0.iter().copied().collect(),
        };
        Reply::Ok { result: serde_json::to_value(hello).unwrap_or_default() }
    }

    fn entries(&self, since: u64, limit: usize) -> Reply {
        // One at a time.
        let _budget = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let disk = FolderDisk::for_reading(&self.audit);
        match audit::entries_since(&disk, since, limit.min(MAX_ENTRIES)) {
            Ok((mut entries, mut head)) => {
                if let Some(synced) = self.live.head() {
                    entries.retain(|entry| entry.seq <= synced);
                    head = head.min(synced);
                }
                let entries = Entries { entries, head };
                Reply::Ok { result: serde_json::to_value(entries).unwrap_or_default() }
            }
            Err(error) => Reply::error(error.to_string()),
        }
    }

    fn verify(&self) -> Reply {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, answer)) = &*verified
            && clock::now().since(*at) < VERIFY_EVERY
        {
            return Reply::Ok { result: serde_json::to_value(answer).unwrap_or_default() };
        }
        let disk = FolderDisk::for_reading(&self.audit);
        let checked = clock::unix();
        let answer = match audit::check(&disk, None, |_, _| ()) {
            Ok(Ok(report)) => Verified {
                holds: true,
                first: Some(report.first),
                head: Some(report.head),
                problem: None,
                checked,
            },
            Ok(Err(broken)) => {
                Verified { holds: false, first: None, head: None, problem: Some(broken.to_string()), checked }
            }
            Err(error) => return Reply::error(error.to_string()),
        };
        let result = serde_json::to_value(&answer).unwrap_or_default();
        *verified = Some((clock::now(), answer));
        Reply::Ok { result }
    }

    /// Sends news until the client hangs up or does not read.
    fn watch(&self, since: Option<u64>, picture: bool, stream: &mut UnixStream) -> io::Result<()> {
        let mut watcher = Watcher::new(Arc::clone(&self.live), picture, since);
        loop {
            let news = watcher.next(WATCH_TICK);
            if news.is_empty() && has_hung_up(stream)? {
                return Ok(());
            }
            if news.behind {
                self.catch_up(&mut watcher, stream)?;
            }
            for entry in news.entries {
                write_reply(stream, &Reply::Entry { entry: Box::new(Arc::unwrap_or_clone(entry)) })?;
            }
            if let Some(state) = news.state {
                write_reply(stream, &Reply::State { state: Box::new(Arc::unwrap_or_clone(state)) })?;
            }
            if let Some(view) = news.view {
                write_all(stream, &view)?;
            }
        }
    }

    /// Sends what the board no longer has from the log itself.
    fn catch_up(&self, watcher: &mut Watcher, stream: &mut UnixStream) -> io::Result<()> {
        let (since, first) = (watcher.last.unwrap_or(0), watcher.first().unwrap_or(0));
        let mut budget = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if self.peer == Peer::Gateway && !budget.take(clock::now()) {
            drop(budget);
            thread::sleep(WATCH_TICK);
            return Ok(());
        }
        let disk = FolderDisk::for_reading(&self.audit);
        let (mut entries, _) = audit::entries_since(&disk, since, MAX_ENTRIES).map_err(io::Error::other)?;
        drop(budget);
        // Those at hand have reached the disk; what the log has behind them perhaps not yet.
        entries.retain(|entry| entry.seq < first);
        if entries.is_empty() {
            // Retired, or kept from being read by damage: `verify_log` says so.
            watcher.last = Some(first.saturating_sub(1));
        }
        for entry in entries {
            watcher.last = Some(entry.seq);
            write_reply(stream, &Reply::Entry { entry: Box::new(entry) })?;
        }
        Ok(())
    }
}

fn has_hung_up(stream: &mut UnixStream) -> io::Result<bool> {
    stream.set_nonblocking(true)?;
    let peek = stream.read(&mut [0]);
    stream.set_nonblocking(false)?;
    match peek {
        Ok(0) => Ok(true),
        Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
        _ => Ok(false),
    }
}

fn forward(stream: &mut UnixStream, replies: &Receiver<Reply>) -> io::Result<()> {
    loop {
        match replies.recv_timeout(Duration::from_millis(250)) {
            Ok(reply) => {
                write_reply(stream, &reply)?;
                if reply.is_last() {
                    return Ok(());
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                // A client that has hung up must not keep an enrolment alive.
                if has_hung_up(stream)? {
                    return Ok(());
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

fn write_reply(stream: &mut UnixStream, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    write_all(stream, &line)
}

/// Writes all of it within [`CLIENT_TIMEOUT`]: one who reads a byte now and then is stuck as well.
fn write_all(stream: &mut UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    let until = clock::now() + CLIENT_TIMEOUT;
    while !bytes.is_empty() {
        let left = until.since(clock::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        match stream.write(bytes)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => bytes = &bytes[count..],
        }
    }
    Ok(())
}
