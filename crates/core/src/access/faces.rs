//! Faces: from a processed frame to a permission, and what is said of faces that get none.
//!
//! [`FaceAccess`] owns everything that is known of the face in front of the camera and returns what
//! follows from it. It has no strike: the controller carries out the permission.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::approach::Approach;
use super::attempts::{Attempts, Denial};
use super::challenge::{Challenges, Outcome};
use super::event::Event;
use super::lockout::{Lockout, Restored, SavedLockout};
use super::mode::Mode;
use super::policy::{Decision, Doubt, Face, Facts, Life, Permission, Policy, View};
use super::reason::{ChallengeEnd, DenyCode, DenyReason};
use super::rules::AccessRules;
use super::schedule::{Civil, Timetable};
use super::sighting::{Seen, Sighting};
use super::window::{Verdict, Window, WindowRules};
use crate::ids::SubjectId;
use crate::liveness::{Gesture, LivenessRules, Unsure};
use crate::time::Timestamp;

/// The last report about the picture in front of the camera.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    Empty,
    Identifying,
    Identified,
    Denied(DenyCode),
}

/// The face in front of the camera, and what earlier ones earned. Its parts can be seen for the sake of recordings;
/// what changes them is here.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FaceAccess {
    pub max_frame_age: Duration,
    pub liveness: Option<LivenessRules>,
    pub gallery_version: u64,
    pub policy: Policy,
    pub window: Window,
    pub stage: Stage,
    pub approach: Approach,
    /// This approach's release was not recorded in time: the person was not let in.
    pub unrecorded: bool,
    pub attempts: Attempts,
    /// When the second factor was last given, until it is used.
    pub factor: Option<Timestamp>,
    pub challenges: Challenges,
}

/// What follows from a frame.
#[must_use]
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Looked {
    /// To be reported before anything else.
    pub reports: Vec<Event>,
    /// A live administrator who may come in now, or just did.
    pub administrator: Option<SubjectId>,
    /// To be carried out.
    pub permission: Option<Permission>,
}

impl Looked {
    fn settled(permission: Permission) -> Self {
        Looked { permission: Some(permission), ..Looked::default() }
    }

    fn denied(reason: Option<DenyReason>) -> Self {
        Looked { permission: reason.map(Permission::Denied), ..Looked::default() }
    }

    fn report(event: impl IntoIterator<Item = Event>) -> Self {
        Looked { reports: event.into_iter().collect(), ..Looked::default() }
    }
}

impl FaceAccess {
    pub fn new(rules: &AccessRules, gallery_version: u64, timetable: Timetable) -> Self {
        FaceAccess {
            max_frame_age: rules.max_frame_age,
            liveness: rules.liveness,
            gallery_version,
            policy: Policy { timetable, unset_clock: rules.unset_clock },
            window: Window::new(rules.window),
            stage: Stage::Empty,
            approach: Approach::new(rules.approach),
            unrecorded: false,
            attempts: Attempts::new(rules.lockout),
            factor: None,
            challenges: Challenges::default(),
        }
    }

    /// Takes up what was saved of the lockout before a restart.
    pub fn resume(&mut self, now: Timestamp, resume: Restored<SavedLockout>) {
        self.attempts.resume(now, resume);
    }

    /// Goes on with another window rule, from an empty window.
    pub fn retune(&mut self, rules: WindowRules) {
        self.window = Window::new(rules);
    }

    /// What denied attempts have earned.
    pub fn lockout(&self) -> &Lockout {
        self.attempts.lockout()
    }

    /// An operator lifts the lockout and forgets the denials.
    pub fn clear_lockout(&mut self) {
        self.attempts.clear();
    }

    /// The second factor was given.
    pub fn on_second_factor(&mut self, now: Timestamp) {
        self.factor = Some(now);
    }

    /// True while a face is asked to turn or to nod.
    pub fn is_challenging(&self) -> bool {
        self.challenges.is_active()
    }

    /// This approach gets no release: the person just enrolled is still in view.
    pub fn end_approach(&mut self, now: Timestamp) {
        self.approach.spend(now);
    }

    /// Another gallery: scores of earlier versions no longer count.
    pub fn change_gallery(&mut self, version: u64, timetable: Timetable) -> Option<Event> {
        self.gallery_version = version;
        self.policy.timetable = timetable;
        self.forget_face()
    }

    /// Forgets the face in front of the camera; says so unless the picture was empty.
    pub fn forget_face(&mut self) -> Option<Event> {
        self.window.clear();
        self.enter(Stage::Empty).then_some(Event::NoFace)
    }

    /// Lets nobody in who stands there.
    pub fn dismiss(&mut self, now: Timestamp) -> Option<Event> {
        let gone = self.forget_face();
        self.approach.spend(now);
        self.unrecorded = false;
        gone
    }

    /// The strike was released for the face.
    pub fn let_in(&mut self, now: Timestamp) {
        self.approach.spend(now);
        self.unrecorded = false;
        self.attempts.clear();
    }

    /// While somebody is being enrolled nobody is identified.
    pub fn set_aside(&mut self) {
        self.window.clear();
        self.stage = Stage::Empty;
    }

    /// When frames have stopped coming for good: later, no frame could be both fresh enough to count
    /// and close enough to the window's last one.
    fn window_lapse(&self) -> Option<Timestamp> {
        let wait = self.window.rules().max_gap + self.max_frame_age + Duration::from_nanos(1);
        self.window.latest().map(|last| last + wait)
    }

    /// The next time at which [`FaceAccess::expire`] has something to do.
    pub fn deadline(&self) -> Option<Timestamp> {
        [self.window_lapse(), self.attempts.lockout().deadline(), self.challenges.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what the passing of time asks for.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Event> {
        let mut reports = Vec::new();
        if self.window_lapse().is_some_and(|lapse| now >= lapse) {
            reports.extend(self.forget_face());
        }
        if self.challenges.deadline().is_some_and(|until| now >= until)
            && let Some(reason) = self.fail_challenge(ChallengeEnd::TimeOver)
        {
            reports.extend(self.deny(now, reason));
        }
        if self.attempts.expire(now) {
            reports.push(Event::LockoutOver);
        }
        reports
    }

    /// Whatever made the frames void that a face was asked in has ended the challenge, too.
    pub fn drop_stale_challenge(&mut self) {
        self.challenges.keep_for(self.window.run());
    }

    /// Somebody is in the picture.
    pub fn note_presence(&mut self, now: Timestamp, sighting: &Sighting) {
        if !matches!(sighting.seen, Seen::NoFace) {
            self.approach.on_face(now);
        }
    }

    /// Takes a frame that is fresh.
    pub fn on_sighting(&mut self, now: Timestamp, mode: Mode, sighting: Sighting, civil: Civil) -> Looked {
        let challenged = self.challenges.is_active();
        let view = match sighting.seen {
            Seen::NoFace => return self.on_empty_picture(now, sighting.captured),
            Seen::SeveralFaces { .. } if challenged => {
                return Looked::denied(self.fail_challenge(ChallengeEnd::OtherFace));
            }
            Seen::SeveralFaces { count } => View::SeveralFaces { count },
            Seen::Face { .. } => View::Face,
        };
        let decision = self.policy.decide(&self.facts(now, mode, civil, view));
        match (decision, sighting.seen) {
            (Decision::Look, Seen::Face { .. }) if sighting.gallery_version != self.gallery_version => {
                self.window.clear();
                Looked::default()
            }
            (Decision::Look, Seen::Face { track, likeness, unusable, cues, .. }) => {
                // What is asked of an enrolment beyond the light excuses nobody here.
                let quality_waiver = unusable.filter(|flaw| flaw.is_environmental());
                let verdict = self.window.push(track, sighting.captured, likeness, quality_waiver, cues);
                let advanced = self
                    .liveness
                    .and_then(|rules| self.challenges.advance(&rules, &self.window, verdict, &cues));
                let life = match advanced {
                    None => self.life(now, verdict),
                    Some(Outcome::Met) => Life::Settled,
                    Some(Outcome::Waiting) => return Looked::default(),
                    Some(Outcome::OtherFace) => {
                        return Looked::denied(self.fail_challenge(ChallengeEnd::OtherFace));
                    }
                    Some(Outcome::Spoof { subject, evidence }) => {
                        return Looked::denied(Some(DenyReason::Spoof { subject, evidence }));
                    }
                };
                let face = Face { verdict, flaw: self.window.unusable(), life };
                let decision = self.policy.decide(&self.facts(now, mode, civil, View::Known(face)));
                if let (Decision::Look, Verdict::Undecided { collected: 1 }) = (decision, verdict) {
                    let begins = self.enter(Stage::Identifying);
                    return Looked::report(begins.then_some(Event::Identifying { track }));
                }
                let administrator = self.administrator(&face, &decision);
                Looked { administrator, ..self.settle(now, decision) }
            }
            (decision, _) => self.settle(now, decision),
        }
    }

    fn on_empty_picture(&mut self, now: Timestamp, captured: Timestamp) -> Looked {
        // A head that turns may not be seen for a moment.
        let for_a_moment = |last: Timestamp| captured.since(last) <= self.window.rules().max_gap;
        let mut reports = Vec::new();
        if self.challenges.is_active() {
            if self.window.latest().is_some_and(for_a_moment) {
                return Looked::default();
            }
            if let Some(reason) = self.fail_challenge(ChallengeEnd::FaceLeft) {
                reports.extend(self.deny(now, reason));
            }
        }
        reports.extend(self.forget_face());
        Looked::report(reports)
    }

    fn facts(&self, now: Timestamp, mode: Mode, civil: Civil, view: View) -> Facts {
        Facts {
            mode,
            locked_out: self.attempts.lockout().left(now),
            refused: self.approach.refused().filter(|_| self.liveness.is_some()),
            is_spent: self.approach.is_spent(),
            is_unrecorded: self.unrecorded,
            civil,
            view,
        }
    }

    /// What the window says of the life of a face; asked only of one that is identified.
    fn life(&self, now: Timestamp, verdict: Verdict) -> Life {
        let (Some(rules), Verdict::Identified { subject, .. }) = (self.liveness, verdict) else {
            return Life::Settled;
        };
        let doubt = match rules.unsure {
            Unsure::Deny => Doubt::Denies,
            Unsure::Challenge => Doubt::Challenge,
            Unsure::SecondFactor => {
                let is_given = self.factor.is_some_and(|given| now.since(given) <= rules.factor);
                Doubt::SecondFactor { is_given }
            }
        };
        Life::Judged(self.window.evidence(Some(subject)).judge(&rules), doubt)
    }

    /// Notes what a decision uses up, and turns it into a permission.
    fn settle(&mut self, now: Timestamp, decision: Decision) -> Looked {
        match decision {
            Decision::Open => Looked::report(self.forget_face()),
            Decision::Look => Looked::default(),
            Decision::Settled(permission) => Looked::settled(permission),
            Decision::BySecondFactor(permission) => {
                self.factor = None;
                Looked::settled(permission)
            }
            Decision::Challenge { subject, evidence } => {
                Looked::settled(self.issue_challenge(now, subject, evidence))
            }
        }
    }

    /// Asks for a gesture; from now on nothing else lets this face in.
    fn issue_challenge(&mut self, now: Timestamp, subject: SubjectId, evidence: f32) -> Permission {
        let gesture =
            self.liveness.map(|rules| self.challenges.issue(now, &rules, subject, self.window.run()));
        Permission::Denied(match gesture {
            Some(Gesture::Turn) => DenyReason::TurnHead { subject, evidence },
            Some(Gesture::Nod) => DenyReason::Nod { subject, evidence },
            None => DenyReason::NotSureAlive { subject, evidence },
        })
    }

    /// Ends a challenge that was not met; why nothing opens from now on.
    fn fail_challenge(&mut self, end: ChallengeEnd) -> Option<DenyReason> {
        let subject = self.challenges.end()?;
        Some(DenyReason::ChallengeFailed { subject, end })
    }

    /// The administrator whom this face and this decision show to be here.
    fn administrator(&self, face: &Face, decision: &Decision) -> Option<SubjectId> {
        let subject = match (face.verdict, decision) {
            (
                Verdict::Identified { subject, .. },
                Decision::Settled(
                    Permission::Granted(_) | Permission::Denied(DenyReason::AlreadyReleased { .. }),
                ),
            ) => subject,
            _ => return None,
        };
        let is_one = face.life.is_certain() && self.policy.timetable.administrators.contains(&subject);
        is_one.then_some(subject)
    }

    /// The face is let in, or would be if the strike were not released as it is.
    pub fn identify(&mut self) {
        self.stage = Stage::Identified;
    }

    /// Denies a face; what to say of that. A face that was just let in and still stands there is not told off.
    pub fn deny(&mut self, now: Timestamp, reason: DenyReason) -> Vec<Event> {
        if matches!(reason, DenyReason::AlreadyReleased { .. }) && self.stage == Stage::Identified {
            return Vec::new();
        }
        if reason.ends_the_approach() {
            self.approach.refuse(reason);
        }
        if reason.voids_frames() {
            self.window.clear();
        }
        let is_news = self.enter(Stage::Denied(reason.code()));
        let denied = Event::Denied(reason);
        match self.attempts.deny(now, &reason, is_news) {
            Denial::Repeated => Vec::new(),
            Denial::Told => vec![denied],
            Denial::LockedOut { denials, time } => {
                self.window.clear();
                vec![denied, Event::LockedOut { denials, time }]
            }
        }
    }

    /// The release for the face that stands there was not recorded in time: it is not let in.
    pub fn take_back(&mut self, now: Timestamp) -> Vec<Event> {
        self.unrecorded = true;
        self.deny(now, DenyReason::NotRecorded)
    }

    /// Enters a stage; false when it is the one we are in.
    fn enter(&mut self, stage: Stage) -> bool {
        std::mem::replace(&mut self.stage, stage) != stage
    }
}
