//! The contact sheet of an attempt: chosen frames in reading order, each with the face's box and
//! what was decided at that frame, in the words and colours of the reference system.

use image::RgbImage;
use image::imageops::{FilterType, replace, resize};

use super::{Colour, Font, colour, fill_rect, frame_box, label, label_size, text};
use facelatch_core::picture::Rect;

/// What a frame shows.
#[derive(Clone, Debug, PartialEq)]
pub enum TileState {
    /// Nobody is there.
    NoFace,
    /// More than one face: nobody is identified.
    SeveralFaces,
    /// A face that cannot be judged, and why (`"come nearer"`).
    QualityIssue {
        /// The reason or what helps, a few words.
        reason: String,
    },
    /// Enrolment counts down.
    Countdown {
        /// Seconds left.
        seconds: u32,
    },
    /// The true picture has just been taken.
    Enrolled {
        /// Who was enrolled.
        name: String,
    },
    /// Fewer scores than the window holds.
    Identifying,
    /// The window is full and its mean reaches the threshold.
    Identified {
        /// Who it is.
        name: String,
        /// Mean similarity of the window.
        mean: f32,
    },
    /// The window is full and its mean stays below the threshold.
    Unknown {
        /// Mean similarity of the window.
        mean: f32,
    },
}

impl TileState {
    /// The words above the box.
    pub fn words(&self) -> String {
        match self {
            TileState::NoFace => "No face".into(),
            TileState::SeveralFaces => "Several faces".into(),
            TileState::QualityIssue { reason } => reason.clone(),
            TileState::Countdown { seconds } => format!("Image will be taken in {seconds}.."),
            TileState::Enrolled { name } => format!("Enrolled: {name}"),
            TileState::Identifying => "Identifying ...".into(),
            TileState::Identified { name, .. } => format!("Identity: {name}"),
            TileState::Unknown { .. } => "Identity Unknown!".into(),
        }
    }

    /// The colour of box and words.
    pub fn colour(&self) -> Colour {
        match self {
            TileState::NoFace | TileState::SeveralFaces | TileState::QualityIssue { .. } => colour::GRAY,
            TileState::Countdown { .. } | TileState::Enrolled { .. } => colour::BLUE,
            TileState::Identifying => colour::ORANGE,
            TileState::Identified { .. } => colour::GREEN,
            TileState::Unknown { .. } => colour::RED,
        }
    }
}

/// One frame of a sheet.
#[derive(Clone, Debug)]
pub struct Tile<'a> {
    /// The frame, of any size.
    pub picture: &'a RgbImage,
    /// The boxes of its faces, in the frame's pixels.
    pub boxes: Vec<Rect>,
    /// What was decided at this frame.
    pub state: TileState,
    /// Scores in the window and the window's size, drawn as a bar while the window fills; `None`
    /// draws no bar.
    pub window: Option<(usize, usize)>,
    /// Whether the strike was released at this frame.
    pub released: bool,
    /// One line below the frame: its number, time, mean.
    pub caption: String,
}

/// Whether a section ended as a door should open, stay shut, or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something was granted.
    Good,
    /// Something was refused.
    Bad,
    /// Nothing happened.
    Neutral,
    /// Something was taught: an enrolment.
    Taught,
}

impl Tone {
    fn colour(self) -> Colour {
        match self {
            Tone::Good => colour::GREEN,
            Tone::Bad => colour::RED,
            Tone::Neutral => colour::GRAY,
            Tone::Taught => colour::BLUE,
        }
    }
}

/// One play: a heading, its outcome and its frames.
#[derive(Clone, Debug)]
pub struct SheetSection<'a> {
    /// What is shown.
    pub heading: String,
    /// How it ended, one to three words on a coloured ground.
    pub outcome: String,
    /// The colour of the outcome.
    pub tone: Tone,
    /// The frames, in reading order.
    pub tiles: Vec<Tile<'a>>,
}

/// A whole sheet.
#[derive(Clone, Debug)]
pub struct Sheet<'a> {
    /// The title row.
    pub title: String,
    /// A line below the title.
    pub subtitle: String,
    /// The plays, from top to bottom.
    pub sections: Vec<SheetSection<'a>>,
    /// Frames in a row, at least 1.
    pub columns: usize,
    /// Width of a frame on the sheet in pixels.
    pub tile_width: u32,
}

const GROUND: Colour = image::Rgb([21, 24, 30]);
const BAND: Colour = image::Rgb([32, 37, 46]);
const TILE: Colour = image::Rgb([12, 14, 18]);
const MUTED: Colour = image::Rgb([150, 156, 166]);
const MARGIN: i32 = 14;
const GAP: i32 = 8;
const TITLE: i32 = 58;
const HEADING: i32 = 30;
const CAPTION: i32 = 19;
const LEGEND: i32 = 26;

impl Sheet<'_> {
    /// Draws the sheet.
    ///
    /// All frames of a sheet get the shape of its first one.
    pub fn draw(&self) -> RgbImage {
        let columns = self.columns.max(1);
        let tile_w = self.tile_width.clamp(80, 4096) as i32;
        let shape = self.sections.iter().flat_map(|s| &s.tiles).map(|t| t.picture.dimensions());
        let tile_h = shape.into_iter().find(|(w, h)| *w > 0 && *h > 0).map_or(tile_w * 3 / 4, |(w, h)| {
            let high = f64::from(tile_w) * f64::from(h) / f64::from(w);
            high.round().clamp(16.0, 8192.0) as i32
        });
        let row_h = tile_h + CAPTION + GAP;
        let rows = |s: &SheetSection| s.tiles.len().div_ceil(columns) as i32;
        let width = 2 * MARGIN + columns as i32 * (tile_w + GAP) - GAP;
        let body: i32 = self.sections.iter().map(|s| HEADING + GAP + rows(s) * row_h + GAP).sum();
        let height = TITLE + MARGIN + body + LEGEND;

        let mut img = RgbImage::from_pixel(width as u32, height as u32, GROUND);
        fill_rect(&mut img, Rect::new(0, 0, width, TITLE), BAND);
        let room = (width - 2 * MARGIN) as u32;
        text(&mut img, MARGIN, 9, Font::Large, colour::WHITE, &Font::Large.fit(&self.title, room));
        text(&mut img, MARGIN, 35, Font::Small, MUTED, &Font::Small.fit(&self.subtitle, room));

        let mut y = TITLE + MARGIN;
        for section in &self.sections {
            heading(&mut img, y, width, section);
            y += HEADING + GAP;
            for (i, tile) in section.tiles.iter().enumerate() {
                let x = MARGIN + (i % columns) as i32 * (tile_w + GAP);
                let top = y + (i / columns) as i32 * row_h;
                draw_tile(&mut img, Rect::new(x, top, tile_w, tile_h), tile);
            }
            y += rows(section) * row_h + GAP;
        }
        legend(&mut img, y + 2, self);
        img
    }
}

/// The band above a section: heading on the left, outcome on the right.
fn heading(img: &mut RgbImage, y: i32, width: i32, section: &SheetSection) {
    let band = Rect::new(MARGIN, y, width - 2 * MARGIN, HEADING);
    fill_rect(img, band, BAND);
    fill_rect(img, Rect::new(MARGIN, y, 4, HEADING), section.tone.colour());
    let (badge_w, badge_h) = label_size(Font::Bold, 4, &section.outcome);
    let room = (band.width - badge_w - 24).max(0) as u32;
    text(img, MARGIN + 12, y + 6, Font::Heading, colour::WHITE, &Font::Heading.fit(&section.heading, room));
    let at = (MARGIN + band.width - badge_w - 5, y + (HEADING - badge_h) / 2);
    label(img, at, 4, Font::Bold, colour::BLACK, section.tone.colour(), &section.outcome);
}

fn draw_tile(img: &mut RgbImage, place: Rect, tile: &Tile) {
    let tint = tile.state.colour();
    let (w, h) = (place.width as u32, place.height as u32);
    let (from_w, from_h) = tile.picture.dimensions();
    let mut small = if from_w == 0 || from_h == 0 {
        RgbImage::from_pixel(w, h, TILE)
    } else {
        resize(tile.picture, w, h, FilterType::Triangle)
    };
    let (sx, sy) = (f64::from(w) / f64::from(from_w.max(1)), f64::from(h) / f64::from(from_h.max(1)));
    let scaled = |r: &Rect| {
        let x = (f64::from(r.x) * sx).round() as i32;
        let y = (f64::from(r.y) * sy).round() as i32;
        let right = (f64::from(r.x.saturating_add(r.width)) * sx).round() as i32;
        let bottom = (f64::from(r.y.saturating_add(r.height)) * sy).round() as i32;
        Rect::new(x, y, right.saturating_sub(x).max(1), bottom.saturating_sub(y).max(1))
    };
    let boxes: Vec<Rect> = tile.boxes.iter().map(scaled).collect();
    for b in &boxes {
        frame_box(&mut small, *b, tint, 3);
    }
    if tile.released {
        frame_box(&mut small, Rect::new(2, 2, place.width - 4, place.height - 4), colour::GREEN, 5);
    }
    words(&mut small, &boxes, &tile.state);
    if tile.released {
        let badge = "STRIKE RELEASED";
        let (bw, bh) = label_size(Font::Bold, 3, badge);
        let at = ((place.width - bw) / 2, place.height - bh - 8);
        label(&mut small, at, 3, Font::Bold, colour::BLACK, colour::GREEN, badge);
    }
    replace(img, &small, i64::from(place.x), i64::from(place.y));

    let strip = Rect::new(place.x, place.y + place.height, place.width, CAPTION);
    fill_rect(img, strip, TILE);
    fill_rect(img, Rect::new(strip.x, strip.y, 3, CAPTION), tint);
    let mut room = strip.width - 10;
    if let Some((have, of)) = tile.window.filter(|(have, of)| have < of) {
        let bar = 45.min(strip.width / 4);
        let x = strip.x + strip.width - bar - 5;
        fill_rect(img, Rect::new(x, strip.y + 7, bar, 6), BAND);
        let filled = (bar as i64 * have.min(of) as i64 / of as i64) as i32;
        fill_rect(img, Rect::new(x, strip.y + 7, filled, 6), tint);
        room -= bar + 8;
    }
    let caption = Font::Small.fit(&tile.caption, room.max(0) as u32);
    text(img, strip.x + 8, strip.y + 3, Font::Small, colour::WHITE, &caption);
}

/// The state's words: above the first box, below it where there is no room, in the middle when
/// there is no box; always wholly inside the picture if they fit at all.
fn words(small: &mut RgbImage, boxes: &[Rect], state: &TileState) {
    let (w, h) = (small.width() as i32, small.height() as i32);
    let font = if w >= 200 { Font::Bold } else { Font::Small };
    let said = font.fit(&state.words(), (w - 6).max(0) as u32);
    let (lw, lh) = label_size(font, 2, &said);
    let (x, y) = match boxes.first() {
        None => ((w - lw) / 2, (h - lh) / 2),
        Some(b) => {
            let above = b.y - lh - 2;
            let below = b.y + b.height + 2;
            (b.x + (b.width - lw) / 2, if above >= 0 || below + lh > h { above } else { below })
        }
    };
    let at = (x.clamp(0, (w - lw).max(0)), y.clamp(0, (h - lh).max(0)));
    let ground = if boxes.is_empty() { TILE } else { state.colour() };
    let ink = if boxes.is_empty() { colour::WHITE } else { colour::BLACK };
    label(small, at, 2, font, ink, ground, &said);
}

/// One row that explains the colours that occur on the sheet.
fn legend(img: &mut RgbImage, y: i32, sheet: &Sheet) {
    let entries = [
        (colour::BLUE, "enrolling"),
        (colour::ORANGE, "identifying (window filling)"),
        (colour::GREEN, "identified"),
        (colour::RED, "unknown"),
        (colour::GRAY, "no usable face"),
    ];
    let mut x = MARGIN;
    for (tint, meaning) in entries {
        let tiles = || sheet.sections.iter().flat_map(|s| &s.tiles);
        if tiles().any(|t| t.state.colour() == tint) {
            fill_rect(img, Rect::new(x, y, 11, 11), tint);
            text(img, x + 17, y - 1, Font::Small, MUTED, meaning);
            x += 17 + Font::Small.width_of(meaning) as i32 + 22;
        }
    }
}

/// Chooses at most `count` of `total` frames for a sheet: all of `important` (in order of
/// importance, while there is room), the rest spread evenly over the gaps. Ascending, no repeats.
pub fn choose_frames(total: usize, count: usize, important: &[usize]) -> Vec<usize> {
    let count = count.min(total);
    let mut chosen: Vec<usize> = Vec::with_capacity(count);
    for &i in important {
        if chosen.len() < count && i < total && !chosen.contains(&i) {
            chosen.push(i);
        }
    }
    while chosen.len() < count {
        // The frame furthest from every chosen one; with none chosen yet, the first.
        let distance = |i: usize| chosen.iter().map(|c| c.abs_diff(i)).min().unwrap_or(total - i);
        let Some(next) = (0..total).max_by_key(|&i| (distance(i), std::cmp::Reverse(i))) else { break };
        chosen.push(next);
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(picture: &RgbImage, state: TileState) -> Tile<'_> {
        let boxes = vec![Rect::new(160, 120, 320, 320)];
        Tile {
            picture,
            boxes,
            state,
            window: Some((5, 15)),
            released: false,
            caption: "frame 7  0.35 s".into(),
        }
    }

    fn sheet<'a>(tiles: Vec<Tile<'a>>) -> Sheet<'a> {
        let section =
            SheetSection { heading: "Walk-up".into(), outcome: "RELEASED".into(), tone: Tone::Good, tiles };
        Sheet {
            title: "Title".into(),
            subtitle: "what this is".into(),
            sections: vec![section],
            columns: 3,
            tile_width: 160,
        }
    }

    #[test]
    fn the_words_of_the_reference() {
        assert_eq!(TileState::Identifying.words(), "Identifying ...");
        assert_eq!(TileState::Identified { name: "EVA".into(), mean: 0.4 }.words(), "Identity: EVA");
        assert_eq!(TileState::Unknown { mean: 0.1 }.words(), "Identity Unknown!");
        assert_eq!(TileState::Countdown { seconds: 3 }.words(), "Image will be taken in 3..");
    }

    #[test]
    fn each_tile_has_its_box_in_its_colour_at_its_place() {
        let frame = RgbImage::from_pixel(640, 480, image::Rgb([90, 90, 90]));
        let states = [
            TileState::Identifying,
            TileState::Identified { name: "EVA".into(), mean: 0.5 },
            TileState::Unknown { mean: 0.1 },
            TileState::SeveralFaces,
        ];
        let img = sheet(states.iter().map(|s| tile(&frame, s.clone())).collect()).draw();
        assert_eq!(img.width(), (2 * MARGIN + 3 * 160 + 2 * GAP) as u32);
        for (i, state) in states.iter().enumerate() {
            let x = MARGIN + (i as i32 % 3) * (160 + GAP);
            let y = TITLE + MARGIN + HEADING + GAP + (i as i32 / 3) * (120 + CAPTION + GAP);
            // The box (160, 120, 320, 320) is drawn at a quarter: left edge 40, lower edge 109.
            for (dx, dy) in [(40, 70), (119, 70), (80, 109)] {
                let p = img.get_pixel((x + dx) as u32, (y + dy) as u32);
                assert_eq!(*p, state.colour(), "tile {i} at {dx},{dy}");
            }
            assert_eq!(img.get_pixel((x + 80) as u32, (y + 90) as u32).0, [90; 3], "tile {i}");
        }
    }

    #[test]
    fn the_frame_of_release_stands_out() {
        let frame = RgbImage::from_pixel(640, 480, image::Rgb([90, 90, 90]));
        let quiet = tile(&frame, TileState::Identified { name: "EVA".into(), mean: 0.5 });
        let released = Tile { released: true, ..quiet.clone() };
        let img = sheet(vec![quiet, released]).draw();
        let (x, y) = (MARGIN as u32, (TITLE + MARGIN + HEADING + GAP) as u32);
        assert_eq!(img.get_pixel(x + 1, y + 60).0, [90; 3]);
        assert_eq!(*img.get_pixel(x + 160 + GAP as u32 + 1, y + 60), colour::GREEN);
    }

    #[test]
    fn odd_sheets_do_not_panic() {
        let none = RgbImage::new(0, 0);
        let one = RgbImage::new(1, 1);
        let mut odd =
            tile(&none, TileState::QualityIssue { reason: "far too small to be of any use".into() });
        odd.boxes.push(Rect::new(i32::MIN, i32::MAX, i32::MAX, 0));
        odd.window = Some((9, 0));
        let mut second = odd.clone();
        second.picture = &one;
        let mut s = sheet(vec![odd, second]);
        s.columns = 0;
        s.tile_width = 0;
        s.draw();
        sheet(vec![]).draw();
    }

    #[test]
    fn chosen_frames_keep_what_matters() {
        assert_eq!(choose_frames(100, 5, &[0, 99, 31]), [0, 31, 48, 65, 99]);
        assert_eq!(choose_frames(3, 9, &[2, 2, 7]), [0, 1, 2]);
        assert_eq!(choose_frames(0, 4, &[1]), [0usize; 0]);
        assert_eq!(choose_frames(10, 2, &[4, 5, 6]), [4, 5]);
    }
}
