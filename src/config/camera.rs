//! `[camera]`

use std::path::PathBuf;
use std::time::Duration;

use super::Config;
use super::table::section;
use crate::camera::{CameraSettings, PixelFormat};

section! {
    /// Where frames come from.
    [camera] CameraConfig;

    /// V4L2 device. Prefer a name below /dev/v4l/by-id: it stays the same when the camera is replugged.
    device: PathBuf = "/dev/video0".into();
    /// Play this instead of the camera: a folder of pictures, one picture, an MJPEG AVI or a Y4M file.
    recording: Option<PathBuf> = None, example r#""walk-up""#;
    /// Width of the picture. The camera's nearest size is used.
    width: u32 = 640, range 160 to 1920 px;
    /// Height of the picture.
    height: u32 = 480, range 120 to 1080 px;
    /// Frames per second, also when a recording is played.
    fps: u32 = 20, range 1 to 120;
    /// YUYV, MJPG, GREY, NV12 or YU12. Without it: the best format the camera offers.
    format: Option<PixelFormat> = None, example r#""YUYV""#;
    /// Reopen the camera after this long without a frame.
    frame_timeout_ms: u64 = 3_000, range 500 to 60_000 ms, old hang_ms;
}

impl Config {
    /// The camera's settings.
    pub fn camera_settings(&self) -> CameraSettings {
        CameraSettings {
            device: self.camera.device.clone(),
            width: self.camera.width,
            height: self.camera.height,
            fps: self.camera.fps,
            format: self.camera.format,
            hang_timeout: Duration::from_millis(self.camera.frame_timeout_ms),
            ..CameraSettings::default()
        }
    }
}
