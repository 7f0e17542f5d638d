//! Why a person could not be enrolled or removed.

use std::time::Duration;

use crate::access::{RolledBack, SubjectId};
use crate::matching::{GalleryError, TemplateError};

/// Why a person could not be enrolled or removed.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The name or template is unusable, or nobody has that name.
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    /// The frames make no template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The person is in the gallery under another name.
    #[error(
        "already enrolled as \"{name}\": remove or rename that entry, enrol again under that name (--replace, \
         --add-look), or add --anyway if they are two people (twins)"
    )]
    AlreadyEnrolled {
        /// That name.
        name: String,
        /// The id.
        subject: SubjectId,
        /// How alike the templates are.
        similarity: f32,
    },
    /// Somebody has the name, and nothing was said of them.
    #[error(
        "\"{name}\" is already enrolled (id {subject}): say whether to replace them (--replace) or \
         to add a look (--add-look), or choose another name"
    )]
    Enrolled {
        /// That name.
        name: String,
        /// The id.
        subject: SubjectId,
    },
    /// The face is not like the one enrolled under the name.
    #[error(
        "the face is not like that of \"{name}\" (id {subject}): nothing was changed; to accept this face, \
         add --unlike"
    )]
    Unlike {
        /// That name.
        name: String,
        /// The id.
        subject: SubjectId,
        /// How alike they are.
        similarity: f32,
    },
    /// Somebody of a copy cannot be taken in, and so nobody is.
    #[error("nobody was imported: \"{name}\": {source}")]
    Import {
        /// Who.
        name: String,
        /// Why.
        source: Box<DoorError>,
    },
    /// One enrolment at a time.
    #[error("an enrolment is in progress: wait until it ends, or cancel it")]
    Busy,
    /// One change of the gallery at a time.
    #[error("another change of the gallery is being written: try again")]
    Saving,
    /// The door's files were put back from a copy.
    #[error(
        "the door's files do not match one another ({what}: one is older than the others record; see facelatch status): \
         facelatch mode normal --accept-rollback accepts them as they are"
    )]
    RolledBack {
        /// Which.
        what: RolledBack,
    },
    /// There is nothing to accept.
    #[error("no rollback was detected: there is nothing to accept")]
    NotRolledBack,
    /// Longer than configured, or not at all.
    #[error("the door can be held open for 1 s to {} s (access.max_hold_open_s)", max.as_secs())]
    HoldOpen {
        /// The longest time.
        max: Duration,
    },
}

impl DoorError {
    /// The reason without a name, for logs.
    pub fn logged(&self) -> String {
        match self {
            DoorError::AlreadyEnrolled { .. } => "already enrolled".to_owned(),
            DoorError::Enrolled { .. } | DoorError::Gallery(GalleryError::NameTaken(_)) => {
                "the name is taken".to_owned()
            }
            DoorError::Gallery(GalleryError::LooksAlike { .. }) => "the name looks like another".to_owned(),
            DoorError::Gallery(GalleryError::Changed(_)) => "the people enrolled have changed".to_owned(),
            DoorError::Gallery(GalleryError::TooManyLooks(_)) => "no more looks are kept".to_owned(),
            DoorError::Gallery(_) => "the name or template is unusable".to_owned(),
            DoorError::Unlike { subject, similarity, .. } => {
                format!("unlike subject {subject}, similarity {similarity:.3}")
            }
            DoorError::Import { source, .. } => source.logged(),
            DoorError::Template(_)
            | DoorError::Busy
            | DoorError::Saving
            | DoorError::RolledBack { .. }
            | DoorError::NotRolledBack
            | DoorError::HoldOpen { .. } => self.to_string(),
        }
    }
}
