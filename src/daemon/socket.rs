//! The daemon's Unix socket: accepts clients, hands their requests to the controller's thread.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::protocol::{MAX_REQUEST, Reply, Request};
use super::{DaemonError, Message, spawn};

/// Clients served at a time; further ones are turned away.
const MAX_CLIENTS: usize = 8;
/// A client that neither sends nor reads for so long is dropped.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// A request with the way back to its client.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub request: Request,
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
    /// Binds the socket, for the daemon's own user only (mode 0600).
    ///
    /// # Errors
    /// When another daemon answers there, or the folder cannot be written.
    pub fn bind(path: &Path) -> Result<Self, DaemonError> {
        let error = |what, source| DaemonError::Socket { path: path.to_owned(), what, source };
        if UnixStream::connect(path).is_ok() {
            return Err(DaemonError::AlreadyRunning { path: path.to_owned() });
        }
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(error("replace", e)),
            _ => {}
        }
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            fs::create_dir_all(dir).map_err(|e| error("make the folder of", e))?;
        }
        let listener = UnixListener::bind(path).map_err(|e| error("bind", e))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(|e| error("protect", e))?;
        Ok(Socket { path: path.to_owned(), listener })
    }

    /// Removes the file: no further client finds the daemon.
    pub fn close(&self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Accepts clients until the process ends.
    pub fn serve(&self, inbox: &SyncSender<Message>) {
        static CLIENTS: AtomicUsize = AtomicUsize::new(0);
        for stream in self.listener.incoming() {
            let Ok(stream) = stream else {
                // Out of descriptors, say: clients come back, the door goes on.
                std::thread::sleep(Duration::from_millis(100));
                continue;
            };
            if CLIENTS.fetch_add(1, Ordering::Relaxed) >= MAX_CLIENTS {
                CLIENTS.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let inbox = inbox.clone();
            let served = spawn("client", None, move || {
                if let Err(error) = serve_client(stream, &inbox) {
                    log::debug!("client=gone error={error}");
                }
                CLIENTS.fetch_sub(1, Ordering::Relaxed);
            });
            if served.is_err() {
                CLIENTS.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }
}

fn serve_client(mut stream: UnixStream, inbox: &SyncSender<Message>) -> io::Result<()> {
    stream.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    stream.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let mut line = Vec::new();
    BufReader::new((&stream).take(MAX_REQUEST)).read_until(b'\n', &mut line)?;
    let (client, replies, _alive) = Replies::new();
    match serde_json::from_slice(&line) {
        Ok(request) => {
            let gone = || io::Error::other("the daemon is stopping");
            inbox.send(Message::Asked(Asked { request, client })).map_err(|_| gone())?;
        }
        Err(error) => {
            let message = format!("request not understood: {error}");
            return write_reply(&mut stream, &Reply::Error { message });
        }
    }
    forward(&mut stream, &replies)
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
                stream.set_nonblocking(true)?;
                let peek = stream.read(&mut [0]);
                stream.set_nonblocking(false)?;
                match peek {
                    Ok(0) => return Ok(()),
                    Err(e) if e.kind() != io::ErrorKind::WouldBlock => return Err(e),
                    _ => {}
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

fn write_reply(stream: &mut UnixStream, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// A client's side of the socket.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<UnixStream>,
}

impl Client {
    /// Connects, `None` when no daemon listens there.
    ///
    /// # Errors
    /// When the socket is there but may not be used.
    pub fn connect(path: &Path) -> Result<Option<Self>, DaemonError> {
        match UnixStream::connect(path) {
            Ok(stream) => Ok(Some(Client { reader: BufReader::new(stream) })),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(source) => Err(DaemonError::Socket { path: path.to_owned(), what: "connect to", source }),
        }
    }

    /// Gives up on an answer that takes longer than this.
    pub fn limit(&self, limit: Duration) -> io::Result<()> {
        self.reader.get_ref().set_read_timeout(Some(limit))?;
        self.reader.get_ref().set_write_timeout(Some(limit))
    }

    /// Sends a request and returns its last reply; `progress` gets the words in between.
    ///
    /// # Errors
    /// When the daemon goes away or answers with an error.
    pub fn ask(
        &mut self,
        request: &Request,
        mut progress: impl FnMut(&str),
    ) -> Result<serde_json::Value, DaemonError> {
        let lost = |source| DaemonError::Lost { source };
        let mut line = serde_json::to_vec(request).map_err(|e| lost(e.into()))?;
        line.push(b'\n');
        self.reader.get_mut().write_all(&line).map_err(lost)?;
        loop {
            let mut answer = String::new();
            if self.reader.read_line(&mut answer).map_err(lost)? == 0 {
                return Err(lost(io::ErrorKind::UnexpectedEof.into()));
            }
            match serde_json::from_str(&answer).map_err(|e| lost(e.into()))? {
                Reply::Progress { text } => progress(&text),
                Reply::Ok { result } => return Ok(result),
                Reply::Error { message } => return Err(DaemonError::Refused { message }),
            }
        }
    }
}
