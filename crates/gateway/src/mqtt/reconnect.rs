//! One connection to the broker after the other.

use std::collections::HashSet;
use std::time::Duration;

use super::session;
use super::setup::Mqtt;
use crate::daemon_link::{DoorLink, Stop};

/// The pauses between two tries to reach the broker double from the first to the second of these.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// As many reasons are told in one outage.
const REASONS: usize = 8;

/// Keeps the broker told until `stop`. Neither the broker's nor the daemon's absence ends it.
pub fn run(mut mqtt: Mqtt, door: &DoorLink, stop: &Stop) {
    let mut pause = BACK_OFF.0;
    // One line for each reason and outage, however often it is tried.
    let mut told = HashSet::new();
    while !stop.is_set() {
        let ended = session::run(&mut mqtt, door, stop);
        if stop.is_set() {
            return;
        }
        if ended.was_up {
            pause = BACK_OFF.0;
            told.clear();
        }
        if told.len() < REASONS && told.insert(ended.reason.clone()) {
            log::warn!("event=mqtt_lost broker={:?} reason={:?}", mqtt.host, ended.reason);
        }
        if stop.sleep(pause) {
            return;
        }
        pause = (pause * 2).min(BACK_OFF.1);
    }
}
