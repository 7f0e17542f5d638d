//! A V4L2 camera that comes back.
//!
//! Opening fails with a clear error; once open, a camera never fails for good. Unplugged, hung, or
//! its format changed by another program, it is opened again with a waiting time that doubles, and
//! meanwhile [`FrameSource::next`] answers [`Next::Timeout`]. It is found again by its path (a name
//! below `/dev/v4l/by-id` follows it to another number) or, when the path is gone, by its name and
//! place on the bus.
//!
//! Newest frame wins: what the driver holds beyond the newest frame is given back unread.

mod sys;

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use log::{info, warn};

pub use self::sys::Capabilities;
use self::sys::{Captured, DeviceNode, Format, Stream};
use super::pixel::{Layout, PixelFormat, decode};
use super::{CameraError, CameraSettings, Counters, Frame, FrameSource, Next};
use facelatch_core::time::Timestamp;
use facelatch_host::backoff::Backoff;
use facelatch_host::clock;

/// How often the driver is asked whether its format is still ours; a frame that is not a picture of that
/// format makes it ask at once.
const FORMAT_CHECK: Duration = Duration::from_secs(2);

/// At most one line about bad frames in this time.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// A V4L2 camera.
pub struct V4lCamera {
    settings: CameraSettings,
    state: State,
    /// Who the camera is, to know it again.
    identity: (String, String),
    counters: Counters,
    sequence: u64,
    last_warning: Option<Timestamp>,
}

enum State {
    Streaming(Open),
    /// Lost: the time of the next attempt and the waiting times after it.
    Lost {
        retry_at: Timestamp,
        backoff: Backoff,
    },
}

struct Open {
    path: PathBuf,
    stream: Stream,
    pixel_format: PixelFormat,
    format: Format,
    rate: Option<f64>,
    /// The driver's number of the frame before.
    last_sequence: Option<u32>,
    /// When the last frame came that was a picture, or the camera was started.
    last_frame: Timestamp,
    /// When the driver is asked for its format again.
    check_at: Timestamp,
}

impl V4lCamera {
    /// Opens the camera and starts it.
    ///
    /// # Errors
    /// When it is missing, in use, not permitted, no camera, or without a format facelatch reads.
    pub fn open(settings: CameraSettings) -> Result<Self, CameraError> {
        let (open, identity) = start(&settings, &settings.device)?;
        info!("event=camera_open {}", open.describe());
        Ok(V4lCamera {
            settings,
            state: State::Streaming(open),
            identity,
            counters: Counters::default(),
            sequence: 0,
            last_warning: None,
        })
    }

    fn lose(&mut self, why: &str) {
        warn!("event=camera_lost device={} reason={why:?}", self.settings.device.display());
        let backoff = Backoff::new(self.settings.reopen_min, self.settings.reopen_max);
        // Dropping the stream closes the device.
        self.state = State::Lost { retry_at: clock::now(), backoff };
    }

    /// One attempt at opening the lost camera.
    fn reopen(&mut self, now: Timestamp, mut backoff: Backoff) {
        let mut result = start(&self.settings, &self.settings.device);
        if matches!(result, Err(CameraError::Missing { .. }))
            && let Some(path) = find(&self.identity)
        {
            result = start(&self.settings, &path);
        }
        match result {
            Ok((open, identity)) => {
                self.counters.reopened += 1;
                info!("event=camera_back {} reopened={}", open.describe(), self.counters.reopened);
                self.identity = identity;
                self.state = State::Streaming(open);
            }
            Err(error) => {
                log::debug!("event=camera_still_lost reason={:?}", error.to_string());
                self.state = State::Lost { retry_at: now + backoff.failed(), backoff };
            }
        }
    }

    /// The newest frame of the driver; `None` when there is none or it is no picture.
    fn take(&mut self) -> io::Result<Option<Frame>> {
        let State::Streaming(open) = &mut self.state else { return Ok(None) };
        let mut newest: Option<Captured> = None;
        while let Some(captured) = open.stream.dequeue()? {
            if let Some(older) = newest.replace(captured) {
                open.stream.queue(older.index)?;
            }
        }
        let Some(captured) = newest else { return Ok(None) };
        let now = clock::now();

        // A driver that does not count leaves the number as it is: that is one frame on.
        let step = match open.last_sequence.replace(captured.sequence) {
            None => 1,
            Some(last) => match captured.sequence.wrapping_sub(last) {
                0 | 0x8000_0000.. => 1,
                step => u64::from(step),
            },
        };
        self.sequence += step;
        self.counters.skipped += step - 1;

        let layout = Layout {
            format: open.pixel_format,
            width: open.format.width as usize,
            height: open.format.height as usize,
            stride: open.format.stride as usize,
        };
        let decoded = if captured.corrupt {
            Err("the driver says that it is corrupt".to_owned())
        } else {
            decode(layout, open.stream.bytes(&captured), self.settings.colour).map_err(|e| e.to_string())
        };
        open.stream.queue(captured.index)?;
        match decoded {
            Ok(decoded) => {
                open.last_frame = now;
                self.counters.frames += 1;
                // A stamp of the future is none.
                let stamp = captured.stamp.map(|s| Timestamp::ZERO + s).filter(|s| *s <= now);
                Ok(Some(Frame {
                    captured: stamp.unwrap_or(now),
                    sequence: self.sequence,
                    gray: decoded.gray,
                    colour: decoded.colour,
                }))
            }
            Err(reason) => {
                // The format may have changed: it is checked before the next frame.
                open.check_at = now;
                self.counters.undecodable += 1;
                if self.last_warning.is_none_or(|t| now.since(t) >= WARN_EVERY) {
                    self.last_warning = Some(now);
                    warn!(
                        "event=frame_skipped undecodable={} reason={:?}",
                        self.counters.undecodable,
                        reason.to_string()
                    );
                }
                Ok(None)
            }
        }
    }

    /// Why a streaming camera must be opened again, if it must.
    fn trouble(&mut self, now: Timestamp) -> Option<String> {
        let State::Streaming(open) = &mut self.state else { return None };
        let silent = now.since(open.last_frame);
        if silent >= self.settings.hang_timeout {
            return Some(format!("no picture for {:.1} s", silent.as_secs_f64()));
        }
        if now >= open.check_at {
            open.check_at = now + FORMAT_CHECK;
            match open.stream.node().format() {
                Ok(format) if (format.width, format.height, format.fourcc) == open.format.key() => {}
                Ok(format) => {
                    self.counters.format_changes += 1;
                    return Some(format!("another program set it to {}", format.describe()));
                }
                Err(error) => return Some(error.to_string()),
            }
        }
        None
    }
}

impl FrameSource for V4lCamera {
    fn next(&mut self, wait: Duration) -> Result<Next, CameraError> {
        let deadline = clock::now() + wait;
        loop {
            let now = clock::now();
            if let Some(why) = self.trouble(now) {
                self.lose(&why);
            }
            match &self.state {
                State::Lost { retry_at, backoff } if *retry_at <= now => {
                    let backoff = *backoff;
                    self.reopen(now, backoff);
                }
                State::Lost { retry_at, .. } => thread::sleep((*retry_at).min(deadline).since(now)),
                State::Streaming(open) => {
                    // Wakes up in time to notice a hang.
                    let silence = self.settings.hang_timeout.saturating_sub(now.since(open.last_frame));
                    let taken = match open.stream.wait(deadline.since(now).min(silence)) {
                        Ok(true) => self.take(),
                        Ok(false) => Ok(None),
                        Err(error) => Err(error),
                    };
                    match taken {
                        Ok(Some(frame)) => return Ok(Next::Frame(frame)),
                        Ok(None) => {}
                        Err(error) => self.lose(&error.to_string()),
                    }
                }
            }
            if clock::now() >= deadline {
                return Ok(Next::Timeout);
            }
        }
    }

    fn describe(&self) -> String {
        match &self.state {
            State::Streaming(open) => open.describe(),
            State::Lost { .. } => {
                format!("device={} (lost, being opened again)", self.settings.device.display())
            }
        }
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

impl Open {
    fn describe(&self) -> String {
        let rate = self.rate.map_or("unknown".to_owned(), |r| format!("{r:.1}"));
        format!("device={} {} fps={rate}", self.path.display(), self.format.describe())
    }
}

impl Format {
    fn key(&self) -> (u32, u32, [u8; 4]) {
        (self.width, self.height, self.fourcc)
    }

    fn describe(&self) -> String {
        format!("format={} size={}x{}", code(self.fourcc), self.width, self.height)
    }
}

/// A four-character code for people.
fn code(fourcc: [u8; 4]) -> String {
    fourcc.iter().map(|&b| if b.is_ascii_graphic() { char::from(b) } else { '.' }).collect()
}

/// Opens and starts the camera at `path`; with its name and bus.
fn start(settings: &CameraSettings, path: &Path) -> Result<(Open, (String, String)), CameraError> {
    let node = open_node(path)?;
    let caps = node.capabilities().map_err(|e| not_a_camera(path, e))?;
    if !caps.captures {
        return Err(CameraError::NotACamera {
            path: path.to_owned(),
            why: format!(
                "\"{}\" gives no pictures at this node (a camera often has several: take the first)",
                caps.card
            ),
        });
    }
    let fail = |doing| move |error| io_error(path, doing, error);
    let pixel_format = choose(settings, path, &node)?;
    let format = node
        .set_format(settings.width, settings.height, pixel_format.fourcc())
        .map_err(fail("setting its format"))?;
    let Some(pixel_format) = PixelFormat::from_fourcc(format.fourcc) else {
        return Err(unreadable_formats(settings, path, &node));
    };
    if (format.width, format.height) != (settings.width, settings.height) {
        warn!(
            "event=camera_size_differs device={} asked={}x{} got={}x{}",
            path.display(),
            settings.width,
            settings.height,
            format.width,
            format.height
        );
    }
    // Not every driver can set a rate.
    let rate = node.set_rate(settings.fps).unwrap_or(None);
    if let Some(rate) = rate
        && (rate - f64::from(settings.fps)).abs() > 0.5
    {
        warn!("event=camera_rate_differs device={} asked={} got={rate:.1}", path.display(), settings.fps);
    }
    let stream = node.stream().map_err(fail("starting it"))?;
    let now = clock::now();
    let open = Open {
        path: path.to_owned(),
        stream,
        pixel_format,
        format,
        rate,
        last_sequence: None,
        last_frame: now,
        check_at: now + FORMAT_CHECK,
    };
    Ok((open, (caps.card, caps.bus)))
}

fn open_node(path: &Path) -> Result<DeviceNode, CameraError> {
    // Opening some other file would do no harm, but calling it a camera would mislead.
    use std::os::unix::fs::FileTypeExt;
    let meta = std::fs::metadata(path).map_err(|e| io_error(path, "opening it", e))?;
    if !meta.file_type().is_char_device() {
        return Err(CameraError::NotACamera { path: path.to_owned(), why: "it is not a device".to_owned() });
    }
    DeviceNode::open(path).map_err(|e| io_error(path, "opening it", e))
}

fn not_a_camera(path: &Path, error: io::Error) -> CameraError {
    match error.raw_os_error() {
        // ENOSYS: user-mode QEMU knows this request of cameras only.
        Some(libc::ENOTTY | libc::EINVAL | libc::ENOSYS) => {
            CameraError::NotACamera { path: path.to_owned(), why: "it is not a video device".to_owned() }
        }
        _ => io_error(path, "asking what it is", error),
    }
}

fn io_error(path: &Path, doing: &'static str, error: io::Error) -> CameraError {
    let path = path.to_owned();
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => CameraError::Missing {
            path,
            what: "camera",
            remedy: "plug it in, or set camera.device to one that `facelatch doctor` lists",
        },
        Some(libc::EACCES | libc::EPERM) => CameraError::Permission {
            path,
            remedy: "add this user to the group video (adduser USER video), or check the unit's DeviceAllow=",
        },
        Some(libc::EBUSY) => CameraError::Busy { path },
        _ => CameraError::Io { path, doing, source: error },
    }
}

fn unreadable_formats(settings: &CameraSettings, path: &Path, node: &DeviceNode) -> CameraError {
    let offered: Vec<_> = node.formats().into_iter().map(code).collect();
    CameraError::Format {
        path: path.to_owned(),
        offered: if offered.is_empty() { "no format".to_owned() } else { offered.join(", ") },
        asked: settings.format.map_or(String::new(), |f| format!("; camera.format asks for {f}")),
    }
}

/// The format to take: the one asked for; else, of those that facelatch reads, the first of the
/// cheapest that reaches the size and the rate asked for.
fn choose(settings: &CameraSettings, path: &Path, node: &DeviceNode) -> Result<PixelFormat, CameraError> {
    let offered: Vec<PixelFormat> = node.formats().into_iter().filter_map(PixelFormat::from_fourcc).collect();
    if let Some(wanted) = settings.format {
        return if offered.contains(&wanted) {
            Ok(wanted)
        } else {
            Err(unreadable_formats(settings, path, node))
        };
    }
    let rank = |format: &PixelFormat| {
        let (width, height) = (settings.width, settings.height);
        let tried = node.try_format(width, height, format.fourcc()).ok();
        let right_size = tried.is_some_and(|t| (t.width, t.height) == (width, height));
        let rate = node.best_rate(format.fourcc(), width, height);
        // A driver that names no rates is believed to reach this one.
        let right_rate = rate.is_none_or(|r| r + 0.5 >= f64::from(settings.fps));
        let gray_only = settings.colour && *format == PixelFormat::Grey;
        let place = PixelFormat::ALL.iter().position(|f| f == format).unwrap_or(usize::MAX);
        (gray_only, !right_size, !right_rate, place)
    };
    offered.into_iter().min_by_key(rank).ok_or_else(|| unreadable_formats(settings, path, node))
}

/// A capture node with this name and place on the bus.
fn find(identity: &(String, String)) -> Option<PathBuf> {
    list().into_iter().find(|c| (&c.caps.card, &c.caps.bus) == (&identity.0, &identity.1)).map(|c| c.path)
}

/// A video node as `facelatch doctor` shows it.
#[derive(Debug)]
pub struct Listed {
    /// `/dev/video0`.
    pub path: PathBuf,
    /// What it says it is.
    pub caps: Capabilities,
    /// Its formats, largest rate at 640x480 where known.
    pub formats: Vec<(String, Option<f64>)>,
}

/// All nodes that pictures can be captured from, in the order of their numbers. Nodes that cannot be
/// opened are left out.
pub fn list() -> Vec<Listed> {
    let mut found = Vec::new();
    for path in nodes() {
        let Ok(node) = open_node(&path) else { continue };
        let Ok(caps) = node.capabilities() else { continue };
        if !caps.captures {
            continue;
        }
        let formats = node
            .formats()
            .into_iter()
            .map(|fourcc| (code(fourcc), node.best_rate(fourcc, 640, 480)))
            .collect();
        found.push(Listed { path, caps, formats });
    }
    found
}

/// All `/dev/video*`, by number.
pub fn nodes() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/dev") else { return Vec::new() };
    let mut numbered: Vec<(u32, PathBuf)> = entries
        .filter_map(|e| {
            let path = e.ok()?.path();
            let number = path.file_name()?.to_str()?.strip_prefix("video")?.parse().ok()?;
            Some((number, path))
        })
        .collect();
    numbered.sort();
    numbered.into_iter().map(|(_, path)| path).collect()
}

/// Why a node cannot be used, `None` when it can at least be opened.
pub fn why_not(path: &Path) -> Option<CameraError> {
    open_node(path).and_then(|n| n.capabilities().map_err(|e| not_a_camera(path, e))).err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(device: &Path) -> CameraError {
        match V4lCamera::open(CameraSettings { device: device.to_owned(), ..CameraSettings::default() }) {
            Ok(camera) => panic!("opened {}", camera.describe()),
            Err(error) => error,
        }
    }

    #[test]
    fn what_is_no_camera_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (path, expected) in [
            (Path::new("/dev/video-none"), "no such camera; plug it in"),
            (Path::new("/dev/null"), "not a video device"),
            (file.path(), "it is not a device"),
            (Path::new("/dev"), "it is not a device"),
            (Path::new(""), "no such camera"),
        ] {
            let message = open(path).to_string();
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn permission_names_the_group() {
        let error =
            io_error(Path::new("/dev/video0"), "opening it", io::Error::from_raw_os_error(libc::EACCES));
        assert!(error.to_string().contains("group video"), "{error}");
        let error =
            io_error(Path::new("/dev/video0"), "opening it", io::Error::from_raw_os_error(libc::EBUSY));
        assert!(error.to_string().contains("in use"), "{error}");
    }
}
