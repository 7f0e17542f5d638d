//! Comparing probe after probe of one face with a gallery, small or large.
//!
//! Up to [`WHOLE`] templates, each is compared in full precision. A larger gallery is searched whole in one
//! byte a value ([`CompactTemplates`]), and only the subjects of the nearest rows are compared in full
//! precision. That is exact all the same: of everybody else it is known how much like the probe they can be
//! at most, and the rule of the window counts with that ([`Others`]).

use std::collections::BTreeMap;

use super::compact::{Bytes, CompactTemplates};
use super::{Embedding, Gallery, Metric};
use crate::ids::{Likeness, Others, Score};

/// The most templates that are all compared in full precision: some 0.1 ms of work.
const WHOLE: usize = 4_096;
/// Rows of a search whose subjects are compared in full precision.
const NEAREST: usize = 64;
/// Subjects near the face are still compared for this many probes, so that the window, which holds fewer, has a
/// score in each of its frames, or in none before the first.
const KEPT_FOR: u64 = 256;
/// How far from 1 the length of a normalised vector may be.
const LENGTH_TOLERANCE: f32 = 1e-3;

/// Compares the probes of one face with a gallery.
#[derive(Debug)]
pub struct Matcher {
    metric: Metric,
    whole: usize,
    /// For the gallery of this version and this many subjects; `None` where all is compared.
    index: Option<Index>,
    indexed: Option<(u64, usize)>,
    /// Places in the gallery of those who were near the face, and for which probe last.
    kept: BTreeMap<usize, u64>,
    /// Probes compared.
    probes: u64,
}

impl Matcher {
    /// Compares by this metric.
    pub fn new(metric: Metric) -> Self {
        Matcher { metric, whole: WHOLE, index: None, indexed: None, kept: BTreeMap::new(), probes: 0 }
    }

    /// Another face comes.
    pub fn forget(&mut self) {
        self.kept.clear();
    }

    /// How much the probe is like the gallery's subjects. A gallery that changed has another version.
    pub fn compare(&mut self, gallery: &Gallery, probe: &Embedding) -> Likeness {
        let state = (gallery.version(), gallery.subjects().len());
        if self.indexed != Some(state) {
            self.index = Index::of(gallery, self.whole);
            self.indexed = Some(state);
            self.kept.clear();
        }
        match self.index.as_ref().and_then(|index| index.search(probe)) {
            None => gallery.scores(probe, self.metric).into(),
            Some(found) => self.rescore(gallery, probe, &found),
        }
    }

    fn rescore(&mut self, gallery: &Gallery, probe: &Embedding, found: &Found) -> Likeness {
        self.probes += 1;
        self.kept.extend(found.subjects.iter().map(|place| (*place, self.probes)));
        self.kept.retain(|_, near| self.probes - *near <= KEPT_FOR);
        let subjects = gallery.subjects();
        let compared = self.kept.keys().filter_map(|place| subjects.get(*place));
        let scores: Vec<Score> = compared.filter_map(|s| s.score(probe, self.metric)).collect();
        let count = (subjects.len() - scores.len()) as u32;
        let at_most = self.metric.similarity_of_cosine(found.cosine_at_most);
        Likeness { scores, others: (count > 0).then_some(Others { count, at_most }) }
    }
}

/// The nearest rows of a search.
struct Found {
    /// Places of their subjects in the gallery.
    subjects: Vec<usize>,
    /// No other row's cosine with the probe is above this, in full precision.
    cosine_at_most: f32,
}

/// A large gallery in one byte a value.
#[derive(Debug)]
struct Index {
    rows: CompactTemplates,
    /// Whose template each row is: the place in the gallery.
    subjects: Vec<u32>,
    /// The largest angle between a template and its row, in radians.
    widest: f64,
}

impl Index {
    /// `None` for a gallery of at most `whole` templates, and for one that no index serves: where a template
    /// is not of length 1, likeness by Euclidean distance does not follow the angle.
    fn of(gallery: &Gallery, whole: usize) -> Option<Self> {
        let templates = || {
            let numbered = gallery.subjects().iter().zip(0u32..);
            numbered.flat_map(|(subject, place)| subject.templates.iter().map(move |t| (t, place)))
        };
        let count = templates().count();
        if count <= whole {
            return None;
        }
        let values = templates().next()?.0.values().len();
        let mut rows = CompactTemplates::with_capacity(values, count);
        let mut subjects = Vec::with_capacity(count);
        let mut widest = 0f64;
        for (template, place) in templates() {
            let (bytes, angle) = compact(template)?;
            if !rows.push(&bytes) {
                return None;
            }
            subjects.push(place);
            widest = widest.max(angle);
        }
        Some(Index { rows, subjects, widest })
    }

    /// `None` for a probe that the index cannot be asked about.
    fn search(&self, probe: &Embedding) -> Option<Found> {
        let (bytes, angle) = compact(probe)?;
        let hits = self.rows.nearest(&bytes, NEAREST);
        let last = hits.last()?;
        let mut subjects: Vec<usize> = hits.iter().map(|hit| self.subjects[hit.row] as usize).collect();
        subjects.sort_unstable();
        subjects.dedup();
        // Rounding turns a template by no more than `widest` and the probe by `angle`.
        let least = f64::from(last.similarity).clamp(-1.0, 1.0).acos() - self.widest - angle;
        Some(Found { subjects, cosine_at_most: least.max(0.0).cos() as f32 })
    }
}

/// A vector of length 1 as bytes, and the angle by which rounding turned it.
fn compact(vector: &Embedding) -> Option<(Bytes, f64)> {
    let values = vector.values();
    let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
    if (length - 1.0).abs() > LENGTH_TOLERANCE {
        return None;
    }
    let bytes = Bytes::of(values)?;
    let (mut dot, mut squares, mut norm) = (0f64, 0f64, 0f64);
    for (rounded, exact) in bytes.values().iter().zip(values) {
        let (rounded, exact) = (f64::from(*rounded), f64::from(*exact));
        dot += rounded * exact;
        squares += rounded * rounded;
        norm += exact * exact;
    }
    Some((bytes, (dot / (squares * norm).sqrt()).clamp(-1.0, 1.0).acos()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::matching::ModelHash;

    const VALUES: usize = 16;

    fn unit(values: &[f32]) -> Embedding {
        let length = values.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-6);
        Embedding::new(values.iter().map(|v| v / length).collect())
    }

    fn gallery(people: &[Vec<Vec<f32>>]) -> Gallery {
        let mut gallery = Gallery::default();
        for (n, templates) in people.iter().enumerate() {
            let templates = templates.iter().map(|t| unit(t)).collect();
            gallery.enrol(&format!("person {n}"), templates, ModelHash([1; 32]), 0).unwrap();
        }
        gallery
    }

    fn vector() -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(-1f32..1.0, VALUES)
    }

    /// With an index from the first template on.
    fn indexing(metric: Metric) -> Matcher {
        Matcher { whole: 0, ..Matcher::new(metric) }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Listed scores are those of the whole comparison, and nobody left out is more alike than said.
        #[test]
        fn nobody_left_out_is_more_alike_than_said(
            people in prop::collection::vec(prop::collection::vec(vector(), 1..3), 60..200),
            probes in prop::collection::vec(vector(), 1..4),
            cosine: bool,
        ) {
            let metric = if cosine { Metric::Cosine } else { Metric::Euclidean };
            let gallery = gallery(&people);
            let mut matcher = indexing(metric);
            let mut listed_before = Vec::new();
            for probe in probes {
                let probe = unit(&probe);
                let all = gallery.scores(&probe, metric);
                let found = matcher.compare(&gallery, &probe);
                prop_assert_eq!(found.subjects(), all.len());
                for score in &all {
                    match found.scores.iter().find(|s| s.subject == score.subject) {
                        Some(listed) => prop_assert_eq!(listed.similarity, score.similarity),
                        None => prop_assert!(score.similarity <= found.others.unwrap().at_most + 1e-5),
                    }
                }
                let listed: Vec<_> = found.scores.iter().map(|s| s.subject).collect();
                prop_assert!(listed_before.iter().all(|s| listed.contains(s)), "once near, always compared");
                listed_before = listed;
            }
        }
    }

    #[test]
    fn a_changed_gallery_is_searched_anew() {
        let axis = |at: usize| {
            let mut values = vec![0.01f32; VALUES];
            values[at] = 1.0;
            values
        };
        let mut gallery = gallery(&[vec![axis(0)], vec![axis(1)]]);
        let mut matcher = indexing(Metric::Cosine);
        let probe = unit(&axis(2));
        assert!(matcher.compare(&gallery, &probe).scores.iter().all(|s| s.similarity < 0.5));
        let id = gallery.enrol("third", vec![probe.clone()], ModelHash([1; 32]), 0).unwrap();
        let found = matcher.compare(&gallery, &probe);
        assert!(found.scores.iter().any(|s| s.subject == id && s.similarity > 0.999), "{found:?}");
    }

    #[test]
    fn vectors_of_any_length_are_all_compared() {
        let mut gallery = gallery(&[vec![vec![1.0; VALUES]]]);
        gallery.enrol("long", vec![Embedding::new(vec![2.0; VALUES])], ModelHash([1; 32]), 0).unwrap();
        let found = indexing(Metric::Euclidean).compare(&gallery, &Embedding::new(vec![2.0; VALUES]));
        assert_eq!((found.scores.len(), found.others), (2, None));
    }
}
