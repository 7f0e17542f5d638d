//! The contact sheet of a play, gathered while it runs.

use image::RgbImage;
use image::imageops::{FilterType, resize};

use crate::attempt::Played;
use crate::draw::sheet::{SheetSection, Tile, TileState, Tone, choose_frames};
use crate::picture::Rect;
use facelatch_core::strike::StrikeState;

/// Frames are kept at this width: a sheet shows them no larger.
const WIDTH: u32 = 320;

struct Kept {
    picture: RgbImage,
    boxes: Vec<Rect>,
    state: TileState,
    window: (usize, usize),
    released: bool,
    caption: String,
    important: bool,
}

/// The frames of one play, made small.
#[derive(Default)]
pub struct PlaySheet {
    frames: Vec<Kept>,
}

impl PlaySheet {
    /// Keeps a frame.
    pub fn add(&mut self, played: &Played<'_>) {
        let (width, height) = (played.frame.gray.width() as u32, played.frame.gray.height() as u32);
        let full = played.frame.colour.clone().unwrap_or_else(|| {
            RgbImage::from_fn(width, height, |x, y| {
                let value = played.frame.gray.view().row(y as usize)[x as usize];
                image::Rgb([value; 3])
            })
        });
        let small_height = (height * WIDTH).div_ceil(width.max(1)).max(1);
        let scale = |v: i32| (i64::from(v) * i64::from(WIDTH) / i64::from(width.max(1))) as i32;
        let mean = match played.state {
            TileState::Identified { mean, .. } | TileState::Unknown { mean } => format!("  mean {mean:.2}"),
            _ => String::new(),
        };
        let important = self.frames.last().is_some_and(|last| {
            std::mem::discriminant(&last.state) != std::mem::discriminant(&played.state)
                && !matches!(played.state, TileState::NoFace)
        });
        self.frames.push(Kept {
            picture: resize(&full, WIDTH, small_height, FilterType::Triangle),
            boxes: played
                .faces
                .iter()
                .map(|f| Rect::new(scale(f.x), scale(f.y), scale(f.width), scale(f.height)))
                .collect(),
            state: played.state.clone(),
            window: played.window,
            released: played.strike == StrikeState::Released,
            caption: format!("frame {}  {:.2} s{mean}", played.index, played.frame.captured.as_secs_f64()),
            important,
        });
    }

    /// The section of a sheet with at most `count` of the frames: those where something changed, and
    /// others in between.
    pub fn section(&self, heading: &str, outcome: &str, tone: Tone, count: usize) -> SheetSection<'_> {
        let releases =
            (1..self.frames.len()).filter(|&n| self.frames[n].released && !self.frames[n - 1].released);
        let changes = (0..self.frames.len()).filter(|&n| self.frames[n].important);
        let important: Vec<usize> = releases.chain(changes).take(count / 2).collect();
        let tiles = choose_frames(self.frames.len(), count, &important)
            .into_iter()
            .map(|n| &self.frames[n])
            .map(|kept| Tile {
                picture: &kept.picture,
                boxes: kept.boxes.clone(),
                state: kept.state.clone(),
                window: (kept.window.0 > 0).then_some(kept.window),
                released: kept.released,
                caption: kept.caption.clone(),
            })
            .collect();
        SheetSection { heading: heading.to_owned(), outcome: outcome.to_owned(), tone, tiles }
    }
}
