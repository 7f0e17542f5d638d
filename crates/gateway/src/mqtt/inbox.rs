//! What the door has said and the broker has not been told yet.

use std::collections::VecDeque;
use std::time::Duration;

use crate::daemon_link::{LinkError, LinkUpdate};
use crate::sync::Monitor;
use facelatch_audit::Entry;
use facelatch_protocol::State;

/// Entries of the audit log that may wait here; the rest wait in the log.
const BACKLOG: usize = 256;

/// What the door has said and the broker has not been told yet. A broker that is slow must not keep the
/// thread that reads, or the daemon drops it.
pub(super) type Inbox = Monitor<InboxState>;

#[derive(Default)]
pub(super) struct InboxState {
    /// The latest.
    pub(super) state: Option<Box<State>>,
    pub(super) entries: VecDeque<Box<Entry>>,
    /// There was no room for an entry, and none is taken any more.
    pub(super) full: bool,
    pub(super) ended: Option<Result<(), LinkError>>,
}

/// What is to be done next.
pub(super) enum Next {
    State(Box<State>),
    Entry(Box<Entry>),
    Ended(Result<(), LinkError>),
    Nothing,
}

impl Inbox {
    pub(super) fn put(&self, update: LinkUpdate) {
        self.change(|now| match update {
            LinkUpdate::State(state) => now.state = Some(state),
            LinkUpdate::Entry(entry) => {
                now.full |= now.entries.len() >= BACKLOG;
                if !now.full {
                    now.entries.push_back(entry);
                }
            }
            LinkUpdate::Up(_) | LinkUpdate::Down(_) | LinkUpdate::View(_) => {}
        });
    }

    pub(super) fn state(&self) -> Option<Box<State>> {
        self.lock().state.take()
    }

    /// States before entries; those that found no room are asked for again, behind those at hand.
    pub(super) fn next(&self, wait: Duration) -> Next {
        let mut now = self.wait_while(wait, |now| {
            now.state.is_none() && now.entries.is_empty() && !now.full && now.ended.is_none()
        });
        if let Some(state) = now.state.take() {
            Next::State(state)
        } else if let Some(entry) = now.entries.pop_front() {
            Next::Entry(entry)
        } else if now.full {
            Next::Ended(Ok(()))
        } else {
            now.ended.take().map_or(Next::Nothing, Next::Ended)
        }
    }
}
