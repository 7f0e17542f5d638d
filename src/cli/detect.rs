//! `facelatch detect`: the rectangles that OpenCV's `detectMultiScale` returns, for pictures.

use std::path::{Path, PathBuf};

use imageproc::drawing::draw_hollow_rect_mut;

use super::{Answer, CommandError};
use crate::detect::{Cascade, Detector, ScanParams};
use crate::picture::Rect;
use crate::picture_file::{list_pictures, load_gray, load_rgb};
use facelatch_host::say;

/// Find faces in pictures
#[derive(clap::Args)]
pub(super) struct Args {
    /// Cascade to look with, OpenCV's XML or facelatch's compact form [default: the frontal face]
    #[arg(long, value_name = "FILE")]
    cascade: Option<PathBuf>,
    /// Ratio of successive scales, above 1
    #[arg(long, value_name = "F", default_value_t = 1.1)]
    scale_factor: f64,
    /// A face needs more neighbouring hits than this; 0 returns every hit
    #[arg(long, value_name = "N", default_value_t = 3)]
    min_neighbors: u32,
    /// Smallest face edge in pixels, 0 for the cascade's window
    #[arg(long, value_name = "PX", default_value_t = 0)]
    min_size: u32,
    /// Largest face edge in pixels, 0 for the picture's
    #[arg(long, value_name = "PX", default_value_t = 0)]
    max_size: u32,
    /// Write a copy of each picture with a green box around every face into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// One JSON object per picture on stdout
    #[arg(long)]
    json: bool,
    /// Pictures, or folders of pictures
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

#[derive(serde::Serialize)]
struct Line<'a> {
    path: &'a Path,
    width: usize,
    height: usize,
    faces: &'a [Rect],
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let params = ScanParams::new(args.scale_factor, args.min_neighbors, args.min_size, args.max_size)?;
    let cascade = match &args.cascade {
        Some(path) => super::cascade::load(path)?,
        None => Cascade::frontal_face(),
    };
    let mut detector = Detector::new(cascade);
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder)
            .map_err(|e| format!("{}: {e}; choose a writable folder", folder.display()))?;
    }
    for path in pictures(&args.paths)? {
        let gray = load_gray(&path)?;
        let faces = detector.detect(gray.view(), &params);
        let (width, height) = (gray.width(), gray.height());
        if args.json {
            say!("{}", serde_json::to_string(&Line { path: &path, width, height, faces: &faces })?);
        } else {
            say!("{}: {width}x{height}, faces: {}", path.display(), faces.len());
            for f in &faces {
                say!("  {}x{} at ({}, {})", f.width, f.height, f.x, f.y);
            }
        }
        if let Some(folder) = &args.out {
            write_copy(&path, folder, &faces)?;
        }
    }
    Ok(Answer::Done)
}

/// The paths with every folder replaced by the pictures in it, in name order.
fn pictures(paths: &[PathBuf]) -> Result<Vec<PathBuf>, CommandError> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            found.extend(list_pictures(path)?);
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

/// Copies the picture into `folder` with a green box, 5 px thick, around every face.
fn write_copy(path: &Path, folder: &Path, faces: &[Rect]) -> Result<(), CommandError> {
    let mut picture = load_rgb(path)?;
    for f in faces {
        for grow in -2..=2i32 {
            let (width, height) = (f.width + 2 * grow, f.height + 2 * grow);
            if width > 0 && height > 0 {
                let line =
                    imageproc::rect::Rect::at(f.x - grow, f.y - grow).of_size(width as u32, height as u32);
                draw_hollow_rect_mut(&mut picture, line, image::Rgb([0, 255, 0]));
            }
        }
    }
    let name = path.file_name().ok_or_else(|| format!("{}: has no file name", path.display()))?;
    let target = folder.join(name);
    if let (Ok(a), Ok(b)) = (path.canonicalize(), target.canonicalize())
        && a == b
    {
        return Err(format!(
            "{}: the copy would replace the picture; choose another --out folder",
            path.display()
        )
        .into());
    }
    let is_jpeg = image::ImageFormat::from_path(&target).ok() == Some(image::ImageFormat::Jpeg);
    let written = if is_jpeg {
        std::fs::File::create(&target).map_err(image::ImageError::IoError).and_then(|file| {
            let file = std::io::BufWriter::new(file);
            image::codecs::jpeg::JpegEncoder::new_with_quality(file, 95).encode_image(&picture)
        })
    } else {
        picture.save(&target)
    };
    written.map_err(|e| format!("{}: {e}; the copy was not written", target.display()).into())
}
