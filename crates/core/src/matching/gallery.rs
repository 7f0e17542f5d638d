//! The gallery: who is enrolled, and how a probe is compared with them.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::name::{self, Looks};
use super::{Embedding, Metric};
use crate::ids::{Score, SubjectId};

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

/// The most looks of one person, the one enrolled among them: each makes it easier to be taken for them.
pub const MOST_LOOKS: usize = 4;

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
    /// At least one template; the last ones are of the looks added since, one each.
    pub templates: Vec<Embedding>,
    /// When looks were added (glasses, a beard, winter clothes), in wall-clock seconds since 1970.
    pub added: Vec<u64>,
    /// What the person agreed to, in the operator's words.
    pub consent: Option<String>,
    /// Wall-clock seconds since 1970 from which the person is to be removed.
    pub expires: Option<u64>,
}

impl Subject {
    /// The probe's similarity to the closest template; `None` where none can be compared with it.
    pub fn score(&self, probe: &Embedding, metric: Metric) -> Option<Score> {
        let similarities = self.templates.iter().filter_map(|t| metric.similarity(t, probe));
        let similarity = similarities.max_by(f32::total_cmp)?;
        Some(Score { subject: self.id, similarity })
    }

    /// How many looks the templates show.
    pub fn looks(&self) -> usize {
        1 + self.added.len()
    }

    fn is_called(&self, name: &str) -> bool {
        name::same(&self.name, name)
    }
}

/// Why a person cannot be enrolled or found.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GalleryError {
    /// The name cannot be used.
    #[error("\"{0}\" is not a usable name: use 1 to 64 letters, digits, spaces and . _ - '")]
    BadName(String),
    /// Somebody else has the name.
    #[error("\"{0}\" is already enrolled: choose another name, or remove that entry first")]
    NameTaken(String),
    /// Somebody else has a name that looks the same.
    #[error(
        "\"{name}\" is too similar to the enrolled \"{other}\": write that name if you \
         mean them, or choose a more distinct name"
    )]
    LooksAlike {
        /// The new one.
        name: String,
        /// The one enrolled.
        other: String,
    },
    /// Another person has the name by now, or nobody has.
    #[error("\"{0}\" is somebody else now: the list has changed; check it again (facelatch people list)")]
    Changed(String),
    /// As many looks as there may be.
    #[error(
        "\"{0}\" has {MOST_LOOKS} looks, which is the limit: enrol the person again (--replace) as they look on \
         most days"
    )]
    TooManyLooks(String),
    /// Templates of another model.
    #[error(
        "the templates of \"{name}\" are of model {theirs}, but model {ours} is in use here: enrol the person \
         again, or configure that model"
    )]
    OtherModel {
        /// Whose.
        name: String,
        /// The model that made them.
        theirs: ModelHash,
        /// The model in use.
        ours: ModelHash,
    },
    /// The note cannot be kept.
    #[error("a consent note has 1 to 500 characters on one line")]
    BadNote,
    /// The template is empty or holds something that is not a number.
    #[error("the template of {0} is damaged: enrol the person again")]
    BadTemplate(String),
    /// All ids were given out.
    #[error("the gallery is full")]
    Full,
    /// Nobody of that name.
    #[error("\"{0}\" is not enrolled (see: facelatch people list)")]
    NoSuchSubject(String),
    /// Nobody of that name, but of one that looks the same.
    #[error("\"{name}\" is not enrolled; did you mean \"{other}\"?")]
    NotQuite {
        /// As it was asked for.
        name: String,
        /// As it is enrolled.
        other: String,
    },
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
        let (mut ids, mut names) = (HashSet::new(), HashSet::new());
        for subject in &subjects {
            if !name::was_usable(&subject.name) {
                Self::check_name(&subject.name)?;
            }
            check_templates(&subject.name, &subject.templates)?;
            if subject.looks() > MOST_LOOKS || subject.added.len() >= subject.templates.len() {
                return Err(GalleryError::BadTemplate(subject.name.clone()));
            }
            check_consent(subject.consent.as_deref())?;
            let new = ids.insert(subject.id) && names.insert(subject.name.as_str());
            if !new || subject.id.0 >= next_id {
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

    /// The person of that name, however it is typed.
    pub fn find(&self, name: &str) -> Option<&Subject> {
        self.subjects
            .iter()
            .find(|s| s.name == name)
            .or_else(|| self.subjects.iter().find(|s| s.is_called(name)))
    }

    /// The person of that name.
    ///
    /// # Errors
    /// When nobody has that name. If an enrolled name looks the same, the error gives it.
    pub fn called(&self, name: &str) -> Result<&Subject, GalleryError> {
        self.find(name).ok_or_else(|| match self.looking_like(name, None) {
            Some(other) => GalleryError::NotQuite { name: name.to_owned(), other: other.name.clone() },
            None => GalleryError::NoSuchSubject(name.to_owned()),
        })
    }

    /// Somebody whose name can be taken for this one, `but` one person.
    fn looking_like(&self, name: &str, but: Option<SubjectId>) -> Option<&Subject> {
        let looks = Looks::of(name);
        self.subjects.iter().filter(|s| Some(s.id) != but).find(|s| looks.are_those_of(&s.name))
    }

    /// The name as it is kept, if it can be given to somebody: it is usable, nobody has it, and nobody has one
    /// that looks like it, `but` one person.
    fn free_name(&self, name: &str, but: Option<SubjectId>) -> Result<String, GalleryError> {
        Self::check_name(name)?;
        let name = name::tidy(name);
        if self.subjects.iter().any(|s| Some(s.id) != but && s.is_called(&name)) {
            return Err(GalleryError::NameTaken(name));
        }
        match self.looking_like(&name, but) {
            Some(other) => Err(GalleryError::LooksAlike { name, other: other.name.clone() }),
            None => Ok(name),
        }
    }

    /// Refuses a name that nobody new can have.
    ///
    /// # Errors
    /// When it is unusable, taken, or looks like that of somebody enrolled.
    pub fn check_free(&self, name: &str) -> Result<(), GalleryError> {
        self.free_name(name, None).map(|_| ())
    }

    fn next(&mut self) -> Result<SubjectId, GalleryError> {
        let id = SubjectId(self.next_id);
        self.next_id = self.next_id.checked_add(1).ok_or(GalleryError::Full)?;
        Ok(id)
    }

    /// Enrols somebody new.
    ///
    /// # Errors
    /// When name or templates are unusable, or somebody has the name or one that looks like it.
    pub fn enrol(
        &mut self,
        name: &str,
        templates: Vec<Embedding>,
        model: ModelHash,
        enrolled: u64,
    ) -> Result<SubjectId, GalleryError> {
        let name = self.free_name(name, None)?;
        check_templates(&name, &templates)?;
        let id = self.next()?;
        let (added, consent, expires) = Default::default();
        self.subjects.push(Subject { id, name, enrolled, model, templates, added, consent, expires });
        self.version += 1;
        Ok(id)
    }

    /// Puts other templates in the place of a person's, under the same name and a new id. What was agreed with
    /// them holds for the `same` person only.
    ///
    /// # Errors
    /// When nobody has that id or the templates are unusable.
    pub fn replace(
        &mut self,
        id: SubjectId,
        templates: Vec<Embedding>,
        model: ModelHash,
        enrolled: u64,
        same: bool,
    ) -> Result<SubjectId, GalleryError> {
        let before = self.subject(id).ok_or_else(|| GalleryError::Changed(self.name(id)))?;
        check_templates(&before.name, &templates)?;
        let (name, added) = (before.name.clone(), Vec::new());
        let (consent, expires) =
            if same { (before.consent.clone(), before.expires) } else { Default::default() };
        let new = self.next()?;
        self.subjects.retain(|s| s.id != id);
        self.subjects.push(Subject { id: new, name, enrolled, model, templates, added, consent, expires });
        self.version += 1;
        Ok(new)
    }

    /// Adds a look to a person's; returns how many they have then.
    ///
    /// # Errors
    /// When nobody has that id, the template is unusable or of another model, or there are enough looks.
    pub fn add_look(
        &mut self,
        id: SubjectId,
        template: Embedding,
        model: ModelHash,
        added: u64,
    ) -> Result<usize, GalleryError> {
        let name = self.name(id);
        let Some(subject) = self.subjects.iter_mut().find(|s| s.id == id) else {
            return Err(GalleryError::Changed(name));
        };
        if subject.model != model {
            return Err(GalleryError::OtherModel { name, theirs: subject.model, ours: model });
        }
        if subject.looks() >= MOST_LOOKS {
            return Err(GalleryError::TooManyLooks(name));
        }
        let template = [template];
        check_templates(&name, &template)?;
        subject.templates.extend(template);
        subject.added.push(added);
        self.version += 1;
        Ok(subject.looks())
    }

    /// Takes in a person from another gallery, under a new id.
    ///
    /// # Errors
    /// When something of the person is unusable or somebody has the name.
    pub fn import(&mut self, subject: &Subject) -> Result<SubjectId, GalleryError> {
        check_consent(subject.consent.as_deref())?;
        let Subject { name, templates, model, enrolled, .. } = subject;
        let id = self.enrol(name, templates.clone(), *model, *enrolled)?;
        let new = self.at(name)?;
        new.added.clone_from(&subject.added);
        (new.consent, new.expires) = (subject.consent.clone(), subject.expires);
        Ok(id)
    }

    /// Gives a person another name; the id stays.
    ///
    /// # Errors
    /// When nobody has that name, or the new one is unusable or taken.
    pub fn rename(&mut self, name: &str, to: &str) -> Result<SubjectId, GalleryError> {
        Self::check_name(to)?;
        let to = self.free_name(to, Some(self.called(name)?.id))?;
        let subject = self.at(name)?;
        subject.name = to;
        let id = subject.id;
        self.version += 1;
        Ok(id)
    }

    /// Notes what a person agreed to and when to be removed; what is not given stays.
    ///
    /// # Errors
    /// When nobody has that name or the note is unusable.
    pub fn note(&mut self, name: &str, note: &Note) -> Result<SubjectId, GalleryError> {
        let Note { consent, expires } = note;
        check_consent(consent.as_ref().and_then(|c| c.as_deref()))?;
        let subject = self.at(name)?;
        if let Some(consent) = consent {
            subject.consent.clone_from(consent);
        }
        if let Some(expires) = expires {
            subject.expires = *expires;
        }
        let id = subject.id;
        self.version += 1;
        Ok(id)
    }

    /// Fills up what is missing with the people of a backup of this gallery, and returns the names of those
    /// left out: removed here since then (their id was given out and nobody has it), or with a name that
    /// somebody else has by now. An empty gallery that never gave out an id takes everybody.
    pub fn restore_from(&mut self, backup: &Gallery) -> Vec<String> {
        let (fresh, mut left_out) = (self.next_id == 0, Vec::new());
        for subject in &backup.subjects {
            if self.subjects.iter().any(|s| s.id == subject.id && s.name == subject.name) {
                continue;
            }
            let taken = self.subjects.iter().any(|s| s.id == subject.id || s.is_called(&subject.name));
            if taken || !fresh && subject.id.0 < self.next_id {
                left_out.push(subject.name.clone());
            } else {
                self.subjects.push(subject.clone());
            }
        }
        self.next_id = self.next_id.max(backup.next_id);
        self.version = self.version.max(backup.version) + 1;
        left_out
    }

    /// The people of these names alone, with their ids.
    ///
    /// # Errors
    /// When nobody has one of the names.
    pub fn only(&self, names: &[String]) -> Result<Gallery, GalleryError> {
        let subjects = names.iter().map(|name| self.called(name).cloned()).collect::<Result<_, _>>()?;
        Ok(Gallery { version: self.version, next_id: self.next_id, subjects })
    }

    /// Goes on with a version after this one, and with no id below `next_id`: where these were given out
    /// before, an older gallery must not give them out again.
    pub fn go_on_after(&mut self, version: u64, next_id: u32) {
        self.version = self.version.max(version) + 1;
        self.next_id = self.next_id.max(next_id);
    }

    fn at(&mut self, name: &str) -> Result<&mut Subject, GalleryError> {
        let id = self.called(name)?.id;
        let found = self.subjects.iter_mut().find(|s| s.id == id);
        found.ok_or_else(|| GalleryError::NoSuchSubject(name.to_owned()))
    }

    /// Removes a person with everything known of them.
    ///
    /// # Errors
    /// When nobody has that name.
    pub fn remove(&mut self, name: &str) -> Result<SubjectId, GalleryError> {
        let id = self.called(name)?.id;
        self.subjects.retain(|s| s.id != id);
        self.version += 1;
        Ok(id)
    }

    /// Refuses a name that cannot be used ([`name::is_usable`]).
    ///
    /// # Errors
    /// [`GalleryError::BadName`].
    pub fn check_name(name: &str) -> Result<(), GalleryError> {
        if name::is_usable(&name::tidy(name)) { Ok(()) } else { Err(GalleryError::BadName(name.to_owned())) }
    }

    /// A name that nobody has yet, for an enrolment by button.
    pub fn unused_name(&self) -> String {
        let free = (self.next_id..).map(|n| format!("person-{n}")).find(|name| self.check_free(name).is_ok());
        free.unwrap_or_else(|| format!("person-{}", self.next_id))
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

    /// The person with the template most like one of these, except `but`.
    pub fn most_alike(
        &self,
        templates: &[Embedding],
        metric: Metric,
        but: Option<SubjectId>,
    ) -> Option<Score> {
        let others = self.subjects.iter().filter(|s| Some(s.id) != but);
        others
            .flat_map(|s| s.templates.iter().map(move |t| (s.id, t)))
            .flat_map(|(subject, known)| {
                let like = move |t| Some(Score { subject, similarity: metric.similarity(known, t)? });
                templates.iter().filter_map(like)
            })
            .max_by(|a, b| a.similarity.total_cmp(&b.similarity))
    }

    /// The probe's similarity to each subject: that of the closest template.
    ///
    /// A subject whose templates cannot be compared with the probe is left out, and so cannot be
    /// identified.
    pub fn scores(&self, probe: &Embedding, metric: Metric) -> Vec<Score> {
        self.subjects.iter().filter_map(|subject| subject.score(probe, metric)).collect()
    }
}

/// What to note about a person; `None` leaves as it is, `Some(None)` clears.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// What the person agreed to.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub consent: Option<Option<String>>,
    /// When to be removed, in seconds since 1970.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub expires: Option<Option<u64>>,
}

/// In JSON `null` clears, and what is missing stays as it is.
fn given<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn check_consent(note: Option<&str>) -> Result<(), GalleryError> {
    let fits = |text: &str| (1..=500).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if note.is_none_or(fits) { Ok(()) } else { Err(GalleryError::BadNote) }
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

    #[test]
    fn a_note_that_clears_still_clears_after_the_socket() {
        for note in [
            Note { consent: None, expires: Some(None) },
            Note { consent: Some(None), expires: Some(Some(7)) },
            Note::default(),
        ] {
            let text = serde_json::to_string(&note).unwrap();
            assert_eq!(serde_json::from_str::<Note>(&text).unwrap(), note, "{text}");
        }
    }

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
    fn nobody_is_replaced_by_a_name_alone_and_ids_are_never_reused() {
        let mut g = gallery();
        let before = g.clone();
        let again = g.enrol("Ada", vec![e(&[1.0, 0.0])], MODEL, 3);
        assert_eq!((again, &g), (Err(GalleryError::NameTaken("Ada".into())), &before));
        assert_eq!(g.replace(SubjectId(0), vec![e(&[1.0, 0.0])], MODEL, 3, true), Ok(SubjectId(2)));
        let gone = g.replace(SubjectId(0), vec![e(&[1.0, 0.0])], MODEL, 3, true);
        assert_eq!(gone, Err(GalleryError::Changed("subject 0".into())));
        assert_eq!(g.subjects().len(), 2);
        assert_eq!(g.remove("Bob"), Ok(SubjectId(1)));
        assert_eq!(g.remove("Bob"), Err(GalleryError::NoSuchSubject("Bob".into())));
        assert_eq!(g.version(), 4);
        assert_eq!(g.unused_name(), "person-3");
        assert_eq!(g.name(SubjectId(1)), "subject 1");
        let _ = g.rename("Ada", "Person-3").unwrap();
        assert_eq!(g.unused_name(), "person-4", "nobody is replaced, or looked like, by a made name");
    }

    #[test]
    fn looks_are_added_and_bounded() {
        let mut g = gallery();
        let ada = SubjectId(0);
        for n in 2..=MOST_LOOKS {
            assert_eq!(g.add_look(ada, e(&[n as f32, 0.0]), MODEL, 10 + n as u64), Ok(n));
        }
        assert_eq!(g.add_look(ada, e(&[9.0, 0.0]), MODEL, 99), Err(GalleryError::TooManyLooks("Ada".into())));
        let subject = g.subject(ada).unwrap();
        assert_eq!((subject.templates.len(), &subject.added[..]), (5, &[12, 13, 14][..]));
        assert_eq!(g.version(), 2 + 3);
        let other = g.add_look(SubjectId(1), e(&[1.0, 0.0]), ModelHash([8; 32]), 0);
        assert!(matches!(other, Err(GalleryError::OtherModel { .. })), "{other:?}");
        assert_eq!(
            g.add_look(SubjectId(7), e(&[1.0]), MODEL, 0),
            Err(GalleryError::Changed("subject 7".into()))
        );
        let nothing = g.add_look(SubjectId(1), e(&[f32::NAN]), MODEL, 0);
        assert!(matches!(nothing, Err(GalleryError::BadTemplate(_))), "{nothing:?}");
        let mut subjects = g.subjects().to_vec();
        assert!(Gallery::restore(9, 2, subjects.clone()).is_ok());
        subjects[0].added.push(1);
        assert!(Gallery::restore(9, 2, subjects).is_err(), "more looks than there can be");
    }

    #[test]
    fn names_that_look_like_one_enrolled_are_refused() {
        let mut g = gallery();
        let like = |name: &str| GalleryError::LooksAlike { name: name.into(), other: "Ada".into() };
        for name in ["ada", "ADA", "\u{410}da", "A d a"] {
            assert_eq!(g.enrol(name, vec![e(&[1.0, 0.0])], MODEL, 3), Err(like(name)));
            assert_eq!(g.rename("Bob", name), Err(like(name)));
            let missing = GalleryError::NotQuite { name: name.into(), other: "Ada".into() };
            assert_eq!(g.remove(name), Err(missing));
        }
        assert_eq!(g.rename("Ada", "ADA"), Ok(SubjectId(0)), "it is theirs");
        assert_eq!(g.rename("ADA", "Zoe\u{308}"), Ok(SubjectId(0)));
        assert_eq!(g.subjects()[0].name, "Zo\u{eb}", "composed");
        assert_eq!(
            g.enrol("Zo\u{eb}", vec![e(&[1.0, 0.0])], MODEL, 3),
            Err(GalleryError::NameTaken("Zo\u{eb}".into()))
        );
        assert_eq!(g.remove("Zoe\u{308}"), Ok(SubjectId(0)));
    }

    #[test]
    fn people_are_renamed_noted_and_expire() {
        let mut g = gallery();
        assert_eq!(g.rename("Ada", "Bob"), Err(GalleryError::NameTaken("Bob".into())));
        assert_eq!(g.rename("Eve", "Zoe"), Err(GalleryError::NoSuchSubject("Eve".into())));
        assert_eq!(g.rename("Ada", "Zoe"), Ok(SubjectId(0)));
        let note = Note { consent: Some(Some("signed 1 May".into())), expires: Some(Some(100)) };
        assert_eq!(g.note("Zoe", &note), Ok(SubjectId(0)));
        assert_eq!(
            g.note("Zoe", &Note { consent: Some(Some("a\nb".into())), expires: None }),
            Err(GalleryError::BadNote)
        );
        assert_eq!(g.subject(SubjectId(0)).unwrap().expires, Some(100));
        // New pictures, the same agreement.
        assert_eq!(g.replace(SubjectId(0), vec![e(&[1.0, 0.0])], MODEL, 5, true), Ok(SubjectId(2)));
        assert_eq!(g.subject(SubjectId(2)).unwrap().consent.as_deref(), Some("signed 1 May"));
        let mut other = g.clone();
        let id = other.replace(SubjectId(2), vec![e(&[0.0, 9.0])], MODEL, 5, false).unwrap();
        assert_eq!(other.subject(id).unwrap().consent, None, "another person agreed to nothing");
        let _ = g.note("Zoe", &Note { consent: Some(None), expires: Some(None) }).unwrap();
        let zoe = g.subject(SubjectId(2)).unwrap();
        assert_eq!((zoe.expires, &zoe.consent), (None, &None));
        // An older gallery, put back, gives out neither version nor id once more.
        let version = g.version();
        g.go_on_after(40, 9);
        assert_eq!((g.version(), g.next_id()), (41, 9));
        g.go_on_after(version, 2);
        assert_eq!((g.version(), g.next_id()), (42, 9));
    }

    #[test]
    fn a_backup_fills_up_what_is_lost_and_brings_nobody_back_who_was_removed() {
        let backup = gallery();
        let mut lost = Gallery::default();
        assert!(lost.restore_from(&backup).is_empty());
        assert_eq!((lost.subjects(), lost.next_id()), (backup.subjects(), backup.next_id()));
        let mut present = gallery();
        let _ = present.remove("Ada").unwrap();
        let _ = present.enrol("Eve", vec![e(&[5.0, 5.0])], MODEL, 9).unwrap();
        assert_eq!(present.restore_from(&backup), ["Ada"]);
        let names: Vec<&str> = present.subjects().iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["Bob", "Eve"]);
        let copy = present.only(&["Eve".into()]).unwrap();
        let mut other = gallery();
        assert_eq!(other.import(&copy.subjects()[0]), Ok(SubjectId(2)));
        assert_eq!(other.import(&copy.subjects()[0]), Err(GalleryError::NameTaken("Eve".into())));
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
