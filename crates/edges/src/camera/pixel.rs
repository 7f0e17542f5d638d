//! Bytes of a camera's frame → gray and colour pictures.
//!
//! The gray picture is the frame's luma as the camera sent it, without conversion. Colour follows
//! ITU-R BT.601, limited range for YUYV, NV12 and YU12 (V4L2's default for them), full range for
//! MJPEG (JFIF). Bytes are never trusted: what is too short or no JPEG is a [`PixelError`].
//!
//! Cameras' JPEGs are read with libjpeg-turbo's tolerance: without Huffman tables, with stray bytes, with
//! or without an end marker. One with a few more rows or columns than were negotiated is cropped (encoders
//! fill up whole blocks), and the two fields of an interlaced one are woven into one picture.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::picture_file::jpeg::{self, Field, JpegError};
use facelatch_core::picture::{Gray, GrayView};

/// A pixel format that facelatch reads, by V4L2's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PixelFormat {
    /// Packed 4:2:2, Y0 U Y1 V: what most USB cameras offer uncompressed.
    Yuyv,
    /// A JPEG per frame.
    Mjpg,
    /// Luma only: infra-red cameras.
    Grey,
    /// 4:2:0, a luma plane, then U and V interleaved.
    Nv12,
    /// 4:2:0, planes Y, U, V (I420).
    Yu12,
}

impl PixelFormat {
    /// All of them, the cheapest to read first.
    pub const ALL: [PixelFormat; 5] =
        [PixelFormat::Grey, PixelFormat::Nv12, PixelFormat::Yu12, PixelFormat::Yuyv, PixelFormat::Mjpg];

    /// V4L2's four-character code.
    pub const fn fourcc(self) -> [u8; 4] {
        match self {
            PixelFormat::Yuyv => *b"YUYV",
            PixelFormat::Mjpg => *b"MJPG",
            PixelFormat::Grey => *b"GREY",
            PixelFormat::Nv12 => *b"NV12",
            PixelFormat::Yu12 => *b"YU12",
        }
    }

    /// The format of a four-character code; `JPEG` is read as MJPG.
    pub fn from_fourcc(code: [u8; 4]) -> Option<Self> {
        if code == *b"JPEG" {
            return Some(PixelFormat::Mjpg);
        }
        Self::ALL.into_iter().find(|f| f.fourcc() == code)
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PixelFormat::Yuyv => "YUYV",
            PixelFormat::Mjpg => "MJPG",
            PixelFormat::Grey => "GREY",
            PixelFormat::Nv12 => "NV12",
            PixelFormat::Yu12 => "YU12",
        })
    }
}

impl FromStr for PixelFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|f| f.to_string().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("\"{text}\" is not a pixel format: write YUYV, MJPG, GREY, NV12 or YU12"))
    }
}

/// Size and layout of a frame's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The pixel format.
    pub format: PixelFormat,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Bytes from one row to the next (of the luma plane, where there are planes); 0 means without
    /// gaps. Not used by MJPG.
    pub stride: usize,
}

/// A decoded frame.
#[derive(Clone)]
pub struct Decoded {
    /// The luma.
    pub gray: Gray,
    /// Colour, when asked for; a GREY frame gives its luma three times.
    pub colour: Option<image::RgbImage>,
}

impl fmt::Debug for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decoded({:?}, colour: {})", self.gray, self.colour.is_some())
    }
}

/// Why bytes are not a frame.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PixelError {
    /// The buffer ends before the picture does.
    #[error("a {format} frame of {width}x{height} needs {needed} bytes, got {got}")]
    Short {
        /// The format.
        format: PixelFormat,
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        got: usize,
    },
    /// The size makes no sense for the format.
    #[error("a {format} frame cannot be {width}x{height} with rows of {stride} bytes")]
    Size {
        /// The format.
        format: PixelFormat,
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Bytes a row.
        stride: usize,
    },
    /// The JPEG cannot be decoded.
    #[error("not a JPEG: {0}")]
    Jpeg(String),
    /// The JPEG is a whole picture of another size than the camera promised.
    #[error("a JPEG of {got_width}x{got_height}, but {width}x{height} was negotiated")]
    JpegSize {
        /// Width found.
        got_width: usize,
        /// Height found.
        got_height: usize,
        /// Width negotiated.
        width: usize,
        /// Height negotiated.
        height: usize,
    },
    /// Every other row of a picture, and the others are elsewhere.
    #[error("a JPEG of {got_width}x{got_height} with only every other row (interlaced, one field per frame)")]
    OneField {
        /// Width found.
        got_width: usize,
        /// Height found.
        got_height: usize,
    },
}

impl From<JpegError> for PixelError {
    fn from(error: JpegError) -> Self {
        PixelError::Jpeg(error.to_string())
    }
}

/// A JPEG may be larger than was negotiated by less than this on each side: encoders fill up blocks. More is
/// another format.
const BLOCK: usize = 64;

/// The largest side of a picture that is decoded.
pub const MAX_SIDE: usize = 16_384;

/// Decodes the bytes of one frame.
///
/// # Errors
/// When `bytes` is too short for `layout`, or no JPEG of its size.
pub fn decode(layout: Layout, bytes: &[u8], colour: bool) -> Result<Decoded, PixelError> {
    let Layout { format, width, height, stride } = layout;
    if format == PixelFormat::Mjpg {
        let decoded = decode_mjpeg(jpeg::from_start(bytes), Some(height), colour)?;
        return crop(decoded, width, height);
    }

    let size_error = PixelError::Size { format, width, height, stride };
    if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
        return Err(size_error);
    }
    let row = match format {
        PixelFormat::Yuyv => 2 * width.next_multiple_of(2),
        _ => width,
    };
    let stride = if stride == 0 { row } else { stride };
    if stride < row {
        return Err(size_error);
    }
    // The chroma planes of the 4:2:0 formats: rows and their distance.
    let chroma_rows = height.div_ceil(2);
    let (chroma_stride, chroma_planes, chroma_row) = match format {
        PixelFormat::Nv12 => (stride, 1, 2 * width.div_ceil(2)),
        PixelFormat::Yu12 => (stride.div_ceil(2), 2, width.div_ceil(2)),
        _ => (0, 0, 0),
    };
    // The last row of a plane may lack its padding.
    let luma_plane = stride.saturating_mul(height);
    let needed = if chroma_planes == 0 {
        stride.saturating_mul(height - 1).saturating_add(row)
    } else {
        luma_plane
            .saturating_add(chroma_stride.saturating_mul(chroma_planes * chroma_rows - 1))
            .saturating_add(chroma_row)
    };
    if chroma_planes > 0 && chroma_stride < chroma_row {
        return Err(size_error);
    }
    if bytes.len() < needed {
        return Err(PixelError::Short { format, width, height, needed, got: bytes.len() });
    }

    let gray = match format {
        PixelFormat::Yuyv => {
            let mut pixels = Vec::with_capacity(width * height);
            for line in bytes.chunks(stride).take(height) {
                pixels.extend(line[..row].chunks_exact(2).take(width).map(|pair| pair[0]));
            }
            Gray::from_pixels(width, height, pixels)
        }
        _ => GrayView::new(width, height, stride, bytes).map(|v| v.to_gray()),
    }
    .map_err(|_| PixelError::Size { format, width, height, stride })?;

    let colour = colour.then(|| {
        let luma = gray.pixels();
        let mut rgb = Vec::with_capacity(3 * width * height);
        for y in 0..height {
            for x in 0..width {
                let (u, v) = match format {
                    PixelFormat::Yuyv => {
                        let at = y * stride + 4 * (x / 2);
                        (bytes[at + 1], bytes[at + 3])
                    }
                    PixelFormat::Nv12 => {
                        let at = luma_plane + (y / 2) * chroma_stride + 2 * (x / 2);
                        (bytes[at], bytes[at + 1])
                    }
                    PixelFormat::Yu12 => {
                        let at = luma_plane + (y / 2) * chroma_stride + x / 2;
                        (bytes[at], bytes[at + chroma_rows * chroma_stride])
                    }
                    PixelFormat::Grey | PixelFormat::Mjpg => {
                        let v = luma[y * width + x];
                        rgb.extend([v, v, v]);
                        continue;
                    }
                };
                rgb.extend(limited_to_rgb(luma[y * width + x], u, v));
            }
        }
        rgb_image(width, height, rgb)
    });
    Ok(Decoded { gray, colour: colour.flatten() })
}

/// Decodes a JPEG: the gray picture is its Y component, the colour picture (when asked for) its conversion
/// to RGB.
///
/// # Errors
/// When the bytes are not a complete JPEG, or larger than [`MAX_SIDE`] on a side.
pub fn decode_jpeg(bytes: &[u8], colour: bool) -> Result<Decoded, PixelError> {
    let header = jpeg::header(bytes)?;
    if header.width > MAX_SIDE || header.height > MAX_SIDE {
        return Err(PixelError::Jpeg(format!("{}x{} pixels are too many", header.width, header.height)));
    }
    let gray = jpeg::gray(bytes)?;
    let colour = if colour { Some(jpeg::rgb(bytes)?) } else { None };
    Ok(Decoded { gray, colour })
}

/// Decodes a frame of Motion JPEG: as [`decode_jpeg`], and the two fields of an interlaced one are woven.
/// `height` is what the stream says of its frames.
///
/// # Errors
/// As for [`decode_jpeg`]; and when there is one field where there should be two.
pub fn decode_mjpeg(bytes: &[u8], height: Option<usize>, colour: bool) -> Result<Decoded, PixelError> {
    let header = jpeg::header(bytes)?;
    let field = jpeg::field(bytes);
    // As ffmpeg decides it: a frame that is clearly lower than its stream is a field.
    let low = height.is_some_and(|whole| 4 * header.height < 3 * whole);
    if !low && field.is_none() {
        return decode_jpeg(bytes, colour);
    }
    let second = jpeg::second(bytes).filter(|second| jpeg::header(second) == Ok(header));
    let Some(second) = second else {
        if low && field.is_some() {
            return Err(PixelError::OneField { got_width: header.width, got_height: header.height });
        }
        return decode_jpeg(bytes, colour);
    };
    let lower_first = field == Some(Field::Lower) && jpeg::field(second) != Some(Field::Lower);
    let (first, second) = (decode_jpeg(bytes, colour)?, decode_jpeg(second, colour)?);
    let (upper, lower) = if lower_first { (second, first) } else { (first, second) };
    let (width, height) = (header.width, header.height);
    let gray = Gray::from_pixels(width, 2 * height, weave(upper.gray.pixels(), lower.gray.pixels(), width))
        .map_err(|e| PixelError::Jpeg(e.to_string()))?;
    let colour = match (upper.colour, lower.colour) {
        (Some(upper), Some(lower)) => {
            rgb_image(width, 2 * height, weave(upper.as_raw(), lower.as_raw(), 3 * width))
        }
        _ => None,
    };
    Ok(Decoded { gray, colour })
}

/// The rows of two fields, of `row` bytes each, in turn.
fn weave(upper: &[u8], lower: &[u8], row: usize) -> Vec<u8> {
    upper.chunks_exact(row).zip(lower.chunks_exact(row)).flat_map(|(a, b)| [a, b].concat()).collect()
}

/// A picture with the surplus at its right and lower edge cropped.
fn crop(decoded: Decoded, width: usize, height: usize) -> Result<Decoded, PixelError> {
    let (got_width, got_height) = (decoded.gray.width(), decoded.gray.height());
    if (got_width, got_height) == (width, height) {
        return Ok(decoded);
    }
    let fits = |got: usize, wanted: usize| wanted > 0 && got >= wanted && got - wanted < BLOCK;
    let error = PixelError::JpegSize { got_width, got_height, width, height };
    if !(fits(got_width, width) && fits(got_height, height)) {
        return Err(error);
    }
    let gray = GrayView::new(width, height, got_width, decoded.gray.pixels()).map_err(|_| error)?.to_gray();
    let colour =
        decoded.colour.map(|c| image::imageops::crop_imm(&c, 0, 0, width as u32, height as u32).to_image());
    Ok(Decoded { gray, colour })
}

fn rgb_image(width: usize, height: usize, rgb: Vec<u8>) -> Option<image::RgbImage> {
    image::RgbImage::from_raw(u32::try_from(width).ok()?, u32::try_from(height).ok()?, rgb)
}

/// BT.601 limited range to RGB, in 8-bit fixed point.
pub(super) fn limited_to_rgb(y: u8, u: u8, v: u8) -> [u8; 3] {
    let c = 298 * (i32::from(y) - 16);
    let d = i32::from(u) - 128;
    let e = i32::from(v) - 128;
    let channel = |sum: i32| ((sum + 128) >> 8).clamp(0, 255) as u8;
    [channel(c + 409 * e), channel(c - 100 * d - 208 * e), channel(c + 516 * d)]
}

/// BT.601 full range to RGB (as JPEG), in 16-bit fixed point.
pub(super) fn full_to_rgb(y: u8, u: u8, v: u8) -> [u8; 3] {
    let c = i32::from(y) << 16;
    let d = i32::from(u) - 128;
    let e = i32::from(v) - 128;
    let channel = |sum: i32| ((sum + (1 << 15)) >> 16).clamp(0, 255) as u8;
    [channel(c + 91_881 * e), channel(c - 22_554 * d - 46_802 * e), channel(c + 116_130 * d)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RAW: [PixelFormat; 4] =
        [PixelFormat::Yuyv, PixelFormat::Grey, PixelFormat::Nv12, PixelFormat::Yu12];

    fn layout(format: PixelFormat, width: usize, height: usize, stride: usize) -> Layout {
        Layout { format, width, height, stride }
    }

    fn jpeg(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
        let picture = image::RgbImage::from_fn(width, height, |x, y| image::Rgb(pixel(x, y)));
        let mut bytes = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90).encode_image(&picture).unwrap();
        bytes
    }

    #[test]
    fn names_and_codes_agree() {
        for format in PixelFormat::ALL {
            assert_eq!(PixelFormat::from_fourcc(format.fourcc()), Some(format));
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!(PixelFormat::from_fourcc(*b"H264"), None);
        assert!("rgb".parse::<PixelFormat>().is_err());
    }

    #[test]
    fn luma_is_taken_from_each_layout() {
        // 2x2, rows padded by two bytes in the luma plane.
        let yuyv = [10, 128, 20, 128, 0, 0, 30, 128, 40, 128];
        let grey = [10, 20, 0, 0, 30, 40];
        let nv12 = [10, 20, 0, 0, 30, 40, 0, 0, 128, 128];
        let yu12 = [10, 20, 0, 0, 30, 40, 0, 0, 128, 0, 128];
        for (format, stride, bytes) in [
            (PixelFormat::Yuyv, 6, &yuyv[..]),
            (PixelFormat::Grey, 4, &grey),
            (PixelFormat::Nv12, 4, &nv12),
            (PixelFormat::Yu12, 4, &yu12),
        ] {
            let decoded = decode(layout(format, 2, 2, stride), bytes, true).unwrap();
            assert_eq!(decoded.gray.pixels(), [10, 20, 30, 40], "{format}");
            let short = decode(layout(format, 2, 2, stride), &bytes[..bytes.len() - 1], true).unwrap_err();
            assert!(matches!(short, PixelError::Short { .. }), "{format}: {short}");
        }
    }

    #[test]
    fn colours_come_out_right_in_each_layout() {
        // BT.601 limited: red is (81, 90, 240), gray 50 % about (126, 128, 128).
        for (y, u, v, rgb) in
            [(81, 90, 240, [255, 0, 0]), (126, 128, 128, [128, 128, 128]), (16, 128, 128, [0; 3])]
        {
            let yuyv = [y, u, y, v, y, u, y, v];
            let nv12 = [y, y, y, y, u, v];
            let yu12 = [y, y, y, y, u, v];
            for (format, bytes) in
                [(PixelFormat::Yuyv, &yuyv[..]), (PixelFormat::Nv12, &nv12), (PixelFormat::Yu12, &yu12)]
            {
                let colour = decode(layout(format, 2, 2, 0), bytes, true).unwrap().colour.unwrap();
                for pixel in colour.pixels() {
                    for (got, want) in pixel.0.iter().zip(rgb) {
                        assert!(got.abs_diff(want) <= 2, "{format}: {:?} for {rgb:?}", pixel.0);
                    }
                }
            }
        }
    }

    #[test]
    fn odd_sizes_have_their_own_chroma() {
        for format in RAW {
            let layout = layout(format, 3, 3, 0);
            let needed = match format {
                PixelFormat::Yuyv => 24,
                PixelFormat::Grey => 9,
                // 3 rows of 3, then 2 rows of 2 pairs at the luma's distance of 3: refused below.
                PixelFormat::Nv12 => continue,
                _ => 9 + 2 * 2 * 2,
            };
            assert!(decode(layout, &vec![128; needed], true).is_ok(), "{format}");
            assert!(decode(layout, &vec![128; needed - 1], true).is_err(), "{format}");
        }
        assert!(matches!(
            decode(layout(PixelFormat::Nv12, 3, 3, 0), &[0; 99], false),
            Err(PixelError::Size { .. })
        ));
    }

    #[test]
    fn jpeg_luma_matches_its_colours() {
        let bytes = jpeg(40, 24, |x, y| [(x * 6) as u8, (y * 10) as u8, 90]);
        let decoded = decode(layout(PixelFormat::Mjpg, 40, 24, 0), &bytes, true).unwrap();
        let colour = decoded.colour.unwrap();
        let luma = Gray::from_rgb(40, 24, colour.as_raw()).unwrap();
        let worst =
            decoded.gray.pixels().iter().zip(luma.pixels()).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
        assert!(worst <= 3, "luma and colour differ by {worst}");
    }

    #[test]
    fn broken_jpegs_are_errors() {
        let bytes = jpeg(64, 48, |x, y| [(x * y) as u8, x as u8, y as u8]);
        let layout = layout(PixelFormat::Mjpg, 64, 48, 0);
        assert!(decode(layout, &bytes, false).is_ok());
        assert!(decode(layout, &[], false).is_err());
        assert!(decode(layout, &[0xff; 999], false).is_err());
        assert!(decode(layout, &bytes[..bytes.len() / 2], false).is_err(), "half a JPEG is not a frame");
        for (width, height) in [(80, 48), (64, 64), (0, 48), (64, 0)] {
            let other = Layout { width, height, ..layout };
            assert!(matches!(decode(other, &bytes, false), Err(PixelError::JpegSize { .. })), "{width}");
        }
        let mut seventy = jpeg(134, 48, |x, y| [x as u8, y as u8, 9]);
        assert!(matches!(decode(layout, &seventy, false), Err(PixelError::JpegSize { .. })), "70 too many");
        seventy.clear();
        assert!(decode(layout, &seventy, false).is_err());
    }

    #[test]
    fn a_jpeg_with_a_few_rows_and_columns_more_is_cropped() {
        let layout = layout(PixelFormat::Mjpg, 60, 40, 0);
        for (width, height) in [(60, 48), (64, 40), (123, 103)] {
            let bytes = jpeg(width, height, |x, y| [(2 * x) as u8, (2 * y) as u8, 90]);
            let whole = decode_jpeg(&bytes, true).unwrap();
            let cropped = decode(layout, &bytes, true).unwrap();
            assert_eq!((cropped.gray.width(), cropped.gray.height()), (60, 40));
            let corner = whole.gray.view().region(facelatch_core::picture::Rect::new(0, 0, 60, 40)).unwrap();
            assert_eq!(cropped.gray, corner.to_gray());
            assert_eq!(cropped.colour.unwrap().get_pixel(59, 39), whole.colour.unwrap().get_pixel(59, 39));
        }
    }

    #[test]
    fn stray_bytes_around_a_frame_do_no_harm() {
        let bytes = jpeg(64, 48, |x, y| [(3 * x) as u8, (5 * y) as u8, 7]);
        let layout = layout(PixelFormat::Mjpg, 64, 48, 0);
        let plain = decode(layout, &bytes, false).unwrap().gray;
        let before = [&[0u8, 0, 1, 2][..], &bytes].concat();
        let after = [&bytes, &[0u8; 300][..]].concat();
        let unended = bytes[..bytes.len() - 2].to_vec();
        for (name, bytes) in [("before", before), ("after", after), ("no end marker", unended)] {
            assert_eq!(decode(layout, &bytes, false).unwrap().gray, plain, "{name}");
        }
        for cut in [3, 9, 100] {
            assert!(decode(layout, &bytes[..bytes.len() - cut], false).is_err(), "cut by {cut}");
        }
    }

    /// A field of a picture: its rows from `first` on, marked as such where `polarity` says so.
    fn field(first: u32, polarity: Option<u8>) -> Vec<u8> {
        let plain = jpeg(64, 24, |x, _| [(2 * x) as u8, if first == 0 { 40 } else { 200 }, 7]);
        let Some(polarity) = polarity else { return plain };
        let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0, 0, 8];
        bytes.extend(b"AVI1");
        bytes.extend([polarity, 0]);
        bytes.extend(&plain[2..]);
        bytes
    }

    #[test]
    fn two_fields_are_one_picture() {
        let layout = layout(PixelFormat::Mjpg, 64, 48, 0);
        let pixel = |x: u32, y: u32| {
            facelatch_core::picture::luma((2 * x) as u8, if y.is_multiple_of(2) { 40 } else { 200 }, 7)
        };
        let right = |frame: &[u8]| {
            let decoded = decode(layout, frame, true).unwrap();
            assert_eq!(decoded.colour.unwrap().dimensions(), (64, 48));
            let off = |y: usize| decoded.gray.view().row(y)[9].abs_diff(pixel(9, y as u32));
            (0..48).map(off).max().unwrap()
        };
        let gap = vec![0; 5];
        for (name, first, second) in [
            ("unmarked", field(0, None), field(1, None)),
            ("marked", field(0, Some(1)), field(1, Some(2))),
            ("marked zero", field(0, Some(0)), field(1, Some(0))),
            ("lower first", field(1, Some(2)), field(0, Some(1))),
        ] {
            let worst = right(&[first, gap.clone(), second].concat());
            assert!(worst <= 4, "{name}: off by {worst}");
        }
        let swapped = right(&[field(1, Some(1)), field(0, Some(2))].concat());
        assert!(swapped > 50, "the marks are believed: off by {swapped}");
        let error = decode(layout, &field(0, Some(1)), false).unwrap_err();
        assert_eq!(error, PixelError::OneField { got_width: 64, got_height: 24 });
        assert!(matches!(decode(layout, &field(0, None), false), Err(PixelError::JpegSize { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_at_any_size_never_panic(
            which in 0..5usize,
            width in 0..70usize,
            height in 0..70usize,
            stride in prop_oneof![Just(0usize), 0..200usize, Just(usize::MAX)],
            bytes in proptest::collection::vec(any::<u8>(), 0..9000),
        ) {
            let layout = layout(PixelFormat::ALL[which], width, height, stride);
            if let Ok(decoded) = decode(layout, &bytes, true) {
                prop_assert_eq!((decoded.gray.width(), decoded.gray.height()), (width, height));
                let colour = decoded.colour.expect("asked for");
                prop_assert_eq!(colour.dimensions(), (width as u32, height as u32));
            }
        }

        #[test]
        fn damaged_jpegs_never_panic(at in 0..2000usize, value in any::<u8>(), cut in 0..2000usize) {
            let mut bytes = jpeg(48, 32, |x, y| [(x * 5) as u8, (y * 7) as u8, (x ^ y) as u8]);
            let at = at % bytes.len();
            bytes[at] = value;
            bytes.truncate(bytes.len().saturating_sub(cut % 40));
            let _ = decode_jpeg(&bytes, true);
        }
    }
}
