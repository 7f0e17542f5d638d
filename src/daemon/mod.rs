//! The daemon: the one place where threads and channels are made.
//!
//! ```text
//! camera ── latest-only slot ── vision ──┐
//! lines (button, REX, door contact) ─────┤
//! clients of the socket ─────────────────┼── inbox ── this thread: door ── strike, lights
//! signals ───────────────────────────────┘
//! ```
//!
//! This thread owns the strike and waits no longer than the door's next deadline, so that nothing a
//! camera, a network or a client does can delay securing. Every way out of [`run`] secures the strike
//! first; a panic does so by dropping it, a kill by the unit's `ExecStopPost=`.

pub mod protocol;
pub mod socket;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{io, thread};

use crate::access::{AccessRules, Event, Indication, Input};
use crate::camera::{CameraError, Frame, FrameSource, Next};
use crate::clock;
use crate::door::{Door, DoorError, Effect, ModelFacts, Report};
use crate::embed::EmbedError;
use crate::lines::{Indicator, InputLine, Inputs, LineError, LineEvent};
use crate::matching::{Embedding, Gallery, GalleryError};
use crate::notify::Supervisor;
use crate::store::{GalleryStore, StoreError};
use crate::strike::{Strike, StrikeError, StrikeState};
use crate::time::Timestamp;
use crate::vision::{Observation, Vision};

use protocol::{Reply, Request, Status, people};
use socket::{Asked, Replies, Socket};

/// Why the daemon stopped or a client got no answer.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The camera failed for good.
    #[error(transparent)]
    Camera(#[from] CameraError),
    /// The network failed.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// The strike cannot be driven.
    #[error(transparent)]
    Strike(#[from] StrikeError),
    /// An input or output line failed.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The gallery cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The gallery does not fit the model.
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    /// The socket cannot be used.
    #[error("socket {path}: cannot {what} it: {source}")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Another daemon answers on the socket.
    #[error("socket {path}: another facelatch is running; stop it first (systemctl stop facelatch)")]
    AlreadyRunning {
        /// The socket.
        path: PathBuf,
    },
    /// The daemon went away.
    #[error("the daemon did not answer: {source} (see its log: journalctl -u facelatch)")]
    Lost {
        /// What the system said.
        source: io::Error,
    },
    /// The daemon answered with an error.
    #[error("{message}")]
    Refused {
        /// Its words.
        message: String,
    },
    /// A thread ended that must not.
    #[error("internal error: the {thread} thread died (a bug: please report the log)")]
    ThreadDied {
        /// Which.
        thread: &'static str,
    },
    /// A thread could not be started.
    #[error("the system starts no more threads: {0}")]
    Thread(io::Error),
}

/// What the controller's thread is told.
#[derive(Debug)]
pub enum Message {
    /// A frame was processed, in so long.
    Seen(Box<Observation>, Duration),
    /// The camera gives no frames at present, and says so.
    CameraIdle,
    /// The recording is over.
    CameraEnded,
    /// The camera or the network failed for good.
    Failed(DaemonError),
    /// A line moved.
    Line(LineEvent),
    /// A client asks.
    Asked(Asked),
    /// Stop in good order.
    Stop,
}

/// Everything a daemon works with, opened and checked.
pub struct Parts {
    /// The pipeline.
    pub vision: Vision,
    /// The access rules.
    pub rules: AccessRules,
    /// What the model's card says.
    pub model: ModelFacts,
    /// The gallery's file.
    pub store: GalleryStore,
    /// Where frames come from.
    pub source: Box<dyn FrameSource>,
    /// The strike, secured.
    pub strike: Box<dyn Strike>,
    /// Button, REX and door contact.
    pub inputs: Box<dyn Inputs>,
    /// Lights and buzzer.
    pub indicator: Box<dyn Indicator>,
    /// The socket's path.
    pub socket: PathBuf,
    /// Without progress for so long the watchdog is not fed.
    pub stall: Duration,
}

/// Newest frame wins: the slot between camera and vision.
#[derive(Default)]
struct Slot {
    frame: Mutex<Option<Frame>>,
    filled: Condvar,
}

impl Slot {
    fn put(&self, frame: Frame) {
        *self.frame.lock().unwrap_or_else(PoisonError::into_inner) = Some(frame);
        self.filled.notify_one();
    }

    fn take(&self) -> Frame {
        let mut slot = self.frame.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(frame) = slot.take() {
                return frame;
            }
            slot = self.filled.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

type SharedGallery = Arc<Mutex<Arc<Gallery>>>;

/// Starts a thread; when it ends by a panic, the inbox gets to know.
pub(crate) fn spawn(
    name: &'static str,
    watch: Option<SyncSender<Message>>,
    body: impl FnOnce() + Send + 'static,
) -> Result<(), DaemonError> {
    struct Watch(&'static str, Option<SyncSender<Message>>);
    impl Drop for Watch {
        fn drop(&mut self) {
            if thread::panicking()
                && let Some(inbox) = &self.1
            {
                let _ = inbox.send(Message::Failed(DaemonError::ThreadDied { thread: self.0 }));
            }
        }
    }
    let watch = Watch(name, watch);
    let body = move || {
        let _watch = watch;
        body();
    };
    thread::Builder::new().name(name.to_owned()).spawn(body).map(|_| ()).map_err(DaemonError::Thread)
}

/// Runs the door until it is told to stop or something fails; the strike is secured on return.
///
/// # Errors
/// What failed. The supervisor starts the daemon again.
pub fn run(parts: Parts) -> Result<(), DaemonError> {
    let Parts { vision, rules, model, store, source, strike, inputs, indicator, socket, stall } = parts;
    let gallery = Arc::new(store.load()?);
    let door = Door::new(rules, model, Arc::clone(&gallery), Some(store))?;
    let socket = Socket::bind(&socket)?;
    let (inbox, messages) = sync_channel(64);
    let shared: SharedGallery = Arc::new(Mutex::new(gallery));

    let mut keeper = Keeper {
        door,
        strike,
        strike_state: StrikeState::Secured,
        indicator,
        shared: Arc::clone(&shared),
        enrol_client: None,
        progress: Progress::new(clock::now(), stall),
        camera: source.describe(),
        threshold: rules.window.threshold,
        model,
        frames: 0,
        frames_with_face: 0,
        last_frame: Duration::ZERO,
        last_event: None,
    };
    keeper.start()?;

    start_signals(&inbox)?;
    start_camera(source, vision, shared, &inbox)?;
    start_lines(inputs, &inbox)?;
    let clients = inbox.clone();
    let socket = Arc::new(socket);
    let serving = Arc::clone(&socket);
    spawn("socket", Some(inbox.clone()), move || serving.serve(&clients))?;

    let supervisor = Supervisor::from_env();
    supervisor.ready();
    log::info!("event=started camera={:?} strike={:?}", keeper.camera, keeper.strike.describe());
    let outcome = keeper.run(&messages, &supervisor);
    supervisor.stopping();
    let secured = keeper.secure();
    socket.close();
    outcome.and(secured)
}

fn start_signals(inbox: &SyncSender<Message>) -> Result<(), DaemonError> {
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

fn start_camera(
    mut source: Box<dyn FrameSource>,
    mut vision: Vision,
    gallery: SharedGallery,
    inbox: &SyncSender<Message>,
) -> Result<(), DaemonError> {
    let slot = Arc::new(Slot::default());
    let (filled, camera_inbox) = (Arc::clone(&slot), inbox.clone());
    spawn("camera", Some(inbox.clone()), move || {
        loop {
            let message = match source.next(Duration::from_secs(1)) {
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
            let gallery = Arc::clone(&gallery.lock().unwrap_or_else(PoisonError::into_inner));
            let message = match vision.see(&frame, &gallery) {
                Ok(observation) => Message::Seen(Box::new(observation), clock::now().since(began)),
                Err(error) => Message::Failed(error.into()),
            };
            if vision_inbox.send(message).is_err() {
                return;
            }
        }
    })
}

fn start_lines(mut inputs: Box<dyn Inputs>, inbox: &SyncSender<Message>) -> Result<(), DaemonError> {
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

/// Whether the daemon gets anywhere: what the watchdog is fed on.
struct Progress {
    stall: Duration,
    seen: Timestamp,
    idle: Option<Timestamp>,
}

impl Progress {
    fn new(now: Timestamp, stall: Duration) -> Self {
        Progress { stall, seen: now, idle: None }
    }

    /// True while frames are processed, or the camera thread itself reports that it has none. Frames
    /// that come but are not processed, and a camera call that does not return, are no progress.
    fn is_made(&self, now: Timestamp) -> bool {
        let recent = |at: Timestamp| now.since(at) < self.stall;
        recent(self.seen) || self.idle.is_some_and(recent)
    }
}

struct Keeper {
    door: Door,
    strike: Box<dyn Strike>,
    strike_state: StrikeState,
    indicator: Box<dyn Indicator>,
    shared: SharedGallery,
    enrol_client: Option<Replies>,
    progress: Progress,
    camera: String,
    threshold: f32,
    model: ModelFacts,
    frames: u64,
    frames_with_face: u64,
    last_frame: Duration,
    last_event: Option<String>,
}

impl Keeper {
    fn start(&mut self) -> Result<(), DaemonError> {
        let effects = self.door.start();
        self.carry_out(effects)
    }

    fn run(&mut self, messages: &Receiver<Message>, supervisor: &Supervisor) -> Result<(), DaemonError> {
        let started = clock::now();
        let tick = supervisor.interval().unwrap_or(Duration::from_secs(1));
        loop {
            let now = clock::now();
            let due = self.door.poll_timeout().map_or(tick, |due| due.since(now).min(tick));
            let message = messages.recv_timeout(due);
            let now = clock::now();
            let effects = match message {
                Err(RecvTimeoutError::Timeout) => self.door.handle_timeout(now),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(DaemonError::ThreadDied { thread: "camera" });
                }
                Ok(Message::Stop) => {
                    log::info!("event=stopping");
                    return Ok(());
                }
                Ok(Message::CameraEnded) => {
                    log::info!("event=recording_over");
                    return Ok(());
                }
                Ok(Message::Failed(error)) => return Err(error),
                Ok(Message::CameraIdle) => {
                    self.progress.idle = Some(now);
                    self.door.handle(now, Input::CameraLost)
                }
                Ok(Message::Seen(observation, took)) => {
                    self.progress.seen = now;
                    self.progress.idle = None;
                    self.frames += 1;
                    self.frames_with_face += u64::from(!observation.faces.is_empty());
                    self.last_frame = took;
                    self.door.observe(now, wall_clock(), &observation)
                }
                Ok(Message::Line(event)) => self.line(now, event),
                Ok(Message::Asked(asked)) => self.answer(now, started, asked),
            };
            self.carry_out(effects)?;
            if self.progress.is_made(now) {
                supervisor.feed(now);
            }
        }
    }

    fn line(&mut self, now: Timestamp, event: LineEvent) -> Vec<Effect> {
        match (event.line, event.active) {
            (InputLine::Button, true) => match self.door.enrol(now, None) {
                Ok(effects) => effects,
                Err(error) => {
                    log::warn!("event=button_refused reason={:?}", error.to_string());
                    Vec::new()
                }
            },
            (InputLine::Rex, true) => self.door.handle(now, Input::Rex),
            (InputLine::Button | InputLine::Rex, false) => Vec::new(),
            (InputLine::DoorSensor, open) => self.door.handle(now, Input::Door { open }),
        }
    }

    fn answer(&mut self, now: Timestamp, started: Timestamp, asked: Asked) -> Vec<Effect> {
        let Asked { request, client } = asked;
        let done = |outcome: Result<Vec<Effect>, DoorError>| match outcome {
            Ok(effects) => (Reply::ok(), effects),
            Err(error) => (Reply::Error { message: error.to_string() }, Vec::new()),
        };
        let (answer, effects) = match request {
            Request::Enroll { name } => match self.door.enrol(now, name.as_deref()) {
                // The client hears of the end from `carry_out`.
                Ok(effects) => {
                    self.enrol_client = Some(client);
                    return effects;
                }
                Err(error) => (Reply::Error { message: error.to_string() }, Vec::new()),
            },
            Request::Add { model, .. } if model != self.model.hash => {
                let message = format!(
                    "the pictures were read with model {model}, the daemon runs {}: give both the same config",
                    self.model.hash
                );
                (Reply::Error { message }, Vec::new())
            }
            Request::Add { name, embeddings, .. } => {
                let embeddings: Vec<Embedding> = embeddings.into_iter().map(Embedding::new).collect();
                done(self.door.enrol_from(now, wall_clock(), &name, &embeddings).map(|(_, effects)| effects))
            }
            Request::Remove { name } => done(self.door.remove(now, &name)),
            Request::Secure {} => (Reply::ok(), self.door.handle(now, Input::Secure)),
            Request::People {} => {
                let people = people(self.door.gallery());
                (Reply::Ok { result: serde_json::to_value(people).unwrap_or_default() }, Vec::new())
            }
            Request::Status {} => {
                let status = self.status(now, started);
                (Reply::Ok { result: serde_json::to_value(status).unwrap_or_default() }, Vec::new())
            }
        };
        client.send(answer);
        effects
    }

    fn status(&self, now: Timestamp, started: Timestamp) -> Status {
        Status {
            strike: self.strike_state,
            strike_line: self.strike.describe(),
            camera: self.camera.clone(),
            camera_delivers: self.progress.idle.is_none() && self.progress.is_made(now),
            frames: self.frames,
            frames_with_face: self.frames_with_face,
            last_frame_ms: self.last_frame.as_secs_f64() * 1e3,
            people: self.door.gallery().subjects().len(),
            enrolling: self.door.controller().is_enrolling(),
            model: self.model.hash.to_string(),
            threshold: self.threshold,
            uptime_s: now.since(started).as_secs(),
            last_event: self.last_event.clone(),
        }
    }

    /// Carries out effects in order. A strike that cannot be driven ends the daemon.
    fn carry_out(&mut self, effects: Vec<Effect>) -> Result<(), DaemonError> {
        for effect in effects {
            match effect {
                Effect::Strike(state) => self.drive(state)?,
                Effect::Indicate(indication) => self.indicate(indication),
                Effect::Gallery(gallery) => {
                    *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = gallery;
                }
                Effect::Report(report) => self.report(&report),
            }
        }
        if self.enrol_client.as_ref().is_some_and(|client| !client.is_connected()) {
            self.enrol_client = None;
            let effects = self.door.handle(clock::now(), Input::CancelEnrol);
            return self.carry_out(effects);
        }
        Ok(())
    }

    fn drive(&mut self, state: StrikeState) -> Result<(), DaemonError> {
        if let Err(error) = self.strike.set(state) {
            let _ = self.strike.set(StrikeState::Secured);
            return Err(error.into());
        }
        self.strike_state = state;
        Ok(())
    }

    fn secure(&mut self) -> Result<(), DaemonError> {
        self.drive(StrikeState::Secured)
    }

    fn indicate(&mut self, indication: Indication) {
        // A broken light must not keep the door from working.
        if let Err(error) = self.indicator.show(indication) {
            log::warn!("event=indicator_failed error={:?}", error.to_string());
        }
    }

    fn report(&mut self, report: &Report) {
        let line = report.log_line();
        match report {
            Report::Event(Event::NoFace | Event::Identifying { .. } | Event::EnrolCountdown { .. }) => {
                log::debug!("{line}");
            }
            Report::Event(Event::StaleFrame { .. } | Event::EnrolFailed(_)) | Report::EnrolRefused { .. } => {
                log::warn!("{line}");
            }
            _ => log::info!("{line}"),
        }
        self.last_event = Some(line);
        let Some(client) = &self.enrol_client else { return };
        match report.ends_enrolment() {
            Some(outcome) => {
                let last = match outcome {
                    Ok(name) => Reply::Ok { result: serde_json::json!({ "name": name }) },
                    Err(reason) => Reply::Error { message: format!("enrolment failed: {reason}") },
                };
                client.send(last);
                self.enrol_client = None;
            }
            None => {
                if let Some(text) = report.enrol_progress() {
                    client.send(Reply::Progress { text });
                }
            }
        }
    }
}

/// Wall-clock seconds since 1970; 0 on a board whose clock is before that.
pub(crate) fn wall_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
