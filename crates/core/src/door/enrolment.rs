//! Changes of the people enrolled: who may come in under which name, in whose place, and on which terms.

use serde::{Deserialize, Serialize};

use super::error::DoorError;
use super::report::{Origin, Report};
use crate::access::{AccessRules, Score, SubjectId};
use crate::matching::{
    Embedding, Gallery, GalleryError, MOST_LOOKS, Metric, ModelHash, Note, Subject, TemplateError,
    TemplateRules, mean, templates,
};

/// What an enrolment does about a person already enrolled under the name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// Nothing: it is refused. So is whoever says nothing of it.
    #[default]
    Refuse,
    /// It replaces this person, if the name is still theirs.
    Replace(SubjectId),
    /// It adds a look to theirs (glasses, a beard, winter clothes), if this is still who has the name.
    AddLook(SubjectId),
}

impl Existing {
    /// True where nothing was said.
    pub fn is_refused(&self) -> bool {
        *self == Existing::Refuse
    }

    /// Who of the gallery the enrolment is about, if anybody, once it is clear that it may be.
    pub(super) fn concerns<'a>(
        self,
        gallery: &'a Gallery,
        name: &str,
    ) -> Result<Option<&'a Subject>, DoorError> {
        match (self, gallery.find(name)) {
            (Existing::Refuse, None) => {
                gallery.check_free(name)?;
                Ok(None)
            }
            (Existing::Refuse, Some(held)) => {
                Err(DoorError::Enrolled { name: held.name.clone(), subject: held.id })
            }
            (Existing::Replace(id) | Existing::AddLook(id), held) => {
                match held.filter(|held| held.id == id) {
                    Some(held) => Ok(Some(held)),
                    None => Err(GalleryError::Changed(name.to_owned()).into()),
                }
            }
        }
    }
}

/// What an enrolment is allowed beyond taking in a stranger under a new name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The person may look like somebody enrolled under another name (twins).
    pub allow_duplicate: bool,
    /// What to do about the one who has the name.
    pub existing: Existing,
    /// The face may be unlike theirs.
    pub unlike: bool,
}

/// What the embedder's model card says about its vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelFacts {
    /// Which model makes the templates.
    pub hash: ModelHash,
    /// How its vectors are compared.
    pub metric: Metric,
    /// Two pictures from different occasions that are less similar than this are hardly of one person.
    pub distinct_person_threshold: f32,
}

/// Somebody to be enrolled.
#[derive(Clone, Copy, Debug)]
pub struct EnrolmentRequest<'a> {
    /// The name.
    pub name: &'a str,
    /// What was made of the frames or pictures.
    pub embeddings: &'a [Embedding],
    /// The means of any two parts of them are at least this similar, or they show two people.
    pub min_self_similarity: f32,
    /// Seconds since 1970.
    pub enrolled: u64,
    /// What is allowed beyond that.
    pub terms: Terms,
    /// From what.
    pub from: Origin,
}

/// A change of the people enrolled that needs no frames.
#[derive(Clone, Debug, PartialEq)]
pub enum PeopleChange {
    /// Removes a person with everything known of them.
    Remove {
        /// Who.
        name: String,
    },
    /// As [`PeopleChange::Remove`], because the person's time is over.
    Expire {
        /// Who.
        name: String,
    },
    /// Gives a person another name.
    Rename {
        /// The name.
        name: String,
        /// The new one.
        to: String,
    },
    /// Notes consent or expiry.
    Note {
        /// Whose.
        name: String,
        /// What.
        note: Note,
    },
}

impl PeopleChange {
    /// Makes the change and says what to report.
    ///
    /// # Errors
    /// When it makes no sense; the gallery is then unchanged.
    pub fn apply(&self, gallery: &mut Gallery) -> Result<Report, GalleryError> {
        Ok(match self {
            PeopleChange::Remove { name } => Report::Removed { subject: gallery.remove(name)? },
            PeopleChange::Expire { name } => Report::Expired { subject: gallery.remove(name)? },
            PeopleChange::Rename { name, to } => Report::Renamed { subject: gallery.rename(name, to)? },
            PeopleChange::Note { name, note } => Report::Noted { subject: gallery.note(name, note)? },
        })
    }
}

/// Enrols a person: self-check, duplicate check, then the gallery; or takes the place of somebody enrolled, or adds
/// a look to theirs, where the terms say so and the face is like theirs. Says what to report.
///
/// # Errors
/// When the frames do not show one person, the person is enrolled under another name, somebody has the name of
/// whom nothing was said, or the face is unlike theirs; the gallery is then unchanged.
pub fn enrol(
    gallery: &mut Gallery,
    newcomer: EnrolmentRequest<'_>,
    model: &ModelFacts,
    rules: &AccessRules,
) -> Result<Vec<Report>, DoorError> {
    let EnrolmentRequest { name, embeddings, min_self_similarity, enrolled, terms, from } = newcomer;
    let most = rules.enrolment.templates.max(1) as usize;
    let held = terms.existing.concerns(gallery, name)?.cloned();
    let made = templates(embeddings, model.metric, TemplateRules { min_self_similarity, most })?;
    if !terms.allow_duplicate {
        check_unknown(gallery, held.as_ref().map(|held| held.id), &made, model, rules)?;
    }
    let Some(held) = held else {
        let subject = gallery.enrol(name, made, model.hash, enrolled)?;
        return Ok(vec![Report::Enrolled { subject, name: gallery.name(subject), from }]);
    };
    let whole = mean(&made.iter().collect::<Vec<_>>()).ok_or(TemplateError::NoFrames)?;
    let similarity = if held.model == model.hash { held.score(&whole, model.metric) } else { None };
    let similarity = similarity.map(|score| score.similarity);
    let (name, subject) = (held.name.clone(), held.id);
    // Pictures from different occasions that are less alike than this are hardly of one person.
    let another = similarity.is_some_and(|similarity| similarity < model.distinct_person_threshold);
    if let (true, false, Some(similarity)) = (another, terms.unlike, similarity) {
        return Err(DoorError::Unlike { name, subject, similarity });
    }
    if let Existing::AddLook(_) = terms.existing {
        can_add_look(&held, model)?;
        let looks = gallery.add_look(subject, whole, model.hash, enrolled)?;
        let similarity = similarity.unwrap_or(f32::NAN);
        return Ok(vec![Report::LookAdded { subject, name, from, looks, similarity }]);
    }
    let by = gallery.replace(subject, made, model.hash, enrolled, !another)?;
    Ok(vec![
        Report::Replaced { subject, by, similarity, another },
        Report::Enrolled { subject: by, name, from },
    ])
}

/// Refuses a look that could not be kept.
pub(super) fn can_add_look(held: &Subject, model: &ModelFacts) -> Result<(), DoorError> {
    let (name, theirs, ours) = (held.name.clone(), held.model, model.hash);
    if theirs != ours {
        return Err(GalleryError::OtherModel { name, theirs, ours }.into());
    }
    if held.looks() >= MOST_LOOKS { Err(GalleryError::TooManyLooks(name).into()) } else { Ok(()) }
}

/// Takes in the people of a copy from another board, all of them or nobody: duplicate check, then the gallery,
/// under new ids. Says what to report.
///
/// # Errors
/// When the templates of one of them are of another model, one is enrolled here already, or something of one is
/// unusable; the gallery is then to be thrown away.
pub fn import(
    gallery: &mut Gallery,
    people: &[Subject],
    allow_duplicate: bool,
    model: &ModelFacts,
    rules: &AccessRules,
) -> Result<Vec<Report>, DoorError> {
    let take = |gallery: &mut Gallery, person: &Subject| -> Result<Report, DoorError> {
        let Subject { name, templates, model: theirs, .. } = person;
        if *theirs != model.hash {
            let (name, theirs, ours) = (name.clone(), *theirs, model.hash);
            return Err(GalleryError::OtherModel { name, theirs, ours }.into());
        }
        if !allow_duplicate {
            check_unknown(gallery, None, templates, model, rules)?;
        }
        let subject = gallery.import(person)?;
        Ok(Report::Enrolled { subject, name: gallery.name(subject), from: Origin::Copy })
    };
    let mut reports = Vec::with_capacity(people.len());
    for person in people {
        let failed = |source| DoorError::Import { name: person.name.clone(), source: Box::new(source) };
        reports.push(take(gallery, person).map_err(failed)?);
    }
    Ok(reports)
}

/// Nobody enrolled, `but` one person, may be alike enough to come in with these templates.
fn check_unknown(
    gallery: &Gallery,
    but: Option<SubjectId>,
    templates: &[Embedding],
    model: &ModelFacts,
    rules: &AccessRules,
) -> Result<(), DoorError> {
    let known = gallery.of_model(model.hash);
    match known.most_alike(templates, model.metric, but) {
        Some(Score { subject, similarity })
            if similarity >= rules.window.required(known.subjects().len()) =>
        {
            Err(DoorError::AlreadyEnrolled { name: gallery.name(subject), subject, similarity })
        }
        _ => Ok(()),
    }
}
