//! What goes over the daemon's Unix socket: one JSON object a line, both ways.
//!
//! A client sends one request and reads replies until `ok` or `error`; an enrolment sends `progress`
//! lines in between. A client that goes away cancels the enrolment it started.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::access::{Alarm, Mode, ModeCommand};
use crate::camera::Counters;
use crate::matching::{ModelHash, Note};

/// A longer request is refused: 100 templates of 512 values fit.
pub const MAX_REQUEST: u64 = 1 << 20;

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Enrol the next person before the camera.
    Enroll {
        /// The name; without one, a new one is made.
        name: Option<String>,
        /// Although the person looks like somebody enrolled already.
        #[serde(default, skip_serializing_if = "is_false")]
        anyway: bool,
    },
    /// Let the enrolment button work once.
    AllowEnrolment {
        /// Within so long.
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
        #[serde(default, skip_serializing_if = "is_false")]
        anyway: bool,
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
    /// Take in a person whom another board exported.
    Import {
        /// What `export` answered there.
        person: serde_json::Value,
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
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// How an enrolment goes on.
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
    },
}

impl Reply {
    /// A plain success.
    pub fn ok() -> Self {
        Reply::Ok { result: serde_json::Value::Null }
    }

    /// True for the reply that ends a request.
    pub fn is_last(&self) -> bool {
        !matches!(self, Reply::Progress { .. })
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
pub fn people(gallery: &crate::matching::Gallery) -> Vec<Person> {
    gallery
        .subjects()
        .iter()
        .map(|s| Person {
            id: s.id.0,
            name: s.name.clone(),
            enrolled: s.enrolled,
            templates: s.templates.len(),
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
    pub strike: crate::strike::StrikeState,
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
    /// True while the audit log is written; otherwise faces are denied (`audit.unrecorded`).
    pub audit_written: bool,
    /// Why nobody was let in the last time, in words.
    pub last_denial: Option<String>,
    /// The latest event as logged.
    pub last_event: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_plain_lines() {
        for (text, request) in [
            (
                r#"{"command":"enroll","name":"Ada"}"#,
                Request::Enroll { name: Some("Ada".into()), anyway: false },
            ),
            (r#"{"command":"people"}"#, Request::People {}),
            (r#"{"command":"secure"}"#, Request::Secure {}),
            (r#"{"command":"mode","mode":"secure"}"#, Request::Mode { mode: ModeCommand::Secure }),
        ] {
            assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
        }
        for bad in [r#"{"command":"open"}"#, r#"{"command":"people","x":1}"#, "[]", ""] {
            assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
        }
    }
}
