//! The process: its threads, from the start to a signal.

use std::io;
use std::sync::Arc;
use std::thread;

use crate::config::GatewayConfig;
use crate::daemon_link::{DaemonLink, StopSignal};
use crate::error::GatewayError;
use crate::feed::Feed;
use crate::{board, mqtt, spawn, web};

/// Runs the gateway until it is told to stop by a signal.
///
/// # Errors
/// Why it cannot work.
pub fn run(config: GatewayConfig) -> Result<(), GatewayError> {
    facelatch_host::private::no_core_file();
    let link = DaemonLink::new(&config.door.socket);
    let (stop, feed) = (Arc::new(StopSignal::default()), Arc::new(Feed::default()));
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
        threads.push(spawn("mqtt", move || mqtt::run(mqtt, &link, &stopping))?);
    }
    let supervisor = facelatch_host::notify::Supervisor::from_env();
    supervisor.ready();
    log::info!("event=gateway_started socket={}", config.door.socket.display());
    // A signal ends it. So does a thread that panics; the supervisor then restarts the gateway.
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
    if in_order { Ok(()) } else { Err(io::Error::other("a thread ended unexpectedly: see the log").into()) }
}
