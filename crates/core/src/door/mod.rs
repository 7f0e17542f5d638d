//! One door: controller, gallery and enrolment put together, without threads and devices.
//!
//! The daemon runs it against real time and lines, the laboratory in simulated time against recordings: both
//! get the same decisions.
//!
//! | Module | Holds |
//! |---|---|
//! | `enrolment` | changes of the people enrolled, and their rules |
//! | `hours` | who may come in when, by name |
//! | `effect`, `report`, `error` | what the door wants done, what it tells, why it refuses |

mod effect;
mod enrolment;
mod error;
mod hours;
mod report;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub use self::effect::Effect;
use self::enrolment::can_add_look;
pub use self::enrolment::{EnrolmentRequest, Existing, ModelFacts, PeopleChange, Terms, enrol, import};
pub use self::error::DoorError;
pub use self::hours::{NamedHours, WallTime};
pub use self::report::{Origin, Report, details};
use crate::access::record::{Because, Call, FORMAT, Line, Snapshot, Step};
use crate::access::{
    AccessRules, Action, Controller, EnrolStep, Input, ModeCommand, PersistentState, Restored, Schedule,
    SubjectId, Timetable,
};
use crate::matching::{Embedding, Gallery, Subject};
use crate::observation::{Observation, Purpose};
use crate::strike::StrikeState;
use crate::time::Timestamp;

/// A recording restarts with a snapshot after this many steps.
const SNAPSHOT_EVERY: u32 = 10_000;

/// A change of the gallery that is being written.
#[derive(Debug)]
struct Change {
    gallery: Arc<Gallery>,
    /// What to tell once it is.
    reports: Vec<Report>,
}

/// What an enrolment before the camera collected.
#[derive(Debug)]
struct Taken {
    wish: Wish,
    frames: Vec<Embedding>,
    unix: u64,
}

/// Under which name somebody is being enrolled (`None`: a new one, made at the end), and on which terms.
#[derive(Clone, Debug, Default)]
struct Wish {
    name: Option<String>,
    terms: Terms,
}

/// Controller, gallery and enrolment of one door.
#[derive(Debug)]
pub struct Door {
    controller: Controller,
    rules: AccessRules,
    hours: NamedHours,
    gallery: Arc<Gallery>,
    model: ModelFacts,
    enrolling: Wish,
    collected: Vec<Embedding>,
    changing: Option<Change>,
    /// Those whose time is over: they have no hours.
    over: BTreeSet<SubjectId>,
    /// A later change has a version after this one, and no id below that: an older gallery, put back, must
    /// not give them out once more.
    after: Option<(u64, u32)>,
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
            enrolling: Wish::default(),
            collected: Vec::new(),
            changing: None,
            over: BTreeSet::new(),
            after: None,
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
    pub fn start(&mut self, now: Timestamp, resume: Restored<PersistentState>) -> Vec<Effect> {
        let actions = self.controller.start(now, resume);
        self.effects(actions, None, 0)
    }

    /// Later changes of the gallery have versions after this one, and give out no id below `next_id`.
    pub fn go_on_after(&mut self, version: u64, next_id: u32) {
        self.after = Some((version, next_id));
    }

    /// What is reported once the change that is being written is on the disk.
    pub fn changing(&self) -> impl Iterator<Item = &Report> {
        self.changing.iter().flat_map(|change| &change.reports)
    }

    /// Accepts the door's files as they are, although they do not match; it counts, and the door is
    /// in normal mode, once the gallery is written.
    ///
    /// # Errors
    /// When there is nothing to accept, or a change is being written.
    pub fn accept_rollback(&mut self) -> Result<Vec<Effect>, DoorError> {
        if !self.controller.rolled_back().any() {
            return Err(DoorError::NotRolledBack);
        }
        let mut gallery = self.draft();
        gallery.go_on_after(0, 0);
        Ok(vec![self.change(gallery, vec![Report::RollbackAccepted])?])
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
    /// When it shall be held open for longer than is allowed, or its files were put back and nobody has
    /// accepted that.
    pub fn set_mode(&mut self, now: Timestamp, command: ModeCommand) -> Result<Vec<Effect>, DoorError> {
        if let ModeCommand::HoldOpen { time } | ModeCommand::Unlock { time } = command
            && (time < Duration::from_secs(1) || time > self.rules.max_hold_open)
        {
            return Err(DoorError::HoldOpen { max: self.rules.max_hold_open });
        }
        let what = self.controller.rolled_back();
        if command == ModeCommand::Normal && what.any() {
            return Err(DoorError::RolledBack { what });
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
    /// When the name is unusable or somebody's of whom nothing is said, an enrolment is in progress or the gallery
    /// is being written.
    pub fn enrol(
        &mut self,
        now: Timestamp,
        name: Option<&str>,
        terms: Terms,
    ) -> Result<Vec<Effect>, DoorError> {
        if self.controller.is_enrolling() {
            return Err(DoorError::Busy);
        }
        if self.changing.is_some() {
            return Err(DoorError::Saving);
        }
        if let Some(name) = name {
            // Nobody stands before the camera for what will be refused.
            let held = terms.existing.concerns(&self.gallery, name)?;
            if let (Some(held), Existing::AddLook(_)) = (held, terms.existing) {
                can_add_look(held, &self.model)?;
            }
        }
        self.enrolling = Wish { name: name.map(str::to_owned), terms };
        Ok(self.handle(now, Input::Enrol))
    }

    /// What the next frame is to be looked at for.
    pub fn purpose(&self) -> Purpose {
        match (self.controller.is_enrolling(), self.controller.is_challenging()) {
            (true, _) => Purpose::Enrol,
            (false, true) => Purpose::Challenge,
            (false, false) => Purpose::Identify,
        }
    }

    /// The enrolment button was pressed: the next person gets a new name, where that is authorised.
    /// Nothing happens while the gallery is being written.
    pub fn button(&mut self, now: Timestamp) -> Vec<Effect> {
        if self.changing.is_some() {
            return Vec::new();
        }
        if !self.controller.is_enrolling() {
            self.enrolling = Wish::default();
        }
        self.handle(now, Input::EnrolButton)
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
        terms: Terms,
    ) -> Result<Vec<Effect>, DoorError> {
        let (min_self_similarity, from) = (self.model.distinct_person_threshold, Origin::Pictures);
        let newcomer =
            EnrolmentRequest { name, embeddings, min_self_similarity, enrolled: wall, terms, from };
        Ok(vec![self.add(newcomer)?])
    }

    /// Changes the people enrolled; it counts, and is reported, once the gallery is written.
    ///
    /// # Errors
    /// When it makes no sense or another change is being written.
    pub fn change_people(&mut self, change: &PeopleChange) -> Result<Vec<Effect>, DoorError> {
        let mut gallery = self.draft();
        let report = change.apply(&mut gallery)?;
        Ok(vec![self.change(gallery, vec![report])?])
    }

    /// Takes in the people of a copy from another board, `anyway` although somebody enrolled may be alike: all
    /// of them or nobody. It counts, and is reported, once the gallery is written.
    ///
    /// # Errors
    /// When one of them cannot be taken in, or another change is being written.
    pub fn import(&mut self, people: &[Subject], allow_duplicate: bool) -> Result<Vec<Effect>, DoorError> {
        let mut gallery = self.draft();
        let reports = import(&mut gallery, people, allow_duplicate, &self.model, &self.rules)?;
        Ok(vec![self.change(gallery, reports)?])
    }

    /// From now on the time of these people is over, and of no others: they are known, and not let in.
    pub fn disable(&mut self, now: Timestamp, over: BTreeSet<SubjectId>) -> Vec<Effect> {
        if over == self.over {
            return Vec::new();
        }
        let before = std::mem::replace(&mut self.over, over);
        let new = self.over.difference(&before).map(|subject| Report::Disabled { subject: *subject });
        let back = before.difference(&self.over).filter(|subject| self.gallery.subject(**subject).is_some());
        let back = back.map(|subject| Report::Enabled { subject: *subject });
        let mut effects: Vec<Effect> = new.chain(back).map(Effect::Report).collect();
        effects.extend(self.announce_gallery(now));
        effects
    }

    /// Removes somebody whose time is over, if no other change is being written.
    pub fn expire(&mut self, subject: SubjectId) -> Vec<Effect> {
        let Some(name) = self.gallery.subject(subject).map(|s| s.name.clone()) else { return Vec::new() };
        self.change_people(&PeopleChange::Expire { name }).unwrap_or_default()
    }

    /// The gallery of the last [`Effect::SaveGallery`] is on the disk, or why it is not: then nothing
    /// has changed.
    pub fn gallery_saved(&mut self, now: Timestamp, outcome: Result<(), String>) -> Vec<Effect> {
        let Some(Change { gallery, reports }) = self.changing.take() else { return Vec::new() };
        let mut effects = Vec::new();
        match outcome {
            Ok(()) => {
                self.gallery = gallery;
                let accepted = reports.contains(&Report::RollbackAccepted);
                effects.extend(reports.into_iter().map(Effect::Report));
                effects.push(Effect::Gallery(self.comparable()));
                effects.extend(self.announce_gallery(now));
                if accepted {
                    effects.extend(self.handle(now, Input::AcceptRollback));
                }
            }
            Err(reason) if reports.iter().any(|r| r.ends_enrolment().is_some()) => {
                let logged = reason.clone();
                effects.push(Effect::Report(Report::EnrolRefused { reason, logged, like: None }));
            }
            // The thread that could not write the change reports it to its requester.
            Err(_) => {}
        }
        let taken = self.taken.take();
        effects.extend(taken.map(|taken| self.finish_enrolment(&taken)));
        effects
    }

    fn announce_gallery(&mut self, now: Timestamp) -> Vec<Effect> {
        let version = self.gallery.version();
        let mut timetable = self.hours.timetable(&self.gallery);
        for subject in &self.over {
            timetable.people.insert(*subject, Schedule::never());
            timetable.administrators.remove(subject);
        }
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
        let wish = std::mem::take(&mut self.enrolling);
        let taken = Taken { wish, frames, unix };
        if self.changing.is_some() {
            self.taken = Some(taken);
            return None;
        }
        Some(self.finish_enrolment(&taken))
    }

    fn finish_enrolment(&mut self, taken: &Taken) -> Effect {
        let name = taken.wish.name.clone().unwrap_or_else(|| self.gallery.unused_name());
        let newcomer = EnrolmentRequest {
            name: &name,
            embeddings: &taken.frames,
            // One view of a camera makes people more alike: as much more as a lead over others must be.
            min_self_similarity: self.rules.window.threshold + self.rules.window.margin,
            enrolled: taken.unix,
            terms: taken.wish.terms,
            from: Origin::Camera,
        };
        self.add(newcomer).unwrap_or_else(|error| {
            let like = match error {
                DoorError::AlreadyEnrolled { subject, .. } => Some(subject),
                _ => None,
            };
            let (reason, logged) = (error.to_string(), error.logged());
            Effect::Report(Report::EnrolRefused { reason, logged, like })
        })
    }

    fn add(&mut self, newcomer: EnrolmentRequest<'_>) -> Result<Effect, DoorError> {
        let mut gallery = self.draft();
        let reports = enrol(&mut gallery, newcomer, &self.model, &self.rules)?;
        self.change(gallery, reports)
    }

    /// The gallery, to be changed.
    fn draft(&self) -> Gallery {
        let mut gallery = Gallery::clone(&self.gallery);
        if let Some((version, next_id)) = self.after {
            gallery.go_on_after(version, next_id);
        }
        gallery
    }

    fn change(&mut self, gallery: Gallery, reports: Vec<Report>) -> Result<Effect, DoorError> {
        if self.changing.is_some() {
            return Err(DoorError::Saving);
        }
        let gallery = Arc::new(gallery);
        self.changing = Some(Change { gallery: Arc::clone(&gallery), reports });
        Ok(Effect::SaveGallery(gallery))
    }
}
