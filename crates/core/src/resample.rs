//! Resizing pictures by a triangle filter that widens with the reduction (what is called antialiased
//! bilinear), for the embedder's crops and for recordings.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

/// Resizes; keeps its buffers between calls.
pub struct Resampler {
    resizer: Resizer,
}

impl Resampler {
    /// A resampler without buffers yet.
    pub fn new() -> Self {
        Resampler { resizer: Resizer::new() }
    }

    /// Resizes gray pixels in row order from one size (width, height) to another.
    ///
    /// # Errors
    /// When `pixels` does not fit `from`, or a side is 0.
    pub fn gray(&mut self, pixels: &[u8], from: (u32, u32), to: (u32, u32)) -> Result<Vec<u8>, String> {
        self.resize::<U8>(pixels, from, to)
    }

    /// Resizes interleaved R, G, B pixels as [`Resampler::gray`] does gray ones.
    ///
    /// # Errors
    /// As there.
    pub fn rgb(&mut self, pixels: &[u8], from: (u32, u32), to: (u32, u32)) -> Result<Vec<u8>, String> {
        self.resize::<U8x3>(pixels, from, to)
    }

    // By type: the library's call by value compiles its code for every pixel type that it knows.
    fn resize<P: PixelTrait>(
        &mut self,
        pixels: &[u8],
        from: (u32, u32),
        to: (u32, u32),
    ) -> Result<Vec<u8>, String> {
        if from.0 == 0 || from.1 == 0 || to.0 == 0 || to.1 == 0 {
            return Err(format!("cannot resize {}x{} to {}x{}", from.0, from.1, to.0, to.1));
        }
        let mut resized = vec![0; to.0 as usize * to.1 as usize * P::size()];
        let source = TypedImageRef::<P>::from_buffer(from.0, from.1, pixels).map_err(|e| e.to_string())?;
        let mut target = TypedImage::<P>::from_buffer(to.0, to.1, &mut resized).map_err(|e| e.to_string())?;
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        self.resizer.resize_typed(&source, &mut target, &options).map_err(|e| e.to_string())?;
        Ok(resized)
    }
}

impl Default for Resampler {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_averages_and_sizes_are_checked() {
        let mut resampler = Resampler::new();
        // A triangle of twice the width: weights 1, 3, 3, 1 in the middle, cut off at the edges.
        assert_eq!(resampler.gray(&[0, 0, 80, 80], (4, 1), (2, 1)), Ok(vec![11, 69]));
        assert_eq!(resampler.rgb(&[1, 2, 3], (1, 1), (2, 1)), Ok(vec![1, 2, 3, 1, 2, 3]));
        for (pixels, from, to) in
            [(&[0; 3][..], (2, 2), (1, 1)), (&[], (0, 0), (1, 1)), (&[0], (1, 1), (0, 1))]
        {
            assert!(resampler.gray(pixels, from, to).is_err());
        }
    }
}
