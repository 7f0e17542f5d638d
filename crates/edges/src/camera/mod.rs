//! Frames, from a camera or from a recording.
//!
//! | Source | Frames | Time |
//! |---|---|---|
//! | [`v4l`] | a V4L2 camera, newest frame wins, opened again when it is lost | `CLOCK_MONOTONIC` |
//! | [`Recording`] | a folder of pictures in name order, one picture, MJPEG AVI, Y4M | simulated: frame n at n / rate |
//!
//! A [`FrameSource`] is pulled: the caller says how long it will wait. The gray picture is what the
//! detector and the embedder see; colour is kept only when asked for (liveness, contact sheets).

pub mod avi;
pub mod paced;
pub mod pixel;
pub mod recording;
#[cfg(feature = "v4l")]
pub mod v4l;
pub mod y4m;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use self::paced::Paced;
pub use self::pixel::PixelFormat;
pub use self::recording::{Recording, fitted};
#[cfg(feature = "v4l")]
pub use self::v4l::V4lCamera;
use crate::picture_file::PictureFileError;
pub use facelatch_core::capture::Counters;
use facelatch_core::picture::Gray;
use facelatch_core::time::Timestamp;

/// One picture of the scene.
pub struct Frame {
    /// When it was captured: `CLOCK_MONOTONIC` for a camera, n / rate for a recording.
    pub captured: Timestamp,
    /// Counts the frames the source produced; a gap means that frames were lost or skipped.
    pub sequence: u64,
    /// 8 bits a pixel: the luma plane of a camera's frame.
    pub gray: Gray,
    /// The same picture in colour, when the source was asked for it and has it.
    pub colour: Option<image::RgbImage>,
}

// A frame shows people: its pixels never reach a log.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("captured", &self.captured)
            .field("sequence", &self.sequence)
            .field("gray", &self.gray)
            .field("colour", &self.colour.is_some())
            .finish()
    }
}

/// What a source has to say when asked for its next frame.
#[derive(Debug)]
pub enum Next {
    /// A frame, the newest there is.
    Frame(Frame),
    /// None came within the time given. A camera that is being re-opened says this, too.
    Timeout,
    /// A recording is over.
    End,
}

/// A source of frames.
pub trait FrameSource: Send {
    /// The newest frame, waiting for one no longer than `wait`.
    ///
    /// # Errors
    /// When the source has failed for good; what passes by itself (a frame of garbage, a camera
    /// unplugged) is counted and logged, and answered by [`Next::Timeout`].
    fn next(&mut self, wait: Duration) -> Result<Next, CameraError>;

    /// What it is, for people: device, format, size, rate.
    fn describe(&self) -> String;

    /// What happened so far.
    fn counters(&self) -> Counters {
        Counters::default()
    }
}

/// Which camera, and what is asked of it.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraSettings {
    /// `/dev/video0` or, steadier, a name below `/dev/v4l/by-id`.
    pub device: PathBuf,
    /// Width in pixels; the driver's nearest is taken.
    pub width: u32,
    /// Height in pixels; the driver's nearest is taken.
    pub height: u32,
    /// Frames a second; the driver's nearest is taken.
    pub fps: u32,
    /// The pixel format; `None` takes the best the camera has at that size and rate.
    pub format: Option<PixelFormat>,
    /// Whether frames carry colour.
    pub colour: bool,
    /// A camera without a readable frame for this long has hung and is opened again.
    pub hang_timeout: Duration,
    /// Waiting time before the first attempt to open a lost camera again; doubles up to
    /// `reopen_max`.
    pub reopen_min: Duration,
    /// The longest waiting time between two attempts.
    pub reopen_max: Duration,
}

impl Default for CameraSettings {
    fn default() -> Self {
        CameraSettings {
            device: PathBuf::from("/dev/video0"),
            width: 640,
            height: 480,
            fps: 30,
            format: None,
            colour: false,
            hang_timeout: Duration::from_secs(3),
            reopen_min: Duration::from_millis(250),
            reopen_max: Duration::from_secs(2),
        }
    }
}

/// Opens the camera that `settings` name.
///
/// # Errors
/// See [`CameraError`].
pub fn open(settings: &CameraSettings) -> Result<Box<dyn FrameSource>, CameraError> {
    #[cfg(feature = "v4l")]
    return Ok(Box::new(V4lCamera::open(settings.clone())?));
    #[cfg(not(feature = "v4l"))]
    {
        let _ = settings;
        Err(CameraError::NotBuilt)
    }
}

/// Why a source cannot be opened or has failed.
#[derive(Debug, thiserror::Error)]
pub enum CameraError {
    /// There is nothing at the path.
    #[error("{path}: no such {what}; {remedy}")]
    Missing {
        /// The path as given.
        path: PathBuf,
        /// "camera" or "recording".
        what: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The process may not open it.
    #[error("{path}: permission denied; {remedy}")]
    Permission {
        /// The path as given.
        path: PathBuf,
        /// What to do: the group to join.
        remedy: &'static str,
    },
    /// Another program holds the camera.
    #[error("{path}: the camera is in use by another program; stop that program (fuser {path} names it)")]
    Busy {
        /// The path as given.
        path: PathBuf,
    },
    /// The node is not a camera.
    #[error("{path}: {why}; `facelatch doctor` lists the cameras")]
    NotACamera {
        /// The path as given.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// The camera has no format that facelatch reads.
    #[error(
        "{path}: the camera offers {offered} but none of the formats that facelatch reads (YUYV, MJPG, GREY, NV12, YU12){asked}"
    )]
    Format {
        /// The path as given.
        path: PathBuf,
        /// The formats it offers.
        offered: String,
        /// The format asked for, as a clause; may be empty.
        asked: String,
    },
    /// Reading failed.
    #[error("{path}: {doing}: {source}")]
    Io {
        /// The path as given.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The kernel's error.
        source: std::io::Error,
    },
    /// The file is neither a picture nor a recording.
    #[error("{path}: {why}")]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A picture of a recording cannot be used, or a folder of them.
    #[error(transparent)]
    Picture(#[from] PictureFileError),
    /// The rate is not a positive number.
    #[error("{path}: a rate of {rate} frames a second cannot be played; give one above 0 and at most 1000")]
    Rate {
        /// The path as given.
        path: PathBuf,
        /// The rate asked for.
        rate: f64,
    },
    /// This program was built without cameras.
    #[error("this facelatch was built without camera support: build it with --features v4l")]
    NotBuilt,
}
