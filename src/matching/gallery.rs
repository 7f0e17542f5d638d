//! The gallery: who is enrolled, and how a probe is compared with them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Embedding, Metric};
use crate::access::{Score, SubjectId};

/// The SHA-256 of an embedder's file: templates of one model mean nothing to another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelHash(pub [u8; 32]);

impl fmt::Display for ModelHash {
    /// The first 12 hexadecimal digits: enough to tell models apart by eye.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ModelHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelHash({self})")
    }
}

/// One enrolled person.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// The number that stands for the person in decisions and logs.
    pub id: SubjectId,
    /// The name given at enrolment, unique in the gallery.
    pub name: String,
    /// Wall-clock seconds since 1970 at enrolment.
    pub enrolled: u64,
    /// The model that made the templates.
    pub model: ModelHash,
    /// At least one template.
    pub templates: Vec<Embedding>,
}

/// Why a person cannot be enrolled or found.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GalleryError {
    /// The name cannot be used.
    #[error("\"{0}\" is no usable name: use 1 to 64 letters, digits, spaces and . _ -")]
    BadName(String),
    /// The template holds something that is no number, or nothing.
    #[error("the template of {0} is damaged: enrol the person again")]
    BadTemplate(String),
    /// All ids were given out.
    #[error("the gallery is full")]
    Full,
    /// Nobody of that name.
    #[error("nobody called \"{0}\" is enrolled (see: facelatch people list)")]
    NoSuchSubject(String),
}

/// Everybody enrolled. Each change raises the version.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gallery {
    version: u64,
    next_id: u32,
    subjects: Vec<Subject>,
}

impl Gallery {
    /// A gallery as it was stored.
    ///
    /// # Errors
    /// When a subject has no usable name or template, or two share an id or a name.
    pub fn restore(version: u64, next_id: u32, subjects: Vec<Subject>) -> Result<Self, GalleryError> {
        for (n, subject) in subjects.iter().enumerate() {
            Self::check_name(&subject.name)?;
            check_templates(&subject.name, &subject.templates)?;
            let clash =
                subjects[..n].iter().any(|other| other.id == subject.id || other.name == subject.name);
            if clash || subject.id.0 >= next_id {
                return Err(GalleryError::BadTemplate(subject.name.clone()));
            }
        }
        Ok(Gallery { version, next_id, subjects })
    }

    /// Grows with each change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The id that the next new person gets.
    pub fn next_id(&self) -> u32 {
        self.next_id
    }

    /// Everybody enrolled, in order of enrolment.
    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    /// The person with that id.
    pub fn subject(&self, id: SubjectId) -> Option<&Subject> {
        self.subjects.iter().find(|s| s.id == id)
    }

    /// The name for an id, or the id in words for somebody no longer enrolled.
    pub fn name(&self, id: SubjectId) -> String {
        self.subject(id).map_or_else(|| format!("subject {id}"), |s| s.name.clone())
    }

    /// Enrols a person; one of the same name is replaced, under a new id.
    ///
    /// # Errors
    /// When name or templates are unusable.
    pub fn enrol(
        &mut self,
        name: &str,
        templates: Vec<Embedding>,
        model: ModelHash,
        enrolled: u64,
    ) -> Result<SubjectId, GalleryError> {
        Self::check_name(name)?;
        check_templates(name, &templates)?;
        let id = SubjectId(self.next_id);
        self.next_id = self.next_id.checked_add(1).ok_or(GalleryError::Full)?;
        self.subjects.retain(|s| s.name != name);
        self.subjects.push(Subject { id, name: name.to_owned(), enrolled, model, templates });
        self.version += 1;
        Ok(id)
    }

    /// Removes a person with everything known of them.
    ///
    /// # Errors
    /// When nobody has that name.
    pub fn remove(&mut self, name: &str) -> Result<SubjectId, GalleryError> {
        let at = self.subjects.iter().position(|s| s.name == name);
        let at = at.ok_or_else(|| GalleryError::NoSuchSubject(name.to_owned()))?;
        self.version += 1;
        Ok(self.subjects.remove(at).id)
    }

    /// Refuses a name that cannot be used: 1 to 64 letters, digits, spaces and `. _ -`.
    ///
    /// # Errors
    /// [`GalleryError::BadName`].
    pub fn check_name(name: &str) -> Result<(), GalleryError> {
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | '_' | '-');
        let fits = (1..=64).contains(&name.chars().count());
        if fits && name.chars().all(allowed) && name.trim() == name {
            Ok(())
        } else {
            Err(GalleryError::BadName(name.to_owned()))
        }
    }

    /// A name that nobody has yet, for an enrolment by button.
    pub fn unused_name(&self) -> String {
        format!("person-{}", self.next_id)
    }

    /// How many people have templates of a model other than `ours`: they cannot be recognised.
    pub fn of_other_models(&self, ours: ModelHash) -> usize {
        self.subjects.iter().filter(|s| s.model != ours).count()
    }

    /// The people whose templates a probe of the model `ours` can be compared with.
    pub fn of_model(&self, ours: ModelHash) -> Gallery {
        let subjects = self.subjects.iter().filter(|s| s.model == ours).cloned().collect();
        Gallery { version: self.version, next_id: self.next_id, subjects }
    }

    /// The probe's similarity to each subject: that of the closest template.
    ///
    /// A subject whose templates cannot be compared with the probe is left out, and so cannot be
    /// identified.
    pub fn scores(&self, probe: &Embedding, metric: Metric) -> Vec<Score> {
        self.subjects
            .iter()
            .filter_map(|subject| {
                let similarities = subject.templates.iter().filter_map(|t| metric.similarity(t, probe));
                let similarity = similarities.max_by(f32::total_cmp)?;
                Some(Score { subject: subject.id, similarity })
            })
            .collect()
    }
}

fn check_templates(name: &str, templates: &[Embedding]) -> Result<(), GalleryError> {
    let usable = |t: &Embedding| !t.values().is_empty() && t.is_finite();
    if !templates.is_empty() && templates.iter().all(usable) {
        Ok(())
    } else {
        Err(GalleryError::BadTemplate(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: ModelHash = ModelHash([7; 32]);

    fn e(v: &[f32]) -> Embedding {
        Embedding::new(v.to_vec())
    }

    fn gallery() -> Gallery {
        let mut gallery = Gallery::default();
        let _ = gallery.enrol("Ada", vec![e(&[0.0, 0.0]), e(&[3.0, 4.0])], MODEL, 1).unwrap();
        let _ = gallery.enrol("Bob", vec![e(&[1.0, 0.0])], MODEL, 2).unwrap();
        gallery
    }

    #[test]
    fn the_closest_template_counts() {
        let scores = gallery().scores(&e(&[3.0, 4.0]), Metric::Euclidean);
        assert_eq!(scores.len(), 2);
        assert!((scores[0].similarity - 1.0).abs() < 1e-3);
        assert!((scores[1].similarity - (1.0 - 20f32.sqrt())).abs() < 1e-6);
        assert!(gallery().scores(&e(&[1.0]), Metric::Euclidean).is_empty(), "other lengths say nothing");
    }

    #[test]
    fn enrolling_again_replaces_and_ids_are_never_reused() {
        let mut g = gallery();
        assert_eq!(g.enrol("Ada", vec![e(&[1.0])], MODEL, 3), Ok(SubjectId(2)));
        assert_eq!(g.subjects().len(), 2);
        assert_eq!(g.remove("Bob"), Ok(SubjectId(1)));
        assert_eq!(g.remove("Bob"), Err(GalleryError::NoSuchSubject("Bob".into())));
        assert_eq!(g.version(), 4);
        assert_eq!(g.unused_name(), "person-3");
        assert_eq!(g.name(SubjectId(1)), "subject 1");
    }

    #[test]
    fn bad_names_and_templates_are_refused() {
        let mut g = Gallery::default();
        for name in ["", " ", " a", "a/b", "a\nb", &"x".repeat(65)] {
            assert_eq!(g.enrol(name, vec![e(&[1.0])], MODEL, 0), Err(GalleryError::BadName(name.into())));
        }
        assert!(g.enrol("Zoë 2.-_", vec![e(&[1.0])], MODEL, 0).is_ok());
        for templates in [vec![], vec![e(&[])], vec![e(&[1.0]), e(&[f32::NAN])]] {
            assert!(matches!(g.enrol("a", templates, MODEL, 0), Err(GalleryError::BadTemplate(_))));
        }
    }

    #[test]
    fn templates_of_another_model_are_left_out() {
        let mut gallery = gallery();
        let other = ModelHash([8; 32]);
        let _ = gallery.enrol("Eve", vec![e(&[1.0, 0.0])], other, 0).unwrap();
        assert_eq!((gallery.of_other_models(MODEL), gallery.of_other_models(other)), (1, 2));
        let ours = gallery.of_model(MODEL);
        assert_eq!((ours.subjects().len(), ours.version()), (2, gallery.version()));
        assert_eq!(ours.scores(&e(&[1.0, 0.0]), Metric::Euclidean).len(), 2);
    }

    #[test]
    fn restore_refuses_clashes() {
        let g = gallery();
        let subjects = g.subjects().to_vec();
        assert_eq!(Gallery::restore(2, 2, subjects.clone()), Ok(g));
        assert!(Gallery::restore(2, 1, subjects.clone()).is_err(), "an id that was not given out");
        let twice = [subjects.clone(), subjects].concat();
        assert!(Gallery::restore(2, 2, twice).is_err());
    }
}
