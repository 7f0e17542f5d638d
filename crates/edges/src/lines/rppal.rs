//! Inputs and indicators on a Raspberry Pi's pins.

use std::time::Duration;

use ::rppal::gpio::{Gpio, InputPin, OutputPin, Trigger};

use super::{
    Indicator, IndicatorLine, IndicatorSettings, InputLine, InputSettings, Inputs, LineError, LineEvent, lit,
};
use crate::gpio::pi::{self, PiError};
use crate::gpio::{Bias, LineAddress, Polarity};
use facelatch_core::access::Indication;
use facelatch_core::time::Timestamp;

fn number(what: &dyn std::fmt::Display, address: &LineAddress) -> Result<u8, LineError> {
    match address {
        LineAddress::Bcm(number) => Ok(*number),
        other => Err(LineError::Open {
            what: what.to_string(),
            address: other.clone(),
            why: "rppal needs a BCM number (17)".to_owned(),
        }),
    }
}

fn open_error(what: &dyn std::fmt::Display, address: &LineAddress, error: &PiError) -> LineError {
    LineError::Open { what: what.to_string(), address: address.clone(), why: error.to_string() }
}

pub struct PiInputs {
    gpio: Gpio,
    pins: Vec<(InputLine, Polarity, InputPin)>,
}

impl PiInputs {
    pub fn open(settings: &[InputSettings]) -> Result<Self, LineError> {
        let mut pins = Vec::new();
        let mut gpio = None;
        for input in settings {
            let number = number(&input.line, &input.address)?;
            let open_error = |e: PiError| open_error(&input.line, &input.address, &e);
            let pin = pi::pin(number).map_err(open_error)?;
            let mut pin = match input.bias {
                Bias::AsIs | Bias::Disabled => pin.into_input(),
                Bias::PullUp => pin.into_input_pullup(),
                Bias::PullDown => pin.into_input_pulldown(),
            };
            let debounce = (!input.debounce.is_zero()).then_some(input.debounce);
            pin.set_interrupt(Trigger::Both, debounce).map_err(|e| open_error(pi::explain(number, e)))?;
            if gpio.is_none() {
                gpio = Some(Gpio::new().map_err(|e| open_error(pi::explain(number, e)))?);
            }
            pins.push((input.line, input.polarity, pin));
        }
        match gpio {
            Some(gpio) => Ok(PiInputs { gpio, pins }),
            None => Err(LineError::Use { what: "an input".to_owned(), why: "none is configured".to_owned() }),
        }
    }
}

impl Inputs for PiInputs {
    fn wait(&mut self, wait: Duration) -> Result<Option<LineEvent>, LineError> {
        let pins: Vec<&InputPin> = self.pins.iter().map(|(_, _, pin)| pin).collect();
        let polled = self
            .gpio
            .poll_interrupts(&pins, false, Some(wait))
            .map_err(|e| LineError::Use { what: "an input".to_owned(), why: e.to_string() })?;
        let Some((pin, event)) = polled else { return Ok(None) };
        let found = self.pins.iter().find(|(_, _, held)| held.pin() == pin.pin());
        Ok(found.map(|(line, polarity, _)| LineEvent {
            line: *line,
            active: (event.trigger == Trigger::RisingEdge) == (*polarity == Polarity::ActiveHigh),
            at: Timestamp::ZERO + event.timestamp,
        }))
    }

    fn active(&mut self, line: InputLine) -> Result<Option<bool>, LineError> {
        let found = self.pins.iter().find(|(held, _, _)| *held == line);
        Ok(found.map(|(_, polarity, pin)| pin.is_high() == (*polarity == Polarity::ActiveHigh)))
    }

    fn describe(&self) -> String {
        let lines: Vec<_> =
            self.pins.iter().map(|(line, _, pin)| format!("{line} on BCM {}", pin.pin())).collect();
        format!("rppal: {}", lines.join(", "))
    }
}

pub struct PiIndicators {
    pins: Vec<(IndicatorLine, Polarity, OutputPin)>,
}

impl PiIndicators {
    pub fn open(settings: &[IndicatorSettings]) -> Result<Self, LineError> {
        let mut pins = Vec::new();
        for indicator in settings {
            let number = number(&indicator.line, &indicator.address)?;
            let pin = pi::pin(number).map_err(|e| open_error(&indicator.line, &indicator.address, &e))?;
            let mut pin = match indicator.polarity {
                Polarity::ActiveHigh => pin.into_output_low(),
                Polarity::ActiveLow => pin.into_output_high(),
            };
            pin.set_reset_on_drop(false);
            pins.push((indicator.line, indicator.polarity, pin));
        }
        Ok(PiIndicators { pins })
    }
}

impl Indicator for PiIndicators {
    fn show(&mut self, indication: Indication, elapsed: Duration) -> Result<(), LineError> {
        for (line, polarity, pin) in &mut self.pins {
            if lit(*line, indication, elapsed) == (*polarity == Polarity::ActiveHigh) {
                pin.set_high();
            } else {
                pin.set_low();
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let lines: Vec<_> =
            self.pins.iter().map(|(line, _, pin)| format!("{line} on BCM {}", pin.pin())).collect();
        format!("rppal: {}", lines.join(", "))
    }
}

impl Drop for PiIndicators {
    fn drop(&mut self) {
        // Cannot fail: writes to registers.
        let _ = self.show(Indication::Idle, Duration::ZERO);
    }
}
