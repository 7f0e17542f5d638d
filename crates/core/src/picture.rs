//! Gray pictures and boxes: what the core computes on.

use std::fmt;

/// An axis-parallel box in pixels: `(x, y)` is its top left corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Rect {
    /// Left edge.
    pub x: i32,
    /// Top edge.
    pub y: i32,
    /// Width, at least 1 for a face.
    pub width: i32,
    /// Height, at least 1 for a face.
    pub height: i32,
}

impl Rect {
    /// A box from its corner and size.
    pub const fn new(x: i32, y: i32, width: i32, height: i32) -> Self {
        Rect { x, y, width, height }
    }

    /// Area in pixels.
    pub const fn area(&self) -> i64 {
        self.width as i64 * self.height as i64
    }

    /// The common part of two boxes, `None` when they do not overlap.
    pub fn intersection(&self, other: &Rect) -> Option<Rect> {
        let x = self.x.max(other.x);
        let y = self.y.max(other.y);
        let right = (self.x + self.width).min(other.x + other.width);
        let bottom = (self.y + self.height).min(other.y + other.height);
        (right > x && bottom > y).then(|| Rect::new(x, y, right - x, bottom - y))
    }

    /// Intersection over union, 0 (apart) to 1 (equal).
    pub fn iou(&self, other: &Rect) -> f32 {
        let common = self.intersection(other).map_or(0, |r| r.area());
        let union = self.area() + other.area() - common;
        if union > 0 { common as f32 / union as f32 } else { 0.0 }
    }
}

/// Why a picture cannot be made from the given pixels.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a gray picture of {width}x{height} (stride {stride}) needs {needed} bytes, got {got}")]
pub struct SizeError {
    width: usize,
    height: usize,
    stride: usize,
    needed: usize,
    got: usize,
}

/// A borrowed gray picture: 8 bits a pixel, rows `stride` bytes apart.
#[derive(Clone, Copy)]
pub struct GrayView<'a> {
    width: usize,
    height: usize,
    stride: usize,
    pixels: &'a [u8],
}

impl<'a> GrayView<'a> {
    /// A view of `height` rows of `width` pixels, `stride` bytes apart, in `pixels`.
    ///
    /// # Errors
    /// When `pixels` is too short for that, or `stride < width`.
    pub fn new(width: usize, height: usize, stride: usize, pixels: &'a [u8]) -> Result<Self, SizeError> {
        let needed = if width == 0 || height == 0 {
            Some(0)
        } else {
            (height - 1).checked_mul(stride).and_then(|n| n.checked_add(width))
        };
        match needed {
            Some(n) if n <= pixels.len() && stride >= width => Ok(GrayView { width, height, stride, pixels }),
            _ => Err(SizeError {
                width,
                height,
                stride,
                needed: needed.unwrap_or(usize::MAX),
                got: pixels.len(),
            }),
        }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Row `y`, `width` bytes long.
    ///
    /// # Panics
    /// When `y` is not below the height.
    pub fn row(&self, y: usize) -> &'a [u8] {
        assert!(y < self.height, "row {y} of a picture {} high", self.height);
        let start = y * self.stride;
        &self.pixels[start..start + self.width]
    }

    /// The whole picture as a box at the origin.
    pub fn bounds(&self) -> Rect {
        Rect::new(0, 0, self.width as i32, self.height as i32)
    }

    /// The part of the picture inside `rect`, which is first clipped to the picture; `None` when
    /// nothing of it is left.
    pub fn region(&self, rect: Rect) -> Option<GrayView<'a>> {
        let r = self.bounds().intersection(&rect)?;
        let start = r.y as usize * self.stride + r.x as usize;
        GrayView::new(r.width as usize, r.height as usize, self.stride, &self.pixels[start..]).ok()
    }

    /// An owned copy without gaps between the rows.
    pub fn to_gray(&self) -> Gray {
        let mut pixels = Vec::with_capacity(self.width * self.height);
        for y in 0..self.height {
            pixels.extend_from_slice(self.row(y));
        }
        Gray { width: self.width, height: self.height, pixels }
    }
}

impl fmt::Debug for GrayView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GrayView({}x{})", self.width, self.height)
    }
}

/// An owned gray picture: 8 bits a pixel, rows without gaps.
///
/// Its `Debug` shows the size only: a picture of a face is biometric data.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Gray {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Gray {
    /// A picture from `width * height` pixels in row order.
    ///
    /// # Errors
    /// When the number of pixels is another.
    pub fn from_pixels(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self, SizeError> {
        if width.checked_mul(height) == Some(pixels.len()) {
            Ok(Gray { width, height, pixels })
        } else {
            let needed = width.saturating_mul(height);
            Err(SizeError { width, height, stride: width, needed, got: pixels.len() })
        }
    }

    /// A picture of one gray value.
    pub fn filled(width: usize, height: usize, value: u8) -> Self {
        Gray { width, height, pixels: vec![value; width * height] }
    }

    /// A picture from interleaved R, G, B bytes by OpenCV's fixed-point weights,
    /// `(3735 B + 19235 G + 9798 R + 16384) >> 15`.
    ///
    /// # Errors
    /// When `rgb` is not `3 * width * height` bytes long.
    pub fn from_rgb(width: usize, height: usize, rgb: &[u8]) -> Result<Self, SizeError> {
        let needed = width.saturating_mul(height).saturating_mul(3);
        if rgb.len() != needed {
            return Err(SizeError { width, height, stride: width.saturating_mul(3), needed, got: rgb.len() });
        }
        let pixels = rgb.chunks_exact(3).map(|p| luma(p[0], p[1], p[2])).collect();
        Ok(Gray { width, height, pixels })
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All pixels in row order.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// All pixels in row order, to be changed.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// The picture as a view.
    pub fn view(&self) -> GrayView<'_> {
        GrayView { width: self.width, height: self.height, stride: self.width, pixels: &self.pixels }
    }
}

impl fmt::Debug for Gray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gray({}x{})", self.width, self.height)
    }
}

/// The gray value of one colour by OpenCV's fixed-point weights.
pub fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((9798 * u32::from(r) + 19235 * u32::from(g) + 3735 * u32::from(b) + 16384) >> 15) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_refuse_short_buffers() {
        assert!(GrayView::new(4, 2, 5, &[0; 9]).is_ok());
        assert!(GrayView::new(4, 2, 5, &[0; 8]).is_err());
        assert!(GrayView::new(4, 2, 3, &[0; 99]).is_err());
        assert!(GrayView::new(usize::MAX, usize::MAX, usize::MAX, &[0; 9]).is_err());
    }

    #[test]
    fn regions_are_clipped() {
        let g = Gray::from_pixels(3, 2, vec![1, 2, 3, 4, 5, 6]).unwrap();
        let r = g.view().region(Rect::new(1, -5, 9, 7)).unwrap();
        assert_eq!(r.to_gray().pixels(), &[2, 3, 5, 6]);
        assert!(g.view().region(Rect::new(3, 0, 2, 2)).is_none());
    }

    #[test]
    fn white_black_and_weights() {
        assert_eq!(luma(255, 255, 255), 255);
        assert_eq!(luma(0, 0, 0), 0);
        assert_eq!([luma(255, 0, 0), luma(0, 255, 0), luma(0, 0, 255)], [76, 150, 29]);
    }

    #[test]
    fn iou_of_halves() {
        let a = Rect::new(0, 0, 10, 10);
        assert_eq!(a.iou(&Rect::new(0, 5, 10, 10)), 50.0 / 150.0);
        assert_eq!(a.iou(&Rect::new(10, 0, 10, 10)), 0.0);
    }
}
