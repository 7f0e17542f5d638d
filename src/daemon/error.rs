//! Why the daemon stopped.

use std::io;
use std::path::PathBuf;

use crate::access::Fault;
use crate::camera::CameraError;
use crate::embed::EmbedError;
use crate::lines::LineError;
use crate::store::StoreError;
use crate::strike::StrikeError;

/// Why the daemon stopped or a client got no answer.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The camera failed for good.
    #[error(transparent)]
    Camera(#[from] CameraError),
    /// The network failed.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// The strike cannot be driven.
    #[error(transparent)]
    Strike(#[from] StrikeError),
    /// An input or output line failed.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The gallery cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The socket cannot be used.
    #[error("socket {path}: cannot {what} it: {source}")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// Another daemon answers on the socket.
    #[error("socket {path}: another facelatch is running; stop it first (systemctl stop facelatch)")]
    AlreadyRunning {
        /// The socket.
        path: PathBuf,
    },
    /// A thread ended that must not.
    #[error("internal error: the {thread} thread died (a bug: please report the log)")]
    ThreadDied {
        /// Which.
        thread: &'static str,
    },
    /// A thread could not be started.
    #[error("the system cannot start another thread: {0}")]
    Thread(io::Error),
}

impl DaemonError {
    /// What broke, as the controller is told.
    pub(super) fn fault(&self) -> Fault {
        match self {
            DaemonError::Camera(_) | DaemonError::ThreadDied { thread: "camera" } => Fault::Camera,
            DaemonError::Line(_) | DaemonError::ThreadDied { thread: "lines" } => Fault::Lines,
            DaemonError::Store(_) | DaemonError::ThreadDied { thread: "disk" } => Fault::Store,
            _ => Fault::Vision,
        }
    }
}
