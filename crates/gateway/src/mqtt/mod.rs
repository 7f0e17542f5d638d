//! MQTT for Home Assistant (`docs/guide/home-assistant.md`): the door's state and events to a broker, and where the
//! owner grants it commands back.
//!
//! Events are the entries of the audit log, told by their numbers. The log itself is the queue: the
//! gateway keeps the number of the last entry that the broker has acknowledged, in a file, and asks the
//! daemon for those behind it. One event is under way at a time, at QoS 2, and after a lost connection the
//! broker is asked whether it has it. So none is lost while the log holds it, whoever is restarted, and none
//! is sent to a broker that has it.

mod connect;
mod delivered;
pub mod homeassistant;
mod session;
mod settings;
mod tls;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::daemon_link::{DoorLink, Stop};
use delivered::Delivered;
pub use settings::MqttConfig;

/// The pauses between two tries to reach the broker double from the first to the second of these.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// As many reasons are told in one outage.
const REASONS: usize = 8;

/// Why MQTT cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum MqttError {
    /// A value makes no sense.
    #[error("mqtt.{key} = {value}: {problem}")]
    Value {
        /// The key in `[mqtt]`.
        key: &'static str,
        /// The value as read.
        value: String,
        /// What would be right.
        problem: &'static str,
    },
    /// A file that the configuration names cannot be used.
    #[error("mqtt.{key}: {path}: {problem}", path = path.display())]
    File {
        /// The key in `[mqtt]`.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
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

/// MQTT as configured, ready to connect.
pub struct Mqtt {
    config: MqttConfig,
    host: String,
    device: Device,
    tls: Option<connect::Tls>,
    login: Option<(String, Zeroizing<String>)>,
    delivered: Delivered,
    /// An event was sent and its end not seen, or may have been by a gateway before this one.
    doubtful: bool,
    /// Commands are not taken until then.
    deaf_until: Option<Instant>,
}

// A password is in it.
impl std::fmt::Debug for Mqtt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mqtt").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Mqtt {
    /// Checks the configuration and reads the files that it names; `None` where it names no broker.
    ///
    /// # Errors
    /// The first thing that cannot be used.
    pub fn open(config: &MqttConfig, device: Device) -> Result<Option<Self>, MqttError> {
        let Some(host) = config.host.clone() else { return Ok(None) };
        config.check(&host)?;
        let tls = if config.tls { Some(connect::Tls::new(tls::settings(config)?, &host)?) } else { None };
        let login = settings::login(config)?;
        let delivered = Delivered::open(&config.delivered)?;
        Ok(Some(Mqtt {
            config: config.clone(),
            host,
            device,
            tls,
            login,
            doubtful: delivered.number().is_some(),
            delivered,
            deaf_until: None,
        }))
    }

    fn names(&self) -> homeassistant::Names {
        homeassistant::Names {
            door: self.config.door.clone(),
            device: self.device.clone(),
            prefix: self.config.discovery_prefix.clone(),
        }
    }

    /// Keeps the broker told until `stop`. Neither the broker's nor the daemon's absence ends it.
    pub fn run(mut self, door: &DoorLink, stop: &Stop) {
        let mut pause = BACK_OFF.0;
        // One line for each reason and outage, however often it is tried.
        let mut told = HashSet::new();
        while !stop.is_set() {
            let ended = session::run(&mut self, door, stop);
            if stop.is_set() {
                return;
            }
            if ended.was_up {
                pause = BACK_OFF.0;
                told.clear();
            }
            if told.len() < REASONS && told.insert(ended.reason.clone()) {
                log::warn!("event=mqtt_lost broker={:?} reason={:?}", self.host, ended.reason);
            }
            if stop.sleep(pause) {
                return;
            }
            pause = (pause * 2).min(BACK_OFF.1);
        }
    }
}
