//! Attempts in simulated time: recordings played through the daemon's own pipeline.
//!
//! Time is the recording's: frame n is captured, and handled, at n / rate. Nothing waits and nothing
//! else moves, so that the same recording gives the same decisions every time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::draw::sheet::TileState;
use facelatch_core::access::window::Window;
use facelatch_core::access::{
    AccessRules, Event, ReleaseReason, Restored, Seen, Sighting, SubjectId, Verdict, WindowRules,
};
use facelatch_core::door::{Door, DoorError, Effect, ModelFacts, Report, Terms, WallTime};
use facelatch_core::liveness::{Cues, Evidence};
use facelatch_core::matching::{Embedding, Gallery, Metric};
use facelatch_core::observation::{Observation, Purpose};
use facelatch_core::picture::Rect;
use facelatch_core::strike::StrikeState;
use facelatch_core::time::Timestamp;
use facelatch_edges::camera::{CameraError, Frame, FrameSource, Next};
use facelatch_vision::embed::EmbedError;
use facelatch_vision::{Scene, Vision};

/// Why a recording could not be played to its end.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// The recording.
    #[error(transparent)]
    Camera(#[from] CameraError),
    /// The network.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// The gallery.
    #[error(transparent)]
    Door(#[from] DoorError),
}

/// One frame after it was played, for people to look at.
#[derive(Debug)]
pub struct Played<'a> {
    /// The frame.
    pub frame: &'a Frame,
    /// Its number in the recording, from 0.
    pub index: u64,
    /// Every face found.
    pub faces: &'a [Rect],
    /// What the door makes of it.
    pub state: TileState,
    /// Frames in the window, and how many it takes.
    pub window: (usize, usize),
    /// Whether the strike is released.
    pub strike: StrikeState,
    /// What was reported on this frame.
    pub reports: &'a [Report],
}

/// How an attempt ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Frames played.
    pub frames: u64,
    /// Frames with at least one face.
    pub frames_with_face: u64,
    /// The first release: its frame and whom it was for.
    pub first_release: Option<(u64, SubjectId)>,
    /// The frame of the first face.
    pub first_face_frame: Option<u64>,
    /// The highest mean similarity that any full window reached for anybody.
    pub best_mean: Option<f32>,
}

/// What was seen in a frame, without the picture: enough to play it before any gallery.
#[derive(Clone, Debug)]
pub struct Watched(Observation);

impl Watched {
    /// The embedding of the only face, where there was just one.
    pub fn embedding(&self) -> Option<&Embedding> {
        self.0.embedding.as_ref()
    }

    /// The only face's box.
    pub fn face(&self) -> Option<Rect> {
        match &self.0.sighting.seen {
            Seen::Face { face, .. } => Some(*face),
            Seen::NoFace | Seen::SeveralFaces { .. } => None,
        }
    }

    /// What was measured of the liveness of the only face.
    pub fn cues(&self) -> Option<&Cues> {
        match &self.0.sighting.seen {
            Seen::Face { cues, .. } => Some(cues),
            Seen::NoFace | Seen::SeveralFaces { .. } => None,
        }
    }

    /// The same frame before another gallery.
    fn before(&self, gallery: &Gallery, metric: Metric) -> Observation {
        let mut observation = self.0.clone();
        observation.sighting.gallery_version = gallery.version();
        if let (Seen::Face { likeness, .. }, Some(probe)) =
            (&mut observation.sighting.seen, &observation.embedding)
        {
            *likeness = gallery.scores(probe, metric).into();
        }
        observation
    }
}

/// How high a recording came for each subject that led a full window.
pub type Peaks = BTreeMap<SubjectId, f32>;

/// A door in simulated time: one pipeline, a gallery that lasts as long as this.
pub struct Simulation {
    vision: Vision,
    rules: AccessRules,
    model: ModelFacts,
    gallery: Arc<Gallery>,
    allow_duplicate: bool,
}

impl Simulation {
    /// A simulation with nobody enrolled.
    pub fn new(vision: Vision, rules: AccessRules, model: ModelFacts) -> Self {
        Simulation { vision, rules, model, gallery: Arc::default(), allow_duplicate: false }
    }

    /// From now on people are enrolled although they look like somebody enrolled already.
    pub fn enrol_anyway(&mut self) {
        self.allow_duplicate = true;
    }

    /// The people enrolled so far.
    pub fn gallery(&self) -> &Gallery {
        &self.gallery
    }

    /// Enrols a person from a recording, by the countdown, as at the door.
    ///
    /// The inner result is the enrolment's outcome: the new id, or why there is none.
    ///
    /// # Errors
    /// When the recording cannot be played or the name cannot be used.
    pub fn enrol(
        &mut self,
        name: &str,
        source: &mut dyn FrameSource,
        mut look: impl FnMut(Played<'_>),
    ) -> Result<Result<SubjectId, String>, AttemptError> {
        let mut door = self.door();
        let _ = door.start(Timestamp::ZERO, Restored::Fresh);
        let _ = door.enrol(Timestamp::ZERO, Some(name), self.terms())?;
        let mut outcome = None;
        self.play(&mut door, source, |played| {
            for report in played.reports {
                match report {
                    Report::Enrolled { subject, .. } => outcome = Some(Ok(*subject)),
                    other => {
                        if let Some(Err(reason)) = other.ends_enrolment() {
                            outcome = Some(Err(reason));
                        }
                    }
                }
            }
            look(played);
            outcome.is_none()
        })?;
        self.gallery = Arc::clone(door.gallery());
        Ok(outcome.unwrap_or_else(|| Err(cut_short(&door))))
    }

    /// Plays a recording before the door and reports what it does.
    ///
    /// # Errors
    /// When the recording cannot be played.
    pub fn probe(
        &mut self,
        source: &mut dyn FrameSource,
        mut look: impl FnMut(Played<'_>),
    ) -> Result<Summary, AttemptError> {
        let mut door = self.door();
        let _ = door.start(Timestamp::ZERO, Restored::Fresh);
        let mut summary = Summary::default();
        self.play(&mut door, source, |played| {
            summary.frames += 1;
            if !played.faces.is_empty() {
                summary.frames_with_face += 1;
                summary.first_face_frame.get_or_insert(played.index);
            }
            for report in played.reports {
                if let Report::Event(Event::Released(ReleaseReason::Identified { subject, .. })) = report {
                    summary.first_release.get_or_insert((played.index, *subject));
                }
            }
            if let TileState::Identified { mean, .. } | TileState::Unknown { mean } = played.state
                && mean.is_finite()
            {
                summary.best_mean = Some(summary.best_mean.map_or(mean, |best: f32| best.max(mean)));
            }
            look(played);
            true
        })?;
        Ok(summary)
    }

    /// Looks at a recording without a door.
    ///
    /// # Errors
    /// When the recording cannot be played.
    pub fn watch(&mut self, source: &mut dyn FrameSource) -> Result<Vec<Watched>, AttemptError> {
        self.vision.forget();
        let nobody = Gallery::default();
        let mut clip = Vec::new();
        loop {
            match source.next(Duration::ZERO)? {
                Next::Frame(frame) => {
                    clip.push(Watched(self.vision.process(scene(&frame), &nobody, Purpose::Enrol)?))
                }
                Next::Timeout => {}
                Next::End => return Ok(clip),
            }
        }
    }

    /// Enrols a person from what was watched, as [`Simulation::enrol`] does.
    ///
    /// # Errors
    /// When the name cannot be used.
    pub fn enrol_watched(
        &mut self,
        name: &str,
        clip: &[Watched],
    ) -> Result<Result<SubjectId, String>, AttemptError> {
        let mut door = self.door();
        let _ = door.start(Timestamp::ZERO, Restored::Fresh);
        let _ = door.enrol(Timestamp::ZERO, Some(name), self.terms())?;
        let mut outcome = None;
        for watched in clip {
            let step = pass(&mut door, &watched.before(&self.gallery, self.model.metric));
            outcome = step.reports.iter().find_map(|r| Some(r.ends_enrolment()?.map(|_| ())));
            if outcome.is_some() {
                break;
            }
        }
        self.gallery = Arc::clone(door.gallery());
        let id = || self.gallery.find(name).map(|s| s.id);
        Ok(outcome
            .unwrap_or_else(|| Err(cut_short(&door)))
            .and_then(|()| id().ok_or_else(|| "not stored".to_owned())))
    }

    /// Plays what was watched before a door with these people and says whom it releases first, if anybody.
    pub fn release_of(&self, gallery: &Arc<Gallery>, clip: &[Watched]) -> Option<SubjectId> {
        self.release_under(self.rules, gallery, clip)
    }

    /// The same under other rules.
    pub fn release_under(
        &self,
        rules: AccessRules,
        gallery: &Arc<Gallery>,
        clip: &[Watched],
    ) -> Option<SubjectId> {
        let mut door = Door::new(rules, self.model, Arc::clone(gallery));
        let _ = door.start(Timestamp::ZERO, Restored::Fresh);
        clip.iter().find_map(|watched| {
            let step = pass(&mut door, &watched.before(gallery, self.model.metric));
            step.reports.iter().find_map(|report| match report {
                Report::Event(Event::Released(ReleaseReason::Identified { subject, .. })) => Some(*subject),
                _ => None,
            })
        })
    }

    /// What each full window of a clip says of liveness.
    pub fn evidence(&self, clip: &[Watched]) -> Vec<Evidence> {
        let mut window = Window::new(self.rules.window);
        let mut windows = Vec::new();
        for watched in clip {
            match &watched.0.sighting {
                Sighting { captured, seen: Seen::Face { track, cues, .. }, .. } => {
                    let verdict = window.push(*track, *captured, Vec::new(), None, *cues);
                    if !matches!(verdict, Verdict::Undecided { .. }) {
                        windows.push(window.evidence(None));
                    }
                }
                _ => window.clear(),
            }
        }
        windows
    }

    /// The rules of the door.
    pub fn rules(&self) -> &AccessRules {
        &self.rules
    }

    /// The highest similarity that each subject reached at the head of a full window with the lead that
    /// the rules ask for, less what the number of people adds to the threshold: the thresholds (for a
    /// gallery of one) at which the window identifies them.
    pub fn peaks(&self, gallery: &Gallery, clip: &[Watched]) -> Peaks {
        let mut window = Window::new(WindowRules { threshold: f32::MIN, ..self.rules.window });
        let raise = self.rules.window.raise(gallery.subjects().len());
        let mut peaks = Peaks::new();
        for watched in clip {
            match watched.before(gallery, self.model.metric).sighting {
                Sighting { captured, seen: Seen::Face { track, likeness, unusable, cues, .. }, .. } => {
                    if let Verdict::Identified { subject, mean_similarity } =
                        window.push(track, captured, likeness, unusable, cues)
                    {
                        let peak = peaks.entry(subject).or_insert(f32::MIN);
                        *peak = peak.max(mean_similarity - raise);
                    }
                }
                _ => window.clear(),
            }
        }
        peaks
    }

    fn terms(&self) -> Terms {
        Terms { allow_duplicate: self.allow_duplicate, ..Terms::default() }
    }

    fn door(&self) -> Door {
        Door::new(self.rules, self.model, Arc::clone(&self.gallery))
    }

    /// Plays frames until the recording ends or `go_on` says no.
    fn play(
        &mut self,
        door: &mut Door,
        source: &mut dyn FrameSource,
        mut go_on: impl FnMut(Played<'_>) -> bool,
    ) -> Result<(), AttemptError> {
        self.vision.forget();
        let mut strike = StrikeState::Secured;
        let mut index = 0;
        loop {
            let frame = match source.next(Duration::ZERO)? {
                Next::Frame(frame) => frame,
                Next::Timeout => continue,
                Next::End => return Ok(()),
            };
            let purpose = door.purpose();
            let observation = self.vision.process(scene(&frame), door.gallery(), purpose)?;
            let step = pass(door, &observation);
            let reports = step.reports;
            strike = step.strike.unwrap_or(strike);
            let played = Played {
                frame: &frame,
                index,
                faces: &observation.faces,
                state: state(door, &observation, &reports),
                window: (door.controller().window_frames(), self.rules.window.frames),
                strike,
                reports: &reports,
            };
            if !go_on(played) {
                return Ok(());
            }
            index += 1;
        }
    }
}

/// Why an enrolment came to no end.
fn cut_short(door: &Door) -> String {
    let frames = door.controller().enrolment_frames().unwrap_or_default();
    format!("the recording ended before one face had been fit for enrolment for long enough ({frames})")
}

/// What a door did up to and with a frame.
struct Passed {
    reports: Vec<Report>,
    /// The strike's state, where it was driven.
    strike: Option<StrikeState>,
}

/// Lets time pass until the frame's capture and shows it to the door.
fn pass(door: &mut Door, observation: &Observation) -> Passed {
    let now = observation.sighting.captured;
    let mut effects = Vec::new();
    while let Some(due) = door.poll_timeout().filter(|due| *due < now) {
        effects.extend(door.handle_timeout(due));
    }
    effects.extend(door.observe(now, WallTime::UNSET, observation));
    if matches!(effects.last(), Some(Effect::SaveGallery(_))) {
        // Nothing is stored: it counts at once.
        effects.extend(door.gallery_saved(now, Ok(())));
    }
    let mut passed = Passed { reports: Vec::new(), strike: None };
    for effect in effects {
        match effect {
            Effect::Strike(state) => passed.strike = Some(state),
            Effect::Report(report) => passed.reports.push(report),
            Effect::Indicate(_)
            | Effect::Gallery(_)
            | Effect::SaveGallery(_)
            | Effect::Save(_)
            | Effect::Record(_) => {}
        }
    }
    passed
}

/// What the door makes of the frame, in the words of the reference system.
fn state(door: &Door, observation: &Observation, reports: &[Report]) -> TileState {
    let controller = door.controller();
    for report in reports {
        if let Report::Enrolled { name, .. } = report {
            return TileState::Enrolled { name: name.clone() };
        }
    }
    match (&observation.sighting.seen, controller.verdict()) {
        (Seen::NoFace, _) => TileState::NoFace,
        (Seen::SeveralFaces { .. }, _) => TileState::SeveralFaces,
        (Seen::Face { unusable: Some(unusable), .. }, _) if controller.is_enrolling() => {
            TileState::QualityIssue { reason: unusable.advice().to_owned() }
        }
        (Seen::Face { .. }, _) if controller.is_enrolling() => {
            TileState::Countdown { seconds: controller.enrolment_seconds_left().unwrap_or(0) }
        }
        (Seen::Face { .. }, Verdict::Undecided { .. }) => TileState::Identifying,
        (Seen::Face { .. }, Verdict::Identified { subject, mean_similarity }) => {
            TileState::Identified { name: door.gallery().name(subject), mean: mean_similarity }
        }
        (Seen::Face { .. }, Verdict::Ambiguous { best, .. }) => TileState::Unknown { mean: best.similarity },
        (Seen::Face { .. }, Verdict::Unknown { best_mean }) => {
            TileState::Unknown { mean: best_mean.unwrap_or(f32::NAN) }
        }
    }
}

/// A frame as vision takes it.
pub fn scene(frame: &Frame) -> Scene<'_> {
    Scene {
        captured: frame.captured,
        sequence: frame.sequence,
        gray: &frame.gray,
        colour: frame.colour.as_ref(),
    }
}
