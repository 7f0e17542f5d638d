//! The configuration: one TOML file, every key with a default, unknown keys refused.
//!
//! `config/facelatch.toml` lists every key with its default, unit and range; a test keeps the two in
//! step. [`Config::load`] reads and checks; the rest of the program gets the typed rules and settings
//! made here and never sees a raw number.

use std::path::{Path, PathBuf};
use std::time::Duration;

use facelatch_host::config_file::{self, ConfigError};
use serde::{Deserialize, Serialize};

use std::collections::BTreeMap;

use crate::access::{
    AccessRules, ApproachRules, ButtonPolicy, ButtonRules, EnrolmentRules, Hours, LockoutRules, UnsetClock,
    WindowRules,
};
use crate::audit::Rotation;
use crate::camera::{CameraSettings, PixelFormat};
use crate::clock::{WallClock, ZoneError};
use crate::daemon::{GatewayEndpoint, Rights};
use crate::detect::{ScanParams, SearchParams};
use crate::door::NamedHours;
use crate::embed::Card;
use crate::gpio::{Backend, Bias, LineAddress, Polarity};
use crate::lines::{IndicatorLine, IndicatorSettings, InputLine, InputSettings};
use crate::liveness::{Asked, ChallengeRules, Cue, CueSet, LivenessRules, Unsure};
use crate::matching::name::tidy;
use crate::protocol::Right;
use crate::store::FrameLimits;
use crate::strike::{LockType, StrikeSettings};
use crate::vision::{QualityRules, TrackRules, VisionRules};

/// A whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where frames come from.
    pub camera: CameraConfig,
    /// How faces are found.
    pub detector: DetectorConfig,
    /// Which network compares them.
    pub model: ModelConfig,
    /// How one face is followed.
    pub tracking: TrackingConfig,
    /// When the strike is released.
    pub access: AccessConfig,
    /// Whether a face is alive.
    pub liveness: LivenessConfig,
    /// What denied attempts cost.
    pub lockout: LockoutConfig,
    /// Who may come in when.
    pub schedule: ScheduleConfig,
    /// How people are enrolled.
    pub enrolment: EnrolmentConfig,
    /// The strike's line.
    pub strike: StrikeConfig,
    /// Button, request to exit, door contact, lights and buzzer.
    pub lines: LinesConfig,
    /// Where the gallery is kept.
    pub store: StoreConfig,
    /// What the controller is told, for replay.
    pub recording: RecordingConfig,
    /// The log of who opened the door.
    pub audit: AuditConfig,
    /// The daemon itself.
    pub daemon: DaemonConfig,
    /// What the gateway may do.
    pub gateway: GatewayConfig,
}

/// `[camera]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct CameraConfig {
    /// A V4L2 device; a name below `/dev/v4l/by-id` survives replugging.
    pub device: PathBuf,
    /// A recording to play instead of the device: a folder of pictures, one picture, AVI or Y4M.
    pub recording: Option<PathBuf>,
    /// Width in pixels, 160 to 1920.
    pub width: u32,
    /// Height in pixels, 120 to 1080.
    pub height: u32,
    /// Frames a second, 1 to 120; also the rate at which a recording is played.
    pub fps: u32,
    /// Pixel format; without one, the best the camera offers.
    pub format: Option<PixelFormat>,
    /// A camera without a frame for so long is opened again, in ms, 500 to 60000.
    pub hang_ms: u64,
}

impl Default for CameraConfig {
    fn default() -> Self {
        CameraConfig {
            device: "/dev/video0".into(),
            recording: None,
            width: 640,
            height: 480,
            fps: 20,
            format: None,
            hang_ms: 3_000,
        }
    }
}

/// `[detector]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DetectorConfig {
    /// A cascade file (OpenCV XML or compact) instead of the built-in frontal face.
    pub cascade: Option<PathBuf>,
    /// Factor between two sizes searched, 1.01 to 4.
    pub scale_factor: f64,
    /// Least number of overlapping hits that make a face, 0 to 100.
    pub min_neighbors: u32,
    /// Smallest face in pixels, 0 to 4096.
    pub min_size: u32,
    /// Largest face in pixels, 0 for no limit.
    pub max_size: u32,
    /// With a face known, the whole frame is scanned once in so many ms and the surroundings of the
    /// face in between; 0 scans all frames whole. 0 to 5000.
    pub full_scan_ms: u64,
    /// How long the faces stand while nothing moves, in ms, 0 to 1000.
    pub still_ms: u64,
}

impl Default for DetectorConfig {
    fn default() -> Self {
        DetectorConfig {
            cascade: None,
            scale_factor: 1.2,
            min_neighbors: 4,
            min_size: 80,
            max_size: 0,
            full_scan_ms: 500,
            still_ms: 800,
        }
    }
}

/// `[model]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// A model card instead of the built-in network.
    pub card: Option<PathBuf>,
}

/// `[tracking]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrackingConfig {
    /// Least overlap (intersection over union) of two boxes of one face, 0.05 to 0.95.
    pub min_overlap: f32,
    /// A face unseen for longer is another track, in ms, 1 to 5000.
    pub max_gap_ms: u64,
}

impl Default for TrackingConfig {
    fn default() -> Self {
        TrackingConfig { min_overlap: 0.3, max_gap_ms: 500 }
    }
}

/// `[access]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessConfig {
    /// Frames of one face that are averaged, 1 to 200.
    pub window_frames: usize,
    /// Mean similarity (1 - distance) that releases the strike, -1 to 1. Without it and without
    /// `target_fmr`: the model card's value for attempts.
    pub threshold: Option<f32>,
    /// Take the model card's threshold for this false match rate per comparison instead.
    pub target_fmr: Option<f64>,
    /// Added to the threshold for each tenfold number of people enrolled, 0 to 1, so that a stranger's
    /// chance stays the same. Without it: what divides the card's false match rate by ten.
    pub gallery_raise: Option<f32>,
    /// Least lead of the best person's mean similarity over the second-best one's, 0 to 1.
    pub margin: f32,
    /// Longest time between two frames of a window, in ms, 10 to 5000.
    pub max_gap_ms: u64,
    /// Longest time from first to last frame of a window, in ms, 100 to 60000.
    pub max_age_ms: u64,
    /// A frame older than this when it is decided on is refused, in ms, 50 to 10000.
    pub max_frame_age_ms: u64,
    /// How long the strike stays released, in ms, 200 to 30000.
    pub hold_ms: u64,
    /// An approach ends when no face was seen for so long, in ms, 100 to 60000.
    pub approach_gap_ms: u64,
    /// After so long a person who stays may be released again, in ms, 1000 to 3600000.
    pub cooldown_ms: u64,
    /// The longest time for which `facelatch mode hold-open` holds the door open, in s, 0 (not at all)
    /// to 86400.
    pub max_hold_open_s: u64,
    /// A door that stands open for so long raises an alarm, in ms, 1000 to 3600000.
    pub held_open_ms: u64,
}

impl Default for AccessConfig {
    fn default() -> Self {
        AccessConfig {
            window_frames: 15,
            threshold: None,
            target_fmr: None,
            gallery_raise: None,
            margin: 0.05,
            max_gap_ms: 500,
            max_age_ms: 5_000,
            max_frame_age_ms: 1_000,
            hold_ms: 3_000,
            approach_gap_ms: 1_500,
            cooldown_ms: 30_000,
            max_hold_open_s: 28_800,
            held_open_ms: 30_000,
        }
    }
}

/// `[liveness]`: a picture of a face must not open the door.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LivenessConfig {
    /// Whether it is judged at all; without it a photograph opens the door.
    pub check: bool,
    /// A card of another liveness network instead of the built-in one.
    pub card: Option<PathBuf>,
    /// Which cues count.
    pub cues: Vec<Cue>,
    /// Evidence from which a face is alive, -10 to 10.
    pub live: f32,
    /// Evidence up to which it is a picture, -10 to `live`.
    pub spoof: f32,
    /// What to do in between: deny, second-factor or challenge.
    pub unsure: Unsure,
    /// How long the second factor counts, in ms, 1000 to 60000.
    pub factor_ms: u64,
    /// What a challenge asks for: turn (the head), nod, or either as chance has it.
    pub challenge: Asked,
    /// How long the person has for it, in ms, 2000 to 30000.
    pub challenge_ms: u64,
}

impl Default for LivenessConfig {
    fn default() -> Self {
        let LivenessRules { live, spoof, unsure, factor, challenge, .. } = LivenessRules::default();
        LivenessConfig {
            check: true,
            card: None,
            cues: Cue::ALL.to_vec(),
            live,
            spoof,
            unsure,
            factor_ms: factor.as_millis() as u64,
            challenge: challenge.asked,
            challenge_ms: challenge.time.as_millis() as u64,
        }
    }
}

/// `[lockout]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LockoutConfig {
    /// Denied attempts in a row that lock the door for faces, 0 (never) to 100.
    pub attempts: u32,
    /// The first lockout, in s, 1 to 3600; each further denial doubles it.
    pub first_s: u64,
    /// No lockout is longer, in s, 1 to 86400.
    pub longest_s: u64,
    /// Without a denial for so long the denials are forgotten, in s, 60 to 604800.
    pub forget_s: u64,
    /// An unknown face that stays is another attempt after so long, in ms, 1000 to 600000.
    pub again_ms: u64,
}

impl Default for LockoutConfig {
    fn default() -> Self {
        LockoutConfig { attempts: 10, first_s: 30, longest_s: 900, forget_s: 3_600, again_ms: 10_000 }
    }
}

/// `[schedule]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleConfig {
    /// The time zone of the hours; without one, the system's.
    pub zone: Option<String>,
    /// What to do about people with hours while the clock is not set: deny or allow.
    pub unset_clock: UnsetClock,
    /// The clock counts as set once this file is there; "" for a clock that is always right.
    pub synced_file: PathBuf,
    /// Hours of everybody who has none of their own.
    pub default: Vec<Hours>,
    /// Hours by name, as enrolled.
    pub people: BTreeMap<String, Vec<Hours>>,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        ScheduleConfig {
            zone: None,
            unset_clock: UnsetClock::Deny,
            synced_file: "/run/systemd/timesync/synchronized".into(),
            default: vec![Hours::ALWAYS],
            people: BTreeMap::new(),
        }
    }
}

/// `[enrolment]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnrolmentConfig {
    /// How long one face must be seen in all, in ms, 100 to 60000.
    pub countdown_ms: u64,
    /// Frames that make the templates, 1 (the reference's single picture) to 100.
    pub frames: u32,
    /// The most templates that are made of them, 1 to 10: for poses and light that differ.
    pub templates: u32,
    /// What the button needs: authorised, anyone or nobody.
    pub button: ButtonPolicy,
    /// How long an administrator's face counts for the button, and the longest
    /// `facelatch enroll --allow-button`, in s, 5 to 3600.
    pub button_window_s: u64,
    /// People, by name, whose face lets the button work.
    pub administrators: Vec<String>,
    /// An enrolment without an end fails after so long, in ms, up to 600000.
    pub timeout_ms: u64,
    /// Smallest face that can be enrolled, in pixels, 24 to 4096.
    pub min_face: i32,
    /// Darkest usable mean gray value of a face, 0 to 255.
    pub darkest: u8,
    /// Brightest usable mean gray value of a face, 0 to 255.
    pub brightest: u8,
    /// Least usable standard deviation of a face's gray values, 0 to 100.
    pub min_contrast: f32,
    /// Least usable sharpness, 0 (any) to 2.
    pub min_sharpness: f32,
    /// Least usable [`crate::vision::Pose::frontality`], -1000 (any) to 1000.
    pub min_frontality: i32,
}

impl Default for EnrolmentConfig {
    fn default() -> Self {
        EnrolmentConfig {
            countdown_ms: 5_000,
            frames: 15,
            timeout_ms: 60_000,
            min_face: 80,
            darkest: 40,
            brightest: 225,
            min_contrast: 12.0,
            min_sharpness: 0.27,
            min_frontality: 20,
            templates: 3,
            button: ButtonPolicy::Authorised,
            button_window_s: 60,
            administrators: Vec::new(),
        }
    }
}

/// `[strike]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StrikeConfig {
    /// What drives it: simulated, gpiocdev or rppal.
    pub backend: Backend,
    /// The line: a name, chip:offset, or a BCM number.
    pub line: Option<LineAddress>,
    /// Which level is active: active-high or active-low.
    pub polarity: Polarity,
    /// What the lock does without power: fail-secure or fail-safe.
    pub lock: LockType,
    /// What to do on a kernel that keeps the line driven after a crash: warn, refuse or accept.
    pub persistent_outputs: PersistentOutputs,
    /// A file in which a simulated strike shows its state: `secured` or `released`.
    pub state_file: Option<PathBuf>,
}

/// What to do on a kernel that keeps an output driven when its holder has died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PersistentOutputs {
    /// Start, and say so in the log.
    #[default]
    Warn,
    /// Do not start.
    Refuse,
    /// Start in silence.
    Accept,
}

/// `[lines]`: driven by the strike's backend.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinesConfig {
    /// Starts an enrolment, where `enrolment.button` lets it.
    pub button: Option<InputConfig>,
    /// A key switch or jumper: while it is closed the button may enrol.
    pub enrol_key: Option<InputConfig>,
    /// Request to exit: releases the strike at once.
    pub rex: Option<InputConfig>,
    /// A keypad's or card reader's relay, for `liveness.unsure = "second-factor"`.
    pub second_factor: Option<InputConfig>,
    /// The door's contact, active while the door is open: relocks as soon as it closed again.
    pub door_sensor: Option<InputConfig>,
    /// Lit while the strike is released.
    pub green_led: Option<OutputConfig>,
    /// Lit when nobody is let in.
    pub red_led: Option<OutputConfig>,
    /// Sounds when nobody is let in.
    pub buzzer: Option<OutputConfig>,
}

/// One input line.
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

/// One output line.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OutputConfig {
    /// A name, chip:offset, or a BCM number.
    pub line: LineAddress,
    /// Which level is active.
    #[serde(default)]
    pub polarity: Polarity,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// The encrypted gallery.
    pub gallery: PathBuf,
    /// Its key, 32 bytes, mode 0600; made on first use.
    pub key: PathBuf,
    /// Lockout and secure mode, which outlive a restart.
    pub state: PathBuf,
}

impl Default for StoreConfig {
    fn default() -> Self {
        StoreConfig {
            gallery: "/var/lib/facelatch/gallery".into(),
            key: "/var/lib/facelatch/key".into(),
            state: "/var/lib/facelatch/state".into(),
        }
    }
}

/// `[recording]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordingConfig {
    /// Record everything that the controller is told: similarities, no pictures.
    pub enabled: bool,
    /// The file; an older part is in the same name with `.old`.
    pub file: PathBuf,
    /// Each of the two files grows to about this size, in MB, 1 to 4096.
    pub max_mb: u64,
    /// Keep the frames that show a face as well: pictures of people, encrypted.
    pub frames: bool,
    /// Their folder.
    pub frames_folder: PathBuf,
    /// The oldest ones go when they together take more, in MB, 1 to 65536.
    pub frames_mb: u64,
    /// None is kept for longer, in days, 1 to 365.
    pub frames_days: u64,
}

impl Default for RecordingConfig {
    fn default() -> Self {
        RecordingConfig {
            enabled: false,
            file: "/var/lib/facelatch/recording".into(),
            max_mb: 64,
            frames: false,
            frames_folder: "/var/lib/facelatch/frames".into(),
            frames_mb: 256,
            frames_days: 7,
        }
    }
}

/// `[audit]`: the log of who opened the door.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    /// Its folder.
    pub folder: PathBuf,
    /// A new file is begun at this size, in KiB, 16 to 1048576.
    pub file_kib: u64,
    /// So many files are kept, 2 to 10000.
    pub keep_files: usize,
    /// Releases, enrolments and removals of older files are kept in pools of their own, each of this size
    /// in MB, 1 to 65536.
    pub kept_mb: u64,
    /// A release by face waits at most so long for its entry to be on the disk, in ms, 0 to 5000; 0
    /// (not at all) only where `unrecorded` is `release`.
    pub wait_ms: u64,
    /// What such a release does when the disk does not answer in time.
    pub unrecorded: Unrecorded,
}

impl Default for AuditConfig {
    fn default() -> Self {
        AuditConfig {
            folder: "/var/lib/facelatch/audit".into(),
            file_kib: 4_096,
            keep_files: 16,
            kept_mb: 64,
            wait_ms: 1_000,
            unrecorded: Unrecorded::default(),
        }
    }
}

/// What a release does whose entry in the audit log is not on the disk in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unrecorded {
    /// The door stays locked.
    #[default]
    Deny,
    /// The door opens all the same.
    Release,
}

/// `[daemon]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DaemonConfig {
    /// The Unix socket for `facelatch enroll`, `people` and `status`.
    pub socket: PathBuf,
    /// Without a processed frame for so long (and without a camera known to be away) the watchdog is
    /// no longer fed, in ms, 500 to 60000.
    pub stall_ms: u64,
}

impl Default for DaemonConfig {
    fn default() -> Self {
        DaemonConfig { socket: "/run/facelatch/socket".into(), stall_ms: 5_000 }
    }
}

/// `[gateway]`
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// The Unix socket for `facelatch gateway`, in a folder that is there and says by its group who comes
    /// in; "" for none.
    pub socket: PathBuf,
    /// What comes by it may do: view, enrol, release.
    pub rights: Vec<Right>,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        GatewayConfig { socket: "/run/facelatch-gateway/socket".into(), rights: vec![Right::View] }
    }
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// One that names the file, the key or line and what would be right.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with_bytes(path).map(|(config, _)| config)
    }

    /// As [`Config::load`], along with the very bytes that were read.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_with_bytes(path: &Path) -> Result<(Self, Vec<u8>), ConfigError> {
        let text = config_file::read(path)?;
        Ok((Self::parse(&text, path)?, text.into_bytes()))
    }

    /// Reads and checks a configuration text; `path` is for messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Config = config_file::parse(text, path)?;
        config.check(path)?;
        Ok(config)
    }

    /// Checks every value against its range, and the values against each other.
    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let fail = |key, value: String, problem| {
            Err(ConfigError::Value { path: path.to_owned(), key, value, problem })
        };
        macro_rules! range {
            ($key:literal, $value:expr, $range:expr) => {
                if !$range.contains(&$value) {
                    return fail($key, format!("{:?}", $value), concat!("must be in ", stringify!($range)));
                }
            };
        }
        range!("camera.width", self.camera.width, (160..=1920));
        range!("camera.height", self.camera.height, (120..=1080));
        range!("camera.fps", self.camera.fps, (1..=120));
        range!("camera.hang_ms", self.camera.hang_ms, (500..=60_000));
        range!("detector.scale_factor", self.detector.scale_factor, (1.01..=4.0));
        range!("detector.min_neighbors", self.detector.min_neighbors, (0..=100));
        range!("detector.min_size", self.detector.min_size, (0..=4_096));
        range!("detector.max_size", self.detector.max_size, (0..=4_096));
        range!("detector.full_scan_ms", self.detector.full_scan_ms, (0..=5_000));
        range!("detector.still_ms", self.detector.still_ms, (0..=1_000));
        range!("tracking.min_overlap", self.tracking.min_overlap, (0.05..=0.95));
        range!("tracking.max_gap_ms", self.tracking.max_gap_ms, (1..=5_000));
        range!("access.window_frames", self.access.window_frames, (1..=200));
        range!("access.threshold", self.access.threshold.unwrap_or(0.0), (-1.0..=1.0));
        range!("access.gallery_raise", self.access.gallery_raise.unwrap_or(0.0), (0.0..=1.0));
        range!("access.margin", self.access.margin, (0.0..=1.0));
        range!("access.target_fmr", self.access.target_fmr.unwrap_or(0.01), (0.000001..=0.5));
        range!("access.max_gap_ms", self.access.max_gap_ms, (10..=5_000));
        range!("access.max_age_ms", self.access.max_age_ms, (100..=60_000));
        range!("access.max_frame_age_ms", self.access.max_frame_age_ms, (50..=10_000));
        range!("access.hold_ms", self.access.hold_ms, (200..=30_000));
        range!("access.approach_gap_ms", self.access.approach_gap_ms, (100..=60_000));
        range!("access.cooldown_ms", self.access.cooldown_ms, (1_000..=3_600_000));
        range!("access.max_hold_open_s", self.access.max_hold_open_s, (0..=86_400));
        range!("access.held_open_ms", self.access.held_open_ms, (1_000..=3_600_000));
        range!("liveness.live", self.liveness.live, (-10.0..=10.0));
        range!("liveness.spoof", self.liveness.spoof, (-10.0..=10.0));
        range!("liveness.factor_ms", self.liveness.factor_ms, (1_000..=60_000));
        range!("liveness.challenge_ms", self.liveness.challenge_ms, (2_000..=30_000));
        range!("lockout.attempts", self.lockout.attempts, (0..=100));
        range!("lockout.first_s", self.lockout.first_s, (1..=3_600));
        range!("lockout.longest_s", self.lockout.longest_s, (1..=86_400));
        range!("lockout.forget_s", self.lockout.forget_s, (60..=604_800));
        range!("lockout.again_ms", self.lockout.again_ms, (1_000..=600_000));
        range!("recording.max_mb", self.recording.max_mb, (1..=4_096));
        range!("recording.frames_mb", self.recording.frames_mb, (1..=65_536));
        range!("recording.frames_days", self.recording.frames_days, (1..=365));
        range!("enrolment.countdown_ms", self.enrolment.countdown_ms, (100..=60_000));
        range!("enrolment.frames", self.enrolment.frames, (1..=100));
        range!("enrolment.templates", self.enrolment.templates, (1..=10));
        range!("enrolment.button_window_s", self.enrolment.button_window_s, (5..=3_600));
        range!("enrolment.min_sharpness", self.enrolment.min_sharpness, (0.0..=2.0));
        range!("enrolment.min_frontality", self.enrolment.min_frontality, (-1000..=1000));
        range!("enrolment.timeout_ms", self.enrolment.timeout_ms, (1..=600_000));
        range!("enrolment.min_face", self.enrolment.min_face, (24..=4_096));
        range!("enrolment.min_contrast", self.enrolment.min_contrast, (0.0..=100.0));
        range!("audit.file_kib", self.audit.file_kib, (16..=1_048_576));
        range!("audit.keep_files", self.audit.keep_files, (2..=10_000));
        range!("audit.kept_mb", self.audit.kept_mb, (1..=65_536));
        range!("audit.wait_ms", self.audit.wait_ms, (0..=5_000));
        range!("daemon.stall_ms", self.daemon.stall_ms, (500..=60_000));
        if self.access.threshold.is_some() && self.access.target_fmr.is_some() {
            let value = format!("{:?}", self.access.target_fmr.unwrap_or_default());
            return fail("access.target_fmr", value, "give either threshold or target_fmr, not both");
        }
        if self.detector.max_size != 0 && self.detector.max_size < self.detector.min_size {
            let value = self.detector.max_size.to_string();
            return fail("detector.max_size", value, "must be 0 or at least detector.min_size");
        }
        let mut names = std::collections::BTreeSet::new();
        if let Some(twice) = self.schedule.people.keys().find(|name| !names.insert(tidy(name))) {
            return fail(
                "schedule.people",
                twice.clone(),
                "stands there twice, typed in two ways: write it once",
            );
        }
        if self.enrolment.timeout_ms <= self.enrolment.countdown_ms {
            let value = self.enrolment.timeout_ms.to_string();
            return fail("enrolment.timeout_ms", value, "must be longer than enrolment.countdown_ms");
        }
        if self.lockout.longest_s < self.lockout.first_s {
            let value = self.lockout.longest_s.to_string();
            return fail("lockout.longest_s", value, "must be at least lockout.first_s");
        }
        if self.enrolment.darkest >= self.enrolment.brightest {
            let value = self.enrolment.darkest.to_string();
            return fail("enrolment.darkest", value, "must be below enrolment.brightest");
        }
        if self.audit.wait_ms == 0 && self.audit.unrecorded == Unrecorded::Deny {
            let problem =
                "no release could wait for its entry: give it time, or write unrecorded = \"release\"";
            return fail("audit.wait_ms", "0".into(), problem);
        }
        let lines = &self.lines;
        for input in [&lines.button, &lines.enrol_key, &lines.rex, &lines.second_factor, &lines.door_sensor]
            .into_iter()
            .flatten()
        {
            range!("lines debounce_ms", input.debounce_ms, (0..=1_000));
        }
        if self.liveness.spoof > self.liveness.live {
            let value = self.liveness.spoof.to_string();
            return fail("liveness.spoof", value, "must be at most liveness.live");
        }
        if self.liveness.check && self.liveness.cues.is_empty() {
            let problem = "name at least one cue, or write check = false";
            return fail("liveness.cues", "[]".into(), problem);
        }
        if self.liveness.unsure == Unsure::SecondFactor && self.lines.second_factor.is_none() {
            return fail("liveness.unsure", "second-factor".into(), "needs lines.second_factor");
        }
        if self.strike.backend != Backend::Simulated && self.strike.line.is_none() {
            return fail("strike.line", "(none)".into(), "this backend needs a line");
        }
        Ok(())
    }

    /// The rules of the access decision with the card's threshold where none is configured.
    ///
    /// # Errors
    /// When `target_fmr` is none of the rates the card has a threshold for.
    pub fn access_rules(&self, card: &Card, path: &Path) -> Result<AccessRules, ConfigError> {
        let access = &self.access;
        let threshold = match (access.threshold, access.target_fmr) {
            (Some(threshold), _) => threshold,
            (None, Some(fmr)) => card.threshold_at_fmr(fmr).ok_or_else(|| ConfigError::Value {
                path: path.to_owned(),
                key: "access.target_fmr",
                value: fmr.to_string(),
                problem: "the model card has no threshold for this rate (see: facelatch model check)",
            })?,
            (None, None) => card.attempt_threshold(),
        };
        Ok(AccessRules {
            window: WindowRules {
                frames: access.window_frames,
                threshold,
                gallery_raise: access.gallery_raise.unwrap_or_else(|| card.tenfold_step()),
                margin: access.margin,
                max_gap: Duration::from_millis(access.max_gap_ms),
                max_age: Duration::from_millis(access.max_age_ms),
            },
            hold: Duration::from_millis(access.hold_ms),
            max_hold_open: Duration::from_secs(access.max_hold_open_s),
            approach: ApproachRules {
                gap: Duration::from_millis(access.approach_gap_ms),
                cooldown: Duration::from_millis(access.cooldown_ms),
            },
            max_frame_age: Duration::from_millis(access.max_frame_age_ms),
            lockout: LockoutRules {
                attempts: self.lockout.attempts,
                first: Duration::from_secs(self.lockout.first_s),
                longest: Duration::from_secs(self.lockout.longest_s),
                forget: Duration::from_secs(self.lockout.forget_s),
                again: Duration::from_millis(self.lockout.again_ms),
            },
            unset_clock: self.schedule.unset_clock,
            held_open_after: Duration::from_millis(access.held_open_ms),
            enrolment: EnrolmentRules {
                countdown: Duration::from_millis(self.enrolment.countdown_ms),
                frames: self.enrolment.frames,
                templates: self.enrolment.templates,
                timeout: Duration::from_millis(self.enrolment.timeout_ms),
                max_gap: Duration::from_millis(access.max_gap_ms),
                // Never less than the gap that still counts.
                restart_after: Duration::from_millis(access.max_gap_ms.max(2_000)),
            },
            button: ButtonRules {
                policy: self.enrolment.button,
                window: Duration::from_secs(self.enrolment.button_window_s),
            },
            liveness: self.liveness.check.then(|| LivenessRules {
                cues: CueSet::of(|cue| self.liveness.cues.contains(&cue)),
                live: self.liveness.live,
                spoof: self.liveness.spoof,
                unsure: self.liveness.unsure,
                factor: Duration::from_millis(self.liveness.factor_ms),
                challenge: ChallengeRules {
                    asked: self.liveness.challenge,
                    time: Duration::from_millis(self.liveness.challenge_ms),
                    ..ChallengeRules::default()
                },
                ..LivenessRules::default()
            }),
        })
    }

    /// The rules of vision.
    pub fn vision_rules(&self) -> VisionRules {
        VisionRules {
            search: SearchParams {
                scan: ScanParams {
                    scale_factor: self.detector.scale_factor,
                    min_neighbors: self.detector.min_neighbors,
                    min_size: self.detector.min_size,
                    max_size: self.detector.max_size,
                },
                full_scan_interval: Duration::from_millis(self.detector.full_scan_ms),
                longest_sleep: Duration::from_millis(self.detector.still_ms),
                ..SearchParams::default()
            },
            tracking: TrackRules {
                min_overlap: self.tracking.min_overlap,
                max_gap: Duration::from_millis(self.tracking.max_gap_ms),
            },
            quality: QualityRules {
                min_width: self.enrolment.min_face,
                darkest: self.enrolment.darkest,
                brightest: self.enrolment.brightest,
                min_contrast: self.enrolment.min_contrast,
                min_sharpness: self.enrolment.min_sharpness,
                min_frontality: self.enrolment.min_frontality,
            },
        }
    }

    /// Who may come in when, by name.
    pub fn named_hours(&self) -> NamedHours {
        let people = self.schedule.people.iter();
        NamedHours {
            people: people.map(|(name, hours)| (tidy(name), hours.clone().into())).collect(),
            others: self.schedule.default.clone().into(),
            administrators: self.enrolment.administrators.iter().map(|name| tidy(name)).collect(),
        }
    }

    /// The wall clock in the configured zone.
    ///
    /// # Errors
    /// When there is no such zone.
    pub fn wall_clock(&self) -> Result<WallClock, ZoneError> {
        let synced = Some(self.schedule.synced_file.as_path()).filter(|p| !p.as_os_str().is_empty());
        WallClock::open(self.schedule.zone.as_deref(), synced)
    }

    /// The camera's settings.
    pub fn camera_settings(&self) -> CameraSettings {
        CameraSettings {
            device: self.camera.device.clone(),
            width: self.camera.width,
            height: self.camera.height,
            fps: self.camera.fps,
            format: self.camera.format,
            hang_timeout: Duration::from_millis(self.camera.hang_ms),
            ..CameraSettings::default()
        }
    }

    /// Where the gateway comes in, if it may.
    pub fn gateway_place(&self) -> Option<GatewayEndpoint> {
        let GatewayConfig { socket, rights } = &self.gateway;
        let place =
            || GatewayEndpoint { socket: socket.clone(), rights: Rights::new(rights.iter().copied()) };
        (!socket.as_os_str().is_empty()).then(place)
    }

    /// When the audit log begins a new file, and how many it keeps.
    pub fn audit_rotation(&self) -> Rotation {
        let AuditConfig { file_kib, keep_files, kept_mb, .. } = self.audit;
        Rotation { file_bytes: file_kib << 10, keep_files, pool_bytes: kept_mb << 20 }
    }

    /// How many recorded frames are kept.
    pub fn frame_limits(&self) -> FrameLimits {
        FrameLimits {
            bytes: self.recording.frames_mb << 20,
            age: Duration::from_secs(self.recording.frames_days * 86_400),
        }
    }

    /// The strike's settings.
    pub fn strike_settings(&self) -> StrikeSettings {
        StrikeSettings {
            backend: self.strike.backend,
            line: self.strike.line.clone(),
            polarity: self.strike.polarity,
            lock: self.strike.lock,
            state_file: self.strike.state_file.clone(),
        }
    }
}

impl LinesConfig {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("t.toml")).map_err(|e| e.to_string())
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(parse(""), Ok(Config::default()));
    }

    #[test]
    fn the_shipped_file_states_every_key_and_its_default() {
        let text = include_str!("../config/facelatch.toml");
        assert_eq!(parse(text), Ok(Config::default()));
        // Keys that default to "none" stand there as comments; uncommented, all are known.
        let full = text.replace("#: ", "");
        // Two of them exclude each other, so that the values are not checked here.
        let config: Config = toml::from_str(&full).unwrap();
        let written = toml::Table::try_from(&config).unwrap();
        let listed: toml::Table = full.parse().unwrap();
        for (section, keys) in &written {
            for key in keys.as_table().unwrap().keys() {
                assert!(
                    listed[section].get(key).is_some(),
                    "{section}.{key} is not in config/facelatch.toml"
                );
            }
        }
    }

    #[test]
    fn hours_are_by_name_and_a_person_without_any_has_the_default() {
        let config = parse(
            "[schedule]\nzone = \"UTC\"\ndefault = []\n[schedule.people]\nAda = [\"mon-fri 08:00-18:00\"]",
        )
        .unwrap();
        let hours = config.named_hours();
        assert_eq!(hours.others, Vec::new().into(), "nobody else at any hour");
        assert_eq!(hours.people["Ada"], vec!["mon-fri 08:00-18:00".parse().unwrap()].into());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, words) in [
            ("[acces]", &["t.toml", "line 1", "acces"][..]),
            ("[access]\nhold = 3", &["line 2", "hold"]),
            ("[access]\n\nhold_ms = \"long\"", &["line 3", "u64"]),
            ("[access]\nhold_ms = 0", &["access.hold_ms", "0", "200"]),
            ("[access]\nthreshold = nan", &["access.threshold", "NaN"]),
            ("[access]\nthreshold = 0.3\ntarget_fmr = 0.01", &["not both"]),
            ("[detector]\nmin_size = 90\nmax_size = 50", &["detector.max_size", "min_size"]),
            ("[strike]\nbackend = \"gpiocdev\"", &["strike.line", "needs a line"]),
            ("[strike]\nbackend = \"relais\"", &["line 2", "relais"]),
            ("[strike]\nline = \"gpiochip0:\"", &["line 2", "gpiochip0:"]),
            ("[enrolment]\ntimeout_ms = 5000", &["enrolment.timeout_ms", "countdown"]),
            ("[lockout]\nfirst_s = 0", &["lockout.first_s", "3_600"]),
            ("[lockout]\nattempts = 101", &["lockout.attempts", "100"]),
            ("[lockout]\nfirst_s = 60\nlongest_s = 59", &["lockout.longest_s", "first_s"]),
            ("[access]\nmax_hold_open_s = 86401", &["access.max_hold_open_s"]),
            ("[access]\nheld_open_ms = 999", &["access.held_open_ms"]),
            ("[recording]\nmax_mb = 0", &["recording.max_mb"]),
            ("[recording]\nframes_days = 366", &["recording.frames_days", "365"]),
            ("[audit]\nwait_ms = 0", &["audit.wait_ms", "unrecorded"]),
            ("[schedule]\ndefault = [\"mon 8-18\"]", &["line 2", "mon 8-18", "mon-fri 08:00-18:00"]),
            ("[schedule.people]\nAda = [\"never\"]", &["line 2", "never"]),
            ("[schedule.people]\n\"Zo\\u00eb\" = []\n\"Zoe\\u0308\" = []", &["schedule.people", "twice"]),
            ("[schedule]\nunset_clock = \"maybe\"", &["line 2", "maybe"]),
            ("[liveness]\nunsure = \"ask\"", &["line 2", "ask", "challenge"]),
            ("[liveness]\nunsure = \"second-factor\"", &["liveness.unsure", "lines.second_factor"]),
            ("[liveness]\nchallenge = \"shake\"", &["line 2", "shake", "either"]),
            ("[liveness]\nchallenge_ms = 1999", &["liveness.challenge_ms", "1999", "2_000"]),
            ("[enrolment]\ndarkest = 230", &["enrolment.darkest", "brightest"]),
            ("hello", &["line 1"]),
        ] {
            let error = parse(text).unwrap_err();
            assert!(!error.contains('\n'), "{error:?} is not one line");
            for word in words {
                assert!(error.contains(word), "{error:?} does not say {word:?}");
            }
        }
    }
}
