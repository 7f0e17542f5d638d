//! Reading a TOML file, with errors of one clear line. Nothing here knows what the file is about.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::DeTable;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("config {path}: cannot be read: {source}; {remedy}", remedy = remedy(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a key or value that does not belong there.
    #[error("config {path}: {problem}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, key and what is wrong.
        problem: String,
    },
    /// A value is out of range or contradicts another.
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
            "root and the file's group may read it: use sudo, or check its owner and mode"
        }
        _ => "give a readable file with --config",
    }
}

/// The text of a configuration file.
///
/// # Errors
/// When it cannot be read or is not UTF-8.
pub fn text(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

/// The keys and values of a TOML text, each with its place; `path` is for messages.
///
/// # Errors
/// One that names the file, the line and what is wrong.
pub fn document<'t>(text: &'t str, path: &Path) -> Result<Spanned<DeTable<'t>>, ConfigError> {
    DeTable::parse(text).map_err(|error| parse_error(&error, text, path))
}

/// The settings that a document holds; `text` is what it was made from, `path` is for messages.
///
/// # Errors
/// One that names the file, the line and what is wrong.
pub fn settings<T: DeserializeOwned>(
    document: Spanned<DeTable<'_>>,
    text: &str,
    path: &Path,
) -> Result<T, ConfigError> {
    T::deserialize(toml::Deserializer::from(document)).map_err(|error| parse_error(&error, text, path))
}

/// The settings that a text holds; `path` is for messages.
///
/// # Errors
/// As [`settings`].
pub fn parse<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, ConfigError> {
    settings(document(text, path)?, text, path)
}

/// The line of a byte of `text`, counted from 1.
pub fn line_at(text: &str, byte: usize) -> usize {
    text.get(..byte).map_or(1, |before| before.matches('\n').count() + 1)
}

fn parse_error(error: &toml::de::Error, text: &str, path: &Path) -> ConfigError {
    let message = error.message().replace('\n', " ");
    let problem = match error.span() {
        Some(span) => format!("line {}: {message}", line_at(text, span.start)),
        None => message,
    };
    ConfigError::Parse { path: path.to_owned(), problem }
}
