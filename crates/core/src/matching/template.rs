//! Making a person's templates of several embeddings, once it is clear that they show one person.

use super::{Embedding, Metric};

/// Frames that may be left out because they fit none of the others: one in five.
const ODD: usize = 5;
/// Rounds in which frames move to the nearer of the means; more change nothing.
const ROUNDS: usize = 10;

/// Why no template can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nothing to make it of.
    #[error("no frame was usable")]
    NoFrames,
    /// The frames differ too much.
    #[error("the frames show more than one person: enrol one person at a time")]
    NotOnePerson,
}

/// How templates are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TemplateRules {
    /// The means of any two parts of one person's frames are at least this similar.
    pub min_self_similarity: f32,
    /// The most templates a person gets, at least 1.
    pub most: usize,
}

/// The mean of embeddings; put back to length 1 when they all have length 1.
///
/// `None` when there is none, their lengths differ or they cancel each other.
pub fn mean(embeddings: &[&Embedding]) -> Option<Embedding> {
    let size = embeddings.first()?.values().len();
    if embeddings.iter().any(|e| e.values().len() != size) {
        return None;
    }
    let mut sum = vec![0f32; size];
    for embedding in embeddings {
        sum.iter_mut().zip(embedding.values()).for_each(|(s, v)| *s += v);
    }
    let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
    let of_length_one = embeddings.iter().all(|e| (norm(e.values()) - 1.0).abs() < 1e-3);
    let scale = if of_length_one { norm(&sum) } else { embeddings.len() as f32 };
    (scale > 0.0).then(|| Embedding::new(sum.iter().map(|s| s / scale).collect()))
}

/// The templates of one person from the embeddings taken during an enrolment.
///
/// The self-check parts the frames into the two groups that differ most and compares their means: two
/// people's differ as two people do, however well either goes with the mean of all. A small group (a
/// fifth of the frames) is left out, a large one means that the frames do not show one person. What
/// remains is parted into as many groups as there may be templates (poses, light), and each gives its mean.
/// A single embedding is taken as it is (the reference's one-shot enrolment).
///
/// # Errors
/// When there is no embedding or they disagree.
pub fn templates(
    frames: &[Embedding],
    metric: Metric,
    rules: TemplateRules,
) -> Result<Vec<Embedding>, TemplateError> {
    let mut kept: Vec<&Embedding> = frames.iter().collect();
    loop {
        let seeds = match kept[..] {
            [] => return Err(TemplateError::NoFrames),
            [_] => break,
            _ => farthest(&kept, metric).ok_or(TemplateError::NotOnePerson)?,
        };
        let groups = groups(&kept, seeds.to_vec(), metric);
        let [a, b] = &groups[..] else { break };
        let apart = mean(a).zip(mean(b)).and_then(|(a, b)| metric.similarity(&a, &b));
        if apart.is_some_and(|s| s >= rules.min_self_similarity) {
            break;
        }
        kept = if a.len() >= b.len() { a.clone() } else { b.clone() };
        if ODD * (frames.len() - kept.len()) > frames.len() {
            return Err(TemplateError::NotOnePerson);
        }
    }
    let seeds = spread(&kept, rules.most.max(1), metric);
    let means: Option<Vec<Embedding>> = groups(&kept, seeds, metric).iter().map(|g| mean(g)).collect();
    means.filter(|m| !m.is_empty()).ok_or(TemplateError::NoFrames)
}

/// The two frames that are least alike; `None` when two cannot be compared.
fn farthest(frames: &[&Embedding], metric: Metric) -> Option<[usize; 2]> {
    let mut worst = (f32::INFINITY, [0, 0]);
    for a in 0..frames.len() {
        for b in a + 1..frames.len() {
            let similarity = metric.similarity(frames[a], frames[b])?;
            if similarity < worst.0 {
                worst = (similarity, [a, b]);
            }
        }
    }
    Some(worst.1)
}

/// Up to `most` frames, each the least like those before; the first is the nearest to the mean of all.
fn spread(frames: &[&Embedding], most: usize, metric: Metric) -> Vec<usize> {
    let Some(centre) = mean(frames) else { return Vec::new() };
    let like = |a: &Embedding, b: &Embedding| metric.similarity(a, b).unwrap_or(f32::NEG_INFINITY);
    let mut to_chosen: Vec<f32> = frames.iter().map(|f| -like(f, &centre)).collect();
    let mut seeds = Vec::new();
    while seeds.len() < most.min(frames.len()) {
        let candidates = (0..frames.len()).filter(|i| !seeds.contains(i));
        let Some(next) = candidates.min_by(|a, b| to_chosen[*a].total_cmp(&to_chosen[*b])) else { break };
        if seeds.is_empty() {
            to_chosen.fill(f32::NEG_INFINITY);
        }
        seeds.push(next);
        for (known, frame) in to_chosen.iter_mut().zip(frames) {
            *known = known.max(like(frame, frames[next]));
        }
    }
    seeds
}

/// Parts the frames by the nearest mean, beginning with these frames as means (Lloyd's rule). Empty groups
/// are left out.
fn groups<'a>(frames: &[&'a Embedding], seeds: Vec<usize>, metric: Metric) -> Vec<Vec<&'a Embedding>> {
    let mut means: Vec<Embedding> = seeds.into_iter().map(|s| frames[s].clone()).collect();
    let mut groups = Vec::new();
    for _ in 0..ROUNDS {
        let mut next: Vec<Vec<&Embedding>> = vec![Vec::new(); means.len()];
        for frame in frames {
            let like = |m: &Embedding| metric.similarity(m, frame).unwrap_or(f32::NEG_INFINITY);
            let nearest = (0..means.len()).max_by(|a, b| {
                // Of equals the first.
                like(&means[*a]).total_cmp(&like(&means[*b])).then(b.cmp(a))
            });
            next[nearest.unwrap_or(0)].push(frame);
        }
        next.retain(|group| !group.is_empty());
        if next == groups {
            break;
        }
        means = next.iter().filter_map(|group| mean(group)).collect();
        groups = next;
        if means.len() != groups.len() {
            break;
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn e(v: &[f32]) -> Embedding {
        Embedding::new(v.to_vec())
    }

    /// A vector of length 1 at an angle in degrees.
    fn at(degrees: f32) -> Embedding {
        let (sin, cos) = degrees.to_radians().sin_cos();
        e(&[cos, sin])
    }

    const ONE: TemplateRules = TemplateRules { min_self_similarity: 0.3, most: 1 };

    #[test]
    fn unit_vectors_give_a_unit_template_and_others_the_plain_mean() {
        let rules = TemplateRules { min_self_similarity: -9.0, most: 1 };
        let t = templates(&[e(&[1.0, 0.0]), e(&[0.0, 1.0])], Metric::Euclidean, rules).unwrap();
        assert!((t[0].values()[0] - 0.5f32.sqrt()).abs() < 1e-6);
        let t = templates(&[e(&[1.0, 0.0]), e(&[3.0, 1.0])], Metric::Euclidean, rules).unwrap();
        assert_eq!(t[0].values(), &[2.0, 0.5]);
        assert_eq!(templates(&[e(&[5.0])], Metric::Euclidean, ONE), Ok(vec![e(&[5.0])]));
    }

    #[test]
    fn outliers_are_left_out_and_two_people_refused() {
        let (a, b) = (e(&[1.0, 0.0]), e(&[0.0, 1.0]));
        let of = |n: usize, m: usize| [vec![a.clone(); n], vec![b.clone(); m]].concat();
        assert_eq!(templates(&of(4, 1), Metric::Euclidean, ONE), Ok(vec![a.clone()]));
        for (n, m) in [(3, 3), (3, 1), (2, 1), (1, 1), (11, 4), (8, 7)] {
            let mixed = templates(&of(n, m), Metric::Euclidean, ONE);
            assert_eq!(mixed, Err(TemplateError::NotOnePerson), "{n} and {m}");
        }
        // Each of two people goes well with the mean of both: 45 degrees off it, similarity 0.235.
        let lenient = TemplateRules { min_self_similarity: 0.1, most: 3 };
        assert_eq!(templates(&of(8, 7), Metric::Euclidean, lenient), Err(TemplateError::NotOnePerson));
        assert_eq!(templates(&[], Metric::Euclidean, ONE), Err(TemplateError::NoFrames));
        let odd = [e(&[1.0, 0.0]), e(&[1.0])];
        assert_eq!(templates(&odd, Metric::Euclidean, ONE), Err(TemplateError::NotOnePerson));
    }

    #[test]
    fn templates_are_as_diverse_as_the_frames() {
        let frames: Vec<Embedding> = [0.0, 1.0, 2.0, 20.0, 21.0, 22.0, 40.0, 41.0, 42.0].map(at).into();
        let three = TemplateRules { min_self_similarity: 0.3, most: 3 };
        let mut found: Vec<f32> = templates(&frames, Metric::Euclidean, three)
            .unwrap()
            .iter()
            .map(|t| t.values()[1].atan2(t.values()[0]).to_degrees().round())
            .collect();
        found.sort_by(f32::total_cmp);
        assert_eq!(found, [1.0, 21.0, 41.0]);
        let same = vec![at(10.0); 15];
        assert!(templates(&same, Metric::Euclidean, three).unwrap().len() <= 3);
        let two = templates(&[at(0.0), at(20.0)], Metric::Euclidean, three).unwrap();
        assert_eq!(two.len(), 2, "two pictures, two templates");
    }
}
