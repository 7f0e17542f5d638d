//! What goes over the daemon's Unix socket: one JSON object a line, both ways.
//!
//! A client sends one request and reads replies until `ok`, `error` or `refused`; an enrolment sends
//! `progress` lines in between, and `watch` its news without an end. A client that goes away cancels the
//! enrolment it started. `docs/reference/protocol.md` describes all of it.

pub mod client;
pub mod metrics;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::metrics::Metrics;
use facelatch_audit::{Checkpoint, Entry};
use facelatch_core::access::{Alarm, FrameCounts, Mode, ModeCommand};
use facelatch_core::capture::Counters;
use facelatch_core::door::Existing;
use facelatch_core::matching::{ModelHash, Note};
use facelatch_core::picture::Rect;

/// The version of the protocol: another number means that something has changed its meaning or is gone.
/// What is new has a name of its own, and a client passes over names that it does not know.
pub const PROTOCOL: u32 = 1;

/// A longer request is refused: 8,000 templates of 128 values fit.
pub const MAX_REQUEST: u64 = 16 << 20;

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Enrol the next person before the camera.
    #[serde(alias = "enrol")]
    Enroll {
        /// The name; without one, a new one is made.
        name: Option<String>,
        /// Although the person looks like somebody enrolled already.
        #[serde(rename = "anyway", default, skip_serializing_if = "is_false")]
        allow_duplicate: bool,
        /// What to do about somebody enrolled under the name.
        #[serde(default, skip_serializing_if = "Existing::is_refused")]
        existing: Existing,
        /// Although the face is not like theirs.
        #[serde(default, skip_serializing_if = "is_false")]
        unlike: bool,
    },
    /// Let the enrolment button work once.
    AllowEnrolment {
        /// Within this time.
        time: Duration,
    },
    /// Enrol a person from embeddings made of pictures.
    Add {
        /// The name.
        name: String,
        /// The model that made them.
        model: ModelHash,
        /// One a picture.
        embeddings: Vec<Vec<f32>>,
        /// Although the person looks like somebody enrolled already.
        #[serde(rename = "anyway", default, skip_serializing_if = "is_false")]
        allow_duplicate: bool,
        /// What to do about somebody enrolled under the name.
        #[serde(default, skip_serializing_if = "Existing::is_refused")]
        existing: Existing,
        /// Although the face is not like theirs.
        #[serde(default, skip_serializing_if = "is_false")]
        unlike: bool,
    },
    /// List the people enrolled.
    People {},
    /// Remove a person.
    Remove {
        /// The name.
        name: String,
    },
    /// Give a person another name.
    Rename {
        /// The name.
        name: String,
        /// The new one.
        to: String,
    },
    /// Note consent or expiry of a person.
    Note {
        /// The name.
        name: String,
        /// What.
        note: Note,
    },
    /// Everything known of a person, templates included.
    Export {
        /// The name.
        name: String,
    },
    /// Take in people whom another board exported, all of them or nobody.
    Import {
        /// What `export` answered there; of several people, with all of them as its `subjects`.
        person: serde_json::Value,
        /// Although somebody enrolled may be alike.
        #[serde(rename = "anyway", default)]
        allow_duplicate: bool,
    },
    /// How the daemon is.
    Status {},
    /// Secure the strike now.
    Secure {},
    /// Put the door into a mode.
    Mode {
        /// Which.
        mode: ModeCommand,
    },
    /// Lift the lockout and forget the denials.
    ClearLockout {},
    /// Accept the door's files as they are, although they do not match; normal mode again.
    AcceptRollback {},
    /// Which protocol and which rights there are.
    Hello {
        /// The client's [`PROTOCOL`].
        protocol: u32,
    },
    /// State, attempt and figures.
    State {},
    /// News as they come, until the client hangs up.
    Watch {
        /// The last entry of the audit log that the client has; without it, entries from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<u64>,
        /// With pictures.
        #[serde(default, skip_serializing_if = "is_false")]
        picture: bool,
    },
    /// Entries of the audit log.
    Entries {
        /// Those behind this one.
        since: u64,
        /// At most this many, and at most [`MAX_ENTRIES`].
        limit: usize,
    },
    /// Whether the audit log's chain holds.
    VerifyLog {},
    /// The gateway itself has refused another system's command; the audit log records it.
    ReportRefusal {
        /// What was asked.
        what: RefusedCommand,
    },
}

/// A command of another system that the gateway has refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedCommand {
    /// As [`Request::Enroll`].
    Enroll,
    /// As [`Request::Mode`].
    Mode,
    /// As [`Request::Secure`].
    Secure,
}

impl RefusedCommand {
    /// What the audit log calls it.
    pub fn name(self) -> &'static str {
        match self {
            RefusedCommand::Enroll => "enroll",
            RefusedCommand::Mode => "mode",
            RefusedCommand::Secure => "secure",
        }
    }
}

/// As many entries of the audit log as one answer holds.
pub const MAX_ENTRIES: usize = 1_000;

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// See state, people, entries and picture.
    View,
    /// Enrol, rename, remove, note consent and expiry; let the button enrol.
    Enrol,
    /// Modes: hold open, secure, normal; secure now; clear a lockout.
    Release,
}

impl Right {
    /// The name in configuration, log and audit log.
    pub fn name(self) -> &'static str {
        match self {
            Right::View => "view",
            Right::Enrol => "enrol",
            Right::Release => "release",
        }
    }
}

impl Request {
    /// The right that it takes; `None`: not for the gateway, whatever its rights.
    pub fn right(&self) -> Option<Right> {
        match self {
            Request::Hello { .. }
            | Request::Status {}
            | Request::State {}
            | Request::People {}
            | Request::Watch { .. }
            | Request::Entries { .. }
            | Request::VerifyLog {}
            | Request::ReportRefusal { .. } => Some(Right::View),
            Request::Enroll { .. }
            | Request::AllowEnrolment { .. }
            | Request::Remove { .. }
            | Request::Rename { .. }
            | Request::Note { .. } => Some(Right::Enrol),
            Request::Secure {} | Request::Mode { .. } | Request::ClearLockout {} => Some(Right::Release),
            // Templates do not leave the door by the gateway, nor come in; and that somebody has put files
            // back is for one at the board to judge.
            Request::Add { .. }
            | Request::Export { .. }
            | Request::Import { .. }
            | Request::AcceptRollback {} => None,
        }
    }

    /// True for what can only take access away.
    pub fn secures(&self) -> bool {
        matches!(self, Request::Secure {} | Request::Mode { mode: ModeCommand::Secure })
    }

    /// What the audit log calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Request::Enroll { .. } => "enroll",
            Request::AllowEnrolment { .. } => "allow_enrolment",
            Request::Add { .. } => "add",
            Request::People {} => "people",
            Request::Remove { .. } => "remove",
            Request::Rename { .. } => "rename",
            Request::Note { .. } => "note",
            Request::Export { .. } => "export",
            Request::Import { .. } => "import",
            Request::Status {} => "status",
            Request::Secure {} => "secure",
            Request::Mode { .. } => "mode",
            Request::ClearLockout {} => "clear_lockout",
            Request::AcceptRollback {} => "accept_rollback",
            Request::Hello { .. } => "hello",
            Request::State {} => "state",
            Request::Watch { .. } => "watch",
            Request::Entries { .. } => "entries",
            Request::VerifyLog {} => "verify_log",
            Request::ReportRefusal { .. } => "report_refusal",
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn one() -> usize {
    1
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// The progress of an enrolment.
    Progress {
        /// In plain words.
        text: String,
    },
    /// Done.
    Ok {
        /// What was asked for: people, status, the name enrolled.
        #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
        result: serde_json::Value,
    },
    /// Not done.
    Error {
        /// Why, and what to do.
        message: String,
        /// For an enrolment before the camera that failed: what became of its frames.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        frames: Option<FrameCounts>,
    },
    /// Not done: the client may not.
    Refused {
        /// The right that it takes.
        right: Option<Right>,
        /// What to do.
        message: String,
    },
    /// To a watcher: how the door is. The latest one; those in between are left out.
    State {
        /// How it is.
        state: Box<State>,
    },
    /// To a watcher: an entry of the audit log that has reached the disk. Each one, in order, once.
    Entry {
        /// The entry.
        entry: Box<Entry>,
    },
    /// To a watcher who wants pictures: the latest one.
    View {
        /// The picture.
        view: Box<View>,
    },
}

impl Reply {
    /// A plain success.
    pub fn ok() -> Self {
        Reply::Ok { result: serde_json::Value::Null }
    }

    /// A failure in words.
    pub fn error(message: impl Into<String>) -> Self {
        Reply::Error { message: message.into(), frames: None }
    }

    /// True for the reply that ends a request.
    pub fn is_last(&self) -> bool {
        matches!(self, Reply::Ok { .. } | Reply::Error { .. } | Reply::Refused { .. })
    }
}

/// One person as `people` and `status` show them: nothing biometric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Person {
    /// The id that logs use.
    pub id: u32,
    /// The name given at enrolment.
    pub name: String,
    /// Wall-clock seconds since 1970.
    pub enrolled: u64,
    /// How many templates.
    pub templates: usize,
    /// How many looks they show: the one enrolled, and those added since.
    #[serde(default = "one")]
    pub looks: usize,
    /// What the person agreed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<String>,
    /// When the person is removed, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The model that made them; with another one in use the person is not recognised.
    pub model: String,
}

/// Everybody enrolled, as it is shown.
pub fn people(gallery: &facelatch_core::matching::Gallery) -> Vec<Person> {
    gallery
        .subjects()
        .iter()
        .map(|s| Person {
            id: s.id.0,
            name: s.name.clone(),
            enrolled: s.enrolled,
            templates: s.templates.len(),
            looks: s.looks(),
            consent: s.consent.clone(),
            expires: s.expires,
            model: s.model.to_string(),
        })
        .collect()
}

/// How the daemon is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// `released` or `secured`.
    pub strike: facelatch_core::strike::StrikeState,
    /// What drives the strike.
    pub strike_line: String,
    /// Where frames come from.
    pub camera: String,
    /// What happened to its frames: handed out, skipped, undecodable, and how often it was opened again.
    pub camera_counters: Counters,
    /// True while frames come.
    pub camera_delivers: bool,
    /// Frames processed since the start.
    pub frames: u64,
    /// Frames with at least one face.
    pub frames_with_face: u64,
    /// Milliseconds spent on the latest frame by detection, cropping and the network.
    pub last_frame_ms: f64,
    /// People enrolled.
    pub people: usize,
    /// Those among them who were enrolled with another model, and are not recognised.
    pub people_of_other_models: usize,
    /// True during an enrolment.
    pub enrolling: bool,
    /// What the person before the camera should do for it.
    pub enrol_advice: Option<String>,
    /// Seconds for which the enrolment button counts, where somebody let it.
    pub enrolment_allowed_s: Option<u64>,
    /// The model in use.
    pub model: String,
    /// The threshold of the 15-frame rule in use.
    pub threshold: f32,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// `normal`, `secure` or `hold_open`.
    pub mode: Mode,
    /// Seconds until faces count again, while locked out.
    pub lockout_left_s: Option<u64>,
    /// Whether the door stands open, where a contact tells.
    pub door_open: Option<bool>,
    /// The alarm in force.
    pub alarm: Option<Alarm>,
    /// Which of the door's files are older than the others say, in words, until an operator accepts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<String>,
    /// True while the audit log is written; otherwise faces are denied (`audit.on_unrecorded`).
    pub audit_written: bool,
    /// Why nobody was let in the last time, in words.
    pub last_denial: Option<String>,
    /// The latest event as logged.
    pub last_event: Option<String>,
}

#[cfg(any(test, feature = "example"))]
impl Status {
    /// A quiet door without a contact.
    pub fn example() -> Self {
        Status {
            strike: facelatch_core::strike::StrikeState::Secured,
            strike_line: String::new(),
            camera: String::new(),
            camera_counters: Counters::default(),
            camera_delivers: true,
            frames: 0,
            frames_with_face: 0,
            last_frame_ms: 0.0,
            people: 0,
            people_of_other_models: 0,
            enrolling: false,
            enrol_advice: None,
            enrolment_allowed_s: None,
            model: String::new(),
            threshold: 0.5,
            uptime_s: 1,
            mode: Mode::Normal,
            lockout_left_s: None,
            door_open: None,
            alarm: None,
            rolled_back: None,
            audit_written: true,
            last_denial: None,
            last_event: None,
        }
    }
}

/// What `hello` answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of the daemon.
    pub protocol: u32,
    /// Its version.
    pub version: String,
    /// What this client may do.
    pub rights: Vec<Right>,
}

/// How the door is, with what it counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// As `status` answers.
    pub status: Status,
    /// The attempt in progress.
    pub attempt: Attempt,
    /// What was counted since the start.
    pub metrics: Metrics,
}

/// The colour of the box around a face.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptColour {
    /// Nothing is happening.
    #[default]
    None,
    /// It is being identified or enrolled.
    Orange,
    /// It is let in.
    Green,
    /// It is not.
    Red,
}

/// The attempt in progress, as the person at the door sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The colour of the box.
    pub colour: AttemptColour,
    /// What is said: `Identifying ...`, `Identity: NAME`, `Identity Unknown!`, or another reason.
    pub words: String,
    /// Frames collected.
    pub frames: usize,
    /// As many are needed.
    pub of: usize,
    /// The best person's mean similarity over the frames collected.
    pub mean: Option<f32>,
    /// The mean that releases.
    pub required: f32,
}

/// How good the face is for enrolment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FramingHints {
    /// Width of the face in the camera's pixels.
    pub face_px: i32,
    /// The least width that can be enrolled.
    pub least_px: i32,
    /// Mean gray value of the face, 0 to 255.
    pub light: f32,
    /// Sharpness of the face.
    pub sharpness: f32,
    /// The least sharpness that can be enrolled.
    pub least_sharpness: f32,
    /// What would be better; `None` when the face can be enrolled as it is.
    pub advice: Option<String>,
}

/// What the door sees, reduced.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The camera's frame number.
    pub sequence: u64,
    /// Time since the capture when it was packed, ms.
    pub age_ms: u64,
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Faces found, in pixels of this picture.
    pub faces: Vec<Rect>,
    /// How good the only face is for enrolment.
    pub aim: Option<FramingHints>,
    /// The attempt in progress.
    pub attempt: Attempt,
    /// The gray picture as JPEG in base64.
    pub jpeg: String,
}

// It shows people.
impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "View {{ sequence: {}, picture redacted }}", self.sequence)
    }
}

/// What `entries` answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entries {
    /// In their order; the first can be later than asked for, where older ones were retired.
    pub entries: Vec<Entry>,
    /// The last entry of the log.
    pub head: u64,
}

/// What `verify_log` answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// True when the chain holds from the first entry kept to the last.
    pub holds: bool,
    /// The first entry kept.
    pub first: Option<u64>,
    /// The last entry, where the chain holds.
    pub head: Option<Checkpoint>,
    /// Where and how it breaks.
    pub problem: Option<String>,
    /// When this was found, seconds since 1970; an answer may be a minute old.
    pub checked: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use facelatch_core::access::SubjectId;

    #[test]
    fn requests_are_plain_lines() {
        for (text, request) in [
            (
                r#"{"command":"enroll","name":"Ada"}"#,
                Request::Enroll {
                    name: Some("Ada".into()),
                    allow_duplicate: false,
                    existing: Existing::Refuse,
                    unlike: false,
                },
            ),
            (
                r#"{"command":"enroll","name":"Ada","existing":{"replace":3},"unlike":true}"#,
                Request::Enroll {
                    name: Some("Ada".into()),
                    allow_duplicate: false,
                    existing: Existing::Replace(SubjectId(3)),
                    unlike: true,
                },
            ),
            (r#"{"command":"people"}"#, Request::People {}),
            (r#"{"command":"secure"}"#, Request::Secure {}),
            (r#"{"command":"mode","mode":"secure"}"#, Request::Mode { mode: ModeCommand::Secure }),
            (
                r#"{"command":"watch","since":7,"picture":true}"#,
                Request::Watch { since: Some(7), picture: true },
            ),
            (
                r#"{"command":"report_refusal","what":"mode"}"#,
                Request::ReportRefusal { what: RefusedCommand::Mode },
            ),
        ] {
            assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
        }
        let both = [r#"{"command":"enrol","name":"Ada"}"#, r#"{"command":"enroll","name":"Ada"}"#];
        let [one, other] = both.map(|text| serde_json::from_str::<Request>(text).unwrap());
        assert_eq!(one, other, "either spelling");
        for bad in [r#"{"command":"open"}"#, r#"{"command":"people","x":1}"#, "[]", ""] {
            assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
        }
    }
}
