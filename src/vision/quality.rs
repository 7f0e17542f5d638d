//! Whether a face is good enough to be enrolled.

use crate::access::Unusable;
use crate::picture::{GrayView, Rect};

/// The limits of a usable face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QualityRules {
    /// Least width of the box in pixels.
    pub min_width: i32,
    /// Least mean gray value, 0 to 255.
    pub darkest: u8,
    /// Greatest mean gray value, 0 to 255.
    pub brightest: u8,
    /// Least standard deviation of the gray values.
    pub min_contrast: f32,
}

impl QualityRules {
    /// Why the face cannot be enrolled, if so.
    pub fn judge(&self, picture: GrayView<'_>, face: Rect) -> Option<Unusable> {
        let Some(region) = picture.region(face) else { return Some(Unusable::TooSmall) };
        if face.width < self.min_width {
            return Some(Unusable::TooSmall);
        }
        let (mut sum, mut squares) = (0u64, 0u64);
        for y in 0..region.height() {
            for &pixel in region.row(y) {
                sum += u64::from(pixel);
                squares += u64::from(pixel) * u64::from(pixel);
            }
        }
        let pixels = (region.width() * region.height()) as f64;
        let mean = sum as f64 / pixels;
        let deviation = (squares as f64 / pixels - mean * mean).max(0.0).sqrt();
        if mean < f64::from(self.darkest) {
            Some(Unusable::TooDark)
        } else if mean > f64::from(self.brightest) {
            Some(Unusable::TooBright)
        } else if deviation < f64::from(self.min_contrast) {
            Some(Unusable::Flat)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Gray;

    #[test]
    fn table() {
        let rules = QualityRules { min_width: 40, darkest: 40, brightest: 220, min_contrast: 12.0 };
        let stripes = |low: u8, high: u8| {
            let pixels = (0..100 * 100).map(|n| if n % 2 == 0 { low } else { high }).collect();
            Gray::from_pixels(100, 100, pixels).unwrap()
        };
        for (low, high, width, expected) in [
            (80, 160, 50, None),
            (80, 160, 39, Some(Unusable::TooSmall)),
            (0, 60, 50, Some(Unusable::TooDark)),
            (200, 255, 50, Some(Unusable::TooBright)),
            (120, 130, 50, Some(Unusable::Flat)),
        ] {
            let judged = rules.judge(stripes(low, high).view(), Rect::new(10, 10, width, width));
            assert_eq!(judged, expected, "{low} {high} {width}");
        }
        assert_eq!(rules.judge(stripes(80, 160).view(), Rect::new(200, 0, 50, 50)), Some(Unusable::TooSmall));
    }
}
