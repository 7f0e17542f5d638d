//! Embeddings and their distance.

use std::fmt;

use zeroize::Zeroize;

/// What an embedder makes of a face: a vector (128 values for the default network).
///
/// Biometric data: `Debug` shows the length only, and the values are wiped from memory when it is
/// dropped.
#[derive(Clone, PartialEq)]
pub struct Embedding(Vec<f32>);

impl Embedding {
    /// Wraps the values of an embedder's output.
    pub fn new(values: Vec<f32>) -> Self {
        Embedding(values)
    }

    /// The values: to be stored encrypted or compared, never logged.
    pub fn values(&self) -> &[f32] {
        &self.0
    }

    /// True when every value is a finite number.
    pub fn is_finite(&self) -> bool {
        self.0.iter().all(|v| v.is_finite())
    }
}

impl Drop for Embedding {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embedding({} values, redacted)", self.0.len())
    }
}

/// How two embeddings are compared. Both give a similarity that grows with likeness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Distance = Euclidean distance, similarity = 1 - distance (the reference system).
    Euclidean,
    /// Similarity = cosine of the angle, distance = 1 - similarity.
    Cosine,
}

impl Metric {
    /// The distance of two embeddings: lower is closer, 0 for equal ones.
    ///
    /// `None` when their lengths differ or a value is not finite: no statement, which a caller must
    /// treat as "not the same".
    pub fn distance(self, a: &Embedding, b: &Embedding) -> Option<f32> {
        let (a, b) = (a.values(), b.values());
        if a.len() != b.len() || a.is_empty() {
            return None;
        }
        let distance = match self {
            // The floor of 1e-7 under the root is the reference system's.
            Metric::Euclidean => {
                let squares: f32 = a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum();
                // `max` would turn a NaN into the closest distance there is.
                if squares.is_nan() { f32::NAN } else { squares.max(1e-7).sqrt() }
            }
            Metric::Cosine => {
                let dot = |p: &[f32], q: &[f32]| p.iter().zip(q).map(|(x, y)| x * y).sum::<f32>();
                let norms = (dot(a, a) * dot(b, b)).sqrt();
                if norms <= 0.0 {
                    return None;
                }
                1.0 - dot(a, b) / norms
            }
        };
        distance.is_finite().then_some(distance)
    }

    /// The similarity of two vectors of length 1 with this cosine of the angle between them, -1 to 1.
    pub fn similarity_of_cosine(self, cosine: f32) -> f32 {
        match self {
            Metric::Euclidean => 1.0 - (2.0 - 2.0 * cosine).max(1e-7).sqrt(),
            Metric::Cosine => cosine,
        }
    }

    /// The similarity of two embeddings, 1 - distance.
    pub fn similarity(self, a: &Embedding, b: &Embedding) -> Option<f32> {
        self.distance(a, b).map(|d| 1.0 - d)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn e(v: &[f32]) -> Embedding {
        Embedding::new(v.to_vec())
    }

    #[test]
    fn euclidean_is_the_references_formula() {
        let d = Metric::Euclidean.distance(&e(&[0.0, 3.0]), &e(&[4.0, 0.0]));
        assert_eq!(d, Some(5.0));
        assert_eq!(Metric::Euclidean.distance(&e(&[1.0]), &e(&[1.0])), Some(1e-7f32.sqrt()));
    }

    #[test]
    fn cosine_ignores_length() {
        let s = Metric::Cosine.similarity(&e(&[2.0, 0.0]), &e(&[9.0, 0.0])).unwrap();
        assert!((s - 1.0).abs() < 1e-6);
        assert_eq!(Metric::Cosine.similarity(&e(&[0.0, 0.0]), &e(&[1.0, 0.0])), None);
    }

    #[test]
    fn nothing_is_said_of_odd_pairs() {
        assert_eq!(Metric::Euclidean.distance(&e(&[1.0]), &e(&[1.0, 2.0])), None);
        assert_eq!(Metric::Euclidean.distance(&e(&[f32::NAN]), &e(&[1.0])), None);
        assert_eq!(Metric::Cosine.distance(&e(&[]), &e(&[])), None);
    }

    #[test]
    fn debug_redacts() {
        assert_eq!(format!("{:?}", e(&[0.25, 0.5])), "Embedding(2 values, redacted)");
    }
}
