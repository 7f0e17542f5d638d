//! The threads that feed the one that owns the strike: camera, vision, lines, signals, the gateway's socket.

use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::error::DaemonError;
use super::frames::FrameThread;
use super::handler::RequestHandler;
use super::message::Message;
use super::preview::PreviewEncoder;
use super::socket::Socket;
use super::spawn::spawn;
use crate::camera::{Counters, Frame, FrameSource, Next};
use crate::clock;
use crate::lines::Inputs;
use crate::lock::{lock, wait};
use crate::matching::Gallery;
use crate::observation::Purpose;
use crate::protocol::metrics::StageTimes;
use crate::vision::{Scene, Vision, VisionStage};

/// Newest frame wins: the slot between camera and vision.
#[derive(Default)]
struct Slot {
    frame: Mutex<Option<Frame>>,
    filled: Condvar,
}

impl Slot {
    fn put(&self, frame: Frame) {
        *lock(&self.frame) = Some(frame);
        self.filled.notify_one();
    }

    fn take(&self) -> Frame {
        let mut slot = lock(&self.frame);
        loop {
            if let Some(frame) = slot.take() {
                return frame;
            }
            slot = wait(&self.filled, slot);
        }
    }
}

pub(super) type SharedGallery = Arc<Mutex<Arc<Gallery>>>;
/// What vision looks at the next frame for.
pub(super) type Wanted = Arc<Mutex<Purpose>>;

/// What the camera's thread counts, for `status`.
pub(super) type SharedCounters = Arc<Mutex<Counters>>;

/// The gateway's socket. Failures are logged; the door runs without it.
pub(super) fn start_gateway(path: &Path, handler: RequestHandler) -> Option<Arc<Socket>> {
    let folder = path.parent().unwrap_or(path);
    if !folder.is_dir() {
        log::info!(
            "event=no_gateway folder={} reason=\"the folder does not exist\" remedy=\"the package makes it; \
             gateway.socket = \\\"\\\" does without\"",
            folder.display()
        );
        return None;
    }
    let started = Socket::bind_gateway(path).and_then(|socket| {
        let socket = Arc::new(socket);
        let (serving, handler) = (Arc::clone(&socket), Arc::new(handler));
        spawn("gateway", None, move || serving.serve(&handler))?;
        Ok(socket)
    });
    started.inspect_err(|error| log::error!("event=gateway_failed error={:?}", error.to_string())).ok()
}

pub(super) fn start_signals(inbox: &SyncSender<Message>) -> Result<(), DaemonError> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map_err(DaemonError::Thread)?;
    let stop = inbox.clone();
    spawn("signals", Some(inbox.clone()), move || {
        for _ in signals.forever() {
            if stop.send(Message::Stop).is_err() {
                return;
            }
        }
    })
}

pub(super) fn start_camera(
    mut source: Box<dyn FrameSource>,
    mut vision: Vision,
    (gallery, wanted): (SharedGallery, Wanted),
    (frames, mut preview): (Option<FrameThread>, PreviewEncoder),
    counters: SharedCounters,
    inbox: &SyncSender<Message>,
) -> Result<(), DaemonError> {
    let slot = Arc::new(Slot::default());
    let (filled, camera_inbox) = (Arc::clone(&slot), inbox.clone());
    spawn("camera", Some(inbox.clone()), move || {
        loop {
            let next = source.next(Duration::from_secs(1));
            *lock(&counters) = source.counters();
            let message = match next {
                Ok(Next::Frame(frame)) => {
                    filled.put(frame);
                    continue;
                }
                Ok(Next::Timeout) => Message::CameraIdle,
                Ok(Next::End) => Message::CameraEnded,
                Err(error) => Message::Failed(error.into()),
            };
            let over = !matches!(message, Message::CameraIdle);
            if camera_inbox.send(message).is_err() || over {
                return;
            }
        }
    })?;
    let vision_inbox = inbox.clone();
    spawn("vision", Some(inbox.clone()), move || {
        loop {
            let frame = slot.take();
            let began = clock::now();
            let gallery = Arc::clone(&lock(&gallery));
            let purpose = *lock(&wanted);
            let mut times = StageTimes { wait: began.since(frame.captured), ..StageTimes::default() };
            let mut last = began;
            let mut mark = |stage| {
                let now = clock::now();
                let took = Some(now.since(std::mem::replace(&mut last, now)));
                match stage {
                    VisionStage::Detect => times.detect = took,
                    VisionStage::Embed => times.embed = took,
                    VisionStage::Compare => times.compare = took,
                }
            };
            let (message, faces) = match vision.process_marked(scene(&frame), &gallery, purpose, &mut mark) {
                Ok(observation) => {
                    times.vision = clock::now().since(began);
                    let faces = observation.faces.clone();
                    (Message::Seen(Box::new(observation), times), faces)
                }
                Err(error) => (Message::Failed(error.into()), Vec::new()),
            };
            if vision_inbox.send(message).is_err() {
                return;
            }
            // The decision first: who looks or records waits for it, not the other way round.
            preview.offer(&frame, &faces);
            if let Some(frames) = frames.as_ref().filter(|_| !faces.is_empty()) {
                frames.keep(frame, faces);
            }
        }
    })
}

pub(super) fn start_lines(
    mut inputs: Box<dyn Inputs>,
    inbox: &SyncSender<Message>,
) -> Result<(), DaemonError> {
    let lines = inbox.clone();
    spawn("lines", Some(inbox.clone()), move || {
        loop {
            let message = match inputs.wait(Duration::from_secs(1)) {
                Ok(Some(event)) => Message::Line(event),
                Ok(None) => continue,
                Err(error) => Message::Failed(error.into()),
            };
            let over = matches!(message, Message::Failed(_));
            if lines.send(message).is_err() || over {
                return;
            }
        }
    })
}

/// A frame as vision takes it.
fn scene(frame: &Frame) -> Scene<'_> {
    Scene {
        captured: frame.captured,
        sequence: frame.sequence,
        gray: &frame.gray,
        colour: frame.colour.as_ref(),
    }
}
