//! The operator's view: a second process that speaks to the daemon by its socket, and to people.
//!
//! It has no camera, no line, no gallery and no key. What it may ask is decided by the daemon.
//!
//! * `board`: which board this is.
//! * [`daemon_link`]: its side of the socket, with reconnection.
//! * [`feed`]: the latest state and picture, for all that show them.
//! * [`web`]: the page and the metrics.
//! * [`mqtt`]: state and events for Home Assistant.

mod board;
pub mod cli;
pub mod config;
pub mod daemon_link;
pub mod feed;
pub mod mqtt;
pub mod secret;
pub mod web;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use config::GatewayConfig;
use daemon_link::{DoorLink, Stop};
use feed::Feed;

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
    #[error("web.listen {address}: {source}; is something else listening there?")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// MQTT cannot be used as configured.
    #[error(transparent)]
    Mqtt(#[from] mqtt::MqttError),
    /// The system refused.
    #[error("the gateway cannot start: {0}")]
    System(#[from] io::Error),
}

/// Starts a thread: the one place where the gateway does.
fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(body)
}

/// Runs the gateway until it is told to stop by a signal.
///
/// # Errors
/// Why it cannot work.
pub fn run(config: GatewayConfig) -> Result<(), GatewayError> {
    facelatch_host::private::no_core_file();
    let link = DoorLink::new(&config.door.socket);
    let (stop, feed) = (Arc::new(Stop::default()), Arc::new(Feed::default()));
    let site = match config.web.enabled {
        true => Some(web::Site::open(&config, link.clone(), Arc::clone(&feed))?),
        false => None,
    };
    let device =
        mqtt::Device { name: config.door.name.clone(), page: config.page(), serial: board::serial() };
    let mqtt = mqtt::Mqtt::open(&config.mqtt, device)?;
    let signalled = Arc::clone(&stop);
    let mut signals =
        signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM])?;
    let mut threads = Vec::new();
    {
        let (feed, link, stop) = (Arc::clone(&feed), link.clone(), Arc::clone(&stop));
        threads.push(spawn("state", move || feed.follow(&link, &stop))?);
    }
    if let Some(site) = site {
        let (feed, link, stopping) = (Arc::clone(&feed), link.clone(), Arc::clone(&stop));
        threads.push(spawn("pictures", move || feed.show(&link, &stopping))?);
        let stopping = Arc::clone(&stop);
        threads.push(spawn("web", move || web::serve(site, &stopping))?);
    }
    if let Some(mqtt) = mqtt {
        let (link, stopping) = (link.clone(), Arc::clone(&stop));
        threads.push(spawn("mqtt", move || mqtt.run(&link, &stopping))?);
    }
    let supervisor = facelatch_host::notify::Supervisor::from_env();
    supervisor.ready();
    log::info!("event=gateway_started socket={}", config.door.socket.display());
    // A signal ends it; a thread that ended by a panic does as well, and the supervisor starts anew.
    let watched = spawn("signals", move || {
        if signals.forever().next().is_some() {
            signalled.stop();
        }
    })?;
    while !stop.sleep(std::time::Duration::from_secs(1)) {
        if threads.iter().any(thread::JoinHandle::is_finished) || watched.is_finished() {
            break;
        }
    }
    supervisor.stopping();
    log::info!("event=gateway_stopping");
    let in_order = stop.is_set();
    stop.stop();
    if in_order { Ok(()) } else { Err(io::Error::other("a thread ended by itself: see the log").into()) }
}
