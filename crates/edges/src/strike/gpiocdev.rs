//! A strike on a line of the kernel's GPIO character device.

use crate::gpio::cdev::{self, CdevError};
use crate::gpio::{Backend, LineAddress};

use super::{Level, Strike, StrikeError, StrikeSettings, StrikeState};

use ::gpiocdev::Request;
use ::gpiocdev::line::Value;

/// A held line.
#[derive(Debug)]
pub struct Gpiocdev {
    request: Request,
    offset: u32,
    settings: StrikeSettings,
    address: LineAddress,
    place: String,
}

impl Gpiocdev {
    /// Takes the line and drives it secured in the same call: it never floats in between.
    ///
    /// # Errors
    /// When the line cannot be found or taken.
    pub fn open(settings: &StrikeSettings) -> Result<Self, StrikeError> {
        let address = settings.line.clone().ok_or(StrikeError::NoLine { backend: Backend::Gpiocdev })?;
        let open_error =
            |error: CdevError| StrikeError::Open { line: address.clone(), why: error.to_string() };
        let found = cdev::find(&address).map_err(open_error)?;
        // Polarity is ours, in `StrikeSettings::level`: the kernel sees plain levels.
        let request = Request::builder()
            .with_consumer("facelatch strike")
            .on_chip(&found.chip)
            .with_line(found.offset)
            .as_output(value(settings.level(StrikeState::Secured)))
            .request()
            .map_err(|e| open_error(cdev::explain(&found, &e)))?;
        let place = format!("{}:{}", found.chip.display(), found.offset);
        Ok(Gpiocdev { request, offset: found.offset, settings: settings.clone(), address, place })
    }
}

fn value(level: Level) -> Value {
    match level {
        Level::Low => Value::Inactive,
        Level::High => Value::Active,
    }
}

impl Strike for Gpiocdev {
    fn set(&mut self, state: StrikeState) -> Result<(), StrikeError> {
        self.request
            .set_value(self.offset, value(self.settings.level(state)))
            .map(|_| ())
            .map_err(|e| StrikeError::Set { line: self.address.clone(), state, why: e.to_string() })
    }

    fn describe(&self) -> String {
        format!("gpiocdev line {} ({})", self.address, self.place)
    }
}

impl Drop for Gpiocdev {
    fn drop(&mut self) {
        // What the chip does with a line that is given back differs; secure it before.
        if let Err(error) = self.set(StrikeState::Secured) {
            log::error!("event=not_secured_on_exit reason={:?}", error.to_string());
        }
    }
}
