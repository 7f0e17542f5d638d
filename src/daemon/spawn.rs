//! The one place where the daemon starts threads.

use std::sync::mpsc::SyncSender;
use std::thread;

use super::error::DaemonError;
use super::message::Message;

/// Starts a thread; when it ends by a panic, the inbox gets to know.
pub(super) fn spawn(
    name: &'static str,
    watch: Option<SyncSender<Message>>,
    body: impl FnOnce() + Send + 'static,
) -> Result<(), DaemonError> {
    struct Watch(&'static str, Option<SyncSender<Message>>);
    impl Drop for Watch {
        fn drop(&mut self) {
            if thread::panicking()
                && let Some(inbox) = &self.1
            {
                let _ = inbox.send(Message::Failed(DaemonError::ThreadDied { thread: self.0 }));
            }
        }
    }
    let watch = Watch(name, watch);
    let body = move || {
        let _watch = watch;
        body();
    };
    thread::Builder::new().name(name.to_owned()).spawn(body).map(|_| ()).map_err(DaemonError::Thread)
}
