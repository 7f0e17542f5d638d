//! A picture reduced by a whole factor: what motion is measured on.
//!
//! Means of squares of pixels: the sensor's noise falls with the factor, and a face is about as many
//! pixels wide whatever the camera.

use crate::picture::{GrayView, Rect};

/// The approximate width of a face in reduced pixels.
pub const FACE: i32 = 40;

/// A reduced gray picture, values 0 to 255.
#[derive(Clone, PartialEq)]
pub struct Reduced {
    width: usize,
    height: usize,
    factor: usize,
    values: Vec<f32>,
}

// A picture of a face is biometric data: only its size is shown.
impl std::fmt::Debug for Reduced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reduced({}x{} by {})", self.width, self.height, self.factor)
    }
}

/// The part of a face's box that motion is measured in: without its corners, where the background is.
pub const INNER: f32 = 0.84;

/// A box of the picture in reduced pixels.
pub fn scaled(face: Rect, factor: usize) -> Rect {
    let edge = |v: i32| (v as f32 / factor as f32).round() as i32;
    Rect::new(edge(face.x), edge(face.y), edge(face.width), edge(face.height))
}

/// The middle of a box, [`INNER`] as wide and as high.
pub fn inner(face: Rect) -> Rect {
    let part = |edge: i32| (edge as f32 * INNER).round() as i32;
    let (w, h) = (part(face.width), part(face.height));
    Rect::new(face.x + (face.width - w) / 2, face.y + (face.height - h) / 2, w, h)
}

/// The factor that makes a face of this width about [`FACE`] pixels wide.
pub fn factor_of(face: Rect) -> usize {
    ((face.width + FACE / 2) / FACE).clamp(1, 16) as usize
}

impl Reduced {
    /// The picture in means of `factor` x `factor` pixels; what is left at the right and below is dropped.
    pub fn new(picture: GrayView<'_>, factor: usize) -> Self {
        let factor = factor.max(1);
        let (width, height) = (picture.width() / factor, picture.height() / factor);
        let mut values = Vec::with_capacity(width * height);
        let mut sums = vec![0_u32; width * factor];
        let area = (factor * factor) as f32;
        for y in 0..height {
            sums.fill(0);
            for row in y * factor..(y + 1) * factor {
                sums.iter_mut().zip(picture.row(row)).for_each(|(sum, p)| *sum += u32::from(*p));
            }
            values.extend(sums.chunks_exact(factor).map(|part| part.iter().sum::<u32>() as f32 / area));
        }
        Reduced { width, height, factor, values }
    }

    /// Width in reduced pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in reduced pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Picture pixels a reduced pixel is wide.
    pub fn factor(&self) -> usize {
        self.factor
    }

    /// The value of a pixel inside the picture.
    ///
    /// # Panics
    /// When it lies outside.
    pub fn at(&self, x: usize, y: usize) -> f32 {
        self.values[y * self.width + x]
    }

    /// The value between pixels, bilinear; `None` where a neighbour lies outside.
    pub fn between(&self, x: f32, y: f32) -> Option<f32> {
        if x < 0.0 || y < 0.0 || x.is_nan() || y.is_nan() {
            return None;
        }
        let (left, top) = (x as usize, y as usize);
        if left + 1 >= self.width || top + 1 >= self.height {
            return None;
        }
        let (fx, fy) = (x - left as f32, y - top as f32);
        let at = top * self.width + left;
        let (a, b) = (self.values[at], self.values[at + 1]);
        let (c, d) = (self.values[at + self.width], self.values[at + self.width + 1]);
        let (above, below) = (a + (b - a) * fx, c + (d - c) * fx);
        Some(above + (below - above) * fy)
    }

    /// The slopes to the right and downwards at a pixel that does not lie on the rim, by central differences.
    pub fn slope(&self, x: usize, y: usize) -> (f32, f32) {
        let at = y * self.width + x;
        (
            (self.values[at + 1] - self.values[at - 1]) / 2.0,
            (self.values[at + self.width] - self.values[at - self.width]) / 2.0,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Gray;

    #[test]
    fn means_of_squares() {
        let pixels = (0..5 * 4).map(|i| (i % 5 * 10 + i / 5) as u8).collect();
        let gray = Gray::from_pixels(5, 4, pixels).unwrap();
        let reduced = Reduced::new(gray.view(), 2);
        assert_eq!((reduced.width(), reduced.height(), reduced.factor()), (2, 2, 2));
        assert_eq!(reduced.at(0, 0), 5.5);
        assert_eq!(reduced.at(1, 1), 27.5);
        assert_eq!(reduced.between(0.5, 0.5), Some((5.5 + 25.5 + 7.5 + 27.5) / 4.0));
        assert_eq!(reduced.between(1.5, 0.0), None);
        assert_eq!(reduced.between(f32::NAN, 0.0), None);
    }

    #[test]
    fn a_face_is_about_forty_pixels_wide() {
        let of = |width| factor_of(Rect::new(0, 0, width, width));
        assert_eq!([of(20), of(80), of(100), of(160), of(480)], [1, 2, 3, 4, 12]);
    }
}
