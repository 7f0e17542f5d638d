//! One connection to the broker, from its beginning to its loss.
//!
//! The client library keeps nothing over connections: each has a client of its own, a clean session, and
//! begins with the event behind the last one acknowledged. So there is one memory of what was delivered. Whether
//! the one event that was under way when a connection was lost has arrived is asked of the broker, which retains
//! the last.

use std::collections::{HashMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{
    Broker, Client, Connection, ConnectionError, LastWill, MqttOptions, Outgoing, Packet, Publish,
    PublishOptions, QoS, StateError,
};

use super::homeassistant::{LOCK, Message, Names, Offers, PRESS, UNLOCK};
use super::{Mqtt, MqttConfig, connect};
use crate::daemon_link::{DoorLink, LONGEST_ENROLMENT, LinkError, News, Stop, Want};
use crate::spawn;
use facelatch_audit::Entry;
use facelatch_core::access::ModeCommand;
use facelatch_protocol::{Entries, Hello, RefusedCommand, Request, Right, State};

/// Seconds between two signs of life.
const KEEP_ALIVE: u16 = 10;
/// A broker that is silent for longer is lost.
const SILENCE: Duration = Duration::from_secs(25);
/// As many messages wait in the client; all states and entities together are fewer.
const QUEUE: usize = 64;
/// Larger packets are none of ours.
const MAX_PACKET: usize = 16 * 1024;
/// After a larger one no commands are taken for so long: if it comes at each connection, states and events
/// go on without it.
const DEAF: Duration = Duration::from_secs(600);
/// As many entries of the audit log wait here; those behind them wait in the log.
const BACKLOG: usize = 256;
/// A command to unlock that could not be carried out within this comes too late.
const FRESH: Duration = Duration::from_secs(5);
/// Commands that are none are answered and logged one at a time; of those that come faster than this, only their
/// number is.
const ONE_REFUSAL: Duration = Duration::from_secs(1);
/// For what is under way when the gateway ends.
const PARTING: Duration = Duration::from_secs(2);
/// The broker's answer to what it retains comes within this, or it retains nothing.
const RECALL: Duration = Duration::from_secs(2);
/// Between two looks at what the door says, while there is something else to wait for.
const TICK: Duration = Duration::from_millis(200);
/// Between two tries to reach the daemon.
const DOOR_PAUSE: Duration = Duration::from_secs(1);

/// How a connection ended.
pub(super) struct Ended {
    /// There was one.
    pub was_up: bool,
    /// In words.
    pub reason: String,
}

/// What one thread changes and another waits for.
#[derive(Default)]
struct Watched<T> {
    now: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    fn now(&self) -> MutexGuard<'_, T> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.now());
        self.changed.notify_all();
    }

    /// Waits until not `idle`, or the end of the time.
    fn wait_while(&self, time: Duration, idle: impl FnMut(&mut T) -> bool) -> MutexGuard<'_, T> {
        let now = self.changed.wait_timeout_while(self.now(), time, idle);
        now.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// What the thread that drives the connection tells the others.
type Line = Watched<LineNow>;

#[derive(Default)]
struct LineNow {
    up: bool,
    down: Option<String>,
    /// Events that the broker has taken.
    acknowledged: u64,
    /// The event that the broker retains.
    retained: Option<String>,
    /// Something came that is larger than [`MAX_PACKET`].
    too_large: bool,
}

impl Line {
    fn lose(&self, reason: impl ToString) {
        self.change(|now| {
            now.down.get_or_insert_with(|| reason.to_string());
        });
    }

    /// Waits until `done`, the loss of the connection, or the end of the time; true for the first.
    fn wait(&self, time: Duration, done: impl Fn(&LineNow) -> bool) -> bool {
        done(&self.wait_while(time, |now| !done(now) && now.down.is_none()))
    }

    fn is_down(&self) -> bool {
        self.now().down.is_some()
    }
}

/// What the door has said and the broker has not been told yet. A broker that is slow must not keep the
/// thread that reads, or the daemon drops it.
type Inbox = Watched<InboxNow>;

#[derive(Default)]
struct InboxNow {
    /// The latest.
    state: Option<Box<State>>,
    entries: VecDeque<Box<Entry>>,
    /// There was no room for an entry, and none is taken any more.
    full: bool,
    ended: Option<Result<(), LinkError>>,
}

/// What is to be done next.
enum Next {
    State(Box<State>),
    Entry(Box<Entry>),
    Ended(Result<(), LinkError>),
    Nothing,
}

impl Inbox {
    fn put(&self, news: News) {
        self.change(|now| match news {
            News::State(state) => now.state = Some(state),
            News::Entry(entry) => {
                now.full |= now.entries.len() >= BACKLOG;
                if !now.full {
                    now.entries.push_back(entry);
                }
            }
            News::Up(_) | News::Down(_) | News::View(_) => {}
        });
    }

    fn state(&self) -> Option<Box<State>> {
        self.now().state.take()
    }

    /// States before entries; those that found no room are asked for anew, behind those at hand.
    fn next(&self, wait: Duration) -> Next {
        let mut now = self.wait_while(wait, |now| {
            now.state.is_none() && now.entries.is_empty() && !now.full && now.ended.is_none()
        });
        if let Some(state) = now.state.take() {
            Next::State(state)
        } else if let Some(entry) = now.entries.pop_front() {
            Next::Entry(entry)
        } else if now.full {
            Next::Ended(Ok(()))
        } else {
            now.ended.take().map_or(Next::Nothing, Next::Ended)
        }
    }
}

/// The command for the lock that waits to be carried out. A later one takes its place, so that none to lock is
/// lost behind others.
type LockOrder = Watched<LockOrderNow>;

#[derive(Default)]
struct LockOrderNow {
    waits: Option<(String, Instant)>,
    over: bool,
}

/// The connection is lost, or given up.
struct Lost;

/// Connects and serves until the connection is lost or `stop`.
pub(super) fn run(mqtt: &mut Mqtt, door: &DoorLink, stop: &Stop) -> Ended {
    let line = Arc::new(Line::default());
    let config = mqtt.config.clone();
    let built = Client::builder(options(mqtt)).capacity(QUEUE).try_build();
    let (client, connection) = match built {
        Ok(built) => built,
        Err(error) => return Ended { was_up: false, reason: error.to_string() },
    };
    let names = Arc::new(mqtt.names());
    let desk = Desk {
        client: client.clone(),
        config: config.clone(),
        names: Arc::clone(&names),
        door: door.clone(),
    };
    // None waits to enrol: whoever stands there when it is carried out is not who was meant.
    let (locks, enrolments) = (Arc::new(LockOrder::default()), sync_channel(0));
    let pumped = Arc::clone(&line);
    let commands = Commands {
        lock: Arc::clone(&locks),
        enrol: enrolments.0,
        desk: desk.clone(),
        refused: None,
        more: 0,
    };
    let lock_desk = desk.clone();
    let host = mqtt.host.clone();
    let started = spawn("mqtt-line", move || pump(connection, &pumped, commands, &config, &host))
        .and_then(|_| spawn("mqtt-lock", move || lock_desk.serve_lock(&locks)))
        .and_then(|_| spawn("mqtt-enrol", move || desk.serve_enrolment(&enrolments.1)));
    if let Err(error) = started {
        line.lose(error);
    }

    let was_up = line.wait(SILENCE, |now| now.up);
    if was_up {
        log::info!("event=mqtt_connected broker={:?}", mqtt.host);
        let mut session = Session {
            mqtt,
            names: &names,
            client: &client,
            line: &line,
            stop,
            listens: false,
            shown: HashMap::new(),
            retained: None,
        };
        if session.serve(door).is_ok() && stop.is_set() {
            let _ = session.show([names.availability(false)]);
        }
    }
    let _ = client.try_disconnect_with_timeout(PARTING);
    line.wait(PARTING, |_| false);
    if !line.is_down() {
        // Without waiting for anything: the thread that drives the connection must end.
        let _ = client.try_disconnect_now();
    }
    let reason = line.now().down.clone();
    if line.now().too_large {
        log::error!("event=mqtt_command_too_large reason={:?}", too_large(&names));
        mqtt.deaf_until = Some(Instant::now() + DEAF);
    }
    Ended { was_up, reason: reason.unwrap_or_else(|| "the broker does not answer".to_owned()) }
}

fn too_large(names: &Names) -> String {
    format!(
        "a message of more than {MAX_PACKET} bytes came to {}, {} or {}: commands are not taken for {} s",
        names.command("lock"),
        names.command("enrol"),
        names.events(),
        DEAF.as_secs()
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

/// Drives the connection until it is lost.
fn pump(mut connection: Connection, line: &Line, mut commands: Commands, config: &MqttConfig, host: &str) {
    use rumqttc::Event::{Incoming, Outgoing as Out};
    let events = commands.desk.names.events();
    let mut up = false;
    loop {
        match connection.recv_timeout(SILENCE) {
            Ok(Ok(Incoming(Packet::ConnAck(_)))) => {
                up = true;
                line.change(|now| now.up = true);
            }
            Ok(Ok(Incoming(Packet::PubComp(_)))) => line.change(|now| now.acknowledged += 1),
            Ok(Ok(Incoming(Packet::Publish(publish)))) if publish.topic == events.as_bytes() => {
                let event = String::from_utf8(publish.payload.to_vec()).ok().filter(|_| publish.retain);
                line.change(|now| now.retained = now.retained.take().or(event));
            }
            Ok(Ok(Incoming(Packet::Publish(publish)))) => commands.take(&publish),
            Ok(Ok(Out(Outgoing::Disconnect))) => return line.lose("disconnected"),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                let too_large = matches!(
                    &error,
                    ConnectionError::MqttState(StateError::Deserialization(
                        PacketError::PayloadSizeLimitExceeded(_)
                    ))
                );
                line.now().too_large |= too_large;
                return line.lose(match up {
                    true => connect::parted(&error),
                    false => connect::explain(&error, config, host),
                });
            }
            Err(_) => return line.lose("the broker does not answer"),
        }
    }
}

struct Session<'a> {
    mqtt: &'a mut Mqtt,
    names: &'a Names,
    client: &'a Client,
    line: &'a Line,
    stop: &'a Stop,
    /// Commands come.
    listens: bool,
    /// What is retained at the broker by this connection.
    shown: HashMap<String, String>,
    /// The event that the broker retained when the connection began, unless there was no need to ask.
    retained: Option<String>,
}

impl Session<'_> {
    fn is_over(&self) -> bool {
        self.line.is_down() || self.stop.is_set()
    }

    fn send(&self, message: Message, qos: QoS) -> Result<(), Lost> {
        let options = PublishOptions::new(qos).retained();
        self.client.try_publish(message.topic, message.payload, options).map_err(|error| {
            self.line.lose(format!("the broker does not keep up: {error}"));
            Lost
        })
    }

    /// Tells what has changed.
    fn show(&mut self, messages: impl IntoIterator<Item = Message>) -> Result<(), Lost> {
        for message in messages {
            if self.shown.get(&message.topic) != Some(&message.payload) {
                self.shown.insert(message.topic.clone(), message.payload.clone());
                self.send(message, QoS::AtMostOnce)?;
            }
        }
        Ok(())
    }

    fn serve(&mut self, door: &DoorLink) -> Result<(), Lost> {
        let config = self.mqtt.config.clone();
        let mut told = false;
        self.recall()?;
        if self.is_deaf() {
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
            self.line.wait(DOOR_PAUSE, |_| self.stop.is_set());
        }
        Ok(())
    }

    fn is_deaf(&self) -> bool {
        self.mqtt.deaf_until.is_some_and(|until| Instant::now() < until)
    }

    /// Asks the broker which event it has as the last one, if there may be one under way of which it is not
    /// known whether it arrived.
    fn recall(&mut self) -> Result<(), Lost> {
        if !self.mqtt.doubtful || self.is_deaf() {
            return Ok(());
        }
        let topic = self.names.events();
        self.client.try_subscribe(&topic, QoS::AtMostOnce).map_err(|_| Lost)?;
        self.line.wait(RECALL, |now| now.retained.is_some());
        self.client.try_unsubscribe(topic).map_err(|_| Lost)?;
        self.retained = self.line.now().retained.take();
        Ok(())
    }

    /// Subscribes to commands, unless they are not taken at present.
    fn listen(&mut self) -> Result<(), Lost> {
        if self.listens || self.is_deaf() {
            return Ok(());
        }
        for of in ["lock", "enrol"] {
            let topic = self.names.command(of);
            // A command that somebody has retained is none, and comes at each connection: away with it.
            self.send(Message { topic: topic.clone(), payload: String::new() }, QoS::AtMostOnce)?;
            // At most once: a command is carried out when it comes or not at all, and never waits at the broker.
            self.client.try_subscribe(topic, QoS::AtMostOnce).map_err(|_| Lost)?;
        }
        self.listens = true;
        Ok(())
    }

    /// Passes on what the door says, until it or the broker is lost.
    fn follow(&mut self, door: &DoorLink, config: &MqttConfig) -> Result<(), LinkError> {
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
            let outcome = link.watch(Want { since: Some(since), picture: false }, alone, |news| {
                own.put(news);
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
        // Only the first can have been under way; and it is the same to the letter, or somebody else's.
        if self.retained.take().is_some_and(|retained| retained == event.payload) {
            log::debug!("event=mqtt_event_had_arrived number={}", entry.seq);
            self.mqtt.delivered.set(entry.seq);
            self.mqtt.doubtful = false;
            return Ok(());
        }
        let before = self.line.now().acknowledged;
        self.mqtt.doubtful = true;
        self.send(event, QoS::ExactlyOnce)?;
        let began = Instant::now();
        while !self.line.wait(TICK, |now| now.acknowledged > before) {
            meanwhile(self)?;
            if self.is_over() {
                return Err(Lost);
            }
            if began.elapsed() > SILENCE {
                self.line.lose("the broker does not acknowledge");
                return Err(Lost);
            }
        }
        self.mqtt.delivered.set(entry.seq);
        self.mqtt.doubtful = false;
        Ok(())
    }
}

/// Sorts what comes in.
struct Commands {
    lock: Arc<LockOrder>,
    enrol: SyncSender<String>,
    desk: Desk,
    /// When the last one that is none was answered, and how many were left out since.
    refused: Option<Instant>,
    more: u64,
}

impl Commands {
    fn take(&mut self, publish: &Publish) {
        // What removes a retained message is no command.
        if publish.payload.is_empty() {
            return;
        }
        let command = String::from_utf8_lossy(&publish.payload).into_owned();
        let for_lock = publish.topic == self.desk.names.command("lock").as_bytes();
        if publish.retain {
            // It would come at each connection.
            self.refuse(&command, "a retained command is not carried out: send it without the retain flag");
        } else if for_lock {
            match command.as_str() {
                LOCK | UNLOCK => self.lock.change(|now| now.waits = Some((command, Instant::now()))),
                _ => self.refuse(&command, "no command of the lock: UNLOCK or LOCK, in capitals"),
            }
        } else if command != PRESS {
            self.refuse(&command, "no command of the enrol button: PRESS, in capitals");
        } else if self.enrol.try_send(command).is_err() {
            self.refuse(PRESS, "an enrolment is under way");
        }
    }

    /// Says that nothing was done, and why. However many come, states and events find room beside the answers.
    fn refuse(&mut self, command: &str, why: &str) {
        if self.refused.is_some_and(|last| last.elapsed() < ONE_REFUSAL) {
            self.more += 1;
            return;
        }
        self.refused = Some(Instant::now());
        let more = std::mem::take(&mut self.more);
        let shown: String = command.chars().take(40).collect();
        log::warn!("event=mqtt_command_dropped command={shown:?} reason={why:?} more={more}");
        publish_answer(&self.desk.client, &self.desk.names.answer(command, Err(why)));
    }
}

fn publish_answer(client: &Client, message: &Message) {
    let options = PublishOptions::at_most_once();
    let _ = client.try_publish(&message.topic, message.payload.as_str(), options);
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.lock.change(|now| now.over = true);
    }
}

/// Carries commands out, by the door's leave.
#[derive(Clone)]
struct Desk {
    client: Client,
    config: MqttConfig,
    names: Arc<Names>,
    door: DoorLink,
}

impl Desk {
    fn serve_lock(&self, orders: &LockOrder) {
        loop {
            let mut now = orders.wait_while(SILENCE, |now| now.waits.is_none() && !now.over);
            let Some((command, came)) = now.waits.take() else {
                if now.over {
                    return;
                }
                continue;
            };
            drop(now);
            if command == UNLOCK && came.elapsed() > FRESH {
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

    fn serve_enrolment(&self, commands: &Receiver<String>) {
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
        let message = format!("not granted: mqtt.{key} = false in the gateway's configuration");
        Err(LinkError::Refused { message })
    }

    fn enrol(&self) -> Result<String, LinkError> {
        let show = |words: &str| {
            let message = self.names.enrolment(words);
            let options = PublishOptions::at_most_once().retained();
            let _ = self.client.try_publish(message.topic, message.payload, options);
        };
        show("waiting for somebody before the camera");
        let (anyway, existing, unlike) = Default::default();
        let request = Request::Enroll { name: None, anyway, existing, unlike };
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
