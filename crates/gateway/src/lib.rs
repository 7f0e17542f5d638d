//! The operator's view: a second process that speaks to the daemon by its socket, and to people.
//!
//! It has no camera, no line, no gallery and no key. What it may ask is decided by the daemon.
//!
//! * `board`: which board this is.
//! * [`daemon_link`]: its side of the socket, with reconnection.
//! * [`feed`]: the latest state and picture, for all that show them.
//! * [`web`]: the page and the metrics.
//! * [`mqtt`]: state and events for Home Assistant.
//! * [`cli`], [`config`]: the command line, and `config/gateway.toml`.
//! * [`secret`]: the operator's password and the token for Prometheus.
//! * `service`: the process, from the start to a signal.
//! * `sync`, `error`: what threads share; why the gateway cannot work.

mod board;
pub mod cli;
pub mod config;
pub mod daemon_link;
mod error;
pub mod feed;
pub mod mqtt;
pub mod secret;
mod service;
mod sync;
pub mod web;

use std::io;
use std::thread;

pub use error::GatewayError;
pub use service::run;

/// Starts a thread: the one place where the gateway does.
fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(body)
}
