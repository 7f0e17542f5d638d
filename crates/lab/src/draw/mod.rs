//! Pictures for people: boxes, text and contact sheets on RGB pictures.
//!
//! Everything here draws into an [`RgbImage`] in memory and clips at its edges, so that any box or
//! text position is allowed. Nothing here knows a file; [`png_bytes`] only encodes.
//!
//! | Module | Draws |
//! |---|---|
//! | this one | boxes, lines, text |
//! | [`sheet`] | the contact sheet of an attempt: frames with their box and what was decided |
//! | [`plot`] | curves and histograms with axes |

mod palette;
pub mod plot;
pub mod sheet;

pub use palette::small_png_bytes;

use embedded_graphics::mono_font::iso_8859_1::{
    FONT_6X10, FONT_6X13, FONT_7X13_BOLD, FONT_9X18_BOLD, FONT_10X20,
};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::{DrawTarget, Drawable, OriginDimensions, Pixel, Point, Size};
use embedded_graphics::text::{Baseline, Text};
use image::{Rgb, RgbImage};

use facelatch_core::picture::Rect;

/// A colour: red, green and blue, 0 to 255 each.
pub type Colour = Rgb<u8>;

/// The colours of this product's pictures.
pub mod colour {
    use super::Colour;

    /// A face on a still, and an identified person: the reference's pure green.
    pub const GREEN: Colour = image::Rgb([0, 255, 0]);
    /// A face that is being identified.
    pub const ORANGE: Colour = image::Rgb([255, 165, 0]);
    /// A face that nobody enrolled.
    pub const RED: Colour = image::Rgb([255, 48, 48]);
    /// A face that is being enrolled.
    pub const BLUE: Colour = image::Rgb([80, 170, 255]);
    /// Anything that is neither good nor bad.
    pub const GRAY: Colour = image::Rgb([150, 156, 166]);
    /// Text on dark ground.
    pub const WHITE: Colour = image::Rgb([240, 242, 245]);
    /// Text on bright ground.
    pub const BLACK: Colour = image::Rgb([0, 0, 0]);
}

/// Width in pixels of the box around a face on a still (reference system).
pub const STILL_BOX_THICKNESS: u32 = 5;

/// A fixed-width font of the Latin-1 characters; others are shown as `?`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Font {
    /// 6 x 10 pixels a character.
    Tiny,
    /// 6 x 13.
    Small,
    /// 7 x 13, bold.
    Bold,
    /// 9 x 18, bold.
    Heading,
    /// 10 x 20.
    Large,
    /// [`Font::Large`] with every pixel drawn as a square of this many pixels (at least 1).
    Scaled(u32),
}

impl Font {
    fn face(self) -> (&'static MonoFont<'static>, u32) {
        match self {
            Font::Tiny => (&FONT_6X10, 1),
            Font::Small => (&FONT_6X13, 1),
            Font::Bold => (&FONT_7X13_BOLD, 1),
            Font::Heading => (&FONT_9X18_BOLD, 1),
            Font::Large => (&FONT_10X20, 1),
            Font::Scaled(scale) => (&FONT_10X20, scale.max(1)),
        }
    }

    /// Width and height of one character in pixels.
    pub fn cell(self) -> (u32, u32) {
        let (face, scale) = self.face();
        (face.character_size.width * scale, face.character_size.height * scale)
    }

    /// Width of `text` in pixels.
    pub fn width_of(self, text: &str) -> u32 {
        u32::try_from(text.chars().count()).unwrap_or(u32::MAX).saturating_mul(self.cell().0)
    }

    /// `text`, cut with `..` at its end when it is wider than `width` pixels.
    pub fn fit(self, text: &str, width: u32) -> String {
        let room = (width / self.cell().0) as usize;
        if text.chars().count() <= room {
            return text.to_string();
        }
        let kept: String = text.chars().take(room.saturating_sub(2)).collect();
        format!("{}..", kept.trim_end()).chars().take(room).collect()
    }
}

/// Sets one pixel; outside of the picture nothing happens.
fn set(img: &mut RgbImage, x: i64, y: i64, colour: Colour) {
    if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
        && let Some(pixel) = img.get_pixel_mut_checked(x, y)
    {
        *pixel = colour;
    }
}

/// Mixes `share` (0 to 1) of `colour` into one pixel; outside of the picture nothing happens.
fn mix(img: &mut RgbImage, x: i64, y: i64, colour: Colour, share: f32) {
    if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
        && let Some(pixel) = img.get_pixel_mut_checked(x, y)
    {
        for (old, new) in pixel.0.iter_mut().zip(colour.0) {
            *old = (f32::from(*old) + (f32::from(new) - f32::from(*old)) * share).round() as u8;
        }
    }
}

/// Fills the part of `rect` that lies in the picture.
pub fn fill_rect(img: &mut RgbImage, rect: Rect, colour: Colour) {
    let (x0, x1) = clip(rect.x, rect.width, img.width());
    let (y0, y1) = clip(rect.y, rect.height, img.height());
    for y in y0..y1 {
        for x in x0..x1 {
            img.put_pixel(x, y, colour);
        }
    }
}

/// `start..start + length` clipped to `0..limit`.
fn clip(start: i32, length: i32, limit: u32) -> (u32, u32) {
    let end = i64::from(start) + i64::from(length.max(0));
    let inside = |v: i64| v.clamp(0, i64::from(limit)) as u32;
    (inside(i64::from(start)), inside(end))
}

/// Draws the outline of `rect`, `thickness` pixels wide and centred on the rectangle's outermost
/// pixels (half of it lies outside, as OpenCV draws it), clipped at the picture's edges.
pub fn frame_box(img: &mut RgbImage, rect: Rect, colour: Colour, thickness: u32) {
    let t = i32::try_from(thickness.min(1 << 15)).unwrap_or(1);
    if t == 0 || rect.width < 1 || rect.height < 1 {
        return;
    }
    let out = t / 2;
    let left = rect.x.saturating_sub(out);
    let top = rect.y.saturating_sub(out);
    let right = rect.x.saturating_add(rect.width - 1).saturating_sub(out);
    let bottom = rect.y.saturating_add(rect.height - 1).saturating_sub(out);
    let wide = right.saturating_sub(left).saturating_add(t);
    let high = bottom.saturating_sub(top).saturating_add(t);
    fill_rect(img, Rect::new(left, top, wide, t), colour);
    fill_rect(img, Rect::new(left, bottom, wide, t), colour);
    fill_rect(img, Rect::new(left, top, t, high), colour);
    fill_rect(img, Rect::new(right, top, t, high), colour);
}

/// Draws a straight line from `from` to `to` (x, y in pixels, pixel centres at whole numbers), with
/// smooth edges. Points that are not finite draw nothing.
pub fn line(img: &mut RgbImage, from: (f32, f32), to: (f32, f32), thickness: f32, colour: Colour) {
    if ![from.0, from.1, to.0, to.1, thickness].iter().all(|v| v.is_finite()) {
        return;
    }
    let half = thickness.max(0.0) / 2.0;
    let reach = half + 1.0;
    let range = |a: f32, b: f32, limit: u32| {
        let last = i64::from(limit) - 1;
        let low = ((a.min(b) - reach).floor() as i64).max(0);
        let high = ((a.max(b) + reach).ceil() as i64).min(last);
        low..=high
    };
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length2 = dx * dx + dy * dy;
    for y in range(from.1, to.1, img.height()) {
        for x in range(from.0, to.0, img.width()) {
            let (px, py) = (x as f32 - from.0, y as f32 - from.1);
            let along = if length2 > 0.0 { ((px * dx + py * dy) / length2).clamp(0.0, 1.0) } else { 0.0 };
            let distance = (px - along * dx).hypot(py - along * dy);
            let share = (half + 0.5 - distance).clamp(0.0, 1.0);
            if share > 0.0 {
                mix(img, x, y, colour, share);
            }
        }
    }
}

/// Draws one line of text with its top left corner at `(x, y)`.
pub fn text(img: &mut RgbImage, x: i32, y: i32, font: Font, colour: Colour, text: &str) {
    let (face, scale) = font.face();
    let style = MonoTextStyle::new(face, BinaryColor::On);
    let mut canvas = Canvas { img, x, y, scale, colour };
    // The canvas cannot fail: its error type has no value.
    let Ok(_) = Text::with_baseline(text, Point::zero(), style, Baseline::Top).draw(&mut canvas);
}

/// Draws one line of text on a filled ground that is `pad` pixels larger on every side; `(x, y)` is
/// the top left corner of the ground.
pub fn label(
    img: &mut RgbImage,
    (x, y): (i32, i32),
    pad: i32,
    font: Font,
    ink: Colour,
    ground: Colour,
    s: &str,
) {
    let (width, height) = label_size(font, pad, s);
    fill_rect(img, Rect::new(x, y, width, height), ground);
    text(img, x + pad, y + pad, font, ink, s);
}

/// Width and height of what [`label`] draws.
pub fn label_size(font: Font, pad: i32, s: &str) -> (i32, i32) {
    let width = i32::try_from(font.width_of(s)).unwrap_or(i32::MAX / 2);
    (width + 2 * pad, font.cell().1 as i32 + 2 * pad)
}

/// A picture as PNG bytes.
///
/// # Errors
/// When the encoder refuses, which it does for a picture without pixels.
pub fn png_bytes(img: &RgbImage) -> Result<Vec<u8>, image::ImageError> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    img.write_to(&mut bytes, image::ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

/// Where embedded-graphics draws its glyphs: one font pixel becomes a square of picture pixels.
struct Canvas<'a> {
    img: &'a mut RgbImage,
    x: i32,
    y: i32,
    scale: u32,
    colour: Colour,
}

impl OriginDimensions for Canvas<'_> {
    fn size(&self) -> Size {
        Size::new(self.img.width(), self.img.height())
    }
}

impl DrawTarget for Canvas<'_> {
    type Color = BinaryColor;
    type Error = std::convert::Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Self::Error>
    where
        I: IntoIterator<Item = Pixel<BinaryColor>>,
    {
        let scale = i64::from(self.scale);
        for Pixel(at, ink) in pixels {
            if ink == BinaryColor::On {
                let left = i64::from(self.x) + i64::from(at.x) * scale;
                let top = i64::from(self.y) + i64::from(at.y) * scale;
                for y in top..top + scale {
                    for x in left..left + scale {
                        set(self.img, x, y, self.colour);
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAPER: Colour = image::Rgb([7, 7, 7]);

    fn count(img: &RgbImage, colour: Colour) -> usize {
        img.pixels().filter(|p| **p == colour).count()
    }

    #[test]
    fn a_box_is_centred_on_the_rectangles_edge() {
        let mut img = RgbImage::from_pixel(60, 60, PAPER);
        frame_box(&mut img, Rect::new(20, 20, 21, 21), colour::GREEN, STILL_BOX_THICKNESS);
        // Rows 18..=22 of the upper edge, columns 18..=42 wide.
        for (x, y) in [(18, 18), (22, 22), (30, 18), (30, 22), (42, 42), (38, 38), (18, 42)] {
            assert_eq!(*img.get_pixel(x, y), colour::GREEN, "{x},{y}");
        }
        for (x, y) in [(17, 30), (30, 17), (23, 23), (37, 37), (43, 30), (30, 43)] {
            assert_eq!(*img.get_pixel(x, y), PAPER, "{x},{y}");
        }
        assert_eq!(count(&img, colour::GREEN), 25 * 25 - 15 * 15);
    }

    #[test]
    fn boxes_are_clipped_and_never_panic() {
        let mut img = RgbImage::from_pixel(30, 20, PAPER);
        frame_box(&mut img, Rect::new(-10, -10, 20, 20), colour::GREEN, 5);
        assert_eq!(*img.get_pixel(9, 0), colour::GREEN);
        assert_eq!(*img.get_pixel(0, 9), colour::GREEN);
        assert_eq!(*img.get_pixel(0, 0), PAPER);
        for rect in [
            Rect::new(i32::MIN, i32::MIN, i32::MAX, i32::MAX),
            Rect::new(i32::MAX, i32::MAX, i32::MAX, i32::MAX),
            Rect::new(100, 100, 5, 5),
            Rect::new(5, 5, -3, 0),
        ] {
            let before = img.clone();
            frame_box(&mut img, rect, colour::RED, 3);
            fill_rect(&mut img, Rect::new(rect.x, rect.y, rect.width.min(0), 4), colour::RED);
            if rect.x > 0 {
                assert_eq!(before, img);
            }
        }
        fill_rect(&mut img, Rect::new(i32::MIN, i32::MIN, i32::MAX, i32::MAX), colour::RED);
        fill_rect(&mut img, Rect::new(-5, -5, i32::MAX, i32::MAX), colour::BLUE);
        assert_eq!(count(&img, colour::BLUE), 600);
    }

    #[test]
    fn text_has_ink_where_it_should() {
        let mut img = RgbImage::from_pixel(80, 40, PAPER);
        text(&mut img, 10, 8, Font::Large, colour::WHITE, "I");
        let ink = count(&img, colour::WHITE);
        assert!(ink > 10, "{ink}");
        for (x, y, p) in img.enumerate_pixels() {
            assert!(*p == PAPER || ((10..20).contains(&x) && (8..28).contains(&y)), "{x},{y}");
        }
        let mut twice = RgbImage::from_pixel(80, 60, PAPER);
        text(&mut twice, 0, 0, Font::Scaled(2), colour::WHITE, "I");
        assert_eq!(count(&twice, colour::WHITE), 4 * ink);
        // Partly and wholly outside.
        text(&mut img, -35, -5, Font::Large, colour::WHITE, "edge");
        text(&mut img, i32::MAX, i32::MIN, Font::Tiny, colour::WHITE, "far away");
    }

    #[test]
    fn letters_beyond_ascii_have_their_own_shape() {
        let glyph = |s: &str| {
            let mut img = RgbImage::from_pixel(10, 20, PAPER);
            text(&mut img, 0, 0, Font::Large, colour::WHITE, s);
            img
        };
        assert_ne!(glyph("ü"), glyph("u"));
        assert_ne!(glyph("ü"), glyph("?"));
        assert_eq!(glyph("字"), glyph("?"));
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(Font::Tiny.fit("Eileen Collins", 14 * 6), "Eileen Collins");
        assert_eq!(Font::Tiny.fit("Eileen Collins", 9 * 6 + 5), "Eileen..");
        assert_eq!(Font::Tiny.fit("Eileen", 6), ".");
        assert_eq!(Font::Tiny.fit("Eileen", 0), "");
    }

    #[test]
    fn lines_are_smooth_and_finite() {
        let mut img = RgbImage::from_pixel(20, 20, colour::BLACK);
        line(&mut img, (2.0, 5.0), (17.0, 5.0), 1.0, image::Rgb([200, 200, 200]));
        assert_eq!(img.get_pixel(10, 5).0, [200; 3]);
        assert_eq!(img.get_pixel(10, 7).0, [0; 3]);
        let before = img.clone();
        line(&mut img, (f32::NAN, 5.0), (f32::INFINITY, 5.0), 1.0, colour::RED);
        line(&mut img, (-500.0, -500.0), (-400.0, 1e9), 3.0, colour::RED);
        assert_eq!(before, img);
    }

    #[test]
    fn png_round_trip() {
        let mut img = RgbImage::from_pixel(9, 5, PAPER);
        frame_box(&mut img, Rect::new(2, 2, 4, 2), colour::GREEN, 1);
        let bytes = png_bytes(&img).unwrap();
        assert_eq!(image::load_from_memory(&bytes).unwrap().to_rgb8(), img);
    }
}
