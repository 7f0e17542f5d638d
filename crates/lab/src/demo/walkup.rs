//! Synthetic walk-ups: somebody enters a hall, comes nearer, stands before the door and leaves.
//!
//! Everything follows from the portrait, the [`Walk`] and a seed: the same walk gives the same
//! frames on the same machine. The light, the path, the tilt and the sensor's noise of two walks
//! differ by their figures, so that the probe never shows the pixels that were enrolled.

use std::f32::consts::{PI, TAU};
use std::time::Duration;

use image::{Rgb, RgbImage};

use super::noise::Noise;
use super::portrait::Portrait;
use crate::draw::{fill_rect, line};
use facelatch_core::picture::{Gray, Rect, luma};
use facelatch_core::time::Timestamp;
use facelatch_edges::camera::{CameraError, Frame, FrameSource, Next};

/// Width and height of a frame in pixels.
pub const FRAME_SIZE: (u32, u32) = (640, 480);

/// Frames a second.
pub const FRAME_RATE: u32 = 20;

/// The light of a scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Light {
    /// Factor on all colours, around 1.
    pub gain: f32,
    /// Exponent on the colours as shares of 255, around 1; above 1 is darker.
    pub gamma: f32,
    /// Light from the side: -1 (all from the left) to 1 (all from the right).
    pub side: f32,
    /// Factor on red, and divisor of blue, around 1.
    pub warmth: f32,
    /// How much the light changes over time, as a share.
    pub flicker: f32,
}

/// A head that turns or nods as a solid thing does, there and back: what is nearer moves further.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DrawnGesture {
    /// Angle to one side, radians.
    pub turn: f32,
    /// Angle downwards, radians.
    pub nod: f32,
    /// Its start, in seconds after the person stands still.
    pub after: f32,
    /// Seconds there and back; 0 for none.
    pub time: f32,
}

impl DrawnGesture {
    /// None.
    pub const NONE: DrawnGesture = DrawnGesture { turn: 0.0, nod: 0.0, after: 0.0, time: 0.0 };

    /// Sines of the turn and of the nod, `standing` seconds after the person stands.
    fn angles(&self, standing: f32) -> [f32; 2] {
        let share = (standing - self.after) / self.time.max(1e-6);
        let way = if (0.0..=1.0).contains(&share) { (share * PI).sin() } else { 0.0 };
        [(way * self.turn).sin(), (way * self.nod).sin()]
    }
}

/// How far a place of a head lies before the plane of its eyes, in widths of the face, at a place in the same
/// unit from the face's centre: an ellipsoid, and a nose.
fn relief(u: f32, v: f32) -> f32 {
    let round = (1.0 - (u / 0.62).powi(2) - ((v + 0.05) / 0.85).powi(2)).max(0.0).sqrt();
    let bridge = if v < 0.14 { 0.075 } else { 0.008 };
    0.45 * (round - 1.0) + 0.14 * (-(u * u) / 0.009 - (v - 0.14).powi(2) / bridge).exp()
}

/// What happens in a walk-up. Lengths are seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Walk {
    /// Empty hall before anybody comes.
    pub empty_before: f32,
    /// From entering at the frame's edge to standing before the door.
    pub approach: f32,
    /// Standing before the door.
    pub stand: f32,
    /// Walking out of the frame.
    pub leave: f32,
    /// Empty hall at the end.
    pub empty_after: f32,
    /// Width of the face in pixels when entering.
    pub far: f32,
    /// Width of the face in pixels when standing.
    pub near: f32,
    /// Side from which the person comes: -1 left, 1 right. They leave on the other one.
    pub from: f32,
    /// Where the face is when standing, in pixels from the frame's top left corner.
    pub at: (f32, f32),
    /// Sway while standing, as a share of the face's width.
    pub sway: f32,
    /// Largest rotation in the image plane, degrees.
    pub roll: f32,
    /// Largest turn of the head: the share by which one half of the face looks narrower.
    pub turn: f32,
    /// What the person does with the head while standing.
    pub gesture: DrawnGesture,
    /// The light.
    pub light: Light,
    /// Blur of the lens, standard deviation in pixels.
    pub blur: f32,
    /// Noise of the sensor, standard deviation in gray levels.
    pub noise: f32,
    /// Seed of the noise and of the sway's phases.
    pub seed: u64,
}

impl Walk {
    /// The walk of an enrolment: bright, near, long enough for the 5 s countdown.
    pub const ENROLMENT: Walk = Walk {
        empty_before: 0.4,
        approach: 1.2,
        stand: 6.0,
        leave: 0.8,
        empty_after: 0.3,
        far: 66.0,
        near: 138.0,
        from: -1.0,
        at: (318.0, 212.0),
        sway: 0.05,
        roll: 1.5,
        turn: 0.03,
        gesture: DrawnGesture::NONE,
        light: Light { gain: 1.05, gamma: 0.95, side: 0.1, warmth: 1.0, flicker: 0.01 },
        blur: 0.6,
        noise: 2.0,
        seed: 1,
    };

    /// The walk of a later visit: in the evening, lit from the side, along another path and not as
    /// near.
    pub const VISIT: Walk = Walk {
        empty_before: 0.5,
        approach: 1.4,
        stand: 1.3,
        leave: 0.8,
        empty_after: 1.4,
        far: 60.0,
        near: 116.0,
        from: 1.0,
        at: (352.0, 196.0),
        sway: 0.12,
        roll: 4.0,
        turn: 0.07,
        gesture: DrawnGesture::NONE,
        light: Light { gain: 0.86, gamma: 1.15, side: -0.45, warmth: 1.07, flicker: 0.04 },
        blur: 0.9,
        noise: 4.0,
        seed: 2,
    };

    /// Three seconds in which nobody comes.
    pub const NOBODY: Walk = Walk {
        empty_before: 3.0,
        approach: 0.0,
        stand: 0.0,
        leave: 0.0,
        empty_after: 0.0,
        seed: 4,
        ..Walk::VISIT
    };

    /// The same walk with another seed.
    #[must_use]
    pub const fn seeded(mut self, seed: u64) -> Walk {
        self.seed = seed;
        self
    }

    /// Its length in seconds.
    pub fn seconds(&self) -> f32 {
        self.empty_before + self.approach + self.stand + self.leave + self.empty_after
    }

    /// Where the person is after `t` seconds; `None` before they enter and after they have left.
    fn pose(&self, t: f32) -> Option<Pose> {
        let (w, h) = (FRAME_SIZE.0 as f32, FRAME_SIZE.1 as f32);
        let phase = |n: u64| TAU * Noise::new(self.seed ^ (n << 32)).share();
        let inside = t - self.empty_before;
        let leaving = inside - self.approach - self.stand;
        if inside < 0.0 || leaving >= self.leave {
            return None;
        }
        // Walking at an even pace, the distance shrinks linearly and the width is its reciprocal.
        let nearer = smooth(inside / self.approach);
        let width = 1.0 / (1.0 / self.far + (1.0 / self.near - 1.0 / self.far) * nearer);
        let outside = |side: f32, width: f32| w / 2.0 + side * (w / 2.0 + 2.2 * width);
        let mut x = self.at.0 + (outside(self.from, self.far) - self.at.0) * (1.0 - nearer);
        let mut y = self.at.1 - (1.0 - nearer) * 0.05 * h;
        // Steps: the head bobs twice a second while walking.
        let walking = 1.0 - smooth((inside - 0.8 * self.approach) / (0.3 * self.approach));
        y += walking * 0.05 * width * (TAU * 1.9 * inside).sin();
        x += self.sway * width * (TAU * 0.43 * inside + phase(1)).sin();
        y += 0.4 * self.sway * width * (TAU * 0.31 * inside + phase(2)).sin();
        let mut turn = self.turn * (TAU * 0.37 * inside + phase(3)).sin();
        if leaving > 0.0 {
            let gone = (leaving / self.leave).powi(2);
            x += (outside(-self.from, width) - x) * gone;
            turn -= self.from * 0.25 * smooth(leaving / self.leave);
        }
        let roll = self.roll.to_radians() * (TAU * 0.29 * inside + phase(4)).sin();
        let hurry = 1.0 - smooth(inside / self.approach) + smooth(leaving / self.leave);
        let angles = self.gesture.angles(inside - self.approach);
        Some(Pose { x, y, width, roll, turn, angles, hurry })
    }
}

/// Where the person is in a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pose {
    /// Centre of the face in pixels.
    x: f32,
    y: f32,
    /// Width of the face in pixels.
    width: f32,
    /// Rotation in the image plane, radians.
    roll: f32,
    /// Turn of the head, see [`Walk::turn`].
    turn: f32,
    /// Sines of the [`DrawnGesture`]'s angles.
    angles: [f32; 2],
    /// 0 standing, 1 walking fast: motion blur.
    hurry: f32,
}

/// 0 up to 0, 1 from 1 on, smooth between.
fn smooth(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A recording that is drawn frame by frame.
#[derive(Clone, Debug)]
pub struct WalkUp {
    name: String,
    walk: Walk,
    who: Option<Portrait>,
    hall: RgbImage,
    next: u64,
}

impl WalkUp {
    /// Somebody walks up to the door.
    pub fn new(name: &str, who: Portrait, walk: Walk) -> Self {
        WalkUp { name: name.to_string(), walk, who: Some(who), hall: hall(), next: 0 }
    }

    /// Nobody comes: the hall alone, in the light of the walk and as long as the walk.
    pub fn empty_scene(name: &str, walk: Walk) -> Self {
        WalkUp { name: name.to_string(), walk, who: None, hall: hall(), next: 0 }
    }

    /// Number of frames.
    pub fn len(&self) -> u64 {
        (self.walk.seconds() * FRAME_RATE as f32).round() as u64
    }

    /// Whether there are no frames at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When frame `n` is captured.
    pub fn captured(&self, n: u64) -> Timestamp {
        Timestamp::from_nanos(n.saturating_mul(1_000_000_000 / u64::from(FRAME_RATE)))
    }

    /// Draws frame `n`; beyond the end the hall is empty.
    pub fn frame(&self, n: u64) -> RgbImage {
        let t = n as f32 / FRAME_RATE as f32;
        let mut img = self.hall.clone();
        let pose = self.walk.pose(t);
        if let (Some(who), Some(pose)) = (&self.who, pose) {
            draw_person(&mut img, who, &pose, self.walk.light.side);
        }
        let hurry = pose.map_or(0.0, |p| p.hurry);
        let mut img = imageproc::filter::gaussian_blur_f32(&img, (self.walk.blur * (1.0 + hurry)).max(0.05));
        let mut noise = Noise::new(self.walk.seed.wrapping_mul(0x9E37_79B9).wrapping_add(n));
        expose(&mut img, &self.walk, t, &mut noise);
        img
    }
}

impl FrameSource for WalkUp {
    /// The next frame at once, whatever `wait` says: time is simulated.
    fn next(&mut self, _wait: Duration) -> Result<Next, CameraError> {
        let n = self.next;
        if n >= self.len() {
            return Ok(Next::End);
        }
        self.next += 1;
        let colour = self.frame(n);
        Ok(Next::Frame(Frame {
            captured: self.captured(n),
            sequence: n,
            gray: gray(&colour),
            colour: Some(colour),
        }))
    }

    fn describe(&self) -> String {
        let (w, h) = FRAME_SIZE;
        format!("{} ({} synthetic frames of {w}x{h}, {FRAME_RATE} frames a second)", self.name, self.len())
    }
}

/// The gray picture that a camera would give.
fn gray(colour: &RgbImage) -> Gray {
    let (w, h) = (colour.width() as usize, colour.height() as usize);
    let mut gray = Gray::filled(w, h, 0);
    for (out, p) in gray.pixels_mut().iter_mut().zip(colour.pixels()) {
        let [r, g, b] = p.0;
        *out = luma(r, g, b);
    }
    gray
}

/// Draws the person over the hall.
fn draw_person(img: &mut RgbImage, who: &Portrait, pose: &Pose, side: f32) {
    let scale = who.face_width() / pose.width;
    let (sin, cos) = pose.roll.sin_cos();
    // Nothing of a portrait is further than this from its face.
    let reach = 2.6 * pose.width;
    let (w, h) = (img.width(), img.height());
    let top = (pose.y - reach).max(0.0) as u32;
    let left = ((pose.x - reach).max(0.0) as u32).min(w);
    let right = ((pose.x + reach).max(0.0) as u32).min(w);
    for y in top..h {
        for x in left..right {
            let (dx, dy) = (x as f32 - pose.x, y as f32 - pose.y);
            let (u, v) = ((cos * dx + sin * dy) * scale, (cos * dy - sin * dx) * scale);
            // A turned head: one half of the face is seen narrower. Only the head turns.
            let across = (u / who.face_width()).clamp(-1.0, 1.0);
            let head = 1.0 - smooth(v / who.face_width() - 0.4);
            let u = u * (1.0 + head * pose.turn * across);
            let (u, v) = turned(u, v, pose.angles.map(|sine| head * sine), who.face_width());
            let [r, g, b, share] = who.sample(u, v);
            if share <= 0.0 {
                continue;
            }
            let lit = 1.0 + 0.6 * side * across;
            let p = img.get_pixel_mut(x, y);
            for (old, new) in p.0.iter_mut().zip([r, g, b]) {
                *old = (f32::from(*old) * (1.0 - share) + new * lit).clamp(0.0, 255.0) as u8;
            }
        }
    }
}

/// The place of the straight head that is seen at a place once the head has turned.
fn turned(x: f32, y: f32, sines: [f32; 2], width: f32) -> (f32, f32) {
    if sines == [0.0; 2] {
        return (x, y);
    }
    let [turn, nod] = sines;
    let [cos_turn, cos_nod] = sines.map(|sine| (1.0 - sine * sine).sqrt());
    let (x, y) = (x / width, y / width);
    let (mut u, mut v) = (x, y);
    // Half steps: at the nose's flank the height changes fast.
    for _ in 0..20 {
        let z = relief(u, v);
        u += 0.5 * (x - (cos_turn * u + turn * z));
        v += 0.5 * (y - (cos_nod * v + nod * z));
    }
    (u * width, v * width)
}

/// Light, lens and sensor: gain, gamma, warmth, flicker, dark corners, noise.
fn expose(img: &mut RgbImage, walk: &Walk, t: f32, noise: &mut Noise) {
    let light = walk.light;
    let flicker = 1.0 + light.flicker * (TAU * 0.7 * t).sin();
    let gain = light.gain * flicker;
    let curve = |tint: f32| -> Vec<f32> {
        (0..256).map(|v| 255.0 * tint * (gain * v as f32 / 255.0).clamp(0.0, 1.2).powf(light.gamma)).collect()
    };
    let curves = [curve(light.warmth), curve(1.0), curve(1.0 / light.warmth)];
    let (cx, cy) = (img.width() as f32 / 2.0, img.height() as f32 / 2.0);
    for (x, y, p) in img.enumerate_pixels_mut() {
        let (dx, dy) = ((x as f32 - cx) / cx, (y as f32 - cy) / cy);
        let corner = 1.0 - 0.08 * (dx * dx + dy * dy);
        // Most of a sensor's noise is common to the channels after demosaicing.
        let common = noise.normal() * walk.noise;
        for (v, curve) in p.0.iter_mut().zip(&curves) {
            let exposed = curve[usize::from(*v)] * corner + common + noise.normal() * 0.4 * walk.noise;
            *v = (exposed + 0.5).clamp(0.0, 255.0) as u8;
        }
    }
}

/// The hall before the door: a wall with a door and a notice board, a floor, lamps.
fn hall() -> RgbImage {
    let (w, h) = FRAME_SIZE;
    let mut img = RgbImage::new(w, h);
    let floor = 352.0;
    for (x, y, p) in img.enumerate_pixels_mut() {
        let (fx, fy) = (x as f32 / w as f32, y as f32);
        let rgb = if fy < floor {
            let glow = (1.0 - fy / 420.0) * (0.8 + 0.2 * (1.0 - (2.0 * fx - 1.0).powi(2)));
            [150.0 + 62.0 * glow, 154.0 + 58.0 * glow, 152.0 + 50.0 * glow]
        } else {
            let depth = (fy - floor) / (h as f32 - floor);
            [104.0 + 26.0 * depth, 96.0 + 22.0 * depth, 88.0 + 18.0 * depth]
        };
        *p = Rgb(rgb.map(|v: f32| v as u8));
    }
    let dark = Rgb([92, 78, 66]);
    fill_rect(&mut img, Rect::new(58, 92, 122, 262), dark);
    fill_rect(&mut img, Rect::new(66, 100, 106, 254), Rgb([134, 112, 90]));
    fill_rect(&mut img, Rect::new(78, 116, 82, 92), Rgb([142, 120, 97]));
    fill_rect(&mut img, Rect::new(78, 228, 82, 110), Rgb([142, 120, 97]));
    fill_rect(&mut img, Rect::new(156, 224, 10, 5), Rgb([206, 200, 186]));
    fill_rect(&mut img, Rect::new(470, 128, 128, 84), Rgb([108, 100, 90]));
    fill_rect(&mut img, Rect::new(474, 132, 120, 76), Rgb([176, 158, 126]));
    for (x, y, wide, tall, rgb) in [
        (482, 140, 34, 42, [214, 212, 204]),
        (524, 138, 26, 30, [196, 206, 212]),
        (558, 144, 30, 40, [216, 208, 190]),
        (526, 176, 24, 26, [208, 210, 206]),
    ] {
        fill_rect(&mut img, Rect::new(x, y, wide, tall), Rgb(rgb));
    }
    fill_rect(&mut img, Rect::new(0, 346, 640, 8), Rgb([116, 112, 106]));
    fill_rect(&mut img, Rect::new(58, 346, 122, 8), dark);
    // Joints of the floor run to a vanishing point at eye level.
    for i in -6i16..=6 {
        let x = 320.0 + f32::from(i) * 130.0;
        let at = |y: f32| 320.0 + (x - 320.0) * (y - 180.0) / (480.0 - 180.0);
        line(&mut img, (at(356.0), 356.0), (x, 480.0), 1.4, Rgb([92, 85, 78]));
    }
    for y in [376.0, 408.0, 452.0] {
        line(&mut img, (0.0, y), (640.0, y), 1.4, Rgb([96, 89, 82]));
    }
    for x in [150, 420] {
        fill_rect(&mut img, Rect::new(x, 0, 90, 9), Rgb([250, 250, 242]));
    }
    imageproc::filter::gaussian_blur_f32(&img, 1.6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
        let sum: u64 = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / a.as_raw().len() as f64
    }

    #[test]
    fn the_hall_is_empty_first_and_last() {
        assert_eq!(Walk::NOBODY.pose(1.0), None);
        for walk in [Walk::ENROLMENT, Walk::VISIT] {
            assert_eq!(walk.pose(0.0), None);
            assert_eq!(walk.pose(walk.empty_before - 0.01), None);
            assert_eq!(walk.pose(walk.seconds()), None);
            let entering = walk.pose(walk.empty_before).unwrap();
            assert!(entering.x < -entering.width || entering.x > 640.0 + entering.width, "{entering:?}");
            let standing = walk.pose(walk.empty_before + walk.approach + 0.5).unwrap();
            assert!((standing.width - walk.near).abs() < 0.1);
            assert!((standing.x - walk.at.0).abs() < 40.0);
        }
    }

    #[test]
    fn the_person_only_comes_nearer() {
        let walk = Walk::VISIT;
        let widths: Vec<f32> =
            (0..=100).filter_map(|i| walk.pose(i as f32 * 0.04)).map(|p| p.width).collect();
        assert!(widths.windows(2).all(|w| w[1] >= w[0] - 1e-3));
    }

    #[test]
    fn frames_depend_on_nothing_but_the_walk() {
        let visit = || WalkUp::new("visit", Portrait::collins().unwrap(), Walk::VISIT);
        let (a, b) = (visit(), visit());
        assert_eq!(a.frame(40), b.frame(40));
        assert_eq!(a.frame(3), b.frame(3));
        let other = WalkUp::new("visit", Portrait::collins().unwrap(), Walk::VISIT.seeded(9));
        assert!(difference(&a.frame(40), &other.frame(40)) > 1.0);
    }

    #[test]
    fn a_walk_up_is_a_frame_source() {
        let mut short = Walk::VISIT;
        (short.approach, short.stand, short.leave, short.empty_before, short.empty_after) =
            (0.05, 0.05, 0.05, 0.0, 0.05);
        let mut source = WalkUp::new("short", Portrait::hopper().unwrap(), short);
        assert_eq!(source.describe(), "short (4 synthetic frames of 640x480, 20 frames a second)");
        for n in 0..4 {
            let Next::Frame(frame) = source.next(Duration::ZERO).unwrap() else { panic!("frame {n}") };
            assert_eq!((frame.sequence, frame.captured), (n, Timestamp::from_millis(50 * n)));
            assert_eq!((frame.gray.width(), frame.gray.height()), (640, 480));
            let [r, g, b] = frame.colour.unwrap().get_pixel(320, 300).0;
            assert_eq!(frame.gray.pixels()[300 * 640 + 320], luma(r, g, b));
        }
        assert!(matches!(source.next(Duration::ZERO).unwrap(), Next::End));
        assert!(matches!(source.next(Duration::ZERO).unwrap(), Next::End));
    }

    #[test]
    fn nobody_is_in_the_empty_scene() {
        let nobody = WalkUp::empty_scene("nobody", Walk::VISIT);
        let somebody = WalkUp::new("somebody", Portrait::hopper().unwrap(), Walk::VISIT);
        assert_eq!(nobody.len(), somebody.len());
        assert_eq!(nobody.frame(2), somebody.frame(2), "before anybody comes");
        assert!(difference(&nobody.frame(45), &somebody.frame(45)) > 10.0);
        assert!(difference(&nobody.frame(2), &nobody.frame(45)) < 8.0, "light and noise alone");
        assert_eq!(nobody.captured(30).as_secs_f64(), 1.5);
    }
}
