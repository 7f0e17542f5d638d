//! The daemon's Unix sockets: accept clients, hand their requests to the controller's thread.
//!
//! There are two: the operator's, for the daemon's own user and root, where everything may be asked, and
//! the gateway's, for its group, where the configured rights hold. Who a client is, is a matter of the
//! socket that it comes by: file modes decide, which hold in every namespace. (`SO_PEERCRED` would not:
//! in the unit's user namespace every other user is `nobody`.)

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::DaemonError;
use super::handler::RequestHandler;
use super::intake::Intake;

/// The socket file. One that a killed daemon left behind is replaced at the next start.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    listener: UnixListener,
}

impl Socket {
    /// Binds the operator's socket, for the daemon's own user only (mode 0600).
    ///
    /// # Errors
    /// When another daemon answers there, or the folder cannot be written.
    pub fn bind(path: &Path) -> Result<Self, DaemonError> {
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            let error =
                |source| DaemonError::Socket { path: path.to_owned(), what: "make the folder of", source };
            fs::create_dir_all(dir).map_err(error)?;
        }
        Self::bind_with(path, 0o600)
    }

    /// Binds the gateway's socket, for its folder's group as well (mode 0660). The folder must be there:
    /// whoever makes it says who comes in.
    ///
    /// # Errors
    /// When another daemon answers there, or the folder is missing or cannot be written.
    pub fn bind_gateway(path: &Path) -> Result<Self, DaemonError> {
        Self::bind_with(path, 0o660)
    }

    fn bind_with(path: &Path, mode: u32) -> Result<Self, DaemonError> {
        let error = |what, source| DaemonError::Socket { path: path.to_owned(), what, source };
        if UnixStream::connect(path).is_ok() {
            return Err(DaemonError::AlreadyRunning { path: path.to_owned() });
        }
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(error("replace", e)),
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(|e| error("bind", e))?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|e| error("protect", e))?;
        Ok(Socket { path: path.to_owned(), listener })
    }

    /// Removes the file: no further client finds the daemon.
    pub fn close(&self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Accepts clients until the process ends.
    pub(super) fn serve(&self, handler: &Arc<RequestHandler>) {
        Intake::new(&self.listener, handler).serve();
    }
}
