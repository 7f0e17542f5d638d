//! The frames' thread: where recording of frames is switched on, it keeps pictures with a face; old
//! ones it removes in any case.
//!
//! Pictures of people are never needed to open a door: what does not get through in time is left out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::error::DaemonError;
use super::message::Message;
use super::spawn::spawn;
use crate::camera::Frame;
use crate::clock;
use crate::picture::Rect;
use crate::picture_file::encode_jpeg;
use crate::store::{FrameError, FrameNote, FrameStore};

/// Frames that wait for a slow disk.
const QUEUE: usize = 4;
/// Of the JPEGs kept, of 100.
const QUALITY: i32 = 90;
/// Between two sweeps.
const SWEEP: Duration = Duration::from_secs(60);

struct RecordedFrame {
    frame: Frame,
    faces: Vec<Rect>,
}

#[derive(Debug, Default)]
struct Orders {
    /// Everything shall go, for this version of the gallery; 0 for nothing.
    erase: AtomicU64,
    /// When that was asked for last, in ns of the monotonic clock: a frame from before that may still be on its
    /// way through the pipeline.
    erased: AtomicU64,
    /// The clock is under suspicion: by it, no frame is too old.
    suspect: AtomicBool,
    /// Frames that found no room.
    dropped: AtomicU64,
}

/// The way to the frames' thread; nothing here waits.
#[derive(Clone, Debug)]
pub struct FrameThread {
    /// `None` only wakes it.
    jobs: SyncSender<Option<Box<RecordedFrame>>>,
    orders: Arc<Orders>,
}

// A frame shows people.
impl std::fmt::Debug for RecordedFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordedFrame(redacted)")
    }
}

impl FrameThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(store: FrameStore, inbox: &SyncSender<Message>) -> Result<Self, DaemonError> {
        let (jobs, queue) = sync_channel(QUEUE);
        let orders = Arc::new(Orders::default());
        let (given, told) = (Arc::clone(&orders), inbox.clone());
        spawn("frames", Some(inbox.clone()), move || serve(store, &queue, &given, &told))?;
        Ok(FrameThread { jobs, orders })
    }

    /// Keeps a frame with these faces, if there is time for it.
    pub fn keep(&self, frame: Frame, faces: Vec<Rect>) {
        if self.jobs.try_send(Some(Box::new(RecordedFrame { frame, faces }))).is_err() {
            self.orders.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Erases every frame, because this version of the gallery has somebody removed: nobody can say in which
    /// of them a person is not. [`Message::FramesErased`] says when that is done; it is tried again until
    /// then.
    pub fn erase(&self, version: u64) {
        self.orders.erased.store(clock::now().as_nanos(), Ordering::Release);
        self.orders.erase.fetch_max(version, Ordering::AcqRel);
        // A full queue wakes the thread by itself.
        let _ = self.jobs.try_send(None);
    }

    /// Whether the clock is under suspicion; then none go for their age.
    pub fn suspect_clock(&self, suspect: bool) {
        self.orders.suspect.store(suspect, Ordering::Relaxed);
    }

    /// Waits for an erasure that was asked for, but no longer than `limit`.
    pub fn finish(&self, limit: Duration) {
        const STEP: Duration = Duration::from_millis(5);
        let until = clock::now() + limit;
        while self.orders.erase.load(Ordering::Acquire) > 0 {
            if clock::now() >= until {
                log::error!("event=frames_not_erased remedy=\"facelatch frames erase\"");
                return;
            }
            thread::sleep(STEP);
        }
    }
}

fn serve(
    mut store: FrameStore,
    queue: &Receiver<Option<Box<RecordedFrame>>>,
    orders: &Orders,
    inbox: &SyncSender<Message>,
) {
    let mut trouble = Trouble::default();
    let mut swept = None;
    loop {
        let now = clock::now();
        let version = orders.erase.load(Ordering::Acquire);
        if version > 0 {
            // Those in the queue were taken before.
            while queue.try_recv().is_ok() {}
            if let Some(frames) = trouble.note(store.erase()) {
                log::info!("event=frames_erased frames={frames}");
                let done = orders.erase.compare_exchange(version, 0, Ordering::AcqRel, Ordering::Acquire);
                let _ = inbox.send(Message::FramesErased { version, frames });
                if done.is_err() {
                    // Somebody else was removed meanwhile.
                    continue;
                }
            }
        } else if swept.is_none_or(|at| now.since(at) >= SWEEP)
            && clock::is_plausible(clock::unix())
            && !orders.suspect.load(Ordering::Relaxed)
        {
            swept = Some(now);
            if let Some(count @ 1..) = trouble.note(store.sweep(clock::unix_millis())) {
                log::info!("event=frames_swept frames={count}");
            }
            let dropped = orders.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                log::warn!("event=frames_dropped frames={dropped} reason=\"the disk is too slow\"");
            }
        }
        match queue.recv_timeout(SWEEP) {
            Ok(Some(shot)) if orders.erase.load(Ordering::Acquire) == 0 => {
                let RecordedFrame { frame, faces } = *shot;
                if frame.captured.as_nanos() <= orders.erased.load(Ordering::Acquire) {
                    continue;
                }
                let age = clock::now().since(frame.captured).as_millis() as u64;
                let note = FrameNote {
                    wall_ms: clock::unix_millis().saturating_sub(age),
                    captured_ns: frame.captured.as_nanos(),
                    sequence: frame.sequence,
                    faces,
                };
                match encode_jpeg(&frame.gray, QUALITY) {
                    Ok(jpeg) => {
                        let _ = trouble.note(store.add(&note, &jpeg));
                    }
                    Err(error) => log::error!("event=frame_not_encoded error={error:?}"),
                }
            }
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// A disk that fails is spoken of once.
#[derive(Default)]
struct Trouble(bool);

impl Trouble {
    fn note<T>(&mut self, outcome: Result<T, FrameError>) -> Option<T> {
        match outcome {
            Ok(done) => {
                self.0 = false;
                Some(done)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.0, true) {
                    log::error!("event=frames_failed error={:?}", error.to_string());
                }
                None
            }
        }
    }
}
