//! Commands from the broker: sorted where they come in, carried out by threads of their own.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use rumqttc::{Client, Publish, PublishOptions};

use super::homeassistant::{DoorNames, LOCK, PRESS, RetainedMessage, UNLOCK};
use super::settings::MqttConfig;
use crate::daemon_link::{DaemonLink, LONGEST_ENROLMENT, LinkError};
use crate::sync::Monitor;
use facelatch_core::access::ModeCommand;
use facelatch_protocol::{RefusedCommand, Request};

/// A command to unlock that could not be carried out within this comes too late.
const MAX_COMMAND_AGE: Duration = Duration::from_secs(5);
/// Unknown commands are answered and logged one at a time. Those that come faster than this are only counted.
const REFUSAL_INTERVAL: Duration = Duration::from_secs(1);
/// How often a thread that waits for a command looks whether it is over.
const TICK: Duration = Duration::from_secs(25);

/// The command for the lock that waits to be carried out. A later one takes its place, so that none to lock is
/// lost behind others.
pub(super) type LockOrder = Monitor<LockOrderState>;

#[derive(Default)]
pub(super) struct LockOrderState {
    pub(super) waits: Option<(String, Instant)>,
    pub(super) over: bool,
}

/// Sorts what comes in.
pub(super) struct CommandSorter {
    lock: Arc<LockOrder>,
    enrol: SyncSender<String>,
    worker: CommandWorker,
    /// When the last one that is none was answered, and how many were left out since.
    refused: Option<Instant>,
    more: u64,
}

impl CommandSorter {
    /// Commands go to the threads at the other ends of `lock` and `enrol`.
    pub(super) fn new(lock: Arc<LockOrder>, enrol: SyncSender<String>, worker: CommandWorker) -> Self {
        CommandSorter { lock, enrol, worker, refused: None, more: 0 }
    }

    /// Where events go, which the broker sends back when it is asked for the last one.
    pub(super) fn events(&self) -> String {
        self.worker.names.events()
    }

    /// Takes what came.
    pub(super) fn take(&mut self, publish: &Publish) {
        // This removes a retained message; it is not a command.
        if publish.payload.is_empty() {
            return;
        }
        let command = String::from_utf8_lossy(&publish.payload).into_owned();
        let for_lock = publish.topic == self.worker.names.command("lock").as_bytes();
        if publish.retain {
            // It would come at each connection.
            self.refuse(&command, "retained commands are not carried out: send it without the retain flag");
        } else if for_lock {
            match command.as_str() {
                LOCK | UNLOCK => self.lock.change(|now| now.waits = Some((command, Instant::now()))),
                _ => self.refuse(&command, "not a command for the lock: send UNLOCK or LOCK, in capitals"),
            }
        } else if command != PRESS {
            self.refuse(&command, "not a command for the enrol button: send PRESS, in capitals");
        } else if self.enrol.try_send(command).is_err() {
            self.refuse(PRESS, "an enrolment is in progress");
        }
    }

    /// Says that nothing was done, and why. However many come, states and events find room beside the answers.
    fn refuse(&mut self, command: &str, why: &str) {
        if self.refused.is_some_and(|last| last.elapsed() < REFUSAL_INTERVAL) {
            self.more += 1;
            return;
        }
        self.refused = Some(Instant::now());
        let more = std::mem::take(&mut self.more);
        let shown: String = command.chars().take(40).collect();
        log::warn!("event=mqtt_command_dropped command={shown:?} reason={why:?} more={more}");
        publish_answer(&self.worker.client, &self.worker.names.answer(command, Err(why)));
    }
}

pub(super) fn publish_answer(client: &Client, message: &RetainedMessage) {
    let options = PublishOptions::at_most_once();
    let _ = client.try_publish(&message.topic, message.payload.as_str(), options);
}

impl Drop for CommandSorter {
    fn drop(&mut self) {
        self.lock.change(|now| now.over = true);
    }
}

/// Carries commands out, as far as the door permits.
#[derive(Clone)]
pub(super) struct CommandWorker {
    pub(super) client: Client,
    pub(super) config: MqttConfig,
    pub(super) names: Arc<DoorNames>,
    pub(super) door: DaemonLink,
}

impl CommandWorker {
    pub(super) fn serve_lock(&self, orders: &LockOrder) {
        loop {
            let mut now = orders.wait_while(TICK, |now| now.waits.is_none() && !now.over);
            let Some((command, came)) = now.waits.take() else {
                if now.over {
                    return;
                }
                continue;
            };
            drop(now);
            if command == UNLOCK && came.elapsed() > MAX_COMMAND_AGE {
                let message = "the daemon did not answer in time".to_owned();
                self.answer(&command, &Err(LinkError::Refused { message }));
                continue;
            }
            let (request, what) = match command.as_str() {
                UNLOCK => {
                    let time = Duration::from_secs(self.config.unlock_s);
                    (Request::Mode { mode: ModeCommand::Unlock { time } }, RefusedCommand::Mode)
                }
                LOCK => (Request::Secure {}, RefusedCommand::Secure),
                _ => continue,
            };
            let outcome = if self.config.unlock {
                self.door.ask::<serde_json::Value>(&request).map(|_| "done".to_owned())
            } else {
                self.refuse("unlock", what)
            };
            self.answer(&command, &outcome);
        }
    }

    pub(super) fn serve_enrolment(&self, commands: &Receiver<String>) {
        for command in commands {
            let outcome =
                if self.config.enrol { self.enrol() } else { self.refuse("enrol", RefusedCommand::Enroll) };
            self.answer(&command, &outcome);
        }
    }

    /// What the gateway's own configuration does not grant is in the door's audit log, too.
    fn refuse(&self, key: &str, what: RefusedCommand) -> Result<String, LinkError> {
        if let Err(error) = self.door.ask::<serde_json::Value>(&Request::ReportRefusal { what }) {
            log::error!(
                "event=mqtt_refusal_not_recorded command={} reason={:?}",
                what.name(),
                error.to_string()
            );
        }
        let message = format!("not allowed: mqtt.{key} = false in the gateway's configuration");
        Err(LinkError::Refused { message })
    }

    fn enrol(&self) -> Result<String, LinkError> {
        let show = |words: &str| {
            let message = self.names.enrolment(words);
            let options = PublishOptions::at_most_once().retained();
            let _ = self.client.try_publish(message.topic, message.payload, options);
        };
        show("waiting for somebody in front of the camera");
        let (allow_duplicate, existing, unlike) = Default::default();
        let request = Request::Enroll { name: None, allow_duplicate, existing, unlike };
        let outcome = self.door.ask_with(
            &request,
            LONGEST_ENROLMENT,
            || false,
            |words| {
                show(words);
                ControlFlow::Continue(())
            },
        );
        let outcome = outcome.map(|done| format!("enrolled {}", done["name"].as_str().unwrap_or_default()));
        match &outcome {
            Ok(words) => show(words),
            Err(error) => show(&error.to_string()),
        }
        outcome
    }

    fn answer(&self, command: &str, outcome: &Result<String, LinkError>) {
        let words = outcome.as_ref().map_err(ToString::to_string);
        match &words {
            Ok(_) => log::info!("event=mqtt_command command={command}"),
            Err(words) => log::warn!("event=mqtt_command_refused command={command} reason={words:?}"),
        }
        let said = words.as_ref().map(|words| words.as_str()).map_err(String::as_str);
        publish_answer(&self.client, &self.names.answer(command, said));
    }
}
