//! One connection to the broker after the other.

use std::collections::HashSet;
use std::time::Duration;

use super::session;
use super::setup::Mqtt;
use crate::daemon_link::{DaemonLink, StopSignal};
use facelatch_host::backoff::Backoff;

/// Pauses between two attempts to reach the broker: the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Reasons logged in one outage.
const REASONS: usize = 8;

/// Keeps the broker told until `stop`. Neither the broker's nor the daemon's absence ends it.
pub fn run(mut mqtt: Mqtt, door: &DaemonLink, stop: &StopSignal) {
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    // One line for each reason and outage, however often it is tried.
    let mut told = HashSet::new();
    while !stop.is_set() {
        let ended = session::run(&mut mqtt, door, stop);
        if stop.is_set() {
            return;
        }
        if ended.was_up {
            backoff.works();
            told.clear();
        }
        if told.len() < REASONS && told.insert(ended.reason.clone()) {
            log::warn!("event=mqtt_lost broker={:?} reason={:?}", mqtt.host, ended.reason);
        }
        if stop.sleep(backoff.failed()) {
            return;
        }
    }
}
