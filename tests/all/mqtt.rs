//! The gateway's MQTT against a real mosquitto with TLS, with a real daemon and gateway.
//!
//! `make test-mqtt` installs mosquitto; without it (or openssl, which makes the certificates) each test
//! prints that it is skipped.
//!
//! How events are counted: whether one is lost is asked of an observer at QoS 1, for which the broker keeps
//! what comes while it is away. To such a one mosquitto repeats by itself what it had not saved when it was
//! killed; so whether the gateway doubles one is asked of mosquitto's own reader at QoS 0, which gets each
//! message as often as the broker gets it.

use crate::common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use facelatch::access::ModeCommand;
use facelatch::audit::Entry;
use facelatch::demo::portrait::Portrait;
use facelatch::demo::walkup::{Walk, WalkUp};
use facelatch::protocol::{Entries, Person, Request};
use facelatch_gateway::daemon_link::DaemonLink;
use facelatch_gateway::mqtt::MqttConfig;
use rumqttc::{Client, Event, MqttOptions, Packet, PublishOptions, QoS};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(40);
const BASE: &str = "facelatch/front";

fn program(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(began.elapsed() < SOON, "it never came: {what}");
        thread::sleep(Duration::from_millis(30));
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A mosquitto with TLS that asks for a client's certificate, a name and a password.
struct Broker {
    folder: tempfile::TempDir,
    port: u16,
    /// Without TLS, for [`Observer`] and for [`Reader`], which gives up when TLS is cut short.
    plain: u16,
    child: Option<Child>,
}

impl Broker {
    /// `None` where mosquitto or openssl is missing.
    fn start(test: &str) -> Option<Self> {
        for name in ["mosquitto", "mosquitto_passwd", "mosquitto_sub", "openssl"] {
            if program(name).is_none() {
                println!("skipped: {test}: no {name} (make test-mqtt installs it)");
                return None;
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (one, other) = (free(), free());
        let [port, plain] = [one, other].map(|taken| taken.local_addr().unwrap().port());
        let mut broker = Broker { folder, port, plain, child: None };
        fs::write(
            broker.path("req.cnf"),
            "[req]\ndistinguished_name = dn\nprompt = no\n[dn]\nCN = facelatch test\n[ca]\n\
             basicConstraints = critical,CA:TRUE\nkeyUsage = keyCertSign\n[leaf]\n\
             basicConstraints = critical,CA:FALSE\nsubjectAltName = DNS:localhost\n",
        )
        .unwrap();
        for (name, by) in [("ca", None), ("other", None), ("server", Some("ca")), ("client", Some("ca"))] {
            broker.certificate(name, by);
        }
        let passwords = broker.path("passwords");
        let mut passwd = Command::new(program("mosquitto_passwd").unwrap());
        run(passwd.args(["-b", "-c"]).arg(&passwords).args(["door", "a secret"]));
        fs::write(broker.path("password"), "a secret\n").unwrap();
        for name in ["password", "client.key"] {
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(broker.path(name), private).unwrap();
        }
        let dir = broker.folder.path().display();
        // Kept at each change: a broker that forgets what it has acknowledged would lose for us.
        let text = format!(
            "user root\nlistener {port} 127.0.0.1\ncafile {dir}/ca.pem\ncertfile {dir}/server.pem\n\
             keyfile {dir}/server.key\nrequire_certificate true\nallow_anonymous false\n\
             password_file {dir}/passwords\npersistence true\npersistence_location {dir}/\n\
             autosave_on_changes true\nautosave_interval 1\nmax_queued_messages 0\n\
             log_type all\nlistener {plain} 127.0.0.1\n"
        );
        fs::write(broker.path("mosquitto.conf"), text).unwrap();
        broker.up();
        Some(broker)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn certificate(&self, name: &str, by: Option<&str>) {
        let file = |name: &str, kind: &str| self.path(&format!("{name}.{kind}"));
        let mut openssl = Command::new(program("openssl").unwrap());
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        openssl.args(["-days", "2", "-extensions", if by.is_some() { "leaf" } else { "ca" }, "-config"]);
        openssl.arg(self.path("req.cnf")).arg("-keyout").arg(file(name, "key"));
        openssl.arg("-out").arg(file(name, "pem"));
        if let Some(by) = by {
            openssl.arg("-CA").arg(file(by, "pem")).arg("-CAkey").arg(file(by, "key"));
        }
        run(&mut openssl);
    }

    fn up(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut mosquitto = Command::new(program("mosquitto").unwrap());
        let child = mosquitto.arg("-c").arg(self.path("mosquitto.conf")).stderr(log).spawn().unwrap();
        self.child = Some(child);
        wait_for("mosquitto", || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    /// By SIGKILL: it saves and says nothing more. True where it had passed on an event that it will not know
    /// of: it had not begun to save that, or had not ended.
    fn kill(&mut self) -> bool {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let passed = format!("Sending PUBLISH to reader (d0, q0, r0, m0, '{BASE}/event'");
        log.rfind(&passed) > log.rfind("Saving in-memory database") || self.path("mosquitto.db.new").exists()
    }

    fn config(&self) -> MqttConfig {
        MqttConfig {
            host: Some("localhost".into()),
            port: self.port,
            ca: self.path("ca.pem"),
            certificate: Some(self.path("client.pem")),
            key: Some(self.path("client.key")),
            username: Some("door".into()),
            password_file: Some(self.path("password")),
            door: "front".into(),
            unlock: true,
            enrol: true,
            delivered: self.path("delivered"),
            ..MqttConfig::default()
        }
    }

    fn client(&self, id: &str) -> (Client, rumqttc::Connection) {
        let mut options = MqttOptions::new(id, ("127.0.0.1", self.plain));
        options.set_credentials("door", "a secret");
        // The broker keeps what comes while the observer is away.
        options.set_clean_session(false).set_keep_alive(5);
        options.set_max_packet_size(1 << 20, 1 << 20);
        Client::builder(options).capacity(100).build()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(Clone, Debug)]
struct Said {
    topic: String,
    text: String,
    /// The broker had it before we asked.
    retained: bool,
}

fn numbered(event: Value) -> (u64, Value) {
    (event["seq"].as_u64().unwrap(), event)
}

/// Reads everything.
struct Observer {
    client: Client,
    said: Arc<Mutex<Vec<Said>>>,
    over: Arc<AtomicBool>,
}

impl Observer {
    fn new(broker: &Broker) -> Self {
        Self::named(broker, "observer")
    }

    fn named(broker: &Broker, id: &str) -> Self {
        let (client, mut connection) = broker.client(id);
        let (said, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (subscriber, heard, done) = (client.clone(), Arc::clone(&said), Arc::clone(&over));
        let ready = Arc::new(AtomicBool::new(false));
        let subscribed = Arc::clone(&ready);
        thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                match connection.recv() {
                    Ok(Ok(Event::Incoming(Packet::ConnAck(ack)))) if !ack.session_present => {
                        subscriber.try_subscribe("#", QoS::AtLeastOnce).unwrap();
                    }
                    Ok(Ok(Event::Incoming(Packet::SubAck(_)))) => subscribed.store(true, Ordering::Relaxed),
                    Ok(Ok(Event::Incoming(Packet::Publish(publish)))) => heard.lock().unwrap().push(Said {
                        topic: String::from_utf8(publish.topic.to_vec()).unwrap(),
                        text: String::from_utf8(publish.payload.to_vec()).unwrap(),
                        retained: publish.retain,
                    }),
                    Ok(Ok(_)) => {}
                    Ok(Err(_)) => thread::sleep(Duration::from_millis(100)),
                    Err(_) => return,
                }
            }
        });
        wait_for("a subscription", || ready.load(Ordering::Relaxed).then_some(()));
        Observer { client, said, over }
    }

    fn said(&self) -> Vec<Said> {
        self.said.lock().unwrap().clone()
    }

    fn last(&self, topic: &str) -> Option<String> {
        self.said().into_iter().rfind(|said| said.topic == topic).map(|said| said.text)
    }

    fn wait(&self, of: &str, text: &str) {
        let topic = format!("{BASE}/{of}");
        wait_for(&format!("{of} {text}"), || (self.last(&topic)? == text).then_some(()));
    }

    fn forget(&self) {
        self.said.lock().unwrap().clear();
    }

    fn send(&self, of: &str, text: &str, retain: bool) {
        let options = PublishOptions::at_least_once().retain(retain);
        self.client.publish(format!("{BASE}/{of}"), text, options).unwrap();
    }

    fn answer(&self) -> Value {
        let topic = format!("{BASE}/answer");
        let text = wait_for("an answer", || self.last(&topic));
        serde_json::from_str(&text).unwrap()
    }

    /// The events by their numbers.
    fn events(&self) -> BTreeMap<u64, Value> {
        let topic = format!("{BASE}/event");
        let events = self.said().into_iter().filter(|said| said.topic == topic);
        events.map(|said| numbered(serde_json::from_str(&said.text).unwrap())).collect()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// mosquitto's own reader of events at QoS 0, which connects again by itself after each outage.
struct Reader {
    child: Child,
    printed: PathBuf,
}

impl Reader {
    fn start(broker: &Broker) -> Self {
        let printed = broker.path("printed");
        let mut reader = Command::new(program("mosquitto_sub").unwrap());
        reader.args(["-V", "mqttv311", "-q", "0", "-i", "reader", "-k", "5", "-R", "-h", "127.0.0.1", "-p"]);
        reader.arg(broker.plain.to_string()).args(["-u", "door", "-P", "a secret", "-F", "%p", "-t"]);
        reader.arg(format!("{BASE}/event"));
        let child = reader.stdout(fs::File::create(&printed).unwrap()).spawn().unwrap();
        Reader { child, printed }
    }

    /// Every message that came, in the order in which they came.
    fn events(&self) -> Vec<(u64, Value)> {
        let text = fs::read_to_string(&self.printed).unwrap();
        let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
        whole.lines().map(|line| numbered(serde_json::from_str(line).unwrap())).collect()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running daemon that sees an empty wall for five minutes, or somebody again and again.
struct Door {
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Door {
    fn start(rights: &str) -> Self {
        Self::before(rights, |camera| common::empty_hall(camera, 3_000))
    }

    fn before(rights: &str, film: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().display();
        film(&folder.path().join("camera"));
        let text = format!(
            "[camera]\nrecording = \"{dir}/camera\"\nfps = 10\n[liveness]\ncheck = false\n[store]\ngallery = \"{dir}/gallery\"\n\
             key = \"{dir}/key\"\nstate = \"{dir}/state\"\n[audit]\nfolder = \"{dir}/audit\"\n\
             [daemon]\nsocket = \"{dir}/socket\"\n[gateway]\nsocket = \"{dir}/gateway\"\nrights = {rights}\n"
        );
        fs::write(folder.path().join("facelatch.toml"), text).unwrap();
        let mut door = Door { folder, child: None };
        door.up();
        door
    }

    fn up(&mut self) {
        let config = self.folder.path().join("facelatch.toml");
        let (child, _) =
            common::started(["run".as_ref(), "--config".as_ref(), config.as_os_str()], "event=started");
        self.child = Some(child);
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn grant(&mut self, rights: &str) {
        self.kill();
        let path = self.folder.path().join("facelatch.toml");
        let text = fs::read_to_string(&path).unwrap();
        let (before, _) = text.split_once("rights = ").unwrap();
        fs::write(&path, format!("{before}rights = {rights}\n")).unwrap();
        self.up();
    }

    /// By the operator's socket, which has all rights.
    fn operator(&self) -> DaemonLink {
        DaemonLink::new(&self.folder.path().join("socket"))
    }

    fn log(&self) -> Vec<Entry> {
        let mut log: Vec<Entry> = Vec::new();
        loop {
            let since = log.last().map_or(0, |entry| entry.seq);
            let more: Entries = self.operator().ask(&Request::Entries { since, limit: 1_000 }).unwrap();
            if more.entries.is_empty() {
                return log;
            }
            log.extend(more.entries);
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A running `facelatch-gateway`.
struct Gateway {
    child: Child,
    log: PathBuf,
}

impl Gateway {
    fn start(config: &MqttConfig, door: &Door) -> Self {
        Self::start_in(door.folder.path(), config, door)
    }

    /// With its own configuration and log in that folder.
    fn start_in(dir: &Path, config: &MqttConfig, door: &Door) -> Self {
        let socket = door.folder.path().join("gateway");
        let text = format!(
            "[door]\nsocket = {socket:?}\nname = \"Front door\"\n[web]\nenabled = false\n\
             url = \"https://door.local:8430/\"\n[mqtt]\n{}",
            toml::to_string(config).unwrap()
        );
        fs::write(dir.join("gateway.toml"), text).unwrap();
        let log = dir.join("gateway.log");
        let child = Command::new(common::gateway_program())
            .arg("--config")
            .arg(dir.join("gateway.toml"))
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Gateway { child, log }
    }

    /// By SIGKILL: it says nothing more, the broker says its last will.
    fn kill(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What Home Assistant documents of each MQTT platform that is used here: required fields, then others
/// that are not in [`SHARED`]. From https://www.home-assistant.io/integrations/lock.mqtt/,
/// .../binary_sensor.mqtt/, .../sensor.mqtt/, .../button.mqtt/ and .../event.mqtt/.
const FIELDS: [(&str, &[&str], &[&str]); 5] = [
    (
        "lock",
        &["command_topic"],
        &[
            "code_format",
            "command_template",
            "optimistic",
            "payload_lock",
            "payload_open",
            "payload_reset",
            "payload_unlock",
            "retain",
            "state_jammed",
            "state_locked",
            "state_locking",
            "state_topic",
            "state_unlocked",
            "state_unlocking",
            "value_template",
        ],
    ),
    (
        "binary_sensor",
        &["state_topic"],
        &[
            "device_class",
            "expire_after",
            "force_update",
            "off_delay",
            "payload_off",
            "payload_on",
            "value_template",
        ],
    ),
    (
        "sensor",
        &["state_topic"],
        &[
            "device_class",
            "expire_after",
            "force_update",
            "last_reset_value_template",
            "options",
            "state_class",
            "suggested_display_precision",
            "unit_of_measurement",
            "value_template",
        ],
    ),
    ("button", &["command_topic"], &["command_template", "device_class", "payload_press", "retain"]),
    ("event", &["state_topic"], &["device_class", "event_types", "value_template"]),
];
/// Fields of every platform, from the same pages and https://www.home-assistant.io/integrations/mqtt/.
const SHARED: [&str; 19] = [
    "availability",
    "availability_mode",
    "availability_template",
    "availability_topic",
    "default_entity_id",
    "device",
    "enabled_by_default",
    "encoding",
    "entity_category",
    "entity_picture",
    "icon",
    "json_attributes_template",
    "json_attributes_topic",
    "name",
    "origin",
    "payload_available",
    "payload_not_available",
    "qos",
    "unique_id",
];
/// Of the map `device`; `identifiers` or `connections` must be there.
const DEVICE: [&str; 12] = [
    "configuration_url",
    "connections",
    "hw_version",
    "identifiers",
    "manufacturer",
    "model",
    "model_id",
    "name",
    "serial_number",
    "suggested_area",
    "sw_version",
    "via_device",
];
/// Of the map `origin`; `name` must be there.
const ORIGIN: [&str; 3] = ["name", "sw_version", "support_url"];
/// Device classes that the pages of binary_sensor list, as far as they are used here.
const CLASSES: [&str; 4] = ["door", "lock", "problem", "tamper"];

fn only(map: &Value, known: &[&str]) {
    for key in map.as_object().unwrap().keys() {
        assert!(known.contains(&key.as_str()), "{key} is no documented field: {map}");
    }
}

/// Checks a discovery message; gives its entity as `component/object`.
fn validate(said: &Said) -> (String, Value) {
    // <prefix>/<component>/<node>/<object>/config, node and object of letters, digits, - and _.
    let levels: Vec<&str> = said.topic.split('/').collect();
    let [_, component, node, object, "config"] = levels[..] else { panic!("{}", said.topic) };
    for id in [node, object] {
        assert!(id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-'), "{id}");
    }
    let entity: Value = serde_json::from_str(&said.text).unwrap();
    let (_, required, own) = FIELDS.iter().find(|(name, ..)| *name == component).expect("a known platform");
    for key in *required {
        assert!(entity[key].is_string(), "{component} needs {key}: {entity}");
    }
    only(&entity, &[*required, *own, &SHARED].concat());
    only(&entity["device"], &DEVICE);
    assert!(entity["device"]["identifiers"][0].is_string());
    only(&entity["origin"], &ORIGIN);
    assert!(entity["origin"]["name"].is_string());
    for (key, value) in entity.as_object().unwrap() {
        let right = match key.as_str() {
            "device" | "origin" => value.is_object(),
            "qos" => value.as_u64().is_some_and(|qos| qos <= 2),
            "retain" | "optimistic" | "force_update" | "enabled_by_default" => value.is_boolean(),
            "event_types" => value.as_array().is_some_and(|kinds| kinds.iter().all(Value::is_string)),
            "device_class" => CLASSES.contains(&value.as_str().unwrap()),
            _ => value.as_str().is_some_and(|text| !text.is_empty()),
        };
        assert!(right, "{key}: {value}");
        if key.ends_with("_topic") {
            assert!(!value.as_str().unwrap().contains(['#', '+', ' ']), "{key}: {value}");
        }
    }
    assert_ne!(entity["retain"], json!(true), "a retained command would come again and again");
    (format!("{component}/{object}"), entity)
}

/// The entities as retained at the broker: what Home Assistant finds when it starts.
fn entities(observer: &Observer) -> BTreeMap<String, Value> {
    let mut latest = BTreeMap::new();
    for said in observer.said().into_iter().filter(|said| said.topic.starts_with("homeassistant/")) {
        latest.insert(said.topic.clone(), said);
    }
    let entities: BTreeMap<String, Value> =
        latest.values().filter(|said| !said.text.is_empty()).map(validate).collect();
    let ids: BTreeSet<String> = entities.values().map(|entity| entity["unique_id"].to_string()).collect();
    assert_eq!(ids.len(), entities.len(), "ids are unique");
    entities
}

#[test]
fn home_assistant_finds_the_door_and_may_do_what_the_owner_grants() {
    let Some(broker) = Broker::start("home_assistant_finds_the_door") else { return };
    let observer = Observer::new(&broker);
    let mut door = Door::start("[\"view\"]");
    let mut gateway = Gateway::start(&broker.config(), &door);
    observer.wait("availability", "online");
    observer.wait("lock", "LOCKED");
    observer.wait("lockout", "OFF");
    observer.wait("camera", "OFF");
    let found = entities(&observer);
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    let shown = [
        "binary_sensor/camera",
        "binary_sensor/lock_state",
        "binary_sensor/lockout",
        "event/happened",
        "sensor/event",
    ];
    assert_eq!(names, shown, "no contact, no right: no door sensor and nothing to press");
    for entity in found.values() {
        assert_eq!(entity["device"]["configuration_url"], json!("https://door.local:8430/"));
        let serial = entity["device"]["serial_number"].as_str().unwrap_or_default();
        let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
        assert!(!serial.is_empty() && !id.contains(serial), "{serial}");
    }
    assert_eq!(found["binary_sensor/camera"]["availability_topic"], json!(format!("{BASE}/availability")));
    assert_eq!(found["binary_sensor/lock_state"]["state_topic"], json!(format!("{BASE}/lock")));
    assert_eq!(found["binary_sensor/lock_state"]["payload_on"], json!("UNLOCKED"));

    // The gateway passes it on; the daemon refuses and records it.
    observer.send("lock/set", "UNLOCK", false);
    let answer = observer.answer();
    assert_eq!((&answer["command"], &answer["done"]), (&json!("UNLOCK"), &json!(false)));
    assert!(answer["message"].as_str().unwrap().contains("\"release\""), "{answer}");
    let refused = wait_for("an audited refusal", || door.log().into_iter().find(|e| e.event == "refused"));
    assert_eq!(refused.detail.as_deref(), Some("command=mode by=gateway"));
    let seen = wait_for("the refusal as an event", || observer.events().get(&refused.seq).cloned());
    assert_eq!((&seen["event"], &seen["detail"]), (&json!("refused"), &json!("command=mode by=gateway")));
    assert_eq!(observer.last(&format!("{BASE}/lock")).as_deref(), Some("LOCKED"));
    assert!(!door.log().iter().any(|entry| entry.event == "release"));

    // The daemon goes, and comes again with more rights.
    door.kill();
    observer.wait("availability", "offline");
    observer.forget();
    door.grant("[\"view\", \"release\", \"enrol\"]");
    observer.wait("availability", "online");
    wait_for("a lock", || entities(&observer).contains_key("lock/lock").then_some(()));
    let found = entities(&observer);
    assert!(found.contains_key("button/enrol") && found.contains_key("sensor/enrolment"), "{found:?}");
    assert_eq!(
        observer.last("homeassistant/binary_sensor/facelatch_front/lock_state/config").as_deref(),
        Some(""),
        "the state-only lock is removed"
    );
    observer.send("lock/set", "UNLOCK", false);
    observer.wait("lock", "UNLOCKED");
    assert_eq!(observer.answer()["done"], json!(true));
    observer.send("lock/set", "LOCK", false);
    observer.wait("lock", "LOCKED");
    let by_gateway = |entry: &Entry| {
        entry.event == "command" && entry.detail.as_deref() == Some("command=mode by=gateway")
    };
    let granted = || door.log().iter().filter(|entry| by_gateway(entry)).count();
    assert_eq!(granted(), 1);

    // However many wait to unlock, the last word counts.
    observer.forget();
    for _ in 0..20 {
        observer.send("lock/set", "UNLOCK", false);
    }
    observer.send("lock/set", "LOCK", false);
    wait_for("the last answer", || (observer.answer()["command"] == json!("LOCK")).then_some(()));
    thread::sleep(Duration::from_millis(300));
    assert_eq!(observer.answer()["command"], json!("LOCK"));
    let opened = granted();

    // A retained command is none, and neither are other words.
    gateway.kill();
    observer.wait("availability", "offline");
    observer.forget();
    observer.send("lock/set", "UNLOCK", true);
    observer.wait("lock/set", "UNLOCK");
    let mut gateway = Gateway::start(&broker.config(), &door);
    observer.wait("availability", "online");
    // The gateway removes it.
    observer.wait("lock/set", "");
    observer.send("lock/set", "OPEN SESAME", false);
    observer.send("lock/set", "PRESS", false);
    thread::sleep(Duration::from_secs(1));
    assert_eq!(granted(), opened);
    let log = gateway.kill();
    assert!(!log.contains("event=mqtt_command "), "{log}");

    // Granted by the door, but not by the gateway's own configuration.
    observer.forget();
    let mut gateway = Gateway::start(&MqttConfig { unlock: false, enrol: false, ..broker.config() }, &door);
    observer.wait("availability", "online");
    wait_for("a lock", || entities(&observer).contains_key("binary_sensor/lock_state").then_some(()));
    assert!(!entities(&observer).contains_key("button/enrol"));
    observer.send("lock/set", "UNLOCK", false);
    assert!(observer.answer()["message"].as_str().unwrap().contains("mqtt.unlock"));
    observer.send("enrol/set", "PRESS", false);
    let refused = ["command=mode by=mqtt", "command=enroll by=mqtt"];
    for detail in refused {
        wait_for(detail, || {
            let is = |e: &Entry| e.event == "refused" && e.detail.as_deref() == Some(detail);
            door.log().iter().any(is).then_some(())
        });
    }
    assert_eq!(granted(), opened);
    gateway.kill();
    let events = observer.events();
    assert!(events.values().all(|event| event.get("similarity").is_none()));
}

#[test]
fn the_button_enrols_who_stands_before_the_camera() {
    let Some(broker) = Broker::start("the_button_enrols") else { return };
    let observer = Observer::new(&broker);
    let walkup = WalkUp::new("test", Portrait::collins().unwrap(), Walk::ENROLMENT);
    let door = Door::before("[\"view\", \"enrol\"]", |camera| {
        fs::create_dir(camera).unwrap();
        for n in 0..walkup.len() {
            let first = camera.join(format!("00-{n:04}.jpg"));
            walkup.frame(n).save(&first).unwrap();
            for round in 1..20 {
                fs::hard_link(&first, camera.join(format!("{round:02}-{n:04}.jpg"))).unwrap();
            }
        }
    });
    let mut gateway = Gateway::start(&broker.config(), &door);
    observer.wait("availability", "online");
    wait_for("a button", || entities(&observer).contains_key("button/enrol").then_some(()));
    observer.send("enrol/set", "PRESS", false);
    wait_for("the enrolment's words", || observer.last(&format!("{BASE}/enrolment")));
    // None waits behind another.
    observer.send("enrol/set", "PRESS", false);
    let answer = observer.answer();
    assert_eq!((&answer["done"], &answer["message"]), (&json!(false), &json!("an enrolment is in progress")));
    observer.forget();
    let answer = observer.answer();
    assert_eq!((&answer["command"], &answer["done"]), (&json!("PRESS"), &json!(true)), "{answer}");
    let people: Vec<Person> = door.operator().ask(&Request::People {}).unwrap();
    assert_eq!(people.len(), 1);
    assert_eq!(answer["message"], json!(format!("enrolled {}", people[0].name)));
    observer.wait("enrolment", &format!("enrolled {}", people[0].name));
    let words: Vec<String> = observer
        .said()
        .into_iter()
        .filter(|said| said.topic == format!("{BASE}/enrolment"))
        .map(|said| said.text)
        .collect();
    assert!(words.iter().any(|words| words.contains("Image will be taken in")), "{words:?}");
    let log = door.log();
    let by = |e: &Entry| e.event == "command" && e.detail.as_deref() == Some("command=enroll by=gateway");
    assert!(log.iter().any(by) && log.iter().any(|e| e.event == "enrolled"), "{log:?}");
    gateway.kill();
}

#[test]
fn a_message_that_is_too_large_ends_no_more_than_one_connection() {
    let Some(broker) = Broker::start("a_message_that_is_too_large") else { return };
    let observer = Observer::new(&broker);
    let door = Door::start("[\"view\", \"release\"]");
    // Retained before the gateway comes: it removes it before it subscribes.
    let large = "x".repeat(100_000);
    observer.send("lock/set", &large, true);
    wait_for("the large command", || observer.last(&format!("{BASE}/lock/set")));
    let mut gateway = Gateway::start(&broker.config(), &door);
    observer.wait("availability", "online");
    observer.wait("lock/set", "");
    observer.send("lock/set", "UNLOCK", false);
    observer.wait("lock", "UNLOCKED");
    observer.send("lock/set", "LOCK", false);
    observer.wait("lock", "LOCKED");
    // While it is there: the connection ends, and the next one takes no commands.
    observer.forget();
    observer.send("lock/set", &large, true);
    observer.wait("availability", "offline");
    observer.wait("availability", "online");
    observer.forget();
    observer.send("lock/set", "UNLOCK", false);
    for mode in [ModeCommand::Secure, ModeCommand::Normal] {
        let _: Value = door.operator().ask(&Request::Mode { mode }).unwrap();
        thread::sleep(Duration::from_secs(2));
    }
    wait_for("events", || (observer.events().len() >= 2).then_some(()));
    assert_eq!(observer.last(&format!("{BASE}/availability")), None, "the connection holds");
    let releases = door.log().iter().filter(|entry| entry.event == "release").count();
    assert_eq!(releases, 1);
    let log = gateway.kill();
    assert_eq!(log.matches("event=mqtt_command_too_large").count(), 1, "{log}");
}

#[test]
fn no_event_is_lost_and_none_doubled_over_restarts_of_the_broker() {
    let Some(mut broker) = Broker::start("no_event_is_lost_and_none_doubled") else { return };
    let observer = Observer::new(&broker);
    let reader = Reader::start(&broker);
    let mut door = Door::start("[\"view\"]");
    let mut gateway = Gateway::start(&broker.config(), &door);
    observer.wait("availability", "online");
    let first = door.log().last().unwrap().seq + 1;

    // Somebody changes the mode all the time: one or two entries a change.
    let (busy, operator) = (Arc::new(AtomicBool::new(true)), door.operator());
    let goes_on = Arc::clone(&busy);
    let events = thread::spawn(move || {
        while goes_on.load(Ordering::Relaxed) {
            for mode in [ModeCommand::Secure, ModeCommand::Normal] {
                // The daemon is restarted meanwhile.
                let _ = operator.ask::<Value>(&Request::Mode { mode });
                thread::sleep(Duration::from_millis(20));
            }
        }
    });
    // The numbers of the last events when the broker was killed and forgot one.
    let mut forgotten = Vec::new();
    for round in 0..6 {
        let before = observer.events().len();
        wait_for("events", || (observer.events().len() > before + 20).then_some(()));
        if broker.kill() {
            forgotten.extend(reader.events().last().map(|(seq, _)| *seq));
        }
        match round {
            2 => {
                gateway.kill();
                gateway = Gateway::start(&broker.config(), &door);
            }
            4 => {
                door.kill();
                door.up();
            }
            _ => thread::sleep(Duration::from_millis(300)),
        }
        broker.up();
    }
    let before = observer.events().len();
    wait_for("events", || (observer.events().len() > before + 20).then_some(()));
    busy.store(false, Ordering::Relaxed);
    events.join().unwrap();
    let log = door.log();
    let head = log.last().unwrap().seq;
    wait_for("the last event", || observer.events().contains_key(&head).then_some(()));
    gateway.kill();

    let named = |(seq, event): (u64, Value)| (seq, event["event"].as_str().unwrap().to_owned());
    let logged: Vec<(u64, String)> =
        log.into_iter().filter(|e| e.seq >= first).map(|e| (e.seq, e.event)).collect();
    let seen: Vec<(u64, String)> =
        observer.events().into_iter().filter(|(seq, _)| *seq >= first).map(named).collect();
    assert_eq!(seen, logged, "none is lost");
    let came: Vec<u64> = reader.events().into_iter().map(|(seq, _)| seq).collect();
    let doubled: Vec<u64> = came.windows(2).filter(|pair| pair[1] <= pair[0]).map(|pair| pair[1]).collect();
    println!(
        "{} events over 6 kills of the broker: none lost; {} read at QoS 0, {} twice, of which {} that the \
         broker had forgotten",
        seen.len(),
        came.len(),
        doubled.len(),
        doubled.iter().filter(|seq| forgotten.contains(seq)).count()
    );
    assert!(doubled.iter().all(|seq| forgotten.contains(seq)), "{doubled:?} {forgotten:?}");
    assert!(came.len() * 2 > seen.len(), "the reader was there");
}

#[test]
fn an_event_whose_acknowledgement_got_lost_is_not_sent_again() {
    let Some(broker) = Broker::start("an_event_whose_acknowledgement_got_lost") else { return };
    let (observer, reader) = (Observer::new(&broker), Reader::start(&broker));
    let door = Door::start("[\"view\"]");
    let mut gateway = Gateway::start(&broker.config(), &door);
    observer.wait("availability", "online");
    let change = |mode| {
        let _: Value = door.operator().ask(&Request::Mode { mode }).unwrap();
    };
    // The first may come before the reader listens.
    wait_for("an event", || {
        change(ModeCommand::Secure);
        change(ModeCommand::Normal);
        (!reader.events().is_empty()).then_some(())
    });
    let last = door.log().last().unwrap().seq;
    let came = |number| reader.events().iter().any(|(seq, _)| *seq == number).then_some(());
    wait_for("the last event", || came(last));
    gateway.kill();
    // As if it had been killed between the broker's word and its own note of it.
    fs::write(broker.path("delivered"), format!("{}\n", last - 1)).unwrap();
    let mut gateway = Gateway::start(&broker.config(), &door);
    change(ModeCommand::Secure);
    wait_for("the next event", || came(last + 1));
    gateway.kill();
    let numbers: Vec<u64> = reader.events().into_iter().map(|(seq, _)| seq).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

#[test]
fn what_is_no_command_is_answered_and_does_nothing() {
    let Some(broker) = Broker::start("what_is_no_command") else { return };
    let observer = Observer::new(&broker);
    let door = Door::start("[\"view\", \"release\", \"enrol\"]");
    let mut gateway = Gateway::start(&broker.config(), &door);
    observer.wait("availability", "online");
    let long = "x".repeat(9_000);
    for (topic, text, words) in [
        ("lock/set", "OPEN SESAME", "UNLOCK or LOCK"),
        ("lock/set", "unlock", "in capitals"),
        ("lock/set", "UNLOCK ", "UNLOCK or LOCK"),
        ("lock/set", "{\"state\":\"UNLOCK\"}", "UNLOCK or LOCK"),
        ("lock/set", "PRESS", "UNLOCK or LOCK"),
        ("enrol/set", "UNLOCK", "PRESS"),
        ("enrol/set", "press", "PRESS"),
        ("lock/set", &long, "UNLOCK or LOCK"),
    ] {
        observer.forget();
        observer.send(topic, text, false);
        let answer = observer.answer();
        assert_eq!(answer["done"], json!(false), "{text}");
        assert!(answer["message"].as_str().unwrap().contains(words), "{text}: {answer}");
        let repeated = answer["command"].as_str().unwrap();
        assert!(text.starts_with(repeated) && !repeated.is_empty() && repeated.len() <= 64, "{answer}");
        // One a second is answered.
        thread::sleep(Duration::from_millis(1_050));
    }
    // However many come, the connection holds, and who means it is heard.
    observer.forget();
    for _ in 0..2_000 {
        observer.send("lock/set", "?", false);
    }
    observer.send("lock/set", "UNLOCK", false);
    observer.wait("lock", "UNLOCKED");
    let answers = observer.said().iter().filter(|said| said.topic == format!("{BASE}/answer")).count();
    assert!(answers < 60, "{answers} answers to 2000");
    assert_eq!(observer.last(&format!("{BASE}/availability")), None, "the connection holds");
    // Nothing that was none has opened the door.
    assert_eq!(door.log().iter().filter(|entry| entry.event == "release").count(), 1);
    gateway.kill();
}

#[test]
fn an_unlock_does_not_cut_short_what_an_operator_holds_open() {
    let Some(broker) = Broker::start("an_unlock_does_not_cut_short") else { return };
    let observer = Observer::new(&broker);
    let door = Door::start("[\"view\", \"release\"]");
    let mut gateway = Gateway::start(&MqttConfig { unlock_s: 1, ..broker.config() }, &door);
    observer.wait("availability", "online");
    let hold = |time| {
        let mode = ModeCommand::HoldOpen { time };
        let _: Value = door.operator().ask(&Request::Mode { mode }).unwrap();
    };
    hold(Duration::from_secs(60));
    observer.wait("lock", "UNLOCKED");
    observer.forget();
    observer.send("lock/set", "UNLOCK", false);
    assert_eq!(observer.answer()["done"], json!(true));
    thread::sleep(Duration::from_secs(3));
    let secured = || door.log().iter().filter(|entry| entry.event == "secured").count();
    assert_eq!(secured(), 0, "it goes on for its minute");
    assert_eq!(observer.last(&format!("{BASE}/lock")), None, "and Home Assistant sees that it does");
    // The operator's own word counts, and so does LOCK.
    hold(Duration::from_secs(1));
    observer.wait("lock", "LOCKED");
    hold(Duration::from_secs(60));
    observer.wait("lock", "UNLOCKED");
    observer.send("lock/set", "LOCK", false);
    observer.wait("lock", "LOCKED");
    // By itself an unlock lasts its second.
    observer.send("lock/set", "UNLOCK", false);
    observer.wait("lock", "UNLOCKED");
    observer.wait("lock", "LOCKED");
    wait_for("its entry", || (secured() >= 3).then_some(()));
    assert_eq!(secured(), 3);
    gateway.kill();
}

/// Home Assistant takes a message that the broker had retained for no event; so what happened must come without
/// that flag when it happens, and with it at each later look.
#[test]
fn an_event_comes_again_only_as_a_retained_one() {
    let Some(mut broker) = Broker::start("an_event_comes_again_only_as") else { return };
    let observer = Observer::new(&broker);
    let mut door = Door::start("[\"view\"]");
    let mut gateway = Gateway::start(&broker.config(), &door);
    observer.wait("availability", "online");
    let kinds = entities(&observer)["event/happened"].clone();
    assert_eq!(kinds["state_topic"], json!(format!("{BASE}/event")));
    assert!(kinds.get("availability_topic").is_none(), "the door's absence changes no event");
    let events = |observer: &Observer| -> Vec<Said> {
        observer.said().into_iter().filter(|said| said.topic == format!("{BASE}/event")).collect()
    };
    let _: Value = door.operator().ask(&Request::Mode { mode: ModeCommand::Secure }).unwrap();
    // The answer can be here before the entry is.
    let is_it = |entry: &Entry| entry.detail.as_deref() == Some("mode=secure");
    let head = wait_for("the mode's entry", || door.log().into_iter().find(is_it)).seq;
    wait_for("the event", || observer.events().contains_key(&head).then_some(()));
    for said in events(&observer) {
        let event: Value = serde_json::from_str(&said.text).unwrap();
        assert!(kinds["event_types"].as_array().unwrap().contains(&event["event_type"]), "{event}");
        assert_eq!(event["event_type"], event["event"]);
    }
    assert!(events(&observer).iter().any(|said| !said.retained), "what happens is no retained message");

    // Each kind of outage: the gateway's, the daemon's, the broker's; and somebody who looks for the first time.
    let live = |observer: &Observer| events(observer).iter().filter(|said| !said.retained).count();
    let names = |observer: &Observer| -> Vec<String> {
        events(observer).into_iter().filter(|said| !said.retained).map(|said| said.text).collect()
    };
    let seen: Vec<String> = names(&observer);
    // On a slow machine somebody may have come meanwhile: that is new, and comes once.
    let nothing_again = |whose: &str| {
        let now = names(&observer);
        let each: BTreeSet<&String> = now.iter().collect();
        assert!(now.starts_with(&seen) && each.len() == now.len(), "{whose} outage brings it again: {now:?}");
    };
    gateway.kill();
    observer.wait("availability", "offline");
    let mut gateway = Gateway::start(&broker.config(), &door);
    observer.wait("availability", "online");
    nothing_again("the gateway's");
    broker.kill();
    broker.up();
    let mut looks = 0;
    wait_for("the gateway", || {
        looks += 1;
        let late = Observer::named(&broker, &format!("late-{looks}"));
        thread::sleep(Duration::from_millis(500));
        let there = late.last(&format!("{BASE}/availability")).as_deref() == Some("online");
        let again = events(&late);
        assert!(again.iter().all(|said| said.retained), "{again:?}");
        there.then_some(())
    });
    nothing_again("the broker's");
    let before = live(&observer);
    door.kill();
    door.up();
    wait_for("the daemon's start", || (live(&observer) > before).then_some(()));
    let after = names(&observer);
    assert_eq!(after[..seen.len()], seen[..]);
    assert!(after[seen.len()..].iter().all(|text| !seen.contains(text)), "{after:?}");
    gateway.kill();
}

/// Each mistake in the way to the broker: one line, with the key to look at, however often it is tried.
#[test]
fn a_mix_up_of_ports_certificates_and_names_is_told_once_with_its_key() {
    let Some(broker) = Broker::start("a_mix_up_of_ports") else { return };
    let door = Door::start("[\"view\"]");
    let private = || -> fs::Permissions { std::os::unix::fs::PermissionsExt::from_mode(0o600) };
    fs::write(broker.path("wrong"), "another secret\n").unwrap();
    for name in ["wrong", "other.key"] {
        fs::set_permissions(broker.path(name), private()).unwrap();
    }
    // Accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let right = broker.config();
    let plain = MqttConfig { tls: false, certificate: None, key: None, ..right.clone() };
    let silent = silent.local_addr().unwrap().port();
    let cases: [(&str, MqttConfig, &[&str]); 11] = [
        (
            "TLS to a plain port",
            MqttConfig { port: broker.plain, ..right.clone() },
            &["mqtt.port", "mqtt.tls = false"],
        ),
        ("no TLS to a port with TLS", plain.clone(), &["mqtt.tls = true", "mqtt.ca", "mqtt.port"]),
        (
            "another authority",
            MqttConfig { ca: broker.path("other.pem"), ..right.clone() },
            &["mqtt.ca", "other.pem"],
        ),
        ("another name", MqttConfig { host: Some("127.0.0.1".into()), ..right.clone() }, &["mqtt.host"]),
        (
            "no certificate",
            MqttConfig { certificate: None, key: None, ..right.clone() },
            &["mqtt.certificate"],
        ),
        (
            "a certificate of another authority",
            MqttConfig {
                certificate: Some(broker.path("other.pem")),
                key: Some(broker.path("other.key")),
                ..right.clone()
            },
            &["mqtt.certificate", "other.pem"],
        ),
        (
            "another password",
            MqttConfig { password_file: Some(broker.path("wrong")), ..right.clone() },
            &["mqtt.username", "mqtt.password_file"],
        ),
        (
            "an unknown host",
            MqttConfig { host: Some("no-such-broker.invalid".into()), ..right.clone() },
            &["mqtt.host", "no address"],
        ),
        ("nothing listens", MqttConfig { port: closed, ..right.clone() }, &["nothing listens", "mqtt.port"]),
        ("nothing answers", MqttConfig { port: silent, ..right.clone() }, &["does not answer", "mqtt.port"]),
        (
            "nothing answers without TLS",
            MqttConfig { port: silent, ..plain },
            &["does not answer", "mqtt.port"],
        ),
    ];
    // The folder goes last: the gateway's log lies in it.
    let mut running: Vec<(tempfile::TempDir, &str, Gateway, &[&str])> = Vec::new();
    for (what, config, words) in &cases {
        let folder = tempfile::tempdir().unwrap();
        let gateway = Gateway::start_in(folder.path(), config, &door);
        running.push((folder, *what, gateway, *words));
    }
    // Each is tried at least three times: at once, after 1 s and after 2 s more, and 5 s where nothing answers.
    thread::sleep(Duration::from_secs(20));
    for (_folder, what, mut gateway, words) in running {
        let log = gateway.kill();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("event=mqtt_lost")).collect();
        println!("{what}: {lines:?}");
        assert_eq!(lines.len(), 1, "{what}: {log}");
        for word in words {
            assert!(lines[0].contains(word), "{what}: {word} is missing: {}", lines[0]);
        }
        assert!(!log.contains("another secret"), "{log}");
    }

    // A file that is missing is found at the start, and ends it with one line.
    for (config, words) in [
        (
            MqttConfig { ca: "/no/such.pem".into(), ..right.clone() },
            "mqtt.ca: /no/such.pem: there is no such file: copy",
        ),
        (
            MqttConfig { certificate: Some("/no/own.pem".into()), ..right.clone() },
            "mqtt.certificate: /no/own.pem:",
        ),
        (MqttConfig { password_file: Some("/no/word".into()), ..right }, "mqtt.password_file: /no/word:"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut gateway = Gateway::start_in(folder.path(), &config, &door);
        let status = wait_for("its end", || gateway.child.try_wait().unwrap());
        let log = gateway.kill();
        assert_eq!((status.code(), log.lines().count()), (Some(2), 1), "{log}");
        assert!(log.contains(words) && log.matches("no such file").count() <= 1, "{log}");
    }
}

#[test]
fn a_broker_of_another_authority_is_told_nothing() {
    let Some(broker) = Broker::start("a_broker_of_another_authority") else { return };
    let observer = Observer::new(&broker);
    let door = Door::start("[\"view\"]");
    fs::write(broker.path("wrong"), "another secret\n").unwrap();
    std::fs::set_permissions(broker.path("wrong"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    for config in [
        MqttConfig { ca: broker.path("other.pem"), ..broker.config() },
        MqttConfig { password_file: Some(broker.path("wrong")), ..broker.config() },
        MqttConfig { certificate: None, key: None, ..broker.config() },
        // The certificate is for localhost.
        MqttConfig { host: Some("127.0.0.1".into()), ..broker.config() },
    ] {
        let mut gateway = Gateway::start(&config, &door);
        thread::sleep(Duration::from_secs(3));
        let log = gateway.kill();
        assert!(log.contains("event=mqtt_lost") && !log.contains("another secret"), "{log}");
        assert!(observer.said().is_empty(), "{:?}", observer.said());
    }
    let mut gateway = Gateway::start(&broker.config(), &door);
    observer.wait("availability", "online");
    gateway.kill();
}
