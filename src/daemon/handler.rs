//! What the clients of one socket may ask, and who answers.
//!
//! What watchers ask, and what only reads the audit log, is answered in the client's own thread. Everything else
//! goes to the thread that owns the strike.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::broadcaster::{Broadcaster, Watcher};
use super::budget::Budget;
use super::limits::{GATEWAYS, Limits, OPERATORS, PlaceKind};
use super::message::Message;
use super::request::{ClientRequest, Peer, Replies, Rights};
use crate::audit::{self, FolderDisk};
use crate::clock;
use crate::lock::lock;
use crate::matching::Gallery;
use crate::protocol::{Entries, Hello, MAX_ENTRIES, PROTOCOL, Reply, Request, Right, Verified};
use crate::store;
use crate::time::Timestamp;

/// A client that does not read for this long is dropped.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);
/// The result of a check of the audit log is kept this long.
const VERIFY_EVERY: Duration = Duration::from_secs(60);
/// Each watcher is served at least this often.
const WATCH_TICK: Duration = Duration::from_millis(500);

/// What the clients of one socket are served with.
#[derive(Debug)]
pub(super) struct RequestHandler {
    inbox: SyncSender<Message>,
    broadcaster: Arc<Broadcaster>,
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

impl RequestHandler {
    pub(super) fn operator(
        inbox: SyncSender<Message>,
        broadcaster: Arc<Broadcaster>,
        audit: PathBuf,
    ) -> Self {
        let rights = Rights::new([Right::View, Right::Enrol, Right::Release]);
        RequestHandler::new(inbox, broadcaster, audit, Peer::Operator, rights)
    }

    pub(super) fn gateway(
        inbox: SyncSender<Message>,
        broadcaster: Arc<Broadcaster>,
        audit: PathBuf,
        rights: Rights,
    ) -> Self {
        RequestHandler::new(inbox, broadcaster, audit, Peer::Gateway, rights)
    }

    fn new(
        inbox: SyncSender<Message>,
        broadcaster: Arc<Broadcaster>,
        audit: PathBuf,
        peer: Peer,
        rights: Rights,
    ) -> Self {
        let requests = Mutex::new(Budget::new(40.0, 20.0));
        let securing = Mutex::new(Budget::new(10.0, 5.0));
        let log = Mutex::new(Budget::new(6.0, 2.0));
        RequestHandler {
            inbox,
            broadcaster,
            audit,
            peer,
            rights,
            requests,
            securing,
            log,
            verified: Mutex::default(),
        }
    }

    /// How many may come, and how long they may take.
    pub(super) fn limits(&self) -> Limits {
        match self.peer {
            Peer::Operator => OPERATORS,
            Peer::Gateway => GATEWAYS,
        }
    }

    /// What this request needs a place for. What is refused has none of its own.
    pub(super) fn kind(&self, request: Option<&Request>) -> PlaceKind {
        match request {
            Some(request) if !self.may(request) => PlaceKind::Other,
            Some(request) if request.secures() => PlaceKind::Securing,
            Some(Request::Watch { .. }) => PlaceKind::Watching,
            _ => PlaceKind::Other,
        }
    }

    fn may(&self, request: &Request) -> bool {
        // A hello is answered to whoever comes in.
        self.peer == Peer::Operator
            || matches!(request, Request::Hello { .. })
            || request.right().is_some_and(|right| self.rights.allow(right))
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
            Err(error) => Reply::error(format!("unknown request: {error}")),
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
                    "the gateway lacks the right \"{}\": the owner grants it with gateway.rights in the \
                     daemon's configuration",
                    right.name()
                ),
                None => "not through the gateway: use the command line on the board".to_owned(),
            };
            let refused = Message::Refused { command: request.name(), by: "gateway" };
            self.inbox.send(refused).map_err(gone)?;
            return Ok(Some(Reply::Refused { right, message }));
        }
        let enough = |budget: &Mutex<Budget>| {
            let mut budget = lock(budget);
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
                let asked = ClientRequest { request, people, peer: self.peer, client };
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
            rights: self.rights.list(),
        };
        Reply::Ok { result: serde_json::to_value(hello).unwrap_or_default() }
    }

    fn entries(&self, since: u64, limit: usize) -> Reply {
        // One at a time.
        let _budget = lock(&self.log);
        let disk = FolderDisk::for_reading(&self.audit);
        match audit::entries_since(&disk, since, limit.min(MAX_ENTRIES)) {
            Ok((mut entries, mut head)) => {
                if let Some(synced) = self.broadcaster.head() {
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
        let mut verified = lock(&self.verified);
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

    /// Sends update until the client hangs up or does not read.
    fn watch(&self, since: Option<u64>, picture: bool, stream: &mut UnixStream) -> io::Result<()> {
        let mut watcher = Watcher::new(Arc::clone(&self.broadcaster), picture, since);
        loop {
            let update = watcher.next(WATCH_TICK);
            if update.is_empty() && has_hung_up(stream)? {
                return Ok(());
            }
            if update.behind {
                self.catch_up(&mut watcher, stream)?;
            }
            for entry in update.entries {
                write_reply(stream, &Reply::Entry { entry: Box::new(Arc::unwrap_or_clone(entry)) })?;
            }
            if let Some(state) = update.state {
                write_reply(stream, &Reply::State { state: Box::new(Arc::unwrap_or_clone(state)) })?;
            }
            if let Some(view) = update.view {
                write_all(stream, &view)?;
            }
        }
    }

    /// Sends what the broadcaster no longer has from the log itself.
    fn catch_up(&self, watcher: &mut Watcher, stream: &mut UnixStream) -> io::Result<()> {
        let (since, first) = (watcher.last.unwrap_or(0), watcher.first().unwrap_or(0));
        let mut budget = lock(&self.log);
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
