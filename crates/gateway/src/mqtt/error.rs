//! Why MQTT cannot be used.

use std::path::PathBuf;

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
