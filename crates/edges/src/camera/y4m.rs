//! Reads Y4M (YUV4MPEG2), the plainest uncompressed video: a header line, then `FRAME` and planes.
//!
//! Read here rather than by the `y4m` crate (0.8): it bounds its memory, but reads neither 4:1:1 nor 4:4:4 with
//! alpha, and reports a truncated file as an ordinary end, where the log must say so. Samples of 8 bits; an
//! interlaced frame holds all its rows and is read like any other.

use std::io::{self, BufRead, Read};

use super::pixel::{Decoded, MAX_SIDE, full_to_rgb, limited_to_rgb};
use facelatch_core::picture::Gray;

/// What a Y4M file's header says.
#[derive(Clone, Debug, PartialEq)]
pub struct Y4mHeader {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Frames a second; `None` when unknown (`F0:0`).
    pub rate: Option<f64>,
    /// How chroma follows the luma.
    chroma: Chroma,
    /// Whether black is 0 and white 255, not 16 and 235; matters to the colours alone.
    full_range: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chroma {
    None,
    /// 4:2:0.
    Quarter,
    /// 4:1:1: one for four pixels side by side.
    Fourth,
    /// 4:2:2.
    Half,
    /// 4:4:4.
    Full,
    /// 4:4:4 and a plane of transparency.
    FullAlpha,
}

impl Chroma {
    /// How many pixels side by side, and one above the other, share a chroma sample.
    fn step(self) -> Option<(usize, usize)> {
        match self {
            Chroma::None => None,
            Chroma::Quarter => Some((2, 2)),
            Chroma::Fourth => Some((4, 1)),
            Chroma::Half => Some((2, 1)),
            Chroma::Full | Chroma::FullAlpha => Some((1, 1)),
        }
    }
}

/// Why a file is not Y4M, or ends badly.
#[derive(Debug, thiserror::Error)]
pub enum Y4mError {
    /// Reading failed.
    #[error("reading it: {0}")]
    Io(#[from] io::Error),
    /// Not a Y4M at all.
    #[error("not a Y4M file")]
    NotY4m,
    /// A parameter of the header makes no sense or is not supported.
    #[error("its header's {0}")]
    Header(String),
    /// Something else stands where a frame should begin.
    #[error("frame {0} does not begin with FRAME")]
    NotAFrame(u64),
}

/// The longest header line that is read.
const MAX_LINE: u64 = 4096;

/// Frames of a Y4M stream, one after the other.
#[derive(Debug)]
pub struct Y4mReader<R> {
    reader: R,
    header: Y4mHeader,
    read: u64,
    cut: bool,
}

impl<R: BufRead> Y4mReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is none, or asks for 16-bit samples or an absurd size.
    pub fn new(mut reader: R) -> Result<Self, Y4mError> {
        let line = line(&mut reader)?.ok_or(Y4mError::NotY4m)?;
        let header = parse_header(&line)?;
        Ok(Y4mReader { reader, header, read: 0, cut: false })
    }

    /// What the header says.
    pub fn header(&self) -> &Y4mHeader {
        &self.header
    }

    /// Whether it ended in the middle of a frame.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// The next frame; `None` at the end, also when the last frame is truncated.
    ///
    /// # Errors
    /// When reading fails or no frame begins where one should.
    pub fn next_frame(&mut self, colour: bool) -> Result<Option<Decoded>, Y4mError> {
        let Some(start) = line(&mut self.reader)? else { return Ok(None) };
        if !(start == b"FRAME" || start.starts_with(b"FRAME ")) {
            // A cut in the middle of the word is an end like any other cut.
            return if b"FRAME".starts_with(&start[..]) {
                self.cut = true;
                Ok(None)
            } else {
                Err(Y4mError::NotAFrame(self.read))
            };
        }
        let Y4mHeader { width, height, chroma, full_range, .. } = self.header;
        let luma = width * height;
        let step = chroma.step();
        let (columns, rows) = step.map_or((0, 0), |(x, y)| (width.div_ceil(x), height.div_ceil(y)));
        let alpha = if chroma == Chroma::FullAlpha { luma } else { 0 };
        let rest = 2 * columns * rows + alpha;
        let mut bytes = Vec::new();
        let needed = luma + rest;
        (&mut self.reader).take(needed as u64).read_to_end(&mut bytes)?;
        if bytes.len() < needed {
            self.cut = true;
            return Ok(None);
        }
        self.read += 1;
        let chroma = bytes.split_off(luma);
        let to_rgb = if full_range { full_to_rgb } else { limited_to_rgb };
        let colour = colour.then(|| {
            let mut rgb = Vec::with_capacity(3 * luma);
            for (y, row) in bytes.chunks_exact(width).enumerate() {
                for (x, &value) in row.iter().enumerate() {
                    rgb.extend(step.map_or([value; 3], |(step_x, step_y)| {
                        let at = y / step_y * columns + x / step_x;
                        to_rgb(value, chroma[at], chroma[at + columns * rows])
                    }));
                }
            }
            image::RgbImage::from_raw(width as u32, height as u32, rgb)
        });
        let gray =
            Gray::from_pixels(width, height, bytes).map_err(|e| Y4mError::Header(format!("size: {e}")))?;
        Ok(Some(Decoded { gray, colour: colour.flatten() }))
    }
}

/// A line without its end; `None` at the end of the file.
fn line<R: BufRead>(reader: &mut R) -> Result<Option<Vec<u8>>, Y4mError> {
    let mut line = Vec::new();
    reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(Some(line))
}

fn parse_header(line: &[u8]) -> Result<Y4mHeader, Y4mError> {
    let text = std::str::from_utf8(line).map_err(|_| Y4mError::NotY4m)?;
    let mut words = text.split(' ').filter(|w| !w.is_empty());
    if words.next() != Some("YUV4MPEG2") {
        return Err(Y4mError::NotY4m);
    }
    let mut header =
        Y4mHeader { width: 0, height: 0, rate: None, chroma: Chroma::Quarter, full_range: false };
    for word in words {
        let mut chars = word.chars();
        let key = chars.next();
        let value = chars.as_str();
        let side = || {
            let side: usize = value.parse().unwrap_or(0);
            if (1..=MAX_SIDE).contains(&side) {
                Ok(side)
            } else {
                Err(Y4mError::Header(format!("size {word} is not from 1 to {MAX_SIDE}")))
            }
        };
        match key {
            Some('W') => header.width = side()?,
            Some('H') => header.height = side()?,
            Some('F') => {
                header.rate = value
                    .split_once(':')
                    .and_then(|(n, d)| Some(n.parse::<f64>().ok()? / d.parse::<f64>().ok()?))
                    .filter(|r| r.is_finite() && *r > 0.0 && *r <= 1000.0);
            }
            Some('C') => {
                header.chroma = match value {
                    "420" | "420jpeg" | "420mpeg2" | "420paldv" => Chroma::Quarter,
                    "411" => Chroma::Fourth,
                    "422" => Chroma::Half,
                    "444" => Chroma::Full,
                    "444alpha" => Chroma::FullAlpha,
                    "mono" => Chroma::None,
                    _ => {
                        return Err(Y4mError::Header(format!(
                            "chroma {word} is not read; convert it: ffmpeg -i IN.y4m -pix_fmt yuv420p OUT.y4m"
                        )));
                    }
                }
            }
            Some('X') => header.full_range |= value.eq_ignore_ascii_case("COLORRANGE=FULL"),
            _ => {}
        }
    }
    if header.width == 0 || header.height == 0 {
        return Err(Y4mError::Header("size is missing".into()));
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str, frames: usize, bytes: usize) -> Vec<u8> {
        let mut file = format!("YUV4MPEG2 {header}\n").into_bytes();
        for n in 0..frames {
            file.extend(b"FRAME Ip\n");
            file.extend(std::iter::repeat_n(100 + n as u8, bytes));
        }
        file
    }

    #[test]
    fn luma_and_rate_of_each_chroma() {
        for (chroma, bytes) in [
            ("", 6 + 4),
            ("C420", 6 + 4),
            ("C420jpeg", 6 + 4),
            ("C420paldv", 6 + 4),
            ("C420mpeg2 XYSCSS=420MPEG2", 6 + 4),
            ("C411", 6 + 4),
            ("C422", 6 + 8),
            ("C444", 18),
            ("C444alpha", 24),
            ("Cmono", 6),
        ] {
            for interlaced in ["Ip", "It", "Ib", "Im", "I?"] {
                let file = file(&format!("W3 H2 F30000:1001 {interlaced} A1:1 {chroma}"), 2, bytes);
                let mut reader = Y4mReader::new(&file[..]).unwrap();
                assert!((reader.header().rate.unwrap() - 29.97).abs() < 0.01);
                for n in 0..2 {
                    let frame = reader.next_frame(true).unwrap().unwrap();
                    assert_eq!(frame.gray.pixels(), [100 + n; 6], "{chroma}");
                    assert_eq!(frame.colour.unwrap().dimensions(), (3, 2));
                }
                assert!(reader.next_frame(true).unwrap().is_none());
                assert!(!reader.is_cut());
            }
        }
    }

    /// A pixel's colour where the left half of a 6x4 picture is red and the right half gray.
    #[test]
    fn colours_of_each_chroma() {
        for (chroma, step_x, step_y) in [("420jpeg", 2, 2), ("422", 2, 1), ("444", 1, 1), ("411", 4, 1)] {
            let (width, height) = (6usize, 3usize);
            let (columns, rows) = (width.div_ceil(step_x), height.div_ceil(step_y));
            let plane = |left: u8, right: u8| {
                let value = move |n: usize| if n % columns * step_x < 4 { left } else { right };
                (0..columns * rows).map(value).collect::<Vec<_>>()
            };
            // BT.601 limited: red is (81, 90, 240).
            let mut bytes = format!("YUV4MPEG2 W{width} H{height} F8:1 C{chroma}\nFRAME\n").into_bytes();
            bytes.extend(vec![81; width * height]);
            bytes.extend([plane(90, 128), plane(240, 128)].concat());
            let mut reader = Y4mReader::new(&bytes[..]).unwrap();
            let colour = reader.next_frame(true).unwrap().unwrap().colour.unwrap();
            for (x, y, pixel) in colour.enumerate_pixels() {
                let right = if x < 4 { [255, 0, 0] } else { [76; 3] };
                let off = pixel.0.iter().zip(right).map(|(a, b)| a.abs_diff(b)).max().unwrap();
                assert!(off <= 2, "C{chroma} at {x},{y}: {:?}", pixel.0);
            }
        }
        let mut reader =
            Y4mReader::new(&b"YUV4MPEG2 W1 H1 XCOLORRANGE=FULL C444\nFRAME\n\x4c\x55\xff"[..]).unwrap();
        let pixel = reader.next_frame(true).unwrap().unwrap().colour.unwrap().get_pixel(0, 0).0;
        assert!(pixel[0] >= 252 && pixel[1] <= 3 && pixel[2] <= 3, "full range: {pixel:?}");
    }

    #[test]
    fn a_cut_frame_is_the_end() {
        let file = file("W4 H4 F25:1", 2, 24);
        for cut in 1..30 {
            let mut reader = Y4mReader::new(&file[..file.len() - cut]).unwrap();
            assert!(reader.next_frame(false).unwrap().is_some());
            assert!(reader.next_frame(false).unwrap().is_none(), "cut by {cut}");
            assert!(reader.is_cut(), "cut by {cut}");
        }
    }

    #[test]
    fn bad_headers_are_named() {
        let error = |bytes: &[u8]| Y4mReader::new(bytes).unwrap_err().to_string();
        assert_eq!(error(b""), "not a Y4M file");
        assert_eq!(error(b"\x89PNG\r\n"), "not a Y4M file");
        assert_eq!(error(b"YUV4MPEG2 W4\n"), "its header's size is missing");
        assert!(error(b"YUV4MPEG2 W4 H99999999\n").contains("H99999999"));
        assert!(error(b"YUV4MPEG2 W4 H4 C420p10\n").contains("C420p10 is not read"));
        let mut reader = Y4mReader::new(&b"YUV4MPEG2 W4 H4\nFRUME\n"[..]).unwrap();
        assert_eq!(reader.next_frame(false).unwrap_err().to_string(), "frame 0 does not begin with FRAME");
    }

    proptest! {
        #[test]
        fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), w in 1..9, h in 1..9) {
            let mut file = format!("YUV4MPEG2 W{w} H{h}\nFRAME\n").into_bytes();
            file.extend(bytes);
            let mut reader = Y4mReader::new(&file[..]).unwrap();
            while let Ok(Some(_)) = reader.next_frame(true) {}
        }
    }
}
