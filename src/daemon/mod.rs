//! The daemon: the one place where threads and channels are made.
//!
//! ```text
//! camera ── latest-only slot ── vision ──┐
//! lines (button, REX, door contact) ─────┤
//! clients of the socket ─────────────────┼── inbox ── this thread: door ── strike, lights
//! signals ───────────────────────────────┘                          ├── disk: gallery, state, recording
//!                                                                    ├── audit: the audit log
//!                                                       vision ──────┴── frames: recorded frames
//! ```
//!
//! Watchers are told by threads of their own ([`live`]), which nobody who works for the door waits for.
//!
//! This thread owns the strike and waits no longer than the door's next deadline, so that nothing a
//! camera, a network or a client does can delay securing. Every way out of [`run`] secures the strike
//! first; a panic does so by dropping it, a kill by the unit's `ExecStopPost=`.

mod budget;
mod disk;
mod frames;
mod intake;
pub mod live;
pub mod reconcile;
mod recorder;
pub mod socket;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use crate::access::{
    AccessRules, Civil, Event, Fault, Indication, Input, PersistentState, ReleaseReason, Restored,
};
use crate::audit::{AuditError, AuditLog, Context, Fact, FolderDisk, Mark, Rotation};
use crate::camera::{CameraError, Counters, Frame, FrameSource, Next};
use crate::clock::{self, WallClock};
use crate::door::{Door, DoorError, Effect, ModelFacts, NamedHours, PeopleChange, Report, Terms, WallTime};
use crate::embed::EmbedError;
use crate::expiry::Expiry;
use crate::lines::{Indicator, InputLine, Inputs, LineError, LineEvent, next_change};
use crate::matching::{Embedding, Gallery};
use crate::notify::Supervisor;
use crate::observation::{Observation, Purpose};
use crate::store::{self, Change, FrameStore, GalleryStore, RecordingFile, StateStore, StoreError};
use crate::strike::{Strike, StrikeError, StrikeState};
use crate::time::Timestamp;
use crate::vision::{QualityRules, Scene, Stage, Vision};

use crate::protocol::metrics::StageTimes;
use crate::protocol::{Reply, Request, Right, State, Status};
use budget::{Allowance, Kind, Quotas};
use disk::{DiskThread, Files, GalleryChange};
use frames::FrameThread;
use live::{Live, Publisher, Viewfinder, Words};
use reconcile::{Books, Reconciled, change_mark, owed};
use recorder::{Recorder, Ticket};
pub use recorder::{fact, stamp};
use socket::{Asked, Desk, GatewayPlace, Peer, Replies, Socket};

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

impl DaemonError {
    /// What broke, as the controller is told.
    fn fault(&self) -> Fault {
        match self {
            DaemonError::Camera(_) | DaemonError::ThreadDied { thread: "camera" } => Fault::Camera,
            DaemonError::Line(_) | DaemonError::ThreadDied { thread: "lines" } => Fault::Lines,
            DaemonError::Store(_) | DaemonError::ThreadDied { thread: "disk" } => Fault::Store,
            _ => Fault::Vision,
        }
    }
}

/// What the controller's thread is told.
#[derive(Debug)]
pub enum Message {
    /// A frame was processed, in so long.
    Seen(Box<Observation>, StageTimes),
    /// The camera gives no frames at present, and says so.
    CameraIdle,
    /// The recording is over.
    CameraEnded,
    /// The camera or the network failed for good.
    Failed(DaemonError),
    /// A line moved.
    Line(LineEvent),
    /// The door's state was written, and something in it is new that an older one would undo.
    StateSaved {
        /// The number of the write.
        number: u64,
        /// The state.
        saved: PersistentState,
    },
    /// The door's state could not be written.
    NotSaved,
    /// Recorded frames are erased, as this version of the gallery asks for.
    FramesErased {
        /// The version.
        version: u64,
        /// How many there were.
        frames: usize,
    },
    /// The same of the controller's recording.
    RecordingErased {
        /// The version.
        version: u64,
    },
    /// The gallery was written, or why not.
    GallerySaved(Result<(), String>),
    /// A client asks.
    Asked(Asked),
    /// Somebody has asked for what he may not.
    Refused {
        /// What.
        command: &'static str,
        /// Who: `gateway`, or `mqtt`, whom the gateway itself refuses.
        by: &'static str,
    },
    /// Entries of the audit log have reached the disk.
    Recorded,
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
    /// Who may come in when.
    pub hours: NamedHours,
    /// The time of the week.
    pub wall: WallClock,
    /// The gallery's file.
    pub store: GalleryStore,
    /// What outlives a restart.
    pub state: StateStore,
    /// Where the controller's inputs go, if anywhere.
    pub recording: Option<RecordingFile>,
    /// Where a recording lies, be it one of former days: who is removed, is removed from it.
    pub recorded: PathBuf,
    /// Where recorded frames are, if there may be any.
    pub frames: Option<Frames>,
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
    /// The gateway's socket, if there is to be one.
    pub gateway: Option<GatewayPlace>,
    /// What makes a face fit for enrolment, as people who look are told.
    pub quality: QualityRules,
    /// Without progress for so long the watchdog is not fed.
    pub stall: Duration,
    /// The audit log.
    pub audit: AuditPlace,
    /// What a release does whose entry does not reach the disk.
    pub unrecorded: UnrecordedRules,
}

/// Recorded frames.
pub struct Frames {
    /// Where they are.
    pub store: FrameStore,
    /// Whether more are recorded; old ones are removed in any case.
    pub record: bool,
}

/// Where the audit log is, and what its entries say. It is opened by its own thread, again and again if
/// need be: a disk that fails must not keep the door from working.
#[derive(Clone, Debug)]
pub struct AuditPlace {
    /// Its folder.
    pub folder: PathBuf,
    /// When a new file is begun.
    pub rotation: Rotation,
    /// What is in force.
    pub context: Context,
}

impl AuditPlace {
    fn open(&self) -> Result<AuditLog<FolderDisk>, AuditError> {
        let disk = FolderDisk::for_writing(&self.folder)?;
        AuditLog::open(disk, self.rotation, self.context, stamp(clock::now()))
    }
}

/// What becomes of a release by face while its entry in the audit log is not on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnrecordedRules {
    /// It waits so long.
    pub wait: Duration,
    /// Then it happens all the same; else it does not.
    pub release: bool,
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

/// At the end the disk and the audit log get so long each; the strike is secured by then, and a
/// supervisor waits as well.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// Expiry dates are looked at so often; a change of the gallery takes one person at a time.
const EXPIRY: Duration = Duration::from_secs(10);
/// For how long the clock has said that somebody's time is over is noted for a restart so often.
const NOTE_OVER: Duration = Duration::from_secs(3_600);

type SharedGallery = Arc<Mutex<Arc<Gallery>>>;
/// What vision looks at the next frame for.
type Wanted = Arc<Mutex<Purpose>>;

/// What the camera's thread counts, for `status`.
type SharedCounters = Arc<Mutex<Counters>>;

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
    let Parts { vision, rules, model, hours, wall, store, state, recording, recorded, .. } = parts;
    let Parts { source, strike, mut inputs, indicator, socket, .. } = parts;
    let (gallery, ledger) = store.load_with_ledger()?;
    let gallery = Arc::new(gallery);
    // Without the names: they do not belong in the journal.
    match hours.strangers(&gallery).count() {
        0 => {}
        n => log::warn!(
            "event=schedule_strangers key=schedule.people names={n} effect=\"schedule.default holds\" \
             remedy=\"write the names as facelatch people list prints them, or enrol them\""
        ),
    }
    let others = gallery.of_other_models(model.hash);
    if others > 0 {
        log::warn!(
            "event=other_model people={others} model={} effect=\"they are not recognised\" remedy=\"enrol \
             them anew, or configure the model that they were enrolled with\"",
            model.hash
        );
    }
    let mut rules = rules;
    if let Some(liveness) = &mut rules.liveness {
        // Which gesture a challenge asks for cannot be known beforehand. Without chance it is foreseeable,
        // and still asked.
        liveness.challenge.seed = getrandom::u64().unwrap_or_default();
    }
    let mut door = Door::new(rules, model, Arc::clone(&gallery)).with_hours(hours);
    if recording.is_some() {
        door = door.recorded();
    }
    let resume = state.load();
    let socket = Socket::bind(&socket)?;
    let (inbox, messages) = sync_channel(64);
    let shared: SharedGallery = Arc::new(Mutex::new(door.comparable()));
    let wanted = Wanted::default();
    let audit = parts.audit;
    let live = Arc::new(Live::default());
    let log_folder = audit.folder.clone();
    let books = Books::of(&gallery, &ledger, &resume, &state);
    let found = books.found();
    let expiry = Expiry::resumed(&state.over());
    let recorder = Recorder::start(move || audit.open(), books, &inbox, Arc::clone(&live))?;
    let saved = match resume {
        Restored::Fresh => Some(PersistentState::default()),
        Restored::SameBoot(saved) | Restored::OtherBoot(saved) => Some(saved),
        Restored::Unreadable => None,
    };
    let tail = recorder.tail().clone();
    let files = Files { store, gallery, ledger, state, saved, recording, recorded, tail };
    let disk = DiskThread::start(files, &inbox)?;
    let record = parts.frames.as_ref().is_some_and(|frames| frames.record);
    let frames = parts.frames.map(|frames| FrameThread::start(frames.store, &inbox)).transpose()?;
    let mut keeper = Keeper {
        door,
        wall,
        disk,
        strike,
        strike_state: StrikeState::Secured,
        indicator,
        shown: (Indication::Idle, clock::now()),
        shared: Arc::clone(&shared),
        wanted: Arc::clone(&wanted),
        enrol_client: None,
        change_client: None,
        accept_client: None,
        progress: Progress::new(clock::now(), parts.stall),
        camera: source.describe(),
        counters: SharedCounters::default(),
        threshold: rules.window.threshold,
        model,
        frames: 0,
        frames_with_face: 0,
        last_frame: Duration::ZERO,
        last_event: None,
        last_denial: None,
        enrol_advice: None,
        expiry,
        next_expiry: Timestamp::ZERO,
        over_noted: (Timestamp::ZERO, 0),
        recorder,
        unrecorded: parts.unrecorded,
        waiting: None,
        erase: frames.clone(),
        erasing: None,
        erase_when_accepted: None,
        rolled_back: None,
        public: Publisher::new(Arc::clone(&live), rules.window),
        quotas: Quotas::default(),
        by_operator: false,
    };
    let started = Fact::new("started").with(format!("version={}", env!("CARGO_PKG_VERSION")));
    keeper.record(started.marked(found));
    let effects = keeper.door.start(clock::now(), resume);
    keeper.carry_out(effects)?;
    if let Some(active) = inputs.active(InputLine::EnrolKey)? {
        let effects = keeper.door.handle(clock::now(), Input::EnrolKey { active });
        keeper.carry_out(effects)?;
    }
    if let Some(open) = inputs.active(InputLine::DoorSensor)? {
        let effects = keeper.door.handle(clock::now(), Input::Door { open });
        keeper.carry_out(effects)?;
    }

    start_signals(&inbox)?;
    let frames = frames.filter(|_| record);
    let viewfinder = Viewfinder::start(Arc::clone(&live), parts.quality)?;
    let takers = (frames, viewfinder);
    start_camera(source, vision, (shared, wanted), takers, Arc::clone(&keeper.counters), &inbox)?;
    start_lines(inputs, &inbox)?;
    let socket = Arc::new(socket);
    let desk = Arc::new(Desk::operator(inbox.clone(), Arc::clone(&live), log_folder.clone()));
    let serving = Arc::clone(&socket);
    spawn("socket", Some(inbox.clone()), move || serving.serve(&desk))?;
    let gateway = parts.gateway.and_then(|place| {
        let desk = Desk::gateway(inbox.clone(), live, log_folder, place.rights);
        start_gateway(&place.socket, desk)
    });

    let supervisor = Supervisor::from_env();
    supervisor.ready();
    log::info!("event=started camera={:?} strike={:?}", keeper.camera, keeper.strike.describe());
    let outcome = keeper.run(&messages, &supervisor);
    supervisor.stopping();
    let secured = keeper.secure();
    keeper.flush(&messages);
    socket.close();
    if let Some(gateway) = gateway {
        gateway.close();
    }
    let why = outcome.as_ref().map_or_else(ToString::to_string, |()| "in good order".to_owned());
    let sums = keeper.quotas.rest();
    keeper.record_sums(sums);
    keeper.record(Fact::new("stopped").with(format!("reason={why:?}")));
    keeper.recorder.finish(LAST_WRITES);
    // The state's last word is where the log ends: that entries were cut off shows at the next start.
    if keeper.recorder.works() && keeper.disk.settle().is_ok() {
        keeper.disk.flush(LAST_WRITES, || {});
    }
    outcome.and(secured)
}

/// The gateway's socket. What goes wrong with it is said; the door does without.
fn start_gateway(path: &Path, desk: Desk) -> Option<Arc<Socket>> {
    let folder = path.parent().unwrap_or(path);
    if !folder.is_dir() {
        log::info!(
            "event=no_gateway folder={} reason=\"the folder is not there\" remedy=\"the package makes it; \
             gateway.socket = \\\"\\\" does without\"",
            folder.display()
        );
        return None;
    }
    let started = Socket::bind_gateway(path).and_then(|socket| {
        let socket = Arc::new(socket);
        let (serving, desk) = (Arc::clone(&socket), Arc::new(desk));
        spawn("gateway", None, move || serving.serve(&desk))?;
        Ok(socket)
    });
    started.inspect_err(|error| log::error!("event=gateway_failed error={:?}", error.to_string())).ok()
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
    (gallery, wanted): (SharedGallery, Wanted),
    (frames, mut viewfinder): (Option<FrameThread>, Viewfinder),
    counters: SharedCounters,
    inbox: &SyncSender<Message>,
) -> Result<(), DaemonError> {
    let slot = Arc::new(Slot::default());
    let (filled, camera_inbox) = (Arc::clone(&slot), inbox.clone());
    spawn("camera", Some(inbox.clone()), move || {
        loop {
            let next = source.next(Duration::from_secs(1));
            *counters.lock().unwrap_or_else(PoisonError::into_inner) = source.counters();
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
            let gallery = Arc::clone(&gallery.lock().unwrap_or_else(PoisonError::into_inner));
            let purpose = *wanted.lock().unwrap_or_else(PoisonError::into_inner);
            let mut times = StageTimes { wait: began.since(frame.captured), ..StageTimes::default() };
            let mut last = began;
            let mut mark = |stage| {
                let now = clock::now();
                let took = Some(now.since(std::mem::replace(&mut last, now)));
                match stage {
                    Stage::Detect => times.detect = took,
                    Stage::Embed => times.embed = took,
                    Stage::Compare => times.compare = took,
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
            viewfinder.offer(&frame, &faces);
            if let Some(frames) = frames.as_ref().filter(|_| !faces.is_empty()) {
                frames.keep(frame, faces);
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
    wall: WallClock,
    disk: DiskThread,
    strike: Box<dyn Strike>,
    strike_state: StrikeState,
    indicator: Box<dyn Indicator>,
    /// What is shown, and since when.
    shown: (Indication, Timestamp),
    shared: SharedGallery,
    wanted: Wanted,
    /// Who asked for the enrolment under way.
    enrol_client: Option<(Replies, Peer)>,
    /// Who asked for the change of the gallery that is being written.
    change_client: Option<(Replies, Peer)>,
    /// Who has accepted files that do not belong together, and waits for the state to say so.
    accept_client: Option<Replies>,
    progress: Progress,
    camera: String,
    counters: SharedCounters,
    threshold: f32,
    model: ModelFacts,
    frames: u64,
    frames_with_face: u64,
    last_frame: Duration,
    last_event: Option<String>,
    last_denial: Option<String>,
    /// What the person who is being enrolled should do.
    enrol_advice: Option<String>,
    /// Whose time is over, and what is known of the clock.
    expiry: Expiry,
    /// When to look for people whose time is over.
    next_expiry: Timestamp,
    /// When that was noted last, and of how many people.
    over_noted: (Timestamp, usize),
    recorder: Recorder,
    unrecorded: UnrecordedRules,
    waiting: Option<WaitingRelease>,
    /// Recorded frames, to be erased with a person.
    erase: Option<FrameThread>,
    /// What is being erased.
    erasing: Option<Erasing>,
    /// Frames are to be erased for this version of the gallery, once an operator has accepted the files.
    erase_when_accepted: Option<u64>,
    /// Which of the files are older than the others say, in words.
    rolled_back: Option<String>,
    /// What is counted and published.
    public: Publisher,
    /// How much of what outsiders cause gets an entry of its own in the audit log.
    quotas: Quotas,
    /// What is being carried out was asked by an operator on the board: all of it gets an entry.
    by_operator: bool,
}

/// What was recorded before a version of the gallery, on its way out.
#[derive(Clone, Copy, Debug)]
struct Erasing {
    version: u64,
    /// So many frames are gone.
    frames: Option<usize>,
    /// The controller's recording is gone.
    recording: bool,
}

/// A release that waits for its entry in the audit log.
struct WaitingRelease {
    /// The entry; `None` when the log had no room for it.
    ticket: Option<Ticket>,
    /// It waits no longer than this.
    until: Timestamp,
    /// Shown only then: green is not for a door that is still locked.
    indication: Option<Indication>,
}

impl Keeper {
    fn run(&mut self, messages: &Receiver<Message>, supervisor: &Supervisor) -> Result<(), DaemonError> {
        let started = clock::now();
        let tick = supervisor.interval().unwrap_or(Duration::from_secs(1));
        self.public.watched_by(supervisor.limit());
        loop {
            // A frame that was looked at before this is not fit for enrolment: see `QualityIssue::PoseUnknown`.
            *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = self.door.purpose();
            let now = clock::now();
            let (shown, since) = self.shown;
            let blink = next_change(shown, now.since(since));
            let deadlines = [self.door.poll_timeout(), self.waiting.as_ref().map(|w| w.until)];
            let due = deadlines
                .into_iter()
                .flatten()
                .map(|due| due.since(now))
                .chain(blink)
                .fold(tick, Duration::min);
            let message = messages.recv_timeout(due);
            let now = clock::now();
            if blink.is_some() {
                self.light(now);
            }
            let mut decided = false;
            self.by_operator = match &message {
                Ok(Message::Asked(asked)) => asked.peer == Peer::Operator,
                Ok(Message::GallerySaved(_)) => {
                    matches!(&self.change_client, Some((_, Peer::Operator)))
                }
                _ => false,
            };
            let effects = match message {
                Err(RecvTimeoutError::Timeout) | Ok(Message::Recorded) => self.door.handle_timeout(now),
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
                Ok(Message::Failed(error)) => {
                    // Secured and noted; the supervisor starts anew.
                    let effects = self.door.handle(now, Input::Fault(error.fault()));
                    self.carry_out(effects)?;
                    return Err(error);
                }
                Ok(Message::CameraIdle) => {
                    // Said once: request to exit must work while the camera is away.
                    let news = self.progress.idle.is_none() || self.door.controller().is_enrolling();
                    self.progress.idle = Some(now);
                    if news { self.door.handle(now, Input::Fault(Fault::Camera)) } else { Vec::new() }
                }
                Ok(Message::GallerySaved(outcome)) => self.gallery_saved(outcome),
                Ok(Message::NotSaved) => {
                    if let Some(client) = self.accept_client.take() {
                        let message = "accepted until the next start: the door's state cannot be written";
                        client.send(Reply::error(message));
                    }
                    self.door.handle(now, Input::Fault(Fault::Store))
                }
                Ok(
                    message @ (Message::StateSaved { .. }
                    | Message::FramesErased { .. }
                    | Message::RecordingErased { .. }),
                ) => {
                    self.written([message]);
                    Vec::new()
                }
                Ok(Message::Seen(observation, times)) => {
                    self.progress.seen = now;
                    self.progress.idle = None;
                    self.frames += 1;
                    self.frames_with_face += u64::from(!observation.faces.is_empty());
                    self.last_frame = times.vision;
                    self.public.metrics.stages.add(&times);
                    self.public.seen(observation.sighting.captured);
                    decided = true;
                    self.door.observe(now, self.wall_time(), &observation)
                }
                Ok(Message::Line(event)) => self.line(now, event)?,
                Ok(Message::Asked(asked)) => self.answer(now, started, asked),
                Ok(Message::Refused { command, by }) => {
                    self.refused(now, command, by);
                    Vec::new()
                }
            };
            self.carry_out(effects)?;
            self.by_operator = false;
            self.write_sums(now);
            if decided {
                self.public.metrics.stages.decide.add(clock::now().since(now));
            }
            // Securing must not wait for a pause in what is asked.
            if self.door.poll_timeout().is_some_and(|due| due <= now) {
                let effects = self.door.handle_timeout(now);
                self.carry_out(effects)?;
            }
            self.settle(now)?;
            if self.next_expiry <= now {
                self.next_expiry = now + EXPIRY;
                let effects = self.expire(now);
                self.carry_out(effects)?;
                // A disk that refused may be well again; the frames' thread asks by itself.
                if let Some(Erasing { version, recording: false, .. }) = self.erasing {
                    let _ = self.disk.erase_recording(version);
                    self.door.recording_lost();
                }
            }
            if self.progress.is_made(now) && supervisor.feed(now) {
                self.public.fed(now);
            }
            if self.public.is_due(now) {
                let state = self.state(now, started);
                self.public.publish(now, state);
            }
        }
    }

    /// Keeps out whose time is over, and erases who has been for a day.
    fn expire(&mut self, now: Timestamp) -> Vec<Effect> {
        let wall = self.wall_time();
        // A clock that is not set says nothing.
        let clock = (wall.civil != Civil::Unset).then_some(wall.unix);
        let look = self.expiry.look(now, clock, self.door.gallery());
        if let Some(seconds) = look.jump {
            log::warn!(
                "event=clock_jumped by_s={seconds} effect=\"nobody is erased by this clock for a day\""
            );
            self.record(Fact::new("clock").with(format!("jumped_s={seconds}")));
        }
        if let Some(frames) = &self.erase {
            frames.suspect_clock(self.expiry.is_suspect());
        }
        let mut effects = self.door.disable(now, look.over);
        // Where files were put back, what is there is kept until somebody has looked.
        if let Some(subject) = look.erase.filter(|_| !self.door.controller().rolled_back().any()) {
            effects.extend(self.door.expire(subject));
        }
        let noted = self.expiry.noted();
        let (last, people) = self.over_noted;
        if noted.len() != people || (people > 0 && now.since(last) >= NOTE_OVER) {
            self.over_noted = (now, noted.len());
            let _ = self.disk.note_over(noted);
        }
        effects
    }

    fn refused(&mut self, now: Timestamp, command: &str, by: &str) {
        log::warn!("event=refused command={command} by={by}");
        let kind = Kind { event: "refused", detail: format!("by={by}") };
        let fact = Fact::new("refused").with(format!("command={command} by={by}"));
        self.record_within(now, (kind, Allowance::OUTSIDE), fact);
    }

    /// Records what an outsider can cause at will, or counts it: nobody can push out what else happened.
    fn record_within(&mut self, now: Timestamp, (kind, allowance): (Kind, Allowance), fact: Fact) {
        if self.by_operator || self.quotas.admit(now, &kind, allowance) {
            self.record(fact);
        }
    }

    /// Writes how many have no entry of their own, as far as there is a budget for it.
    fn write_sums(&mut self, now: Timestamp) {
        let sums = self.quotas.due(now);
        self.record_sums(sums);
    }

    fn record_sums(&mut self, sums: Vec<(Kind, u64)>) {
        for (Kind { event, detail }, more) in sums {
            let blank = if detail.is_empty() { "" } else { " " };
            let fact = Fact::new(event).with(format!("{detail}{blank}more={more}"));
            // Among them may be changes of the gallery, which the log is not to fall behind.
            let gallery = self.door.gallery();
            let (version, next_id) = (gallery.version(), gallery.next_id());
            self.record(match event {
                "renamed" | "noted" => fact.marked(Mark::Found { version, next_id, state: 0 }),
                _ => fact,
            });
        }
    }

    fn line(&mut self, now: Timestamp, event: LineEvent) -> Result<Vec<Effect>, DaemonError> {
        Ok(match (event.line, event.active) {
            (InputLine::Button, true) => self.door.button(now),
            (InputLine::EnrolKey, active) => self.door.handle(now, Input::EnrolKey { active }),
            (InputLine::Rex, true) => {
                // Who asks to leave is never kept waiting for the disk, not by a face's release either:
                // the controller counts that one as under way, and its end stays as it is.
                if self.waiting.is_some() {
                    let rex = Report::Event(Event::Released(ReleaseReason::Rex));
                    if let (Some(quota), Some(fact)) = (recorder::quota(&rex), recorder::fact(&rex)) {
                        self.record_within(now, quota, fact);
                    }
                    self.release()?;
                }
                self.door.handle(now, Input::Rex)
            }
            (InputLine::SecondFactor, true) => self.door.handle(now, Input::SecondFactor),
            (InputLine::Button | InputLine::Rex | InputLine::SecondFactor, false) => Vec::new(),
            (InputLine::DoorSensor, open) => self.door.handle(now, Input::Door { open }),
        })
    }

    fn answer(&mut self, now: Timestamp, started: Timestamp, asked: Asked) -> Vec<Effect> {
        let Asked { request, people, peer, client } = asked;
        if peer == Peer::Gateway && request.right() != Some(Right::View) {
            let detail = format!("command={} by=gateway", request.name());
            let kind = Kind { event: "command", detail: detail.clone() };
            self.record_within(now, (kind, Allowance::OUTSIDE), Fact::new("command").with(detail));
        }
        let done = |outcome: Result<Vec<Effect>, DoorError>| match outcome {
            Ok(effects) => (Reply::ok(), effects),
            Err(error) => (Reply::error(error.to_string()), Vec::new()),
        };
        let (answer, effects) = match request {
            Request::Enroll { name, anyway, existing, unlike } => {
                let terms = Terms { anyway, existing, unlike };
                match self.door.enrol(now, name.as_deref(), terms) {
                    // The client hears of the end from `carry_out`.
                    Ok(effects) => {
                        self.enrol_client = Some((client, peer));
                        return effects;
                    }
                    Err(error) => done(Err(error)),
                }
            }
            Request::Add { model, .. } if model != self.model.hash => {
                let message = format!(
                    "the pictures were read with model {model}, the daemon runs {}: give both the same config",
                    self.model.hash
                );
                (Reply::error(message), Vec::new())
            }
            Request::AllowEnrolment { time } => {
                (Reply::ok(), self.door.handle(now, Input::AllowEnrolment { time }))
            }
            Request::Add { name, embeddings, anyway, existing, unlike, .. } => {
                let embeddings: Vec<Embedding> = embeddings.into_iter().map(Embedding::new).collect();
                let terms = Terms { anyway, existing, unlike };
                match self.door.enrol_from(clock::unix(), &name, &embeddings, terms) {
                    // The client hears of the end from `gallery_saved`.
                    Ok(effects) => {
                        self.change_client = Some((client, peer));
                        return effects;
                    }
                    Err(error) => done(Err(error)),
                }
            }
            Request::Import { anyway, .. } => match self.door.import(people.subjects(), anyway) {
                Ok(effects) => {
                    self.change_client = Some((client, peer));
                    return effects;
                }
                Err(error) => done(Err(error)),
            },
            Request::Remove { .. } | Request::Rename { .. } | Request::Note { .. } => {
                match self.change_people(request) {
                    Ok(effects) => {
                        self.change_client = Some((client, peer));
                        return effects;
                    }
                    Err(message) => (Reply::error(message), Vec::new()),
                }
            }
            Request::AcceptRollback {} => match self.door.accept_rollback() {
                Ok(effects) => {
                    self.change_client = Some((client, peer));
                    return effects;
                }
                Err(error) => done(Err(error)),
            },
            Request::Export { name } => match self.door.gallery().only(&[name]) {
                Ok(person) => {
                    let subject = person.subjects().first().map(|s| s.id);
                    self.record(Fact { subject, ..Fact::new("exported") });
                    (Reply::Ok { result: store::to_json(&person) }, Vec::new())
                }
                Err(error) => (Reply::error(error.to_string()), Vec::new()),
            },
            Request::Secure {} => {
                // What the gateway asks for has its entry already.
                if peer == Peer::Operator {
                    self.record(Fact::new("command").with("command=secure"));
                }
                (Reply::ok(), self.door.handle(now, Input::Secure))
            }
            Request::Mode { mode } => done(self.door.set_mode(now, mode)),
            Request::ClearLockout {} => (Reply::ok(), self.door.handle(now, Input::ClearLockout)),
            Request::People {} => {
                let people = crate::protocol::people(self.door.gallery());
                (Reply::Ok { result: serde_json::to_value(people).unwrap_or_default() }, Vec::new())
            }
            Request::Status {} => {
                let status = self.status(now, started);
                (Reply::Ok { result: serde_json::to_value(status).unwrap_or_default() }, Vec::new())
            }
            Request::State {} => {
                let state = self.state(now, started);
                (Reply::Ok { result: serde_json::to_value(state).unwrap_or_default() }, Vec::new())
            }
            // The client's own thread answers these.
            Request::Hello { .. }
            | Request::Watch { .. }
            | Request::Entries { .. }
            | Request::VerifyLog {}
            | Request::ReportRefusal { .. } => (Reply::error("not for the door's thread"), Vec::new()),
        };
        client.send(answer);
        effects
    }

    fn gallery_saved(&mut self, outcome: Result<(), String>) -> Vec<Effect> {
        let accepted =
            outcome.is_ok() && self.door.changing().any(|report| *report == Report::RollbackAccepted);
        if accepted {
            // That counts once it is in the state as well.
            self.accept_client = self.change_client.take().map(|(client, _)| client);
        }
        if let Some((client, _)) = self.change_client.take() {
            client.send(match &outcome {
                Ok(()) => Reply::ok(),
                Err(message) => Reply::error(message),
            });
        }
        self.door.gallery_saved(clock::now(), outcome)
    }

    fn state(&self, now: Timestamp, started: Timestamp) -> State {
        let words = Words { denial: self.last_denial.as_deref(), enrolment: self.enrol_advice.as_deref() };
        State {
            status: self.status(now, started),
            attempt: self.public.attempt(&self.door, self.shown.0, words),
            metrics: self.public.metrics.clone(),
        }
    }

    /// Starts what a request wants changed among the people enrolled.
    fn change_people(&mut self, request: Request) -> Result<Vec<Effect>, String> {
        let change = match request {
            Request::Remove { name } => PeopleChange::Remove { name },
            Request::Rename { name, to } => PeopleChange::Rename { name, to },
            Request::Note { name, note } => PeopleChange::Note { name, note },
            _ => return Err("this changes nobody".to_owned()),
        };
        self.door.change_people(&change).map_err(|e| e.to_string())
    }

    fn status(&self, now: Timestamp, started: Timestamp) -> Status {
        Status {
            strike: self.strike_state,
            strike_line: self.strike.describe(),
            camera: self.camera.clone(),
            camera_counters: *self.counters.lock().unwrap_or_else(PoisonError::into_inner),
            camera_delivers: self.progress.idle.is_none() && self.progress.is_made(now),
            frames: self.frames,
            frames_with_face: self.frames_with_face,
            last_frame_ms: self.last_frame.as_secs_f64() * 1e3,
            people: self.door.gallery().subjects().len(),
            people_of_other_models: self.door.gallery().of_other_models(self.model.hash),
            enrolling: self.door.controller().is_enrolling(),
            enrol_advice: self.enrol_advice.clone(),
            enrolment_allowed_s: self.door.controller().enrolment_allowed(now).map(|left| left.as_secs() + 1),
            model: self.model.hash.to_string(),
            threshold: self.threshold,
            uptime_s: now.since(started).as_secs(),
            mode: self.door.controller().mode(),
            lockout_left_s: self.door.controller().lockout_left(now).map(|left| left.as_secs() + 1),
            door_open: self.door.controller().door_is_open(),
            alarm: self.door.controller().alarm(),
            rolled_back: self.rolled_back(),
            audit_written: self.recorder.works(),
            last_denial: self.last_denial.clone(),
            last_event: self.last_event.clone(),
        }
    }

    fn wall_time(&self) -> WallTime {
        let unix = clock::unix();
        WallTime { unix, civil: self.wall.civil(unix) }
    }

    /// Carries out effects in order. A strike that cannot be driven ends the daemon.
    fn carry_out(&mut self, effects: Vec<Effect>) -> Result<(), DaemonError> {
        let waits = effects.iter().any(|e| matches!(e, Effect::Report(r) if recorder::is_recorded_first(r)));
        if waits {
            self.public.releases_for_face();
        }
        for effect in effects {
            match effect {
                Effect::Strike(StrikeState::Secured) => self.secure()?,
                Effect::Strike(StrikeState::Released) if waits && !self.unrecorded.wait.is_zero() => {
                    let until = clock::now() + self.unrecorded.wait;
                    self.waiting = Some(WaitingRelease { ticket: None, until, indication: None });
                }
                Effect::Strike(StrikeState::Released) => self.release()?,
                Effect::Indicate(indication) => match &mut self.waiting {
                    Some(waiting) if indication == Indication::Released => {
                        waiting.indication = Some(indication);
                    }
                    waiting => {
                        if let Some(waiting) = waiting {
                            waiting.indication = None;
                        }
                        self.show(indication);
                    }
                },
                Effect::Save(saved) => {
                    if let Err(error) = self.disk.save(saved) {
                        log::error!("event=not_saved error={:?}", error.to_string());
                        let effects = self.door.handle(clock::now(), Input::Fault(Fault::Store));
                        self.carry_out(effects)?;
                    }
                }
                Effect::SaveGallery(gallery) => {
                    let change = self.gallery_change(gallery);
                    if let Err(error) = self.disk.save_gallery(change) {
                        log::error!("event=gallery_not_saved error={:?}", error.to_string());
                        let effects = self.gallery_saved(Err(error.to_string()));
                        self.carry_out(effects)?;
                    }
                }
                Effect::Record(line) => {
                    if let Err(error) = self.disk.record(line) {
                        log::warn!("event=recording_gap reason={:?}", error.to_string());
                        self.door.recording_lost();
                    }
                }
                Effect::Gallery(gallery) => {
                    *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = gallery;
                }
                Effect::Report(report) => self.report(&report),
            }
        }
        if self.enrol_client.as_ref().is_some_and(|(client, _)| !client.is_connected()) {
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
        self.public.driven(clock::now(), state == StrikeState::Released);
        Ok(())
    }

    fn secure(&mut self) -> Result<(), DaemonError> {
        self.waiting = None;
        self.drive(StrikeState::Secured)
    }

    fn release(&mut self) -> Result<(), DaemonError> {
        let waiting = self.waiting.take();
        self.drive(StrikeState::Released)?;
        if let Some(indication) = waiting.and_then(|waiting| waiting.indication) {
            self.show(indication);
        }
        Ok(())
    }

    /// Releases the strike as soon as the entry of the release is on the disk.
    fn settle(&mut self, now: Timestamp) -> Result<(), DaemonError> {
        let ticket = self.waiting.as_ref().and_then(|waiting| waiting.ticket);
        let synced = ticket.is_some_and(|ticket| self.recorder.is_synced(ticket));
        // Asked for afterwards: where an entry is on the disk, the files have been compared.
        if let Some(found) = self.recorder.take_opened() {
            self.compared(now, found)?;
        }
        let Some(waiting) = &self.waiting else { return Ok(()) };
        if synced {
            return self.release();
        }
        if now < waiting.until {
            return Ok(());
        }
        log::error!(
            "event=audit_late release={} reason=\"the entry did not reach the disk in time\"",
            self.unrecorded.release
        );
        if self.unrecorded.release {
            return self.release();
        }
        self.waiting = None;
        let effects = self.door.handle(now, Input::NotRecorded);
        self.carry_out(effects)
    }

    /// The audit log is open, and was compared with the other files.
    fn compared(&mut self, now: Timestamp, found: Reconciled) -> Result<(), DaemonError> {
        let Reconciled { what, words, marks, erase, newest_ms } = found;
        if clock::is_plausible(newest_ms / 1_000) {
            self.expiry.log_says(now, newest_ms / 1_000);
            self.next_expiry = now;
        }
        if what.any() {
            log::error!("event=rolled_back files={what} error={words:?} remedy={:?}", Reconciled::remedy());
            self.record(Fact::new("rolled_back").with(format!("files={what} found={words:?}")));
            self.rolled_back = Some(words);
            self.door.go_on_after(marks.gallery, marks.next_id);
            let _ = self.disk.go_on_after(marks.state);
            let effects = self.door.handle(now, Input::RolledBack(what));
            self.carry_out(effects)?;
        }
        if self.door.controller().rolled_back().any() {
            // What the frames show may be wanted by whoever looks into this.
            self.erase_when_accepted = erase;
            return Ok(());
        }
        if let Some(version) = erase {
            self.erase_recorded(version);
        }
        if let Err(error) = self.disk.settle() {
            log::error!("event=not_saved error={:?}", error.to_string());
        }
        Ok(())
    }

    /// In words which of the files are older than the others say.
    fn rolled_back(&self) -> Option<String> {
        let what = self.door.controller().rolled_back();
        let told = || self.rolled_back.clone().unwrap_or_else(|| "see facelatch audit show".to_owned());
        what.any().then(|| format!("{what}: {}", told()))
    }

    /// A gallery to be written, with what the audit log is to be told of it.
    fn gallery_change(&self, gallery: Arc<Gallery>) -> GalleryChange {
        let (version, next_id) = (gallery.version(), gallery.next_id());
        let entries = self.door.changing().filter_map(fact).map(owed).collect();
        let erases = self.door.changing().any(Report::erases);
        GalleryChange { gallery, change: Change { version, next_id, entries }, erases }
    }

    /// Erases what was recorded before this version of the gallery: nobody can say in which frames a person is
    /// not, and similarities to the person stand in the controller's recording.
    fn erase_recorded(&mut self, version: u64) {
        let frames = self.erase.is_none().then_some(0);
        self.erasing = Some(Erasing { version, frames, recording: false });
        if let Some(frames) = &self.erase {
            frames.erase(version);
        }
        match self.disk.erase_recording(version) {
            Ok(()) => self.door.recording_lost(),
            Err(error) => log::error!("event=recording_not_erased error={:?}", error.to_string()),
        }
    }

    /// Files were written or erased: the audit log is told.
    fn written(&mut self, messages: impl IntoIterator<Item = Message>) {
        for message in messages {
            match message {
                Message::StateSaved { number, saved } => {
                    let locked = saved.lockout.locked.is_some();
                    let words = format!("secure_mode={} locked_out={locked}", saved.secure_mode);
                    let fact = Fact::new("state").with(&*words).marked(Mark::State(number));
                    let kind = Kind { event: "state", detail: words };
                    self.record_within(clock::now(), (kind, Allowance::OUTSIDE), fact);
                    if !saved.rolled_back.any()
                        && let Some(client) = self.accept_client.take()
                    {
                        client.send(Reply::ok());
                    }
                }
                Message::FramesErased { version, frames } => {
                    if let Some(erasing) = self.erasing.as_mut().filter(|e| e.version <= version) {
                        erasing.frames = Some(frames);
                    }
                }
                Message::RecordingErased { version } => {
                    if let Some(erasing) = self.erasing.as_mut().filter(|e| e.version <= version) {
                        erasing.recording = true;
                    }
                }
                _ => {}
            }
            if let Some(Erasing { version, frames: Some(frames), recording: true }) = self.erasing {
                self.erasing = None;
                self.record(
                    Fact::new("erased").with(format!("frames={frames}")).marked(Mark::Erased(version)),
                );
            }
        }
    }

    fn record(&mut self, fact: Fact) -> Option<Ticket> {
        self.recorder.record(clock::now(), fact)
    }

    fn show(&mut self, indication: Indication) {
        let now = clock::now();
        self.shown = (indication, now);
        self.light(now);
    }

    fn light(&mut self, now: Timestamp) {
        let (indication, since) = self.shown;
        // A broken light must not keep the door from working.
        if let Err(error) = self.indicator.show(indication, now.since(since)) {
            log::warn!("event=indicator_failed error={:?}", error.to_string());
        }
    }

    /// Waits for the disk, but not for long; who waits for a change of the gallery is told of it.
    fn flush(&mut self, messages: &Receiver<Message>) {
        self.flush_once(messages);
        // Somebody was removed at the last moment: what was recorded goes as well.
        if self.erasing.is_some() {
            if let Some(frames) = &self.erase {
                frames.finish(LAST_WRITES);
            }
            self.flush_once(messages);
        }
    }

    fn flush_once(&mut self, messages: &Receiver<Message>) {
        let (mut saved, mut others) = (Vec::new(), Vec::new());
        self.disk.flush(LAST_WRITES, || {
            for message in messages.try_iter() {
                match message {
                    Message::GallerySaved(outcome) => saved.push(outcome),
                    other => others.push(other),
                }
            }
        });
        for outcome in saved {
            for effect in self.gallery_saved(outcome) {
                match effect {
                    Effect::Report(report) => self.report(&report),
                    Effect::Save(saved) => {
                        let _ = self.disk.save(saved);
                    }
                    _ => {}
                }
            }
        }
        self.written(others);
    }

    fn report(&mut self, report: &Report) {
        let line = report.log_line();
        match report {
            Report::Event(Event::NoFace | Event::Identifying { .. } | Event::EnrolCountdown { .. }) => {
                log::debug!("{line}");
            }
            Report::Event(
                Event::StaleFrame { .. }
                | Event::EnrolFailed { .. }
                | Event::Alarm(_)
                | Event::Fault(_)
                | Event::LockedOut { .. }
                | Event::ButtonRefused,
            )
            | Report::EnrolRefused { .. } => log::warn!("{line}"),
            _ => log::info!("{line}"),
        }
        if report.ends_enrolment().is_some() {
            self.enrol_advice = None;
        } else if let Some(text) = report.enrol_progress() {
            self.enrol_advice = Some(text);
        }
        if let Report::Event(Event::Denied(reason)) = report {
            self.last_denial = Some(reason.to_string());
        }
        self.public.reported(report, &self.door);
        self.last_event = Some(line);
        let about = |fact: Fact| match report.is_change() {
            true => fact.marked(change_mark(self.door.gallery())),
            false => fact,
        };
        match (recorder::fact(report).map(about), recorder::quota(report)) {
            (Some(fact), Some(quota)) => self.record_within(clock::now(), quota, fact),
            (Some(fact), None) => {
                let ticket = self.record(fact);
                // The release comes before its report.
                if let Some(waiting) = self.waiting.as_mut().filter(|_| recorder::is_recorded_first(report)) {
                    waiting.ticket = ticket;
                }
            }
            (None, _) => {}
        }
        if report.erases() {
            self.erase_recorded(self.door.gallery().version());
        }
        if *report == Report::RollbackAccepted {
            self.rolled_back = None;
            if let Some(version) = self.erase_when_accepted.take() {
                self.erase_recorded(version);
            }
        }
        let Some((client, peer)) = &self.enrol_client else { return };
        match report.ends_enrolment() {
            Some(outcome) => {
                let last = match outcome {
                    Ok(name) => Reply::Ok { result: serde_json::json!({ "name": name }) },
                    Err(reason) => enrolment_failed(report, &reason, *peer),
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

/// What the one who asked for an enrolment hears of its failure. Who stands before the door is not for a
/// broker to keep: the gateway, which may see the people and the events, is not sent the name.
fn enrolment_failed(report: &Report, reason: &str, peer: Peer) -> Reply {
    let named = matches!(report, Report::EnrolRefused { like: Some(_), .. });
    let reason = match peer {
        Peer::Gateway if named => "already enrolled; the door's events say as whom",
        _ => reason,
    };
    let frames = match report {
        Report::Event(Event::EnrolFailed { frames, .. }) => Some(*frames),
        _ => None,
    };
    Reply::Error { message: format!("enrolment failed: {reason}"), frames }
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

#[cfg(test)]
mod tests;
