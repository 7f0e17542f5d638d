//! One door: controller, gallery and enrolment put together, without threads and devices.
//!
//! The daemon runs it against real time and lines, [`crate::attempt`] in simulated time against
//! recordings: both get the same decisions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::access::record::{Because, Call, FORMAT, Line, Snapshot, Step};
use crate::access::{
    AccessRules, Action, Cause, Civil, Controller, DenyReason, EnrolFailure, EnrolStep, Event, Indication,
    Input, ModeCommand, Resume, Saved, Schedule, SubjectId, Timetable,
};
use crate::matching::{Embedding, Gallery, GalleryError, Metric, ModelHash, TemplateError, template};
use crate::strike::StrikeState;
use crate::time::Timestamp;
use crate::vision::Observation;

/// A recording begins anew with a snapshot after so many steps.
const SNAPSHOT_EVERY: u32 = 10_000;

/// What the surroundings of a door carry out, in order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Drive the strike.
    Strike(StrikeState),
    /// Show this on lights and buzzer.
    Indicate(Indication),
    /// Log and publish this.
    Report(Report),
    /// Compare with the people of this gallery from now on.
    Gallery(Arc<Gallery>),
    /// Write this where it outlives a restart.
    Save(Saved),
    /// Write this gallery and tell [`Door::gallery_saved`] how that went: it counts from then on.
    SaveGallery(Arc<Gallery>),
    /// Add this to the recording.
    Record(Box<Line>),
}

/// Something worth telling.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// What the controller says.
    Event(Event),
    /// Somebody was enrolled.
    Enrolled {
        /// The new id.
        subject: SubjectId,
        /// The name.
        name: String,
        /// From what.
        from: Origin,
    },
    /// Somebody was removed.
    Removed {
        /// The id that was theirs.
        subject: SubjectId,
    },
    /// The countdown ended, but nothing was stored.
    EnrolRefused {
        /// Why, in words.
        reason: String,
    },
}

/// What a template was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The door's camera.
    Camera,
    /// Pictures.
    Pictures,
}

impl Origin {
    /// The name in logs and the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Camera => "camera",
            Origin::Pictures => "pictures",
        }
    }
}

/// What the wall clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallTime {
    /// Seconds since 1970, noted with people enrolled.
    pub unix: u64,
    /// The time of the week, for schedules.
    pub civil: Civil,
}

impl WallTime {
    /// Of a recording, which has none.
    pub const UNSET: WallTime = WallTime { unix: 0, civil: Civil::Unset };
}

/// Who may come in when, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedHours {
    /// People with hours of their own.
    pub people: BTreeMap<String, Schedule>,
    /// Everybody else.
    pub others: Schedule,
}

impl NamedHours {
    /// The same by id. Names that nobody has are left out.
    pub fn timetable(&self, gallery: &Gallery) -> Timetable {
        let named = |s: &crate::matching::Subject| Some((s.id, self.people.get(&s.name)?.clone()));
        let people = gallery.subjects().iter().filter_map(named).collect();
        Timetable { people, others: self.others.clone() }
    }

    /// Names with hours of their own that nobody enrolled has: misspelt, or not enrolled yet.
    pub fn strangers<'a>(&'a self, gallery: &'a Gallery) -> impl Iterator<Item = &'a str> {
        let known = |name: &str| gallery.subjects().iter().any(|s| s.name == name);
        self.people.keys().map(String::as_str).filter(move |name| !known(name))
    }
}

/// Why a person could not be enrolled or removed.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The name or template is unusable, or nobody has that name.
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    /// The frames make no template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// One enrolment at a time.
    #[error("an enrolment is under way: wait for its end, or cancel it")]
    Busy,
    /// One change of the gallery at a time.
    #[error("another change of the gallery is being written: try again")]
    Saving,
    /// Longer than configured, or not at all.
    #[error("the door can be held open for 1 s to {} s (access.max_hold_open_s)", max.as_secs())]
    HoldOpen {
        /// The longest time.
        max: Duration,
    },
}

/// What the embedder's model card says about its vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelFacts {
    /// Which model makes the templates.
    pub hash: ModelHash,
    /// How its vectors are compared.
    pub metric: Metric,
}

/// A change of the gallery that is being written.
#[derive(Debug)]
struct Change {
    gallery: Arc<Gallery>,
    /// What to tell once it is.
    report: Report,
}

/// What an enrolment before the camera collected.
#[derive(Debug)]
struct Taken {
    name: String,
    frames: Vec<Embedding>,
    unix: u64,
}

/// Controller, gallery and enrolment of one door.
#[derive(Debug)]
pub struct Door {
    controller: Controller,
    rules: AccessRules,
    hours: NamedHours,
    gallery: Arc<Gallery>,
    model: ModelFacts,
    enrolling: Option<String>,
    collected: Vec<Embedding>,
    changing: Option<Change>,
    /// Waits for the change before it. There is no second one: no enrolment begins during a change.
    taken: Option<Taken>,
    recorder: Option<Recorder>,
}

/// Which lines of a recording are due.
#[derive(Debug)]
struct Recorder {
    snapshot: Option<Because>,
    steps: u32,
}

impl Door {
    /// A door for the people of `gallery`. Those with templates of another model stay in it, and are
    /// not recognised.
    pub fn new(rules: AccessRules, model: ModelFacts, gallery: Arc<Gallery>) -> Self {
        Door {
            controller: Controller::new(rules, gallery.version(), Timetable::default()),
            rules,
            hours: NamedHours::default(),
            gallery,
            model,
            enrolling: None,
            collected: Vec::new(),
            changing: None,
            taken: None,
            recorder: None,
        }
    }

    /// With these hours instead of any; before [`Door::start`].
    pub fn with_hours(mut self, hours: NamedHours) -> Self {
        let timetable = hours.timetable(&self.gallery);
        self.controller = Controller::new(self.rules, self.gallery.version(), timetable);
        self.hours = hours;
        self
    }

    /// With [`Effect::Record`] for every call of the controller.
    pub fn recorded(mut self) -> Self {
        self.recorder = Some(Recorder { snapshot: Some(Because::Started), steps: 0 });
        self
    }

    /// Lines of the recording were lost: the next one is a snapshot.
    pub fn recording_lost(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.snapshot.get_or_insert(Because::Lost);
        }
    }

    /// The people enrolled.
    pub fn gallery(&self) -> &Arc<Gallery> {
        &self.gallery
    }

    /// Those of them whom a probe can be compared with.
    pub fn comparable(&self) -> Arc<Gallery> {
        match self.gallery.of_other_models(self.model.hash) {
            0 => Arc::clone(&self.gallery),
            _ => Arc::new(self.gallery.of_model(self.model.hash)),
        }
    }

    /// The controller, to look at.
    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// The first effects: the strike is secured, and what was saved is taken up.
    pub fn start(&mut self, now: Timestamp, resume: Resume<Saved>) -> Vec<Effect> {
        let actions = self.controller.start(now, resume);
        self.effects(actions, None, 0)
    }

    /// When [`Door::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.controller.poll_timeout()
    }

    /// Does what the passing of time asks for.
    pub fn handle_timeout(&mut self, now: Timestamp) -> Vec<Effect> {
        self.call(now, Call::Timeout, None, 0)
    }

    /// Takes an input other than a frame.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Effect> {
        self.call(now, Call::Input(input), None, 0)
    }

    /// Takes a processed frame.
    pub fn observe(&mut self, now: Timestamp, wall: WallTime, observation: &Observation) -> Vec<Effect> {
        let input = Input::Sighting { sighting: observation.sighting.clone(), civil: wall.civil };
        self.call(now, Call::Input(input), observation.embedding.as_ref(), wall.unix)
    }

    /// Puts the door into a mode.
    ///
    /// # Errors
    /// When it shall be held open for longer than is allowed.
    pub fn set_mode(&mut self, now: Timestamp, command: ModeCommand) -> Result<Vec<Effect>, DoorError> {
        if let ModeCommand::HoldOpen { time } = command
            && (time < Duration::from_secs(1) || time > self.rules.max_hold_open)
        {
            return Err(DoorError::HoldOpen { max: self.rules.max_hold_open });
        }
        Ok(self.handle(now, Input::SetMode(command)))
    }

    fn call(&mut self, now: Timestamp, call: Call, embedding: Option<&Embedding>, unix: u64) -> Vec<Effect> {
        let Some(recorder) = &mut self.recorder else {
            let actions = self.controller.call(now, call);
            return self.effects(actions, embedding, unix);
        };
        recorder.steps += 1;
        if recorder.steps >= SNAPSHOT_EVERY {
            recorder.snapshot.get_or_insert(Because::Periodic);
        }
        let mut lines = Vec::with_capacity(2);
        if let Some(because) = recorder.snapshot.take() {
            recorder.steps = 0;
            let controller = self.controller.clone();
            lines.push(Line::Snapshot(Box::new(Snapshot { format: FORMAT, at: now, because, controller })));
        }
        let actions = self.controller.call(now, call.clone());
        lines.push(Line::Step(Step { at: now, call, actions: actions.clone() }));
        let mut effects = self.effects(actions, embedding, unix);
        effects.splice(0..0, lines.into_iter().map(|line| Effect::Record(Box::new(line))));
        effects
    }

    /// Starts the enrolment of the next person before the camera; without a name, under a new one.
    ///
    /// # Errors
    /// When the name is unusable, an enrolment is under way or the gallery is being written.
    pub fn enrol(&mut self, now: Timestamp, name: Option<&str>) -> Result<Vec<Effect>, DoorError> {
        if self.controller.is_enrolling() {
            return Err(DoorError::Busy);
        }
        if self.changing.is_some() {
            return Err(DoorError::Saving);
        }
        let name = name.map_or_else(|| self.gallery.unused_name(), str::to_owned);
        Gallery::check_name(&name)?;
        self.enrolling = Some(name);
        Ok(self.handle(now, Input::Enrol))
    }

    /// Enrols a person from embeddings at hand (pictures), without the camera. It counts, and is
    /// reported, once the gallery is written ([`Door::gallery_saved`]).
    ///
    /// # Errors
    /// When name or embeddings are unusable or another change is being written.
    pub fn enrol_from(
        &mut self,
        wall: u64,
        name: &str,
        embeddings: &[Embedding],
    ) -> Result<Vec<Effect>, DoorError> {
        Ok(vec![self.add(name, embeddings, wall, Origin::Pictures)?])
    }

    /// Removes a person, as soon as the gallery is written.
    ///
    /// # Errors
    /// When nobody has that name or another change is being written.
    pub fn remove(&mut self, name: &str) -> Result<Vec<Effect>, DoorError> {
        let mut gallery = Gallery::clone(&self.gallery);
        let subject = gallery.remove(name)?;
        Ok(vec![self.change(gallery, Report::Removed { subject })?])
    }

    /// The gallery of the last [`Effect::SaveGallery`] is on the disk, or why it is not: then nothing
    /// has changed.
    pub fn gallery_saved(&mut self, now: Timestamp, outcome: Result<(), String>) -> Vec<Effect> {
        let Some(Change { gallery, report }) = self.changing.take() else { return Vec::new() };
        let mut effects = Vec::new();
        match (outcome, &report) {
            (Ok(()), _) => {
                self.gallery = gallery;
                effects.push(Effect::Report(report));
                effects.push(Effect::Gallery(self.comparable()));
                effects.extend(self.announce_gallery(now));
            }
            (Err(reason), Report::Enrolled { from: Origin::Camera, .. }) => {
                effects.push(Effect::Report(Report::EnrolRefused { reason }));
            }
            // Who asked for the change is told by the one who could not write it.
            (Err(_), _) => {}
        }
        let taken = self.taken.take();
        effects.extend(taken.map(|taken| self.finish_enrolment(&taken)));
        effects
    }

    fn announce_gallery(&mut self, now: Timestamp) -> Vec<Effect> {
        let version = self.gallery.version();
        let timetable = self.hours.timetable(&self.gallery);
        self.handle(now, Input::GalleryChanged { version, timetable })
    }

    fn effects(&mut self, actions: Vec<Action>, embedding: Option<&Embedding>, unix: u64) -> Vec<Effect> {
        let mut effects = Vec::with_capacity(actions.len());
        let mut last = None;
        for action in actions {
            match action {
                Action::Release => effects.push(Effect::Strike(StrikeState::Released)),
                Action::Secure => effects.push(Effect::Strike(StrikeState::Secured)),
                Action::Indicate(indication) => effects.push(Effect::Indicate(indication)),
                Action::Report(event) => effects.push(Effect::Report(Report::Event(event))),
                Action::Save(saved) => effects.push(Effect::Save(saved)),
                Action::Enrol(EnrolStep::Discard) => self.collected.clear(),
                Action::Enrol(EnrolStep::Collect) => self.collected.extend(embedding.cloned()),
                Action::Enrol(EnrolStep::Store) => last = self.take_enrolment(unix),
            }
        }
        effects.extend(last);
        effects
    }

    fn take_enrolment(&mut self, unix: u64) -> Option<Effect> {
        let frames = std::mem::take(&mut self.collected);
        let name = self.enrolling.take().unwrap_or_else(|| self.gallery.unused_name());
        let taken = Taken { name, frames, unix };
        if self.changing.is_some() {
            self.taken = Some(taken);
            return None;
        }
        Some(self.finish_enrolment(&taken))
    }

    fn finish_enrolment(&mut self, taken: &Taken) -> Effect {
        self.add(&taken.name, &taken.frames, taken.unix, Origin::Camera)
            .unwrap_or_else(|error| Effect::Report(Report::EnrolRefused { reason: error.to_string() }))
    }

    fn add(
        &mut self,
        name: &str,
        embeddings: &[Embedding],
        wall: u64,
        from: Origin,
    ) -> Result<Effect, DoorError> {
        let template = template(embeddings, self.model.metric, self.rules.window.threshold)?;
        let mut gallery = Gallery::clone(&self.gallery);
        let subject = gallery.enrol(name, vec![template], self.model.hash, wall)?;
        self.change(gallery, Report::Enrolled { subject, name: name.to_owned(), from })
    }

    fn change(&mut self, gallery: Gallery, report: Report) -> Result<Effect, DoorError> {
        if self.changing.is_some() {
            return Err(DoorError::Saving);
        }
        let gallery = Arc::new(gallery);
        self.changing = Some(Change { gallery: Arc::clone(&gallery), report });
        Ok(Effect::SaveGallery(gallery))
    }
}

impl Report {
    /// The report as one line of `key=value` pairs for the log. People appear as ids.
    pub fn log_line(&self) -> String {
        match self {
            Report::Enrolled { subject, from, .. } => {
                format!("event=enrolled subject={subject} from={}", from.name())
            }
            Report::Removed { subject } => format!("event=removed subject={subject}"),
            Report::EnrolRefused { reason } => format!("event=enrol_refused reason={reason:?}"),
            Report::Event(event) => format!("event={}{}", event.name(), details(event)),
        }
    }

    /// What a person waiting for the end of an enrolment should read.
    pub fn enrol_progress(&self) -> Option<String> {
        match self {
            Report::Event(Event::EnrolStarted) => Some("look at the camera".to_owned()),
            Report::Event(Event::EnrolCountdown { seconds_left }) => {
                Some(format!("Image will be taken in {seconds_left}.."))
            }
            Report::Event(Event::EnrolWaiting(wait)) => Some(wait.advice().to_owned()),
            Report::Event(Event::EnrolTaken) => Some("taken".to_owned()),
            _ => None,
        }
    }

    /// For the reports that end an enrolment before the camera: the name, or why it failed.
    pub fn ends_enrolment(&self) -> Option<Result<&str, String>> {
        match self {
            Report::Enrolled { name, from: Origin::Camera, .. } => Some(Ok(name)),
            Report::EnrolRefused { reason } => Some(Err(reason.clone())),
            Report::Event(Event::EnrolFailed(failure)) => Some(Err(EnrolFailure::to_string(failure))),
            Report::Enrolled { .. } | Report::Removed { .. } | Report::Event(_) => None,
        }
    }
}

/// What a line about an event says besides its name.
pub(crate) fn details(event: &Event) -> String {
    let seconds = |time: &Duration| time.as_secs_f64();
    match event {
        Event::NoFace
        | Event::Door { .. }
        | Event::LockoutOver
        | Event::LockoutCleared
        | Event::EnrolStarted
        | Event::EnrolTaken => String::new(),
        Event::Identifying { track } => format!(" track={}", track.0),
        Event::Denied(reason) => format!(" reason={}{}", reason.code().name(), numbers(reason)),
        Event::Released(Cause::Identified { subject, mean_similarity }) => {
            format!(" subject={subject} mean_similarity={mean_similarity:.3}")
        }
        Event::Released(Cause::Rex) => " cause=rex".into(),
        Event::Released(Cause::HoldOpen { time }) => format!(" cause=hold_open time_s={}", seconds(time)),
        Event::Secured(why) => format!(" why={}", why.name()),
        Event::Alarm(alarm) | Event::AlarmOver(alarm) => format!(" alarm={}", alarm.name()),
        Event::LockedOut { denials, time } => format!(" denials={denials} time_s={}", seconds(time)),
        Event::ModeChanged(mode) => format!(" mode={}", mode.name()),
        Event::Fault(fault) => format!(" fault={}", fault.name()),
        Event::StaleFrame { age } => format!(" age_ms={}", age.as_millis()),
        Event::EnrolCountdown { seconds_left } => format!(" seconds_left={seconds_left}"),
        Event::EnrolWaiting(wait) => format!(" advice={:?}", wait.advice()),
        Event::EnrolFailed(failure) => format!(" reason={:?}", failure.to_string()),
    }
}

fn numbers(reason: &DenyReason) -> String {
    match reason {
        DenyReason::Unknown { best_mean: Some(mean) } => format!(" best_mean={mean:.3}"),
        DenyReason::PoorPicture { unusable, best_mean } => {
            let mean = best_mean.map_or_else(String::new, |mean| format!(" best_mean={mean:.3}"));
            format!(" advice={:?}{mean}", unusable.advice())
        }
        DenyReason::SeveralFaces { count } => format!(" count={count}"),
        DenyReason::AlreadyReleased { subject }
        | DenyReason::OutOfHours { subject }
        | DenyReason::ClockNotSet { subject } => format!(" subject={subject}"),
        DenyReason::LockedOut { left } => format!(" left_s={:.0}", left.as_secs_f64().ceil()),
        DenyReason::Unknown { best_mean: None } | DenyReason::SecureMode | DenyReason::NotRecorded => {
            String::new()
        }
    }
}
