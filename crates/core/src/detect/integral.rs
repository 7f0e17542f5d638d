//! Integral images of one pyramid level.
//!
//! `sum(X, Y)` is the sum of all pixels left of `X` and above `Y`, so that any rectangle costs four
//! look-ups: of `1 2 / 3 4` the integral image is `0 0 0 / 0 1 3 / 0 4 10`. All of them wrap at 32
//! bits; differences are exact as long as the true sum fits.

/// Sums, sums of squares and, on request, tilted sums, each `width + 1` columns by `height + 1` rows.
#[derive(Default)]
pub(super) struct Integral {
    /// Row length, `width + 1`.
    pub stride: usize,
    /// Sums.
    pub sum: Vec<i32>,
    /// Sums of squares.
    pub square: Vec<u32>,
    /// Tilted sums (Lienhart and Maydt 2002): `(X, Y)` holds the pixels of the cone that opens
    /// upward from its apex, pixel `(X - 1, Y - 1)`. Empty unless asked for.
    pub tilted: Vec<i32>,
    falling: Vec<i32>,
    rising: Vec<i32>,
}

impl Integral {
    /// Recomputes everything from `pixels`, `width` by `height` in row order.
    pub fn compute(&mut self, pixels: &[u8], width: usize, height: usize, tilted: bool) {
        let stride = width + 1;
        self.stride = stride;
        for plane in [&mut self.sum, &mut self.tilted] {
            plane.clear();
            plane.resize(stride * (height + 1), 0);
        }
        self.square.clear();
        self.square.resize(stride * (height + 1), 0);
        for y in 0..height {
            let row = &pixels[y * width..][..width];
            let above = y * stride;
            let (mut sum, mut square) = (0i32, 0u32);
            for (x, &p) in row.iter().enumerate() {
                sum += i32::from(p);
                square = square.wrapping_add(u32::from(p) * u32::from(p));
                let at = above + stride + x + 1;
                self.sum[at] = self.sum[at - stride].wrapping_add(sum);
                self.square[at] = self.square[at - stride].wrapping_add(square);
            }
        }
        if tilted {
            self.compute_tilted(pixels, width, height);
        }
    }

    /// A cone is the cone one row up and its two edges, which are sums along diagonals.
    fn compute_tilted(&mut self, pixels: &[u8], width: usize, height: usize) {
        let stride = self.stride;
        for diagonal in [&mut self.falling, &mut self.rising] {
            diagonal.clear();
            diagonal.resize(width + 2, 0);
        }
        // `falling[x + 1]`: pixels up and to the left of `(x, y)`, itself included;
        // `rising[x]`: pixels up and to the right. Both have a zero beyond the picture.
        for y in 0..height {
            let row = &pixels[y * width..][..width];
            for x in 0..=width {
                let right = if y > 0 { self.rising[x] } else { 0 };
                let at = (y + 1) * stride + x;
                self.tilted[at] = self.tilted[at - stride].wrapping_add(right);
            }
            for x in (0..width).rev() {
                self.falling[x + 1] = self.falling[x].wrapping_add(i32::from(row[x]));
            }
            self.falling[0] = 0;
            for (x, &pixel) in row.iter().enumerate() {
                self.rising[x] = self.rising[x + 1].wrapping_add(i32::from(pixel));
            }
            for x in 0..=width {
                let at = (y + 1) * stride + x;
                self.tilted[at] = self.tilted[at].wrapping_add(self.falling[x]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_the_example() {
        let mut integral = Integral::default();
        integral.compute(&[1, 2, 3, 4], 2, 2, false);
        assert_eq!(integral.sum, [0, 0, 0, 0, 1, 3, 0, 4, 10]);
        assert_eq!(integral.square, [0, 0, 0, 0, 1, 5, 0, 10, 30]);
    }

    #[test]
    fn tilted_sums_are_cones() {
        let (w, h) = (7usize, 6usize);
        let pixels: Vec<u8> = (0..w * h).map(|i| (i * 37 % 251) as u8).collect();
        let mut integral = Integral::default();
        integral.compute(&pixels, w, h, true);
        for y in 0..=h as i64 {
            for x in 0..=w as i64 {
                let mut cone = 0;
                for (i, &p) in pixels.iter().enumerate() {
                    let (px, py) = ((i % w) as i64, (i / w) as i64);
                    if py < y && (px - (x - 1)).abs() <= y - 1 - py {
                        cone += i32::from(p);
                    }
                }
                assert_eq!(integral.tilted[(y * (w as i64 + 1) + x) as usize], cone, "{x} {y}");
            }
        }
    }
}
