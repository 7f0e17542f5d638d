//! A request on its way to the thread that owns the strike, and the way back to its client.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};

use crate::matching::Gallery;
use crate::protocol::{Reply, Request, Right};

/// The client that asks.
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

    /// True when this one is among them.
    pub(super) fn allow(&self, right: Right) -> bool {
        self.0.contains(&right)
    }

    /// All of them.
    pub(super) fn list(&self) -> Vec<Right> {
        self.0.iter().copied().collect()
    }
}

/// A request with the way back to its client.
#[derive(Debug)]
pub struct ClientRequest {
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
