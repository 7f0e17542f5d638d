//! The daemon's side of the audit log: what is recorded, and a thread of its own that waits for the
//! disk.
//!
//! The thread that owns the strike hands entries over and never waits: a disk that hangs can delay a
//! release, but not the securing of the strike. Entries that find the queue full are counted, and the
//! count is recorded as soon as there is room.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::audit_events::stamp;
use super::broadcaster::Broadcaster;
use super::error::DaemonError;
use super::message::Message;
use super::reconcile::{Books, Reconciled, reconcile};
use super::spawn::spawn;
use crate::audit::{AuditError, AuditEvent, AuditLog, Checkpoint, LogDisk, Marks, Stamp};
use crate::clock;
use crate::lock::lock;
use crate::time::Timestamp;

/// Entries that wait for a slow disk; a busy door makes about one a second.
const QUEUE: usize = 1_024;
/// Entries that share a sync.
const BATCH: usize = 64;
/// Between two tries of a disk that refuses.
const RETRY: Duration = Duration::from_secs(1);

/// The number of an entry handed over; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

struct Job {
    ticket: Ticket,
    stamp: Stamp,
    event: AuditEvent,
}

/// Where the daemon puts what the audit log should hold.
#[derive(Debug)]
pub struct Recorder {
    jobs: SyncSender<Job>,
    synced: Arc<AtomicU64>,
    failing: Arc<AtomicBool>,
    last: Ticket,
    /// Entries that found no room.
    lost: u64,
    /// Entries about the gallery and other files found no room, and wait for it: none may be left out.
    kept: VecDeque<(Stamp, AuditEvent)>,
    tail: LogTail,
    opened: Arc<Mutex<Option<Reconciled>>>,
}

/// How far the log is on the disk: its thread says, and whoever writes gallery and state notes it there.
#[derive(Clone, Debug, Default)]
pub struct LogTail(Arc<Mutex<Option<(Checkpoint, Marks)>>>);

impl LogTail {
    fn set<D: LogDisk>(&self, log: &AuditLog<D>) {
        let tail = (log.head(), log.marks().unwrap_or_default());
        *lock(&self.0) = Some(tail);
    }

    /// The last entry, and what the entries have said of gallery and state; nothing before the log is open.
    pub fn get(&self) -> Option<(Checkpoint, Marks)> {
        *lock(&self.0)
    }
}

impl Recorder {
    /// Starts the thread that opens the log, compares it with `books` and writes it, and tries again until
    /// that works; `inbox` is woken when entries have reached the disk, and `broadcaster` is given them.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start<D: LogDisk + 'static>(
        open: impl FnMut() -> Result<AuditLog<D>, AuditError> + Send + 'static,
        books: Books,
        inbox: &SyncSender<Message>,
        broadcaster: Arc<Broadcaster>,
    ) -> Result<Self, DaemonError> {
        let (jobs, queue) = sync_channel(QUEUE);
        let (synced, failing) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let disk = Attempts { failing: Arc::clone(&failing) };
        let (tail, opened) = (LogTail::default(), Arc::new(Mutex::new(None)));
        let (done, woken) = (Arc::clone(&synced), inbox.clone());
        let (end, found) = (tail.clone(), Arc::clone(&opened));
        spawn("audit", Some(inbox.clone()), move || {
            let mut log = disk.until_done(open);
            let reconciled = disk.until_done(|| reconcile(&mut log, &books, stamp(clock::now())));
            // Before any release can have its entry: `Executor::release_when_recorded` looks in this order.
            *lock(&found) = Some(reconciled);
            serve(&disk, log, &queue, (&done, &end), &woken, &broadcaster);
        })?;
        let (last, lost, kept) = (Ticket(0), 0, VecDeque::new());
        Ok(Recorder { jobs, synced, failing, last, lost, kept, tail, opened })
    }

    /// How far the log is on the disk.
    pub fn tail(&self) -> &LogTail {
        &self.tail
    }

    /// What came of comparing the log with the other files; once, after it was opened.
    pub fn take_opened(&self) -> Option<Reconciled> {
        lock(&self.opened).take()
    }

    /// True while the log can be written, as far as is known.
    pub fn works(&self) -> bool {
        self.lost == 0 && !self.failing.load(Ordering::Relaxed)
    }

    /// Hands an entry over, at once; `None` when there was no room for it.
    pub fn record(&mut self, now: Timestamp, event: AuditEvent) -> Option<Ticket> {
        let stamp = stamp(now);
        while let Some((at, kept)) = self.kept.pop_front() {
            if let Err(event) = self.try_hand_over(at, kept) {
                self.kept.push_front((at, event));
                break;
            }
        }
        if event.mark.is_some() {
            if self.kept.is_empty() {
                match self.try_hand_over(stamp, event) {
                    Ok(ticket) => return Some(ticket),
                    Err(event) => self.kept.push_back((stamp, event)),
                }
            } else {
                self.kept.push_back((stamp, event));
            }
            return None;
        }
        if self.lost > 0 {
            let lost = AuditEvent::new("lost")
                .with(format!("entries={} reason=\"the disk was too slow\"", self.lost));
            self.hand_over(stamp, lost)?;
            self.lost = 0;
        }
        self.hand_over(stamp, event)
    }

    fn try_hand_over(&mut self, stamp: Stamp, event: AuditEvent) -> Result<Ticket, AuditEvent> {
        let ticket = Ticket(self.last.0 + 1);
        let full = |(TrySendError::Full(job) | TrySendError::Disconnected(job)): TrySendError<Job>| job.event;
        self.jobs.try_send(Job { ticket, stamp, event }).map_err(full)?;
        self.last = ticket;
        Ok(ticket)
    }

    fn hand_over(&mut self, stamp: Stamp, event: AuditEvent) -> Option<Ticket> {
        let ticket = self.try_hand_over(stamp, event).ok();
        if ticket.is_none() {
            if self.lost == 0 {
                log::error!(
                    "event=audit_lost reason=\"the disk is too slow or refuses: see event=audit_failed\""
                );
            }
            self.lost += 1;
        }
        ticket
    }

    /// True when that entry is on the disk.
    pub fn is_synced(&self, ticket: Ticket) -> bool {
        self.synced.load(Ordering::Acquire) >= ticket.0
    }

    /// Waits until everything is on the disk, but no longer than `limit`.
    pub fn finish(&self, limit: Duration) {
        const STEP: Duration = Duration::from_millis(5);
        let mut waited = Duration::ZERO;
        while !self.is_synced(self.last) {
            if waited >= limit {
                log::error!(
                    "event=audit_unfinished reason=\"the disk did not take the last entries in time\""
                );
                return;
            }
            thread::sleep(STEP);
            waited += STEP;
        }
    }
}

/// A disk that refuses is retried; this is logged once.
struct Attempts {
    failing: Arc<AtomicBool>,
}

impl Attempts {
    fn until_done<T>(&self, mut attempt: impl FnMut() -> Result<T, AuditError>) -> T {
        loop {
            match attempt() {
                Ok(done) => {
                    if self.failing.swap(false, Ordering::Relaxed) {
                        log::info!("event=audit_works_again");
                    }
                    return done;
                }
                Err(error) => {
                    if !self.failing.swap(true, Ordering::Relaxed) {
                        log::error!("event=audit_failed error={:?}", error.to_string());
                    }
                    thread::sleep(RETRY);
                }
            }
        }
    }
}

fn serve<D: LogDisk>(
    disk: &Attempts,
    mut log: AuditLog<D>,
    queue: &Receiver<Job>,
    (synced, tail): (&AtomicU64, &LogTail),
    inbox: &SyncSender<Message>,
    broadcaster: &Broadcaster,
) {
    tail.set(&log);
    let _ = inbox.try_send(Message::Recorded);
    let Checkpoint { entries, hash } = log.head();
    log::info!("event=audit_head entries={entries} hash={hash}");
    while let Ok(first) = queue.recv() {
        let mut last = first.ticket;
        let mut events = vec![(first.stamp, first.event)];
        for job in queue.try_iter().take(BATCH - 1) {
            last = job.ticket;
            events.push((job.stamp, job.event));
        }
        disk.until_done(|| log.append(&events));
        tail.set(&log);
        synced.store(last.0, Ordering::Release);
        broadcaster.audited(log.take_written());
        // A full inbox wakes its owner by itself.
        let _ = inbox.try_send(Message::Recorded);
    }
}
