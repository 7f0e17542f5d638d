//! Why the gateway cannot work.

use std::io;
use std::path::PathBuf;

use crate::mqtt::MqttError;

/// Why the gateway cannot work.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A file cannot be used.
    #[error("{what} {path}: {problem}")]
    File {
        /// What kind of file.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The address cannot be listened on.
    #[error("web.listen {address}: {source}; is another program listening there?")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// MQTT cannot be used as configured.
    #[error(transparent)]
    Mqtt(#[from] MqttError),
    /// The system refused.
    #[error("the gateway cannot start: {0}")]
    System(#[from] io::Error),
}
