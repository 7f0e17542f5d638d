//! The scan of a picture: pyramid, window by window, grouping.

use std::sync::Arc;

use crate::picture::{GrayView, Rect};

use super::cascade::Cascade;
use super::group::{Grouper, round};
use super::integral::Integral;
use super::pyramid::{self, Level, Reducer};
use super::scan::Plan;

/// How a picture is scanned, in the terms of OpenCV's `detectMultiScale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScanParams {
    /// Ratio of successive scales, above 1. 1.1 finds more, 1.6 is faster.
    pub scale_factor: f64,
    /// A face needs more alike hits than this; 0 returns the raw hits.
    pub min_neighbors: u32,
    /// Smallest face edge in pixels, 0 for the cascade's window.
    pub min_size: u32,
    /// Largest face edge in pixels, 0 for the picture's.
    pub max_size: u32,
}

impl Default for ScanParams {
    /// OpenCV's defaults: 1.1, 3, no limits.
    fn default() -> Self {
        ScanParams { scale_factor: 1.1, min_neighbors: 3, min_size: 0, max_size: 0 }
    }
}

/// Why scan parameters make no sense.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ParamsError {
    /// The scale factor would never leave the first scale.
    #[error("scale factor {0}: it must be a finite number above 1, usually 1.05 to 1.6")]
    ScaleFactor(f64),
    /// The size limits exclude everything.
    #[error("smallest face {min} px is above the largest, {max} px")]
    Sizes {
        /// Smallest size asked for.
        min: u32,
        /// Largest size asked for.
        max: u32,
    },
}

impl ScanParams {
    /// Checked parameters.
    ///
    /// # Errors
    /// As [`ScanParams::check`].
    pub fn new(
        scale_factor: f64,
        min_neighbors: u32,
        min_size: u32,
        max_size: u32,
    ) -> Result<Self, ParamsError> {
        let params = ScanParams { scale_factor, min_neighbors, min_size, max_size };
        params.check()?;
        Ok(params)
    }

    /// Whether the parameters make sense.
    ///
    /// # Errors
    /// When the scale factor is not a finite number above 1, or the size limits exclude everything.
    pub fn check(&self) -> Result<(), ParamsError> {
        if !(self.scale_factor > 1.0 && self.scale_factor.is_finite()) {
            return Err(ParamsError::ScaleFactor(self.scale_factor));
        }
        if self.max_size != 0 && self.min_size > self.max_size {
            return Err(ParamsError::Sizes { min: self.min_size, max: self.max_size });
        }
        Ok(())
    }
}

/// A face detector: a cascade and the working memory of the scan, which is kept between frames.
pub struct Detector {
    cascade: Arc<Cascade>,
    plan: Plan,
    levels: Vec<Level>,
    reducer: Reducer,
    reduced: Vec<u8>,
    integral: Integral,
    hits: Vec<Rect>,
    grouper: Grouper,
}

impl Detector {
    /// A detector for `cascade`.
    pub fn new(cascade: impl Into<Arc<Cascade>>) -> Self {
        let cascade = cascade.into();
        Detector {
            plan: Plan::new(&cascade),
            cascade,
            levels: Vec::new(),
            reducer: Reducer::default(),
            reduced: Vec::new(),
            integral: Integral::default(),
            hits: Vec::new(),
            grouper: Grouper::default(),
        }
    }

    /// The cascade it looks for.
    pub fn cascade(&self) -> &Cascade {
        &self.cascade
    }

    /// The faces in `picture`: exactly the rectangles of OpenCV's `detectMultiScale` on the same gray
    /// picture, in its single-threaded order.
    ///
    /// Parameters that [`ScanParams::check`] refuses find nothing.
    pub fn detect(&mut self, picture: GrayView<'_>, params: &ScanParams) -> Vec<Rect> {
        let mut faces = Vec::new();
        self.detect_into(picture, params, &mut faces);
        faces
    }

    /// As [`Detector::detect`], into a vector that is cleared first and can be kept between frames.
    pub fn detect_into(&mut self, picture: GrayView<'_>, params: &ScanParams, faces: &mut Vec<Rect>) {
        faces.clear();
        if params.check().is_err() {
            return;
        }
        let (width, height) = self.cascade.window();
        let size = (picture.width(), picture.height());
        pyramid::plan((width, height), size, params, &mut self.levels);
        self.hits.clear();
        for level in &self.levels {
            self.reducer.reduce(picture, level.width, level.height, &mut self.reduced);
            self.integral.compute(&self.reduced, level.width, level.height, self.plan.tilted());
            self.plan.lay_out(self.integral.stride);
            let scaled = |at: u32| round(f64::from(at as f32 * level.scale));
            let (w, h) = (scaled(width), scaled(height));
            self.plan.scan(&self.integral, level, |x, y| {
                self.hits.push(Rect::new(scaled(x as u32), scaled(y as u32), w, h));
            });
        }
        self.grouper.group(&self.hits, params.min_neighbors, faces);
        let bounds = picture.bounds();
        faces.retain_mut(|face| {
            let clipped = bounds.intersection(face);
            *face = clipped.unwrap_or(*face);
            clipped.is_some()
        });
    }

    /// The faces inside `region` of `picture`, in coordinates of the picture.
    ///
    /// This is a scan of the region as a picture of its own. It is not the part of a full scan that
    /// falls into the region: positions are tested on the region's own grid of rounded scales, so
    /// rectangles can differ by a few pixels and weak faces can differ in their neighbours.
    pub fn detect_region(&mut self, picture: GrayView<'_>, region: Rect, params: &ScanParams) -> Vec<Rect> {
        let Some(part) = picture.region(region) else { return Vec::new() };
        let (dx, dy) = (region.x.max(0), region.y.max(0));
        let mut faces = self.detect(part, params);
        for face in &mut faces {
            face.x += dx;
            face.y += dy;
        }
        faces
    }
}
