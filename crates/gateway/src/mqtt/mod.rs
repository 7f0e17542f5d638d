//! MQTT for Home Assistant (`docs/guide/home-assistant.md`): the door's state and events to a broker, and where the
//! owner grants it commands back.
//!
//! Events are the entries of the audit log, told by their numbers. The log itself is the queue: the
//! gateway keeps the number of the last entry that the broker has acknowledged, in a file, and asks the
//! daemon for those behind it. One event is in progress at a time, at QoS 2, and after a lost connection the
//! broker is asked whether it has it. So none is lost while the log holds it, whoever is restarted, and none
//! is sent to a broker that has it.

mod commands;
mod connect;
mod connection;
mod delivered;
mod error;
pub mod homeassistant;
mod inbox;
mod reconnect;
mod session;
mod settings;
mod setup;
mod tls;

pub use error::MqttError;
pub use homeassistant::Device;
pub use reconnect::run;
pub use settings::MqttConfig;
pub use setup::Mqtt;
