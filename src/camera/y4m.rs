//! Reads Y4M (YUV4MPEG2), the plainest uncompressed video: a header line, then `FRAME` and planes.
//!
//! Read here rather than by a crate: the format is one line of parameters, and the crates allocate
//! what the header asks for, which a damaged file makes any number. Only the luma is kept, and
//! chroma for colour where it is 4:2:0.

use std::io::{self, BufRead, Read};

use super::pixel::{Decoded, Layout, MAX_SIDE, PixelFormat, decode};

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chroma {
    None,
    Quarter,
    Half,
    Full,
}

/// Why a file is no Y4M, or ends badly.
#[derive(Debug, thiserror::Error)]
pub enum Y4mError {
    /// Reading failed.
    #[error("reading it: {0}")]
    Io(#[from] io::Error),
    /// Not a Y4M at all.
    #[error("it is no Y4M file")]
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
}

impl<R: BufRead> Y4mReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is none, or asks for 16-bit samples or an absurd size.
    pub fn new(mut reader: R) -> Result<Self, Y4mError> {
        let line = line(&mut reader)?.ok_or(Y4mError::NotY4m)?;
        let header = parse_header(&line)?;
        Ok(Y4mReader { reader, header, read: 0 })
    }

    /// What the header says.
    pub fn header(&self) -> &Y4mHeader {
        &self.header
    }

    /// The next frame; `None` at the end, also when the last frame is cut off.
    ///
    /// # Errors
    /// When reading fails or no frame begins where one should.
    pub fn next_frame(&mut self, colour: bool) -> Result<Option<Decoded>, Y4mError> {
        let Some(start) = line(&mut self.reader)? else { return Ok(None) };
        if !(start == b"FRAME" || start.starts_with(b"FRAME ")) {
            // A cut in the middle of the word is an end like any other cut.
            return if b"FRAME".starts_with(&start[..]) {
                Ok(None)
            } else {
                Err(Y4mError::NotAFrame(self.read))
            };
        }
        let Y4mHeader { width, height, chroma, .. } = self.header;
        let luma = width * height;
        let rest = match chroma {
            Chroma::None => 0,
            Chroma::Quarter => 2 * width.div_ceil(2) * height.div_ceil(2),
            Chroma::Half => 2 * width.div_ceil(2) * height,
            Chroma::Full => 2 * luma,
        };
        let mut bytes = Vec::new();
        let needed = (luma + rest) as u64;
        (&mut self.reader).take(needed).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < needed {
            return Ok(None);
        }
        self.read += 1;
        // Other chroma layouts give their luma only.
        let format = if chroma == Chroma::Quarter { PixelFormat::Yu12 } else { PixelFormat::Grey };
        decode(Layout { format, width, height, stride: width }, &bytes, colour)
            .map(Some)
            .map_err(|e| Y4mError::Header(e.to_string()))
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
    let mut header = Y4mHeader { width: 0, height: 0, rate: None, chroma: Chroma::Quarter };
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
                    "422" => Chroma::Half,
                    "444" => Chroma::Full,
                    "mono" => Chroma::None,
                    _ => {
                        return Err(Y4mError::Header(format!(
                            "chroma {word} is not read; convert it: ffmpeg -i IN -pix_fmt yuv420p OUT.y4m"
                        )));
                    }
                }
            }
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
        for (chroma, bytes) in [("", 6 + 4), ("C420jpeg", 6 + 4), ("C422", 6 + 8), ("C444", 18), ("Cmono", 6)]
        {
            let file = file(&format!("W3 H2 F30000:1001 Ip A1:1 {chroma}"), 2, bytes);
            let mut reader = Y4mReader::new(&file[..]).unwrap();
            assert!((reader.header().rate.unwrap() - 29.97).abs() < 0.01);
            for n in 0..2 {
                let frame = reader.next_frame(true).unwrap().unwrap();
                assert_eq!(frame.gray.pixels(), [100 + n; 6], "{chroma}");
                assert_eq!(frame.colour.unwrap().dimensions(), (3, 2));
            }
            assert!(reader.next_frame(true).unwrap().is_none());
        }
    }

    #[test]
    fn a_cut_frame_is_the_end() {
        let file = file("W4 H4 F25:1", 2, 24);
        for cut in 1..30 {
            let mut reader = Y4mReader::new(&file[..file.len() - cut]).unwrap();
            assert!(reader.next_frame(false).unwrap().is_some());
            assert!(reader.next_frame(false).unwrap().is_none(), "cut by {cut}");
        }
    }

    #[test]
    fn bad_headers_are_named() {
        let error = |bytes: &[u8]| Y4mReader::new(bytes).unwrap_err().to_string();
        assert_eq!(error(b""), "it is no Y4M file");
        assert_eq!(error(b"\x89PNG\r\n"), "it is no Y4M file");
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
