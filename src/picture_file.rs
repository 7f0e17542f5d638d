//! Picture files: the one place that reads them, with the pixels that OpenCV would see.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::picture::Gray;

/// Pictures above this many pixels are refused: they are mistakes or attacks, not faces.
pub const MAX_PIXELS: u64 = 100_000_000;

/// Why a picture file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PictureFileError {
    /// It cannot be opened or read.
    #[error("{path}: {source}; check the path and its permissions", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds nothing.
    #[error("{path}: the file is empty; copy it again", path = .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It is of no kind that can be read.
    #[error("{path}: not a picture that facelatch reads (PNG, JPEG, PGM/PPM, BMP, WebP); convert it", path = .path.display())]
    Unrecognised {
        /// The file.
        path: PathBuf,
    },
    /// It is damaged.
    #[error("{path}: damaged or cut short ({reason}); copy it again", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// It is too large.
    #[error("{path}: {width}x{height} pixels are too many (limit {MAX_PIXELS}); reduce it", path = .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
}

/// Loads a picture as gray, upright: the luma plane of a JPEG as it is coded, other colours by
/// OpenCV's weights, alpha ignored, 16 bits cut to 8; a JPEG's EXIF orientation is applied.
///
/// # Errors
/// Names the file and the remedy.
pub fn load_gray(path: &Path) -> Result<Gray, PictureFileError> {
    let bytes = read(path)?;
    if kind(path, &bytes)? == ImageFormat::Jpeg {
        return jpeg_gray(path, &bytes);
    }
    let picture = decode(path, &bytes)?;
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let gray = match picture {
        DynamicImage::ImageLuma8(g) => Gray::from_pixels(width, height, g.into_raw()),
        DynamicImage::ImageLumaA8(_) | DynamicImage::ImageLuma16(_) | DynamicImage::ImageLumaA16(_) => {
            let pixels = high_bytes(&picture);
            Gray::from_pixels(width, height, pixels.chunks_exact(3).map(|p| p[0]).collect())
        }
        other => Gray::from_rgb(width, height, &high_bytes(&other)),
    };
    gray.map_err(|e| damaged(path, e))
}

/// Loads a picture in colour (R, G, B), upright.
///
/// # Errors
/// Names the file and the remedy.
pub fn load_rgb(path: &Path) -> Result<RgbImage, PictureFileError> {
    let bytes = read(path)?;
    kind(path, &bytes)?;
    let picture = decode(path, &bytes)?;
    let (width, height) = (picture.width(), picture.height());
    RgbImage::from_raw(width, height, high_bytes(&picture)).ok_or_else(|| damaged(path, "pixels are missing"))
}

/// The picture files of a folder (by extension) in name order; other files are passed over.
///
/// # Errors
/// When the folder cannot be listed.
pub fn list_pictures(folder: &Path) -> Result<Vec<PathBuf>, PictureFileError> {
    let failed = |source| PictureFileError::Read { path: folder.to_path_buf(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let known = path.extension().and_then(|e| e.to_str()).is_some_and(|e| {
            matches!(
                e.to_ascii_lowercase().as_str(),
                "png" | "jpg" | "jpeg" | "pgm" | "ppm" | "pbm" | "pnm" | "bmp" | "webp"
            )
        });
        if known && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A gray picture as a JPEG.
///
/// # Errors
/// What the encoder says, in words.
pub fn encode_jpeg(gray: &Gray, quality: i32) -> Result<Vec<u8>, String> {
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

fn read(path: &Path) -> Result<Vec<u8>, PictureFileError> {
    let bytes =
        fs::read(path).map_err(|source| PictureFileError::Read { path: path.to_path_buf(), source })?;
    if bytes.is_empty() {
        return Err(PictureFileError::Empty { path: path.to_path_buf() });
    }
    Ok(bytes)
}

fn kind(path: &Path, bytes: &[u8]) -> Result<ImageFormat, PictureFileError> {
    image::guess_format(bytes).map_err(|_| PictureFileError::Unrecognised { path: path.to_path_buf() })
}

fn damaged(path: &Path, reason: impl ToString) -> PictureFileError {
    PictureFileError::Damaged { path: path.to_path_buf(), reason: reason.to_string() }
}

fn check_size(path: &Path, width: u32, height: u32) -> Result<(), PictureFileError> {
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(PictureFileError::TooLarge { path: path.to_path_buf(), width, height });
    }
    Ok(())
}

fn decode(path: &Path, bytes: &[u8]) -> Result<DynamicImage, PictureFileError> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| damaged(path, e))?;
    let mut decoder = reader.into_decoder().map_err(|e| damaged(path, e))?;
    let (width, height) = decoder.dimensions();
    check_size(path, width, height)?;
    let orientation = decoder.orientation().map_err(|e| damaged(path, e))?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| damaged(path, e))?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// R, G, B of every pixel; of 16-bit channels the high byte, alpha dropped.
fn high_bytes(picture: &DynamicImage) -> Vec<u8> {
    match picture {
        DynamicImage::ImageLuma16(_)
        | DynamicImage::ImageLumaA16(_)
        | DynamicImage::ImageRgb16(_)
        | DynamicImage::ImageRgba16(_) => {
            picture.to_rgb16().into_raw().into_iter().map(|v| (v >> 8) as u8).collect()
        }
        other => other.to_rgb8().into_raw(),
    }
}

/// The luma plane as libjpeg decodes it. Other decoders' cosine transforms differ by 1 in half a
/// percent of the pixels, enough to move a rectangle: a still has to look to us as it does to OpenCV.
fn luma_plane(bytes: &[u8], width: usize, height: usize) -> turbojpeg::Result<Vec<u8>> {
    let mut pixels = vec![0; width * height];
    let plane = turbojpeg::Image {
        pixels: &mut pixels[..],
        width,
        pitch: width,
        height,
        format: turbojpeg::PixelFormat::GRAY,
    };
    turbojpeg::Decompressor::new()?.decompress(bytes, plane)?;
    Ok(pixels)
}

fn jpeg_gray(path: &Path, bytes: &[u8]) -> Result<Gray, PictureFileError> {
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::Luma)
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| damaged(path, e))?;
    let (width, height) = decoder.dimensions().ok_or_else(|| damaged(path, "it states no size"))?;
    check_size(path, width as u32, height as u32)?;
    let orientation = decoder.exif().and_then(|chunk| image::metadata::Orientation::from_exif_chunk(chunk));
    let pixels = luma_plane(bytes, width, height).map_err(|e| damaged(path, e))?;
    let upright = image::GrayImage::from_raw(width as u32, height as u32, pixels)
        .ok_or_else(|| damaged(path, "pixels are missing"))?;
    let mut upright = DynamicImage::ImageLuma8(upright);
    if let Some(orientation) = orientation {
        upright.apply_orientation(orientation);
    }
    let (width, height) = (upright.width() as usize, upright.height() as usize);
    Gray::from_pixels(width, height, upright.into_luma8().into_raw()).map_err(|e| damaged(path, e))
}
