//! Reading a configuration file: TOML, and one clear line for each mistake.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("config {path}: cannot be read: {source}; {remedy}", remedy = remedy(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no TOML, or has a key or value that does not belong there.
    #[error("config {path}: {problem}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, key and what is wrong.
        problem: String,
    },
    /// A value makes no sense.
    #[error("config {path}: {key} = {value}: {problem}")]
    Value {
        /// The file.
        path: PathBuf,
        /// Section and key.
        key: &'static str,
        /// The value as read.
        value: String,
        /// What would be right.
        problem: &'static str,
    },
}

fn remedy(source: &std::io::Error) -> &'static str {
    match source.kind() {
        std::io::ErrorKind::PermissionDenied => {
            "root and the file's group may read it: use sudo, or see to its owner and mode"
        }
        _ => "name a file that can be read with --config",
    }
}

/// The text of a configuration file.
///
/// # Errors
/// [`ConfigError::Read`].
pub fn read(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

/// A configuration's values, not yet checked against their ranges; `path` is for messages.
///
/// # Errors
/// [`ConfigError::Parse`].
pub fn parse<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, ConfigError> {
    toml::from_str(text)
        .map_err(|e| ConfigError::Parse { path: path.to_owned(), problem: toml_problem(&e, text) })
}

/// A TOML error on one line: where, and what.
pub fn toml_problem(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().replace('\n', " ");
    match error.span() {
        Some(span) => {
            let line = text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1);
            format!("line {line}: {message}")
        }
        None => message,
    }
}
