//! The controller's vocabulary: inputs, events and actions.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::enrolment::FrameCounts;
use super::lockout::SavedLockout;
use super::reason::{DenyCode, DenyReason};
use super::schedule::{Civil, Timetable};
use crate::liveness::Cues;
use crate::picture::Rect;
use crate::time::Timestamp;

/// A person of the gallery, by a number that says nothing about the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubjectId(pub u32);

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One face followed from frame to frame; a new number each time tracking breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrackId(pub u64);

/// How much a probe is like one subject of the gallery, similarity = 1 - distance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Whom it was compared with.
    pub subject: SubjectId,
    /// Similarity of the probe and the subject's closest template.
    #[serde(deserialize_with = "number_or_none")]
    pub similarity: f32,
}

/// The subjects of a large gallery that are not listed with a score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Others {
    /// How many.
    pub count: u32,
    /// None of them is more like the probe than this.
    #[serde(deserialize_with = "number_or_none")]
    pub at_most: f32,
}

/// How much a probe is like the subjects of the gallery.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Likeness {
    /// Its similarity to each subject, or in a large gallery to those most like it; in any order, a subject
    /// once.
    pub scores: Vec<Score>,
    /// The rest of a large gallery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<Others>,
}

impl Likeness {
    /// How many subjects it says something of.
    pub fn subjects(&self) -> usize {
        self.scores.len() + self.others.map_or(0, |others| others.count as usize)
    }
}

impl From<Vec<Score>> for Likeness {
    fn from(scores: Vec<Score>) -> Self {
        Likeness { scores, others: None }
    }
}

/// JSON has no word for what is no number; it is written as null.
fn number_or_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    Ok(Option::<f32>::deserialize(deserializer)?.unwrap_or(f32::NAN))
}

/// Why a face cannot serve for enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unusable {
    /// The face is too small in the picture.
    TooSmall,
    /// The face's mean gray value is too low.
    TooDark,
    /// The face's mean gray value is too high.
    TooBright,
    /// The face has hardly any contrast.
    Flat,
    /// The face moves or is out of focus.
    Blurred,
    /// The head is turned or tilted.
    Turned,
    /// Where the head is turned was not asked, as nobody is being enrolled: the rest is well.
    PoseUnknown,
}

impl Unusable {
    /// What to tell the person in front of the camera.
    pub fn advice(self) -> &'static str {
        match self {
            Unusable::TooSmall => "come closer",
            Unusable::TooDark => "too dark: more light on the face",
            Unusable::TooBright => "too bright: less light on the face",
            Unusable::Flat => "no contrast in the face: clean the lens or change the light",
            Unusable::Blurred => "hold still",
            Unusable::Turned | Unusable::PoseUnknown => "look at the camera",
        }
    }

    /// True for what the person cannot help: it excuses a face that is not recognised. A stranger who
    /// moves or turns away is still a stranger.
    pub fn is_the_doors(self) -> bool {
        match self {
            Unusable::TooSmall | Unusable::TooDark | Unusable::TooBright | Unusable::Flat => true,
            Unusable::Blurred | Unusable::Turned | Unusable::PoseUnknown => false,
        }
    }
}

/// What vision saw in one processed frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// No face.
    NoFace,
    /// More than one face: nobody is identified.
    SeveralFaces {
        /// How many.
        count: u32,
    },
    /// Exactly one face.
    Face {
        /// The track it belongs to.
        track: TrackId,
        /// Its box in the frame.
        face: Rect,
        /// How much it is like the people enrolled.
        #[serde(flatten)]
        likeness: Likeness,
        /// Why it cannot be enrolled, if so. Matching takes it all the same.
        unusable: Option<Unusable>,
        /// What speaks for or against its being alive.
        #[serde(default)]
        cues: Cues,
    },
}

/// One processed frame, as the controller is told of it. Holds no biometric data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// When the frame was captured, on the clock of `now`.
    pub captured: Timestamp,
    /// The camera's frame number.
    pub sequence: u64,
    /// Which state of the gallery the scores belong to.
    pub gallery_version: u64,
    /// What was seen.
    pub seen: Seen,
    /// Why a face could not be seen at all, if so: the whole picture is too dark or too bright. Asked only
    /// during an enrolment, in a frame without a face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub light: Option<Unusable>,
}

/// What the controller is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// A frame was processed.
    Sighting {
        /// What was seen.
        sighting: Sighting,
        /// What the board's clock says.
        civil: Civil,
    },
    /// The gallery changed: scores of earlier versions no longer count.
    GalleryChanged {
        /// The version from now on.
        version: u64,
        /// When its people may come in.
        timetable: Timetable,
    },
    /// Somebody inside asks to leave (REX): the strike is released at once.
    Rex,
    /// The door's contact.
    Door {
        /// True when the door stands open.
        open: bool,
    },
    /// An operator starts enrolling the next single face seen.
    Enrol,
    /// The enrolment button was pressed: as [`Input::Enrol`] where that is authorised.
    EnrolButton,
    /// An operator lets the button enrol once within so long; zero takes it back.
    AllowEnrolment {
        /// At most [`super::ButtonRules::window`].
        time: Duration,
    },
    /// The second factor's line became active: a keypad's relay, say.
    SecondFactor,
    /// The key line that lets the button enrol.
    EnrolKey {
        /// True while it is closed.
        active: bool,
    },
    /// Stop an enrolment that is under way.
    CancelEnrol,
    /// Secure the strike now and forget the attempt; ends holding open.
    Secure,
    /// The operator puts the door into a mode.
    SetMode(ModeCommand),
    /// The operator lifts the lockout and forgets the denials.
    ClearLockout,
    /// The entry about the release for a face did not reach the audit log in time: the strike is
    /// secured, unless somebody inside has asked for this release as well.
    NotRecorded,
    /// Something broke: the strike is secured. [`Fault::Store`] alone leaves a release to somebody who
    /// asked to leave.
    Fault(Fault),
    /// The door's files do not belong together: secure mode and an alarm, over restarts, until an operator
    /// accepts it. A release that somebody inside asked for goes on.
    RolledBack(RolledBack),
    /// An operator accepts the files as they are: normal mode again.
    AcceptRollback,
}

/// What an operator may ask of the door as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModeCommand {
    /// Faces and request to exit open.
    Normal,
    /// No face opens, over restarts, until the normal mode is asked for. Request to exit still opens, and the
    /// strike can be held open.
    Secure,
    /// The strike stays released for so long, at most [`super::AccessRules::max_hold_open`]; then the mode is
    /// what it was.
    HoldOpen {
        /// How long.
        time: Duration,
    },
    /// The strike is released for at least so long, as by [`ModeCommand::HoldOpen`]; a release under way that ends
    /// later ends when it would have. So a moment's unlock by another system does not cut short what an operator
    /// holds open, or what somebody leaves by.
    Unlock {
        /// At least how long.
        time: Duration,
    },
}

/// The mode that the door is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Faces and request to exit open.
    #[default]
    Normal,
    /// No face opens.
    Secure,
    /// The strike is released until a time.
    HoldOpen,
}

impl Mode {
    /// The name in logs, status and the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Normal => "normal",
            Mode::Secure => "secure",
            Mode::HoldOpen => "hold_open",
        }
    }
}

/// What broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The camera stopped delivering: everything seen so far is void.
    Camera,
    /// Detector or network failed.
    Vision,
    /// An input line cannot be read.
    Lines,
    /// The door's state could not be written: it is tried again.
    Store,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 4] = [Fault::Camera, Fault::Vision, Fault::Lines, Fault::Store];

    /// The name in logs, status and the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Camera => "camera",
            Fault::Vision => "vision",
            Fault::Lines => "lines",
            Fault::Store => "store",
        }
    }
}

/// Why the strike is released.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The 15-frame rule identified a subject.
    Identified {
        /// Who.
        subject: SubjectId,
        /// Mean similarity of the window.
        mean_similarity: f32,
    },
    /// Request to exit.
    Rex,
    /// An operator holds the door open.
    HoldOpen {
        /// For so long.
        time: Duration,
    },
}

impl Cause {
    /// The name of every cause.
    pub const NAMES: [&str; 3] = ["identified", "rex", "hold_open"];

    /// The name in figures.
    pub fn name(&self) -> &'static str {
        match self {
            Cause::Identified { .. } => Self::NAMES[0],
            Cause::Rex => Self::NAMES[1],
            Cause::HoldOpen { .. } => Self::NAMES[2],
        }
    }
}

/// Why the strike is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relock {
    /// The hold time, or the time of holding open, is over.
    TimeOver,
    /// The door was opened and closed.
    DoorClosed,
    /// An operator said so.
    Command,
    /// The audit log did not take the entry.
    NotRecorded,
    /// Something broke.
    Fault(Fault),
    /// The door's files do not belong together.
    RolledBack,
}

impl Relock {
    /// The name in logs, status and the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Relock::TimeOver => "time_over",
            Relock::DoorClosed => "door_closed",
            Relock::Command => "command",
            Relock::NotRecorded => "not_recorded",
            Relock::Fault(_) => "fault",
            Relock::RolledBack => "rolled_back",
        }
    }
}

/// What somebody should look after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alarm {
    /// The door opened although the strike was secured.
    ForcedOpen,
    /// The door stands open for too long.
    HeldOpen,
    /// Gallery, state or audit log is older than the others say: put back from a copy, or lost.
    RolledBack,
}

impl Alarm {
    /// Every alarm.
    pub const ALL: [Alarm; 3] = [Alarm::ForcedOpen, Alarm::HeldOpen, Alarm::RolledBack];

    /// The name in logs, status and the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Alarm::ForcedOpen => "forced_open",
            Alarm::HeldOpen => "held_open",
            Alarm::RolledBack => "rolled_back",
        }
    }
}

/// Which of the files that a door keeps are older than the others say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolledBack {
    /// The gallery.
    pub gallery: bool,
    /// The door's state.
    pub state: bool,
    /// The audit log.
    pub log: bool,
}

impl RolledBack {
    /// True when it is any of them.
    pub fn any(&self) -> bool {
        *self != RolledBack::default()
    }

    /// Those of both.
    #[must_use]
    pub fn and(self, other: RolledBack) -> Self {
        RolledBack {
            gallery: self.gallery || other.gallery,
            state: self.state || other.state,
            log: self.log || other.log,
        }
    }
}

impl std::fmt::Display for RolledBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = [(self.gallery, "gallery"), (self.state, "state"), (self.log, "audit_log")];
        let names: Vec<&str> = named.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
        f.write_str(&names.join(","))
    }
}

/// Who let the button enrol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolGrant {
    /// An operator.
    Operator,
    /// An administrator's face.
    Administrator {
        /// Whose.
        subject: SubjectId,
    },
}

/// Why an enrolment took no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolFailure {
    /// The time for the whole enrolment passed before the countdown ended.
    TimedOut,
    /// Somebody cancelled it.
    Cancelled,
    /// The camera was lost.
    CameraLost,
}

impl fmt::Display for EnrolFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EnrolFailure::TimedOut => "no single usable face was seen for long enough",
            EnrolFailure::Cancelled => "cancelled",
            EnrolFailure::CameraLost => "the camera was lost",
        })
    }
}

/// What an enrolment waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolWait {
    /// A face.
    Face,
    /// One person only.
    OnePerson,
    /// A better view of the face.
    Better(Unusable),
    /// The countdown is over, but frames are missing.
    More,
    /// No frame comes that is fresh enough to count.
    Picture,
}

impl EnrolWait {
    /// What to tell the person in front of the camera.
    pub fn advice(self) -> &'static str {
        match self {
            EnrolWait::Face => "look at the camera",
            EnrolWait::OnePerson => "only one person please",
            EnrolWait::Better(unusable) => unusable.advice(),
            EnrolWait::More => "almost done: keep looking at the camera",
            EnrolWait::Picture => "waiting for a picture from the camera",
        }
    }
}

/// Something worth a line in the log and the status.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The picture is empty (said once, when a face has gone).
    NoFace,
    /// A face is being identified (said once per window).
    Identifying {
        /// Which.
        track: TrackId,
    },
    /// Nobody is let in (said once per window and reason; an unknown face who stays is told again).
    Denied(DenyReason),
    /// The strike is released.
    Released(Cause),
    /// The strike is secured again.
    Secured(Relock),
    /// The door moved.
    Door {
        /// True when it stands open.
        open: bool,
    },
    /// An alarm began.
    Alarm(Alarm),
    /// The alarm ended: the door is closed, or an operator has accepted the files.
    AlarmOver(Alarm),
    /// Too many denied attempts: no face opens for a while.
    LockedOut {
        /// Denied attempts in a row.
        denials: u32,
        /// For so long.
        time: Duration,
    },
    /// The lockout is over.
    LockoutOver,
    /// An operator lifted the lockout and forgot the denials.
    LockoutCleared,
    /// The mode changed.
    ModeChanged(Mode),
    /// Something broke.
    Fault(Fault),
    /// A frame too old to decide on was refused.
    StaleFrame {
        /// How old it was.
        age: Duration,
    },
    /// The button may enrol once within so long.
    EnrolAllowed {
        /// Why.
        by: EnrolGrant,
        /// For so long.
        time: Duration,
    },
    /// The button was pressed without authorisation.
    ButtonRefused,
    /// An enrolment began.
    EnrolStarted,
    /// The countdown stands at so many whole seconds (said when the number changes).
    EnrolCountdown {
        /// Seconds left, rounded up.
        seconds_left: u32,
    },
    /// Most frames are of no use (said when the reason changes).
    EnrolWaiting(EnrolWait),
    /// The same goes on.
    EnrolStillWaiting {
        /// What is waited for.
        wait: EnrolWait,
        /// Whole seconds until the enrolment fails.
        seconds_left: u32,
    },
    /// The countdown ended: a template is being made of the collected frames.
    EnrolTaken,
    /// No template was taken.
    EnrolFailed {
        /// Why.
        why: EnrolFailure,
        /// What became of the frames.
        frames: FrameCounts,
    },
}

impl Event {
    /// The name in logs and the audit log; it does not change between versions.
    pub fn name(&self) -> &'static str {
        match self {
            Event::NoFace => "no_face",
            Event::Identifying { .. } => "identifying",
            Event::Denied(_) => "deny",
            Event::Released(_) => "release",
            Event::Secured(_) => "secured",
            Event::Door { open: true } => "door_opened",
            Event::Door { open: false } => "door_closed",
            Event::Alarm(_) => "alarm",
            Event::AlarmOver(_) => "alarm_over",
            Event::LockedOut { .. } => "locked_out",
            Event::LockoutOver => "lockout_over",
            Event::LockoutCleared => "lockout_cleared",
            Event::ModeChanged(_) => "mode",
            Event::Fault(_) => "fault",
            Event::StaleFrame { .. } => "stale_frame",
            Event::EnrolAllowed { .. } => "enrol_allowed",
            Event::ButtonRefused => "button_refused",
            Event::EnrolStarted => "enrol_started",
            Event::EnrolCountdown { .. } => "enrol_countdown",
            Event::EnrolWaiting(_) | Event::EnrolStillWaiting { .. } => "enrol_waiting",
            Event::EnrolTaken => "enrol_taken",
            Event::EnrolFailed { .. } => "enrol_failed",
        }
    }
}

/// What the lights and the buzzer should show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Indication {
    /// Nothing goes on.
    Idle,
    /// A face is being identified (orange).
    Identifying,
    /// The strike is released (green).
    Released,
    /// Nobody is let in, and why (red, in a pattern for each reason).
    Denied(DenyCode),
    /// Somebody should look after the door: it was forced, is held open, or its files were put back.
    Alarm(Alarm),
    /// An enrolment counts down.
    EnrolCounting,
    /// An enrolment waits for a usable face.
    EnrolWaiting,
}

/// What an enrolment asks of its surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolStep {
    /// Forget the frames collected so far.
    Discard,
    /// Keep the embedding of the frame just handled.
    Collect,
    /// Make the template of the frames collected and store it.
    Store,
}

/// What must outlive a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// Denied attempts and the lockout that they earned.
    pub lockout: SavedLockout,
    /// Whether the operator's secure mode is on.
    pub secure_mode: bool,
    /// What was found older than it should be, until an operator accepts it.
    #[serde(default)]
    pub rolled_back: RolledBack,
}

/// What the surroundings must do, in order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Drive the strike to released.
    Release,
    /// Drive the strike to secured.
    Secure,
    /// Show this on lights and buzzer.
    Indicate(Indication),
    /// Do this for the enrolment.
    Enrol(EnrolStep),
    /// Log and publish this.
    Report(Event),
    /// Write this where it outlives a restart; say [`Fault::Store`] when that fails.
    Save(Saved),
}
