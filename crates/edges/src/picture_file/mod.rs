//! Picture files: the one place that reads them, with the pixels that OpenCV would see.
//!
//! Stills, recordings and enrolment all read pictures here. What is not read is refused in one line, with
//! the command that converts it (`kind`).

mod exif;
pub mod jpeg;
pub mod kind;
mod png_gray;

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use log::warn;

use self::jpeg::JpegError;
use self::kind::{FileKind, Other};
use facelatch_core::picture::{Gray, luma};

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
        /// The system's error.
        source: std::io::Error,
    },
    /// It holds nothing.
    #[error("{path}: the file is empty; copy it again", path = .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It is of no kind that is known.
    #[error("{path}: not a picture that facelatch reads (PNG, JPEG, PGM/PPM, BMP, WebP); convert it, if it is one: {command}", path = .path.display())]
    Unrecognised {
        /// The file.
        path: PathBuf,
        /// What may convert it.
        command: String,
    },
    /// It is of a kind that is not read.
    #[error("{path}: {name}, which facelatch does not read; convert it: {command}", path = .path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What it is.
        name: &'static str,
        /// What converts it.
        command: String,
    },
    /// It is a recording.
    #[error("{path}: a recording, not a picture; `facelatch attempt --probe {path}` plays it", path = .path.display())]
    Recording {
        /// The file.
        path: PathBuf,
    },
    /// macOS's side file.
    #[error("{path}: a side file of macOS, not a picture; the picture is the file without \"._\"", path = .path.display())]
    AppleDouble {
        /// The file.
        path: PathBuf,
    },
    /// A folder that holds pictures, but none that is read.
    #[error("{path}: {count} picture(s) named .{ending}, which facelatch does not read, and no others; convert them: {command}", path = .path.display())]
    OnlyOthers {
        /// The folder.
        path: PathBuf,
        /// How many.
        count: usize,
        /// How the most of them end.
        ending: String,
        /// What converts them.
        command: String,
    },
    /// It is damaged.
    #[error("{path}: damaged or truncated ({reason}); copy it again", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The decoder's error, in one line.
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

/// A picture as it was read, upright.
pub struct Picture {
    /// Its gray.
    pub gray: Gray,
    /// Its colours, where asked for.
    pub colour: Option<RgbImage>,
}

/// Loads a picture as gray, upright: the luma of a JPEG as it is coded, the colours of other kinds as
/// OpenCV makes gray of them, alpha ignored, 16 bits cut to 8; EXIF's orientation is applied.
///
/// # Errors
/// Names the file and the remedy.
pub fn load_gray(path: &Path) -> Result<Gray, PictureFileError> {
    load(path, false).map(|picture| picture.gray)
}

/// Loads a picture in colour (R, G, B), upright.
///
/// # Errors
/// Names the file and the remedy.
pub fn load_rgb(path: &Path) -> Result<RgbImage, PictureFileError> {
    let bytes = read(path)?;
    match format(path, &bytes)? {
        ImageFormat::Jpeg => {
            let colour = jpeg::rgb(&bytes).map_err(|e| jpeg_error(path, e))?;
            Ok(upright_rgb(colour, jpeg::exif(&bytes).and_then(exif::orientation)))
        }
        format => {
            let (picture, orientation) = decode(path, &bytes, format)?;
            rgb(path, &picture).map(|colour| upright_rgb(colour, orientation))
        }
    }
}

/// Loads a picture as gray and, where `colour` asks for it, in colour.
///
/// # Errors
/// Names the file and the remedy.
pub fn load(path: &Path, colour: bool) -> Result<Picture, PictureFileError> {
    from_bytes(path, &read(path)?, colour)
}

/// The same of a file's bytes; `path` is for the words of an error.
///
/// # Errors
/// Names the file and the remedy.
pub fn from_bytes(path: &Path, bytes: &[u8], colour: bool) -> Result<Picture, PictureFileError> {
    let (gray, rgb, orientation) = match format(path, bytes)? {
        ImageFormat::Jpeg => {
            let failed = |e| jpeg_error(path, e);
            let gray = jpeg::gray(bytes).map_err(failed)?;
            let rgb = if colour { Some(jpeg::rgb(bytes).map_err(failed)?) } else { None };
            (gray, rgb, jpeg::exif(bytes).and_then(exif::orientation))
        }
        format => {
            let (picture, orientation) = decode(path, bytes, format)?;
            let gray = gray(format, bytes, &picture).map_err(|e| damaged(path, e))?;
            let rgb = if colour { Some(rgb(path, &picture)?) } else { None };
            (gray, rgb, orientation)
        }
    };
    let gray = upright_gray(gray, orientation).ok_or_else(|| damaged(path, "pixels are missing"))?;
    Ok(Picture { gray, colour: rgb.map(|rgb| upright_rgb(rgb, orientation)) })
}

/// The picture files of a folder (by extension) in name order. Hidden files, such as those that macOS
/// lays beside each picture, and files of other kinds are skipped; of pictures of kinds that are not
/// read the log tells.
///
/// # Errors
/// When the folder cannot be listed, or holds pictures of such kinds only.
pub fn list_pictures(folder: &Path) -> Result<Vec<PathBuf>, PictureFileError> {
    let failed = |source| PictureFileError::Read { path: folder.to_path_buf(), source };
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let Some(written) = path.extension().and_then(|e| e.to_str()).filter(|_| !hidden) else { continue };
        let ending = written.to_ascii_lowercase();
        if kind::PICTURES.contains(&ending.as_str()) && path.is_file() {
            found.push(path);
        } else if kind::OTHER_PICTURES.contains(&ending.as_str()) && path.is_file() {
            others.push(written.to_owned());
        }
    }
    found.sort();
    others.sort();
    let runs = others.chunk_by(|a, b| a == b).max_by_key(|run| run.len());
    if let Some((ending, count)) = runs.map(|run| (run[0].clone(), others.len())) {
        let command = kind::to_pictures(folder, &ending);
        if found.is_empty() {
            return Err(PictureFileError::OnlyOthers { path: folder.to_owned(), count, ending, command });
        }
        warn!("event=pictures_passed_over folder={folder:?} count={count} kind={ending} convert={command:?}");
    }
    Ok(found)
}

/// A gray picture as a JPEG.
///
/// # Errors
/// What the encoder says, in words.
pub fn encode_jpeg(gray: &Gray, quality: i32) -> Result<Vec<u8>, String> {
    jpeg::encode(gray, quality)
}

/// Whether a file that begins with `head` is a picture that is read.
///
/// # Errors
/// Says what it is instead, and what converts it.
pub fn check_kind(path: &Path, head: &[u8]) -> Result<(), PictureFileError> {
    format(path, head).map(|_| ())
}

fn read(path: &Path) -> Result<Vec<u8>, PictureFileError> {
    fs::read(path).map_err(|source| PictureFileError::Read { path: path.to_path_buf(), source })
}

/// What the bytes are, if they are a picture that is read.
fn format(path: &Path, bytes: &[u8]) -> Result<ImageFormat, PictureFileError> {
    if bytes.is_empty() {
        return Err(PictureFileError::Empty { path: path.to_owned() });
    }
    let path = path.to_owned();
    Err(match kind::kind(bytes) {
        FileKind::Picture(format) => return Ok(format),
        FileKind::Avi | FileKind::Y4m => PictureFileError::Recording { path },
        FileKind::Other(other) => other_kind(&path, other),
        FileKind::AppleDouble => PictureFileError::AppleDouble { path },
        FileKind::Unknown => PictureFileError::Unrecognised { command: kind::perhaps(&path), path },
    })
}

fn other_kind(path: &Path, other: Other) -> PictureFileError {
    PictureFileError::Kind { name: other.name, command: other.to_picture(path), path: path.to_owned() }
}

fn damaged(path: &Path, reason: impl ToString) -> PictureFileError {
    let reason = reason.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    PictureFileError::Damaged { path: path.to_path_buf(), reason }
}

fn jpeg_error(path: &Path, error: JpegError) -> PictureFileError {
    match error {
        JpegError::Kind(_) => other_kind(path, Other::JPEG),
        JpegError::TooLarge { width, height } => PictureFileError::TooLarge {
            path: path.to_path_buf(),
            width: width as u32,
            height: height as u32,
        },
        error => damaged(path, error),
    }
}

/// Decodes anything but a JPEG; with the orientation that it states.
fn decode(
    path: &Path,
    bytes: &[u8],
    format: ImageFormat,
) -> Result<(DynamicImage, Option<Orientation>), PictureFileError> {
    let failed = |error: ImageError| match error {
        ImageError::Unsupported(_) => {
            PictureFileError::Unrecognised { path: path.to_owned(), command: kind::perhaps(path) }
        }
        error => damaged(path, error),
    };
    let mut decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(PictureFileError::TooLarge { path: path.to_path_buf(), width, height });
    }
    let exif = decoder.exif_metadata().ok().flatten();
    let orientation = exif.as_deref().and_then(exif::orientation);
    Ok((DynamicImage::from_decoder(decoder).map_err(failed)?, orientation))
}

fn rgb(path: &Path, picture: &DynamicImage) -> Result<RgbImage, PictureFileError> {
    RgbImage::from_raw(picture.width(), picture.height(), high_bytes(picture))
        .ok_or_else(|| damaged(path, "pixels are missing"))
}

/// Gray as OpenCV makes it, whose readers each have weights and a rounding of their own.
fn gray(
    format: ImageFormat,
    bytes: &[u8],
    picture: &DynamicImage,
) -> Result<Gray, facelatch_core::picture::SizeError> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let by = |gray: &dyn Fn(u8, u8, u8) -> u8| {
        high_bytes(picture).chunks_exact(3).map(|p| gray(p[0], p[1], p[2])).collect()
    };
    let pixels = match (picture, format) {
        (DynamicImage::ImageLuma8(gray), _) => gray.as_raw().clone(),
        (picture, _) if !picture.color().has_color() => by(&|gray, _, _| gray),
        (picture, ImageFormat::Png) => png_gray::of(bytes, picture),
        (_, ImageFormat::WebP) => by(&luma),
        // OpenCV does not round what a BMP of 32 bits gives.
        (_, ImageFormat::Bmp) if bytes.get(28) == Some(&32) => by(&|r, g, b| (weighed(r, g, b) >> 14) as u8),
        _ => by(&luma14),
    };
    Gray::from_pixels(width, height, pixels)
}

/// The gray of a colour as OpenCV makes it of inks, BMP and PPM: weights of 14 bits.
fn luma14(r: u8, g: u8, b: u8) -> u8 {
    ((weighed(r, g, b) + (1 << 13)) >> 14) as u8
}

fn weighed(r: u8, g: u8, b: u8) -> u32 {
    4899 * u32::from(r) + 9617 * u32::from(g) + 1868 * u32::from(b)
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

fn upright_gray(gray: Gray, orientation: Option<Orientation>) -> Option<Gray> {
    let Some(orientation) = orientation else { return Some(gray) };
    let (width, height) = (gray.width() as u32, gray.height() as u32);
    let mut picture = DynamicImage::ImageLuma8(GrayImage::from_raw(width, height, gray.pixels().to_vec())?);
    picture.apply_orientation(orientation);
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    Gray::from_pixels(width, height, picture.into_luma8().into_raw()).ok()
}

fn upright_rgb(rgb: RgbImage, orientation: Option<Orientation>) -> RgbImage {
    let Some(orientation) = orientation else { return rgb };
    let mut picture = DynamicImage::ImageRgb8(rgb);
    picture.apply_orientation(orientation);
    picture.into_rgb8()
}

#[cfg(test)]
mod tests;
