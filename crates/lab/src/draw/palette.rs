//! Small PNG files: pictures with few colours, by median cut (Heckbert, "Color image quantization
//! for frame buffer display", 1982).

use std::collections::BTreeMap;

use image::RgbImage;

/// Bits a channel that tell colours apart before the cut.
const BITS: u32 = 6;

/// Pixels of nearly one colour: how many, and the sums of their channels.
#[derive(Clone, Copy, Default)]
struct Bin {
    count: u64,
    sum: [u64; 3],
}

impl Bin {
    fn add(&mut self, other: &Bin) {
        self.count += other.count;
        for (a, b) in self.sum.iter_mut().zip(other.sum) {
            *a += b;
        }
    }

    fn mean(&self) -> [u8; 3] {
        self.sum.map(|s| (s / self.count.max(1)).min(255) as u8)
    }
}

/// A picture as PNG bytes with at most 256 colours: a third of the size for photographs, at a loss
/// that is hardly seen. [`super::png_bytes`] keeps every colour.
///
/// # Errors
/// When the encoder refuses, which it does for a picture without pixels.
pub fn small_png_bytes(img: &RgbImage) -> Result<Vec<u8>, png::EncodingError> {
    let (palette, indices) = quantise(img, 256);
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, img.width(), img.height());
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    // Differences of palette indices mean nothing: rows compress best as they are.
    encoder.set_filter(png::Filter::NoFilter);
    encoder.set_palette(palette.concat());
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&indices)?;
    writer.finish()?;
    Ok(bytes)
}

/// A palette of at most `size` (1 to 256) colours, and each pixel's place in it.
fn quantise(img: &RgbImage, size: usize) -> (Vec<[u8; 3]>, Vec<u8>) {
    let key = |p: [u8; 3]| p.map(|v| v >> (8 - BITS));
    let mut bins: BTreeMap<[u8; 3], Bin> = BTreeMap::new();
    for p in img.pixels() {
        bins.entry(key(p.0)).or_default().add(&Bin { count: 1, sum: p.0.map(u64::from) });
    }
    let mut boxes = vec![bins.into_iter().collect::<Vec<_>>()];
    while boxes.len() < size {
        // The box with the largest squared error is cut where its pixels are halved.
        let widest = |b: &Vec<([u8; 3], Bin)>| (0..3).map(|c| (spread(b, c), c)).max().unwrap_or((0, 0));
        let Some((i, (error, channel))) =
            boxes.iter().map(widest).enumerate().max_by_key(|(i, w)| (w.0, std::cmp::Reverse(*i)))
        else {
            break;
        };
        if error == 0 {
            break;
        }
        let mut whole = boxes.swap_remove(i);
        whole.sort_by_key(|(k, _)| k[channel]);
        let half = whole.iter().map(|(_, b)| b.count).sum::<u64>() / 2;
        let mut seen = 0;
        let cut = whole.iter().take_while(|(_, b)| {
            seen += b.count;
            seen <= half
        });
        let cut = cut.count().clamp(1, whole.len() - 1);
        let upper = whole.split_off(cut);
        boxes.push(whole);
        boxes.push(upper);
    }
    let mut place = BTreeMap::new();
    let mut palette = Vec::with_capacity(boxes.len());
    for (i, members) in boxes.iter().enumerate() {
        let mut all = Bin::default();
        for (k, bin) in members {
            all.add(bin);
            place.insert(*k, i as u8);
        }
        palette.push(all.mean());
    }
    let indices = img.pixels().map(|p| place.get(&key(p.0)).copied().unwrap_or(0)).collect();
    (palette, indices)
}

/// Pixels times squared deviation of channel `c` in a box, 0 for a box of one colour.
fn spread(members: &[([u8; 3], Bin)], c: usize) -> u64 {
    if members.len() < 2 {
        return 0;
    }
    let count: u64 = members.iter().map(|(_, b)| b.count).sum();
    let mean = members.iter().map(|(k, b)| u64::from(k[c]) * b.count).sum::<u64>() as f64 / count as f64;
    let error: f64 = members.iter().map(|(k, b)| (f64::from(k[c]) - mean).powi(2) * b.count as f64).sum();
    // Scaled so that small deviations of few pixels still count.
    (error * 1024.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_colours_are_kept_exactly() {
        let colours = [[0, 255, 0], [255, 0, 0], [21, 24, 30], [0, 254, 1], [255, 255, 255]];
        let img = RgbImage::from_fn(20, 10, |x, y| image::Rgb(colours[((x + y) % 3) as usize]));
        let bytes = small_png_bytes(&img).unwrap();
        assert_eq!(image::load_from_memory(&bytes).unwrap().to_rgb8(), img);
    }

    #[test]
    fn many_colours_become_near_ones() {
        let img = RgbImage::from_fn(256, 64, |x, y| image::Rgb([x as u8, (y * 4) as u8, (255 - x) as u8]));
        let (palette, indices) = quantise(&img, 256);
        assert_eq!(palette.len(), 256);
        let worst = img
            .pixels()
            .zip(&indices)
            .flat_map(|(p, i)| p.0.into_iter().zip(palette[usize::from(*i)]).map(|(a, b)| a.abs_diff(b)))
            .max();
        assert!(worst.unwrap() <= 20, "{worst:?}");
    }

    #[test]
    fn odd_pictures() {
        assert!(small_png_bytes(&RgbImage::new(0, 0)).is_err());
        assert!(small_png_bytes(&RgbImage::new(1, 1)).is_ok());
        assert_eq!(quantise(&RgbImage::new(3, 1), 1).0, [[0, 0, 0]]);
    }
}
