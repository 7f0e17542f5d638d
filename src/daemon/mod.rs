//! The daemon: the thread that owns the strike, and those that work for it (`spawn` starts them).
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
//! Watchers are told by threads of their own (`broadcaster`), which nobody who works for the door waits for.
//!
//! This thread owns the strike and waits no longer than the door's next deadline, so that nothing a
//! camera, a network or a client does can delay securing. Every way out of [`run`] secures the strike
//! first; a panic does so by dropping it, a kill by the unit's `ExecStopPost=`.

mod audit_events;
mod audit_trail;
mod broadcaster;
mod budget;
mod commands;
mod disk;
mod effects;
pub mod erasure;
mod error;
mod expiry;
mod frames;
mod handler;
mod intake;
mod limits;
mod message;
mod outputs;
mod preview;
mod publisher;
pub mod reconcile;
mod recorder;
mod request;
mod resources;
mod socket;
mod spawn;
mod status;
mod threads;
mod watchdog;

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::access::{Event, Fault, Input, PersistentState, ReleaseReason, Restored};
use crate::audit::AuditEvent;
use crate::clock;
use crate::door::{Door, Effect, ModelFacts, NamedHours, Report};
use crate::expiry::Expiry;
use crate::lines::{InputLine, LineEvent};
use crate::lock::lock;
use crate::matching::Gallery;
use crate::notify::Supervisor;
use crate::time::Timestamp;

pub use audit_events::{audit_event, stamp};
pub use error::DaemonError;
pub use request::Rights;
pub use resources::{AuditLocation, FrameRecording, GatewayEndpoint, Resources, UnrecordedRules};

use audit_trail::AuditTrail;
use broadcaster::Broadcaster;
use disk::{DiskThread, StoredFiles};
use effects::{Executor, ExecutorParts};
use expiry::ExpiryWatch;
use frames::FrameThread;
use handler::RequestHandler;
use message::Message;
use outputs::Outputs;
use preview::PreviewEncoder;
use publisher::Publisher;
use reconcile::Books;
use recorder::Recorder;
use request::Peer;
use socket::Socket;
use status::Vitals;
use threads::{SharedGallery, Wanted, start_camera, start_gateway, start_lines, start_signals};

/// Runs the door until it is told to stop or something fails; the strike is secured on return.
///
/// # Errors
/// What failed. The supervisor starts the daemon again.
pub fn run(resources: Resources) -> Result<(), DaemonError> {
    let Resources { vision, mut rules, model, hours, wall, store, state, recording, recorded, .. } =
        resources;
    let Resources { source, strike, mut inputs, indicator, socket, audit, .. } = resources;
    let (gallery, ledger) = store.load_with_ledger()?;
    let gallery = Arc::new(gallery);
    warn_of_the_unusable(&gallery, &hours, model);
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
    let broadcaster = Arc::new(Broadcaster::default());
    let log_folder = audit.folder.clone();
    let books = Books::of(&gallery, &ledger, &resume, &state);
    let found = books.found();
    let expiry = ExpiryWatch::new(wall, Expiry::resumed(&state.over()));
    let recorder = Recorder::start(move || audit.open(), books, &inbox, Arc::clone(&broadcaster))?;
    let saved = match resume {
        Restored::Fresh => Some(PersistentState::default()),
        Restored::SameBoot(saved) | Restored::OtherBoot(saved) => Some(saved),
        Restored::Unreadable => None,
    };
    let tail = recorder.tail().clone();
    let files = StoredFiles { store, gallery, ledger, state, saved, recording, recorded, tail };
    let disk = DiskThread::start(files, &inbox)?;
    let record = resources.frames.as_ref().is_some_and(|frames| frames.record);
    let frames = resources.frames.map(|frames| FrameThread::start(frames.store, &inbox)).transpose()?;
    let now = clock::now();
    let mut executor = Executor::new(ExecutorParts {
        door,
        outputs: Outputs::new(strike, indicator, now),
        disk,
        trail: AuditTrail::new(recorder),
        public: Publisher::new(Arc::clone(&broadcaster), rules.window),
        expiry,
        shared: Arc::clone(&shared),
        unrecorded: resources.unrecorded,
        frames: frames.clone(),
    });
    let started = AuditEvent::new("started").with(format!("version={}", env!("CARGO_PKG_VERSION")));
    executor.trail.record(started.marked(found));
    let effects = executor.door.start(clock::now(), resume);
    executor.apply_effects(effects)?;
    if let Some(active) = inputs.active(InputLine::EnrolKey)? {
        executor.input(Input::EnrolKey { active })?;
    }
    if let Some(open) = inputs.active(InputLine::DoorSensor)? {
        executor.input(Input::Door { open })?;
    }
    let vitals = Vitals::new(now, resources.stall, source.describe(), rules.window.threshold, model);
    let wanted = Wanted::default();

    start_signals(&inbox)?;
    let frames = frames.filter(|_| record);
    let preview = PreviewEncoder::start(Arc::clone(&broadcaster), resources.quality)?;
    let seen_by = (Arc::clone(&shared), Arc::clone(&wanted));
    start_camera(source, vision, seen_by, (frames, preview), Arc::clone(&vitals.counters), &inbox)?;
    start_lines(inputs, &inbox)?;
    let socket = Arc::new(socket);
    let handler =
        Arc::new(RequestHandler::operator(inbox.clone(), Arc::clone(&broadcaster), log_folder.clone()));
    let serving = Arc::clone(&socket);
    spawn::spawn("socket", Some(inbox.clone()), move || serving.serve(&handler))?;
    let gateway = resources.gateway.and_then(|place| {
        let handler = RequestHandler::gateway(inbox.clone(), broadcaster, log_folder, place.rights);
        start_gateway(&place.socket, handler)
    });

    let supervisor = Supervisor::from_env();
    supervisor.ready();
    log::info!("event=started camera={:?} strike={:?}", vitals.camera, executor.outputs.describe());
    let mut event_loop = EventLoop { executor, vitals, wanted };
    let outcome = event_loop.run(&messages, &supervisor);
    supervisor.stopping();
    let EventLoop { mut executor, .. } = event_loop;
    let secured = executor.secure();
    executor.flush(&messages);
    socket.close();
    if let Some(gateway) = gateway {
        gateway.close();
    }
    let why = outcome.as_ref().map_or_else(ToString::to_string, |()| "in good order".to_owned());
    executor.finish(&why);
    outcome.and(secured)
}

/// Says what of gallery and configuration has no effect.
fn warn_of_the_unusable(gallery: &Gallery, hours: &NamedHours, model: ModelFacts) {
    // Without the names: they do not belong in the journal.
    match hours.unknown_names(gallery).count() {
        0 => {}
        n => log::warn!(
            "event=schedule_strangers key=schedule.people names={n} effect=\"schedule.default holds\" \
             remedy=\"write the names as facelatch people list prints them, or enrol them\""
        ),
    }
    let others = gallery.of_other_models(model.hash);
    if others > 0 {
        log::warn!(
            "event=other_model people={others} model={} effect=\"they are not matched\" remedy=\"enrol \
             them again, or configure the model that they were enrolled with\"",
            model.hash
        );
    }
}

/// The thread that owns the strike.
struct EventLoop {
    executor: Executor,
    vitals: Vitals,
    wanted: Wanted,
}

impl EventLoop {
    fn run(&mut self, messages: &Receiver<Message>, supervisor: &Supervisor) -> Result<(), DaemonError> {
        let tick = supervisor.interval().unwrap_or(Duration::from_secs(1));
        self.executor.public.watched_by(supervisor.limit());
        loop {
            // A frame that was looked at before this is not fit for enrolment: see `QualityIssue::PoseUnknown`.
            *lock(&self.wanted) = self.executor.door.purpose();
            let now = clock::now();
            let blink = self.executor.outputs.next_blink(now);
            let deadlines = self.executor.deadlines().map(|due| due.since(now));
            let due = deadlines.chain(blink).fold(tick, Duration::min);
            let message = messages.recv_timeout(due);
            let now = clock::now();
            if blink.is_some() {
                self.executor.outputs.update_indicator(now);
            }
            let message = match message {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(DaemonError::ThreadDied { thread: "camera" });
                }
            };
            let decides = matches!(message, Some(Message::Seen(..)));
            self.executor.trail.by_operator = self.is_by_operator(message.as_ref());
            let Some(effects) = self.handle(now, message)? else { return Ok(()) };
            self.executor.apply_effects(effects)?;
            self.executor.trail.by_operator = false;
            self.executor.trail.write_sums(now, self.executor.door.gallery());
            if decides {
                self.executor.public.metrics.stages.decide.add(clock::now().since(now));
            }
            // Securing must not wait for a pause in what is asked.
            if self.executor.door.poll_timeout().is_some_and(|due| due <= now) {
                let effects = self.executor.door.handle_timeout(now);
                self.executor.apply_effects(effects)?;
            }
            self.executor.release_when_recorded(now)?;
            self.executor.look_after_expiry(now)?;
            if self.vitals.progress.is_made(now) && supervisor.feed(now) {
                self.executor.public.fed(now);
            }
            if self.executor.public.is_due(now) {
                let state = self.vitals.state(now, &self.executor);
                self.executor.public.publish(now, state);
            }
        }
    }

    /// True for what an operator on the board has asked for.
    fn is_by_operator(&self, message: Option<&Message>) -> bool {
        match message {
            Some(Message::Asked(asked)) => asked.peer == Peer::Operator,
            Some(Message::GallerySaved(_)) => {
                matches!(&self.executor.clients.change, Some((_, Peer::Operator)))
            }
            _ => false,
        }
    }

    /// What is to be done about a message, or about none in time; `None` ends the loop.
    fn handle(
        &mut self,
        now: Timestamp,
        message: Option<Message>,
    ) -> Result<Option<Vec<Effect>>, DaemonError> {
        let executor = &mut self.executor;
        Ok(Some(match message {
            None | Some(Message::Recorded) => executor.door.handle_timeout(now),
            Some(Message::Stop) => {
                log::info!("event=stopping");
                return Ok(None);
            }
            Some(Message::CameraEnded) => {
                log::info!("event=recording_over");
                return Ok(None);
            }
            Some(Message::Failed(error)) => {
                // Secured and noted; the supervisor starts the daemon again.
                executor.input(Input::Fault(error.fault()))?;
                return Err(error);
            }
            Some(Message::CameraIdle) => {
                // Said once: request to exit must work while the camera is away.
                let first = self.vitals.progress.camera_idle(now);
                if first || executor.door.controller().is_enrolling() {
                    executor.door.handle(now, Input::Fault(Fault::Camera))
                } else {
                    Vec::new()
                }
            }
            Some(Message::GallerySaved(outcome)) => executor.gallery_saved(outcome),
            Some(Message::NotSaved) => {
                executor.acceptance_not_saved();
                executor.door.handle(now, Input::Fault(Fault::Store))
            }
            Some(
                message @ (Message::StateSaved { .. }
                | Message::FramesErased { .. }
                | Message::RecordingErased { .. }),
            ) => {
                executor.written([message]);
                Vec::new()
            }
            Some(Message::Seen(observation, times)) => {
                self.vitals.processed(now, !observation.faces.is_empty(), times.vision);
                executor.public.metrics.stages.add(&times);
                executor.public.seen(observation.sighting.captured);
                executor.door.observe(now, executor.expiry.wall_time(), &observation)
            }
            Some(Message::Line(event)) => self.line(now, event)?,
            Some(Message::Asked(asked)) => commands::answer(executor, &self.vitals, now, asked),
            Some(Message::Refused { command, by }) => {
                commands::refused(executor, now, command, by);
                Vec::new()
            }
        }))
    }

    fn line(&mut self, now: Timestamp, event: LineEvent) -> Result<Vec<Effect>, DaemonError> {
        let executor = &mut self.executor;
        Ok(match (event.line, event.active) {
            (InputLine::Button, true) => executor.door.button(now),
            (InputLine::EnrolKey, active) => executor.door.handle(now, Input::EnrolKey { active }),
            (InputLine::Rex, true) => {
                executor.release_for_exit(now, &Report::Event(Event::Released(ReleaseReason::Rex)))?;
                executor.door.handle(now, Input::Rex)
            }
            (InputLine::SecondFactor, true) => executor.door.handle(now, Input::SecondFactor),
            (InputLine::Button | InputLine::Rex | InputLine::SecondFactor, false) => Vec::new(),
            (InputLine::DoorSensor, open) => executor.door.handle(now, Input::Door { open }),
        })
    }
}

#[cfg(test)]
mod tests;
