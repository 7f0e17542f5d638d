//! Does the face show a raster that no skin has?
//!
//! Print comes in dots, screens in pixels; seen by a camera they leave a regular pattern, or one that
//! beats with the sensor's own raster (moiré). In the power spectrum of the face such a pattern is a narrow
//! peak above its surroundings, where skin falls off evenly (Garcia and de Queiroz, "Face-spoofing 2D-detection
//! based on moiré-pattern analysis", IEEE TIFS 2015, look for the same peaks). The picture is first
//! differenced along both axes, which takes out the fall-off.

use crate::picture::{GrayView, Rect};

/// Edge of the square that is transformed, in picture pixels.
const SIDE: usize = 64;

/// The frequencies looked at, in cycles a square: a face's own features lie below.
const MIN_FREQUENCY: usize = 9;
/// What lies at the very end is the sensor's and the codec's.
const MAX_FREQUENCY: usize = 31;

/// The highest peak of the spectrum over the mean of its ring of like frequencies, as a decimal logarithm.
///
/// White noise gives about 0.8 (the highest of some thousand exponential figures over their mean). `None`
/// for a face that is too small.
pub fn peak(picture: GrayView<'_>, face: Rect) -> Option<f32> {
    let x = face.x + face.width / 2 - SIDE as i32 / 2;
    let y = face.y + face.height / 2 - SIDE as i32 / 2;
    if face.width < SIDE as i32 + 8 || x < 1 || y < 1 {
        return None;
    }
    let (x, y) = (x as usize, y as usize);
    if x + SIDE + 1 > picture.width() || y + SIDE + 1 > picture.height() {
        return None;
    }
    // Two real pictures in one transform would save half; the cost is small as it is.
    let window: [f32; SIDE] =
        std::array::from_fn(|i| 0.5 - 0.5 * (std::f32::consts::TAU * (i as f32 + 0.5) / SIDE as f32).cos());
    let mut field = vec![(0.0_f32, 0.0_f32); SIDE * SIDE];
    for (j, row) in field.chunks_exact_mut(SIDE).enumerate() {
        let (above, here) = (picture.row(y + j - 1), picture.row(y + j));
        for (i, value) in row.iter_mut().enumerate() {
            let at = x + i;
            let second = 2.0 * f32::from(here[at]) - f32::from(here[at - 1]) - f32::from(above[at]);
            value.0 = second * window[i] * window[j];
        }
    }
    let twiddles: [(f32, f32); SIDE / 2] = std::array::from_fn(|k| {
        let (sin, cos) = (-std::f32::consts::TAU * k as f32 / SIDE as f32).sin_cos();
        (cos, sin)
    });
    for row in field.chunks_exact_mut(SIDE) {
        transform(row, &twiddles);
    }
    let mut column = [(0.0, 0.0); SIDE];
    let mut power = vec![0.0_f32; SIDE * SIDE];
    for i in 0..SIDE {
        for (value, row) in column.iter_mut().zip(field.chunks_exact(SIDE)) {
            *value = row[i];
        }
        transform(&mut column, &twiddles);
        for (value, row) in column.iter().zip(power.chunks_exact_mut(SIDE)) {
            row[i] = value.0.powi(2) + value.1.powi(2);
        }
    }
    highest(&power)
}

/// The highest figure of the half plane over its ring's mean.
fn highest(power: &[f32]) -> Option<f32> {
    let mut sums = [0.0_f32; MAX_FREQUENCY + 1];
    let mut counts = [0_u32; MAX_FREQUENCY + 1];
    let ring = |i: usize, j: usize| {
        let (u, v) = (fold(i) as f32, fold(j) as f32);
        (u.hypot(v) + 0.5) as usize
    };
    let half = || (0..=SIDE / 2).flat_map(|j| (0..SIDE).map(move |i| (i, j)));
    // What lies on the axes is the codec's blocks and the scaler's lines.
    let counted = |i: usize, j: usize| fold(i) > 1 && fold(j) > 1;
    for (i, j) in half().filter(|&(i, j)| counted(i, j)) {
        let r = ring(i, j);
        if (MIN_FREQUENCY..=MAX_FREQUENCY).contains(&r) {
            sums[r] += power[j * SIDE + i];
            counts[r] += 1;
        }
    }
    let mut best = 0.0_f32;
    for (i, j) in half().filter(|&(i, j)| counted(i, j)) {
        let r = ring(i, j);
        if (MIN_FREQUENCY..=MAX_FREQUENCY).contains(&r) && counts[r] > 1 {
            let own = power[j * SIDE + i];
            // The figure itself does not count to its ring; neighbours of a peak are few.
            let others = (sums[r] - own) / (counts[r] - 1) as f32;
            best = best.max(own / (others + 1.0));
        }
    }
    (best > 0.0).then(|| best.log10())
}

/// A bin's frequency without its sign.
fn fold(bin: usize) -> usize {
    bin.min(SIDE - bin)
}

/// The discrete Fourier transform in place (Cooley and Tukey 1965, radix 2).
fn transform(values: &mut [(f32, f32)], twiddles: &[(f32, f32); SIDE / 2]) {
    let bits = SIDE.trailing_zeros();
    for i in 0..SIDE {
        let j = (i as u32).reverse_bits() as usize >> (u32::BITS - bits);
        if i < j {
            values.swap(i, j);
        }
    }
    let mut size = 2;
    while size <= SIDE {
        let step = SIDE / size;
        for part in values.chunks_exact_mut(size) {
            let (low, high) = part.split_at_mut(size / 2);
            for (k, (a, b)) in low.iter_mut().zip(high).enumerate() {
                let (c, s) = twiddles[k * step];
                let turned = (b.0 * c - b.1 * s, b.0 * s + b.1 * c);
                *b = (a.0 - turned.0, a.1 - turned.1);
                *a = (a.0 + turned.0, a.1 + turned.1);
            }
        }
        size *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::super::align::tests::{drawn, pattern};
    use super::*;

    #[test]
    fn the_transform_is_the_sum_that_defines_it() {
        let twiddles: [(f32, f32); SIDE / 2] = std::array::from_fn(|k| {
            let (sin, cos) = (-std::f32::consts::TAU * k as f32 / SIDE as f32).sin_cos();
            (cos, sin)
        });
        let values: Vec<f32> = (0..SIDE).map(|i| ((i * i * 7 + 3 * i) % 31) as f32).collect();
        let mut fast: Vec<(f32, f32)> = values.iter().map(|v| (*v, 0.0)).collect();
        transform(&mut fast, &twiddles);
        for (k, got) in fast.iter().enumerate() {
            let (mut re, mut im) = (0.0_f64, 0.0_f64);
            for (n, v) in values.iter().enumerate() {
                let (sin, cos) = (-std::f64::consts::TAU * (k * n) as f64 / SIDE as f64).sin_cos();
                re += f64::from(*v) * cos;
                im += f64::from(*v) * sin;
            }
            assert!((f64::from(got.0) - re).abs() < 0.01 && (f64::from(got.1) - im).abs() < 0.01, "{k}");
        }
    }

    #[test]
    fn a_raster_is_a_peak_and_noise_is_none() {
        let face = Rect::new(10, 10, 100, 100);
        let noise = |x: f32, y: f32| {
            let bits = (x as u32).wrapping_mul(0x9E37_79B9) ^ (y as u32).wrapping_mul(0x85EB_CA6B);
            let bits = (bits ^ (bits >> 15)).wrapping_mul(0x2C1B_3C6D);
            f32::from((bits >> 24) as u8) / 255.0 - 0.5
        };
        let skin = drawn(120, 120, |x, y| pattern(x / 3.0, y / 3.0) + 12.0 * noise(x, y));
        let print = drawn(120, 120, |x, y| {
            pattern(x / 3.0, y / 3.0) + 12.0 * noise(x, y) + 6.0 * (1.7 * x + 0.9 * y).sin()
        });
        let (skin, print) = (peak(skin.view(), face).unwrap(), peak(print.view(), face).unwrap());
        assert!(skin < 1.3, "{skin}");
        assert!(print > 1.6 && print > skin + 0.4, "{print} {skin}");
        assert_eq!(peak(drawn(120, 120, pattern).view(), Rect::new(0, 0, 60, 60)), None);
        assert_eq!(peak(drawn(70, 70, pattern).view(), Rect::new(-20, -20, 90, 90)), None);
    }
}
