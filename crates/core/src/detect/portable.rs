//! The scan in plain code: the cascade laid out for it, and the scan of one level.

use super::cascade::Cascade;
use super::integral::Integral;
use super::pyramid::Level;

/// A rectangle's corners as `(x, y)`; its sum is `p0 - p1 - p2 + p3`.
type Corners = [(u32, u32); 4];

struct PlannedFeature {
    tilted: bool,
    parts: usize,
    corners: [Corners; 3],
    weights: [f32; 3],
}

#[derive(Clone, Copy)]
struct PlannedNode {
    feature: u32,
    threshold: f32,
    left: i16,
    right: i16,
}

struct PlannedTree {
    nodes: u32,
    leaves: u32,
}

struct PlannedStage {
    threshold: f64,
    trees: std::ops::Range<usize>,
}

/// A cascade in flat tables, with the offsets of all corners for one row length.
pub(super) struct Plan {
    window: (u32, u32),
    features: Vec<PlannedFeature>,
    nodes: Vec<PlannedNode>,
    leaves: Vec<f32>,
    trees: Vec<PlannedTree>,
    stages: Vec<PlannedStage>,
    tilted: bool,
}

/// How a window fared.
#[derive(Clone, Copy, PartialEq)]
enum Outcome {
    Hit,
    /// Rejected by the first stage: the next position is skipped.
    FirstStage,
    /// Rejected by a later stage or for lack of contrast.
    Rejected,
}

impl Plan {
    pub fn new(cascade: &Cascade) -> Self {
        let features = cascade.features().iter().map(|f| {
            let mut planned = PlannedFeature {
                tilted: f.tilted,
                parts: f.rects.len(),
                corners: [[(0, 0); 4]; 3],
                weights: [0.0; 3],
            };
            for (i, r) in f.rects.iter().enumerate() {
                let [x, y, w, h] = [r.x, r.y, r.width, r.height].map(u32::from);
                planned.corners[i] = if f.tilted {
                    [(x, y), (x - h, y + h), (x + w, y + w), (x + w - h, y + w + h)]
                } else {
                    [(x, y), (x + w, y), (x, y + h), (x + w, y + h)]
                };
                planned.weights[i] = r.weight;
            }
            planned
        });
        let mut plan = Plan {
            window: cascade.window(),
            features: features.collect(),
            nodes: Vec::new(),
            leaves: Vec::new(),
            trees: Vec::new(),
            stages: Vec::new(),
            tilted: cascade.features().iter().any(|f| f.tilted),
        };
        for stage in cascade.stages() {
            let first = plan.trees.len();
            for tree in &stage.trees {
                plan.trees
                    .push(PlannedTree { nodes: plan.nodes.len() as u32, leaves: plan.leaves.len() as u32 });
                plan.nodes.extend(tree.nodes.iter().map(|n| PlannedNode {
                    feature: n.feature,
                    threshold: n.threshold,
                    left: n.left,
                    right: n.right,
                }));
                plan.leaves.extend(&tree.leaves);
            }
            plan.stages.push(PlannedStage {
                threshold: f64::from(stage.opencv_threshold()),
                trees: first..plan.trees.len(),
            });
        }
        plan
    }

    /// Whether tilted sums are needed.
    pub fn tilted(&self) -> bool {
        self.tilted
    }

    /// Tests every window of the level, in order, and reports the hits' positions in the level.
    /// `offsets` is working memory.
    pub fn scan(
        &self,
        integral: &Integral,
        level: &Level,
        offsets: &mut Vec<[[usize; 4]; 3]>,
        mut hit: impl FnMut(usize, usize),
    ) {
        let stride = integral.stride;
        let offset = |(x, y): (u32, u32)| y as usize * stride + x as usize;
        let (w, h) = self.window;
        offsets.clear();
        offsets.extend(self.features.iter().map(|f| f.corners.map(|c| c.map(offset))));
        let scan = LevelScan {
            plan: self,
            integral,
            offsets,
            inset: [(1, 1), (w - 1, 1), (1, h - 1), (w - 1, h - 1)].map(offset),
            area: f64::from((w - 2) * (h - 2)),
        };
        for y in (0..level.rows).step_by(level.step) {
            let mut x = 0;
            while x < level.columns {
                match scan.test(y * stride + x) {
                    Outcome::Hit => hit(x, y),
                    Outcome::FirstStage => x += level.step,
                    Outcome::Rejected => {}
                }
                x += level.step;
            }
        }
    }
}

/// The scan of one level: the plan with offsets for the level's row length.
struct LevelScan<'a> {
    plan: &'a Plan,
    integral: &'a Integral,
    offsets: &'a [[[usize; 4]; 3]],
    inset: [usize; 4],
    area: f64,
}

impl LevelScan<'_> {
    fn test(&self, at: usize) -> Outcome {
        let Some(normaliser) = self.normaliser(at) else { return Outcome::Rejected };
        let plan = self.plan;
        for (i, stage) in plan.stages.iter().enumerate() {
            let mut votes = 0.0f64;
            for tree in &plan.trees[stage.trees.clone()] {
                let mut index = 0i16;
                let leaf = loop {
                    let node = &plan.nodes[tree.nodes as usize + index as usize];
                    let value = self.value(node.feature as usize, at) * normaliser;
                    index = if value < node.threshold { node.left } else { node.right };
                    if index <= 0 {
                        break tree.leaves as usize + usize::from(index.unsigned_abs());
                    }
                };
                votes += f64::from(plan.leaves[leaf]);
            }
            if votes < stage.threshold {
                return if i == 0 { Outcome::FirstStage } else { Outcome::Rejected };
            }
        }
        Outcome::Hit
    }

    /// 1 / (area x standard deviation) of the window inset by one pixel; `None` when it is too flat
    /// to hold a face (standard deviation below about 10).
    fn normaliser(&self, at: usize) -> Option<f32> {
        let [a, b, c, d] = self.inset.map(|offset| at + offset);
        let s = &self.integral.sum;
        let sum = s[a].wrapping_sub(s[b]).wrapping_sub(s[c]).wrapping_add(s[d]);
        let s = &self.integral.square;
        let square = s[a].wrapping_sub(s[b]).wrapping_sub(s[c]).wrapping_add(s[d]);
        let nf = self.area * f64::from(square) - f64::from(sum) * f64::from(sum);
        if nf <= 0.0 {
            return None;
        }
        let normaliser = (1.0 / nf.sqrt()) as f32;
        (self.area * f64::from(normaliser) < 0.1).then_some(normaliser)
    }

    fn value(&self, feature: usize, at: usize) -> f32 {
        let planned = &self.plan.features[feature];
        let plane = if planned.tilted { &self.integral.tilted } else { &self.integral.sum };
        let mut value = 0.0f32;
        let offsets = &self.offsets[feature];
        for (offsets, weight) in offsets.iter().zip(planned.weights).take(planned.parts) {
            let [a, b, c, d] = offsets.map(|offset| plane[at + offset]);
            let sum = a.wrapping_sub(b).wrapping_sub(c).wrapping_add(d);
            value += weight * sum as f32;
        }
        value
    }
}
