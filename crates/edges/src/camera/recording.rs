//! Recordings as a source of frames, in simulated time.
//!
//! A recording is a folder of pictures (played in the order of their names as bytes), one picture,
//! an MJPEG AVI file or a Y4M file. Frame n is captured at n / rate; nothing waits.
//!
//! **Scaling.** With a size given, every frame is scaled to it bilinearly and whole: to exactly that
//! size when its aspect ratio is the same within 1 %, else as large as fits, centred on black.
//!
//! **Damage.** A bad picture in a folder is an error that names it. A frame of an AVI that is no
//! JPEG is skipped and counted, as a camera's would be; a truncated file ends there. The log says
//! so, and says when there are fewer frames than the file's header promises.
//!
//! What a file is, its first bytes say, not its name.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::warn;

use super::avi::{self, AviError, AviIndex};
use super::pixel::{Decoded, PixelError, decode_mjpeg};
use super::y4m::Y4mReader;
use super::{CameraError, Counters, Frame, FrameSource, Next};
use crate::picture_file::kind::{self, FileKind};
use crate::picture_file::{self, jpeg, list_pictures};
use facelatch_core::picture::Gray;
use facelatch_core::resample::Resampler;
use facelatch_core::time::Timestamp;

/// A recording being played.
pub struct Recording {
    path: PathBuf,
    kind: Kind,
    rate: f64,
    size: Option<(u32, u32)>,
    colour: bool,
    sequence: u64,
    counters: Counters,
    /// Why the first frame that was skipped is none.
    first_fault: Option<String>,
    /// Whether the log has said how it ended.
    ended: bool,
    resampler: Resampler,
}

enum Kind {
    Pictures { paths: Vec<PathBuf>, next: usize },
    Avi { file: File, index: AviIndex, next: usize },
    Y4m(Box<Y4mReader<BufReader<File>>>),
}

impl Recording {
    /// Opens the recording at `path`, to be played at `rate` frames a second (`None`: the file's own
    /// rate, 20 where it has none), scaled to `size` (width, height) where one is given, with colour
    /// where `colour` asks for it.
    ///
    /// # Errors
    /// When there is nothing at `path`, or it is no recording, or a folder without pictures.
    pub fn open(
        path: &Path,
        rate: impl Into<Option<f64>>,
        size: Option<(u32, u32)>,
        colour: bool,
    ) -> Result<Self, CameraError> {
        let kind = open_kind(path)?;
        let own_rate = match &kind {
            Kind::Pictures { .. } => None,
            Kind::Avi { index, .. } => index.rate,
            Kind::Y4m(reader) => reader.header().rate,
        };
        let rate = rate.into().or(own_rate).unwrap_or(20.0);
        if !(rate > 0.0 && rate <= 1000.0) {
            return Err(CameraError::Rate { path: path.to_owned(), rate });
        }
        Ok(Recording {
            path: path.to_owned(),
            kind,
            rate,
            size: size.filter(|(w, h)| *w > 0 && *h > 0),
            colour,
            sequence: 0,
            counters: Counters::default(),
            first_fault: None,
            ended: false,
            resampler: Resampler::new(),
        })
    }

    /// Frames a second in simulated time.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// The next frame's pictures as recorded; `None` at the end.
    fn read(&mut self) -> Result<Option<Read1>, CameraError> {
        let unreadable = |path: &Path, why: String| CameraError::Unreadable { path: path.to_owned(), why };
        match &mut self.kind {
            Kind::Pictures { paths, next } => {
                let Some(path) = paths.get(*next) else { return Ok(None) };
                *next += 1;
                let picture = picture_file::load(path, self.colour)?;
                Ok(Some(Read1::Frame(Decoded { gray: picture.gray, colour: picture.colour })))
            }
            Kind::Avi { file, index, next } => {
                let Some(&(at, length)) = index.frames.get(*next) else { return Ok(None) };
                *next += 1;
                if length == 0 {
                    return Ok(Some(Read1::Skipped));
                }
                let mut bytes = Vec::new();
                file.seek(SeekFrom::Start(at))
                    .and_then(|_| file.take(u64::from(length)).read_to_end(&mut bytes))
                    .map_err(|source| CameraError::Io {
                        path: self.path.clone(),
                        doing: "reading a frame",
                        source,
                    })?;
                let height = usize::try_from(index.height).ok().filter(|height| *height > 0);
                match decode_mjpeg(jpeg::from_start(&bytes), height, self.colour) {
                    Ok(decoded) => Ok(Some(Read1::Frame(decoded))),
                    Err(error @ PixelError::OneField { .. }) => Err(unreadable(
                        &self.path,
                        format!("{error}; convert it: {}", kind::to_recording(&self.path)),
                    )),
                    Err(error) => {
                        self.counters.undecodable += 1;
                        // One line for a thousand frames alike; `finish` counts them.
                        if self.first_fault.is_none() {
                            let reason = error.to_string();
                            warn!(
                                "event=frame_skipped source={:?} sequence={} reason={reason:?}",
                                self.path, self.sequence
                            );
                            self.first_fault = Some(reason);
                        }
                        Ok(Some(Read1::Skipped))
                    }
                }
            }
            Kind::Y4m(reader) => match reader.next_frame(self.colour) {
                Ok(frame) => Ok(frame.map(Read1::Frame)),
                Err(error) => Err(unreadable(&self.path, error.to_string())),
            },
        }
    }

    /// What there is to say when playing begins; not when the file is opened, which is done to try it, too.
    fn begin(&self) {
        let Kind::Avi { index, .. } = &self.kind else { return };
        let (path, frames) = (&self.path, index.frames.len());
        if index.truncated {
            warn!("event=recording_cut_off source={path:?} frames={frames}");
        }
        if let Some(promised) = index.promised.filter(|promised| u64::from(*promised) > frames as u64) {
            warn!("event=recording_frames_missing source={path:?} promised={promised} found={frames}");
        }
    }

    /// What there is to say at the end of the recording.
    ///
    /// # Errors
    /// When no frame of it could be read: that is not a recording of an empty room.
    fn finish(&mut self) -> Result<(), CameraError> {
        let Counters { frames, undecodable, .. } = self.counters;
        if frames == 0
            && let Some(reason) = &self.first_fault
        {
            let why = format!("none of its {undecodable} frames can be read; the first: {reason}");
            return Err(CameraError::Unreadable { path: self.path.clone(), why });
        }
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        if undecodable > 1 {
            warn!(
                "event=frames_skipped source={:?} undecodable={undecodable} of={}",
                self.path, self.sequence
            );
        }
        if matches!(&self.kind, Kind::Y4m(reader) if reader.is_cut()) {
            warn!("event=recording_cut_off source={:?} frames={frames}", self.path);
        }
        Ok(())
    }
}

/// One step through a recording.
enum Read1 {
    Frame(Decoded),
    Skipped,
}

impl FrameSource for Recording {
    /// The next frame at once, whatever `wait` says: time is simulated.
    fn next(&mut self, _wait: Duration) -> Result<Next, CameraError> {
        if self.sequence == 0 {
            self.begin();
        }
        loop {
            let Some(read) = self.read()? else {
                self.finish()?;
                return Ok(Next::End);
            };
            let sequence = self.sequence;
            self.sequence += 1;
            let Read1::Frame(decoded) = read else { continue };
            let (gray, colour) = match self.size {
                Some(size) => (
                    fit_gray(&mut self.resampler, &decoded.gray, size),
                    decoded.colour.map(|c| fit_rgb(&mut self.resampler, &c, size)),
                ),
                None => (decoded.gray, decoded.colour),
            };
            self.counters.frames += 1;
            let captured = Timestamp::from_secs_f64(sequence as f64 / self.rate);
            return Ok(Next::Frame(Frame { captured, sequence, gray, colour }));
        }
    }

    fn describe(&self) -> String {
        let kind = match &self.kind {
            Kind::Pictures { paths, .. } if paths.len() == 1 => "one picture".to_owned(),
            Kind::Pictures { paths, .. } => format!("{} pictures", paths.len()),
            Kind::Avi { index, .. } => {
                let cut = if index.truncated { ", cut off" } else { "" };
                format!("MJPEG AVI of {} frames of {}x{}{cut}", index.frames.len(), index.width, index.height)
            }
            Kind::Y4m(reader) => format!("Y4M of {}x{}", reader.header().width, reader.header().height),
        };
        let scaled = self.size.map_or(String::new(), |(w, h)| format!(", scaled to {w}x{h}"));
        format!("{} ({kind}, {} frames a second{scaled})", self.path.display(), self.rate)
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

fn open_kind(path: &Path) -> Result<Kind, CameraError> {
    let meta = std::fs::metadata(path).map_err(|e| open_error(path, e))?;
    if meta.is_dir() {
        return pictures(path);
    }
    let unreadable = |why: String| CameraError::Unreadable { path: path.to_owned(), why };
    let file = File::open(path).map_err(|e| open_error(path, e))?;
    let mut reader = BufReader::new(file);
    let io = |source| CameraError::Io { path: path.to_owned(), doing: "reading it", source };
    // A pipe cannot be read twice: the first bytes are looked at where they stand.
    let head = reader.fill_buf().map_err(io)?;
    let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    match (kind::kind(head), ending.as_str()) {
        (FileKind::Avi, _) => avi(path, reader.into_inner()),
        (FileKind::Y4m, _) => {
            let reader = Y4mReader::new(reader).map_err(|e| unreadable(e.to_string()))?;
            Ok(Kind::Y4m(Box::new(reader)))
        }
        (FileKind::Other(other), _) if other.video => Err(unreadable(format!(
            "{}, which facelatch does not play; convert it: {}",
            other.name,
            kind::to_recording(path)
        ))),
        (FileKind::Unknown, "avi") => Err(unreadable(AviError::NotAvi.to_string())),
        (FileKind::Unknown, "y4m") => Err(unreadable("not a Y4M file".to_owned())),
        (FileKind::Unknown, ending) if !kind::PICTURES.contains(&ending) => Err(unreadable(format!(
            "not a recording: give a folder of pictures, a picture (jpg, png, pgm, ppm, bmp, webp), an MJPEG \
             .avi or a .y4m file; a video can be converted: {}",
            kind::to_recording(path)
        ))),
        _ => {
            picture_file::check_kind(path, head)?;
            Ok(Kind::Pictures { paths: vec![path.to_owned()], next: 0 })
        }
    }
}

fn avi(path: &Path, file: File) -> Result<Kind, CameraError> {
    let index = avi::index(&file).map_err(|e| match e {
        AviError::Io(source) => CameraError::Io { path: path.to_owned(), doing: "reading it", source },
        AviError::Codec(_) => CameraError::Unreadable {
            path: path.to_owned(),
            why: format!("{e}; convert it: {}", kind::to_recording(path)),
        },
        other => CameraError::Unreadable { path: path.to_owned(), why: other.to_string() },
    })?;
    Ok(Kind::Avi { file, index, next: 0 })
}

fn pictures(folder: &Path) -> Result<Kind, CameraError> {
    let paths = list_pictures(folder)?;
    if paths.is_empty() {
        return Err(CameraError::Unreadable {
            path: folder.to_owned(),
            why: "the folder holds no picture (jpg, png, pgm, ppm, bmp or webp)".to_owned(),
        });
    }
    Ok(Kind::Pictures { paths, next: 0 })
}

fn open_error(path: &Path, error: std::io::Error) -> CameraError {
    let path = path.to_owned();
    match error.kind() {
        std::io::ErrorKind::NotFound => CameraError::Missing {
            path,
            what: "recording",
            remedy: "give a folder of pictures, a picture, an .avi or a .y4m file",
        },
        std::io::ErrorKind::PermissionDenied => {
            CameraError::Permission { path, remedy: "make it readable for this user" }
        }
        _ => CameraError::Io { path, doing: "opening it", source: error },
    }
}

/// Where a picture of `from` lands in one of `to`: width, height, left, top.
fn placement(from: (usize, usize), to: (u32, u32)) -> (usize, usize, usize, usize) {
    let (w, h) = (from.0 as f64, from.1 as f64);
    let (big_w, big_h) = (to.0 as usize, to.1 as usize);
    let (scale_x, scale_y) = (big_w as f64 / w, big_h as f64 / h);
    if (scale_x / scale_y - 1.0).abs() <= 0.01 {
        return (big_w, big_h, 0, 0);
    }
    let scale = scale_x.min(scale_y);
    let width = ((w * scale).round() as usize).clamp(1, big_w);
    let height = ((h * scale).round() as usize).clamp(1, big_h);
    (width, height, (big_w - width) / 2, (big_h - height) / 2)
}

/// The picture as a frame of a recording played at this size (width, height).
pub fn fitted(picture: &Gray, size: (u32, u32)) -> Gray {
    if size.0 == 0 || size.1 == 0 {
        return picture.clone();
    }
    fit_gray(&mut Resampler::new(), picture, size)
}

fn fit_gray(resampler: &mut Resampler, gray: &Gray, size: (u32, u32)) -> Gray {
    let from = (gray.width(), gray.height());
    let pixels = fit(gray.pixels(), from, size, 1, |from, to| resampler.gray(gray.pixels(), from, to));
    let (w, h) = (size.0 as usize, size.1 as usize);
    Gray::from_pixels(w, h, pixels).unwrap_or_else(|_| Gray::filled(w, h, 0))
}

fn fit_rgb(resampler: &mut Resampler, colour: &image::RgbImage, size: (u32, u32)) -> image::RgbImage {
    let from = (colour.width() as usize, colour.height() as usize);
    let raw = colour.as_raw();
    let pixels = fit(raw, from, size, 3, |from, to| resampler.rgb(raw, from, to));
    image::RgbImage::from_raw(size.0, size.1, pixels).unwrap_or_else(|| image::RgbImage::new(size.0, size.1))
}

/// Scales `pixels` of `channels` bytes each into a picture of `size`, centred on black.
fn fit(
    pixels: &[u8],
    from: (usize, usize),
    size: (u32, u32),
    channels: usize,
    resize: impl FnOnce((u32, u32), (u32, u32)) -> Result<Vec<u8>, String>,
) -> Vec<u8> {
    let (big_w, big_h) = (size.0 as usize, size.1 as usize);
    if from == (big_w, big_h) {
        return pixels.to_vec();
    }
    let (width, height, left, top) = placement(from, size);
    // A picture without pixels stays black.
    let small = resize((from.0 as u32, from.1 as u32), (width as u32, height as u32))
        .unwrap_or_else(|_| vec![0; width * height * channels]);
    if (width, height) == (big_w, big_h) {
        return small;
    }
    let mut big = vec![0; big_w * big_h * channels];
    let row = width * channels;
    for (y, line) in small.chunks_exact(row).enumerate() {
        let start = ((top + y) * big_w + left) * channels;
        big[start..start + row].copy_from_slice(line);
    }
    big
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(pictures: &[(&str, u8)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, value) in pictures {
            image::GrayImage::from_pixel(16, 12, image::Luma([*value]))
                .save(folder.path().join(name))
                .unwrap();
        }
        folder
    }

    fn play(recording: &mut Recording) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Next::Frame(frame) = recording.next(Duration::ZERO).unwrap() {
            frames.push(frame);
        }
        frames
    }

    fn jpeg(value: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        let picture = image::GrayImage::from_pixel(16, 12, image::Luma([value]));
        image::codecs::jpeg::JpegEncoder::new(&mut bytes).encode_image(&picture).unwrap();
        bytes
    }

    #[test]
    fn pictures_play_in_the_order_of_their_names() {
        let folder = folder(&[("b.png", 20), ("a10.png", 10), ("a2.png", 15), (".hidden.png", 99)]);
        std::fs::write(folder.path().join("notes.txt"), "not a picture").unwrap();
        let mut recording = Recording::open(folder.path(), 4.0, None, true).unwrap();
        let frames = play(&mut recording);
        assert_eq!(frames.iter().map(|f| f.gray.pixels()[0]).collect::<Vec<_>>(), [10, 15, 20]);
        assert_eq!(frames.iter().map(|f| f.captured.as_secs_f64()).collect::<Vec<_>>(), [0.0, 0.25, 0.5]);
        assert_eq!(frames.iter().map(|f| f.sequence).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(frames.iter().all(|f| f.colour.as_ref().is_some_and(|c| c.dimensions() == (16, 12))));
        assert!(recording.describe().contains("3 pictures, 4 frames a second"), "{}", recording.describe());
    }

    #[test]
    fn scaling_keeps_the_whole_picture() {
        let folder = folder(&[("a.png", 200)]);
        let play_at =
            |size| play(&mut Recording::open(folder.path(), 1.0, Some(size), true).unwrap()).remove(0);
        // The same aspect ratio fills the frame.
        let frame = play_at((640, 480));
        assert_eq!((frame.gray.width(), frame.gray.height()), (640, 480));
        assert!(frame.gray.pixels().iter().all(|&p| p == 200));
        // A wider frame gets bars left and right.
        let frame = play_at((32, 12));
        let row = frame.gray.view().row(5).to_vec();
        assert_eq!(row[..8], [0; 8]);
        assert_eq!(row[8..24], [200; 16]);
        assert_eq!(row[24..], [0; 8]);
        let colour = frame.colour.unwrap();
        assert_eq!((colour.get_pixel(7, 5).0, colour.get_pixel(8, 5).0), ([0; 3], [200; 3]));
        // Smaller works as well.
        assert_eq!(play_at((4, 3)).gray.pixels(), [200; 12]);
    }

    #[test]
    fn an_avi_skips_and_counts_garbage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.AVI");
        let frames = [jpeg(30), b"no JPEG at all".to_vec(), vec![], jpeg(60)];
        std::fs::write(&path, super::super::avi::tests::avi(b"MJPG", 16, 12, 10, &frames)).unwrap();
        let mut recording = Recording::open(&path, None, None, false).unwrap();
        assert_eq!(recording.rate(), 10.0);
        let frames = play(&mut recording);
        assert_eq!(frames.iter().map(|f| f.sequence).collect::<Vec<_>>(), [0, 3]);
        assert_eq!(frames[1].captured, Timestamp::from_millis(300));
        assert!(frames[1].gray.pixels()[0].abs_diff(60) <= 1);
        assert_eq!((recording.counters().frames, recording.counters().undecodable), (2, 1));
    }

    #[test]
    fn a_y4m_plays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.y4m");
        let mut file = b"YUV4MPEG2 W4 H2 F8:1 Cmono\n".to_vec();
        for value in [1, 2] {
            file.extend(b"FRAME\n");
            file.extend([value; 8]);
        }
        std::fs::write(&path, file).unwrap();
        let frames = play(&mut Recording::open(&path, None, None, false).unwrap());
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[1].captured, Timestamp::from_millis(125));
        assert_eq!(frames[1].gray.pixels(), [2; 8]);
    }

    #[test]
    fn bad_recordings_are_one_clear_line() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let error = |path: &Path| match Recording::open(path, 20.0, None, false)
            .and_then(|mut r| r.next(Duration::ZERO))
        {
            Ok(next) => panic!("{} gave {next:?}", path.display()),
            Err(error) => error.to_string(),
        };
        let empty = folder.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        let half = jpeg(10);
        for (path, expected) in [
            (folder.path().join("nowhere"), "no such recording"),
            (empty, "holds no picture"),
            (at("cut.png", b"\x89PNG\r\n\x1a\n\0\0"), "damaged or truncated"),
            (at("zero.png", b""), "the file is empty"),
            (at("cut.jpg", &half[..half.len() / 2]), "damaged or truncated"),
            (at("words.png", b"no picture at all"), "not a picture that facelatch reads"),
            (at("face.png", b"GIF89a\x10\0"), "a GIF, which facelatch does not read; convert it: ffmpeg -i"),
            (
                at("film.avi", b"\0\0\0\x18ftypmp42\0\0"),
                "an MP4 video, which facelatch does not play; convert",
            ),
            (at("clip.mkv", b"x"), "not a recording"),
            (at("clip.avi", b"x"), "not an AVI"),
            (at("clip.y4m", b"x"), "not a Y4M"),
        ] {
            let message = error(&path);
            assert!(message.contains(expected) && message.contains(&*path.to_string_lossy()), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            let path = folder.path().join("cut.png");
            assert!(
                matches!(Recording::open(&path, rate, None, false), Err(CameraError::Rate { .. })),
                "{rate}"
            );
        }
    }

    #[test]
    fn debug_shows_no_pixels() {
        let folder = folder(&[("a.png", 213)]);
        let frame = play(&mut Recording::open(folder.path(), 1.0, None, true).unwrap()).remove(0);
        let text = format!("{frame:?}");
        assert!(!text.contains("213"), "{text}");
    }
}
