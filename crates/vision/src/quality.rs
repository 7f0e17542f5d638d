//! Whether a face is good enough to be enrolled: its size, light, contrast, sharpness and pose.

use super::pose::Pose;
use super::reduce::reduce;
use facelatch_core::access::QualityIssue;
use facelatch_core::picture::{GrayView, Rect};

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
    /// Least sharpness, see `sharpness` in `crates/vision/src/quality.rs`.
    pub min_sharpness: f32,
    /// Least [`Pose::frontality`].
    pub min_frontality: i32,
}

impl QualityRules {
    /// Why no face can be found in the picture, if so: as a whole it is darker or brighter than a face may be.
    pub fn light(&self, picture: GrayView<'_>) -> Option<QualityIssue> {
        let rows = || (0..picture.height()).step_by(LIGHT_ROWS);
        let sum: u64 = rows().flat_map(|y| picture.row(y)).map(|pixel| u64::from(*pixel)).sum();
        self.lit(sum as f64 / (rows().count() * picture.width()) as f64)
    }

    fn lit(&self, mean: f64) -> Option<QualityIssue> {
        if mean < f64::from(self.darkest) {
            Some(QualityIssue::TooDark)
        } else {
            (mean > f64::from(self.brightest)).then_some(QualityIssue::TooBright)
        }
    }

    /// Why the face cannot be enrolled, if so: the reason that must be mended first. Without `pose`, which
    /// takes a good part of a scan's time, no face can.
    pub fn judge(&self, picture: GrayView<'_>, face: Rect, pose: Option<&mut Pose>) -> Option<QualityIssue> {
        let Some(region) = picture.region(face) else { return Some(QualityIssue::TooSmall) };
        if face.width < self.min_width {
            return Some(QualityIssue::TooSmall);
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
        if let Some(flaw) = self.lit(mean) {
            Some(flaw)
        } else if deviation < f64::from(self.min_contrast) {
            Some(QualityIssue::Flat)
        } else if sharpness(region) < self.min_sharpness {
            Some(QualityIssue::Blurred)
        } else {
            match pose.map(|pose| pose.frontality(picture, face)) {
                None => Some(QualityIssue::PoseUnknown),
                Some(frontality) => (frontality < self.min_frontality).then_some(QualityIssue::Turned),
            }
        }
    }
}

/// Only every fourth row of a whole picture is looked at for its light.
const LIGHT_ROWS: usize = 4;

/// Side of the face when its sharpness is judged: what is lost below is lost to the network as well.
const SHARP: usize = 48;

/// How sharp a face is, whatever its light and contrast: the standard deviation of the second derivative
/// along rows or along columns, whichever is less (a head moves one way), over that of the gray values, on
/// the inner three quarters of the face at 48 pixels. 0.26 and less for faces that move or are out of focus.
pub fn sharpness(face: GrayView<'_>) -> f32 {
    let small: Vec<f32> = reduce(face, SHARP, SHARP).collect();
    let rim = SHARP / 8;
    let mut gray = Spread::default();
    let (mut across, mut down) = (Spread::default(), Spread::default());
    for y in rim..SHARP - rim {
        for x in rim..SHARP - rim {
            let at = |dx: usize, dy: usize| small[(y + dy - 1) * SHARP + x + dx - 1];
            gray.add(at(1, 1));
            across.add(at(0, 1) + at(2, 1) - 2.0 * at(1, 1));
            down.add(at(1, 0) + at(1, 2) - 2.0 * at(1, 1));
        }
    }
    across.deviation().min(down.deviation()) / gray.deviation().max(1.0)
}

/// Mean and deviation as they are added up.
#[derive(Default)]
struct Spread {
    n: f32,
    sum: f32,
    squares: f32,
}

impl Spread {
    fn add(&mut self, value: f32) {
        self.n += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    fn mean(&self) -> f32 {
        self.sum / self.n.max(1.0)
    }

    fn deviation(&self) -> f32 {
        (self.squares / self.n.max(1.0) - self.mean() * self.mean()).max(0.0).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use facelatch_core::picture::Gray;

    const RULES: QualityRules = QualityRules {
        min_width: 40,
        darkest: 40,
        brightest: 220,
        min_contrast: 12.0,
        min_sharpness: 0.27,
        min_frontality: -1000,
    };

    #[test]
    fn table() {
        let stripes = |low: u8, high: u8| {
            let blot = |n: usize| (n % 100 / 4 + n / 400).is_multiple_of(2);
            let pixels = (0..100 * 100).map(|n| if blot(n) { low } else { high }).collect();
            Gray::from_pixels(100, 100, pixels).unwrap()
        };
        let mut pose = Pose::default();
        for (low, high, width, expected) in [
            (80, 160, 48, None),
            (80, 160, 39, Some(QualityIssue::TooSmall)),
            (0, 60, 48, Some(QualityIssue::TooDark)),
            (200, 255, 48, Some(QualityIssue::TooBright)),
            (120, 130, 48, Some(QualityIssue::Flat)),
        ] {
            let judged =
                RULES.judge(stripes(low, high).view(), Rect::new(8, 8, width, width), Some(&mut pose));
            assert_eq!(judged, expected, "{low} {high} {width}");
        }
        let judged = RULES.judge(stripes(80, 160).view(), Rect::new(200, 0, 50, 50), Some(&mut pose));
        assert_eq!(judged, Some(QualityIssue::TooSmall));
        let judged = RULES.judge(stripes(80, 160).view(), Rect::new(8, 8, 48, 48), None);
        assert_eq!(judged, Some(QualityIssue::PoseUnknown));
    }

    /// A picture of 96 pixels.
    fn draw(value: impl Fn(i32, i32) -> i32) -> Gray {
        let pixels = (0..96 * 96).map(|n| value(n % 96, n / 96).clamp(0, 255) as u8).collect();
        Gray::from_pixels(96, 96, pixels).unwrap()
    }

    #[test]
    fn blur_lowers_the_sharpness_and_light_does_not() {
        let face = |x: i32, y: i32| if ((x + 96) / 16 + (y + 96) / 16) % 2 == 0 { 60 } else { 180 };
        let blurred = |x: i32, y: i32| {
            let around = (-6..=6).flat_map(|i| (-6..=6).map(move |j| face(x + i, y + j)));
            around.sum::<i32>() / 169
        };
        let sharp = sharpness(draw(face).view());
        assert!(sharp > 2.0 * sharpness(draw(blurred).view()));
        let moved = |x: i32, y: i32| (-6..=6).map(|i| face(x + i, y)).sum::<i32>() / 13;
        assert!(sharp > 2.0 * sharpness(draw(moved).view()), "one way is enough");
        let dim = draw(|x, y| face(x, y) / 3 + 20);
        assert!((sharpness(dim.view()) - sharp).abs() < 0.05 * sharp);
        assert!(sharpness(Gray::filled(96, 96, 100).view()) < 1e-3);
    }

    #[test]
    fn any_size_is_judged() {
        for (width, height) in [(1, 1), (1, 90), (47, 49), (300, 2)] {
            let gray = Gray::filled(width, height, 7);
            assert!(sharpness(gray.view()).is_finite());
        }
    }
}
