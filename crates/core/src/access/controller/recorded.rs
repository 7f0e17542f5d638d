//! The controller's state as recordings hold it: one flat list, whatever the parts are called today.

use serde::{Deserialize, Serialize};

use super::Controller;
use crate::access::approach::Approach;
use crate::access::attempts::Attempts;
use crate::access::authority::Authority;
use crate::access::challenge::{Challenge, Challenges};
use crate::access::doorway::Doorway;
use crate::access::enrolment::Enrolment;
use crate::access::event::{Indication, PersistentState};
use crate::access::faces::{FaceAccess, Stage};
use crate::access::fault::RolledBack;
use crate::access::lockout::Lockout;
use crate::access::mode::Restriction;
use crate::access::persistence::Persistence;
use crate::access::policy::Policy;
use crate::access::release::{Release, StrikeTimer};
use crate::access::rules::AccessRules;
use crate::access::window::Window;
use crate::time::Timestamp;

/// Part of [`crate::access::record::FORMAT`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recorded {
    rules: AccessRules,
    gallery_version: u64,
    policy: Policy,
    window: Window,
    stage: Stage,
    approach: Approach,
    unrecorded: bool,
    lockout: Lockout,
    last_denial: Option<Timestamp>,
    factor: Option<Timestamp>,
    challenge: Option<Challenge>,
    challenges: u64,
    secure_mode: bool,
    #[serde(default)]
    rolled_back: RolledBack,
    release: Option<Release>,
    secured: Option<Timestamp>,
    doorway: Doorway,
    authority: Authority,
    enrolling: Enrolment,
    shown: Option<Indication>,
    saved: Option<PersistentState>,
    save_again: Option<Timestamp>,
}

impl From<Controller> for Recorded {
    fn from(controller: Controller) -> Self {
        let Controller {
            rules,
            faces,
            restriction,
            strike,
            doorway,
            authority,
            enrolment,
            shown,
            persistence,
        } = controller;
        Recorded {
            rules,
            gallery_version: faces.gallery_version,
            policy: faces.policy,
            window: faces.window,
            stage: faces.stage,
            approach: faces.approach,
            unrecorded: faces.unrecorded,
            lockout: faces.attempts.lockout().clone(),
            last_denial: faces.attempts.last_denial(),
            factor: faces.factor,
            challenge: faces.challenges.current(),
            challenges: faces.challenges.issued(),
            secure_mode: restriction.secure_mode(),
            rolled_back: restriction.rolled_back(),
            release: strike.release(),
            secured: strike.secured(),
            doorway,
            authority,
            enrolling: enrolment,
            shown,
            saved: persistence.saved(),
            save_again: persistence.deadline(),
        }
    }
}

impl From<Recorded> for Controller {
    fn from(recorded: Recorded) -> Self {
        let rules = recorded.rules;
        Controller {
            rules,
            faces: FaceAccess {
                max_frame_age: rules.max_frame_age,
                liveness: rules.liveness,
                gallery_version: recorded.gallery_version,
                policy: recorded.policy,
                window: recorded.window,
                stage: recorded.stage,
                approach: recorded.approach,
                unrecorded: recorded.unrecorded,
                attempts: Attempts::recorded(recorded.lockout, recorded.last_denial),
                factor: recorded.factor,
                challenges: Challenges::recorded(recorded.challenge, recorded.challenges),
            },
            restriction: Restriction::resumed(recorded.secure_mode, recorded.rolled_back),
            strike: StrikeTimer::recorded(recorded.release, recorded.secured),
            doorway: recorded.doorway,
            authority: recorded.authority,
            enrolment: recorded.enrolling,
            shown: recorded.shown,
            persistence: Persistence::resumed(recorded.saved, recorded.save_again),
        }
    }
}
