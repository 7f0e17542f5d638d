//! Finding lines of the GPIO character device, and its errors in plain words.

use std::io;
use std::path::{Path, PathBuf};

use ::gpiocdev::Chip;

use super::LineAddress;

/// A line that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLine {
    /// `/dev/gpiochip0`.
    pub chip: PathBuf,
    /// Counted from 0.
    pub offset: u32,
}

/// Why a line cannot be used, with what to do.
#[derive(Debug, thiserror::Error)]
pub enum CdevError {
    /// The machine has no GPIO chip.
    #[error("there is no GPIO chip (/dev/gpiochip*): load its driver, or use the simulated kind")]
    NoChips,
    /// No chip of that name.
    #[error("there is no GPIO chip {chip}; there are {known}")]
    NoChip {
        /// As asked.
        chip: String,
        /// What there is.
        known: String,
    },
    /// The chip has fewer lines.
    #[error("{chip} has {lines} lines, counted from 0")]
    NoOffset {
        /// The chip.
        chip: String,
        /// How many.
        lines: u32,
    },
    /// No line of that name.
    #[error("no GPIO line has this name; `facelatch doctor` lists the lines")]
    NoName,
    /// Several lines of that name.
    #[error("{count} GPIO lines have this name; give chip:offset instead ({places})")]
    Ambiguous {
        /// How many.
        count: usize,
        /// Where they are.
        places: String,
    },
    /// A BCM number on a machine where chips are asked.
    #[error("a bare number is a BCM number, for the rppal kind; give the line's name or chip:offset")]
    Bcm,
    /// The process may not open the chip.
    #[error(
        "permission denied on {chip}: add this user to the group gpio (adduser USER gpio), or check the unit's DeviceAllow="
    )]
    Permission {
        /// The chip.
        chip: PathBuf,
    },
    /// Another program holds the line.
    #[error("it is in use by \"{consumer}\": stop that program")]
    Busy {
        /// Who the kernel says holds it.
        consumer: String,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// The paths of all GPIO chips.
///
/// # Errors
/// When there is none.
pub fn chips() -> Result<Vec<PathBuf>, CdevError> {
    let chips = ::gpiocdev::chip::chips().map_err(|e| CdevError::Other(e.to_string()))?;
    if chips.is_empty() { Err(CdevError::NoChips) } else { Ok(chips) }
}

/// Opens a chip.
///
/// # Errors
/// When it may not be opened or is none.
pub fn open_chip(path: &Path) -> Result<Chip, CdevError> {
    Chip::from_path(path).map_err(|error| match std::fs::File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            CdevError::Permission { chip: path.to_owned() }
        }
        _ => CdevError::Other(error.to_string()),
    })
}

/// Finds a line.
///
/// # Errors
/// When there is none, or more than one.
pub fn find(address: &LineAddress) -> Result<FoundLine, CdevError> {
    match address {
        LineAddress::Bcm(_) => Err(CdevError::Bcm),
        LineAddress::Offset { chip, offset } => {
            let path = find_chip(chip)?;
            let info = open_chip(&path)?.info().map_err(|e| CdevError::Other(e.to_string()))?;
            if *offset >= info.num_lines {
                return Err(CdevError::NoOffset { chip: chip.clone(), lines: info.num_lines });
            }
            Ok(FoundLine { chip: path, offset: *offset })
        }
        LineAddress::Name(name) => {
            let mut found = Vec::new();
            let mut denied = None;
            for path in chips()? {
                let chip = match open_chip(&path) {
                    Ok(chip) => chip,
                    Err(error) => {
                        denied = Some(error);
                        continue;
                    }
                };
                let lines = chip.line_info_iter().map_err(|e| CdevError::Other(e.to_string()))?;
                for line in lines.flatten().filter(|l| l.name == *name) {
                    found.push(FoundLine { chip: path.clone(), offset: line.offset });
                }
            }
            match (found.len(), denied) {
                (1, _) => Ok(found.remove(0)),
                // It may be on the chip that could not be opened.
                (0, Some(error)) => Err(error),
                (0, None) => Err(CdevError::NoName),
                (count, _) => {
                    let places: Vec<_> =
                        found.iter().map(|f| format!("{}:{}", f.chip.display(), f.offset)).collect();
                    Err(CdevError::Ambiguous { count, places: places.join(", ") })
                }
            }
        }
    }
}

fn find_chip(wanted: &str) -> Result<PathBuf, CdevError> {
    let mut known = Vec::new();
    let mut denied = None;
    for path in chips()? {
        if path == Path::new(wanted) || path.file_name().is_some_and(|n| n == wanted) {
            return Ok(path);
        }
        match open_chip(&path).and_then(|c| c.info().map_err(|e| CdevError::Other(e.to_string()))) {
            Ok(info) if info.label == wanted => return Ok(path),
            Ok(info) => known.push(format!("{} ({})", info.name, info.label)),
            Err(error) => denied = Some(error),
        }
    }
    // A link, such as udev's.
    if wanted.starts_with('/')
        && let Ok(path) = ::gpiocdev::chip::is_chip(wanted)
    {
        return Ok(path);
    }
    match denied {
        Some(error) if known.is_empty() => Err(error),
        _ => Err(CdevError::NoChip { chip: wanted.to_owned(), known: known.join(", ") }),
    }
}

/// What a failed request of a line means.
pub fn explain(found: &FoundLine, error: &::gpiocdev::Error) -> CdevError {
    match open_chip(&found.chip) {
        Err(denied) => denied,
        Ok(chip) => match chip.line_info(found.offset) {
            Ok(info) if info.used => CdevError::Busy {
                consumer: if info.consumer.is_empty() { "the kernel".into() } else { info.consumer },
            },
            _ => CdevError::Other(error.to_string()),
        },
    }
}
