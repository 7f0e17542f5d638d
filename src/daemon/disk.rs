//! The disk's thread: it writes gallery, state and recording, so that the thread that owns the strike
//! never waits for a disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::{DaemonError, Message, spawn};
use crate::access::Saved;
use crate::access::record::Line;
use crate::clock;
use crate::matching::Gallery;
use crate::store::{GalleryStore, RecordingFile, StateStore};

/// Jobs that wait for a slow disk: about half a minute of a recording.
const QUEUE: usize = 1_024;

/// What the thread is asked to do.
enum Job {
    Save(Saved),
    SaveGallery(Arc<Gallery>),
    Record(Box<Line>),
    EraseRecording,
    /// Say so when everything before is done.
    Flush(SyncSender<()>),
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
    /// Starts the thread. It tells `inbox` of a state that was not written, and of each gallery whether
    /// it was. `recorded` is where a recording lies, also one of former days when there is none now.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(
        gallery: GalleryStore,
        state: StateStore,
        recording: Option<RecordingFile>,
        recorded: PathBuf,
        inbox: &SyncSender<Message>,
    ) -> Result<Self, DaemonError> {
        let (jobs, work) = sync_channel(QUEUE);
        let told = inbox.clone();
        spawn("disk", Some(inbox.clone()), move || {
            serve(&work, &gallery, &state, recording, &recorded, &told)
        })?;
        Ok(DiskThread { jobs })
    }

    /// Writes the door's state; [`Message::NotSaved`] says when that fails.
    ///
    /// # Errors
    /// When there is no room for the job.
    pub fn save(&self, saved: Saved) -> Result<(), TooSlow> {
        self.hand_over(Job::Save(saved))
    }

    /// Writes the gallery; [`Message::GallerySaved`] says whether that went well.
    ///
    /// # Errors
    /// When there is no room for the job.
    pub fn save_gallery(&self, gallery: Arc<Gallery>) -> Result<(), TooSlow> {
        self.hand_over(Job::SaveGallery(gallery))
    }

    /// Adds a line to the recording, if there is one.
    ///
    /// # Errors
    /// When there is no room for the job.
    pub fn record(&self, line: Box<Line>) -> Result<(), TooSlow> {
        self.hand_over(Job::Record(line))
    }

    /// Empties the recording, also one that nobody goes on with.
    ///
    /// # Errors
    /// When there is no room for the job.
    pub fn erase_recording(&self) -> Result<(), TooSlow> {
        self.hand_over(Job::EraseRecording)
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

fn serve(
    work: &Receiver<Job>,
    gallery: &GalleryStore,
    state: &StateStore,
    mut recording: Option<RecordingFile>,
    recorded: &Path,
    inbox: &SyncSender<Message>,
) {
    for job in work {
        match job {
            Job::Save(saved) => {
                if let Err(error) = state.save(&saved) {
                    log::error!("event=not_saved error={:?}", error.to_string());
                    let _ = inbox.send(Message::NotSaved);
                }
            }
            Job::SaveGallery(changed) => {
                let outcome = gallery.save(&changed).map_err(|error| error.to_string());
                if let Err(error) = &outcome {
                    log::error!("event=gallery_not_saved error={error:?}");
                }
                let _ = inbox.send(Message::GallerySaved(outcome));
            }
            Job::Record(line) => {
                if let Some(Err(error)) = recording.as_mut().map(|file| file.add(&line)) {
                    log::error!("event=recording_stopped error={:?}", error.to_string());
                    recording = None;
                }
            }
            Job::EraseRecording => {
                let erased = match &mut recording {
                    Some(file) => file.erase(),
                    None => RecordingFile::remove(recorded),
                };
                if let Err(error) = erased {
                    log::error!(
                        "event=recording_not_erased file={} error={:?} remedy=\"remove it\"",
                        recorded.display(),
                        error.to_string()
                    );
                }
            }
            Job::Flush(done) => {
                let _ = done.send(());
            }
        }
    }
}
