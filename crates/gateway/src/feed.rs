//! What the gateway knows of the door at present, for all that show it.
//!
//! One connection to the daemon brings states and entries; another brings pictures, and only while
//! somebody looks. However many look, the daemon packs and sends each picture once.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::watch;

use crate::daemon_link::{DaemonLink, LinkUpdate, StopSignal, WatchOptions};
use crate::sync::Monitor;
use facelatch_protocol::{Hello, State, View};

/// What is known of the daemon.
#[derive(Clone, Debug, Default)]
pub struct DaemonSnapshot {
    /// Which daemon answers; `None` while none does.
    pub hello: Option<Hello>,
    /// Why none does.
    pub problem: Option<String>,
    /// The latest state of the daemon that answers.
    pub state: Option<Arc<State>>,
}

/// How an enrolment by the page goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnrolmentProgress {
    /// Under which name.
    pub name: Option<String>,
    /// What was said last.
    pub text: String,
    /// Somebody wants it to end.
    pub cancelled: bool,
    /// True when it is over: the door has been told, another may begin.
    pub over: bool,
}

/// The latest of everything.
#[derive(Debug)]
pub struct Feed {
    /// State of the daemon.
    pub known: watch::Sender<DaemonSnapshot>,
    /// The latest picture, as JSON; `None` while nobody looks.
    pub view: watch::Sender<Option<Arc<EncodedView>>>,
    /// The latest enrolment by the page.
    pub enrolment: watch::Sender<Option<EnrolmentProgress>>,
    viewers: AtomicUsize,
    wanted: Monitor<()>,
}

/// A picture as text for browsers. It shows people: it has no `Debug` of its content.
pub struct EncodedView {
    /// A server-sent event `view` with the picture as JSON; everybody gets the same bytes.
    pub event: Bytes,
    /// The JPEG.
    pub jpeg: Vec<u8>,
}

impl std::fmt::Debug for EncodedView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EncodedView(redacted)")
    }
}

impl Default for Feed {
    fn default() -> Self {
        Feed {
            known: watch::Sender::default(),
            view: watch::Sender::default(),
            enrolment: watch::Sender::default(),
            viewers: AtomicUsize::new(0),
            wanted: Monitor::default(),
        }
    }
}

/// While it lives, pictures come.
#[derive(Debug)]
pub struct Viewer(Arc<Feed>);

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.viewers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Feed {
    /// Somebody looks.
    pub fn look(self: &Arc<Self>) -> Viewer {
        self.viewers.fetch_add(1, Ordering::Relaxed);
        self.wanted.change(|()| {});
        Viewer(Arc::clone(self))
    }

    /// How many look.
    pub fn viewers(&self) -> usize {
        self.viewers.load(Ordering::Relaxed)
    }

    /// Follows the door's state until told to stop.
    pub(super) fn follow(&self, link: &DaemonLink, stop: &StopSignal) {
        link.follow(WatchOptions::default(), stop, |update| {
            match update {
                LinkUpdate::Up(hello) => {
                    log::info!("event=door_up version={} rights={:?}", hello.version, hello.rights);
                    self.known.send_replace(DaemonSnapshot {
                        hello: Some(hello),
                        problem: None,
                        state: None,
                    });
                }
                LinkUpdate::Down(problem) => {
                    log::warn!("event=door_down reason={problem:?}");
                    self.known
                        .send_replace(DaemonSnapshot { problem: Some(problem), ..DaemonSnapshot::default() });
                }
                LinkUpdate::State(state) => {
                    self.known.send_modify(|known| known.state = Some(Arc::from(state)));
                }
                LinkUpdate::Entry(_) | LinkUpdate::View(_) => {}
            }
            ControlFlow::Continue(())
        });
    }

    /// Brings pictures while somebody looks, until told to stop.
    pub(super) fn show(&self, link: &DaemonLink, stop: &StopSignal) {
        const TICK: Duration = Duration::from_millis(500);
        while !stop.is_set() {
            if self.viewers() == 0 {
                self.view.send_replace(None);
                // Whoever came since is asked for with the lock held: no wake-up is missed.
                drop(self.wanted.wait_while(TICK, |()| self.viewers() == 0));
                continue;
            }
            let outcome = link.watch(
                WatchOptions { since: None, picture: true },
                || stop.is_set(),
                |update| {
                    if let LinkUpdate::View(view) = update
                        && let Some(text) = text(&view)
                    {
                        self.view.send_replace(Some(Arc::new(text)));
                    }
                    let over = stop.is_set() || self.viewers() == 0;
                    if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                },
            );
            if let Err(error) = outcome {
                log::debug!("event=no_picture reason={:?}", error.to_string());
                self.view.send_replace(None);
                stop.sleep(TICK);
            }
        }
    }
}

fn text(view: &View) -> Option<EncodedView> {
    use base64::Engine as _;
    let jpeg = base64::engine::general_purpose::STANDARD.decode(&view.jpeg).ok()?;
    let json = serde_json::to_string(view).ok()?;
    Some(EncodedView { event: format!("event: view\ndata: {json}\n\n").into(), jpeg })
}
