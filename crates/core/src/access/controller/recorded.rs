//! The controller's state as recordings hold it: one flat list, whatever the parts are called today.

use serde::{Deserialize, Serialize};

use crate::access::approach::Approach;
use crate::access::authority::Authority;
use crate::access::challenge::Challenge;
use crate::access::doorway::Doorway;
use crate::access::enrolment::Enrolment;
use crate::access::event::{Indication, PersistentState};
use crate::access::faces::Stage;
use crate::access::fault::RolledBack;
use crate::access::lockout::Lockout;
use crate::access::policy::Policy;
use crate::access::release::Release;
use crate::access::rules::AccessRules;
use crate::access::window::Window;
use crate::time::Timestamp;

/// Part of [`crate::access::record::FORMAT`].
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recorded {
    pub rules: AccessRules,
    pub gallery_version: u64,
    pub policy: Policy,
    pub window: Window,
    pub stage: Stage,
    pub approach: Approach,
    pub unrecorded: bool,
    pub lockout: Lockout,
    pub last_denial: Option<Timestamp>,
    pub factor: Option<Timestamp>,
    pub challenge: Option<Challenge>,
    pub challenges: u64,
    pub secure_mode: bool,
    #[serde(default)]
    pub rolled_back: RolledBack,
    pub release: Option<Release>,
    pub secured: Option<Timestamp>,
    pub doorway: Doorway,
    pub authority: Authority,
    pub enrolling: Enrolment,
    pub shown: Option<Indication>,
    pub saved: Option<PersistentState>,
    pub save_again: Option<Timestamp>,
}
