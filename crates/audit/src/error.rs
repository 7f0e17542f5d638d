//! Why the log cannot be read or written, and where its chain breaks.

use std::{fmt, io};

/// Why the audit log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The system refused.
    #[error("audit log {place}: cannot {what}: {source}")]
    Io {
        /// The file or folder.
        place: String,
        /// What was tried.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// Another process writes it.
    #[error("audit log {place}: another facelatch is writing to it; stop that one first")]
    InUse {
        /// The folder.
        place: String,
    },
    /// A checkpoint cannot be understood.
    #[error("checkpoint {place}: its last line must be what `facelatch audit export` wrote: {problem}")]
    Checkpoint {
        /// The file.
        place: String,
        /// What is wrong.
        problem: String,
    },
}

/// Where the chain breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// Number of the first entry that is not as it was written, or is missing.
    pub entry: u64,
    /// Its file, where there is one.
    pub file: Option<String>,
    /// Its line there, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}", self.entry)?;
        if let Some(file) = &self.file {
            write!(f, " ({file}, line {})", self.line)?;
        }
        write!(f, ": {}", self.problem)
    }
}
