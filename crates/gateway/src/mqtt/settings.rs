//! `[mqtt]` of the gateway's configuration.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::MqttError;
use crate::secret::guarded;

/// `[mqtt]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MqttConfig {
    /// The broker's name or address; without it, no MQTT.
    pub host: Option<String>,
    /// Its port.
    pub port: u16,
    /// Encrypted. May be false only for a broker on this board.
    pub tls: bool,
    /// Certificates (PEM) that the broker's must come from.
    pub ca: PathBuf,
    /// The gateway's own certificate (PEM), where the broker wants one.
    pub certificate: Option<PathBuf>,
    /// Its key (PEM).
    pub key: Option<PathBuf>,
    /// The name at the broker, where it wants one.
    pub username: Option<String>,
    /// A file with the password, for the gateway's user only.
    pub password_file: Option<PathBuf>,
    /// The door in topics and ids: letters, digits, `-` and `_`. One of its own for each door.
    pub door: String,
    /// Home Assistant's discovery prefix.
    pub discovery_prefix: String,
    /// Pass unlock and lock on to the door, which must grant the gateway the right `release` as well.
    pub unlock: bool,
    /// How long an unlock releases the strike, s.
    pub unlock_s: u64,
    /// Pass the enrol button on to the door, which must grant the gateway the right `enrol` as well.
    pub enrol: bool,
    /// Where the number of the last delivered event is kept.
    pub delivered: PathBuf,
}

impl Default for MqttConfig {
    fn default() -> Self {
        MqttConfig {
            host: None,
            port: 8883,
            tls: true,
            ca: "/etc/facelatch/mqtt-ca.pem".into(),
            certificate: None,
            key: None,
            username: None,
            password_file: None,
            door: "door".into(),
            discovery_prefix: "homeassistant".into(),
            unlock: false,
            unlock_s: 5,
            enrol: false,
            delivered: "/var/lib/facelatch-gateway/mqtt-delivered".into(),
        }
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_level(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !text.is_empty() && text.len() <= 64 && text.chars().all(plain)
}

impl MqttConfig {
    /// Everything that can be checked without a file.
    pub(super) fn check(&self, host: &str) -> Result<(), MqttError> {
        let error = |key, value: &dyn std::fmt::Debug, problem| {
            Err(MqttError::Value { key, value: format!("{value:?}"), problem })
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
            return error(
                "host",
                &host,
                "give only the broker's name or address, such as \"homeassistant.local\"",
            );
        }
        if self.port == 0 {
            return error("port", &self.port, "must be a port number, usually 8883");
        }
        if !self.tls && !is_here(host) {
            return error(
                "tls",
                &false,
                "without TLS the broker must be on this board (host = \"localhost\")",
            );
        }
        if self.certificate.is_some() != self.key.is_some() {
            return error("certificate", &self.certificate, "give both certificate and key");
        }
        if self.password_file.is_some() && self.username.is_none() {
            return error("username", &"", "a password needs a username");
        }
        if !is_level(&self.door) {
            return error("door", &self.door, "1 to 64 letters, digits, - and _");
        }
        if !self.discovery_prefix.split('/').all(is_level) {
            return error("discovery_prefix", &self.discovery_prefix, "the prefix set in Home Assistant");
        }
        if !(1..=60).contains(&self.unlock_s) {
            return error("unlock_s", &self.unlock_s, "1 to 60 seconds");
        }
        Ok(())
    }
}

/// Reads a secret, unless everybody on the board can read it or its group can change it.
pub(super) fn secret(key: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, MqttError> {
    guarded(path).map_err(|problem| MqttError::File { key, path: path.to_owned(), problem })
}

/// Name and password, where there are such.
pub(super) fn login(config: &MqttConfig) -> Result<Option<(String, Zeroizing<String>)>, MqttError> {
    let Some(name) = &config.username else { return Ok(None) };
    let Some(path) = &config.password_file else {
        return Ok(Some((name.clone(), Zeroizing::default())));
    };
    let bytes = secret("password_file", path)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default().trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        let problem = "contains no password: write one line of text".into();
        return Err(MqttError::File { key: "password_file", path: path.clone(), problem });
    }
    Ok(Some((name.clone(), Zeroizing::new(text.to_owned()))))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::mqtt::{Device, Mqtt};

    fn parse(text: &str) -> MqttConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn what_makes_no_sense_names_its_key() {
        assert!(
            Mqtt::open(&MqttConfig::default(), Device::default()).unwrap().is_none(),
            "no broker, no MQTT"
        );
        for (text, key) in [
            ("host = \"\"", "mqtt.host"),
            ("host = \"mqtts://ha\"", "mqtt.host"),
            ("host = \"ha\"\nport = 0", "mqtt.port"),
            ("host = \"ha.local\"\ntls = false", "mqtt.tls"),
            ("host = \"192.168.1.2\"\ntls = false", "mqtt.tls"),
            ("host = \"ha\"\ncertificate = \"/c\"", "mqtt.certificate"),
            ("host = \"ha\"\npassword_file = \"/p\"", "mqtt.username"),
            ("host = \"ha\"\ndoor = \"a/b\"", "mqtt.door"),
            ("host = \"ha\"\ndoor = \"+\"", "mqtt.door"),
            ("host = \"ha\"\ndiscovery_prefix = \"a//b\"", "mqtt.discovery_prefix"),
            ("host = \"ha\"\nunlock_s = 61", "mqtt.unlock_s"),
            ("host = \"ha\"\nca = \"/no/such.pem\"", "mqtt.ca"),
        ] {
            let error = Mqtt::open(&parse(text), Device::default()).unwrap_err().to_string();
            assert!(error.starts_with(key), "{text}: {error}");
        }
        for host in ["localhost", "127.0.0.1", "::1"] {
            parse("tls = false").check(host).unwrap();
        }
        assert!(toml::from_str::<MqttConfig>("hots = 1").is_err());
    }

    #[test]
    fn a_password_that_everybody_can_read_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let config = MqttConfig {
            username: Some("door".into()),
            password_file: Some(file.path().to_owned()),
            ..MqttConfig::default()
        };
        let mode = |mode| fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        fs::write(file.path(), "secret word\n").unwrap();
        mode(0o604);
        assert!(login(&config).unwrap_err().to_string().contains("chmod"));
        mode(0o640);
        let (name, password) = login(&config).unwrap().unwrap();
        assert_eq!((name.as_str(), password.as_str()), ("door", "secret word"));
        fs::write(file.path(), "\n").unwrap();
        assert!(login(&config).unwrap_err().to_string().contains("no password"));
    }
}
