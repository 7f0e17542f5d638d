//! `[access]`

use std::path::Path;
use std::time::Duration;

use super::Config;
use super::table::{Fault, section};
use crate::access::{AccessRules, ApproachRules, WindowRules};
use crate::embed::Card;
use facelatch_host::config_file::ConfigError;

section! {
    /// When the strike is released.
    [access] AccessConfig;

    /// Frames of one face that are averaged.
    window_frames: usize = 15, range 1 to 200;
    /// Mean similarity (1 - distance) that opens the door. Without it: the model card's threshold for attempts.
    threshold: Option<f32> = None, range -1.0 to 1.0, example "0.3";
    /// Instead of threshold: the card's threshold for this false match rate per comparison.
    target_fmr: Option<f64> = None, range 0.000001 to 0.5, example "0.01";
    /// Added to the threshold for each tenfold increase in enrolled people, so that the chance of a stranger
    /// stays the same. Without it: the value from the card.
    threshold_per_decade: Option<f32> = None, range 0.0 to 1.0, example "0.07", old gallery_raise;
    /// Minimum lead over the second-best person.
    margin: f32 = 0.05, range 0.0 to 1.0;
    /// Longest gap between two frames of a window.
    max_gap_ms: u64 = 500, range 10 to 5_000 ms;
    /// Longest time from the first to the last frame of a window.
    max_age_ms: u64 = 5_000, range 100 to 60_000 ms;
    /// Refuse frames older than this.
    max_frame_age_ms: u64 = 1_000, range 50 to 10_000 ms;
    /// How long the strike stays released.
    hold_ms: u64 = 3_000, range 200 to 30_000 ms;
    /// An approach ends after this long without a face.
    approach_gap_ms: u64 = 1_500, range 100 to 60_000 ms;
    /// A person who stays may be let in again after this long.
    cooldown_ms: u64 = 30_000, range 1_000 to 3_600_000 ms;
    /// Longest `facelatch mode hold-open`; 0 forbids it.
    max_hold_open_s: u64 = 28_800, range 0 to 86_400 s;
    /// Raise an alarm when the door stays open for this long (needs lines.door_sensor).
    held_open_ms: u64 = 30_000, range 1_000 to 3_600_000 ms;
}

impl AccessConfig {
    pub(super) fn check_threshold(&self) -> Result<(), Fault> {
        match (self.threshold, self.target_fmr) {
            (Some(_), Some(fmr)) => {
                let problem = "give either threshold or target_fmr, not both";
                Err(Fault::new("access.target_fmr", fmr, problem))
            }
            _ => Ok(()),
        }
    }

    /// The configured threshold, or the card's where none is configured.
    fn threshold(&self, card: &Card) -> Result<f32, Fault> {
        match (self.threshold, self.target_fmr) {
            (Some(threshold), _) => Ok(threshold),
            (None, Some(fmr)) => card.threshold_at_fmr(fmr).ok_or_else(|| {
                let problem = "the model card has no threshold for this rate (see: facelatch model check)";
                Fault::new("access.target_fmr", fmr, problem)
            }),
            (None, None) => Ok(card.attempt_threshold()),
        }
    }
}

impl Config {
    /// The rules of the access decision, with the card's threshold where none is configured.
    ///
    /// # Errors
    /// When the card has no threshold for `target_fmr`.
    pub fn access_rules(&self, card: &Card, path: &Path) -> Result<AccessRules, ConfigError> {
        let access = &self.access;
        let max_gap = Duration::from_millis(access.max_gap_ms);
        Ok(AccessRules {
            window: WindowRules {
                frames: access.window_frames,
                threshold: access.threshold(card).map_err(|fault| fault.in_file(path))?,
                gallery_raise: access.threshold_per_decade.unwrap_or_else(|| card.tenfold_step()),
                margin: access.margin,
                max_gap,
                max_age: Duration::from_millis(access.max_age_ms),
            },
            hold: Duration::from_millis(access.hold_ms),
            max_hold_open: Duration::from_secs(access.max_hold_open_s),
            approach: ApproachRules {
                gap: Duration::from_millis(access.approach_gap_ms),
                cooldown: Duration::from_millis(access.cooldown_ms),
            },
            max_frame_age: Duration::from_millis(access.max_frame_age_ms),
            lockout: self.lockout.rules(),
            unset_clock: self.schedule.unset_clock,
            held_open_after: Duration::from_millis(access.held_open_ms),
            enrolment: self.enrolment.rules(max_gap),
            button: self.enrolment.button_rules(),
            liveness: self.liveness.rules(),
        })
    }
}
