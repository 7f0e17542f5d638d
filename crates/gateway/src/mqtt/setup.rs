//! MQTT as configured, and what is kept from one connection to the next.

use std::time::Instant;

use zeroize::Zeroizing;

use super::delivered::Delivered;
use super::error::MqttError;
use super::homeassistant::{Device, DoorNames};
use super::settings::{self, MqttConfig};
use super::{connect, tls};

/// MQTT as configured, ready to connect.
pub struct Mqtt {
    pub(super) config: MqttConfig,
    pub(super) host: String,
    pub(super) device: Device,
    pub(super) tls: Option<connect::Tls>,
    pub(super) login: Option<(String, Zeroizing<String>)>,
    pub(super) delivered: Delivered,
    /// An event was sent and its end not seen, or may have been by a gateway before this one.
    pub(super) doubtful: bool,
    /// Commands are not taken until then.
    pub(super) commands_off_until: Option<Instant>,
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
            commands_off_until: None,
        }))
    }

    pub(super) fn names(&self) -> DoorNames {
        DoorNames {
            door: self.config.door.clone(),
            device: self.device.clone(),
            prefix: self.config.discovery_prefix.clone(),
        }
    }
}
