//! The disk's thread: it writes gallery, state and recording, so that the thread that owns the strike
//! never waits for a disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::error::DaemonError;
use super::message::Message;
use super::reconcile::log_head;
use super::recorder::LogTail;
use super::spawn::spawn;
use crate::access::record::Line;
use crate::access::{PersistentState, SubjectId};
use crate::clock;
use crate::matching::Gallery;
use crate::store::{GalleryStore, Ledger, OwedChange, RecordingFile, StateStore, StoreError};

/// Jobs that wait for a slow disk: about half a minute of a recording.
const QUEUE: usize = 1_024;

/// What the thread is asked to do.
enum Job {
    Save(PersistentState),
    /// The state continues after this number.
    GoOnAfter(u64),
    /// People whose time is over, for the next write of the state.
    Over(BTreeMap<SubjectId, (u64, u64)>),
    /// State and gallery once more, with what the log has by now.
    Settle,
    SaveGallery(Box<GalleryChange>),
    Record(Box<Line>),
    EraseRecording(u64),
    /// Say so when everything before is done.
    Flush(SyncSender<()>),
}

/// A gallery to be written, and what is to be done once it is.
#[derive(Debug)]
pub struct GalleryChange {
    /// The gallery.
    pub gallery: Arc<Gallery>,
    /// What the audit log is to be told.
    pub change: OwedChange,
    /// Recorded frames are to be erased.
    pub erases: bool,
}

/// What the thread writes.
#[derive(Debug)]
pub struct StoredFiles {
    /// The gallery.
    pub store: GalleryStore,
    /// As it is in that file.
    pub gallery: Arc<Gallery>,
    /// What stands there beside it.
    pub ledger: Ledger,
    /// The door's state.
    pub state: StateStore,
    /// As it is in that file; `None` for one that cannot be read.
    pub saved: Option<PersistentState>,
    /// The recording, if one is made.
    pub recording: Option<RecordingFile>,
    /// Where a recording is, including an old one when none is being made.
    pub recorded: PathBuf,
    /// How far the audit log is.
    pub tail: LogTail,
}

/// The queue was full.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the disk is too slow")]
pub struct TooSlow;

/// The way to the disk's thread. Nothing here waits but [`DiskThread::flush`].
#[derive(Debug)]
pub struct DiskThread {
    jobs: SyncSender<Job>,
}

impl DiskThread {
    /// Starts the thread. It tells `inbox` of each state and each gallery whether it was written.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(mut files: StoredFiles, inbox: &SyncSender<Message>) -> Result<Self, DaemonError> {
        let (jobs, work) = sync_channel(QUEUE);
        let told = inbox.clone();
        spawn("disk", Some(inbox.clone()), move || {
            for job in &work {
                files.serve(job, &told);
            }
        })?;
        Ok(DiskThread { jobs })
    }

    /// Writes the door's state; [`Message::StateSaved`] or [`Message::NotSaved`] says how that went.
    ///
    /// # Errors
    /// When there is no room for the job.
    pub fn save(&self, saved: PersistentState) -> Result<(), TooSlow> {
        self.hand_over(Job::Save(saved))
    }

    /// Writes the gallery; [`Message::GallerySaved`] says whether that went well.
    ///
    /// # Errors
    /// When there is no room for the job.
    pub fn save_gallery(&self, change: GalleryChange) -> Result<(), TooSlow> {
        self.hand_over(Job::SaveGallery(Box::new(change)))
    }

    /// Lets later writes of the state have numbers after this one.
    ///
    /// # Errors
    /// When there is no room for the job.
    pub fn go_on_after(&self, number: u64) -> Result<(), TooSlow> {
        self.hand_over(Job::GoOnAfter(number))
    }

    /// Notes in the state for how long the clock has said that the time of these people is over.
    ///
    /// # Errors
    /// When there is no room for the job.
    pub fn note_over(&self, over: BTreeMap<SubjectId, (u64, u64)>) -> Result<(), TooSlow> {
        self.hand_over(Job::Over(over))?;
        self.settle()
    }

    /// Notes in state and gallery how far the audit log is.
    ///
    /// # Errors
    /// When there is no room for the job.
    pub fn settle(&self) -> Result<(), TooSlow> {
        self.hand_over(Job::Settle)
    }

    /// Adds a line to the recording, if there is one.
    ///
    /// # Errors
    /// When there is no room for the job.
    pub fn record(&self, line: Box<Line>) -> Result<(), TooSlow> {
        self.hand_over(Job::Record(line))
    }

    /// Empties the recording, also one that nobody goes on with, because this version of the gallery has
    /// somebody removed; [`Message::RecordingErased`] says when that is done.
    ///
    /// # Errors
    /// When there is no room for the job.
    pub fn erase_recording(&self, version: u64) -> Result<(), TooSlow> {
        self.hand_over(Job::EraseRecording(version))
    }

    fn hand_over(&self, job: Job) -> Result<(), TooSlow> {
        self.jobs.try_send(job).map_err(|_| TooSlow)
    }

    /// Waits until everything is written, but no longer than `limit`; meanwhile `idle` is called again
    /// and again, and once more at the end.
    pub fn flush(&self, limit: Duration, mut idle: impl FnMut()) {
        const STEP: Duration = Duration::from_millis(5);
        let (done, wait) = sync_channel(1);
        let mut job = Some(Job::Flush(done));
        let until = clock::now() + limit;
        while clock::now() < until {
            if let Some(Err(TrySendError::Full(full))) = job.take().map(|job| self.jobs.try_send(job)) {
                job = Some(full);
            }
            idle();
            match wait.recv_timeout(STEP) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return idle(),
            }
        }
        log::error!("event=disk_unfinished reason=\"the disk did not take everything in time\"");
    }
}

impl StoredFiles {
    fn serve(&mut self, job: Job, inbox: &SyncSender<Message>) {
        match job {
            Job::Save(saved) => self.save_state(saved, inbox),
            Job::GoOnAfter(number) => self.state.go_on_after(number),
            Job::Over(over) => self.state.note_over(over),
            Job::Settle => {
                if let Some(saved) = self.saved {
                    self.save_state(saved, inbox);
                }
                if (self.ledger.log.is_none() || !self.ledger.owed.is_empty())
                    && let Some((log, recorded)) = self.log_stands()
                    && let Err(error) = self.save(None, self.ledger.settled(Some(log), recorded))
                {
                    log::error!("event=gallery_not_saved error={:?}", error.to_string());
                }
            }
            Job::SaveGallery(job) => {
                let GalleryChange { gallery, change, erases } = *job;
                let (log, recorded) = self.log_stands().map_or((None, (0, 0)), |(l, r)| (Some(l), r));
                let ledger = self.ledger.with(change, erases, log, recorded);
                let outcome = self.save(Some(gallery), ledger).map_err(|error| error.to_string());
                if let Err(error) = &outcome {
                    log::error!("event=gallery_not_saved error={error:?}");
                }
                let _ = inbox.send(Message::GallerySaved(outcome));
            }
            Job::Record(line) => {
                if let Some(Err(error)) = self.recording.as_mut().map(|file| file.add(&line)) {
                    log::error!("event=recording_stopped error={:?}", error.to_string());
                    self.recording = None;
                }
            }
            Job::EraseRecording(version) => {
                let erased = match &mut self.recording {
                    Some(file) => file.erase(),
                    None => RecordingFile::remove(&self.recorded),
                };
                match erased {
                    Ok(()) => {
                        let _ = inbox.send(Message::RecordingErased { version });
                    }
                    Err(error) => log::error!(
                        "event=recording_not_erased file={} error={:?} remedy=\"remove it\"",
                        self.recorded.display(),
                        error.to_string()
                    ),
                }
            }
            Job::Flush(done) => {
                let _ = done.send(());
            }
        }
    }

    /// Where the log stands, and how far it has the gallery's changes.
    fn log_stands(&self) -> Option<(crate::store::LogHead, (u64, u32))> {
        let (head, marks) = self.tail.get()?;
        Some((log_head(head), (marks.gallery, marks.part)))
    }

    fn save(&mut self, gallery: Option<Arc<Gallery>>, ledger: Ledger) -> Result<(), StoreError> {
        let gallery = gallery.unwrap_or_else(|| Arc::clone(&self.gallery));
        self.store.save(&gallery, &ledger)?;
        (self.gallery, self.ledger) = (gallery, ledger);
        Ok(())
    }

    fn save_state(&mut self, saved: PersistentState, inbox: &SyncSender<Message>) {
        let stands = self.tail.get();
        if let Some((head, _)) = stands {
            self.state.log_stands(log_head(head));
        }
        if let Err(error) = self.state.save(&saved) {
            log::error!("event=not_saved error={:?}", error.to_string());
            let _ = inbox.send(Message::NotSaved);
            return;
        }
        // What an older file put back would undo is spoken of; that a file is there, once.
        let concern =
            |saved: PersistentState| (saved.secure_mode, saved.lockout.locked.is_some(), saved.rolled_back);
        let first = stands.is_some_and(|(_, marks)| marks.state == 0);
        let news = first || self.saved.map(concern) != Some(concern(saved));
        self.saved = Some(saved);
        if news {
            let _ = inbox.send(Message::StateSaved { number: self.state.number(), saved });
        }
    }
}
