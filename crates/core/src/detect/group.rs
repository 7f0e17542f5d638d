//! Grouping of raw hits into faces, as OpenCV's `groupRectangles` does it.

use crate::picture::Rect;

/// Two rectangles are alike when their edges differ by at most this share of their size.
const EPS: f64 = 0.2;

/// Rounds half to even, as the processor does.
pub(super) fn round(value: f64) -> i32 {
    value.round_ties_even() as i32
}

fn alike(a: &Rect, b: &Rect) -> bool {
    let delta = EPS * f64::from(a.width.min(b.width) + a.height.min(b.height)) * 0.5;
    let near = |p: i32, q: i32| f64::from((p - q).abs()) <= delta;
    near(a.x, b.x)
        && near(a.y, b.y)
        && near(a.x + a.width, b.x + b.width)
        && near(a.y + a.height, b.y + b.height)
}

#[derive(Clone, Copy)]
struct Class {
    sum: [i32; 4],
    count: i32,
}

/// Working memory, kept between frames.
#[derive(Default)]
pub(super) struct Grouper {
    parent: Vec<u32>,
    label: Vec<u32>,
    classes: Vec<Class>,
    means: Vec<Rect>,
}

impl Grouper {
    /// Appends to `faces` the mean of each class of alike `hits` that has more than `min_neighbors`
    /// members and lies not inside a stronger one; with `min_neighbors` 0 the hits themselves.
    /// Classes come in the order of their first members.
    pub fn group(&mut self, hits: &[Rect], min_neighbors: u32, faces: &mut Vec<Rect>) {
        if min_neighbors == 0 {
            faces.extend_from_slice(hits);
            return;
        }
        let least = i32::try_from(min_neighbors).unwrap_or(i32::MAX);
        self.partition(hits);
        self.means.clear();
        self.means.extend(self.classes.iter().map(|class| {
            let scale = 1.0f32 / class.count as f32;
            let mean = |sum: i32| round(f64::from(sum as f32 * scale));
            let [x, y, w, h] = class.sum;
            Rect::new(mean(x), mean(y), mean(w), mean(h))
        }));
        for (i, (r1, class)) in self.means.iter().zip(&self.classes).enumerate() {
            let n1 = class.count;
            if n1 <= least {
                continue;
            }
            let swallowed = self.means.iter().zip(&self.classes).enumerate().any(|(k, (r2, c2))| {
                let n2 = c2.count;
                let dx = round(f64::from(r2.width) * EPS);
                let dy = round(f64::from(r2.height) * EPS);
                k != i
                    && n2 > least
                    && r1.x >= r2.x - dx
                    && r1.y >= r2.y - dy
                    && r1.x + r1.width <= r2.x + r2.width + dx
                    && r1.y + r1.height <= r2.y + r2.height + dy
                    && (n2 > n1.max(3) || n1 < 3)
            });
            if !swallowed {
                faces.push(*r1);
            }
        }
    }

    /// Splits `hits` into the transitive closure of [`alike`] and sums each class up.
    fn partition(&mut self, hits: &[Rect]) {
        self.parent.clear();
        self.parent.extend(0..hits.len() as u32);
        for i in 0..hits.len() {
            for k in 0..i {
                if alike(&hits[i], &hits[k]) {
                    let (a, b) = (self.root(i as u32), self.root(k as u32));
                    // The smaller index becomes the root: classes are numbered by first member.
                    self.parent[a.max(b) as usize] = a.min(b);
                }
            }
        }
        self.classes.clear();
        self.label.clear();
        for (i, r) in hits.iter().enumerate() {
            let root = self.root(i as u32) as usize;
            let label = if root == i {
                self.classes.push(Class { sum: [0; 4], count: 0 });
                self.classes.len() as u32 - 1
            } else {
                self.label[root]
            };
            self.label.push(label);
            let class = &mut self.classes[label as usize];
            for (sum, part) in class.sum.iter_mut().zip([r.x, r.y, r.width, r.height]) {
                *sum = sum.wrapping_add(part);
            }
            class.count += 1;
        }
    }

    fn root(&mut self, mut i: u32) -> u32 {
        while self.parent[i as usize] != i {
            let up = self.parent[self.parent[i as usize] as usize];
            self.parent[i as usize] = up;
            i = up;
        }
        i
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(hits: &[Rect], min_neighbors: u32) -> Vec<Rect> {
        let mut faces = Vec::new();
        Grouper::default().group(hits, min_neighbors, &mut faces);
        faces
    }

    #[test]
    fn a_class_needs_more_than_min_neighbors() {
        let near = [Rect::new(10, 10, 40, 40), Rect::new(12, 10, 40, 40), Rect::new(14, 11, 41, 41)];
        assert_eq!(group(&near, 0), near);
        assert_eq!(group(&near, 2), [Rect::new(12, 10, 40, 40)]);
        assert!(group(&near, 3).is_empty());
    }

    #[test]
    fn likeness_is_transitive() {
        // The first and the last differ by 16 px, each neighbour by 8 px = 0.2 of 40.
        let chain = [Rect::new(0, 0, 40, 40), Rect::new(16, 0, 40, 40), Rect::new(8, 0, 40, 40)];
        assert_eq!(group(&chain, 1), [Rect::new(8, 0, 40, 40)]);
    }

    #[test]
    fn a_weak_class_inside_a_strong_one_goes() {
        let mut hits = vec![Rect::new(20, 20, 20, 20); 2];
        hits.extend([Rect::new(0, 0, 80, 80); 4]);
        assert_eq!(group(&hits, 1), [Rect::new(0, 0, 80, 80)]);
    }
}
