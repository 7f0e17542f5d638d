//! The two shipped portraits (`assets/portraits`) as cut-out people.

use image::{ImageError, ImageFormat, load_from_memory_with_format};

/// A person cut out of a portrait.
#[derive(Clone)]
pub struct Portrait {
    width: usize,
    height: usize,
    /// Red, green, blue (0 to 255) multiplied by the share (0 to 1) in the fourth place.
    pixels: Vec<[f32; 4]>,
    /// Centre of the face in the portrait's pixels.
    face: (f32, f32),
    /// Width of the face as a frontal face detector boxes it.
    face_width: f32,
}

impl Portrait {
    /// Eileen Collins, astronaut (NASA).
    ///
    /// # Errors
    /// When the embedded files cannot be decoded.
    pub fn collins() -> Result<Self, ImageError> {
        let picture = include_bytes!("../../../../assets/portraits/collins.jpg");
        let mask = include_bytes!("../../../../assets/portraits/collins-mask.png");
        Portrait::decode(picture, mask, (203.0, 114.0), 95.0)
    }

    /// Grace Hopper, computer scientist and commodore (US Navy).
    ///
    /// # Errors
    /// When the embedded files cannot be decoded.
    pub fn hopper() -> Result<Self, ImageError> {
        let picture = include_bytes!("../../../../assets/portraits/hopper.jpg");
        let mask = include_bytes!("../../../../assets/portraits/hopper-mask.png");
        Portrait::decode(picture, mask, (127.0, 108.0), 112.0)
    }

    fn decode(picture: &[u8], mask: &[u8], face: (f32, f32), face_width: f32) -> Result<Self, ImageError> {
        let picture = load_from_memory_with_format(picture, ImageFormat::Jpeg)?.to_rgb8();
        let mask = load_from_memory_with_format(mask, ImageFormat::Png)?.to_luma8();
        let (width, height) = (picture.width().min(mask.width()), picture.height().min(mask.height()));
        let mut pixels = Vec::with_capacity((width * height) as usize);
        for y in 0..height {
            for x in 0..width {
                let share = f32::from(mask.get_pixel(x, y).0[0]) / 255.0;
                let [r, g, b] = picture.get_pixel(x, y).0.map(|v| f32::from(v) * share);
                pixels.push([r, g, b, share]);
            }
        }
        Ok(Portrait { width: width as usize, height: height as usize, pixels, face, face_width })
    }

    /// Width of the face in the portrait's pixels.
    pub fn face_width(&self) -> f32 {
        self.face_width
    }

    /// The colour (0 to 255, multiplied by the share) and the share (0 to 1) of the person at
    /// `(u, v)`, which is counted in portrait pixels from the centre of the face.
    ///
    /// Below its last row the portrait goes on as that row does, darker and darker: a body.
    pub fn sample(&self, u: f32, v: f32) -> [f32; 4] {
        let (x, y) = (self.face.0 + u, self.face.1 + v);
        let last = (self.height.max(2) - 2) as f32;
        if x < 0.0 || y < 0.0 || x >= (self.width.max(1) - 1) as f32 {
            return [0.0; 4];
        }
        let below = (y - last).max(0.0);
        let y = y.min(last);
        let (x0, y0) = (x as usize, y as usize);
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let at = |x: usize, y: usize| self.pixels.get(y * self.width + x).copied().unwrap_or_default();
        let (a, b, c, d) = (at(x0, y0), at(x0 + 1, y0), at(x0, y0 + 1), at(x0 + 1, y0 + 1));
        let mut out = [0.0; 4];
        for i in 0..4 {
            let top = a[i] + (b[i] - a[i]) * fx;
            let bottom = c[i] + (d[i] - c[i]) * fx;
            out[i] = top + (bottom - top) * fy;
        }
        if below > 0.0 {
            let shade = (-below / 90.0).exp();
            for v in &mut out[..3] {
                *v *= shade;
            }
        }
        out
    }
}

impl std::fmt::Debug for Portrait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Portrait({}x{})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_face_is_there_and_the_background_is_not() {
        for portrait in [Portrait::collins().unwrap(), Portrait::hopper().unwrap()] {
            let [r, _, b, share] = portrait.sample(0.0, 0.0);
            assert!(share > 0.99, "{portrait:?}");
            assert!(r > b, "skin is redder than blue: {r} {b}");
            let [.., share] = portrait.sample(-0.9 * portrait.face_width(), -0.9 * portrait.face_width());
            assert!(share < 0.01, "{portrait:?}");
            assert_eq!(portrait.sample(1e6, 0.0), [0.0; 4]);
            assert_eq!(portrait.sample(0.0, -1e6), [0.0; 4]);
            let [.., share] = portrait.sample(0.0, 1e6);
            assert!(share > 0.99, "the body goes on below");
        }
    }
}
