//! The face of a still picture: where it is, and its vector.
//!
//! Comparing and evaluating pictures, and the crops that training learns from, take the face by
//! the rule here. (At the door a face is tracked through many frames instead.)

use std::path::Path;

use crate::detect::{Cascade, Detector, ScanParams};
use crate::embed::card::ColourOrder;
use crate::embed::{Card, CropView, Embed, EmbedError, Embedder, Pixels};
use crate::matching::{Embedding, mean};
use crate::picture::{GrayView, Rect};
use crate::picture_file::{PictureFileError, load_gray, load_rgb};

/// Ratio of successive scales of the detector.
pub const SCALE_FACTOR: f64 = 1.1;
/// A face needs more neighbouring hits than this. A still is meant to show a face, so that few neighbours
/// lose fewer faces; the false boxes that they let through lie off the centre.
pub const MIN_NEIGHBORS: u32 = 2;
/// A box with this many neighbouring hits is almost always a face.
const SURE_NEIGHBORS: u32 = 6;
/// The smallest face edge as a share of the picture's shorter side: 40 of 250 pixels.
const SMALLEST: f64 = 0.16;

/// Finds the face of a still picture.
pub struct FaceFinder {
    detector: Detector,
}

impl FaceFinder {
    /// A finder with the frontal-face cascade.
    pub fn new() -> Self {
        FaceFinder { detector: Detector::new(Cascade::frontal_face()) }
    }

    /// The box of the person whom the picture is of: the one nearest to the centre among those at
    /// least half as wide as the widest. `None` when there is no face.
    pub fn find(&mut self, picture: GrayView<'_>) -> Option<Rect> {
        main_face(&self.detector.detect(picture, &params(picture, MIN_NEIGHBORS)), picture.bounds())
    }

    /// The same where a picture must show one person only: several are those of whom the detector is
    /// sure and who are at least half as wide as the widest.
    pub fn find_only(&mut self, picture: GrayView<'_>) -> Found {
        let sure = self.detector.detect(picture, &params(picture, SURE_NEIGHBORS));
        let widest = sure.iter().map(|f| f.width).max().unwrap_or(0);
        if sure.iter().filter(|f| 2 * f.width >= widest).count() > 1 {
            return Found::Several;
        }
        self.find(picture).map_or(Found::Nobody, Found::One)
    }
}

/// Who is in a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No face.
    Nobody,
    /// One face.
    One(Rect),
    /// More than one.
    Several,
}

fn params(picture: GrayView<'_>, min_neighbors: u32) -> ScanParams {
    let shorter = picture.width().min(picture.height());
    ScanParams {
        scale_factor: SCALE_FACTOR,
        min_neighbors,
        min_size: (shorter as f64 * SMALLEST).round() as u32,
        max_size: 0,
    }
}

impl Default for FaceFinder {
    fn default() -> Self {
        Self::new()
    }
}

/// The choice of [`FaceFinder::find`] among the boxes of a picture.
pub fn main_face(faces: &[Rect], picture: Rect) -> Option<Rect> {
    let widest = faces.iter().map(|f| f.width).max()?;
    // Twice the centre's coordinates stay whole numbers.
    let off_centre = |f: &Rect| {
        let x = i64::from(2 * f.x + f.width - picture.width);
        let y = i64::from(2 * f.y + f.height - picture.height);
        x * x + y * y
    };
    faces.iter().filter(|f| 2 * f.width >= widest).min_by_key(|f| (off_centre(f), -f.area())).copied()
}

/// Why a picture has no vector.
#[derive(Debug, thiserror::Error)]
pub enum FaceError {
    /// The picture file cannot be used.
    #[error(transparent)]
    Picture(#[from] PictureFileError),
    /// The embedder failed.
    #[error("{path}: {source}", path = .path.display())]
    Embed {
        /// The picture.
        path: std::path::PathBuf,
        /// What happened.
        source: EmbedError,
    },
}

/// The face of a picture: its box and its vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Face {
    /// Where it is.
    pub place: Rect,
    /// The mean of its vector and its mirror image's: a still can afford two runs, pairs come out better
    /// (docs/results/2026-11-network.md), and it is what the door's templates and 15-frame means rest on.
    pub vector: Embedding,
}

/// Makes vectors of picture files.
pub struct FaceReader {
    /// `None`: the whole picture is the face.
    finder: Option<FaceFinder>,
    embedder: Embedder,
}

impl FaceReader {
    /// A reader; with `whole` each picture is taken as nothing but the face.
    pub fn new(embedder: Embedder, whole: bool) -> Self {
        FaceReader { finder: (!whole).then(FaceFinder::new), embedder }
    }

    /// The card of the network.
    pub fn card(&self) -> &Card {
        self.embedder.card()
    }

    /// The face of a picture file, `None` when there is none.
    ///
    /// # Errors
    /// When the file is not a picture, or the network fails.
    pub fn read(&mut self, path: &Path) -> Result<Option<Face>, FaceError> {
        let gray = load_gray(path)?;
        let place = match &mut self.finder {
            Some(finder) => finder.find(gray.view()),
            None => Some(gray.view().bounds()),
        };
        let Some(place) = place else { return Ok(None) };
        let failed = |source| FaceError::Embed { path: path.to_path_buf(), source };
        let colour = match self.embedder.card().input.colour {
            ColourOrder::Gray => None,
            ColourOrder::Rgb | ColourOrder::Bgr => Some(load_rgb(path)?),
        };
        let pixels = match &colour {
            None => Pixels::gray(gray.view()),
            Some(rgb) => Pixels::with_colour(gray.view(), rgb)
                .map_err(|message| failed(EmbedError::Face { message }))?,
        };
        // The crop rule is about the detector's box; a whole picture is the crop itself.
        let mut embed = |view| match self.finder {
            Some(_) => self.embedder.embed_pixels(pixels, place, view),
            None => self.embedder.embed_crop(pixels, place, view),
        };
        let plain = embed(CropView::Plain).map_err(failed)?;
        let mirrored = embed(CropView::Mirrored).map_err(failed)?;
        let vector = mean(&[&plain, &mirrored]).unwrap_or(plain);
        Ok(Some(Face { place, vector }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_central_of_the_large_boxes_is_taken() {
        let picture = Rect::new(0, 0, 250, 250);
        let (central, larger, speck) =
            (Rect::new(63, 65, 124, 124), Rect::new(49, 8, 142, 142), Rect::new(110, 110, 30, 30));
        assert_eq!(main_face(&[larger, central, speck], picture), Some(central));
        assert_eq!(main_face(&[larger, speck], picture), Some(larger));
        assert_eq!(main_face(&[], picture), None);
        // Of two with the same centre the larger.
        let within = Rect::new(73, 75, 104, 104);
        assert_eq!(main_face(&[within, central], picture), Some(central));
    }
}
