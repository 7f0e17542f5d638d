//! The configuration: one TOML file, every key with a default, unknown keys refused.
//!
//! Each section is a module with a table of its keys ([`table`]). The type, the defaults, the ranges,
//! `config/facelatch.toml` and `docs/reference/config.md` all follow from the tables. [`Config::load`] reads and
//! checks; the rest of the program gets the typed rules and settings made here and never sees a raw number.

mod access;
mod audit;
mod camera;
mod daemon;
mod detector;
mod enrolment;
mod gateway;
mod lines;
mod liveness;
mod lockout;
mod model;
mod recording;
mod renamed;
mod schedule;
#[cfg(test)]
pub(crate) mod shipped;
mod store;
mod strike;
pub mod table;
#[cfg(test)]
mod tests;
mod tracking;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::liveness::Unsure;
use table::{Fault, Section};

pub use access::AccessConfig;
pub use audit::{AuditConfig, Unrecorded};
pub use camera::CameraConfig;
pub use daemon::DaemonConfig;
pub use detector::DetectorConfig;
pub use enrolment::EnrolmentConfig;
use facelatch_host::config_file;
pub use facelatch_host::config_file::ConfigError;
pub use gateway::GatewayConfig;
pub use lines::{InputConfig, LinesConfig, OutputConfig};
pub use liveness::LivenessConfig;
pub use lockout::LockoutConfig;
pub use model::ModelConfig;
pub use recording::RecordingConfig;
pub use renamed::RenamedKey;
pub use schedule::ScheduleConfig;
pub use store::StoreConfig;
pub use strike::{PersistentOutputs, StrikeConfig};
pub use tracking::TrackingConfig;

/// Defines the configuration as a list of its sections.
macro_rules! sections {
    ($($name:ident: $Section:ident,)+) => {
        /// A whole configuration.
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Config {
            $(
                #[doc = concat!("`[", stringify!($name), "]`")]
                pub $name: $Section,
            )+
        }

        /// The tables of all sections, in the order of the shipped file.
        pub const SECTIONS: &[Section] = &[$($Section::TABLE),+];

        impl Config {
            fn check_ranges(&self) -> Result<(), Fault> {
                $(self.$name.check_ranges()?;)+
                Ok(())
            }
        }
    };
}

sections! {
    camera: CameraConfig,
    detector: DetectorConfig,
    model: ModelConfig,
    tracking: TrackingConfig,
    access: AccessConfig,
    liveness: LivenessConfig,
    lockout: LockoutConfig,
    schedule: ScheduleConfig,
    enrolment: EnrolmentConfig,
    strike: StrikeConfig,
    lines: LinesConfig,
    store: StoreConfig,
    recording: RecordingConfig,
    audit: AuditConfig,
    daemon: DaemonConfig,
    gateway: GatewayConfig,
}

/// A configuration with what only some commands want of its file.
#[derive(Clone, Debug)]
pub struct LoadedConfig {
    /// The configuration.
    pub config: Config,
    /// The very bytes that were read.
    pub bytes: Vec<u8>,
    /// Keys that the file gives under their old names.
    pub renamed: Vec<RenamedKey>,
}

impl LoadedConfig {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// One that names the file, the key or line and what would be right.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(config_file::text(path)?, path)
    }

    fn parse(text: String, path: &Path) -> Result<Self, ConfigError> {
        let mut document = config_file::document(&text, path)?;
        let parse_error = |problem| ConfigError::Parse { path: path.to_owned(), problem };
        let renamed = renamed::rename(document.get_mut(), &text, SECTIONS).map_err(parse_error)?;
        let config: Config = config_file::settings(document, &text, path)?;
        config.check().map_err(|fault| match renamed.iter().find_map(|key| key.explain(&fault)) {
            Some(problem) => parse_error(problem),
            None => fault.in_file(path),
        })?;
        Ok(LoadedConfig { config, bytes: text.into_bytes(), renamed })
    }
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// One that names the file, the key or line and what would be right.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        LoadedConfig::load(path).map(|file| file.config)
    }

    /// Reads and checks a configuration text; `path` is for messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        LoadedConfig::parse(text.to_owned(), path).map(|file| file.config)
    }

    /// Checks every value against its range, and the values against each other.
    fn check(&self) -> Result<(), Fault> {
        self.check_ranges()?;
        self.access.check_threshold()?;
        self.detector.check_sizes()?;
        self.schedule.check_names()?;
        self.enrolment.check_time_and_luma()?;
        self.lockout.check_lengths()?;
        self.audit.check_wait()?;
        self.lines.check_debounce()?;
        self.liveness.check_cues_and_limits()?;
        if self.liveness.on_uncertain == Unsure::SecondFactor && self.lines.second_factor.is_none() {
            let problem = "needs lines.second_factor";
            return Err(Fault::new("liveness.on_uncertain", "second-factor", problem));
        }
        self.strike.check_line()
    }
}
