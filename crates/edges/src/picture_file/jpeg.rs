//! JPEGs as libjpeg-turbo reads them: one decoder for stills, recordings and the camera.
//!
//! What the library warns of and OpenCV shows (stray bytes, a bad code, a missing end marker) is shown
//! here, too. A truncated picture is an error: its lower part would be gray. Tables that a
//! camera leaves out are the standard's (libjpeg-turbo fills them in).

use std::ffi::CStr;

use image::RgbImage;
use turbojpeg::raw;

use super::MAX_PIXELS;
use facelatch_core::picture::Gray;

/// Why bytes are not a JPEG that can be shown.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum JpegError {
    /// It is damaged, or no JPEG.
    #[error("{0}")]
    Damaged(String),
    /// It ends before its last row does.
    #[error("the picture is truncated")]
    Cut,
    /// A JPEG of a kind that libjpeg-turbo does not decode: 12 bits, hierarchical, JPEG-LS.
    #[error("{0}")]
    Kind(String),
    /// It is too large.
    #[error("{width}x{height} pixels are too many (limit {MAX_PIXELS})")]
    TooLarge {
        /// Its width.
        width: usize,
        /// Its height.
        height: usize,
    },
}

/// What a JPEG's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Whether its components are inks, as in pictures made for print.
    inks: bool,
}

/// The most scans of a progressive picture; more are an attack on the decoder's time.
const MAX_SCANS: i32 = 500;

/// The beginnings of what libjpeg-turbo says when it goes on. A fatal error replaces the text, but not
/// the library's mark that there was a warning.
const WARNINGS: [&str; 7] = [
    "Corrupt JPEG data",
    "Premature end of JPEG",
    "Inconsistent progression",
    "Unknown Adobe",
    "Invalid SOS parameters",
    "Warning:",
    "Application transferred",
];

/// What a call of the library came to, if not to an error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Clean,
    Warned,
}

/// An instance of the library's decompressor.
struct Decoder(raw::tjhandle);

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: the handle came from tj3Init and is destroyed once.
        unsafe { raw::tj3Destroy(self.0) }
    }
}

impl Decoder {
    fn new() -> Result<Self, JpegError> {
        // SAFETY: the call takes a plain number and gives a handle or null.
        let handle = unsafe { raw::tj3Init(raw::TJINIT_TJINIT_DECOMPRESS as _) };
        if handle.is_null() {
            return Err(JpegError::Damaged("libjpeg-turbo did not start".into()));
        }
        let decoder = Decoder(handle);
        // SAFETY: the handle is valid; both parameters exist since libjpeg-turbo 3.0.
        unsafe { raw::tj3Set(decoder.0, raw::TJPARAM_TJPARAM_SCANLIMIT as _, MAX_SCANS) };
        Ok(decoder)
    }

    fn get(&self, parameter: raw::TJPARAM) -> i32 {
        // SAFETY: the handle is valid.
        unsafe { raw::tj3Get(self.0, parameter as _) }
    }

    /// What the last call, which gave `status`, came to.
    fn outcome(&self, status: i32) -> Result<Outcome, JpegError> {
        if status == 0 {
            return Ok(Outcome::Clean);
        }
        // SAFETY: the handle is valid; the text is copied before the next call of the library.
        let (text, code) = unsafe {
            let text = CStr::from_ptr(raw::tj3GetErrorStr(self.0)).to_string_lossy();
            (text.split_whitespace().collect::<Vec<_>>().join(" "), raw::tj3GetErrorCode(self.0))
        };
        if code == raw::TJERR_TJERR_WARNING as i32 && WARNINGS.iter().any(|w| text.starts_with(w)) {
            return Ok(Outcome::Warned);
        }
        // The library puts the name of its own function in front.
        let text = text.split_once("(): ").map_or(text.as_str(), |(_, said)| said).to_owned();
        if text.starts_with("Unsupported") {
            Err(JpegError::Kind(text))
        } else {
            Err(JpegError::Damaged(text))
        }
    }

    fn header(&self, bytes: &[u8]) -> Result<Header, JpegError> {
        // SAFETY: the pointer and the length are one slice's.
        let status = unsafe { raw::tj3DecompressHeader(self.0, bytes.as_ptr(), bytes.len() as _) };
        self.outcome(status)?;
        let side = |parameter| usize::try_from(self.get(parameter)).unwrap_or(0);
        let (width, height) = (side(raw::TJPARAM_TJPARAM_JPEGWIDTH), side(raw::TJPARAM_TJPARAM_JPEGHEIGHT));
        if width == 0 || height == 0 {
            return Err(JpegError::Damaged("it states no size".into()));
        }
        if width as u64 * height as u64 > MAX_PIXELS {
            return Err(JpegError::TooLarge { width, height });
        }
        match self.get(raw::TJPARAM_TJPARAM_PRECISION) {
            8 => {}
            bits => return Err(JpegError::Kind(format!("a JPEG with {bits} bits per sample"))),
        }
        let colours = u32::try_from(self.get(raw::TJPARAM_TJPARAM_COLORSPACE)).unwrap_or(u32::MAX);
        let inks = matches!(colours, raw::TJCS_TJCS_CMYK | raw::TJCS_TJCS_YCCK);
        Ok(Header { width, height, inks })
    }

    /// The pixels in one of the library's formats, of `channels` bytes each.
    fn pixels(
        &self,
        bytes: &[u8],
        header: Header,
        format: raw::TJPF,
        channels: usize,
    ) -> Result<(Vec<u8>, Outcome), JpegError> {
        let row = header.width * channels;
        let mut pixels = vec![0; row * header.height];
        // SAFETY: the input is one slice; the output has `height` rows of `row` bytes, the size that this
        // same header states, and the library reads the header of these same bytes again.
        let status = unsafe {
            raw::tj3Decompress8(
                self.0,
                bytes.as_ptr(),
                bytes.len() as _,
                pixels.as_mut_ptr(),
                row as _,
                format as _,
            )
        };
        self.outcome(status).map(|outcome| (pixels, outcome))
    }

    /// The same, without truncated pictures.
    fn whole(
        &self,
        bytes: &[u8],
        header: Header,
        format: raw::TJPF,
        channels: usize,
    ) -> Result<Vec<u8>, JpegError> {
        let (pixels, outcome) = self.pixels(bytes, header, format, channels)?;
        if outcome == Outcome::Clean || end(bytes).is_some() || bytes.ends_with(&[0xff, 0xd9]) {
            return Ok(pixels);
        }
        // Without its end marker, it may lack no more than that. Arithmetic codes do not tell.
        if self.get(raw::TJPARAM_TJPARAM_ARITHMETIC) == 0 {
            let ended = [bytes, &[0xff, 0xd9]].concat();
            let (pixels, outcome) = self.pixels(&ended, header, format, channels)?;
            if outcome == Outcome::Clean {
                return Ok(pixels);
            }
        }
        Err(JpegError::Cut)
    }
}

/// The size of a JPEG.
///
/// # Errors
/// When the bytes are not a JPEG, or one that cannot be decoded.
pub fn header(bytes: &[u8]) -> Result<Header, JpegError> {
    Decoder::new()?.header(bytes)
}

/// A JPEG's luma as it is coded; of inks, as OpenCV makes it.
///
/// # Errors
/// See [`JpegError`].
pub fn gray(bytes: &[u8]) -> Result<Gray, JpegError> {
    let decoder = Decoder::new()?;
    let header = decoder.header(bytes)?;
    let pixels = if header.inks {
        let inks = decoder.whole(bytes, header, raw::TJPF_TJPF_CMYK, 4)?;
        inks.chunks_exact(4).map(printed).map(|[r, g, b]| super::luma14(r, g, b)).collect()
    } else {
        decoder.whole(bytes, header, raw::TJPF_TJPF_GRAY, 1)?
    };
    Gray::from_pixels(header.width, header.height, pixels).map_err(|e| JpegError::Damaged(e.to_string()))
}

/// A JPEG in colour (R, G, B); a gray one gives its luma three times.
///
/// # Errors
/// See [`JpegError`].
pub fn rgb(bytes: &[u8]) -> Result<RgbImage, JpegError> {
    let decoder = Decoder::new()?;
    let header = decoder.header(bytes)?;
    let pixels = if header.inks {
        let inks = decoder.whole(bytes, header, raw::TJPF_TJPF_CMYK, 4)?;
        inks.chunks_exact(4).flat_map(printed).collect()
    } else {
        decoder.whole(bytes, header, raw::TJPF_TJPF_RGB, 3)?
    };
    RgbImage::from_raw(header.width as u32, header.height as u32, pixels)
        .ok_or_else(|| JpegError::Damaged("its size contradicts itself".into()))
}

/// The colour of four inks, stored as Adobe stores them (255 is none), by OpenCV's formula.
fn printed(inks: &[u8]) -> [u8; 3] {
    let black = u32::from(inks[3]);
    [inks[0], inks[1], inks[2]].map(|ink| (black - (((255 - u32::from(ink)) * black) >> 8)) as u8)
}

/// A segment of a JPEG before its picture data: its marker and what it holds.
struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    /// The next segment; picture data and stray bytes are skipped.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.at += self.bytes.get(self.at..)?.iter().position(|&b| b == 0xff)?;
            let marker = loop {
                self.at += 1;
                match *self.bytes.get(self.at)? {
                    0xff => {}
                    marker => break marker,
                }
            };
            self.at += 1;
            match marker {
                // A 0xff of the picture data, a restart, the beginning.
                0x00 | 0x01 | 0xd0..=0xd8 => {}
                0xd9 => return Some((marker, &[])),
                _ => {
                    let length = self.bytes.get(self.at..self.at + 2)?;
                    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                    let held = self.bytes.get(self.at + 2..self.at + length.max(2))?;
                    self.at += length.max(2);
                    return Some((marker, held));
                }
            }
        }
    }
}

fn segments(bytes: &[u8]) -> Segments<'_> {
    Segments { bytes, at: 2 }
}

/// Where the first picture of the bytes ends, if it does.
fn end(bytes: &[u8]) -> Option<usize> {
    let mut segments = segments(bytes);
    segments.find(|(marker, _)| *marker == 0xd9)?;
    Some(segments.at)
}

/// The EXIF block of a JPEG, without its name.
pub(super) fn exif(bytes: &[u8]) -> Option<&[u8]> {
    segments(bytes)
        .take_while(|(marker, _)| !matches!(marker, 0xda | 0xd9))
        .filter(|(marker, _)| *marker == 0xe1)
        .find_map(|(_, held)| held.strip_prefix(b"Exif\0\0"))
}

/// Which rows a field of an interlaced picture holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The first, third, fifth row.
    Upper,
    /// The second, fourth, sixth row.
    Lower,
}

/// The field that a frame of Motion JPEG says it is (the `AVI1` block).
pub fn field(bytes: &[u8]) -> Option<Field> {
    let held = segments(bytes)
        .take_while(|(marker, _)| !matches!(marker, 0xda | 0xd9))
        .find_map(|(marker, held)| held.strip_prefix(b"AVI1").filter(|_| marker == 0xe0))?;
    match held.first() {
        Some(1) => Some(Field::Upper),
        Some(2) => Some(Field::Lower),
        _ => None,
    }
}

/// The second JPEG of the bytes: an interlaced frame holds one for each field.
pub fn second(bytes: &[u8]) -> Option<&[u8]> {
    let rest = &bytes[end(bytes)?..];
    let start = rest.windows(3).position(|w| w == [0xff, 0xd8, 0xff])?;
    Some(&rest[start..])
}

/// The bytes from the first JPEG on: some cameras send a few of their own before it.
pub fn from_start(bytes: &[u8]) -> &[u8] {
    /// How far to search for a JPEG.
    const HEAD: usize = 1024;
    if bytes.starts_with(&[0xff, 0xd8]) {
        return bytes;
    }
    let head = &bytes[..bytes.len().min(HEAD)];
    head.windows(3).position(|w| w == [0xff, 0xd8, 0xff]).map_or(bytes, |start| &bytes[start..])
}

/// A gray picture as a JPEG.
///
/// # Errors
/// What the encoder says, in words.
pub fn encode(gray: &Gray, quality: i32) -> Result<Vec<u8>, String> {
    let image = turbojpeg::Image {
        pixels: gray.pixels(),
        width: gray.width(),
        pitch: gray.width(),
        height: gray.height(),
        format: turbojpeg::PixelFormat::GRAY,
    };
    turbojpeg::compress(image, quality, turbojpeg::Subsamp::Gray)
        .map(|jpeg| jpeg.to_vec())
        .map_err(|e| e.to_string())
}
