//! What watchers get: the door's state, the audit log's entries, and a picture while somebody looks.
//!
//! Whoever works for the door updates a snapshot and continues; nobody here can make it wait. State and picture
//! are latest-only. Of the audit log's entries the snapshot keeps the last few: a watcher that falls behind
//! reads the log itself ([`super::handler`]), so that none is lost and none comes twice.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::audit::Entry;
use crate::lock::{lock, wait_at_most};
use crate::protocol::{Attempt, State};

/// Entries kept at hand for watchers.
const ENTRIES: usize = 256;

/// Where the latest state, picture and entries are put for watchers.
#[derive(Default)]
pub struct Broadcaster {
    snapshot: Mutex<Snapshot>,
    updated: Condvar,
    watchers: AtomicUsize,
    viewers: AtomicUsize,
}

#[derive(Default)]
struct Snapshot {
    state: Option<Arc<State>>,
    states: u64,
    /// One line of the protocol.
    view: Option<Arc<[u8]>>,
    views: u64,
    attempt: Attempt,
    entries: VecDeque<Arc<Entry>>,
}

// The snapshot holds a picture of people.
impl std::fmt::Debug for Broadcaster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broadcaster")
            .field("watchers", &self.watchers)
            .field("viewers", &self.viewers)
            .finish_non_exhaustive()
    }
}

impl Broadcaster {
    fn snapshot(&self) -> MutexGuard<'_, Snapshot> {
        lock(&self.snapshot)
    }

    /// True while somebody watches.
    pub(super) fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    /// True while somebody looks at the picture.
    pub(super) fn is_viewed(&self) -> bool {
        self.viewers.load(Ordering::Relaxed) > 0
    }

    /// Entries have reached the disk, in their order.
    pub fn audited(&self, entries: Vec<Entry>) {
        let mut snapshot = self.snapshot();
        snapshot.entries.extend(entries.into_iter().map(Arc::new));
        let surplus = snapshot.entries.len().saturating_sub(ENTRIES);
        snapshot.entries.drain(..surplus);
        self.updated.notify_all();
    }

    /// Puts the attempt into the snapshot, and with `whole` all of the state. False when somebody else holds the
    /// snapshot: nobody waits for it, the next update is as good.
    pub(super) fn try_publish(&self, state: State, whole: bool) -> bool {
        let Ok(mut snapshot) = self.snapshot.try_lock() else { return false };
        snapshot.attempt.clone_from(&state.attempt);
        if whole {
            snapshot.state = Some(Arc::new(state));
            snapshot.states += 1;
            self.updated.notify_all();
        }
        true
    }

    /// The attempt in progress, as it was published last.
    pub(super) fn attempt(&self) -> Attempt {
        self.snapshot().attempt.clone()
    }

    /// Number of the last entry at hand.
    pub(super) fn head(&self) -> Option<u64> {
        self.snapshot().entries.back().map(|entry| entry.seq)
    }

    /// The picture is this one, as a line of the protocol.
    pub(super) fn show(&self, view: Arc<[u8]>) {
        let mut snapshot = self.snapshot();
        snapshot.view = Some(view);
        snapshot.views += 1;
        self.updated.notify_all();
    }
}

/// What came since a watcher looked last.
#[derive(Default)]
pub(super) struct Update {
    /// Entries that follow the last one that the watcher had.
    pub entries: Vec<Arc<Entry>>,
    /// True when entries are missing before those at hand: they are in the log.
    pub behind: bool,
    pub state: Option<Arc<State>>,
    pub view: Option<Arc<[u8]>>,
}

impl Update {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && !self.behind && self.state.is_none() && self.view.is_none()
    }
}

/// One who watches; while it lives, states are published, and pictures where it wants them.
pub(super) struct Watcher {
    broadcaster: Arc<Broadcaster>,
    picture: bool,
    /// Number of the last entry that it has; `None` before any is known.
    pub last: Option<u64>,
    states: u64,
    views: u64,
}

impl Watcher {
    /// `since`: the last entry that it has already; otherwise those that come from now on.
    pub(super) fn new(broadcaster: Arc<Broadcaster>, picture: bool, since: Option<u64>) -> Self {
        broadcaster.watchers.fetch_add(1, Ordering::Relaxed);
        broadcaster.viewers.fetch_add(usize::from(picture), Ordering::Relaxed);
        // A picture of before is not shown.
        let (head, views) = (broadcaster.head(), broadcaster.snapshot().views);
        let last = since.or(head);
        Watcher { broadcaster, picture, last, states: 0, views }
    }

    /// Waits for an update, but no longer than `wait`.
    pub(super) fn next(&mut self, wait: Duration) -> Update {
        let broadcaster = Arc::clone(&self.broadcaster);
        let mut snapshot = broadcaster.snapshot();
        let mut update = self.collect(&snapshot);
        if update.is_empty() {
            snapshot = wait_at_most(&broadcaster.updated, snapshot, wait);
            update = self.collect(&snapshot);
        }
        update
    }

    /// Number of the first entry at hand.
    pub(super) fn first(&self) -> Option<u64> {
        self.broadcaster.snapshot().entries.front().map(|entry| entry.seq)
    }

    fn collect(&mut self, snapshot: &Snapshot) -> Update {
        let number = |entry: Option<&Arc<Entry>>| entry.map(|entry| entry.seq);
        let (first, head) = (number(snapshot.entries.front()), number(snapshot.entries.back()));
        if head.is_some() && self.last > head {
            // The log was begun anew: everything in it is new.
            self.last = Some(0);
        }
        let behind = matches!((self.last, first), (Some(last), Some(first)) if last + 1 < first);
        let mut update = Update { behind, ..Update::default() };
        if !behind {
            let known = |entry: &&Arc<Entry>| self.last.is_some_and(|last| entry.seq <= last);
            update.entries = snapshot.entries.iter().skip_while(known).cloned().collect();
            self.last = update.entries.last().map(|entry| entry.seq).or(self.last);
        }
        if self.states != snapshot.states {
            self.states = snapshot.states;
            update.state.clone_from(&snapshot.state);
        }
        if self.picture && self.views != snapshot.views {
            self.views = snapshot.views;
            update.view.clone_from(&snapshot.view);
        }
        update
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.broadcaster.watchers.fetch_sub(1, Ordering::Relaxed);
        if self.picture && self.broadcaster.viewers.fetch_sub(1, Ordering::Relaxed) == 1 {
            // Nobody looks: the picture is not kept.
            self.broadcaster.snapshot().view = None;
        }
    }
}
