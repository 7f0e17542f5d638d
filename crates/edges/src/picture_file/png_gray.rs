//! The gray of a colour PNG as libpng makes it, by which OpenCV reads: weights of its own, in linear light
//! where the file states its gamma.

use image::DynamicImage;

/// sRGB's gamma in a `gAMA` chunk's unit.
const SRGB: u32 = 45_455;

/// The gray values of a colour picture read from these bytes.
pub(super) fn of(bytes: &[u8], picture: &DynamicImage) -> Vec<u8> {
    // libpng takes 16 bits whole and cuts off what it made of them.
    let deep = matches!(picture, DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgba16(_));
    match (deep, gamma(bytes)) {
        (false, None) => each(picture, |rgb| weighed(rgb, 0)),
        (true, None) => each16(picture, |rgb| weighed(rgb, 1 << 14)),
        (false, Some(gamma)) => {
            let [to_linear, from_linear] =
                [1e10 / f64::from(gamma), f64::from(gamma)].map(|g| table(g.round(), 255));
            each(picture, |rgb| from_linear[weighed(rgb.map(|v| to_linear[v as usize]), 1 << 14) as usize])
        }
        (true, Some(gamma)) => {
            let [to_linear, from_linear] =
                [1e10 / f64::from(gamma), f64::from(gamma)].map(|g| table(g.round(), 65_535));
            each16(picture, |rgb| from_linear[weighed(rgb.map(|v| to_linear[v as usize]), 1 << 14) as usize])
        }
    }
}

/// A colour that is gray stays as it is.
fn each(picture: &DynamicImage, gray: impl Fn([u32; 3]) -> u32) -> Vec<u8> {
    let rgb = picture.to_rgb8();
    let one = |p: &image::Rgb<u8>| {
        let [r, g, b] = p.0;
        if r == g && g == b { r } else { gray([r, g, b].map(u32::from)) as u8 }
    };
    rgb.pixels().map(one).collect()
}

fn each16(picture: &DynamicImage, gray: impl Fn([u32; 3]) -> u32) -> Vec<u8> {
    let rgb = picture.to_rgb16();
    let one = |p: &image::Rgb<u16>| {
        let [r, g, b] = p.0;
        let value = if r == g && g == b { u32::from(r) } else { gray([r, g, b].map(u32::from)) };
        (value >> 8) as u8
    };
    rgb.pixels().map(one).collect()
}

/// The weights of OpenCV in libpng's arithmetic.
fn weighed([r, g, b]: [u32; 3], rounding: u32) -> u32 {
    ((u64::from(r) * 9797 + u64::from(g) * 19_234 + u64::from(b) * 3737 + u64::from(rounding)) >> 15) as u32
}

/// Every value up to `most`, by this exponent in hundred thousandths; near 1 libpng leaves them.
fn table(exponent: f64, most: u32) -> Vec<u32> {
    let scale = f64::from(most);
    let value = |v: u32| (scale * (f64::from(v) / scale).powf(exponent * 1e-5) + 0.5).floor() as u32;
    (0..=most).map(|v| if (exponent - 100_000.0).abs() <= 5000.0 { v } else { value(v) }).collect()
}

/// The gamma that the file states, if it does and it is not as good as 1.
fn gamma(bytes: &[u8]) -> Option<u32> {
    let (mut at, mut stated) = (8, None);
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_be_bytes(head[..4].try_into().ok()?) as usize;
        let held = bytes.get(at + 8..(at + 8).checked_add(length)?)?;
        match &head[4..] {
            b"IDAT" => break,
            b"sRGB" => {
                stated = Some(SRGB);
                break;
            }
            b"gAMA" => stated = held.try_into().ok().map(u32::from_be_bytes),
            _ => {}
        }
        at += 12 + length;
    }
    // Beyond these libpng takes the chunk for damaged.
    let gamma = stated.filter(|gamma| (16..=625_000_000).contains(gamma))?;
    let matters = [f64::from(gamma), 1e10 / f64::from(gamma)].iter().any(|g| (g - 100_000.0).abs() > 5000.0);
    matters.then_some(gamma)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG's chunks before its data, as far as they matter here.
    fn head(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
        for (name, held) in chunks {
            bytes.extend((held.len() as u32).to_be_bytes());
            bytes.extend(*name);
            bytes.extend(*held);
            bytes.extend([0; 4]);
        }
        bytes.extend(b"\0\0\0\x01IDAT\0\0\0\0\0");
        bytes
    }

    #[test]
    fn a_stated_gamma_counts_as_in_opencv() {
        // What OpenCV 4.14 reads of these pixels.
        let eight = DynamicImage::ImageRgb8(
            image::RgbImage::from_raw(4, 1, vec![200, 10, 90, 0, 255, 0, 77, 77, 77, 1, 2, 3]).unwrap(),
        );
        let tagged = |gamma: u32| head(&[(b"tEXt", b"a\0b"), (b"gAMA", &gamma.to_be_bytes())]);
        assert_eq!(of(&head(&[]), &eight), [75, 149, 77, 1]);
        assert_eq!(of(&tagged(45_455), &eight), [119, 200, 77, 0]);
        assert_eq!(
            of(&head(&[(b"gAMA", &100_000u32.to_be_bytes()), (b"sRGB", &[0])]), &eight),
            [119, 200, 77, 0]
        );
        for none in [100_000, 98_000, 0, u32::MAX] {
            assert_eq!(of(&tagged(none), &eight), [75, 149, 77, 1], "{none}");
        }
        let deep = vec![51_400, 2_600, 23_200, 0, 65_535, 0, 19_999, 19_999, 19_999, 300, 600, 65_000];
        let sixteen = DynamicImage::ImageRgb16(image::ImageBuffer::from_raw(4, 1, deep).unwrap());
        assert_eq!(of(&tagged(45_455), &sixteen), [119, 200, 78, 94]);
    }

    #[test]
    fn damaged_heads_state_nothing() {
        assert_eq!(gamma(b""), None);
        assert_eq!(gamma(b"\x89PNG\r\n\x1a\n\xff\xff\xff\xffgAMA\0"), None);
        assert_eq!(gamma(&head(&[(b"gAMA", &[1, 2])])), None);
    }
}
