//! The detector once more, as plainly as it can be written: no integral image, no tables, no SIMD,
//! nothing shared with `crates/core/src/detect` but the cascade. It is far too slow for anything but small
//! pictures, and is what tests and fuzzers hold the detector against.

#![allow(dead_code, reason = "each user takes a part of this")]

use facelatch::detect::{Cascade, Feature, Node, ScanParams, Stage, Tree, WeightedRect};
use facelatch::picture::{Gray, GrayView, Rect};

fn round(value: f64) -> i64 {
    value.round_ties_even() as i64
}

/// A reduced picture.
struct Level {
    scale: f32,
    width: i64,
    height: i64,
    pixels: Vec<u8>,
    /// Sums over cones, if the cascade has tilted features; see [`cones`].
    cones: Vec<i64>,
}

impl Level {
    fn pixel(&self, x: i64, y: i64) -> i64 {
        let inside = (0..self.width).contains(&x) && (0..self.height).contains(&y);
        if inside { self.pixels[(y * self.width + x) as usize].into() } else { 0 }
    }

    fn cone(&self, x: i64, y: i64) -> i64 {
        let columns = self.width + 2 * self.height + 3;
        self.cones[((y + 1) * columns + x + self.height + 1) as usize]
    }
}

/// For every `(x, y)` the sum of the pixels of the cone that opens upward from pixel `(x - 1, y - 1)`:
/// a cone is the two that begin above to the left and to the right, less what these share, and the
/// two pixels between them (Lienhart and Maydt 2002). Reaches so far beyond the picture to both sides
/// that no cone is cut.
fn cones(level: &Level) -> Vec<i64> {
    let columns = level.width + 2 * level.height + 3;
    let mut cones = vec![0; (columns * (level.height + 2)) as usize];
    for y in 1..=level.height {
        for x in -level.height..=level.width + level.height {
            let at = |x: i64, y: i64| ((y + 1) * columns + x + level.height + 1) as usize;
            let two_up = if y >= 2 { cones[at(x, y - 2)] } else { 0 };
            let sides = cones[at(x - 1, y - 1)] + cones[at(x + 1, y - 1)];
            cones[at(x, y)] = sides - two_up + level.pixel(x - 1, y - 1) + level.pixel(x - 1, y - 2);
        }
    }
    cones
}

/// Bilinear reduction with weights of 1/256.
fn reduce(picture: GrayView<'_>, scale: f32, tilted: bool) -> Level {
    let edge = |from: usize| round(f64::from(from as f32 / scale));
    let (width, height) = (edge(picture.width()), edge(picture.height()));
    let tap = |i: i64, from: usize, to: i64| {
        let step = 1.0 / (to as f64 / from as f64);
        let at = step * (i as f64 + 0.5) - 0.5;
        let weight = round((at - at.floor()) * 256.0);
        let clamp = |p: f64| (p as i64).clamp(0, from as i64 - 1) as usize;
        [(clamp(at.floor()), 256 - weight), (clamp(at.floor() + 1.0), weight)]
    };
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let mut sum = 32768;
            for (py, wy) in tap(y, picture.height(), height) {
                for (px, wx) in tap(x, picture.width(), width) {
                    sum += wy * wx * i64::from(picture.row(py)[px]);
                }
            }
            pixels.push((sum >> 16) as u8);
        }
    }
    let mut level = Level { scale, width, height, pixels, cones: Vec::new() };
    if tilted {
        level.cones = cones(&level);
    }
    level
}

fn feature_value(feature: &Feature, level: &Level, x: i64, y: i64) -> f32 {
    let mut value = 0.0f32;
    for r in &feature.rects {
        let [rx, ry, w, h] = [r.x, r.y, r.width, r.height].map(i64::from);
        let (x, y) = (x + rx, y + ry);
        let sum: i64 = if feature.tilted {
            level.cone(x, y) - level.cone(x - h, y + h) - level.cone(x + w, y + w)
                + level.cone(x + w - h, y + w + h)
        } else {
            (y..y + h).flat_map(|y| (x..x + w).map(move |x| (x, y))).map(|(x, y)| level.pixel(x, y)).sum()
        };
        value += r.weight * sum as f32;
    }
    value
}

enum Outcome {
    Hit,
    FirstStage,
    Rejected,
}

fn test_window(cascade: &Cascade, level: &Level, x: i64, y: i64) -> Outcome {
    let (w, h) = (i64::from(cascade.window().0), i64::from(cascade.window().1));
    let (mut sum, mut squares) = (0i64, 0i64);
    for py in y + 1..y + h - 1 {
        for px in x + 1..x + w - 1 {
            let p = level.pixel(px, py);
            (sum, squares) = (sum + p, squares + p * p);
        }
    }
    let area = (w - 2) * (h - 2);
    let nf = area * squares - sum * sum;
    if nf <= 0 {
        return Outcome::Rejected;
    }
    let norm = (1.0 / (nf as f64).sqrt()) as f32;
    if area as f64 * f64::from(norm) >= 0.1 {
        return Outcome::Rejected;
    }
    for (i, stage) in cascade.stages().iter().enumerate() {
        let mut votes = 0.0f64;
        for tree in &stage.trees {
            let mut node = 0;
            votes += loop {
                let Node { feature, threshold, left, right } = tree.nodes[node];
                let value = feature_value(&cascade.features()[feature as usize], level, x, y) * norm;
                let next = if value < threshold { left } else { right };
                if next <= 0 {
                    break f64::from(tree.leaves[-i32::from(next) as usize]);
                }
                node = next as usize;
            };
        }
        if votes < f64::from(stage.threshold - 1e-5f32) {
            return if i == 0 { Outcome::FirstStage } else { Outcome::Rejected };
        }
    }
    Outcome::Hit
}

fn scales(window: (u32, u32), picture: GrayView<'_>, params: &ScanParams) -> Vec<f32> {
    let (w, h) = (f64::from(window.0), f64::from(window.1));
    let (pw, ph) = (picture.width() as i64, picture.height() as i64);
    let mut all = Vec::new();
    let mut factor = 1.0f64;
    while round(w * factor) <= pw && round(h * factor) <= ph {
        all.push(factor as f32);
        factor *= params.scale_factor;
    }
    let size =
        |scale: f32| (round(f64::from(window.0 as f32 * scale)), round(f64::from(window.1 as f32 * scale)));
    let least = i64::from(params.min_size);
    let most = if params.max_size == 0 { (pw, ph) } else { (params.max_size.into(), params.max_size.into()) };
    let below = all.iter().copied().take_while(|&s| size(s).0 <= most.0 && size(s).1 <= most.1);
    let used: Vec<f32> = below.filter(|&s| size(s).0 >= least && size(s).1 >= least).collect();
    if !used.is_empty() {
        return used;
    }
    let distance = |s: &f32| (size(*s).0 - least).pow(2) + (size(*s).1 - least).pow(2);
    all.into_iter().min_by_key(distance).into_iter().collect()
}

/// What OpenCV's `detectMultiScale` returns.
pub fn detect(cascade: &Cascade, picture: GrayView<'_>, params: &ScanParams) -> Vec<Rect> {
    let window = cascade.window();
    let (w, h) = (i64::from(window.0), i64::from(window.1));
    let tilted = cascade.features().iter().any(|f| f.tilted);
    let mut hits = Vec::new();
    let mut stripes = None;
    for scale in scales(window, picture, params) {
        let level = reduce(picture, scale, tilted);
        let step = if scale >= 2.0 { 1 } else { 2 };
        let (columns, rows) = (level.width + 1 - w, level.height + 1 - h);
        let stripes = *stripes.get_or_insert((columns.max(0) + 31) / 32);
        if stripes == 0 {
            continue;
        }
        let stripe = ((rows.max(0) / step + stripes - 1) / stripes).max(1) * step;
        let mut y = 0;
        while y < rows.min(stripes * stripe) {
            let mut x = 0;
            while x < columns {
                match test_window(cascade, &level, x, y) {
                    Outcome::Hit => {
                        let scaled = |v: i64| round(f64::from(v as f32 * scale)) as i32;
                        hits.push(Rect::new(scaled(x), scaled(y), scaled(w), scaled(h)));
                    }
                    Outcome::FirstStage => x += step,
                    Outcome::Rejected => {}
                }
                x += step;
            }
            y += step;
        }
    }
    let faces = if params.min_neighbors == 0 { hits } else { group(&hits, params.min_neighbors) };
    let (pw, ph) = (picture.width() as i32, picture.height() as i32);
    let clip = |r: &Rect| {
        let (x0, y0) = (r.x.max(0), r.y.max(0));
        let (x1, y1) = ((r.x + r.width).min(pw), (r.y + r.height).min(ph));
        (x1 > x0 && y1 > y0).then(|| Rect::new(x0, y0, x1 - x0, y1 - y0))
    };
    faces.iter().filter_map(clip).collect()
}

fn alike(a: &Rect, b: &Rect) -> bool {
    let limit = 0.2 * f64::from(a.width.min(b.width) + a.height.min(b.height)) / 2.0;
    let edges = |r: &Rect| [r.x, r.y, r.x + r.width, r.y + r.height];
    edges(a).into_iter().zip(edges(b)).all(|(p, q)| f64::from((p - q).abs()) <= limit)
}

fn group(hits: &[Rect], min_neighbors: u32) -> Vec<Rect> {
    // Everybody takes the smallest label within reach until nothing changes.
    let mut labels: Vec<usize> = (0..hits.len()).collect();
    loop {
        let before = labels.clone();
        for i in 0..hits.len() {
            for k in 0..hits.len() {
                if alike(&hits[i], &hits[k]) {
                    labels[i] = labels[i].min(labels[k]);
                }
            }
        }
        if labels == before {
            break;
        }
    }
    let mut classes = Vec::new();
    for label in 0..hits.len() {
        let members: Vec<&Rect> = hits.iter().zip(&labels).filter(|m| *m.1 == label).map(|m| m.0).collect();
        if members.is_empty() {
            continue;
        }
        let mean = |edge: fn(&Rect) -> i32| {
            let sum: i32 = members.iter().map(|r| edge(r)).sum();
            round(f64::from(sum as f32 * (1.0f32 / members.len() as f32))) as i32
        };
        let mean = Rect::new(mean(|r| r.x), mean(|r| r.y), mean(|r| r.width), mean(|r| r.height));
        if members.len() > min_neighbors as usize {
            classes.push((mean, members.len()));
        }
    }
    let swallowed = |i: usize| {
        let (a, n) = classes[i];
        classes.iter().enumerate().any(|(k, &(b, m))| {
            let (dx, dy) = (round(f64::from(b.width) * 0.2) as i32, round(f64::from(b.height) * 0.2) as i32);
            let inside = a.x >= b.x - dx
                && a.y >= b.y - dy
                && a.x + a.width <= b.x + b.width + dx
                && a.y + a.height <= b.y + b.height + dy;
            k != i && inside && (m > n.max(3) || n < 3)
        })
    };
    (0..classes.len()).filter(|&i| !swallowed(i)).map(|i| classes[i].0).collect()
}

/// Numbers made of given bytes, and of a generator seeded by them when they are used up.
pub struct Dice<'a> {
    bytes: &'a [u8],
    state: u64,
}

impl<'a> Dice<'a> {
    /// Dice that show what `bytes` say.
    pub fn new(bytes: &'a [u8]) -> Self {
        let mix = |state: u64, &byte: &u8| (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Dice { bytes, state: bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix) }
    }

    /// A number below `n`, at most 256.
    pub fn below(&mut self, n: u32) -> u32 {
        let byte = match self.bytes.split_first() {
            Some((&first, rest)) => {
                self.bytes = rest;
                first
            }
            None => {
                self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (self.state >> 56) as u8
            }
        };
        u32::from(byte) * n / 256
    }

    fn within(&mut self, from: u32, to: u32) -> u32 {
        from + self.below(to - from + 1)
    }

    /// -1 to 1.
    fn real(&mut self) -> f32 {
        (self.below(256) as f32 - 127.5) / 127.5
    }

    fn feature(&mut self, window: (u32, u32)) -> Feature {
        let tilted = window.0 >= 4 && window.1 >= 4 && self.below(5) == 0;
        let whole = self.below(8) != 0;
        let rects = (0..self.within(1, 3)).map(|i| {
            let (w, h) = (self.within(1, window.0), self.within(1, window.1));
            let (x, y, w, h) = if tilted {
                let w = self.within(1, (window.0 - 1).min(window.1 - 1));
                let h = self.within(1, (window.0 - w).min(window.1 - w));
                (self.within(h, window.0 - w), self.within(0, window.1 - w - h), w, h)
            } else {
                (self.within(0, window.0 - w), self.within(0, window.1 - h), w, h)
            };
            let weight = if i == 0 { -1.0 } else { self.within(1, 3) as f32 };
            let weight = if whole { weight } else { weight * 1.3 };
            WeightedRect { x: x as u8, y: y as u8, width: w as u8, height: h as u8, weight }
        });
        Feature { rects: rects.collect(), tilted }
    }

    /// A small cascade that a good part of all windows passes.
    pub fn cascade(&mut self) -> Cascade {
        let edge = |dice: &mut Self| match dice.below(4) {
            0 => dice.within(3, 8),
            1 => 24,
            _ => dice.within(8, 36),
        };
        let window = (edge(self), edge(self));
        let features: Vec<_> = (0..self.within(1, 8)).map(|_| self.feature(window)).collect();
        let stages = (0..self.within(1, 5)).map(|_| {
            let trees: Vec<_> = (0..self.within(1, 5)).map(|_| self.tree(features.len() as u32)).collect();
            let least: f32 =
                trees.iter().map(|t| t.leaves.iter().copied().fold(f32::INFINITY, f32::min)).sum();
            // Between the least sum of votes and a little more than 0, mostly nearer to the former.
            let share = self.below(256) as f32 / 256.0;
            Stage { threshold: least + (0.1 - least) * share * share, trees }
        });
        let stages = stages.collect();
        Cascade::new(window, features, stages).expect("made as a cascade must be")
    }

    fn tree(&mut self, features: u32) -> Tree {
        // A chain: each node has a leaf to one side and the next node to the other.
        let count = if self.below(3) == 0 { self.within(2, 3) } else { 1 } as i16;
        let leaves = (0..=count).map(|_| self.real()).collect();
        let nodes = (0..count).map(|i| {
            let next = if i + 1 == count { -count } else { i + 1 };
            let (left, right) = if self.below(3) == 0 { (next, -i) } else { (-i, next) };
            Node { feature: self.below(features), threshold: self.real() * 0.3, left, right }
        });
        Tree { nodes: nodes.collect(), leaves }
    }

    /// A picture of up to 90 x 70 pixels: light, a coarse pattern, noise, any of them strong or weak.
    pub fn picture(&mut self) -> Gray {
        let (width, height) = (self.within(8, 90) as usize, self.within(8, 70) as usize);
        let coarse = self.within(1, 16) as usize;
        let (pattern, noise, slope) = (self.below(256), self.within(1, 60), self.below(256) as usize);
        let light = self.below(200);
        let columns = width / coarse + 1;
        let cells: Vec<u32> =
            (0..columns * (height / coarse + 1)).map(|_| self.below(256) * pattern / 256).collect();
        let pixels = (0..width * height).map(|i| {
            let (x, y) = (i % width, i / width);
            let cell = cells[y / coarse * columns + x / coarse];
            (light + cell + self.below(noise) + (x * slope / (4 * width)) as u32).min(255) as u8
        });
        let pixels = pixels.collect();
        Gray::from_pixels(width, height, pixels).expect("as many pixels as the size says")
    }

    /// Parameters of a scan of small pictures.
    pub fn params(&mut self) -> ScanParams {
        ScanParams {
            scale_factor: 1.05 + f64::from(self.below(256)) / 200.0,
            min_neighbors: [0, 0, 1, 3][self.below(4) as usize],
            min_size: [0, 0, 24, 40, 200][self.below(5) as usize],
            max_size: [0, 0, 0, 200, 240][self.below(5) as usize],
        }
    }
}
