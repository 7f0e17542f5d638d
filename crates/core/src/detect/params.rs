//! How a picture is scanned.

/// How a picture is scanned, in the terms of OpenCV's `detectMultiScale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScanParams {
    /// Ratio of successive scales, above 1. 1.1 finds more, 1.6 is faster.
    pub scale_factor: f64,
    /// A face needs more neighbouring hits than this; 0 returns the raw hits.
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
    #[error("smallest face ({min} px) is larger than the largest ({max} px)")]
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
