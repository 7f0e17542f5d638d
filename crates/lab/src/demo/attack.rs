//! Presentation attacks, drawn: a photograph or a screen held by hand before a real background.
//!
//! From one picture of a person and one of a place: the picture lies on a sheet of paper or in a phone,
//! which is moved, tilted and bent by a hand with its tremor (8 to 12 Hz, some tenths of a pixel; drift
//! below 1 Hz, some pixels), shows its borders, a finger or two, glare, and the raster of print (halftone
//! dots) or of a screen (pixels, which beat with the sensor's: moiré; the refresh's bands; a bezel). The
//! figures of an attack follow from its seed alone. It is a test of the liveness cues, not a proof: a real
//! print under real light looks different, see `docs/design/liveness.md`.

use std::f32::consts::{PI, TAU};
use std::time::Duration;

use image::RgbImage;
use image::imageops::{FilterType, resize};

use super::noise::Noise;
use facelatch_core::picture::{Gray, Rect};
use facelatch_core::time::Timestamp;
use facelatch_edges::camera::{CameraError, Frame, FrameSource, Next};

/// Width and height of a frame in pixels.
pub const FRAME_SIZE: (u32, u32) = (640, 480);

/// Frames a second.
pub const FRAME_RATE: u32 = 20;

/// What is held in front of the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A printed photograph.
    Print,
    /// A photograph on a phone or tablet.
    Screen,
}

impl Kind {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Print => "print",
            Kind::Screen => "screen",
        }
    }
}

/// The figures of one attack. Lengths are in widths of the face, unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Print or screen.
    pub kind: Kind,
    /// Width of the face in the frame, pixels.
    pub face: f32,
    /// Where the face is in the frame, pixels.
    pub at: (f32, f32),
    /// What of the picture is shown: left, right, above and below the face's centre.
    pub shown: [f32; 4],
    /// Paper or bezel around it, and its gray value.
    pub margin: (f32, f32),
    /// Drift of the hand, pixels, and its frequency in Hz.
    pub drift: (f32, f32),
    /// Tremor of the hand, pixels, and its frequency in Hz.
    pub tremor: (f32, f32),
    /// Largest rotation in the image plane, radians.
    pub roll: f32,
    /// Largest growth by moving nearer, as a share.
    pub nearer: f32,
    /// Largest perspective by tilting, as a share over a face's width.
    pub tilt: f32,
    /// Bend of the sheet: curvature, and how much it changes.
    pub bend: (f32, f32),
    /// A hand that turns the sheet as a head would turn: the largest angle to either side and up and down,
    /// radians, and the frequency in Hz. It begins straight.
    pub turned: ([f32; 2], f32),
    /// Glare: strength in gray levels, and its spread.
    pub glare: (f32, f32),
    /// Fingers at the border.
    pub fingers: u32,
    /// Black and white of the medium, and the exponent of its tones.
    pub tones: (f32, f32, f32),
    /// Raster: pitch in frame pixels, and its strength as a share.
    pub raster: (f32, f32),
    /// Bands of the refresh: strength as a share, and their number a frame.
    pub bands: (f32, f32),
    /// Blur of the lens, standard deviation in pixels.
    pub blur: f32,
    /// Noise of the sensor, standard deviation in gray levels.
    pub noise: f32,
    /// Seed of phases and noise.
    pub seed: u64,
}

impl Figures {
    /// The figures that follow from a seed.
    pub fn drawn(kind: Kind, seed: u64) -> Self {
        let mut chance = Noise::new(seed.wrapping_mul(0x5851_F42D).wrapping_add(kind as u64 + 1));
        let mut within = |low: f32, high: f32| low + (high - low) * chance.share();
        let print = kind == Kind::Print;
        Figures {
            kind,
            face: within(95.0, 190.0),
            at: (within(250.0, 390.0), within(200.0, 280.0)),
            shown: [within(0.62, 1.5), within(0.62, 1.5), within(0.75, 1.4), within(0.75, 1.5)],
            margin: if print {
                (within(-0.15, 0.15).max(0.0), within(190.0, 250.0))
            } else {
                (within(0.06, 0.2), within(8.0, 50.0))
            },
            drift: (within(1.0, 14.0), within(0.15, 0.9)),
            tremor: (within(0.15, 1.1), within(8.0, 12.0)),
            roll: within(0.005, 0.12),
            nearer: within(0.0, 0.12),
            tilt: within(0.0, 0.09),
            bend: if print { (within(-0.5, 0.5), within(0.0, 0.12)) } else { (0.0, 0.0) },
            turned: ([0.0; 2], 0.0),
            glare: (within(-40.0, 90.0).max(0.0), within(0.2, 0.9)),
            fingers: within(0.0, 3.99) as u32,
            tones: (within(5.0, 60.0), within(190.0, 250.0), within(0.75, 1.35)),
            raster: (within(1.3, 3.6), if print { within(0.0, 0.22) } else { within(0.03, 0.3) }),
            bands: if print { (0.0, 0.0) } else { (within(-0.04, 0.1).max(0.0), within(0.6, 2.5)) },
            blur: within(0.4, 1.2),
            noise: within(1.0, 4.0),
            seed,
        }
    }

    /// How the medium is held after `t` seconds.
    fn pose(&self, t: f32) -> Pose {
        let phase = |n: u64| TAU * Noise::new(self.seed ^ (n << 40)).share();
        let swing = |n: u64, hz: f32| (TAU * hz * t + phase(n)).sin();
        let (drift, slow) = self.drift;
        let (tremor, fast) = self.tremor;
        let shift = |n: u64| {
            drift * (0.7 * swing(n, slow) + 0.3 * swing(n + 1, 2.3 * slow))
                + tremor * (0.6 * swing(n + 2, fast) + 0.4 * swing(n + 3, 0.83 * fast))
        };
        Pose {
            x: self.at.0 + shift(1),
            y: self.at.1 + 0.7 * shift(11),
            face: self.face * (1.0 + self.nearer * swing(21, 0.6 * slow)),
            roll: self.roll * (0.9 * swing(22, 0.8 * slow) + 0.02 * swing(23, fast)),
            tilt: (self.tilt * swing(24, 0.9 * slow), 0.7 * self.tilt * swing(25, 0.7 * slow)),
            bend: self.bend.0 + self.bend.1 * swing(26, 0.7 * slow),
            turned: self.turned.0.map(|angle| angle * (TAU * self.turned.1 * t).sin()),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Pose {
    x: f32,
    y: f32,
    face: f32,
    roll: f32,
    tilt: (f32, f32),
    bend: f32,
    turned: [f32; 2],
}

impl Pose {
    /// Where a place of the turned sheet is seen, both in widths of the face from the sheet's centre.
    fn seen(&self, u: f32, v: f32) -> (f32, f32) {
        // A bent sheet is a piece of an upright cylinder.
        let angle = self.bend * u;
        let (x, z) = match self.bend.abs() > 1e-3 {
            true => (angle.sin() / self.bend, (1.0 - angle.cos()) / self.bend),
            false => (u, 0.0),
        };
        let [(sin, cos), (dive, rise)] = self.turned.map(f32::sin_cos);
        let (x, z) = (cos * x - sin * z, sin * x + cos * z);
        let (y, z) = (rise * v - dive * z, dive * v + rise * z);
        let nearer = DISTANCE / (DISTANCE + z);
        (x * nearer, y * nearer)
    }

    /// The place of the sheet that is seen there.
    fn place(&self, x: f32, y: f32) -> (f32, f32) {
        if self.turned == [0.0; 2] {
            // A sheet bent about an upright axis is seen shorter the further it turns away.
            let bent = (self.bend * x).clamp(-0.95, 0.95);
            return (if self.bend.abs() > 1e-3 { bent.asin() / self.bend } else { x }, y);
        }
        let (mut u, mut v) = (x, y);
        for _ in 0..8 {
            let (seen_x, seen_y) = self.seen(u, v);
            (u, v) = (u + x - seen_x, v + y - seen_y);
        }
        (u, v)
    }
}

/// Of a sheet that is turned from the lens, in widths of the face.
const DISTANCE: f32 = 4.0;

/// A recording of an attack, drawn frame by frame.
#[derive(Clone)]
pub struct Attack {
    figures: Figures,
    picture: RgbImage,
    /// The face in the picture.
    face: Rect,
    place: RgbImage,
    frames: u64,
    next: u64,
}

impl std::fmt::Debug for Attack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attack({:?}, {} frames)", self.figures, self.frames)
    }
}

impl Attack {
    /// An attack of this many frames with `picture`, in which `face` is the face's box, before `place`.
    pub fn new(figures: Figures, picture: RgbImage, face: Rect, place: &RgbImage, frames: u64) -> Self {
        let place = match place.dimensions() {
            FRAME_SIZE => place.clone(),
            _ => resize(place, FRAME_SIZE.0, FRAME_SIZE.1, FilterType::Triangle),
        };
        Attack { figures, picture, face, place, frames, next: 0 }
    }

    /// Its figures.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Number of frames.
    pub fn len(&self) -> u64 {
        self.frames
    }

    /// Whether there are no frames at all.
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Draws frame `n`.
    pub fn frame(&self, n: u64) -> RgbImage {
        let t = n as f32 / FRAME_RATE as f32;
        let mut img = self.place.clone();
        self.draw(&mut img, &self.figures.pose(t), t);
        let mut img = imageproc::filter::gaussian_blur_f32(&img, self.figures.blur);
        let mut noise = Noise::new(self.figures.seed.wrapping_mul(0x9E37_79B9).wrapping_add(n));
        for p in img.pixels_mut() {
            let common = noise.normal() * self.figures.noise;
            for v in &mut p.0 {
                *v = (f32::from(*v) + common + noise.normal() * 0.4 * self.figures.noise + 0.5)
                    .clamp(0.0, 255.0) as u8;
            }
        }
        img
    }

    fn draw(&self, img: &mut RgbImage, pose: &Pose, t: f32) {
        let f = &self.figures;
        let (sin, cos) = pose.roll.sin_cos();
        let reach = (f.shown.iter().fold(0.0_f32, |a, b| a.max(*b)) + f.margin.0 + 0.3) * 1.6 * pose.face;
        let (w, h) = img.dimensions();
        let limit = |v: f32, end: u32| v.clamp(0.0, end as f32) as u32;
        let scale = self.face.width as f32;
        let centre = (
            self.face.x as f32 + self.face.width as f32 / 2.0,
            self.face.y as f32 + self.face.height as f32 / 2.0,
        );
        let fingers = self.fingers();
        let [left, right, above, below] = self.limits(centre, scale);
        for y in limit(pose.y - reach, h)..limit(pose.y + reach, h) {
            for x in limit(pose.x - reach, w)..limit(pose.x + reach, w) {
                // From the frame to the sheet, in widths of the face from its centre.
                let (dx, dy) = ((x as f32 - pose.x) / pose.face, (y as f32 - pose.y) / pose.face);
                let (dx, dy) = (cos * dx + sin * dy, cos * dy - sin * dx);
                let depth = 1.0 - pose.tilt.0 * dx - pose.tilt.1 * dy;
                let (u, v) = pose.place(dx / depth, dy / depth);
                if let Some(skin) = fingers.iter().find_map(|finger| finger.at(u, v)) {
                    let p = img.get_pixel_mut(x, y);
                    p.0 = [skin, 0.78 * skin, 0.66 * skin].map(|v| v as u8);
                    continue;
                }
                let outside = (-u - left).max(u - right).max(-v - above).max(v - below);
                if outside > f.margin.0 {
                    continue;
                }
                let mut rgb = if outside > 0.0 {
                    [f.margin.1; 3]
                } else {
                    let rgb = sample(&self.picture, centre.0 + u * scale, centre.1 + v * scale);
                    self.shown(rgb, u * f.face, v * f.face)
                };
                let (glare, spread) = f.glare;
                if glare > 0.0 {
                    // The light stays where it is: its reflection wanders over the sheet as that tilts.
                    let gx = u - 0.5 * (f.seed % 7) as f32 / 7.0 + 6.0 * pose.tilt.0;
                    let gy = v + 0.6 * (f.seed % 5) as f32 / 5.0 - 0.3 + 6.0 * pose.tilt.1;
                    let light = glare * (-(gx * gx + gy * gy) / (2.0 * spread * spread)).exp();
                    rgb.iter_mut().for_each(|c| *c += light);
                }
                let (bands, number) = f.bands;
                if bands > 0.0 && outside <= 0.0 {
                    let band = (TAU * (number * y as f32 / h as f32 + 1.7 * t)).sin();
                    rgb.iter_mut().for_each(|c| *c *= 1.0 + bands * band);
                }
                img.get_pixel_mut(x, y).0 = rgb.map(|c| (c + 0.5).clamp(0.0, 255.0) as u8);
            }
        }
    }

    /// What is shown of the picture, which may be smaller than the figures ask for.
    fn limits(&self, centre: (f32, f32), scale: f32) -> [f32; 4] {
        let (w, h) = (self.picture.width() as f32 - 1.5, self.picture.height() as f32 - 1.5);
        let there = [centre.0, w - centre.0, centre.1, h - centre.1];
        std::array::from_fn(|i| self.figures.shown[i].min(there[i] / scale))
    }

    /// The medium's tones and raster at a place of the sheet in frame pixels.
    fn shown(&self, rgb: [f32; 3], x: f32, y: f32) -> [f32; 3] {
        let f = &self.figures;
        let (black, white, gamma) = f.tones;
        let (pitch, strength) = f.raster;
        let toned = rgb.map(|c| black + (white - black) * (c / 255.0).clamp(0.0, 1.0).powf(gamma));
        match f.kind {
            Kind::Print => {
                // Dots in rows at 45 degrees, larger where it is darker.
                let (a, b) = ((x + y) * PI / pitch, (x - y) * PI / pitch);
                let dot = a.sin() * b.sin();
                let dark = 1.0 - (toned[1] - black) / (white - black).max(1.0);
                toned.map(|c| c * (1.0 + strength * dot * (0.4 + dark)))
            }
            Kind::Screen => {
                // Three stripes a pixel, and a gap between rows.
                let rows = (TAU * y / pitch).sin();
                std::array::from_fn(|i| {
                    let column = (TAU * (x / pitch + i as f32 / 3.0)).sin();
                    toned[i] * (1.0 + strength * (0.5 * column + 0.5 * rows))
                })
            }
        }
    }

    fn fingers(&self) -> Vec<Finger> {
        let f = &self.figures;
        let mut chance = Noise::new(f.seed ^ 0xF16E_0000);
        let mut within = |low: f32, high: f32| low + (high - low) * chance.share();
        (0..f.fingers)
            .map(|n| {
                let edge = (n + (f.seed % 2) as u32) % 2;
                let side = if edge == 0 { -f.shown[0] - f.margin.0 } else { f.shown[1] + f.margin.0 };
                Finger {
                    centre: (side, within(-0.2, f.shown[3])),
                    half: (within(0.15, 0.3), within(0.06, 0.1)),
                    skin: within(110.0, 220.0),
                }
            })
            .collect()
    }
}

/// A finger over the border: an ellipse on the sheet.
struct Finger {
    centre: (f32, f32),
    half: (f32, f32),
    skin: f32,
}

impl Finger {
    /// Its red value where it covers the sheet, darker towards its rim.
    fn at(&self, u: f32, v: f32) -> Option<f32> {
        let (x, y) = ((u - self.centre.0) / self.half.0, (v - self.centre.1) / self.half.1);
        let r = x * x + y * y;
        (r < 1.0).then_some(self.skin * (1.0 - 0.35 * r))
    }
}

/// The picture's colour between pixels, bilinear, its edge repeated.
fn sample(picture: &RgbImage, x: f32, y: f32) -> [f32; 3] {
    let (w, h) = picture.dimensions();
    let (x, y) = (x.clamp(0.0, w as f32 - 1.0), y.clamp(0.0, h as f32 - 1.0));
    let (x0, y0) = (x as u32, y as u32);
    let (x1, y1) = ((x0 + 1).min(w - 1), (y0 + 1).min(h - 1));
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let at = |x, y| picture.get_pixel(x, y).0;
    let (a, b, c, d) = (at(x0, y0), at(x1, y0), at(x0, y1), at(x1, y1));
    std::array::from_fn(|i| {
        let [a, b, c, d] = [a[i], b[i], c[i], d[i]].map(f32::from);
        let (above, below) = (a + (b - a) * fx, c + (d - c) * fx);
        above + (below - above) * fy
    })
}

impl FrameSource for Attack {
    /// The next frame at once, whatever `wait` says: time is simulated.
    fn next(&mut self, _wait: Duration) -> Result<Next, CameraError> {
        let n = self.next;
        if n >= self.frames {
            return Ok(Next::End);
        }
        self.next += 1;
        let colour = self.frame(n);
        let (w, h) = (colour.width() as usize, colour.height() as usize);
        // The sizes agree: the frame was drawn as large as that.
        let gray = Gray::from_rgb(w, h, colour.as_raw()).unwrap_or_default();
        let captured = Timestamp::from_nanos(n * (1_000_000_000 / u64::from(FRAME_RATE)));
        Ok(Next::Frame(Frame { captured, sequence: n, gray, colour: Some(colour) }))
    }

    fn describe(&self) -> String {
        format!("a simulated {} ({} frames)", self.figures.kind.name(), self.frames)
    }
}
