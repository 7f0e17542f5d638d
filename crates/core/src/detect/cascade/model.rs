//! The trained classifier: stages of weak classifiers (trees, mostly stumps) over Haar features.

/// The largest window edge, in pixels. Sums over such a window stay exact in 32 bits.
const MAX_WINDOW: u32 = 255;

/// OpenCV lowers every stage threshold by this much.
const OPENCV_TOLERANCE: f32 = 1e-5;

/// Why a cascade cannot be used.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum CascadeError {
    /// The text is not XML.
    #[error("not well-formed XML: {0}")]
    Xml(String),
    /// The bytes are neither XML nor a compact cascade.
    #[error(
        "not a cascade: neither XML nor facelatch's compact form (is the file empty or of another format?)"
    )]
    Unrecognised,
    /// A cascade of a kind that facelatch does not read, for example LBP features.
    #[error("unsupported cascade: {0}")]
    Unsupported(String),
    /// An element is absent.
    #[error("{place}: <{element}> is missing")]
    Missing {
        /// Where it was expected.
        place: String,
        /// Its name.
        element: &'static str,
    },
    /// An element holds something unusable.
    #[error("{place}: {problem}")]
    Invalid {
        /// Where it stands.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The compact form ends too early or carries surplus bytes.
    #[error("compact cascade of {got} bytes: {problem}; convert it again with `facelatch cascade convert`")]
    Compact {
        /// Size of what was given.
        got: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl CascadeError {
    pub(super) fn invalid(place: impl Into<String>, problem: impl Into<String>) -> Self {
        CascadeError::Invalid { place: place.into(), problem: problem.into() }
    }
}

/// A rectangle of a feature, in window pixels, with the weight of its pixel sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightedRect {
    /// Left edge; of a tilted rectangle, the x of its top corner.
    pub x: u8,
    /// Top edge; of a tilted rectangle, the y of its top corner.
    pub y: u8,
    /// Width; of a tilted rectangle, its extent along the descending diagonal.
    pub width: u8,
    /// Height; of a tilted rectangle, its extent along the ascending diagonal.
    pub height: u8,
    /// Weight of the sum.
    pub weight: f32,
}

/// A Haar feature: a weighted sum of one to three rectangle sums.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Its rectangles, one to three.
    pub rects: Vec<WeightedRect>,
    /// Whether the rectangles are turned by 45 degrees.
    pub tilted: bool,
}

/// A node of a weak classifier.
///
/// `left` and `right` above 0 name another node of the tree; at or below 0, the negated index of a leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// Index of the feature that is compared.
    pub feature: u32,
    /// Normalised feature values below this go left.
    pub threshold: f32,
    /// Where values below the threshold go.
    pub left: i16,
    /// Where the others go.
    pub right: i16,
}

/// A weak classifier: a decision tree whose leaves vote. A stump has one node and two leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// Nodes; the root is the first, children come after their parent.
    pub nodes: Vec<Node>,
    /// Votes.
    pub leaves: Vec<f32>,
}

/// A stage: a window passes when the votes of its trees reach the threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Threshold as the XML states it, before OpenCV's tolerance of 1e-5 is taken off.
    pub threshold: f32,
    /// Weak classifiers.
    pub trees: Vec<Tree>,
}

impl Stage {
    /// The threshold as OpenCV uses it.
    pub(in super::super) fn opencv_threshold(&self) -> f32 {
        self.threshold - OPENCV_TOLERANCE
    }
}

/// A trained classifier, immutable, checked when it is made: every feature lies inside the window,
/// every index exists, every tree ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Cascade {
    width: u32,
    height: u32,
    features: Vec<Feature>,
    stages: Vec<Stage>,
}

impl Cascade {
    /// A cascade from its parts.
    ///
    /// # Errors
    /// [`CascadeError::Invalid`] for whatever breaks the promises of the type.
    pub fn new(window: (u32, u32), features: Vec<Feature>, stages: Vec<Stage>) -> Result<Self, CascadeError> {
        let cascade = Cascade { width: window.0, height: window.1, features, stages };
        cascade.check()?;
        Ok(cascade)
    }

    /// Window width and height in pixels.
    pub fn window(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The features that the nodes refer to.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The stages in the order in which a window must pass them.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    fn check(&self) -> Result<(), CascadeError> {
        let fits = |edge: u32| (3..=MAX_WINDOW).contains(&edge);
        if !fits(self.width) || !fits(self.height) {
            return Err(CascadeError::invalid(
                "window",
                format!("{}x{} pixels; each edge must be 3 to {MAX_WINDOW}", self.width, self.height),
            ));
        }
        if self.stages.is_empty() {
            return Err(CascadeError::invalid("stages", "there is none"));
        }
        if self.stages.len() > usize::from(u16::MAX) {
            return Err(CascadeError::invalid("stages", "more than 65,535"));
        }
        for (i, feature) in self.features.iter().enumerate() {
            self.check_feature(feature).map_err(|p| CascadeError::invalid(format!("feature {i}"), p))?;
        }
        for (i, stage) in self.stages.iter().enumerate() {
            if !stage.threshold.is_finite() {
                return Err(CascadeError::invalid(
                    format!("stage {i}"),
                    "the threshold is not a finite number",
                ));
            }
            if stage.trees.is_empty() || stage.trees.len() > usize::from(u16::MAX) {
                return Err(CascadeError::invalid(
                    format!("stage {i}"),
                    "needs 1 to 65,535 weak classifiers",
                ));
            }
            for (k, tree) in stage.trees.iter().enumerate() {
                self.check_tree(tree)
                    .map_err(|p| CascadeError::invalid(format!("stage {i}, weak classifier {k}"), p))?;
            }
        }
        Ok(())
    }

    fn check_feature(&self, feature: &Feature) -> Result<(), String> {
        if !(1..=3).contains(&feature.rects.len()) {
            return Err(format!("{} rectangles; 1 to 3 are possible", feature.rects.len()));
        }
        for r in &feature.rects {
            let (x, y, w, h) = (u32::from(r.x), u32::from(r.y), u32::from(r.width), u32::from(r.height));
            if !r.weight.is_finite() {
                return Err("a weight is not a finite number".into());
            }
            let inside = if feature.tilted {
                x >= h && x + w <= self.width && y + w + h <= self.height
            } else {
                x + w <= self.width && y + h <= self.height
            };
            if w == 0 || h == 0 || !inside {
                let kind = if feature.tilted { "tilted rectangle" } else { "rectangle" };
                return Err(format!(
                    "{kind} {x} {y} {w} {h} is empty or leaves the {}x{} window",
                    self.width, self.height
                ));
            }
        }
        Ok(())
    }

    fn check_tree(&self, tree: &Tree) -> Result<(), String> {
        if tree.nodes.is_empty() || tree.nodes.len() > 1024 {
            return Err(format!("{} nodes; 1 to 1,024 are possible", tree.nodes.len()));
        }
        if tree.leaves.is_empty() || tree.leaves.len() > 1025 {
            return Err(format!("{} leaves; 1 to 1,025 are possible", tree.leaves.len()));
        }
        if tree.leaves.iter().any(|v| !v.is_finite()) {
            return Err("a leaf is not a finite number".into());
        }
        for (i, node) in tree.nodes.iter().enumerate() {
            if node.feature as usize >= self.features.len() {
                return Err(format!("feature {} of {} is asked for", node.feature, self.features.len()));
            }
            if !node.threshold.is_finite() {
                return Err("a threshold is not a finite number".into());
            }
            for next in [node.left, node.right] {
                let next = i32::from(next);
                // A child after its parent: this excludes endless trees.
                if next > 0 && (next <= i as i32 || next >= tree.nodes.len() as i32) {
                    return Err(format!("node {i} leads to node {next}"));
                }
                if next <= 0 && -next >= tree.leaves.len() as i32 {
                    return Err(format!("node {i} leads to leaf {} of {}", -next, tree.leaves.len()));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rect(x: u8, y: u8, width: u8, height: u8, weight: f32) -> WeightedRect {
        WeightedRect { x, y, width, height, weight }
    }

    fn stump(feature: u32) -> Tree {
        Tree { nodes: vec![Node { feature, threshold: 0.1, left: 0, right: -1 }], leaves: vec![1.0, -1.0] }
    }

    fn tiny(rects: Vec<WeightedRect>, tilted: bool, tree: Tree) -> Result<Cascade, CascadeError> {
        Cascade::new(
            (8, 6),
            vec![Feature { rects, tilted }],
            vec![Stage { threshold: 0.0, trees: vec![tree] }],
        )
    }

    #[test]
    fn what_breaks_a_promise_is_refused() {
        let whole = || vec![rect(0, 0, 8, 6, -1.0), rect(0, 0, 4, 6, 2.0)];
        assert!(tiny(whole(), false, stump(0)).is_ok());
        assert!(tiny(vec![], false, stump(0)).is_err());
        assert!(tiny(vec![rect(1, 0, 8, 6, 1.0)], false, stump(0)).is_err());
        assert!(tiny(vec![rect(0, 0, 0, 6, 1.0)], false, stump(0)).is_err());
        assert!(tiny(vec![rect(0, 0, 8, 6, f32::NAN)], false, stump(0)).is_err());
        assert!(tiny(vec![rect(2, 0, 3, 2, 1.0)], true, stump(0)).is_ok());
        assert!(tiny(vec![rect(1, 0, 3, 2, 1.0)], true, stump(0)).is_err());
        assert!(tiny(vec![rect(2, 0, 3, 4, 1.0)], true, stump(0)).is_err());
        assert!(tiny(whole(), false, stump(1)).is_err());
        let mut looped = stump(0);
        looped.nodes.push(Node { feature: 0, threshold: 0.0, left: 1, right: 0 });
        looped.nodes[0].left = 1;
        assert!(tiny(whole(), false, looped).is_err());
        let mut leafless = stump(0);
        leafless.leaves.pop();
        assert!(tiny(whole(), false, leafless).is_err());
    }
}
