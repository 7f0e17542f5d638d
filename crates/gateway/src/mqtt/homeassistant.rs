//! What Home Assistant gets: discovery, states, events. Pure.
//!
//! The fields are those of Home Assistant's documentation of its MQTT integration, one message an entity
//! (`<prefix>/<component>/<node>/<object>/config`), which every version since 2021.12 reads.

use serde_json::{Value, json};

use facelatch_audit::Entry;
use facelatch_core::access::Alarm;
use facelatch_core::strike::StrikeState;
use facelatch_protocol::Status;

/// The payload of the topic `availability` while gateway and daemon run.
pub const ONLINE: &str = "online";
/// The same otherwise; also the last will.
pub const OFFLINE: &str = "offline";
/// Commands for the topic `lock/set`.
pub const UNLOCK: &str = "UNLOCK";
/// Secures the strike.
pub const LOCK: &str = "LOCK";
/// The kinds of events, which Home Assistant wants to know beforehand: it drops every other one. The audit log's
/// names, and [`OTHER`] for those that a later version adds.
const KINDS: &[&str] = &[
    "alarm",
    "alarm_over",
    "button_refused",
    "clock",
    "command",
    "cut",
    "deny",
    "disabled",
    "door_closed",
    "door_opened",
    "enabled",
    "enrol_allowed",
    "enrol_failed",
    "enrol_refused",
    "enrol_started",
    "enrolled",
    "erased",
    "exported",
    "fault",
    "key_rotated",
    "locked_out",
    "lockout_cleared",
    "lockout_over",
    "look_added",
    "lost",
    "mode",
    "noted",
    "refused",
    "release",
    "removed",
    "renamed",
    "restored",
    "rollback_accepted",
    "rolled_back",
    "secured",
    "started",
    "state",
    "stopped",
    OTHER,
];
/// The kind of an event that is in no list; its name is in `event`.
const OTHER: &str = "other";
/// Characters of a command that its answer repeats.
const COMMAND: usize = 64;
/// Characters of an event's detail; escaped they take up to six times as many bytes of a packet.
const DETAIL: usize = 2_000;
/// The command for the topic `enrol/set`.
pub const PRESS: &str = "PRESS";

/// A retained message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedMessage {
    /// The topic.
    pub topic: String,
    /// What it says; nothing removes what is retained there.
    pub payload: String,
}

/// What the door offers, which decides the entities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// Configuration and daemon grant unlocking.
    pub unlock: bool,
    /// Configuration and daemon grant enrolment.
    pub enrol: bool,
    /// A contact tells whether the door stands open.
    pub contact: bool,
}

/// What Home Assistant shows of the door's board.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// What people call the door.
    pub name: String,
    /// Where its page is, if others can reach it.
    pub page: Option<String>,
    /// Which board it is.
    pub serial: Option<String>,
}

/// The names of a door.
#[derive(Clone, Debug)]
pub struct DoorNames {
    /// In topics and ids.
    pub door: String,
    /// The board, and the door's name for people.
    pub device: Device,
    /// Home Assistant's discovery prefix.
    pub prefix: String,
}

impl DoorNames {
    /// A topic of this door.
    pub fn topic(&self, of: &str) -> String {
        format!("facelatch/{}/{of}", self.door)
    }

    fn message(&self, of: &str, payload: impl Into<String>) -> RetainedMessage {
        RetainedMessage { topic: self.topic(of), payload: payload.into() }
    }

    /// Where a command comes in.
    pub fn command(&self, of: &str) -> String {
        self.topic(&format!("{of}/set"))
    }

    /// Gateway and daemon run, or not.
    pub fn availability(&self, online: bool) -> RetainedMessage {
        self.message("availability", if online { ONLINE } else { OFFLINE })
    }

    /// What was enrolled, or what the person before the camera should do.
    pub fn enrolment(&self, words: &str) -> RetainedMessage {
        // Home Assistant keeps no longer state.
        self.message("enrolment", words.chars().take(255).collect::<String>())
    }

    /// Every entity; those that are not offered with an empty payload, which removes them.
    pub fn discovery(&self, offers: Offers) -> Vec<RetainedMessage> {
        let topic = |of| self.topic(of);
        let problem =
            |name, of| json!({ "name": name, "device_class": "problem", "state_topic": self.topic(of) });
        let entities = [
            ("lock", "lock", offers.unlock, {
                json!({
                    "name": "Lock",
                    "state_topic": topic("lock"),
                    "command_topic": self.command("lock"),
                    "payload_lock": LOCK,
                    "payload_unlock": UNLOCK,
                    "state_locked": "LOCKED",
                    "state_unlocked": "UNLOCKED",
                    "optimistic": false,
                    // A retained command would open the door at each connection.
                    "retain": false,
                })
            }),
            // Home Assistant's lock has no form without commands.
            ("binary_sensor", "lock_state", !offers.unlock, {
                json!({
                    "name": "Lock",
                    "device_class": "lock",
                    "state_topic": topic("lock"),
                    "payload_on": "UNLOCKED",
                    "payload_off": "LOCKED",
                })
            }),
            ("binary_sensor", "door", offers.contact, {
                json!({ "name": "Door", "device_class": "door", "state_topic": topic("door") })
            }),
            ("binary_sensor", "forced_open", offers.contact, {
                json!({ "name": "Forced open", "device_class": "tamper", "state_topic": topic("forced_open") })
            }),
            ("binary_sensor", "held_open", offers.contact, problem("Held open", "held_open")),
            ("binary_sensor", "lockout", true, problem("Lockout", "lockout")),
            ("binary_sensor", "camera", true, problem("Camera", "camera")),
            ("sensor", "event", true, {
                json!({
                    "name": "Last event",
                    "icon": "mdi:door",
                    "state_topic": topic("event"),
                    "value_template": "{{ value_json.event }}",
                    "json_attributes_topic": topic("event"),
                    "qos": 2,
                })
            }),
            // Where a sensor's state comes back after an outage as if it had happened again, an event's does not:
            // Home Assistant does not count as an event what the broker had retained. It has no `availability_topic`, so
            // that the door's absence does not change its state either.
            ("event", "happened", true, {
                json!({
                    "name": "Event",
                    "icon": "mdi:door",
                    "state_topic": topic("event"),
                    "event_types": KINDS,
                    "qos": 2,
                })
            }),
            ("sensor", "enrolment", offers.enrol, {
                json!({ "name": "Enrolment", "icon": "mdi:account-plus", "state_topic": topic("enrolment") })
            }),
            ("button", "enrol", offers.enrol, {
                json!({
                    "name": "Enrol the next person",
                    "icon": "mdi:account-plus",
                    "command_topic": self.command("enrol"),
                    "payload_press": PRESS,
                    "retain": false,
                })
            }),
        ];
        let node = format!("facelatch_{}", self.door);
        let message = |(component, object, offered, mut entity): (&str, &str, bool, Value)| {
            entity["unique_id"] = json!(format!("{node}_{object}"));
            if component != "event" {
                entity["availability_topic"] = json!(topic("availability"));
            }
            entity["device"] = json!({
                "identifiers": [node],
                "name": self.device.name,
                "manufacturer": "facelatch",
                "model": "face door controller",
                "sw_version": env!("CARGO_PKG_VERSION"),
            });
            let shown = [("configuration_url", &self.device.page), ("serial_number", &self.device.serial)];
            for (field, value) in shown {
                if let Some(value) = value {
                    entity["device"][field] = json!(value);
                }
            }
            entity["origin"] = json!({ "name": "facelatch", "sw_version": env!("CARGO_PKG_VERSION") });
            let payload = if offered { entity.to_string() } else { String::new() };
            RetainedMessage { topic: format!("{}/{component}/{node}/{object}/config", self.prefix), payload }
        };
        entities.into_iter().map(message).collect()
    }

    /// How the door is, one topic an entity.
    pub fn states(&self, status: &Status) -> Vec<RetainedMessage> {
        let flag = |of, on: bool| self.message(of, if on { "ON" } else { "OFF" });
        let lock = match status.strike {
            StrikeState::Secured => "LOCKED",
            StrikeState::Released => "UNLOCKED",
        };
        let mut states = vec![
            self.message("lock", lock),
            flag("forced_open", status.alarm == Some(Alarm::ForcedOpen)),
            flag("held_open", status.alarm == Some(Alarm::HeldOpen)),
            flag("lockout", status.lockout_left_s.is_some()),
            flag("camera", !status.camera_delivers),
        ];
        states.extend(status.door_open.map(|open| flag("door", open)));
        states
    }

    /// Where events go.
    pub fn events(&self) -> String {
        self.topic("event")
    }

    /// An entry of the audit log as an event: without similarity and hashes, which are the door's own
    /// business; people are ids.
    pub fn event(&self, entry: &Entry) -> RetainedMessage {
        let at = i64::try_from(entry.wall_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let kind = KINDS.iter().copied().find(|kind| *kind == entry.event).unwrap_or(OTHER);
        let mut event = json!({ "seq": entry.seq, "event": entry.event, "event_type": kind });
        let parts = [
            ("time", at.map(|at| json!(format!("{at:.3}")))),
            ("subject", entry.subject.map(|subject| json!(subject.0))),
            (
                "detail",
                entry.detail.as_ref().map(|text| json!(text.chars().take(DETAIL).collect::<String>())),
            ),
        ];
        for (name, value) in parts {
            if let Some(value) = value {
                event[name] = value;
            }
        }
        self.message("event", event.to_string())
    }

    /// What came of a command.
    pub fn answer(&self, command: &str, outcome: Result<&str, &str>) -> RetainedMessage {
        let (Ok(words) | Err(words)) = outcome;
        let command: String = command.chars().take(COMMAND).collect();
        let answer = json!({ "command": command, "done": outcome.is_ok(), "message": words });
        self.message("answer", answer.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use facelatch_audit::Hash;
    use facelatch_core::access::SubjectId;

    fn names() -> DoorNames {
        let device = Device { name: "Front door".into(), ..Device::default() };
        DoorNames { door: "front".into(), device, prefix: "homeassistant".into() }
    }

    fn said(messages: &[RetainedMessage], of: &str) -> Option<String> {
        let topic = names().topic(of);
        messages.iter().find(|m| m.topic == topic).map(|m| m.payload.clone())
    }

    #[test]
    fn each_state_has_its_topic() {
        let quiet = names().states(&Status::example());
        for (of, payload) in [
            ("lock", "LOCKED"),
            ("forced_open", "OFF"),
            ("held_open", "OFF"),
            ("lockout", "OFF"),
            ("camera", "OFF"),
        ] {
            assert_eq!(said(&quiet, of).as_deref(), Some(payload), "{of}");
        }
        assert_eq!(said(&quiet, "door"), None, "without a contact nothing is known");
        let busy = names().states(&Status {
            strike: StrikeState::Released,
            door_open: Some(true),
            alarm: Some(Alarm::HeldOpen),
            lockout_left_s: Some(3),
            camera_delivers: false,
            ..Status::example()
        });
        for (of, payload) in [
            ("lock", "UNLOCKED"),
            ("door", "ON"),
            ("forced_open", "OFF"),
            ("held_open", "ON"),
            ("lockout", "ON"),
            ("camera", "ON"),
        ] {
            assert_eq!(said(&busy, of).as_deref(), Some(payload), "{of}");
        }
        let forced = names().states(&Status { alarm: Some(Alarm::ForcedOpen), ..Status::example() });
        assert_eq!(said(&forced, "forced_open").as_deref(), Some("ON"));
    }

    #[test]
    fn a_command_topic_is_shown_only_where_it_is_granted() {
        let commands = |offers| -> Vec<String> {
            let said = names().discovery(offers).into_iter().filter(|m| m.payload.contains("command_topic"));
            said.map(|m| m.topic).collect()
        };
        assert!(commands(Offers { contact: true, ..Offers::default() }).is_empty());
        let all = Offers { unlock: true, enrol: true, contact: true };
        assert_eq!(
            commands(all),
            [
                "homeassistant/lock/facelatch_front/lock/config",
                "homeassistant/button/facelatch_front/enrol/config"
            ]
        );
        // The same topics whatever is offered: what is not is removed.
        let topics = |offers| names().discovery(offers).into_iter().map(|m| m.topic).collect::<Vec<_>>();
        assert_eq!(topics(all), topics(Offers::default()));
    }

    #[test]
    fn an_event_has_its_number_and_nothing_biometric() {
        let entry = Entry {
            seq: 12,
            synced: 11,
            wall_ms: 1_790_000_000_123,
            mono_ns: 5,
            event: "release".into(),
            subject: Some(SubjectId(3)),
            similarity: Some(0.75),
            detail: Some("cause=identified".into()),
            after: None,
            marks: None,
            model: Hash::ZERO,
            config: Hash::ZERO,
        };
        assert_eq!(
            serde_json::from_str::<Value>(&names().event(&entry).payload).unwrap(),
            json!({
                "seq": 12,
                "event": "release",
                "event_type": "release",
                "time": "2026-09-21T14:13:20.123Z",
                "subject": 3,
                "detail": "cause=identified",
            })
        );
        let odd = Entry { detail: Some("\u{1}".repeat(50_000)), ..entry.clone() };
        assert!(names().event(&odd).payload.len() < 14_000, "it fits a packet");
        // Home Assistant drops an event of a kind that it was not told of.
        let new = Entry { event: "of_a_later_version".into(), ..entry };
        let said: Value = serde_json::from_str(&names().event(&new).payload).unwrap();
        assert_eq!((&said["event"], &said["event_type"]), (&json!("of_a_later_version"), &json!(OTHER)));
    }

    #[test]
    fn the_device_says_which_board_and_page_where_there_are_such() {
        let device = |names: &DoorNames| -> Value {
            let said = names.discovery(Offers::default());
            serde_json::from_str(&said.iter().find(|m| !m.payload.is_empty()).unwrap().payload).unwrap()
        };
        let bare = device(&names());
        assert!(
            bare["device"].get("configuration_url").is_none()
                && bare["device"].get("serial_number").is_none()
        );
        let page = Some("https://door.local:8430/".to_owned());
        let device = device(&DoorNames {
            device: Device { page, serial: Some("10000000abcd1234".into()), ..names().device },
            ..names()
        });
        assert_eq!(device["device"]["configuration_url"], json!("https://door.local:8430/"));
        assert_eq!(device["device"]["serial_number"], json!("10000000abcd1234"));
        assert_eq!(device["device"]["name"], json!("Front door"));
    }

    #[test]
    fn an_answer_repeats_no_more_than_the_beginning_of_a_command() {
        let said = names().answer(&"x".repeat(10_000), Err("no"));
        let said: Value = serde_json::from_str(&said.payload).unwrap();
        assert_eq!(said, json!({ "command": "x".repeat(COMMAND), "done": false, "message": "no" }));
    }
}
