//! The gateway's configuration: `config/gateway.toml` lists every key with its default.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use facelatch_host::config_file::{self, ConfigError};
use serde::{Deserialize, Serialize};

use crate::mqtt::MqttConfig;

/// A whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// The way to the daemon.
    pub door: DoorConfig,
    /// The web page and the metrics.
    pub web: WebConfig,
    /// Home Assistant.
    pub mqtt: MqttConfig,
}

/// `[door]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DoorConfig {
    /// The daemon's socket for the gateway.
    pub socket: PathBuf,
    /// What the door is called on pages and by other systems, up to 40 characters.
    pub name: String,
}

impl Default for DoorConfig {
    fn default() -> Self {
        DoorConfig { socket: "/run/facelatch-gateway/socket".into(), name: "Door".to_owned() }
    }
}

/// `[web]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebConfig {
    /// False: no web page and no metrics.
    pub enabled: bool,
    /// Address and port; another address than the loopback's needs TLS.
    pub listen: SocketAddr,
    /// Where others reach the page, where that does not follow from `listen`: Home Assistant links to it.
    pub url: Option<String>,
    /// The certificate chain, PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The operator's password, hashed; made by `facelatch-gateway password`.
    pub password_file: PathBuf,
    /// The token by which a Prometheus may read `/metrics`; made by `facelatch-gateway token`.
    pub token_file: PathBuf,
    /// An unused session ends after this many minutes, 1 to 1440.
    pub session_minutes: u64,
    /// Connections at a time, 8 to 4096; further ones wait.
    pub max_connections: usize,
}

impl Default for WebConfig {
    fn default() -> Self {
        WebConfig {
            enabled: true,
            listen: SocketAddr::from(([127, 0, 0, 1], 8_430)),
            url: None,
            certificate: None,
            key: None,
            password_file: "/var/lib/facelatch-gateway/password".into(),
            token_file: "/var/lib/facelatch-gateway/token".into(),
            session_minutes: 30,
            max_connections: 256,
        }
    }
}

impl WebConfig {
    /// How long a session lasts without use.
    pub fn session(&self) -> Duration {
        Duration::from_secs(self.session_minutes * 60)
    }

    /// Certificate and key, where there are both.
    pub fn tls(&self) -> Option<(&Path, &Path)> {
        self.certificate.as_deref().zip(self.key.as_deref())
    }
}

/// `http` or `https`, a host, and nothing that does not belong into an address.
fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    let plain = |c: char| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c);
    text.len() <= 200
        && host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
        && text.chars().all(plain)
}

impl GatewayConfig {
    /// Where others reach the page: as configured, or where it listens.
    pub fn page(&self) -> Option<String> {
        let listen = self.web.listen;
        let open = self.web.enabled && !listen.ip().is_loopback() && !listen.ip().is_unspecified();
        self.web.url.clone().or_else(|| open.then(|| format!("https://{listen}/")))
    }

    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// One that names the file, the key or line and what would be right.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&config_file::text(path)?, path)
    }

    /// Reads and checks a configuration; `path` is for messages.
    ///
    /// # Errors
    /// As [`GatewayConfig::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: GatewayConfig = config_file::parse(text, path)?;
        config.check(path)?;
        Ok(config)
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let fail = |key, value: String, problem| {
            Err(ConfigError::Value { path: path.to_owned(), key, value, problem })
        };
        let web = &self.web;
        let name = &self.door.name;
        if !(1..=40).contains(&name.chars().count()) || name.chars().any(char::is_control) {
            return fail("door.name", format!("{name:?}"), "must be 1 to 40 printable characters");
        }
        if !(1..=1_440).contains(&web.session_minutes) {
            return fail("web.session_minutes", web.session_minutes.to_string(), "must be in 1 to 1440");
        }
        if !(8..=4_096).contains(&web.max_connections) {
            return fail("web.max_connections", web.max_connections.to_string(), "must be in 8 to 4096");
        }
        if let Some(url) = web.url.as_ref().filter(|url| !is_url(url)) {
            return fail(
                "web.url",
                format!("{url:?}"),
                "must be an address such as \"https://door.local:8430/\"",
            );
        }
        if web.certificate.is_some() != web.key.is_some() {
            return fail("web.certificate", "alone".to_owned(), "give certificate and key, or neither");
        }
        if web.enabled && !web.listen.ip().is_loopback() && web.tls().is_none() {
            return fail(
                "web.listen",
                web.listen.to_string(),
                "an address that others reach needs TLS: give web.certificate and web.key, or listen on 127.0.0.1",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../../config/gateway.toml");

    fn parse(text: &str) -> Result<GatewayConfig, String> {
        GatewayConfig::parse(text, Path::new("gateway.toml")).map_err(|e| e.to_string())
    }

    #[test]
    fn the_shipped_file_states_every_key_and_its_default() {
        let defaults = GatewayConfig::default();
        assert_eq!(parse(SHIPPED).unwrap(), defaults);
        let stated = SHIPPED.replace("#: ", "");
        assert_eq!(parse(&stated).map(|c| c.door), Ok(defaults.door.clone()), "examples are valid");
        let value = toml::Value::try_from(&defaults).unwrap();
        for (section, keys) in value.as_table().unwrap() {
            assert!(SHIPPED.contains(&format!("[{section}]")), "[{section}]");
            for key in keys.as_table().unwrap().keys() {
                assert!(stated.lines().any(|line| line.starts_with(&format!("{key} = "))), "{section}.{key}");
            }
        }
        for key in ["certificate", "key", "host", "username", "password_file"] {
            assert!(SHIPPED.contains(&format!("#: {key} = ")), "{key}");
        }
    }

    #[test]
    fn the_page_is_where_others_reach_it() {
        let page = |text: &str| parse(text).unwrap().page();
        assert_eq!(page(""), None, "the loopback's address is another one for others");
        let lan =
            |address: &str| format!("[web]\nlisten = \"{address}\"\ncertificate = \"c\"\nkey = \"k\"\n");
        assert_eq!(page(&lan("192.168.1.7:8430")).as_deref(), Some("https://192.168.1.7:8430/"));
        assert_eq!(page(&lan("[fd00::7]:8430")).as_deref(), Some("https://[fd00::7]:8430/"));
        assert_eq!(page(&lan("0.0.0.0:8430")), None, "any address is none to link to");
        let url = "url = \"https://door.local:8430/\"\n";
        let named = page(&format!("{}{url}", lan("0.0.0.0:8430")));
        assert_eq!(named.as_deref(), Some("https://door.local:8430/"));
        // A proxy in front of the loopback.
        assert_eq!(page("[web]\nurl = \"http://ha/door\"\n").as_deref(), Some("http://ha/door"));
    }

    #[test]
    fn the_lan_needs_tls_and_mistakes_are_named() {
        let lan = "[web]\nlisten = \"0.0.0.0:8430\"\n";
        assert!(parse(lan).unwrap_err().contains("needs TLS"));
        let with = format!("{lan}certificate = \"c\"\nkey = \"k\"\n");
        assert!(parse(&with).is_ok());
        for (text, words) in [
            ("[web]\nkey = \"k\"\n", "certificate and key"),
            ("[web]\nlisten = \"somewhere\"\n", "line 2"),
            ("[web]\nsession_minutes = 0\n", "web.session_minutes = 0"),
            ("[web]\npasword_file = \"x\"\n", "pasword_file"),
            ("[door]\nname = \"\"\n", "door.name"),
            ("[web]\nurl = \"door.local\"\n", "web.url"),
            ("[web]\nurl = \"https:///page\"\n", "web.url"),
            ("[web]\nurl = \"javascript:alert(1)\"\n", "web.url"),
            ("[web]\nurl = \"https://a b/\"\n", "web.url"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains("gateway.toml") && error.contains(words), "{error}");
        }
    }
}
