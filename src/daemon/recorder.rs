//! The daemon's side of the audit log: what is recorded, and a thread of its own that waits for the
//! disk.
//!
//! The thread that owns the strike hands entries over and never waits: a disk that hangs can delay a
//! release, but not the securing of the strike. Entries that find the queue full are counted, and the
//! count is recorded as soon as there is room.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::budget::{Allowance, Kind};
use super::live::Live;
use super::reconcile::{Books, Reconciled, reconcile};
use super::{DaemonError, Message, spawn};
use crate::access::{DenyReason, EnrolGrant, Event, ReleaseReason};
use crate::audit::{AuditError, AuditLog, Checkpoint, Disk, Fact, Marks, Stamp};
use crate::clock;
use crate::door::{Report, details};
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
    fact: Fact,
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
    kept: VecDeque<(Stamp, Fact)>,
    tail: LogTail,
    opened: Arc<Mutex<Option<Reconciled>>>,
}

/// How far the log is on the disk: its thread says, and whoever writes gallery and state notes it there.
#[derive(Clone, Debug, Default)]
pub struct LogTail(Arc<Mutex<Option<(Checkpoint, Marks)>>>);

impl LogTail {
    fn set<D: Disk>(&self, log: &AuditLog<D>) {
        let tail = (log.head(), log.marks().unwrap_or_default());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(tail);
    }

    /// The last entry, and what the entries have said of gallery and state; nothing before the log is open.
    pub fn get(&self) -> Option<(Checkpoint, Marks)> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder {
    /// Starts the thread that opens the log, compares it with `books` and writes it, and tries again until
    /// that works; `inbox` is woken when entries have reached the disk, and `live` is given them.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start<D: Disk + 'static>(
        open: impl FnMut() -> Result<AuditLog<D>, AuditError> + Send + 'static,
        books: Books,
        inbox: &SyncSender<Message>,
        live: Arc<Live>,
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
            // Before any release can have its entry: `Keeper::settle` looks in this order.
            *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(reconciled);
            serve(&disk, log, &queue, (&done, &end), &woken, &live);
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
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// True while the log can be written, as far as is known.
    pub fn works(&self) -> bool {
        self.lost == 0 && !self.failing.load(Ordering::Relaxed)
    }

    /// Hands an entry over, at once; `None` when there was no room for it.
    pub fn record(&mut self, now: Timestamp, fact: Fact) -> Option<Ticket> {
        let stamp = stamp(now);
        while let Some((at, kept)) = self.kept.pop_front() {
            if let Err(fact) = self.try_hand_over(at, kept) {
                self.kept.push_front((at, fact));
                break;
            }
        }
        if fact.mark.is_some() {
            if self.kept.is_empty() {
                match self.try_hand_over(stamp, fact) {
                    Ok(ticket) => return Some(ticket),
                    Err(fact) => self.kept.push_back((stamp, fact)),
                }
            } else {
                self.kept.push_back((stamp, fact));
            }
            return None;
        }
        if self.lost > 0 {
            let lost =
                Fact::new("lost").with(format!("entries={} reason=\"the disk was too slow\"", self.lost));
            self.hand_over(stamp, lost)?;
            self.lost = 0;
        }
        self.hand_over(stamp, fact)
    }

    fn try_hand_over(&mut self, stamp: Stamp, fact: Fact) -> Result<Ticket, Fact> {
        let ticket = Ticket(self.last.0 + 1);
        let full = |(TrySendError::Full(job) | TrySendError::Disconnected(job)): TrySendError<Job>| job.fact;
        self.jobs.try_send(Job { ticket, stamp, fact }).map_err(full)?;
        self.last = ticket;
        Ok(ticket)
    }

    fn hand_over(&mut self, stamp: Stamp, fact: Fact) -> Option<Ticket> {
        let ticket = self.try_hand_over(stamp, fact).ok();
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

/// A disk that refuses is tried again, which is said once.
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

fn serve<D: Disk>(
    disk: &Attempts,
    mut log: AuditLog<D>,
    queue: &Receiver<Job>,
    (synced, tail): (&AtomicU64, &LogTail),
    inbox: &SyncSender<Message>,
    live: &Live,
) {
    tail.set(&log);
    let _ = inbox.try_send(Message::Recorded);
    let Checkpoint { entries, hash } = log.head();
    log::info!("event=audit_head entries={entries} hash={hash}");
    while let Ok(first) = queue.recv() {
        let mut last = first.ticket;
        let mut facts = vec![(first.stamp, first.fact)];
        for job in queue.try_iter().take(BATCH - 1) {
            last = job.ticket;
            facts.push((job.stamp, job.fact));
        }
        disk.until_done(|| log.append(&facts));
        tail.set(&log);
        synced.store(last.0, Ordering::Release);
        live.audited(log.take_written());
        // A full inbox wakes its owner by itself.
        let _ = inbox.try_send(Message::Recorded);
    }
}

/// `now` by the monotonic clock, with what the wall clock says.
pub fn stamp(now: Timestamp) -> Stamp {
    Stamp { wall_ms: clock::unix_millis(), mono: now }
}

/// What the audit log keeps of a report; `None` for what concerns nobody's access.
pub fn fact(report: &Report) -> Option<Fact> {
    let event = match report {
        Report::Enrolled { subject, from, .. } => {
            let fact = Fact::new("enrolled").with(format!("from={}", from.name()));
            return Some(Fact { subject: Some(*subject), ..fact });
        }
        Report::Replaced { subject, by, similarity, another } => {
            let fact = Fact::new("removed").with(format!("why=replaced by={by} another={another}"));
            return Some(Fact { subject: Some(*subject), similarity: *similarity, ..fact });
        }
        Report::LookAdded { subject, from, looks, similarity, .. } => {
            let fact = Fact::new("look_added").with(format!("from={} looks={looks}", from.name()));
            return Some(Fact { subject: Some(*subject), similarity: Some(*similarity), ..fact });
        }
        Report::Removed { subject } => {
            return Some(Fact { subject: Some(*subject), ..Fact::new("removed") });
        }
        Report::Expired { subject } => {
            return Some(Fact { subject: Some(*subject), ..Fact::new("removed").with("why=expired") });
        }
        Report::Renamed { subject } => {
            return Some(Fact { subject: Some(*subject), ..Fact::new("renamed") });
        }
        Report::Noted { subject } => {
            return Some(Fact { subject: Some(*subject), ..Fact::new("noted") });
        }
        Report::Disabled { subject } => {
            return Some(Fact { subject: Some(*subject), ..Fact::new("disabled").with("why=expired") });
        }
        Report::Enabled { subject } => {
            return Some(Fact { subject: Some(*subject), ..Fact::new("enabled").with("why=not_expired") });
        }
        Report::RollbackAccepted => return Some(Fact::new("rollback_accepted").with("by=operator")),
        Report::EnrolRefused { like: Some(subject), .. } => {
            let refused = Fact::new("enrol_refused").with("reason=\"already enrolled\"");
            return Some(Fact { subject: Some(*subject), ..refused });
        }
        Report::EnrolRefused { logged, like: None, .. } => {
            return Some(Fact::new("enrol_refused").with(format!("reason={logged:?}")));
        }
        Report::Event(event) => event,
    };
    let (subject, similarity) = match event {
        Event::NoFace
        | Event::Identifying { .. }
        | Event::StaleFrame { .. }
        | Event::EnrolCountdown { .. }
        | Event::EnrolWaiting(_)
        | Event::EnrolStillWaiting { .. }
        | Event::EnrolTaken => return None,
        Event::Released(ReleaseReason::Identified { subject, mean_similarity }) => {
            (Some(*subject), Some(*mean_similarity))
        }
        Event::Denied(DenyReason::Unknown { best_mean } | DenyReason::PoorPicture { best_mean, .. }) => {
            (None, *best_mean)
        }
        Event::Denied(DenyReason::Ambiguous { subject, best_mean, .. }) => (Some(*subject), Some(*best_mean)),
        Event::Denied(
            DenyReason::AlreadyReleased { subject }
            | DenyReason::OutOfHours { subject }
            | DenyReason::ClockNotSet { subject }
            | DenyReason::Spoof { subject, .. }
            | DenyReason::NotSureAlive { subject, .. }
            | DenyReason::SecondFactor { subject, .. }
            | DenyReason::TurnHead { subject, .. }
            | DenyReason::Nod { subject, .. }
            | DenyReason::ChallengeFailed { subject, .. },
        ) => (Some(*subject), None),
        Event::Denied(
            DenyReason::SeveralFaces { .. }
            | DenyReason::LockedOut { .. }
            | DenyReason::SecureMode
            | DenyReason::NotRecorded,
        )
        | Event::Released(ReleaseReason::Rex | ReleaseReason::HoldOpen { .. })
        | Event::Secured(_)
        | Event::Door { .. }
        | Event::Alarm(_)
        | Event::AlarmOver(_)
        | Event::LockedOut { .. }
        | Event::LockoutOver
        | Event::LockoutCleared
        | Event::ModeChanged(_)
        | Event::Fault(_)
        | Event::ButtonRefused
        | Event::EnrolAllowed { by: EnrolGrant::Operator, .. }
        | Event::EnrolStarted
        | Event::EnrolFailed { .. } => (None, None),
        Event::EnrolAllowed { by: EnrolGrant::Administrator { subject }, .. } => (Some(*subject), None),
    };
    // Whom and how much have fields of their own.
    let detail = match event {
        Event::Released(ReleaseReason::Identified { .. }) => "cause=identified".to_owned(),
        Event::EnrolAllowed { by: EnrolGrant::Administrator { .. }, .. } => "by=administrator".to_owned(),
        Event::Denied(
            reason @ (DenyReason::Spoof { evidence, .. }
            | DenyReason::NotSureAlive { evidence, .. }
            | DenyReason::SecondFactor { evidence, .. }
            | DenyReason::TurnHead { evidence, .. }
            | DenyReason::Nod { evidence, .. }),
        ) => format!("reason={} evidence={evidence:.2}", reason.code().name()),
        Event::Denied(reason @ DenyReason::ChallengeFailed { end, .. }) => {
            format!("reason={} end={}", reason.code().name(), end.name())
        }
        Event::Denied(reason) if subject.is_some() || similarity.is_some() => {
            format!("reason={}", reason.code().name())
        }
        _ => details(event).trim_start().to_owned(),
    };
    let detail = Some(detail).filter(|detail| !detail.is_empty());
    Some(Fact { event: event.name().to_owned(), subject, similarity, detail, mark: None })
}

/// By which kind an entry is counted when there are too many, and how many there may be. `None` for what
/// always gets an entry of its own: a release for a face, an enrolment and a removal are what the log is
/// for, and nobody outside can repeat them at will.
pub(super) fn quota(report: &Report) -> Option<(Kind, Allowance)> {
    let outside = |event, detail: String| Some((Kind { event, detail }, Allowance::OUTSIDE));
    let event = match report {
        Report::Enrolled { .. }
        | Report::Replaced { .. }
        | Report::LookAdded { .. }
        | Report::Removed { .. }
        | Report::Expired { .. }
        | Report::RollbackAccepted => return None,
        // A time server can set the clock again and again.
        Report::Disabled { .. } => return outside("disabled", String::new()),
        Report::Enabled { .. } => return outside("enabled", String::new()),
        // The gateway may have the right to do these, and then can a thousand times a minute.
        Report::Renamed { .. } => return outside("renamed", String::new()),
        Report::Noted { .. } => return outside("noted", String::new()),
        Report::EnrolRefused { .. } => return outside("enrol_refused", String::new()),
        Report::Event(event) => event,
    };
    let (detail, allowance) = match event {
        Event::Released(ReleaseReason::Identified { .. }) => return None,
        Event::Released(ReleaseReason::Rex) => ("cause=rex".to_owned(), Allowance::TRAFFIC),
        Event::Released(ReleaseReason::HoldOpen { .. }) => ("cause=hold_open".to_owned(), Allowance::OUTSIDE),
        Event::Secured(why) => (format!("why={}", why.name()), Allowance::TRAFFIC),
        Event::Door { .. } => (String::new(), Allowance::TRAFFIC),
        Event::Denied(reason) => (format!("reason={}", reason.code().name()), Allowance::OUTSIDE),
        Event::Alarm(alarm) | Event::AlarmOver(alarm) => {
            (format!("alarm={}", alarm.name()), Allowance::OUTSIDE)
        }
        Event::ModeChanged(mode) => (format!("mode={}", mode.name()), Allowance::OUTSIDE),
        Event::Fault(fault) => (format!("fault={}", fault.name()), Allowance::OUTSIDE),
        _ => (String::new(), Allowance::OUTSIDE),
    };
    Some((Kind { event: event.name(), detail }, allowance))
}

/// True for the release of a face: its entry must be on the disk before the strike moves. Who asks to
/// leave is never kept waiting.
pub fn is_recorded_first(report: &Report) -> bool {
    matches!(report, Report::Event(Event::Released(ReleaseReason::Identified { .. })))
}
