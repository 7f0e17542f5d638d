//! The cascade as tables for lanes: corners merged, votes in fixed point, offsets for one layout of
//! memory.

use std::ops::Range;

use super::super::cascade::{Cascade, Feature, Node, Tree};
use super::layout::Layout;

/// Trees with more nodes than this are left to the portable scan.
pub(super) const MAX_NODES: usize = 8;
/// Larger windows are left to the portable scan; this many pixels add up to less than 32768.
pub(super) const MAX_ROWS: u32 = 128;
/// Pixels whose sum is sure to fit into 16 bits.
const NARROW: u32 = 65535 / 255;

/// `p0 + p1 - p2 - p3 + 2 (p4 - p5)`: two halves side by side.
pub(super) struct Six {
    pub at: [u32; 6],
    pub threshold: f32,
    pub vote: u32,
}

/// `p0 + p1 - p2 - p3 + k (p4 + p5 - p6 - p7)`: a rectangle with another inside.
pub(super) struct Eight {
    pub at: [u32; 8],
    pub factor: u32,
    pub threshold: f32,
    pub vote: u32,
}

/// `p0 + p1 + p2 + p3 - 2 (p4 + p5 + p6 + p7 - 2 p8)`: a chequerboard of four.
pub(super) struct Nine {
    pub at: [u32; 9],
    pub threshold: f32,
    pub vote: u32,
}

/// One corner and its weight.
pub(super) struct Point {
    pub at: u32,
    pub weight: u32,
}

/// A rectangle small enough for 16 bits, its corners `p0 - p1 - p2 + p3`, weight times 65536.
pub(super) struct Part {
    pub at: [u32; 4],
    pub weight: f32,
}

/// A feature value without a form of its own.
pub(super) enum Form {
    /// A sum of weighted corners that fits into 16 bits.
    Points(Range<usize>),
    /// A sum that does not.
    Parts(Range<usize>),
}

pub(super) struct Other {
    pub form: Form,
    pub threshold: f32,
    pub vote: u32,
}

/// Where a tree node leads.
#[derive(Clone, Copy)]
pub(super) enum Next {
    Node(usize),
    Vote(u32),
}

pub(super) struct TreeNode {
    pub form: Form,
    pub threshold: f32,
    pub left: Next,
    pub right: Next,
}

/// A stage: ranges into the tables, and what its votes are compared with.
pub(super) struct LaneStage {
    pub six: Range<usize>,
    pub eight: Range<usize>,
    pub nine: Range<usize>,
    /// Chequerboards of the opposite sign.
    pub nine_inverted: Range<usize>,
    pub other: Range<usize>,
    pub trees: Range<usize>,
    /// Sum of votes before the first stump.
    pub base: u32,
    /// Sums below this fail for certain.
    pub fail_below: i16,
    /// Sums from this on pass for certain; between the two the stage is done again exactly.
    pub pass_from: i16,
}

/// The whole cascade for one layout.
#[derive(Default)]
pub(super) struct Table {
    pub stages: Vec<LaneStage>,
    pub six: Vec<Six>,
    pub eight: Vec<Eight>,
    pub nine: Vec<Nine>,
    pub nine_inverted: Vec<Nine>,
    pub other: Vec<Other>,
    pub points: Vec<Point>,
    pub parts: Vec<Part>,
    pub trees: Vec<Range<usize>>,
    pub nodes: Vec<TreeNode>,
}

/// Whether the tables can hold the cascade: whole-numbered weights, sums exact in f32, small trees.
pub(in super::super) fn suits(cascade: &Cascade) -> bool {
    let (w, h) = cascade.window();
    let feature = |f: &Feature| {
        let mut sum = 0.0f64;
        for r in &f.rects {
            let area = f64::from(r.width) * f64::from(r.height) * if f.tilted { 2.0 } else { 1.0 };
            sum += f64::from(r.weight.abs()) * area * 255.0;
        }
        f.rects.iter().all(|r| r.weight.fract() == 0.0 && r.weight.abs() < 128.0) && sum < f64::from(1 << 24)
    };
    let tree = |t: &Tree| t.nodes.len() <= MAX_NODES;
    w <= MAX_ROWS
        && h <= MAX_ROWS
        && cascade.features().iter().all(feature)
        && cascade.stages().iter().all(|s| s.trees.iter().all(tree))
}

fn pair(value: i16) -> u32 {
    let half = u32::from(value as u16);
    half | half << 16
}

/// Corners with their weights, equal ones merged.
fn merged(feature: &Feature) -> Vec<(u32, u32, i32)> {
    let mut points: Vec<(u32, u32, i32)> = Vec::with_capacity(12);
    for r in &feature.rects {
        let [x, y, w, h] = [r.x, r.y, r.width, r.height].map(u32::from);
        for (corner, sign) in corners(feature.tilted, x, y, w, h).into_iter().zip([1, -1, -1, 1]) {
            let weight = sign * r.weight as i32;
            match points.iter_mut().find(|p| (p.0, p.1) == corner) {
                Some(p) => p.2 += weight,
                None => points.push((corner.0, corner.1, weight)),
            }
        }
    }
    points.retain(|p| p.2 != 0);
    points
}

fn corners(tilted: bool, x: u32, y: u32, w: u32, h: u32) -> [(u32, u32); 4] {
    if tilted {
        [(x, y), (x - h, y + h), (x + w, y + w), (x + w - h, y + w + h)]
    } else {
        [(x, y), (x + w, y), (x, y + h), (x + w, y + h)]
    }
}

/// Whether the value fits into 16 bits with sign, whatever the pixels.
fn fits(feature: &Feature, window: (u32, u32)) -> bool {
    let (mut above, mut below) = (0i64, 0i64);
    if feature.tilted {
        for r in &feature.rects {
            let part = r.weight as i64 * 2 * i64::from(r.width) * i64::from(r.height);
            if part > 0 { above += part } else { below -= part }
        }
    } else {
        for y in 0..window.1 {
            for x in 0..window.0 {
                let covers = |at: u8, extent: u8, p: u32| {
                    (u32::from(at)..u32::from(at) + u32::from(extent)).contains(&p)
                };
                let weight: i64 = feature
                    .rects
                    .iter()
                    .filter(|r| covers(r.x, r.width, x) && covers(r.y, r.height, y))
                    .map(|r| r.weight as i64)
                    .sum();
                if weight > 0 { above += weight } else { below -= weight }
            }
        }
    }
    above * 255 <= 32767 && below * 255 <= 32768
}

/// Splits a rectangle until each part's sum fits into 16 bits without sign.
fn split(tilted: bool, rect: [u32; 4], out: &mut Vec<[u32; 4]>) {
    let [x, y, w, h] = rect;
    if w * h * if tilted { 2 } else { 1 } <= NARROW {
        out.push(rect);
        return;
    }
    let (a, b) = match (w >= h, tilted) {
        (true, false) => ([x, y, w / 2, h], [x + w / 2, y, w - w / 2, h]),
        (false, false) => ([x, y, w, h / 2], [x, y + h / 2, w, h - h / 2]),
        (true, true) => ([x, y, w / 2, h], [x + w / 2, y + w / 2, w - w / 2, h]),
        (false, true) => ([x, y, w, h / 2], [x - h / 2, y + h / 2, w, h - h / 2]),
    };
    split(tilted, a, out);
    split(tilted, b, out);
}

/// A rectangle's parts as corner offsets.
fn parts(tilted: bool, rect: [u32; 4], layout: &impl Layout) -> Vec<[u32; 4]> {
    let mut rects = Vec::new();
    split(tilted, rect, &mut rects);
    let at = |[x, y, w, h]: [u32; 4]| corners(tilted, x, y, w, h).map(|(x, y)| layout.at(x, y, tilted));
    rects.into_iter().map(at).collect()
}

impl Table {
    pub fn new(cascade: &Cascade, layout: &impl Layout) -> Self {
        let mut table = Table::default();
        let fits: Vec<bool> = cascade.features().iter().map(|f| fits(f, cascade.window())).collect();
        for stage in cascade.stages() {
            let start = table.ends();
            // Votes in fixed point: scaled so that even all differences together stay within 16
            // bits, and centred, so that no sum can overflow.
            let reach = |t: &Tree| {
                let (low, high) = t
                    .leaves
                    .iter()
                    .fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v.into()), h.max(v.into())));
                (low, high)
            };
            let (low, high) = stage.trees.iter().map(reach).fold((0.0, 0.0), |(a, b), (l, h)| (a + l, b + h));
            let scale = (60000.0 / (high - low).max(1e-3)).min(16384.0);
            let fixed = |vote: f64| (vote * scale).round_ties_even() as i32;
            let center = (low + high) / 2.0 * scale;
            // What the sum of votes starts from, and by how much rounding can move it at the most.
            let (mut base, mut least_error, mut most_error) = (-center, 0.0f64, 0.0f64);
            let mut bound = |errors: &mut dyn Iterator<Item = f64>| {
                let (least, most) = errors.fold((f64::MAX, f64::MIN), |(a, b), e| (a.min(e), b.max(e)));
                least_error += least;
                most_error += most;
            };
            for tree in &stage.trees {
                if let ([node @ Node { left: 0, right: -1, .. }], [left, right]) =
                    (&tree.nodes[..], &tree.leaves[..])
                {
                    base += f64::from(*right) * scale;
                    let difference = f64::from(*left) - f64::from(*right);
                    let vote = fixed(difference);
                    bound(&mut [0.0, f64::from(vote) - difference * scale].into_iter());
                    let vote = pair(vote as i16);
                    let index = node.feature as usize;
                    let feature = &cascade.features()[index];
                    table.stump(feature, fits[index], node.threshold, vote, layout);
                } else {
                    let errors = tree.leaves.iter().map(|&v| f64::from(v));
                    bound(&mut errors.map(|v| f64::from(fixed(v)) - v * scale));
                    let first = table.nodes.len();
                    for node in &tree.nodes {
                        let index = node.feature as usize;
                        let form = table.form(&cascade.features()[index], fits[index], layout);
                        let next = |to: i16| match usize::from(to.unsigned_abs()) {
                            node if to > 0 => Next::Node(node),
                            leaf => Next::Vote(pair(fixed(tree.leaves[leaf].into()) as i16)),
                        };
                        table.nodes.push(TreeNode {
                            form,
                            threshold: node.threshold,
                            left: next(node.left),
                            right: next(node.right),
                        });
                    }
                    table.trees.push(first..table.nodes.len());
                }
            }
            let rounded = base.round_ties_even();
            let threshold = f64::from(stage.opencv_threshold()) * scale - center + (rounded - base);
            // The hundredth covers the rounding of the exact sum, which is formed in f64.
            let clamp = |v: f64| v.clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16;
            let end = table.ends();
            table.stages.push(LaneStage {
                six: start[0]..end[0],
                eight: start[1]..end[1],
                nine: start[2]..end[2],
                nine_inverted: start[3]..end[3],
                other: start[4]..end[4],
                trees: start[5]..end[5],
                base: pair(rounded as i32 as i16),
                fail_below: clamp((threshold + least_error - 0.01).floor()),
                pass_from: clamp((threshold + most_error + 0.01).ceil()),
            });
        }
        table
    }

    fn ends(&self) -> [usize; 6] {
        [
            self.six.len(),
            self.eight.len(),
            self.nine.len(),
            self.nine_inverted.len(),
            self.other.len(),
            self.trees.len(),
        ]
    }

    fn stump(&mut self, feature: &Feature, fits: bool, threshold: f32, vote: u32, layout: &impl Layout) {
        let mut points = merged(feature);
        // Ones first, plus before minus; then the larger weights likewise.
        points.sort_by_key(|p| (p.2.abs(), -p.2));
        let weights: Vec<i32> = points.iter().map(|p| p.2).collect();
        let at = |i: usize| layout.at(points[i].0, points[i].1, feature.tilted);
        match weights[..] {
            [1, 1, -1, -1, 2, -2] if fits => {
                self.six.push(Six { at: std::array::from_fn(at), threshold, vote });
            }
            [1, 1, -1, -1, k, l, m, n] if fits && k == l && m == n && k == -m => {
                self.eight.push(Eight {
                    at: std::array::from_fn(at),
                    factor: pair(k as i16),
                    threshold,
                    vote,
                });
            }
            [1, 1, 1, 1, -2, -2, -2, -2, 4] if fits => {
                self.nine.push(Nine { at: std::array::from_fn(at), threshold, vote });
            }
            [-1, -1, -1, -1, 2, 2, 2, 2, -4] if fits => {
                self.nine_inverted.push(Nine { at: std::array::from_fn(at), threshold, vote });
            }
            _ => {
                let form = self.form(feature, fits, layout);
                self.other.push(Other { form, threshold, vote });
            }
        }
    }

    fn form(&mut self, feature: &Feature, fits: bool, layout: &impl Layout) -> Form {
        if fits {
            let first = self.points.len();
            self.points.extend(merged(feature).into_iter().map(|(x, y, weight)| Point {
                at: layout.at(x, y, feature.tilted),
                weight: pair(weight as i16),
            }));
            Form::Points(first..self.points.len())
        } else {
            let first = self.parts.len();
            for r in &feature.rects {
                let rect = [r.x, r.y, r.width, r.height].map(u32::from);
                self.parts.extend(
                    parts(feature.tilted, rect, layout)
                        .into_iter()
                        .map(|at| Part { at, weight: r.weight * 65536.0 }),
                );
            }
            Form::Parts(first..self.parts.len())
        }
    }
}

/// All features as exact sums, for the windows whose votes come too near a threshold.
#[derive(Default)]
pub(super) struct Exact {
    features: Vec<Range<usize>>,
    rects: Vec<(f32, Range<usize>)>,
    parts: Vec<[u32; 4]>,
}

impl Exact {
    pub fn new(cascade: &Cascade, layout: &impl Layout) -> Self {
        let mut exact = Exact::default();
        for feature in cascade.features() {
            let first = exact.rects.len();
            for r in &feature.rects {
                let start = exact.parts.len();
                let rect = [r.x, r.y, r.width, r.height].map(u32::from);
                exact.parts.extend(parts(feature.tilted, rect, layout));
                exact.rects.push((r.weight, start..exact.parts.len()));
            }
            exact.features.push(first..exact.rects.len());
        }
        exact
    }

    /// Whether the window at `place` of `plane` passes stage `stage`.
    pub fn passes(&self, cascade: &Cascade, stage: usize, plane: &[u16], place: usize, norm: f32) -> bool {
        let stage = &cascade.stages()[stage];
        let mut votes = 0.0f64;
        for tree in &stage.trees {
            let mut node = &tree.nodes[0];
            let leaf = loop {
                let value = self.value(node.feature as usize, plane, place) * norm;
                let next = if value < node.threshold { node.left } else { node.right };
                let index = usize::from(next.unsigned_abs());
                if next <= 0 {
                    break index;
                }
                node = &tree.nodes[index];
            };
            votes += f64::from(tree.leaves[leaf]);
        }
        votes >= f64::from(stage.opencv_threshold())
    }

    fn value(&self, feature: usize, plane: &[u16], place: usize) -> f32 {
        let mut value = 0.0f32;
        for (weight, parts) in &self.rects[self.features[feature].clone()] {
            let mut sum = 0u32;
            for at in &self.parts[parts.clone()] {
                let [a, b, c, d] = at.map(|at| plane[place + at as usize]);
                sum += u32::from(a.wrapping_sub(b).wrapping_sub(c).wrapping_add(d));
            }
            value += weight * sum as f32;
        }
        value
    }
}
