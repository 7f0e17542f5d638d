//! Making one template of several embeddings of a person.

use super::{Embedding, Metric};

/// Why no template can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nothing to make it of.
    #[error("no usable frame was taken")]
    NoFrames,
    /// The frames differ too much.
    #[error("the frames taken do not look like one person: only one person may stand before the camera")]
    NotOnePerson,
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

/// One template from the embeddings taken during an enrolment.
///
/// Each is checked against the mean of all: those below `threshold` (a similarity) are left out, and
/// when they are more than a third, the frames do not show one person. A single embedding is taken as
/// it is (the reference's one-shot enrolment).
///
/// # Errors
/// When there is no embedding or they disagree.
pub fn template(
    embeddings: &[Embedding],
    metric: Metric,
    threshold: f32,
) -> Result<Embedding, TemplateError> {
    let all: Vec<&Embedding> = embeddings.iter().collect();
    if let [single] = embeddings {
        return Ok(single.clone());
    }
    let centre = mean(&all).ok_or(TemplateError::NoFrames)?;
    let agrees = |e: &&Embedding| metric.similarity(&centre, e).is_some_and(|s| s >= threshold);
    let kept: Vec<&Embedding> = all.iter().copied().filter(agrees).collect();
    if 3 * (all.len() - kept.len()) > all.len() {
        return Err(TemplateError::NotOnePerson);
    }
    mean(&kept).ok_or(TemplateError::NoFrames)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn e(v: &[f32]) -> Embedding {
        Embedding::new(v.to_vec())
    }

    #[test]
    fn unit_vectors_give_a_unit_template_and_others_the_plain_mean() {
        let t = template(&[e(&[1.0, 0.0]), e(&[0.0, 1.0])], Metric::Euclidean, -1.0).unwrap();
        assert!((t.values()[0] - 0.5f32.sqrt()).abs() < 1e-6);
        let t = template(&[e(&[1.0, 0.0]), e(&[3.0, 1.0])], Metric::Euclidean, -9.0).unwrap();
        assert_eq!(t.values(), &[2.0, 0.5]);
        assert_eq!(template(&[e(&[5.0])], Metric::Euclidean, 1.0), Ok(e(&[5.0])));
    }

    #[test]
    fn outliers_are_left_out_and_two_people_refused() {
        let (a, b) = (e(&[1.0, 0.0]), e(&[0.0, 1.0]));
        let one_odd = vec![a.clone(), a.clone(), a.clone(), a.clone(), b.clone()];
        assert_eq!(template(&one_odd, Metric::Euclidean, 0.3), Ok(a.clone()));
        let two_people = vec![a.clone(), a.clone(), a, b.clone(), b.clone(), b];
        assert_eq!(template(&two_people, Metric::Euclidean, 0.3), Err(TemplateError::NotOnePerson));
        assert_eq!(template(&[], Metric::Euclidean, 0.3), Err(TemplateError::NoFrames));
    }
}
