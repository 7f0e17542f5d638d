//! What the controller is told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::fault::{Fault, RolledBack};
use super::mode::ModeCommand;
use super::schedule::{Civil, Timetable};
use super::sighting::Sighting;

/// An input of the controller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// A frame was processed.
    Sighting {
        /// What was seen.
        sighting: Sighting,
        /// What the board's clock says.
        civil: Civil,
    },
    /// The gallery changed: scores of earlier versions no longer count.
    GalleryChanged {
        /// The version from now on.
        version: u64,
        /// When its people may come in.
        timetable: Timetable,
    },
    /// Somebody inside asks to leave (REX): the strike is released at once.
    Rex,
    /// The door's contact.
    Door {
        /// True when the door stands open.
        open: bool,
    },
    /// An operator starts enrolling the next single face seen.
    Enrol,
    /// The enrolment button was pressed: as [`Input::Enrol`] where that is authorised.
    EnrolButton,
    /// An operator lets the button enrol once within this time; zero revokes it.
    AllowEnrolment {
        /// At most [`super::ButtonRules::window`].
        time: Duration,
    },
    /// The second factor's line became active: a keypad's relay, say.
    SecondFactor,
    /// The key line that lets the button enrol.
    EnrolKey {
        /// True while it is closed.
        active: bool,
    },
    /// Stop an enrolment that is in progress.
    CancelEnrol,
    /// Secure the strike now and forget the attempt; ends holding open.
    Secure,
    /// The operator puts the door into a mode.
    SetMode(ModeCommand),
    /// The operator lifts the lockout and forgets the denials.
    ClearLockout,
    /// The entry about the release for a face did not reach the audit log in time: the strike is
    /// secured, unless somebody inside has asked for this release as well.
    NotRecorded,
    /// Something broke: the strike is secured. [`Fault::Store`] alone leaves a release to somebody who
    /// asked to leave.
    Fault(Fault),
    /// The door's files do not match: secure mode and an alarm, over restarts, until an operator
    /// accepts it. A release that somebody inside asked for continues.
    RolledBack(RolledBack),
    /// An operator accepts the files as they are: normal mode again.
    AcceptRollback,
}
