//! A strike on a Raspberry Pi's pin, by BCM number.

use crate::gpio::pi;
use crate::gpio::{Backend, LineAddress};

use super::{Level, Strike, StrikeError, StrikeSettings, StrikeState};

use ::rppal::gpio::{Level as PinLevel, OutputPin};

/// A held pin.
#[derive(Debug)]
pub struct Rppal {
    pin: OutputPin,
    settings: StrikeSettings,
    number: u8,
}

impl Rppal {
    /// Takes the pin and drives it secured.
    ///
    /// The pin is left driven when the strike is dropped (after securing it): as an input it would
    /// float, and a relay board may take that for either level.
    ///
    /// # Errors
    /// When this is not a Raspberry Pi, the pin does not exist or is taken, or `/dev/gpiomem` may not be
    /// opened.
    pub fn open(settings: &StrikeSettings) -> Result<Self, StrikeError> {
        let address = settings.line.clone().ok_or(StrikeError::NoLine { backend: Backend::Rppal })?;
        let LineAddress::Bcm(number) = address else {
            return Err(StrikeError::WrongAddress {
                backend: Backend::Rppal,
                line: address,
                takes: "a BCM number (17)",
            });
        };
        let open_error = |why: String| StrikeError::Open { line: LineAddress::Bcm(number), why };
        let pin = pi::pin(number).map_err(|e| open_error(e.to_string()))?;
        // The level is written before the pin becomes an output: it never shows the other one.
        let mut pin = match settings.level(StrikeState::Secured) {
            Level::Low => pin.into_output_low(),
            Level::High => pin.into_output_high(),
        };
        pin.set_reset_on_drop(false);
        Ok(Rppal { pin, settings: settings.clone(), number })
    }
}

impl Strike for Rppal {
    fn set(&mut self, state: StrikeState) -> Result<(), StrikeError> {
        let wanted = match self.settings.level(state) {
            Level::Low => PinLevel::Low,
            Level::High => PinLevel::High,
        };
        self.pin.write(wanted);
        // The register of levels shows what the pin does, not what was asked of it.
        let shown = if self.pin.is_set_high() { PinLevel::High } else { PinLevel::Low };
        if shown == wanted {
            Ok(())
        } else {
            let why =
                "the pin reads the opposite level: is it shorted, or driven by something else?".to_owned();
            Err(StrikeError::Set { line: LineAddress::Bcm(self.number), state, why })
        }
    }

    fn describe(&self) -> String {
        format!("rppal pin BCM {}", self.number)
    }
}

impl Drop for Rppal {
    fn drop(&mut self) {
        if let Err(error) = self.set(StrikeState::Secured) {
            log::error!("event=not_secured_on_exit reason={:?}", error.to_string());
        }
    }
}
