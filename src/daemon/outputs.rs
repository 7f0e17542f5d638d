//! Strike, lights and buzzer, and what they show.

use std::time::Duration;

use crate::access::Indication;
use crate::lines::{Indicator, next_change};
use crate::strike::{Strike, StrikeError, StrikeState};
use crate::time::Timestamp;

/// What the daemon drives.
pub(super) struct Outputs {
    strike: Box<dyn Strike>,
    state: StrikeState,
    indicator: Box<dyn Indicator>,
    /// What is shown, and since when.
    shown: (Indication, Timestamp),
}

impl Outputs {
    /// With the strike secured.
    pub(super) fn new(strike: Box<dyn Strike>, indicator: Box<dyn Indicator>, now: Timestamp) -> Self {
        Outputs { strike, state: StrikeState::Secured, indicator, shown: (Indication::Idle, now) }
    }

    /// Drives the strike; one that cannot be driven is secured if at all possible.
    pub(super) fn set_strike(&mut self, state: StrikeState) -> Result<(), StrikeError> {
        if let Err(error) = self.strike.set(state) {
            let _ = self.strike.set(StrikeState::Secured);
            return Err(error);
        }
        self.state = state;
        Ok(())
    }

    /// As the strike was driven last.
    pub(super) fn strike_state(&self) -> StrikeState {
        self.state
    }

    /// The strike's line, in words.
    pub(super) fn describe(&self) -> String {
        self.strike.describe()
    }

    /// Shows something else from now on.
    pub(super) fn show(&mut self, now: Timestamp, indication: Indication) {
        self.shown = (indication, now);
        self.update_indicator(now);
    }

    /// What is shown.
    pub(super) fn shown(&self) -> Indication {
        self.shown.0
    }

    /// When what is shown looks different, blinking.
    pub(super) fn next_blink(&self, now: Timestamp) -> Option<Duration> {
        let (shown, since) = self.shown;
        next_change(shown, now.since(since))
    }

    /// Lets the lights be as they should be now.
    pub(super) fn update_indicator(&mut self, now: Timestamp) {
        let (indication, since) = self.shown;
        // A broken light must not keep the door from working.
        if let Err(error) = self.indicator.show(indication, now.since(since)) {
            log::warn!("event=indicator_failed error={:?}", error.to_string());
        }
    }
}
