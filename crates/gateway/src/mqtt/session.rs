//! One connection to the broker, from its beginning to its loss.
//!
//! The client library keeps nothing over connections: each has a client of its own, a clean session, and
//! begins with the event behind the last one acknowledged. So there is one memory of what was delivered. Whether
//! the one event that was in progress when a connection was lost has arrived is asked of the broker, which retains
//! the last.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use rumqttc::{Broker, Client, LastWill, MqttOptions, PublishOptions, QoS};

use super::commands::{CommandSorter, CommandWorker, LockOrder, publish_answer};
use super::connect;
use super::connection::{BrokerLink, SILENCE, drive};
use super::homeassistant::{DoorNames, Offers, RetainedMessage};
use super::inbox::{Inbox, Next};
use super::settings::MqttConfig;
use super::setup::Mqtt;
use crate::daemon_link::{DaemonLink, LinkError, StopSignal, WatchOptions};
use crate::spawn;
use facelatch_audit::Entry;
use facelatch_protocol::{Entries, Hello, Request, Right, State};

/// Seconds between two signs of life.
const KEEP_ALIVE: u16 = 10;
/// Messages that may wait in the client; all states and entities together are fewer.
const QUEUE: usize = 64;
/// The largest packet taken; ours are smaller.
const MAX_PACKET: usize = 16 * 1024;
/// No commands are taken for this long after a larger one: if it comes back at each connection, states and
/// events still get through.
const OVERSIZE_BACKOFF: Duration = Duration::from_secs(600);
/// For what is in progress when the gateway ends.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The broker's answer to what it retains comes within this, or it retains nothing.
const RECALL_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two looks at what the door says, while there is something else to wait for.
const TICK: Duration = Duration::from_millis(200);
/// Between two tries to reach the daemon.
const DOOR_PAUSE: Duration = Duration::from_secs(1);

/// How a connection ended.
pub(super) struct SessionEnd {
    /// There was one.
    pub was_up: bool,
    /// In words.
    pub reason: String,
}

/// The connection is lost, or given up.
struct Lost;

/// Connects and serves until the connection is lost or `stop`.
pub(super) fn run(mqtt: &mut Mqtt, door: &DaemonLink, stop: &StopSignal) -> SessionEnd {
    let link = Arc::new(BrokerLink::default());
    let config = mqtt.config.clone();
    let built = Client::builder(options(mqtt)).capacity(QUEUE).try_build();
    let (client, connection) = match built {
        Ok(built) => built,
        Err(error) => return SessionEnd { was_up: false, reason: error.to_string() },
    };
    let names = Arc::new(mqtt.names());
    let worker = CommandWorker {
        client: client.clone(),
        config: config.clone(),
        names: Arc::clone(&names),
        door: door.clone(),
    };
    // Enrolments do not queue: by the time one runs, somebody else may stand there.
    let (locks, enrolments) = (Arc::new(LockOrder::default()), sync_channel(0));
    let driven = Arc::clone(&link);
    let commands = CommandSorter::new(Arc::clone(&locks), enrolments.0, worker.clone());
    let lock_worker = worker.clone();
    let host = mqtt.host.clone();
    let started = spawn("mqtt-broker", move || drive(connection, &driven, commands, &config, &host))
        .and_then(|_| spawn("mqtt-lock", move || lock_worker.serve_lock(&locks)))
        .and_then(|_| spawn("mqtt-enrol", move || worker.serve_enrolment(&enrolments.1)));
    if let Err(error) = started {
        link.lose(error);
    }

    let was_up = link.wait(SILENCE, |now| now.up);
    if was_up {
        log::info!("event=mqtt_connected broker={:?}", mqtt.host);
        let mut session = Session {
            mqtt,
            names: &names,
            client: &client,
            link: &link,
            stop,
            listens: false,
            shown: HashMap::new(),
            retained: None,
        };
        if session.serve(door).is_ok() && stop.is_set() {
            let _ = session.show([names.availability(false)]);
        }
    }
    let _ = client.try_disconnect_with_timeout(DISCONNECT_TIMEOUT);
    link.wait(DISCONNECT_TIMEOUT, |_| false);
    if !link.is_down() {
        // Without waiting for anything: the thread that drives the connection must end.
        let _ = client.try_disconnect_now();
    }
    let reason = link.lock().down.clone();
    if link.lock().too_large {
        log::error!("event=mqtt_command_too_large reason={:?}", too_large(&names));
        mqtt.commands_off_until = Some(Instant::now() + OVERSIZE_BACKOFF);
    }
    SessionEnd { was_up, reason: reason.unwrap_or_else(|| "the broker does not answer".to_owned()) }
}

fn too_large(names: &DoorNames) -> String {
    format!(
        "a message of more than {MAX_PACKET} bytes came to {}, {} or {}: commands are ignored for {} s",
        names.command("lock"),
        names.command("enrol"),
        names.events(),
        OVERSIZE_BACKOFF.as_secs()
    )
}

fn options(mqtt: &Mqtt) -> MqttOptions {
    let config = &mqtt.config;
    let mut options =
        MqttOptions::new(format!("facelatch-{}", config.door), Broker::tcp(&mqtt.host, config.port));
    let will = mqtt.names().availability(false);
    options
        .set_keep_alive(KEEP_ALIVE)
        .set_clean_session(true)
        .set_max_packet_size(MAX_PACKET, MAX_PACKET)
        .set_last_will(LastWill::new(will.topic, will.payload, QoS::AtLeastOnce, true));
    connect::dial(&mut options, &mqtt.host, config.port, mqtt.tls.clone());
    if let Some((name, password)) = &mqtt.login {
        options.set_credentials(name, password.as_bytes().to_vec());
    }
    options
}

struct Session<'a> {
    mqtt: &'a mut Mqtt,
    names: &'a DoorNames,
    client: &'a Client,
    link: &'a BrokerLink,
    stop: &'a StopSignal,
    /// Commands come.
    listens: bool,
    /// What is retained at the broker by this connection.
    shown: HashMap<String, String>,
    /// The event that the broker retained when the connection began, unless there was no need to ask.
    retained: Option<String>,
}

impl Session<'_> {
    fn is_over(&self) -> bool {
        self.link.is_down() || self.stop.is_set()
    }

    fn send(&self, message: RetainedMessage, qos: QoS) -> Result<(), Lost> {
        let options = PublishOptions::new(qos).retained();
        self.client.try_publish(message.topic, message.payload, options).map_err(|error| {
            self.link.lose(format!("the broker does not keep up: {error}"));
            Lost
        })
    }

    /// Tells what has changed.
    fn show(&mut self, messages: impl IntoIterator<Item = RetainedMessage>) -> Result<(), Lost> {
        for message in messages {
            if self.shown.get(&message.topic) != Some(&message.payload) {
                self.shown.insert(message.topic.clone(), message.payload.clone());
                self.send(message, QoS::AtMostOnce)?;
            }
        }
        Ok(())
    }

    fn serve(&mut self, door: &DaemonLink) -> Result<(), Lost> {
        let config = self.mqtt.config.clone();
        let mut told = false;
        self.recall()?;
        if self.commands_are_off() {
            let words = too_large(self.names);
            publish_answer(self.client, &self.names.answer("", Err(&words)));
        }
        while !self.is_over() {
            self.listen()?;
            if let Err(error) = self.follow(door, &config) {
                self.show([self.names.availability(false)])?;
                if !std::mem::replace(&mut told, true) {
                    log::warn!("event=mqtt_without_door reason={:?}", error.to_string());
                }
            } else {
                told = false;
            }
            self.link.wait(DOOR_PAUSE, |_| self.stop.is_set());
        }
        Ok(())
    }

    fn commands_are_off(&self) -> bool {
        self.mqtt.commands_off_until.is_some_and(|until| Instant::now() < until)
    }

    /// Asks the broker which event it has as the last one, if there may be one in progress of which it is not
    /// known whether it arrived.
    fn recall(&mut self) -> Result<(), Lost> {
        if !self.mqtt.doubtful || self.commands_are_off() {
            return Ok(());
        }
        let topic = self.names.events();
        self.client.try_subscribe(&topic, QoS::AtMostOnce).map_err(|_| Lost)?;
        self.link.wait(RECALL_TIMEOUT, |now| now.retained.is_some());
        self.client.try_unsubscribe(topic).map_err(|_| Lost)?;
        self.retained = self.link.lock().retained.take();
        Ok(())
    }

    /// Subscribes to commands, unless they are not taken at present.
    fn listen(&mut self) -> Result<(), Lost> {
        if self.listens || self.commands_are_off() {
            return Ok(());
        }
        for of in ["lock", "enrol"] {
            let topic = self.names.command(of);
            // A retained command would come at each connection: remove it.
            self.send(RetainedMessage { topic: topic.clone(), payload: String::new() }, QoS::AtMostOnce)?;
            // At most once: a command is carried out when it comes or not at all, and never waits at the broker.
            self.client.try_subscribe(topic, QoS::AtMostOnce).map_err(|_| Lost)?;
        }
        self.listens = true;
        Ok(())
    }

    /// Passes on what the door says, until it or the broker is lost.
    fn follow(&mut self, door: &DaemonLink, config: &MqttConfig) -> Result<(), LinkError> {
        let hello = door.hello()?;
        for (granted, right) in [(config.unlock, Right::Release), (config.enrol, Right::Enrol)] {
            if granted && !hello.rights.contains(&right) {
                log::warn!("event=mqtt_right_missing right={}", right.name());
            }
        }
        let since = match self.mqtt.delivered.number() {
            Some(number) => number,
            None => {
                // The first time: events from now on.
                let entries: Entries = door.ask(&Request::Entries { since: u64::MAX, limit: 0 })?;
                self.mqtt.delivered.set(entries.head);
                entries.head
            }
        };
        let inbox = Arc::new(Inbox::default());
        let (own, link) = (Arc::clone(&inbox), door.clone());
        let started = spawn("mqtt-door", move || {
            let alone = || Arc::strong_count(&own) < 2;
            let outcome = link.watch(WatchOptions { since: Some(since), picture: false }, alone, |update| {
                own.put(update);
                if alone() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            own.change(|now| now.ended = Some(outcome));
        });
        started.map_err(|e| LinkError::Refused { message: e.to_string() })?;
        let told = |session: &mut Self, state: &State| session.tell(config, &hello, state);
        while !self.is_over() {
            let outcome = match inbox.next(TICK) {
                Next::State(state) => told(self, &state),
                Next::Entry(entry) => self
                    .deliver(&entry, |session| inbox.state().map_or(Ok(()), |state| told(session, &state))),
                Next::Ended(outcome) => return outcome,
                Next::Nothing => Ok(()),
            };
            if outcome.is_err() {
                break;
            }
        }
        Ok(())
    }

    fn tell(&mut self, config: &MqttConfig, hello: &Hello, state: &State) -> Result<(), Lost> {
        let offers = Offers {
            unlock: config.unlock && hello.rights.contains(&Right::Release),
            enrol: config.enrol && hello.rights.contains(&Right::Enrol),
            contact: state.status.door_open.is_some(),
        };
        self.listen()?;
        self.show(self.names.discovery(offers))?;
        self.show(self.names.states(&state.status))?;
        self.show([self.names.availability(true)])
    }

    /// On return the broker has it. `meanwhile` is done now and then until that.
    fn deliver(
        &mut self,
        entry: &Entry,
        meanwhile: impl Fn(&mut Self) -> Result<(), Lost>,
    ) -> Result<(), Lost> {
        let event = self.names.event(entry);
        // Only the first can have been in progress; and it is the same to the letter, or somebody else's.
        if self.retained.take().is_some_and(|retained| retained == event.payload) {
            log::debug!("event=mqtt_event_had_arrived number={}", entry.seq);
            self.mqtt.delivered.set(entry.seq);
            self.mqtt.doubtful = false;
            return Ok(());
        }
        let before = self.link.lock().acknowledged;
        self.mqtt.doubtful = true;
        self.send(event, QoS::ExactlyOnce)?;
        let began = Instant::now();
        while !self.link.wait(TICK, |now| now.acknowledged > before) {
            meanwhile(self)?;
            if self.is_over() {
                return Err(Lost);
            }
            if began.elapsed() > SILENCE {
                self.link.lose("the broker does not acknowledge");
                return Err(Lost);
            }
        }
        self.mqtt.delivered.set(entry.seq);
        self.mqtt.doubtful = false;
        Ok(())
    }
}
