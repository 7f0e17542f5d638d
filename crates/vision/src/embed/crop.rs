//! From the detector's box to the network's input.
//!
//! The crop rule gives a rectangle around the box; it is rounded to whole pixels, pixels outside the
//! picture repeat its edge, and the part is resized by a triangle filter that widens with the
//! reduction (antialiased). Training cuts its crops by the same rule.

use image::RgbImage;

use super::card::{ColourOrder, CropRule, InputSection, TensorLayout};
use facelatch_core::picture::{GrayView, Rect};
use facelatch_core::resample::Resampler;

/// Which way round a face is shown to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CropView {
    /// As the camera sees it.
    Plain,
    /// Left and right exchanged.
    Mirrored,
}

/// The largest side of a rectangle that is cut out, in pixels.
const LARGEST_SIDE: f64 = 20_000.0;

/// A picture as a network may want it: always gray, and in colour where the source has it.
#[derive(Clone, Copy)]
pub struct Pixels<'a> {
    gray: GrayView<'a>,
    rgb: Option<&'a RgbImage>,
}

impl<'a> Pixels<'a> {
    /// A gray picture; a colour network is given the gray in every channel.
    pub fn gray(gray: GrayView<'a>) -> Self {
        Pixels { gray, rgb: None }
    }

    /// A gray picture with the colour picture that it was made from.
    ///
    /// # Errors
    /// When their sizes differ.
    pub fn with_colour(gray: GrayView<'a>, rgb: &'a RgbImage) -> Result<Self, String> {
        let (width, height) = (rgb.width() as usize, rgb.height() as usize);
        if (width, height) != (gray.width(), gray.height()) {
            return Err(format!(
                "the colour picture is {width}x{height}, the gray one {}x{}",
                gray.width(),
                gray.height()
            ));
        }
        Ok(Pixels { gray, rgb: Some(rgb) })
    }

    /// The gray picture.
    pub fn view(&self) -> GrayView<'a> {
        self.gray
    }

    /// The whole picture as a box at the origin.
    pub fn bounds(&self) -> Rect {
        self.gray.bounds()
    }
}

/// The rectangle around `face` that the rule asks for, in whole pixels; it may reach outside the
/// picture. `None` when it has no area or no sensible size.
pub fn rectangle(rule: &CropRule, face: Rect) -> Option<Rect> {
    let (x, y) = (f64::from(face.x), f64::from(face.y));
    let (w, h) = (f64::from(face.width), f64::from(face.height));
    let (width, height) = (rule.width * w, rule.height * h);
    let left = x + w / 2.0 + rule.shift_x * w - width / 2.0;
    let top = y + h / 2.0 + rule.shift_y * h - height / 2.0;
    let sides = 1.0..=LARGEST_SIDE;
    let round = |v: f64| (v + 0.5).floor();
    if !sides.contains(&round(width)) || !sides.contains(&round(height)) {
        return None;
    }
    if left.abs() > 1e9 || top.abs() > 1e9 {
        return None;
    }
    Some(Rect::new(round(left) as i32, round(top) as i32, round(width) as i32, round(height) as i32))
}

/// Cuts, resizes and scales; keeps its buffers between calls.
pub(crate) struct Cropper {
    resampler: Resampler,
    part: Vec<u8>,
}

impl Cropper {
    pub(crate) fn new() -> Self {
        Cropper { resampler: Resampler::new(), part: Vec::new() }
    }

    /// Fills `values` (the network's input, batch of 1) from the part of the picture around `face`.
    pub(crate) fn fill(
        &mut self,
        pixels: Pixels<'_>,
        face: Rect,
        view: CropView,
        rule: &CropRule,
        input: &InputSection,
        values: &mut [f32],
    ) -> Result<(), String> {
        let bounds = pixels.bounds();
        let rectangle = rectangle(rule, face)
            .ok_or_else(|| format!("a face box of {}x{} cannot be cropped", face.width, face.height))?;
        let common = bounds.intersection(&rectangle).ok_or("the face box lies outside the picture")?;
        let colour = pixels.rgb.filter(|_| input.colour != ColourOrder::Gray);
        match colour {
            Some(rgb) => {
                let width = rgb.width() as usize * 3;
                let raw = rgb.as_raw();
                cut::<3>(&mut self.part, |y| &raw[y * width..(y + 1) * width], rectangle, common);
            }
            None => cut::<1>(&mut self.part, |y| pixels.gray.row(y), rectangle, common),
        }
        let from = (rectangle.width as u32, rectangle.height as u32);
        let to = (input.width as u32, input.height as u32);
        let mut resized = match colour {
            Some(_) => self.resampler.rgb(&self.part, from, to)?,
            None => self.resampler.gray(&self.part, from, to)?,
        };
        if view == CropView::Mirrored {
            let step = if colour.is_some() { 3 } else { 1 };
            mirror(&mut resized, input.width, step);
        }
        scale(&resized, colour.is_some(), input, values)
    }
}

/// Exchanges left and right, `step` bytes a pixel.
fn mirror(bytes: &mut [u8], width: usize, step: usize) {
    for row in bytes.chunks_exact_mut(width * step) {
        // All bytes in reverse, then each pixel's own the right way round again.
        row.reverse();
        row.chunks_exact_mut(step).for_each(<[u8]>::reverse);
    }
}

/// Copies `rectangle` to `part`, `N` bytes a pixel. `common` is its part inside the picture; the pixels
/// around that repeat the edge.
fn cut<'a, const N: usize>(
    part: &mut Vec<u8>,
    row: impl Fn(usize) -> &'a [u8],
    rectangle: Rect,
    common: Rect,
) {
    part.clear();
    part.reserve(rectangle.width as usize * rectangle.height as usize * N);
    let (left, right) = (common.x as usize, (common.x + common.width) as usize);
    let before = (common.x - rectangle.x) as usize;
    let after = rectangle.width as usize - before - (right - left);
    for y in rectangle.y..rectangle.y + rectangle.height {
        let row = row(y.clamp(common.y, common.y + common.height - 1) as usize);
        let row = &row[left * N..right * N];
        for _ in 0..before {
            part.extend_from_slice(&row[..N]);
        }
        part.extend_from_slice(row);
        for _ in 0..after {
            part.extend_from_slice(&row[row.len() - N..]);
        }
    }
}

/// Bytes to the network's figures: `(p / 255 - mean) / deviation`, channels in its order.
fn scale(bytes: &[u8], colour: bool, input: &InputSection, values: &mut [f32]) -> Result<(), String> {
    let (area, channels) = (input.width * input.height, input.colour.channels());
    let step = if colour { 3 } else { 1 };
    if values.len() != area * channels || bytes.len() != area * step {
        return Err(format!("the input holds {} values, {} are needed", values.len(), area * channels));
    }
    for channel in 0..channels {
        let (mean, deviation) = (input.mean[channel], input.deviation[channel]);
        // One table a channel instead of two divisions a pixel.
        let table: [f32; 256] = std::array::from_fn(|p| (p as f32 / 255.0 - mean) / deviation);
        let from = match (colour, input.colour) {
            (false, _) => 0,
            (true, ColourOrder::Bgr) => 2 - channel,
            (true, _) => channel,
        };
        let source = bytes.iter().skip(from).step_by(step);
        match input.layout {
            TensorLayout::Nchw => {
                let plane = &mut values[channel * area..(channel + 1) * area];
                plane.iter_mut().zip(source).for_each(|(v, p)| *v = table[usize::from(*p)]);
            }
            TensorLayout::Nhwc => {
                let plane = values.iter_mut().skip(channel).step_by(channels);
                plane.zip(source).for_each(|(v, p)| *v = table[usize::from(*p)]);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use facelatch_core::picture::Gray;

    fn input(width: usize, height: usize, colour: ColourOrder) -> InputSection {
        let n = colour.channels();
        InputSection {
            width,
            height,
            colour,
            layout: TensorLayout::Nchw,
            mean: vec![0.0; n],
            deviation: vec![1.0 / 255.0; n],
        }
    }

    fn crop(pixels: Pixels<'_>, face: Rect, input: &InputSection) -> Result<Vec<u8>, String> {
        let mut values = vec![f32::NAN; input.width * input.height * input.colour.channels()];
        Cropper::new().fill(pixels, face, CropView::Plain, &CropRule::default(), input, &mut values)?;
        Ok(values.iter().map(|v| v.round() as u8).collect())
    }

    #[test]
    fn the_rule_is_relative_to_the_box() {
        let face = Rect::new(10, 20, 40, 50);
        assert_eq!(rectangle(&CropRule::default(), face), Some(face));
        let rule = CropRule { width: 0.5, height: 2.0, shift_x: 0.25, shift_y: -0.1 };
        assert_eq!(rectangle(&rule, face), Some(Rect::new(30, -10, 20, 100)));
        // Halves round up, also below zero.
        let rule = CropRule { width: 1.0, height: 1.0, shift_x: -0.3125, shift_y: 0.0 };
        assert_eq!(rectangle(&rule, Rect::new(0, 0, 40, 40)), Some(Rect::new(-12, 0, 40, 40)));
        assert_eq!(rectangle(&CropRule::default(), Rect::new(0, 0, 0, 5)), None);
        assert_eq!(rectangle(&CropRule::default(), Rect::new(0, 0, i32::MAX, 5)), None);
        assert_eq!(rectangle(&CropRule::default(), Rect::new(i32::MAX, 0, 5, 5)), None);
    }

    #[test]
    fn the_edge_is_repeated_outside_the_picture() {
        let g = Gray::from_pixels(3, 2, vec![1, 2, 3, 4, 5, 6]).unwrap();
        let part =
            crop(Pixels::gray(g.view()), Rect::new(-2, -1, 7, 4), &input(7, 4, ColourOrder::Gray)).unwrap();
        #[rustfmt::skip]
        assert_eq!(part, [
            1, 1, 1, 2, 3, 3, 3,
            1, 1, 1, 2, 3, 3, 3,
            4, 4, 4, 5, 6, 6, 6,
            4, 4, 4, 5, 6, 6, 6,
        ]);
        let apart = crop(Pixels::gray(g.view()), Rect::new(3, 0, 2, 2), &input(2, 2, ColourOrder::Gray));
        assert!(apart.unwrap_err().contains("outside"));
    }

    #[test]
    fn channels_come_in_the_networks_order() {
        let rgb = RgbImage::from_raw(2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
        let gray = Gray::from_pixels(2, 1, vec![8, 9]).unwrap();
        let face = Rect::new(0, 0, 2, 1);
        let pixels = Pixels::with_colour(gray.view(), &rgb).unwrap();
        assert_eq!(crop(pixels, face, &input(2, 1, ColourOrder::Rgb)).unwrap(), [1, 4, 2, 5, 3, 6]);
        assert_eq!(crop(pixels, face, &input(2, 1, ColourOrder::Bgr)).unwrap(), [3, 6, 2, 5, 1, 4]);
        assert_eq!(crop(pixels, face, &input(2, 1, ColourOrder::Gray)).unwrap(), [8, 9]);
        let nhwc = InputSection { layout: TensorLayout::Nhwc, ..input(2, 1, ColourOrder::Bgr) };
        assert_eq!(crop(pixels, face, &nhwc).unwrap(), [3, 2, 1, 6, 5, 4]);
        let only_gray = Pixels::gray(gray.view());
        assert_eq!(crop(only_gray, face, &input(2, 1, ColourOrder::Rgb)).unwrap(), [8, 9, 8, 9, 8, 9]);
        assert!(Pixels::with_colour(Gray::filled(1, 2, 0).view(), &rgb).is_err());
    }

    #[test]
    fn a_mirrored_view_exchanges_left_and_right_and_keeps_the_colours() {
        let mut gray = [1, 2, 3, 4, 5, 6];
        mirror(&mut gray, 3, 1);
        assert_eq!(gray, [3, 2, 1, 6, 5, 4]);
        let mut rgb = [1, 2, 3, 4, 5, 6];
        mirror(&mut rgb, 2, 3);
        assert_eq!(rgb, [4, 5, 6, 1, 2, 3]);
    }

    #[test]
    fn mean_and_deviation() {
        let g = Gray::filled(4, 4, 51);
        let mut values = [0.0; 4];
        let input = InputSection { mean: vec![0.5], deviation: vec![0.25], ..input(2, 2, ColourOrder::Gray) };
        Cropper::new()
            .fill(
                Pixels::gray(g.view()),
                Rect::new(0, 0, 4, 4),
                CropView::Plain,
                &CropRule::default(),
                &input,
                &mut values,
            )
            .unwrap();
        assert!(values.iter().all(|v| (v - (0.2 - 0.5) / 0.25).abs() < 1e-6), "{values:?}");
    }
}
