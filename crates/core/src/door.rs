//! One door: controller, gallery and enrolment put together, without threads and devices.
//!
//! The daemon runs it against real time and lines, [`facelatch_lab::attempt`] in simulated time against
//! recordings: both get the same decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::access::record::{Because, Call, FORMAT, Line, Snapshot, Step};
use crate::access::{
    AccessRules, Action, Civil, Controller, DenyReason, EnrolFailure, EnrolGrant, EnrolStep, Event,
    Indication, Input, ModeCommand, PersistentState, ReleaseReason, Restored, RolledBack, Schedule, Score,
    SubjectId, Timetable,
};
use crate::matching::{
    Embedding, Gallery, GalleryError, MOST_LOOKS, Metric, ModelHash, Note, Subject, TemplateError,
    TemplateRules, mean, name, templates,
};
use crate::observation::{Observation, Purpose};
use crate::strike::StrikeState;
use crate::time::Timestamp;

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
    Save(PersistentState),
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
    /// Somebody's place was taken by the one who is enrolled next.
    Replaced {
        /// The id that was theirs.
        subject: SubjectId,
        /// The new one.
        by: SubjectId,
        /// How much the new face is like them, where the network is the same.
        similarity: Option<f32>,
        /// True when it is too little for one person: then all that is known of them goes.
        another: bool,
    },
    /// Somebody is known in one more look.
    LookAdded {
        /// Who.
        subject: SubjectId,
        /// The name.
        name: String,
        /// From what.
        from: Origin,
        /// How many looks there are now.
        looks: usize,
        /// How much the new face is like them.
        similarity: f32,
    },
    /// Somebody was removed.
    Removed {
        /// The id that was theirs.
        subject: SubjectId,
    },
    /// Somebody's time was over: removed.
    Expired {
        /// The id that was theirs.
        subject: SubjectId,
    },
    /// Somebody has another name.
    Renamed {
        /// Who.
        subject: SubjectId,
    },
    /// Consent or expiry of somebody was noted.
    Noted {
        /// Who.
        subject: SubjectId,
    },
    /// An operator has accepted the door's files, which do not belong together, as they are.
    RollbackAccepted,
    /// Somebody's time is over: not let in from now on.
    Disabled {
        /// Who.
        subject: SubjectId,
    },
    /// Somebody's time is not over after all.
    Enabled {
        /// Who.
        subject: SubjectId,
    },
    /// The countdown ended, but nothing was stored.
    EnrolRefused {
        /// Why, in words, which may name people.
        reason: String,
        /// Why, as logs may say it: without a name.
        logged: String,
        /// Who that is.
        like: Option<SubjectId>,
    },
}

/// What a template was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The door's camera.
    Camera,
    /// Pictures.
    Pictures,
    /// A copy from another board.
    Copy,
}

impl Origin {
    /// The name in logs and the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Camera => "camera",
            Origin::Pictures => "pictures",
            Origin::Copy => "copy",
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

/// Who may come in when, by name ([`name::tidy`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedHours {
    /// People with hours of their own.
    pub people: BTreeMap<String, Schedule>,
    /// Everybody else.
    pub others: Schedule,
    /// People whose face lets the enrolment button work.
    pub administrators: BTreeSet<String>,
}

impl NamedHours {
    /// The same by id. Names that nobody has are left out.
    pub fn timetable(&self, gallery: &Gallery) -> Timetable {
        let named = |s: &Subject| Some((s.id, self.people.get(&name::tidy(&s.name))?.clone()));
        let people = gallery.subjects().iter().filter_map(named).collect();
        let is_one = |s: &&Subject| self.administrators.contains(&name::tidy(&s.name));
        let administrators = gallery.subjects().iter().filter(is_one).map(|s| s.id).collect();
        Timetable { people, others: self.others.clone(), administrators }
    }

    /// Names with hours or rights of their own that nobody enrolled has: misspelt, or not enrolled yet.
    pub fn strangers<'a>(&'a self, gallery: &'a Gallery) -> impl Iterator<Item = &'a str> {
        let known = |name: &str| gallery.find(name).is_some();
        self.people.keys().chain(&self.administrators).map(String::as_str).filter(move |name| !known(name))
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
    /// The person is in the gallery under another name.
    #[error(
        "already enrolled as \"{name}\": remove or rename that entry, enrol again under that name (--replace, \
         --add-look), or add --anyway if they are two people (twins)"
    )]
    AlreadyEnrolled {
        /// That name.
        name: String,
        /// The id.
        subject: SubjectId,
        /// How alike the templates are.
        similarity: f32,
    },
    /// Somebody has the name, and nothing was said of them.
    #[error(
        "\"{name}\" is enrolled already (id {subject}): say whether to put this face in their place (--replace) or \
         to add a look to theirs (--add-look), or choose another name"
    )]
    Enrolled {
        /// That name.
        name: String,
        /// The id.
        subject: SubjectId,
    },
    /// The face is not like the one enrolled under the name.
    #[error(
        "the face is not like that of \"{name}\" (id {subject}): nothing was changed; if that is right, say so as \
         well (--unlike)"
    )]
    Unlike {
        /// That name.
        name: String,
        /// The id.
        subject: SubjectId,
        /// How alike they are.
        similarity: f32,
    },
    /// Somebody of a copy cannot be taken in, and so nobody is.
    #[error("nobody was imported: \"{name}\": {source}")]
    Import {
        /// Who.
        name: String,
        /// Why.
        source: Box<DoorError>,
    },
    /// One enrolment at a time.
    #[error("an enrolment is under way: wait for its end, or cancel it")]
    Busy,
    /// One change of the gallery at a time.
    #[error("another change of the gallery is being written: try again")]
    Saving,
    /// The door's files were put back from a copy.
    #[error(
        "the door's files do not belong together ({what}: older than the others say, see facelatch status): \
         facelatch mode normal --accept-rollback accepts them as they are"
    )]
    RolledBack {
        /// Which.
        what: RolledBack,
    },
    /// There is nothing to accept.
    #[error("nothing was rolled back: there is nothing to accept")]
    NotRolledBack,
    /// Longer than configured, or not at all.
    #[error("the door can be held open for 1 s to {} s (access.max_hold_open_s)", max.as_secs())]
    HoldOpen {
        /// The longest time.
        max: Duration,
    },
}

impl DoorError {
    /// The reason without a name, for logs.
    pub fn logged(&self) -> String {
        match self {
            DoorError::AlreadyEnrolled { .. } => "already enrolled".to_owned(),
            DoorError::Enrolled { .. } | DoorError::Gallery(GalleryError::NameTaken(_)) => {
                "the name is taken".to_owned()
            }
            DoorError::Gallery(GalleryError::LooksAlike { .. }) => "the name looks like another".to_owned(),
            DoorError::Gallery(GalleryError::Changed(_)) => "the people enrolled have changed".to_owned(),
            DoorError::Gallery(GalleryError::TooManyLooks(_)) => "no more looks are kept".to_owned(),
            DoorError::Gallery(_) => "the name or template is unusable".to_owned(),
            DoorError::Unlike { subject, similarity, .. } => {
                format!("unlike subject {subject}, similarity {similarity:.3}")
            }
            DoorError::Import { source, .. } => source.logged(),
            DoorError::Template(_)
            | DoorError::Busy
            | DoorError::Saving
            | DoorError::RolledBack { .. }
            | DoorError::NotRolledBack
            | DoorError::HoldOpen { .. } => self.to_string(),
        }
    }
}

/// What an enrolment does about somebody who is enrolled under the name already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// Nothing: it is refused. So is whoever says nothing of it.
    #[default]
    Refuse,
    /// It takes their place, if this is still who has the name.
    Replace(SubjectId),
    /// It adds a look to theirs (glasses, a beard, winter clothes), if this is still who has the name.
    AddLook(SubjectId),
}

impl Existing {
    /// True where nothing was said.
    pub fn is_refused(&self) -> bool {
        *self == Existing::Refuse
    }

    /// Who of the gallery the enrolment is about, if anybody, once it is clear that it may be.
    fn concerns<'a>(self, gallery: &'a Gallery, name: &str) -> Result<Option<&'a Subject>, DoorError> {
        match (self, gallery.find(name)) {
            (Existing::Refuse, None) => {
                gallery.check_free(name)?;
                Ok(None)
            }
            (Existing::Refuse, Some(held)) => {
                Err(DoorError::Enrolled { name: held.name.clone(), subject: held.id })
            }
            (Existing::Replace(id) | Existing::AddLook(id), held) => {
                match held.filter(|held| held.id == id) {
                    Some(held) => Ok(Some(held)),
                    None => Err(GalleryError::Changed(name.to_owned()).into()),
                }
            }
        }
    }
}

/// What an enrolment is allowed beyond taking in a stranger under a new name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The person may look like somebody enrolled under another name (twins).
    pub anyway: bool,
    /// What to do about the one who has the name.
    pub existing: Existing,
    /// The face may be unlike theirs.
    pub unlike: bool,
}

/// What the embedder's model card says about its vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelFacts {
    /// Which model makes the templates.
    pub hash: ModelHash,
    /// How its vectors are compared.
    pub metric: Metric,
    /// Two pictures from different occasions that are less similar than this are hardly of one person.
    pub apart: f32,
}

/// Somebody to be enrolled.
#[derive(Clone, Copy, Debug)]
pub struct Newcomer<'a> {
    /// The name.
    pub name: &'a str,
    /// What was made of the frames or pictures.
    pub embeddings: &'a [Embedding],
    /// The means of any two parts of them are at least this similar, or they show two people.
    pub one_person: f32,
    /// Seconds since 1970.
    pub enrolled: u64,
    /// What is allowed beyond that.
    pub terms: Terms,
    /// From what.
    pub from: Origin,
}

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

    /// Accepts the door's files as they are, although they do not belong together; it counts, and the door is
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
    /// When the name is unusable or somebody's of whom nothing is said, an enrolment is under way or the gallery
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
        let (one_person, from) = (self.model.apart, Origin::Pictures);
        let newcomer = Newcomer { name, embeddings, one_person, enrolled: wall, terms, from };
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
    pub fn import(&mut self, people: &[Subject], anyway: bool) -> Result<Vec<Effect>, DoorError> {
        let mut gallery = self.draft();
        let reports = import(&mut gallery, people, anyway, &self.model, &self.rules)?;
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
            // Who asked for the change is told by the one who could not write it.
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
        let newcomer = Newcomer {
            name: &name,
            embeddings: &taken.frames,
            // One view of a camera makes people more alike: as much more as a lead over others must be.
            one_person: self.rules.window.threshold + self.rules.window.margin,
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

    fn add(&mut self, newcomer: Newcomer<'_>) -> Result<Effect, DoorError> {
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

/// A change of the people enrolled that needs no frames.
#[derive(Clone, Debug, PartialEq)]
pub enum PeopleChange {
    /// Removes a person with everything known of them.
    Remove {
        /// Who.
        name: String,
    },
    /// As [`PeopleChange::Remove`], because the person's time is over.
    Expire {
        /// Who.
        name: String,
    },
    /// Gives a person another name.
    Rename {
        /// The name.
        name: String,
        /// The new one.
        to: String,
    },
    /// Notes consent or expiry.
    Note {
        /// Whose.
        name: String,
        /// What.
        note: Note,
    },
}

impl PeopleChange {
    /// Makes the change and says what to report.
    ///
    /// # Errors
    /// When it makes no sense; the gallery is then unchanged.
    pub fn apply(&self, gallery: &mut Gallery) -> Result<Report, GalleryError> {
        Ok(match self {
            PeopleChange::Remove { name } => Report::Removed { subject: gallery.remove(name)? },
            PeopleChange::Expire { name } => Report::Expired { subject: gallery.remove(name)? },
            PeopleChange::Rename { name, to } => Report::Renamed { subject: gallery.rename(name, to)? },
            PeopleChange::Note { name, note } => Report::Noted { subject: gallery.note(name, note)? },
        })
    }
}

/// Enrols a person: self-check, duplicate check, then the gallery; or takes the place of somebody enrolled, or adds
/// a look to theirs, where the terms say so and the face is like theirs. Says what to report.
///
/// # Errors
/// When the frames do not show one person, the person is enrolled under another name, somebody has the name of
/// whom nothing was said, or the face is unlike theirs; the gallery is then unchanged.
pub fn enrol(
    gallery: &mut Gallery,
    newcomer: Newcomer<'_>,
    model: &ModelFacts,
    rules: &AccessRules,
) -> Result<Vec<Report>, DoorError> {
    let Newcomer { name, embeddings, one_person, enrolled, terms, from } = newcomer;
    let most = rules.enrolment.templates.max(1) as usize;
    let held = terms.existing.concerns(gallery, name)?.cloned();
    let made = templates(embeddings, model.metric, TemplateRules { one_person, most })?;
    if !terms.anyway {
        check_unknown(gallery, held.as_ref().map(|held| held.id), &made, model, rules)?;
    }
    let Some(held) = held else {
        let subject = gallery.enrol(name, made, model.hash, enrolled)?;
        return Ok(vec![Report::Enrolled { subject, name: gallery.name(subject), from }]);
    };
    let whole = mean(&made.iter().collect::<Vec<_>>()).ok_or(TemplateError::NoFrames)?;
    let similarity = if held.model == model.hash { held.score(&whole, model.metric) } else { None };
    let similarity = similarity.map(|score| score.similarity);
    let (name, subject) = (held.name.clone(), held.id);
    // Pictures from different occasions that are less alike than this are hardly of one person.
    let another = similarity.is_some_and(|similarity| similarity < model.apart);
    if let (true, false, Some(similarity)) = (another, terms.unlike, similarity) {
        return Err(DoorError::Unlike { name, subject, similarity });
    }
    if let Existing::AddLook(_) = terms.existing {
        can_add_look(&held, model)?;
        let looks = gallery.add_look(subject, whole, model.hash, enrolled)?;
        let similarity = similarity.unwrap_or(f32::NAN);
        return Ok(vec![Report::LookAdded { subject, name, from, looks, similarity }]);
    }
    let by = gallery.replace(subject, made, model.hash, enrolled, !another)?;
    Ok(vec![
        Report::Replaced { subject, by, similarity, another },
        Report::Enrolled { subject: by, name, from },
    ])
}

/// Refuses a look that could not be kept.
fn can_add_look(held: &Subject, model: &ModelFacts) -> Result<(), DoorError> {
    let (name, theirs, ours) = (held.name.clone(), held.model, model.hash);
    if theirs != ours {
        return Err(GalleryError::OtherModel { name, theirs, ours }.into());
    }
    if held.looks() >= MOST_LOOKS { Err(GalleryError::TooManyLooks(name).into()) } else { Ok(()) }
}

/// Takes in the people of a copy from another board, all of them or nobody: duplicate check, then the gallery,
/// under new ids. Says what to report.
///
/// # Errors
/// When the templates of one of them are of another model, one is enrolled here already, or something of one is
/// unusable; the gallery is then to be thrown away.
pub fn import(
    gallery: &mut Gallery,
    people: &[Subject],
    anyway: bool,
    model: &ModelFacts,
    rules: &AccessRules,
) -> Result<Vec<Report>, DoorError> {
    let take = |gallery: &mut Gallery, person: &Subject| -> Result<Report, DoorError> {
        let Subject { name, templates, model: theirs, .. } = person;
        if *theirs != model.hash {
            let (name, theirs, ours) = (name.clone(), *theirs, model.hash);
            return Err(GalleryError::OtherModel { name, theirs, ours }.into());
        }
        if !anyway {
            check_unknown(gallery, None, templates, model, rules)?;
        }
        let subject = gallery.import(person)?;
        Ok(Report::Enrolled { subject, name: gallery.name(subject), from: Origin::Copy })
    };
    let mut reports = Vec::with_capacity(people.len());
    for person in people {
        let failed = |source| DoorError::Import { name: person.name.clone(), source: Box::new(source) };
        reports.push(take(gallery, person).map_err(failed)?);
    }
    Ok(reports)
}

/// Nobody enrolled, `but` one person, may be alike enough to come in with these templates.
fn check_unknown(
    gallery: &Gallery,
    but: Option<SubjectId>,
    templates: &[Embedding],
    model: &ModelFacts,
    rules: &AccessRules,
) -> Result<(), DoorError> {
    let known = gallery.of_model(model.hash);
    match known.most_alike(templates, model.metric, but) {
        Some(Score { subject, similarity })
            if similarity >= rules.window.required(known.subjects().len()) =>
        {
            Err(DoorError::AlreadyEnrolled { name: gallery.name(subject), subject, similarity })
        }
        _ => Ok(()),
    }
}

impl Report {
    /// True when it tells of a change of the gallery.
    pub fn is_change(&self) -> bool {
        match self {
            Report::Enrolled { .. }
            | Report::Replaced { .. }
            | Report::LookAdded { .. }
            | Report::Removed { .. }
            | Report::Expired { .. }
            | Report::Renamed { .. }
            | Report::Noted { .. }
            | Report::RollbackAccepted => true,
            Report::Event(_)
            | Report::Disabled { .. }
            | Report::Enabled { .. }
            | Report::EnrolRefused { .. } => false,
        }
    }

    /// The report as one line of `key=value` pairs for the log. People appear as ids.
    pub fn log_line(&self) -> String {
        match self {
            Report::Enrolled { subject, from, .. } => {
                format!("event=enrolled subject={subject} from={}", from.name())
            }
            Report::Replaced { subject, by, another, .. } => {
                format!("event=removed subject={subject} why=replaced by={by} another={another}")
            }
            Report::LookAdded { subject, from, looks, .. } => {
                format!("event=look_added subject={subject} from={} looks={looks}", from.name())
            }
            Report::Removed { subject } => format!("event=removed subject={subject}"),
            Report::Expired { subject } => format!("event=expired subject={subject}"),
            Report::Renamed { subject } => format!("event=renamed subject={subject}"),
            Report::Noted { subject } => format!("event=noted subject={subject}"),
            Report::RollbackAccepted => "event=rollback_accepted".to_owned(),
            Report::Disabled { subject } => format!("event=disabled subject={subject} why=expired"),
            Report::Enabled { subject } => format!("event=enabled subject={subject} why=not_expired"),
            Report::EnrolRefused { like: Some(subject), .. } => {
                format!("event=enrol_refused reason=\"already enrolled\" subject={subject}")
            }
            Report::EnrolRefused { logged, like: None, .. } => {
                format!("event=enrol_refused reason={logged:?}")
            }
            Report::Event(event) => format!("event={}{}", event.name(), details(event)),
        }
    }

    /// True when somebody is gone: what was recorded of them goes, too.
    pub fn erases(&self) -> bool {
        matches!(
            self,
            Report::Removed { .. } | Report::Expired { .. } | Report::Replaced { another: true, .. }
        )
    }

    /// What a person waiting for the end of an enrolment should read.
    pub fn enrol_progress(&self) -> Option<String> {
        match self {
            Report::Event(Event::EnrolStarted) => Some("look at the camera".to_owned()),
            Report::Event(Event::EnrolCountdown { seconds_left }) => {
                Some(format!("Image will be taken in {seconds_left}.."))
            }
            Report::Event(Event::EnrolWaiting(wait)) => Some(wait.advice().to_owned()),
            Report::Event(Event::EnrolStillWaiting { wait, seconds_left }) => {
                Some(format!("{} ({seconds_left} s left)", wait.advice()))
            }
            Report::Event(Event::EnrolTaken) => Some("taken".to_owned()),
            _ => None,
        }
    }

    /// For the reports that end an enrolment before the camera: the name, or why it failed.
    pub fn ends_enrolment(&self) -> Option<Result<&str, String>> {
        match self {
            Report::Enrolled { name, from: Origin::Camera, .. }
            | Report::LookAdded { name, from: Origin::Camera, .. } => Some(Ok(name)),
            Report::EnrolRefused { reason, .. } => Some(Err(reason.clone())),
            Report::Event(Event::EnrolFailed { why: EnrolFailure::Cancelled, .. }) => {
                Some(Err(EnrolFailure::Cancelled.to_string()))
            }
            Report::Event(Event::EnrolFailed { why, frames }) => Some(Err(format!("{why} ({frames})"))),
            Report::Enrolled { .. }
            | Report::LookAdded { .. }
            | Report::Replaced { .. }
            | Report::Removed { .. }
            | Report::Expired { .. }
            | Report::Renamed { .. }
            | Report::Noted { .. }
            | Report::RollbackAccepted
            | Report::Disabled { .. }
            | Report::Enabled { .. }
            | Report::Event(_) => None,
        }
    }
}

/// What a line about an event says besides its name.
pub fn details(event: &Event) -> String {
    let seconds = |time: &Duration| time.as_secs_f64();
    match event {
        Event::NoFace
        | Event::Door { .. }
        | Event::LockoutOver
        | Event::LockoutCleared
        | Event::EnrolStarted
        | Event::EnrolTaken
        | Event::ButtonRefused => String::new(),
        Event::EnrolAllowed { by: EnrolGrant::Operator, time } => {
            format!(" by=operator time_s={}", seconds(time))
        }
        Event::EnrolAllowed { by: EnrolGrant::Administrator { subject }, time } => {
            format!(" by=administrator subject={subject} time_s={}", seconds(time))
        }
        Event::Identifying { track } => format!(" track={}", track.0),
        Event::Denied(reason) => format!(" reason={}{}", reason.code().name(), numbers(reason)),
        Event::Released(ReleaseReason::Identified { subject, mean_similarity }) => {
            format!(" subject={subject} mean_similarity={mean_similarity:.3}")
        }
        Event::Released(ReleaseReason::Rex) => " cause=rex".into(),
        Event::Released(ReleaseReason::HoldOpen { time }) => {
            format!(" cause=hold_open time_s={}", seconds(time))
        }
        Event::Secured(why) => format!(" why={}", why.name()),
        Event::Alarm(alarm) | Event::AlarmOver(alarm) => format!(" alarm={}", alarm.name()),
        Event::LockedOut { denials, time } => format!(" denials={denials} time_s={}", seconds(time)),
        Event::ModeChanged(mode) => format!(" mode={}", mode.name()),
        Event::Fault(fault) => format!(" fault={}", fault.name()),
        Event::StaleFrame { age } => format!(" age_ms={}", age.as_millis()),
        Event::EnrolCountdown { seconds_left } => format!(" seconds_left={seconds_left}"),
        Event::EnrolWaiting(wait) => format!(" advice={:?}", wait.advice()),
        Event::EnrolStillWaiting { wait, seconds_left } => {
            format!(" advice={:?} seconds_left={seconds_left}", wait.advice())
        }
        Event::EnrolFailed { why, frames } => {
            let mut details = format!(" reason={:?} frames={}", why.to_string(), frames.seen);
            for (name, _, count) in
                frames.named().iter().filter(|(name, _, count)| *count > 0 || *name == "fit")
            {
                details += &format!(" {name}={count}");
            }
            details
        }
    }
}

fn numbers(reason: &DenyReason) -> String {
    match reason {
        DenyReason::Unknown { best_mean: Some(mean) } => format!(" best_mean={mean:.3}"),
        DenyReason::Ambiguous { subject, other, best_mean } => {
            format!(" subject={subject} other={other} best_mean={best_mean:.3}")
        }
        DenyReason::PoorPicture { unusable, best_mean } => {
            let mean = best_mean.map_or_else(String::new, |mean| format!(" best_mean={mean:.3}"));
            format!(" advice={:?}{mean}", unusable.advice())
        }
        DenyReason::SeveralFaces { count } => format!(" count={count}"),
        DenyReason::AlreadyReleased { subject }
        | DenyReason::OutOfHours { subject }
        | DenyReason::ClockNotSet { subject } => format!(" subject={subject}"),
        DenyReason::Spoof { subject, evidence }
        | DenyReason::NotSureAlive { subject, evidence }
        | DenyReason::SecondFactor { subject, evidence }
        | DenyReason::TurnHead { subject, evidence }
        | DenyReason::Nod { subject, evidence } => {
            format!(" subject={subject} evidence={evidence:.2}")
        }
        DenyReason::ChallengeFailed { subject, end } => format!(" subject={subject} end={}", end.name()),
        DenyReason::LockedOut { left } => format!(" left_s={:.0}", left.as_secs_f64().ceil()),
        DenyReason::Unknown { best_mean: None } | DenyReason::SecureMode | DenyReason::NotRecorded => {
            String::new()
        }
    }
}
