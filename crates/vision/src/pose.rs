//! Whether a head is turned to the camera.

use super::reduce::reduce;
use facelatch_core::detect::{Cascade, Detector, ScanParams, Sequential};
use facelatch_core::picture::{Gray, GrayView, Rect};

/// Side of a face with its surroundings, in pixels, when its pose is judged.
const SIDE: usize = 96;

/// What is judged reaches beyond the box by this share of its width, on each side.
const RIM: f32 = 0.3;

/// Every window from about the face's size up, each hit by itself: what counts is how many there are.
const SCAN: ScanParams =
    ScanParams { scale_factor: 1.05, min_neighbors: 0, min_size: 36, max_size: SIDE as u32 };

/// Judges poses: the more places and scales a cascade takes for a face, the more it is the face that the
/// cascade knows.
pub struct Pose {
    frontal: Detector,
    profile: Detector,
    hits: Vec<Rect>,
}

impl Default for Pose {
    fn default() -> Self {
        Pose {
            frontal: Detector::new(Cascade::frontal_face_alt2()),
            profile: Detector::new(Cascade::profile_face()),
            hits: Vec::new(),
        }
    }
}

impl Pose {
    /// Hits of a cascade of frontal faces less those of a cascade of profiles, left or right, whichever are
    /// more. Most frontal faces have 25 to 60, heads turned or tilted fewer than 20
    /// (`docs/results/2026-11-enrolment.md`).
    pub fn frontality(&mut self, picture: GrayView<'_>, face: Rect) -> i32 {
        let rim = (face.width as f32 * RIM) as i32;
        let around = Rect::new(face.x - rim, face.y - rim, face.width + 2 * rim, face.height + 2 * rim);
        let Some(region) = picture.region(around) else { return 0 };
        // The face keeps its size where its surroundings are cut off by the picture's edge.
        let scaled = |edge: usize| (edge * SIDE / around.width.max(1) as usize).clamp(1, SIDE);
        let (width, height) = (scaled(region.width()), scaled(region.height()));
        let plain: Vec<u8> = reduce(region, width, height).map(|value| value.round() as u8).collect();
        let mirrored = plain.chunks_exact(width).flat_map(|row| row.iter().rev().copied()).collect();
        let (Ok(plain), Ok(mirrored)) =
            (Gray::from_pixels(width, height, plain), Gray::from_pixels(width, height, mirrored))
        else {
            return 0;
        };
        let mut count = |detector: &mut Detector, picture: &Gray| {
            detector.detect_into(picture.view(), &SCAN, &Sequential, &mut self.hits);
            self.hits.len() as i32
        };
        let frontal = count(&mut self.frontal, &plain);
        let profile = count(&mut self.profile, &plain).max(count(&mut self.profile, &mirrored));
        frontal - profile
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use facelatch_edges::picture_file::load_gray;

    #[test]
    fn a_portrait_is_frontal_and_the_same_tilted_is_not() {
        let mut pose = Pose::default();
        let mut finder = Detector::new(Cascade::frontal_face());
        for name in ["collins", "hopper"] {
            let path =
                Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../assets/portraits/{name}.jpg"));
            let portrait = load_gray(&path).unwrap();
            let faces = finder.detect(portrait.view(), &ScanParams { min_size: 80, ..Default::default() });
            let face = *faces.iter().max_by_key(|f| f.width).unwrap();
            let frontal = pose.frontality(portrait.view(), face);
            assert!(frontal >= 20, "{name}: {frontal}");

            // About the face's middle, by 30 degrees.
            let (sin, cos) = 30f32.to_radians().sin_cos();
            let (cx, cy) =
                (face.x as f32 + face.width as f32 / 2.0, face.y as f32 + face.height as f32 / 2.0);
            let (width, height) = (portrait.width(), portrait.height());
            let at = |x: f32, y: f32| {
                let (x, y) = ((x as usize).min(width - 1), (y as usize).min(height - 1));
                portrait.pixels()[y * width + x]
            };
            let pixels = (0..width * height).map(|n| {
                let (dx, dy) = ((n % width) as f32 - cx, (n / width) as f32 - cy);
                at(cx + cos * dx - sin * dy, cy + sin * dx + cos * dy)
            });
            let tilted = Gray::from_pixels(width, height, pixels.collect()).unwrap();
            let score = pose.frontality(tilted.view(), face);
            assert!(score < 20, "{name} tilted: {score}");
        }
    }

    #[test]
    fn any_box_is_judged() {
        let mut pose = Pose::default();
        let gray = Gray::filled(50, 40, 90);
        for face in [
            Rect::new(0, 0, 1, 1),
            Rect::new(40, 30, 90, 90),
            Rect::new(-60, -60, 50, 50),
            Rect::new(0, 0, 0, 0),
        ] {
            assert_eq!(pose.frontality(gray.view(), face), 0);
        }
    }
}
