//! What the thread that owns the strike has the audit log told, within the budget of each kind of entry.

use std::time::Duration;

use super::budget::{Allowance, EntryKind, Quotas};
use super::reconcile::Reconciled;
use super::recorder::{Recorder, Ticket};
use crate::audit::{AuditEvent, Mark};
use crate::clock;
use crate::matching::Gallery;
use crate::time::Timestamp;

/// The way to the audit log.
pub(super) struct AuditTrail {
    recorder: Recorder,
    /// How much of what outsiders cause gets an entry of its own.
    quotas: Quotas,
    /// What is done at present was asked by an operator on the board: all of it gets an entry.
    pub(super) by_operator: bool,
}

impl AuditTrail {
    pub(super) fn new(recorder: Recorder) -> Self {
        AuditTrail { recorder, quotas: Quotas::default(), by_operator: false }
    }

    /// Hands an entry over, at once; `None` when there was no room for it.
    pub(super) fn record(&mut self, event: AuditEvent) -> Option<Ticket> {
        self.recorder.record(clock::now(), event)
    }

    /// Records what an outsider can cause at will, or counts it: nobody can push out what else happened.
    pub(super) fn record_within(
        &mut self,
        now: Timestamp,
        (kind, allowance): (EntryKind, Allowance),
        event: AuditEvent,
    ) {
        if self.by_operator || self.quotas.admit(now, &kind, allowance) {
            self.record(event);
        }
    }

    /// Writes how many have no entry of their own, as far as there is a budget for it.
    pub(super) fn write_sums(&mut self, now: Timestamp, gallery: &Gallery) {
        let sums = self.quotas.due(now);
        self.record_sums(sums, gallery);
    }

    /// Writes the last sums and the last entry, and waits for the disk, but no longer than `limit`.
    pub(super) fn finish(&mut self, gallery: &Gallery, last: AuditEvent, limit: Duration) {
        let sums = self.quotas.rest();
        self.record_sums(sums, gallery);
        self.record(last);
        self.wait_until_written(limit);
    }

    /// Waits until everything is on the disk, but no longer than `limit`.
    pub(super) fn wait_until_written(&self, limit: Duration) {
        self.recorder.finish(limit);
    }

    fn record_sums(&mut self, sums: Vec<(EntryKind, u64)>, gallery: &Gallery) {
        for (EntryKind { event, detail }, more) in sums {
            let blank = if detail.is_empty() { "" } else { " " };
            let entry = AuditEvent::new(event).with(format!("{detail}{blank}more={more}"));
            // Among them may be changes of the gallery, which the log is not to fall behind.
            let (version, next_id) = (gallery.version(), gallery.next_id());
            self.record(match event {
                "renamed" | "noted" => entry.marked(Mark::Found { version, next_id, state: 0 }),
                _ => entry,
            });
        }
    }

    /// True when that entry is on the disk.
    pub(super) fn is_synced(&self, ticket: Ticket) -> bool {
        self.recorder.is_synced(ticket)
    }

    /// What came of comparing the log with the other files; once, after it was opened.
    pub(super) fn take_opened(&self) -> Option<Reconciled> {
        self.recorder.take_opened()
    }

    /// True while the log can be written, as far as is known.
    pub(super) fn works(&self) -> bool {
        self.recorder.works()
    }
}
