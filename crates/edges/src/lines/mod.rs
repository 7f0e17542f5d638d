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
//! | enrolment waiting for a face | | x | |
//! | denied: unknown, nobody enrolled, like two people, a picture, challenge failed | | x | one long beep |
//! | denied: was let in already | | 1 blink | |
//! | denied: several faces | | 2 blinks | 2 beeps |
//! | denied: picture too dark, too bright, too small; not sure alive; second factor | | 3 blinks | 3 beeps |
//! | denied: locked out | | 4 blinks | 4 beeps |
//! | denied: outside permitted hours, clock not set | | 5 blinks | 5 beeps |
//! | denied: secure mode | | 6 blinks | 6 beeps |
//! | denied: the audit log is not written | | 7 blinks | 7 beeps |
//! | asked to turn the head | in turn with red | in turn with green | 2 beeps |
//! | asked to nod | together with red | together with green | 2 beeps |
//! | alarm | | flashes | sounds on and off |
//!
//! Blinks come again every 2.4 s, beeps do not.

mod simulated;

#[cfg(feature = "gpiocdev")]
mod gpiocdev;
#[cfg(feature = "rppal")]
mod rppal;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::simulated::{NoLights, SimulatedInputs, Switch};
use crate::gpio::{Backend, Bias, LineAddress, Polarity};
use facelatch_core::access::{DenyCode, Indication};
use facelatch_core::time::Timestamp;

/// An input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputLine {
    /// The enrolment button.
    Button,
    /// A key switch or jumper that lets the enrolment button work while it is closed.
    EnrolKey,
    /// Request to exit: opens from within. It must also be wired to work without this program.
    Rex,
    /// A keypad's or card reader's relay: active for a moment when the right code was given.
    SecondFactor,
    /// The door's contact: active while the door stands open.
    DoorSensor,
}

impl fmt::Display for InputLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InputLine::Button => "button",
            InputLine::EnrolKey => "enrol-key",
            InputLine::Rex => "rex",
            InputLine::SecondFactor => "second-factor",
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
    /// Shows what has gone on for `elapsed`; to be called again after [`next_change`].
    ///
    /// # Errors
    /// When a line cannot be driven; the door still works.
    fn show(&mut self, indication: Indication, elapsed: Duration) -> Result<(), LineError>;

    /// What is driven, for people.
    fn describe(&self) -> String;
}

/// A blink and the pause after it take one slot each.
const SLOT: Duration = Duration::from_millis(150);
/// Blinks repeat after this many slots: time for seven and a pause.
const PERIOD: u128 = 16;
/// Beeps that ask for a turn of the head or a nod.
const ASKING: u128 = 2;
/// Slots of the beep for an unknown face.
const LONG_BEEP: u128 = 4;

/// How a denial blinks; `None` for steadily.
fn blinks(code: DenyCode) -> Option<u128> {
    code.blinks().map(u128::from)
}

/// Whether an indicator is on when `indication` has been shown for `elapsed`.
pub fn lit(line: IndicatorLine, indication: Indication, elapsed: Duration) -> bool {
    use Indication::{Alarm, Denied, EnrolCounting, EnrolWaiting, Identifying, Released};
    let slot = elapsed.as_nanos() / SLOT.as_nanos();
    let blink = |blinks: u128, slot: u128| slot < 2 * blinks && slot.is_multiple_of(2);
    match (line, indication) {
        // From side to side, as the head should; or both together, up and down.
        (IndicatorLine::GreenLed, Denied(DenyCode::TurnHead)) => !slot.is_multiple_of(2),
        (IndicatorLine::GreenLed, Denied(DenyCode::Nod)) => slot.is_multiple_of(2),
        (IndicatorLine::Buzzer, Denied(DenyCode::TurnHead | DenyCode::Nod)) => blink(ASKING, slot),
        (IndicatorLine::GreenLed, _) => matches!(indication, Released | Identifying | EnrolCounting),
        (IndicatorLine::RedLed | IndicatorLine::Buzzer, Alarm(_)) => slot % 4 < 2,
        (IndicatorLine::RedLed, Denied(code)) => blinks(code).is_none_or(|n| blink(n, slot % PERIOD)),
        (IndicatorLine::RedLed, _) => matches!(indication, Identifying | EnrolCounting | EnrolWaiting),
        (IndicatorLine::Buzzer, Denied(DenyCode::AlreadyReleased)) => false,
        (IndicatorLine::Buzzer, Denied(code)) => blinks(code).map_or(slot < LONG_BEEP, |n| blink(n, slot)),
        (IndicatorLine::Buzzer, _) => false,
    }
}

/// When [`lit`] may change next; `None` when it will not.
pub fn next_change(indication: Indication, elapsed: Duration) -> Option<Duration> {
    let slot = elapsed.as_nanos() / SLOT.as_nanos();
    let changes = match indication {
        Indication::Alarm(_) => true,
        Indication::Denied(code) => blinks(code).is_some() || slot < LONG_BEEP,
        _ => false,
    };
    let into = Duration::from_nanos((elapsed.as_nanos() % SLOT.as_nanos()) as u64);
    changes.then(|| SLOT - into)
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
        /// The kernel's error.
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
        open_indicators(Backend::Gpiocdev, &[])
            .unwrap()
            .show(Indication::Denied(DenyCode::Unknown), Duration::ZERO)
            .unwrap();
    }

    #[test]
    fn every_denial_can_be_told_by_its_blinks() {
        let on = |line, code, ms| lit(line, Indication::Denied(code), Duration::from_millis(ms));
        for code in DenyCode::ALL {
            // On edges within a period, counted every 10 ms.
            let edges = |line, from: u64, to: u64| {
                let at = |ms: u64| on(line, code, ms);
                (from..to).step_by(10).filter(|&ms| at(ms) && (ms == 0 || !at(ms - 10))).count()
            };
            let blinks = edges(IndicatorLine::RedLed, 2_400, 4_800);
            let expected = match code {
                DenyCode::Unknown | DenyCode::Ambiguous | DenyCode::NobodyEnrolled => 0,
                DenyCode::Spoof | DenyCode::ChallengeFailed => 0,
                // Asked for in lights of their own: see below.
                DenyCode::TurnHead | DenyCode::Nod => continue,
                DenyCode::AlreadyReleased => 1,
                DenyCode::SeveralFaces => 2,
                DenyCode::PoorPicture | DenyCode::NotSureAlive | DenyCode::SecondFactor => 3,
                DenyCode::LockedOut => 4,
                DenyCode::OutOfHours | DenyCode::ClockNotSet => 5,
                DenyCode::SecureMode => 6,
                DenyCode::NotRecorded => 7,
            };
            assert_eq!(blinks, expected, "{code:?}");
            assert_eq!(on(IndicatorLine::RedLed, code, 2_300), expected == 0, "{code:?} pauses");
            let beeps = edges(IndicatorLine::Buzzer, 0, 60_000);
            assert_eq!(
                beeps,
                if code == DenyCode::AlreadyReleased { 0 } else { expected.max(1) },
                "{code:?}"
            );
            assert!(!on(IndicatorLine::GreenLed, code, 0));
        }
    }

    #[test]
    fn a_turn_is_asked_for_from_side_to_side_and_a_nod_up_and_down() {
        let lights = |code, slot: u32| {
            let on = |line| lit(line, Indication::Denied(code), SLOT * slot + SLOT / 2);
            (on(IndicatorLine::RedLed), on(IndicatorLine::GreenLed))
        };
        for pair in 0..40 {
            let (even, odd) = (2 * pair, 2 * pair + 1);
            assert_eq!([even, odd].map(|n| lights(DenyCode::TurnHead, n)), [(true, false), (false, true)]);
            assert_eq!([even, odd].map(|n| lights(DenyCode::Nod, n)), [(true, true), (false, false)]);
        }
        let beeps =
            |slot: u32| lit(IndicatorLine::Buzzer, Indication::Denied(DenyCode::Nod), SLOT * slot + SLOT / 2);
        assert_eq!((0..60).filter(|slot| beeps(*slot)).count(), 2);
    }

    #[test]
    fn between_two_changes_nothing_changes() {
        let all = DenyCode::ALL.map(Indication::Denied);
        let alarm = Indication::Alarm(facelatch_core::access::Alarm::HeldOpen);
        for indication in all.into_iter().chain([alarm, Indication::Idle, Indication::Released]) {
            let mut elapsed = Duration::ZERO;
            for _ in 0..40 {
                let next = next_change(indication, elapsed).unwrap_or(Duration::from_secs(1));
                for line in [IndicatorLine::GreenLed, IndicatorLine::RedLed, IndicatorLine::Buzzer] {
                    let at = |time| lit(line, indication, time);
                    assert_eq!(at(elapsed), at(elapsed + next - Duration::from_nanos(1)), "{indication:?}");
                }
                elapsed += next;
            }
        }
    }
}
