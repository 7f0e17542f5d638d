//! Inputs (enrolment button, request to exit, door sensor) and indicators (two LEDs, a buzzer).
//!
//! Inputs come as edge events with the kernel's own time stamps, debounced by the kernel where the
//! backend can. Polarity is stated in [`InputSettings`] and [`IndicatorSettings`]; beyond them a line
//! is active or not.
//!
//! What the indicators show ([`lit`]); green and red together are orange on a two-colour LED:
//!
//! | | green | red | buzzer |
//! |---|---|---|---|
//! | idle | | | |
//! | identifying, enrolment counting down | x | x | |
//! | released | x | | |
//! | denied | | x | x |
//! | enrolment waiting for a face | | x | |

mod simulated;

#[cfg(feature = "gpiocdev")]
mod gpiocdev;
#[cfg(feature = "rppal")]
mod rppal;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::simulated::{NoLights, SimulatedInputs, Switch};
use crate::access::Indication;
use crate::gpio::{Backend, Bias, LineAddress, Polarity};
use crate::time::Timestamp;

/// An input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputLine {
    /// The enrolment button.
    Button,
    /// Request to exit: opens from within. It must also be wired to work without this program.
    Rex,
    /// The door's contact: active while the door stands open.
    DoorSensor,
}

impl fmt::Display for InputLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InputLine::Button => "button",
            InputLine::Rex => "rex",
            InputLine::DoorSensor => "door-sensor",
        })
    }
}

/// An edge of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineEvent {
    /// Which input.
    pub line: InputLine,
    /// Whether it became active.
    pub active: bool,
    /// When, by the monotonic clock, as the kernel saw it.
    pub at: Timestamp,
}

/// The inputs of a door.
pub trait Inputs: Send {
    /// The next edge, waiting for it no longer than `wait`.
    ///
    /// # Errors
    /// When a line can no longer be read.
    fn wait(&mut self, wait: Duration) -> Result<Option<LineEvent>, LineError>;

    /// Whether `line` is active now; `None` when it is not configured.
    ///
    /// # Errors
    /// When it cannot be read.
    fn active(&mut self, line: InputLine) -> Result<Option<bool>, LineError>;

    /// What is read, for people.
    fn describe(&self) -> String;
}

/// An indicator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IndicatorLine {
    /// Lit while the strike is released.
    GreenLed,
    /// Lit for a denied attempt and for faults.
    RedLed,
    /// Sounds.
    Buzzer,
}

impl fmt::Display for IndicatorLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IndicatorLine::GreenLed => "green-led",
            IndicatorLine::RedLed => "red-led",
            IndicatorLine::Buzzer => "buzzer",
        })
    }
}

/// Lights and buzzer.
pub trait Indicator: Send {
    /// Shows what goes on.
    ///
    /// # Errors
    /// When a line cannot be driven; the door works all the same.
    fn show(&mut self, indication: Indication) -> Result<(), LineError>;

    /// What is driven, for people.
    fn describe(&self) -> String;
}

/// Whether an indicator is on while `indication` is shown.
pub fn lit(line: IndicatorLine, indication: Indication) -> bool {
    use Indication::{Denied, EnrolCounting, EnrolWaiting, Identifying, Released};
    match line {
        IndicatorLine::GreenLed => matches!(indication, Released | Identifying | EnrolCounting),
        IndicatorLine::RedLed => matches!(indication, Denied | Identifying | EnrolCounting | EnrolWaiting),
        IndicatorLine::Buzzer => indication == Denied,
    }
}

/// One input's wiring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputSettings {
    /// Which input.
    pub line: InputLine,
    /// Where it is.
    pub address: LineAddress,
    /// Which level is active.
    pub polarity: Polarity,
    /// Its resistor.
    pub bias: Bias,
    /// Levels shorter than this are bounces; zero lets all edges through.
    pub debounce: Duration,
}

/// One indicator's wiring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndicatorSettings {
    /// Which indicator.
    pub line: IndicatorLine,
    /// Where it is.
    pub address: LineAddress,
    /// Which level switches it on.
    pub polarity: Polarity,
}

/// Opens the inputs.
///
/// # Errors
/// See [`LineError`].
pub fn open_inputs(backend: Backend, settings: &[InputSettings]) -> Result<Box<dyn Inputs>, LineError> {
    match backend {
        _ if settings.is_empty() => Ok(Box::new(SimulatedInputs::new())),
        Backend::Simulated => Ok(Box::new(SimulatedInputs::new())),
        #[cfg(feature = "gpiocdev")]
        Backend::Gpiocdev => Ok(Box::new(gpiocdev::CdevInputs::open(settings)?)),
        #[cfg(feature = "rppal")]
        Backend::Rppal => Ok(Box::new(rppal::PiInputs::open(settings)?)),
        #[allow(unreachable_patterns)]
        missing => Err(LineError::NotBuilt { backend: missing }),
    }
}

/// Opens the indicators, all off.
///
/// # Errors
/// See [`LineError`].
pub fn open_indicators(
    backend: Backend,
    settings: &[IndicatorSettings],
) -> Result<Box<dyn Indicator>, LineError> {
    match backend {
        _ if settings.is_empty() => Ok(Box::new(NoLights)),
        Backend::Simulated => Ok(Box::new(NoLights)),
        #[cfg(feature = "gpiocdev")]
        Backend::Gpiocdev => Ok(Box::new(gpiocdev::CdevIndicators::open(settings)?)),
        #[cfg(feature = "rppal")]
        Backend::Rppal => Ok(Box::new(rppal::PiIndicators::open(settings)?)),
        #[allow(unreachable_patterns)]
        missing => Err(LineError::NotBuilt { backend: missing }),
    }
}

/// Why a line cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It cannot be found or taken.
    #[error("{what} line {address}: {why}")]
    Open {
        /// Which input or indicator.
        what: String,
        /// The line as configured.
        address: LineAddress,
        /// What is wrong and what to do.
        why: String,
    },
    /// It was taken but cannot be read or driven.
    #[error("{what} line: {why}")]
    Use {
        /// Which input or indicator.
        what: String,
        /// What the kernel said.
        why: String,
    },
    /// This program was built without the backend.
    #[error("this facelatch was built without {backend}: build it with --features {backend}")]
    NotBuilt {
        /// The backend asked for.
        backend: Backend,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn button(address: &str) -> InputSettings {
        InputSettings {
            line: InputLine::Button,
            address: address.parse().unwrap(),
            polarity: Polarity::ActiveLow,
            bias: Bias::PullUp,
            debounce: Duration::from_millis(10),
        }
    }

    #[test]
    fn lines_that_are_not_there_are_named() {
        for (backend, address) in
            [(Backend::Gpiocdev, "NO-SUCH-LINE"), (Backend::Gpiocdev, "17"), (Backend::Rppal, "BUTTON")]
        {
            let message = open_inputs(backend, &[button(address)]).err().expect("no such line").to_string();
            assert!(message.starts_with(&format!("button line {address}: ")), "{message}");
            let led = IndicatorSettings {
                line: IndicatorLine::RedLed,
                address: address.parse().unwrap(),
                polarity: Polarity::ActiveHigh,
            };
            let message = open_indicators(backend, &[led]).err().expect("no such line").to_string();
            assert!(message.starts_with(&format!("red-led line {address}: ")), "{message}");
        }
    }

    #[test]
    fn a_door_without_lines_needs_no_chip() {
        let mut inputs = open_inputs(Backend::Gpiocdev, &[]).unwrap();
        assert_eq!(inputs.active(InputLine::Rex).unwrap(), None);
        assert_eq!(inputs.wait(Duration::ZERO).unwrap(), None);
        open_indicators(Backend::Gpiocdev, &[]).unwrap().show(Indication::Denied).unwrap();
    }
}
