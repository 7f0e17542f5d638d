//! A Raspberry Pi's pins, and its errors in plain words.

use ::rppal::gpio::{Error, Gpio, Pin};

/// Why a pin cannot be used, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum PiError {
    /// Another machine.
    #[error("rppal does not know this board as a Raspberry Pi: use the gpiocdev backend")]
    NotAPi,
    /// No such pin.
    #[error("this board has no pin BCM {0}; the header has BCM 0 to 27")]
    NoPin(u8),
    /// Taken by another part of facelatch.
    #[error("pin BCM {0} is configured twice")]
    Twice(u8),
    /// Not permitted.
    #[error(
        "permission denied on {0}: add this user to the group gpio (adduser USER gpio), or check the unit's DeviceAllow="
    )]
    Permission(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// Takes a pin.
///
/// # Errors
/// See [`PiError`].
pub fn pin(number: u8) -> Result<Pin, PiError> {
    Gpio::new().and_then(|gpio| gpio.get(number)).map_err(|error| explain(number, error))
}

/// What an error of rppal means.
pub fn explain(number: u8, error: Error) -> PiError {
    match error {
        Error::UnknownModel => PiError::NotAPi,
        Error::PinNotAvailable(_) => PiError::NoPin(number),
        Error::PinUsed(_) => PiError::Twice(number),
        Error::PermissionDenied(path) => PiError::Permission(path),
        other => PiError::Other(other.to_string()),
    }
}
