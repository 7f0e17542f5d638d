//! The lab's camera: plays recordings into a v4l2loopback device, told what to do by a file.
//!
//! `lab_camera DEVICE CONTROL [--format YUYV|MJPG|GREY] [--size WxH] [--fps N]`
//!
//! With `capture` as CONTROL it is another program instead: it sets the format of the node's other side,
//! the one that is captured from, and ends.
//!
//! The file CONTROL holds one line and is read before every frame:
//!
//! | Line | The camera shows |
//! |---|---|
//! | `scene` | a gray wall with a little noise: nobody |
//! | `play PATH` | the recording at PATH, once; then the line becomes `scene` |
//! | `slowly PATH` | the same at a fifth of the rate |
//! | `garbage` | frames of noise bytes (MJPG: no JPEG) |
//! | `cut` | each frame cut off in the middle |
//! | `silent` | nothing: no frame is written |
//! | `quit` | the program ends |
//!
//! v4l2loopback wants frames from the descriptor that set the format, hence one program for all.

use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use facelatch_core::picture::Gray;
use facelatch_edges::camera::{FrameSource, Next, Recording};
use v4l::video::{Capture, Output};
use v4l::{Device, Format, FourCC};

struct Camera {
    device: Device,
    format: String,
    width: u32,
    height: u32,
    noise: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [device, control, options @ ..] = &args[..] else {
        return Err("usage: lab_camera DEVICE CONTROL [--format F] [--size WxH] [--fps N]".into());
    };
    let option = |name: &str, default: &str| {
        options.windows(2).find(|w| w[0] == name).map_or(default.to_owned(), |w| w[1].clone())
    };
    let format = option("--format", "YUYV");
    let size = option("--size", "640x480");
    let (width, height) = size.split_once('x').ok_or("--size WxH")?;
    let (width, height): (u32, u32) = (width.parse()?, height.parse()?);
    let period = Duration::from_secs_f64(1.0 / option("--fps", "20").parse::<f64>()?);

    let code: [u8; 4] = format.as_bytes().try_into().map_err(|_| "--format takes four letters")?;
    let device = Device::with_path(device)?;
    if control == "capture" {
        let set = Capture::set_format(&device, &Format::new(width, height, FourCC::new(&code)))?;
        println!("the node is now at {} {}x{}", set.fourcc, set.width, set.height);
        return Ok(());
    }
    let set = Output::set_format(&device, &Format::new(width, height, FourCC::new(&code)))?;
    if (set.width, set.height) != (width, height) || set.fourcc.repr != code {
        return Err(format!("the device took {}x{} {}", set.width, set.height, set.fourcc).into());
    }
    let mut camera = Camera { device, format, width, height, noise: 1 };
    let control = Path::new(control);

    let mut playing: Option<(String, Recording)> = None;
    let mut due = Instant::now();
    loop {
        due += period;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let line = std::fs::read_to_string(control).unwrap_or_default();
        let line = line.trim();
        let slowly = line.strip_prefix("slowly ");
        if let Some(path) = slowly.or(line.strip_prefix("play ")) {
            if slowly.is_some() {
                due += 4 * period;
            }
            if playing.as_ref().is_none_or(|(played, _)| played != path) {
                playing = Some((
                    path.to_owned(),
                    Recording::open(Path::new(path), 20.0, Some((width, height)), false)?,
                ));
            }
            let Some((_, recording)) = &mut playing else { continue };
            match recording.next(Duration::ZERO)? {
                Next::Frame(frame) => camera.show(&frame.gray)?,
                Next::Timeout => {}
                Next::End => {
                    playing = None;
                    std::fs::write(control, "scene\n")?;
                }
            }
            continue;
        }
        playing = None;
        match line {
            "quit" => return Ok(()),
            "silent" => {}
            "garbage" => {
                let bytes: Vec<u8> = (0..camera.width * camera.height).map(|_| camera.random()).collect();
                camera.device.write_all(&bytes)?;
            }
            "cut" => {
                let bytes =
                    camera.encode(&Gray::filled(camera.width as usize, camera.height as usize, 100))?;
                let half = bytes.len() / 2;
                // Short writes are what is wanted, so not `write_all`.
                let _ = camera.device.write(&bytes[..half])?;
            }
            _ => {
                let mut wall = Gray::filled(camera.width as usize, camera.height as usize, 0);
                for pixel in wall.pixels_mut() {
                    *pixel = 110 + camera.random() % 8;
                }
                camera.show(&wall)?;
            }
        }
    }
}

impl Camera {
    fn show(&mut self, gray: &Gray) -> Result<(), Box<dyn Error>> {
        let bytes = self.encode(gray)?;
        let written = self.device.write(&bytes)?;
        if written == bytes.len() {
            Ok(())
        } else {
            Err(format!("{written} of {} bytes", bytes.len()).into())
        }
    }

    fn encode(&self, gray: &Gray) -> Result<Vec<u8>, Box<dyn Error>> {
        match self.format.as_str() {
            "GREY" => Ok(gray.pixels().to_vec()),
            "YUYV" => Ok(gray.pixels().iter().flat_map(|&y| [y, 128]).collect()),
            "MJPG" => {
                let mut bytes = Vec::new();
                image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 85).encode(
                    gray.pixels(),
                    self.width,
                    self.height,
                    image::ExtendedColorType::L8,
                )?;
                Ok(bytes)
            }
            other => Err(format!("format {other} is not written here").into()),
        }
    }

    /// Noise by a linear congruential generator: the same in every run.
    fn random(&mut self) -> u8 {
        self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.noise >> 24) as u8
    }
}
