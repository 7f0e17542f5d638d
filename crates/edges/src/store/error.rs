//! Why gallery, key or state cannot be read or written.

use std::io;
use std::path::PathBuf;

use facelatch_core::matching::GalleryError;

/// Why the gallery cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused a read or write.
    #[error("gallery {path}: cannot {what}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The state file cannot be read or written.
    #[error("state {path}: cannot {what}: {source}")]
    State {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// Another process works on it.
    #[error("gallery {path}: another facelatch is using it; try again, or stop it first")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The key file is missing, readable by others, or of another size.
    #[error("key {path}: {problem}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The file is not a gallery of this version.
    #[error("gallery {path}: {problem}; restore it from a backup, or move it away and enrol everyone again")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
    /// Key and file do not match, or a byte was changed.
    #[error(
        "gallery {path}: it was written with another key than {key}, or was changed: restore the key \
         or the file from a backup, or move the file away and enrol everyone again"
    )]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Where the key came from.
        key: PathBuf,
    },
    /// The content makes no sense although it is authentic.
    #[error("gallery {path}: {source}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: GalleryError,
    },
}
