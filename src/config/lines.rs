//! `[lines]`

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::table::{Fault, check_range, section};
use crate::gpio::{Bias, LineAddress, Polarity};
use crate::lines::{IndicatorLine, IndicatorSettings, InputLine, InputSettings};

section! {
    /// Button, request to exit, door contact, lights and buzzer, driven by the strike's backend. A line is a name,
    /// chip:offset or a BCM number. Inputs also take polarity ("active-low"), bias ("pull-up") and debounce_ms
    /// (10); outputs take polarity ("active-high"). The values in parentheses are defaults.
    [lines] LinesConfig;

    /// Starts an enrolment, if enrolment.button allows it.
    button: Option<InputConfig> = None, example r#"{ line = "BUTTON" }"#;
    /// Key switch or jumper: while it is closed, the button may enrol.
    enrol_key: Option<InputConfig> = None, example r#"{ line = "ENROL_KEY" }"#;
    /// Request to exit: releases the strike at once. Wire it to work without facelatch as well.
    rex: Option<InputConfig> = None, example r#"{ line = "REX" }"#;
    /// Relay of a keypad or card reader: see liveness.on_uncertain.
    second_factor: Option<InputConfig> = None, example r#"{ line = "CODE" }"#;
    /// Active while the door is open: the strike relocks once the door has closed.
    door_sensor: Option<InputConfig> = None, example r#"{ line = "DOOR" }"#;
    /// Lit while the strike is released. With the red one: a face is being identified, or an enrolment counts.
    green_led: Option<OutputConfig> = None, example r#"{ line = "GREEN" }"#;
    /// Lit when nobody is let in, and while an enrolment waits.
    red_led: Option<OutputConfig> = None, example r#"{ line = "RED" }"#;
    /// Sounds when nobody is let in.
    buzzer: Option<OutputConfig> = None, example r#"{ line = "BUZZER" }"#;
}

/// An input line.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InputConfig {
    /// A name, chip:offset, or a BCM number.
    pub line: LineAddress,
    /// Which level is active.
    #[serde(default = "active_low")]
    pub polarity: Polarity,
    /// Its resistor.
    #[serde(default = "pull_up")]
    pub bias: Bias,
    /// Shorter pulses are ignored, in ms, 0 to 1000.
    #[serde(default = "debounce_ms")]
    pub debounce_ms: u64,
}

/// Switches pull their line to ground against a resistor.
fn active_low() -> Polarity {
    Polarity::ActiveLow
}

fn pull_up() -> Bias {
    Bias::PullUp
}

fn debounce_ms() -> u64 {
    10
}

/// An output line.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    /// A name, chip:offset, or a BCM number.
    pub line: LineAddress,
    /// Which level is active.
    #[serde(default)]
    pub polarity: Polarity,
}

impl LinesConfig {
    pub(super) fn check_debounce(&self) -> Result<(), Fault> {
        for (key, input) in [
            ("lines.button.debounce_ms", &self.button),
            ("lines.enrol_key.debounce_ms", &self.enrol_key),
            ("lines.rex.debounce_ms", &self.rex),
            ("lines.second_factor.debounce_ms", &self.second_factor),
            ("lines.door_sensor.debounce_ms", &self.door_sensor),
        ] {
            let debounce = input.as_ref().map(|input| input.debounce_ms);
            check_range(&debounce, 0..=1_000, key, "must be 0 to 1000 ms")?;
        }
        Ok(())
    }

    /// The inputs configured.
    pub fn inputs(&self) -> Vec<InputSettings> {
        let lines = [
            (InputLine::Button, &self.button),
            (InputLine::EnrolKey, &self.enrol_key),
            (InputLine::Rex, &self.rex),
            (InputLine::SecondFactor, &self.second_factor),
            (InputLine::DoorSensor, &self.door_sensor),
        ];
        let settings = |(line, config): (InputLine, &Option<InputConfig>)| {
            config.as_ref().map(|c| InputSettings {
                line,
                address: c.line.clone(),
                polarity: c.polarity,
                bias: c.bias,
                debounce: Duration::from_millis(c.debounce_ms),
            })
        };
        lines.into_iter().filter_map(settings).collect()
    }

    /// The lights and buzzer configured.
    pub fn indicators(&self) -> Vec<IndicatorSettings> {
        let lines = [
            (IndicatorLine::GreenLed, &self.green_led),
            (IndicatorLine::RedLed, &self.red_led),
            (IndicatorLine::Buzzer, &self.buzzer),
        ];
        let settings = |(line, config): (IndicatorLine, &Option<OutputConfig>)| {
            config.as_ref().map(|c| IndicatorSettings { line, address: c.line.clone(), polarity: c.polarity })
        };
        lines.into_iter().filter_map(settings).collect()
    }
}
