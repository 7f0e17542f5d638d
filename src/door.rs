//! One door: controller, gallery and enrolment put together, without threads and devices.
//!
//! The daemon runs it against real time and lines, [`crate::attempt`] in simulated time against
//! recordings: both get the same decisions.

use std::sync::Arc;

use crate::access::{
    AccessRules, Action, Cause, Controller, DenyReason, EnrolFailure, EnrolStep, Event, Indication, Input,
    SubjectId,
};
use crate::matching::{Embedding, Gallery, GalleryError, Metric, ModelHash, TemplateError, template};
use crate::store::{GalleryStore, StoreError};
use crate::strike::StrikeState;
use crate::time::Timestamp;
use crate::vision::Observation;

/// What the surroundings of a door carry out, in order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Drive the strike.
    Strike(StrikeState),
    /// Show this on lights and buzzer.
    Indicate(Indication),
    /// Log and publish this.
    Report(Report),
    /// Compare with this gallery from now on.
    Gallery(Arc<Gallery>),
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
    },
    /// The countdown ended, but nothing was stored.
    EnrolRefused {
        /// Why, in words.
        reason: String,
    },
}

/// Why a person could not be enrolled or removed.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The name or template is unusable, or nobody has that name.
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    /// The gallery could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The frames make no template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// One enrolment at a time.
    #[error("an enrolment is under way: wait for its end, or cancel it")]
    Busy,
}

/// What the embedder's model card says about its vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelFacts {
    /// Which model makes the templates.
    pub hash: ModelHash,
    /// How its vectors are compared.
    pub metric: Metric,
}

/// Controller, gallery and enrolment of one door.
#[derive(Debug)]
pub struct Door {
    controller: Controller,
    gallery: Arc<Gallery>,
    store: Option<GalleryStore>,
    model: ModelFacts,
    threshold: f32,
    enrolling: Option<String>,
    collected: Vec<Embedding>,
}

impl Door {
    /// A door for the people of `gallery`; changes are written to `store` where there is one.
    ///
    /// # Errors
    /// When templates of another model are in the gallery.
    pub fn new(
        rules: AccessRules,
        model: ModelFacts,
        gallery: Arc<Gallery>,
        store: Option<GalleryStore>,
    ) -> Result<Self, GalleryError> {
        gallery.check_model(model.hash)?;
        Ok(Door {
            controller: Controller::new(rules, gallery.version()),
            gallery,
            store,
            model,
            threshold: rules.window.threshold,
            enrolling: None,
            collected: Vec::new(),
        })
    }

    /// The people enrolled.
    pub fn gallery(&self) -> &Arc<Gallery> {
        &self.gallery
    }

    /// The controller, to look at.
    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// The first effects: the strike is secured.
    pub fn start(&mut self) -> Vec<Effect> {
        let actions = self.controller.start();
        self.effects(actions, None, 0)
    }

    /// When [`Door::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.controller.poll_timeout()
    }

    /// Does what the passing of time asks for.
    pub fn handle_timeout(&mut self, now: Timestamp) -> Vec<Effect> {
        let actions = self.controller.handle_timeout(now);
        self.effects(actions, None, 0)
    }

    /// Takes an input other than a frame.
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Effect> {
        let actions = self.controller.handle(now, input);
        self.effects(actions, None, 0)
    }

    /// Takes a processed frame. `wall` is the wall-clock time in seconds since 1970, noted with a
    /// person whom this frame completes.
    pub fn observe(&mut self, now: Timestamp, wall: u64, observation: &Observation) -> Vec<Effect> {
        let actions = self.controller.handle(now, Input::Sighting(observation.sighting.clone()));
        let mut effects = self.effects(actions, observation.embedding.as_ref(), wall);
        if matches!(effects.last(), Some(Effect::Gallery(_))) {
            let version = self.gallery.version();
            effects.extend(self.handle(now, Input::GalleryChanged { version }));
        }
        effects
    }

    /// Starts the enrolment of the next person before the camera; without a name, under a new one.
    ///
    /// # Errors
    /// When the name is unusable or an enrolment is under way.
    pub fn enrol(&mut self, now: Timestamp, name: Option<&str>) -> Result<Vec<Effect>, DoorError> {
        if self.controller.is_enrolling() {
            return Err(DoorError::Busy);
        }
        let name = name.map_or_else(|| self.gallery.unused_name(), str::to_owned);
        Gallery::check_name(&name)?;
        self.enrolling = Some(name);
        Ok(self.handle(now, Input::Enrol))
    }

    /// Enrols a person from embeddings at hand (pictures), without the camera.
    ///
    /// # Errors
    /// When name or embeddings are unusable or the gallery cannot be written; it is then unchanged.
    pub fn enrol_from(
        &mut self,
        now: Timestamp,
        wall: u64,
        name: &str,
        embeddings: &[Embedding],
    ) -> Result<(SubjectId, Vec<Effect>), DoorError> {
        let subject = self.store_template(name, embeddings, wall)?;
        Ok((subject, self.gallery_changed(now)))
    }

    /// Removes a person.
    ///
    /// # Errors
    /// When nobody has that name or the gallery cannot be written; it is then unchanged.
    pub fn remove(&mut self, now: Timestamp, name: &str) -> Result<Vec<Effect>, DoorError> {
        let mut gallery = Gallery::clone(&self.gallery);
        let _ = gallery.remove(name)?;
        self.replace_gallery(gallery)?;
        Ok(self.gallery_changed(now))
    }

    fn gallery_changed(&mut self, now: Timestamp) -> Vec<Effect> {
        let version = self.gallery.version();
        let mut effects = vec![Effect::Gallery(Arc::clone(&self.gallery))];
        effects.extend(self.handle(now, Input::GalleryChanged { version }));
        effects
    }

    fn effects(&mut self, actions: Vec<Action>, embedding: Option<&Embedding>, wall: u64) -> Vec<Effect> {
        let mut effects = Vec::with_capacity(actions.len());
        let mut last = None;
        for action in actions {
            match action {
                Action::Release => effects.push(Effect::Strike(StrikeState::Released)),
                Action::Secure => effects.push(Effect::Strike(StrikeState::Secured)),
                Action::Indicate(indication) => effects.push(Effect::Indicate(indication)),
                Action::Report(event) => effects.push(Effect::Report(Report::Event(event))),
                Action::Enrol(EnrolStep::Discard) => self.collected.clear(),
                Action::Enrol(EnrolStep::Collect) => self.collected.extend(embedding.cloned()),
                Action::Enrol(EnrolStep::Store) => last = Some(self.finish_enrolment(wall)),
            }
        }
        if let Some((report, changed)) = last {
            effects.push(Effect::Report(report));
            if changed {
                effects.push(Effect::Gallery(Arc::clone(&self.gallery)));
            }
        }
        effects
    }

    fn finish_enrolment(&mut self, wall: u64) -> (Report, bool) {
        let collected = std::mem::take(&mut self.collected);
        let name = self.enrolling.take().unwrap_or_else(|| self.gallery.unused_name());
        match self.store_template(&name, &collected, wall) {
            Ok(subject) => (Report::Enrolled { subject, name }, true),
            Err(error) => (Report::EnrolRefused { reason: error.to_string() }, false),
        }
    }

    fn store_template(
        &mut self,
        name: &str,
        embeddings: &[Embedding],
        wall: u64,
    ) -> Result<SubjectId, DoorError> {
        let template = template(embeddings, self.model.metric, self.threshold)?;
        let mut gallery = Gallery::clone(&self.gallery);
        let subject = gallery.enrol(name, vec![template], self.model.hash, wall)?;
        self.replace_gallery(gallery)?;
        Ok(subject)
    }

    /// The new gallery counts only once it is on disk.
    fn replace_gallery(&mut self, gallery: Gallery) -> Result<(), StoreError> {
        if let Some(store) = &self.store {
            store.save(&gallery)?;
        }
        self.gallery = Arc::new(gallery);
        Ok(())
    }
}

impl Report {
    /// The report as one line of `key=value` pairs for the log. People appear as ids.
    pub fn log_line(&self) -> String {
        match self {
            Report::Enrolled { subject, .. } => format!("event=enrolled subject={subject}"),
            Report::EnrolRefused { reason } => format!("event=enrol_refused reason={reason:?}"),
            Report::Event(event) => match event {
                Event::NoFace => "event=no_face".into(),
                Event::Identifying { track } => format!("event=identifying track={}", track.0),
                Event::Denied(DenyReason::Unknown { best_mean: Some(mean) }) => {
                    format!("event=deny reason=unknown best_mean={mean:.3}")
                }
                Event::Denied(DenyReason::Unknown { best_mean: None }) => {
                    "event=deny reason=nobody_enrolled".into()
                }
                Event::Denied(DenyReason::SeveralFaces { count }) => {
                    format!("event=deny reason=several_faces count={count}")
                }
                Event::AlreadyReleased { subject } => format!("event=already_released subject={subject}"),
                Event::Released(Cause::Identified { subject, mean_similarity }) => {
                    format!("event=release subject={subject} mean_similarity={mean_similarity:.3}")
                }
                Event::Released(Cause::Rex) => "event=release cause=rex".into(),
                Event::Secured => "event=secured".into(),
                Event::StaleFrame { age } => format!("event=stale_frame age_ms={}", age.as_millis()),
                Event::EnrolStarted => "event=enrol_started".into(),
                Event::EnrolCountdown { seconds_left } => {
                    format!("event=enrol_countdown seconds_left={seconds_left}")
                }
                Event::EnrolWaiting(wait) => format!("event=enrol_waiting advice={:?}", wait.advice()),
                Event::EnrolTaken => "event=enrol_taken".into(),
                Event::EnrolFailed(failure) => format!("event=enrol_failed reason={:?}", failure.to_string()),
            },
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

    /// True for the reports that end an enrolment, with why it failed if it did.
    pub fn ends_enrolment(&self) -> Option<Result<&str, String>> {
        match self {
            Report::Enrolled { name, .. } => Some(Ok(name)),
            Report::EnrolRefused { reason } => Some(Err(reason.clone())),
            Report::Event(Event::EnrolFailed(failure)) => Some(Err(EnrolFailure::to_string(failure))),
            Report::Event(_) => None,
        }
    }
}
