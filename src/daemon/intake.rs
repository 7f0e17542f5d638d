//! Where a socket's clients wait until their request is there and somebody has time for it.
//!
//! A connection that says nothing has no thread and takes nobody's place: it waits here for a short time,
//! and makes room for newer ones when there are many. What secures the door has places of its own, and so
//! have watchers. So neither idle connections nor watchers keep `secure` out, however many they are.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::handler::RequestHandler;
use super::limits::{Limits, PlaceKind};
use super::spawn::spawn;
use crate::clock;
use crate::protocol::{Reply, Request};
use crate::time::Timestamp;

/// A connection is not sent away to make room before it has had this time for its request.
const GRACE: Duration = Duration::from_millis(100);
/// Connections accepted before those that wait are looked at again.
const BATCH: usize = 64;
/// The longest request that is looked into before it has a place.
const SHORT: usize = 4_096;
/// Between two looks whether a place is free again.
const TICK: Duration = Duration::from_millis(5);
/// Between two tries to accept when the system refuses, out of descriptors, say.
const REFUSED: Duration = Duration::from_millis(100);

/// The places that are taken.
#[derive(Debug)]
struct Places {
    limits: Limits,
    taken: [AtomicUsize; 3],
}

impl Places {
    fn take(self: &Arc<Self>, kind: PlaceKind) -> Option<Place> {
        let most = match kind {
            PlaceKind::Securing => self.limits.securing,
            PlaceKind::Watching => self.limits.watching,
            PlaceKind::Other => self.limits.others,
        };
        // Only the intake's own thread takes places: between look and addition they can but become fewer.
        let taken = &self.taken[kind as usize];
        if taken.load(Ordering::Relaxed) >= most {
            return None;
        }
        taken.fetch_add(1, Ordering::Relaxed);
        Some(Place { places: Arc::clone(self), kind })
    }
}

/// A place; free again when it is dropped.
struct Place {
    places: Arc<Places>,
    kind: PlaceKind,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken[self.kind as usize].fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that is not served yet.
struct Waiting {
    stream: UnixStream,
    since: Timestamp,
    line: Vec<u8>,
    /// Its request, once all of it is there; `None` in it: it is too long.
    request: Option<(PlaceKind, Option<Vec<u8>>)>,
}

impl Waiting {
    /// Reads what is there. True when all of the request is.
    ///
    /// # Errors
    /// When the client has hung up without one.
    fn read(&mut self, limit: u64) -> io::Result<bool> {
        let mut part = [0; 4_096];
        loop {
            match self.stream.read(&mut part) {
                Ok(0) if self.line.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(0) => return Ok(true),
                Ok(count) => {
                    let end = part[..count].iter().position(|byte| *byte == b'\n');
                    self.line.extend_from_slice(&part[..end.unwrap_or(count)]);
                    if end.is_some() || self.line.len() as u64 > limit {
                        return Ok(true);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Reads on and, when all of the request is there, says what it is. False: the client has gone.
    fn advance(&mut self, handler: &RequestHandler, limit: u64) -> bool {
        match self.read(limit) {
            Ok(false) => true,
            Ok(true) => {
                let line = std::mem::take(&mut self.line);
                // Somebody has looked whether the daemon runs.
                if line.is_empty() {
                    return false;
                }
                // What is long secures nothing, and is not read here: the others would wait.
                let short = line.len() <= SHORT;
                let request = if short { serde_json::from_slice::<Request>(&line).ok() } else { None };
                let fits = line.len() as u64 <= limit;
                self.request = Some((handler.kind(request.as_ref()), fits.then_some(line)));
                true
            }
            Err(_) => false,
        }
    }

    /// Hangs up; whoever has asked is told why. Nobody waits for a client here.
    fn turn_away(mut self) {
        if self.request.is_some() {
            let message = "too many clients at once: try again".to_owned();
            if let Ok(mut line) = serde_json::to_vec(&Reply::error(message)) {
                line.push(b'\n');
                let _ = self.stream.write(&line);
            }
        }
    }
}

/// A socket's clients before they are served.
pub(super) struct Intake<'a> {
    listener: &'a UnixListener,
    handler: &'a Arc<RequestHandler>,
    limits: Limits,
    places: Arc<Places>,
    /// The oldest first.
    waiting: Vec<Waiting>,
}

impl<'a> Intake<'a> {
    pub(super) fn new(listener: &'a UnixListener, handler: &'a Arc<RequestHandler>) -> Self {
        let limits = handler.limits();
        let places = Arc::new(Places { limits, taken: Default::default() });
        Intake { listener, handler, limits, places, waiting: Vec::new() }
    }

    /// Serves clients until the process ends.
    pub(super) fn serve(mut self) {
        if let Err(error) = self.listener.set_nonblocking(true) {
            log::error!("event=socket_failed error={:?}", error.to_string());
            return;
        }
        loop {
            let (knocking, ready) = self.wait();
            let (handler, limit) = (self.handler, self.limits.request);
            let mut ready = ready.into_iter();
            self.waiting
                .retain_mut(|client| !ready.next().unwrap_or(false) || client.advance(handler, limit));
            if knocking {
                self.accept();
            }
            self.dispatch();
            self.drop_overdue();
            if let Some(pause) = self.limits.pause {
                thread::sleep(pause);
            }
        }
    }

    /// Waits until there is something to do: true when somebody knocks and there is room, and for each
    /// that waits whether there is something to read.
    fn wait(&self) -> (bool, Vec<bool>) {
        let now = clock::now();
        let left = |client: &Waiting, time: Duration| (client.since + time).since(now);
        let room = self.waiting.len() < self.limits.waiting;
        let may_accept = room || self.waiting.iter().any(|client| left(client, GRACE).is_zero());
        let timeout = if self.waiting.iter().any(|client| client.request.is_some()) {
            // For a place, or for its turn.
            Some(if self.limits.pause.is_some() { Duration::ZERO } else { TICK })
        } else {
            let time = if may_accept { self.limits.patience } else { GRACE };
            self.waiting.first().map(|oldest| left(oldest, time))
        };
        let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
        let wanted = |yes: bool| if yes { PollFlags::IN } else { PollFlags::empty() };
        let mut polled: Vec<PollFd<'_>> = self
            .waiting
            .iter()
            .filter(|client| client.request.is_none())
            .map(|client| PollFd::new(&client.stream, PollFlags::IN))
            .collect();
        polled.push(PollFd::new(self.listener, wanted(may_accept)));
        if poll(&mut polled, timeout.as_ref()).is_err() {
            return (false, Vec::new());
        }
        let knocking = polled.pop().is_some_and(|listener| !listener.revents().is_empty());
        let mut polled = polled.into_iter();
        let readable = |client: &Waiting| {
            client.request.is_none() && polled.next().is_some_and(|p| !p.revents().is_empty())
        };
        (knocking, self.waiting.iter().map(readable).collect())
    }

    fn accept(&mut self) {
        for _ in 0..BATCH {
            if !self.make_room() {
                return;
            }
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    // Clients reconnect; the door continues.
                    thread::sleep(REFUSED);
                    return;
                }
            };
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            let mut client = Waiting { stream, since: clock::now(), line: Vec::new(), request: None };
            // As a rule the request is there already.
            if client.advance(self.handler, self.limits.request) {
                self.waiting.push(client);
            }
        }
    }

    /// Sends the oldest away where it takes that: one that has not asked yet, if there is one.
    fn make_room(&mut self) -> bool {
        if self.waiting.len() < self.limits.waiting {
            return true;
        }
        let now = clock::now();
        let old = |client: &Waiting| now.since(client.since) >= GRACE;
        let silent = self.waiting.iter().position(|client| client.request.is_none() && old(client));
        let Some(one) = silent.or_else(|| self.waiting.iter().position(old)) else { return false };
        self.waiting.remove(one).turn_away();
        true
    }

    /// Starts to serve those whose request is there and for whom there is a place.
    fn dispatch(&mut self) {
        let mut turns = if self.limits.pause.is_some() { 1 } else { usize::MAX };
        let mut n = 0;
        while n < self.waiting.len() {
            let kind = self.waiting[n].request.as_ref().map(|(kind, _)| *kind);
            let place = kind
                .filter(|kind| *kind == PlaceKind::Securing || turns > 0)
                .and_then(|kind| self.places.take(kind));
            let Some(place) = place else {
                n += 1;
                continue;
            };
            turns -= usize::from(place.kind != PlaceKind::Securing);
            let client = self.waiting.remove(n);
            let (Some((_, line)), Ok(())) = (client.request, client.stream.set_nonblocking(false)) else {
                continue;
            };
            let (handler, stream) = (Arc::clone(self.handler), client.stream);
            // Without a thread the client is hung up on, and its place is free.
            let _ = spawn("client", None, move || {
                let _place = place;
                if let Err(error) = handler.serve(stream, line) {
                    log::debug!("event=client_gone error={:?}", error.to_string());
                }
            });
        }
    }

    fn drop_overdue(&mut self) {
        let (now, patience) = (clock::now(), self.limits.patience);
        let overdue = |client: &mut Waiting| now.since(client.since) >= patience;
        for client in self.waiting.extract_if(.., overdue) {
            client.turn_away();
        }
    }
}
