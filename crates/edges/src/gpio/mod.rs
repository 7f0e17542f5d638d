//! Words that all GPIO edges share: where a line is and which level means what.
//!
//! Polarity is stated here once, in the settings of a line. Everywhere else a line is *active* or
//! *inactive*, and a strike is *released* or *secured*.

#[cfg(feature = "gpiocdev")]
pub mod cdev;
#[cfg(feature = "rppal")]
pub mod pi;

pub mod persistence;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where a GPIO line is.
///
/// Written as text in the configuration: `RELAY` (a line's name as the board's device tree gives
/// it), `gpiochip0:17` or `/dev/gpiochip0:17` (chip and offset), or `17` (a Raspberry Pi's BCM
/// number, for the `rppal` kind).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LineAddress {
    /// A line by the name that the kernel knows it by.
    Name(String),
    /// A line by its chip's name, label or device path, and its offset on it.
    Offset {
        /// `gpiochip0`, `/dev/gpiochip0` or the chip's label.
        chip: String,
        /// Counted from 0.
        offset: u32,
    },
    /// A Raspberry Pi's pin by its BCM number.
    Bcm(u8),
}

/// Why a text is not a line address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "\"{text}\" is not a GPIO line: {why}; write a line's name (RELAY), chip:offset (gpiochip0:17) or a BCM number (17)"
)]
pub struct AddressError {
    text: String,
    why: &'static str,
}

impl FromStr for LineAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = |why| AddressError { text: text.to_owned(), why };
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(error("it is empty"));
        }
        if trimmed.bytes().all(|b| b.is_ascii_digit()) {
            return trimmed.parse().map(LineAddress::Bcm).map_err(|_| error("BCM numbers end at 255"));
        }
        match trimmed.rsplit_once(':') {
            Some(("", _)) => Err(error("the chip before the colon is missing")),
            Some((chip, offset)) => {
                let offset =
                    offset.parse().map_err(|_| error("the offset after the colon is not a number"))?;
                Ok(LineAddress::Offset { chip: chip.to_owned(), offset })
            }
            None => Ok(LineAddress::Name(trimmed.to_owned())),
        }
    }
}

impl fmt::Display for LineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineAddress::Name(name) => f.write_str(name),
            LineAddress::Offset { chip, offset } => write!(f, "{chip}:{offset}"),
            LineAddress::Bcm(number) => write!(f, "{number}"),
        }
    }
}

impl Serialize for LineAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LineAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Which electrical level of a line is its active one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Polarity {
    /// High is active.
    #[default]
    ActiveHigh,
    /// Low is active: most relay boards, and buttons that pull to ground.
    ActiveLow,
}

/// A line's resistor, where the chip has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bias {
    /// As the board left it.
    #[default]
    AsIs,
    /// No resistor.
    Disabled,
    /// To the supply.
    PullUp,
    /// To ground.
    PullDown,
}

/// What drives the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// Nothing: states are logged and remembered.
    #[default]
    Simulated,
    /// The kernel's GPIO character device, on any board.
    Gpiocdev,
    /// A Raspberry Pi's registers, by BCM number.
    Rppal,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Backend::Simulated => "simulated",
            Backend::Gpiocdev => "gpiocdev",
            Backend::Rppal => "rppal",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        let offset = |chip: &str, offset| LineAddress::Offset { chip: chip.into(), offset };
        for (text, address) in [
            ("RELAY", LineAddress::Name("RELAY".into())),
            (" GPIO17 ", LineAddress::Name("GPIO17".into())),
            ("gpiochip0:17", offset("gpiochip0", 17)),
            ("/dev/gpiochip4:0", offset("/dev/gpiochip4", 0)),
            ("17", LineAddress::Bcm(17)),
        ] {
            let parsed: LineAddress = text.parse().unwrap();
            assert_eq!(parsed, address);
            assert_eq!(parsed.to_string(), text.trim());
        }
    }

    #[test]
    fn nonsense_is_named() {
        for text in ["", "  ", ":3", "gpiochip0:", "gpiochip0:x", "gpiochip0:-1", "256"] {
            let error = text.parse::<LineAddress>().unwrap_err().to_string();
            assert!(error.contains("is not a GPIO line"), "{error}");
        }
    }
}
