//! The door controller: what happens to the strike, and why.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::approach::{Approach, ApproachRules};
use super::authority::{Authority, ButtonRules, Enrol};
use super::doorway::{CONTACT_LAG, Doorway, Moved};
use super::enrolment::{Countdown, EnrolmentRules, FrameCounts};
use super::event::{
    Action, Alarm, Cause, EnrolFailure, EnrolGrant, EnrolStep, EnrolWait, Event, Fault, Indication, Input,
    Mode, ModeCommand, Relock, RolledBack, Saved, Seen, Sighting, SubjectId, Unusable,
};
use super::lockout::{Lockout, LockoutRules, Resume};
use super::planted::{self, Bug};
use super::policy::{Identified, Permission, Policy};
use super::prompt::{Asked, Prompt};
use super::reason::{ChallengeEnd, DenyCode, DenyReason};
use super::release::Release;
use super::schedule::{Civil, Timetable, UnsetClock};
use super::window::{Run, Verdict, Window, WindowRules};
use crate::liveness::challenge::Progress;
use crate::liveness::{Cues, Gesture, Liveness, LivenessRules, Unsure};
use crate::time::Timestamp;

/// A state that could not be written is tried again after so long.
const SAVE_AGAIN: Duration = Duration::from_secs(60);

/// The numbers of the access decision.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessRules {
    /// The 15-frame rule.
    pub window: WindowRules,
    /// How long the strike stays released.
    pub hold: Duration,
    /// The longest time for which an operator can hold the door open; zero for not at all.
    pub max_hold_open: Duration,
    /// One release an approach.
    pub approach: ApproachRules,
    /// A frame older than this when it is decided on is refused.
    pub max_frame_age: Duration,
    /// Denied attempts and their price.
    pub lockout: LockoutRules,
    /// What to do about hours while the clock is not set.
    pub unset_clock: UnsetClock,
    /// A door that stands open for so long raises an alarm.
    pub held_open_after: Duration,
    /// The enrolment countdown.
    pub enrolment: EnrolmentRules,
    /// Who may start one by the button.
    pub button: ButtonRules,
    /// Whether a known face must be alive, and how that is told; `None` lets pictures in.
    pub liveness: Option<LivenessRules>,
}

/// What was last said of the picture in front of the camera.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    Empty,
    Identifying,
    Identified,
    Denied(DenyCode),
}

/// A face that was asked to turn or to nod.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Challenge {
    subject: SubjectId,
    /// The face that was asked: another one, or the same after a break, is not.
    run: Run,
    until: Timestamp,
    progress: Progress,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Enrolling {
    countdown: Countdown,
    prompt: Prompt,
}

impl Enrolling {
    /// Whole seconds until it fails, rounded up.
    fn seconds_until_end(&self, now: Timestamp) -> u32 {
        self.countdown.deadline().since(now).as_secs_f64().ceil() as u32
    }
}

/// The access decision as a state machine without input or output of its own.
///
/// The caller passes each input with the time of its arrival to [`Controller::handle`], calls
/// [`Controller::handle_timeout`] when the time of [`Controller::poll_timeout`] has come, and carries
/// out the returned actions in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Controller {
    rules: AccessRules,
    gallery_version: u64,
    policy: Policy,
    window: Window,
    stage: Stage,
    approach: Approach,
    /// This approach's release was not recorded in time: the person was not let in.
    unrecorded: bool,
    lockout: Lockout,
    last_denial: Option<Timestamp>,
    /// When the second factor was last given, until it is used.
    factor: Option<Timestamp>,
    challenge: Option<Challenge>,
    /// Challenges so far.
    challenges: u64,
    secure_mode: bool,
    /// The door's files do not belong together, and no operator has accepted that.
    #[serde(default)]
    rolled_back: RolledBack,
    release: Option<Release>,
    secured: Option<Timestamp>,
    doorway: Doorway,
    authority: Authority,
    enrolling: Option<Enrolling>,
    shown: Option<Indication>,
    /// What was last asked to be saved.
    saved: Option<Saved>,
    save_again: Option<Timestamp>,
}

impl Controller {
    /// A controller that has seen nothing. Its strike counts as secured once the actions of
    /// [`Controller::start`] are carried out.
    pub fn new(rules: AccessRules, gallery_version: u64, timetable: Timetable) -> Self {
        Controller {
            rules,
            gallery_version,
            policy: Policy { timetable, unset_clock: rules.unset_clock },
            window: Window::new(rules.window),
            stage: Stage::Empty,
            approach: Approach::new(rules.approach),
            unrecorded: false,
            lockout: Lockout::new(rules.lockout),
            last_denial: None,
            factor: None,
            challenge: None,
            challenges: 0,
            secure_mode: false,
            rolled_back: RolledBack::default(),
            release: None,
            secured: None,
            doorway: Doorway::new(rules.held_open_after),
            authority: Authority::new(rules.button),
            enrolling: None,
            shown: None,
            saved: None,
            save_again: None,
        }
    }

    /// The first actions: secure, whatever the strike was before. What was saved is taken up; if it
    /// cannot be read, the door is in secure mode and locked out for the longest time.
    pub fn start(&mut self, now: Timestamp, resume: Resume<Saved>) -> Vec<Action> {
        let mut actions = vec![Action::Secure];
        self.saved = match resume {
            Resume::Fresh => Some(Saved::default()),
            Resume::SameBoot(saved) | Resume::OtherBoot(saved) => Some(saved),
            Resume::Unreadable => None,
        };
        self.rolled_back = self.saved.map(|saved| saved.rolled_back).unwrap_or_default();
        self.secure_mode = self.saved.is_none_or(|saved| saved.secure_mode) || self.rolled_back.any();
        self.lockout.resume(
            now,
            match resume {
                _ if planted::is(Bug::RestartForgetsLockout) => Resume::Fresh,
                Resume::Fresh => Resume::Fresh,
                Resume::SameBoot(saved) => Resume::SameBoot(saved.lockout),
                Resume::OtherBoot(saved) => Resume::OtherBoot(saved.lockout),
                Resume::Unreadable => Resume::Unreadable,
            },
        );
        self.finish(&mut actions);
        actions
    }

    /// Goes on with other rules; the window begins anew.
    pub(super) fn retune(&mut self, change: impl FnOnce(&mut AccessRules)) {
        change(&mut self.rules);
        self.window = Window::new(self.rules.window);
    }

    /// The next time at which [`Controller::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        [
            self.release.map(|r| r.until()),
            self.enrolling.as_ref().map(|e| e.countdown.deadline().min(e.prompt.due())),
            self.window_lapse(),
            self.lockout.deadline(),
            self.challenge.map(|challenge| challenge.until),
            self.doorway.deadline().filter(|_| self.mode() != Mode::HoldOpen),
            self.save_again,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// True while the strike is released.
    pub fn is_released(&self) -> bool {
        self.release.is_some()
    }

    /// The mode in force.
    pub fn mode(&self) -> Mode {
        match self.release {
            Some(release) if release.is_held() => Mode::HoldOpen,
            _ if self.secure_mode => Mode::Secure,
            _ => Mode::Normal,
        }
    }

    /// How long no face opens yet, while locked out.
    pub fn lockout_left(&self, now: Timestamp) -> Option<Duration> {
        self.lockout.left(now)
    }

    /// The alarm in force; what goes on at the door itself comes first.
    pub fn alarm(&self) -> Option<Alarm> {
        self.doorway.alarm().or(self.rolled_back.any().then_some(Alarm::RolledBack))
    }

    /// Which of the door's files were found older than the others say, until an operator accepts it.
    pub fn rolled_back(&self) -> RolledBack {
        self.rolled_back
    }

    /// Whether the door stands open, if its contact has told.
    pub fn door_is_open(&self) -> Option<bool> {
        self.doorway.open()
    }

    /// True while an enrolment is under way.
    pub fn is_enrolling(&self) -> bool {
        self.enrolling.is_some()
    }

    /// True while a face is asked to turn or to nod.
    pub fn is_challenging(&self) -> bool {
        self.challenge.is_some()
    }

    /// How long the enrolment button counts, where it needs authorisation and has it for a time.
    pub fn enrolment_allowed(&self, now: Timestamp) -> Option<Duration> {
        self.authority.left(now)
    }

    /// Whole seconds left of the countdown, while it runs.
    pub fn enrolment_seconds_left(&self) -> Option<u32> {
        self.enrolling.as_ref().map(|e| e.countdown.seconds_left())
    }

    /// What became of the frames of the enrolment under way.
    pub fn enrolment_frames(&self) -> Option<FrameCounts> {
        self.enrolling.as_ref().map(|e| e.countdown.frames())
    }

    /// Frames in the window.
    pub fn window_frames(&self) -> usize {
        self.window.len()
    }

    /// The best subject's mean similarity over the frames in the window.
    pub fn window_mean(&self) -> Option<super::Score> {
        self.window.best_means().0
    }

    /// What the latest frames of the face in front of the camera say.
    pub fn verdict(&self) -> Verdict {
        self.window.verdict()
    }

    /// Does what the passing of time asks for.
    pub fn handle_timeout(&mut self, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        self.expire(now, &mut actions);
        self.finish(&mut actions);
        actions
    }

    /// Takes an input that arrived at `now` (never earlier than the `now` before it).
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        self.expire(now, &mut actions);
        match input {
            Input::Sighting { sighting, civil } => self.see(now, sighting, civil, &mut actions),
            Input::GalleryChanged { version, timetable } => {
                self.gallery_version = version;
                self.policy.timetable = timetable;
                self.forget_face(&mut actions);
            }
            Input::Rex => self.decide(now, Permission::Granted(Cause::Rex), &mut actions),
            Input::Door { open } => self.door_moved(now, open, &mut actions),
            Input::Enrol => self.start_enrolment(now, &mut actions),
            Input::EnrolButton => self.button(now, &mut actions),
            Input::AllowEnrolment { time } => {
                let time = self.authority.allow(now, time);
                actions.push(Action::Report(Event::EnrolAllowed { by: EnrolGrant::Operator, time }));
            }
            Input::SecondFactor => self.factor = Some(now),
            Input::EnrolKey { active } => self.authority.key(active),
            Input::CancelEnrol => self.fail_enrolment(EnrolFailure::Cancelled, &mut actions),
            Input::Secure => self.close(now, Relock::Command, &mut actions),
            Input::SetMode(command) => self.set_mode(now, command, &mut actions),
            Input::ClearLockout => {
                self.lockout.clear();
                actions.push(Action::Report(Event::LockoutCleared));
            }
            Input::NotRecorded => self.not_recorded(now, &mut actions),
            Input::Fault(fault) => self.fault(now, fault, &mut actions),
            Input::RolledBack(what) => self.roll_back(now, what, &mut actions),
            Input::AcceptRollback => self.accept_rollback(&mut actions),
        }
        self.finish(&mut actions);
        actions
    }

    fn expire(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.release.is_some_and(|r| now >= r.until()) {
            self.secure(now, Relock::TimeOver, actions);
        }
        if self.enrolling.as_ref().is_some_and(|e| now >= e.countdown.deadline()) {
            self.fail_enrolment(EnrolFailure::TimedOut, actions);
        }
        if let Some(enrolling) = &mut self.enrolling {
            let left = enrolling.seconds_until_end(now);
            actions.extend(enrolling.prompt.remind(now, left).map(Action::Report));
        }
        if self.window_lapse().is_some_and(|lapse| now >= lapse) {
            self.forget_face(actions);
        }
        if self.challenge.is_some_and(|challenge| now >= challenge.until) {
            self.fail_challenge(now, ChallengeEnd::TimeOver, actions);
        }
        if self.lockout.expire(now) {
            actions.push(Action::Report(Event::LockoutOver));
        }
        if self.mode() != Mode::HoldOpen && self.doorway.is_held(now) {
            self.raise(Alarm::HeldOpen, actions);
        }
        if self.save_again.is_some_and(|at| now >= at) {
            self.save_again = None;
            self.saved = None;
        }
    }

    /// What follows from the state as it is now: what to show, what to save.
    fn finish(&mut self, actions: &mut Vec<Action>) {
        // Whatever made the frames void that it was asked in has ended it, too.
        self.challenge = self.challenge.filter(|challenge| self.window.run() == Some(challenge.run));
        self.indicate(actions);
        let (secure_mode, rolled_back) = (self.secure_mode, self.rolled_back);
        let saved = Saved { lockout: self.lockout.saved(), secure_mode, rolled_back };
        if self.saved != Some(saved) {
            self.saved = Some(saved);
            actions.push(Action::Save(saved));
        }
    }

    /// When frames have stopped coming for good: later, no frame could be both fresh enough to count
    /// and close enough to the window's last one.
    fn window_lapse(&self) -> Option<Timestamp> {
        let wait = self.rules.window.max_gap + self.rules.max_frame_age + Duration::from_nanos(1);
        self.window.latest().map(|last| last + wait)
    }

    fn see(&mut self, now: Timestamp, sighting: Sighting, civil: Civil, actions: &mut Vec<Action>) {
        let age = now.since(sighting.captured);
        if age > self.rules.max_frame_age {
            self.forget_face(actions);
            actions.push(Action::Report(Event::StaleFrame { age }));
            if let Some(enrolling) = &mut self.enrolling {
                enrolling.countdown.stale();
            }
            return;
        }
        if !matches!(sighting.seen, Seen::NoFace) {
            self.approach.face(now);
        }
        if self.enrolling.is_some() {
            self.window.clear();
            self.stage = Stage::Empty;
            self.count_enrolment(now, &sighting, actions);
            return;
        }
        match sighting.seen {
            // A head that turns may not be seen for a moment.
            Seen::NoFace if self.challenge.is_some() => {
                let last = self.window.latest();
                if last.is_none_or(|last| sighting.captured.since(last) > self.rules.window.max_gap) {
                    self.fail_challenge(now, ChallengeEnd::FaceLeft, actions);
                    self.forget_face(actions);
                }
            }
            Seen::NoFace => self.forget_face(actions),
            // Nobody is asked who he is while everybody may pass.
            _ if self.mode() == Mode::HoldOpen => self.forget_face(actions),
            Seen::SeveralFaces { .. } if self.challenge.is_some() => {
                self.fail_challenge(now, ChallengeEnd::OtherFace, actions);
            }
            Seen::SeveralFaces { count } => {
                if planted::is(Bug::SeveralFacesRenewApproach) {
                    self.approach = Approach::new(self.rules.approach);
                }
                self.turn_away(now, DenyReason::SeveralFaces { count }, actions);
            }
            Seen::Face { .. } if self.secure_mode => self.turn_away(now, DenyReason::SecureMode, actions),
            Seen::Face { .. } if self.lockout.left(now).is_some() => {
                let left = self.lockout.left(now).unwrap_or_default();
                self.turn_away(now, DenyReason::LockedOut { left }, actions);
            }
            Seen::Face { .. } if self.approach.refused().is_some() && self.rules.liveness.is_some() => {
                if let Some(reason) = self.approach.refused() {
                    self.turn_away(now, reason, actions);
                }
            }
            Seen::Face { .. } if sighting.gallery_version != self.gallery_version => self.window.clear(),
            Seen::Face { track, likeness, unusable, cues, .. } => {
                // What is asked of an enrolment beyond the light excuses nobody here.
                let excuse = unusable.filter(|flaw| flaw.is_the_doors());
                let verdict = self.window.push(track, sighting.captured, likeness, excuse, cues);
                if let Some(challenge) = self.challenge.take() {
                    self.answer(now, challenge, verdict, cues, civil, actions);
                    return;
                }
                match verdict {
                    Verdict::Undecided { collected } => {
                        if collected == 1 && self.enter(Stage::Identifying) {
                            actions.push(Action::Report(Event::Identifying { track }));
                        }
                    }
                    Verdict::Unknown { best_mean } => {
                        let reason = match self.window.unusable() {
                            Some(unusable) if best_mean.is_some() => {
                                DenyReason::PoorPicture { unusable, best_mean }
                            }
                            _ => DenyReason::Unknown { best_mean },
                        };
                        self.decide(now, Permission::Denied(reason), actions);
                    }
                    Verdict::Ambiguous { best, second } => {
                        let (subject, other) = (best.subject, second.subject);
                        let reason = DenyReason::Ambiguous { subject, other, best_mean: best.similarity };
                        self.decide(now, Permission::Denied(reason), actions);
                    }
                    Verdict::Identified { subject, mean_similarity } => {
                        let permission = self.identified(subject, mean_similarity, civil);
                        let (permission, alive) = self.alive(now, subject, permission);
                        // A picture of an administrator authorises nothing.
                        if alive {
                            self.note_administrator(now, subject, &permission, actions);
                        }
                        self.decide(now, permission, actions);
                    }
                }
            }
        }
    }

    /// What would be permitted to a living person.
    fn identified(&self, subject: SubjectId, mean_similarity: f32, civil: Civil) -> Permission {
        let approach_spent = self.approach.is_spent();
        let who = Identified { subject, mean_similarity, civil, approach_spent };
        match self.policy.identified(self.mode(), who) {
            Permission::Denied(DenyReason::AlreadyReleased { .. }) if self.unrecorded => {
                Permission::Denied(DenyReason::NotRecorded)
            }
            permission => permission,
        }
    }

    /// What liveness makes of a permission, and whether the face may count as alive. A picture that would
    /// have opened the door is refused for as long as it stays.
    fn alive(&mut self, now: Timestamp, subject: SubjectId, permission: Permission) -> (Permission, bool) {
        let Some(rules) = self.rules.liveness else { return (permission, true) };
        let liveness = self.window.evidence(Some(subject)).judge(&rules);
        let granted = matches!(permission, Permission::Granted(_));
        match liveness {
            Liveness::Live { .. } => (permission, true),
            // Who is denied anyway, or was let in already, is not judged again.
            Liveness::Spoof { .. } | Liveness::NotSure { .. } if !granted => (permission, false),
            Liveness::Spoof { evidence } => (self.refuse_picture(subject, evidence), false),
            Liveness::NotSure { .. } if planted::is(Bug::DoubtOpens) => (permission, false),
            Liveness::NotSure { evidence } => match rules.unsure {
                Unsure::Challenge => (self.ask(now, &rules, subject, evidence), false),
                Unsure::Deny => (Permission::Denied(DenyReason::NotSureAlive { subject, evidence }), false),
                Unsure::SecondFactor => {
                    match self.factor.take().filter(|given| now.since(*given) <= rules.factor) {
                        Some(_) => (permission, false),
                        None => (Permission::Denied(DenyReason::SecondFactor { subject, evidence }), false),
                    }
                }
            },
        }
    }

    fn refuse_picture(&mut self, subject: SubjectId, evidence: f32) -> Permission {
        self.window.clear();
        let reason = DenyReason::Spoof { subject, evidence };
        self.approach.refuse(reason);
        Permission::Denied(reason)
    }

    /// Asks for a gesture; from now on nothing else lets this face in.
    fn ask(
        &mut self,
        now: Timestamp,
        rules: &LivenessRules,
        subject: SubjectId,
        evidence: f32,
    ) -> Permission {
        let gesture = rules.challenge.gesture(self.challenges);
        self.challenges += 1;
        let until = now + rules.challenge.time;
        let progress = Progress::new(gesture);
        self.challenge = self.window.run().map(|run| Challenge { subject, run, until, progress });
        Permission::Denied(match gesture {
            Gesture::Turn => DenyReason::TurnHead { subject, evidence },
            Gesture::Nod => DenyReason::Nod { subject, evidence },
        })
    }

    /// A frame of a face that was asked for a gesture. It is let in when the gesture was seen, the window
    /// knows the same person again, and nothing speaks for a picture.
    fn answer(
        &mut self,
        now: Timestamp,
        mut challenge: Challenge,
        verdict: Verdict,
        cues: Cues,
        civil: Civil,
        actions: &mut Vec<Action>,
    ) {
        let Some(rules) = self.rules.liveness else { return };
        let subject = challenge.subject;
        // Half the threshold: a turned head is less like its template.
        let least = self.rules.window.threshold / 2.0;
        let anybody = planted::is(Bug::ChallengeTakesAnybody);
        let is_other = match verdict {
            Verdict::Identified { subject: known, .. } => known != subject,
            Verdict::Ambiguous { .. } => false,
            Verdict::Unknown { .. } | Verdict::Undecided { .. } => {
                !matches!(self.window.mean_of(subject), mean if mean >= least)
            }
        };
        if (is_other && !anybody) || self.window.run() != Some(challenge.run) {
            self.challenge = Some(challenge);
            self.fail_challenge(now, ChallengeEnd::OtherFace, actions);
            return;
        }
        let evidence = self.window.evidence(Some(subject));
        if let Liveness::Spoof { evidence } = evidence.judge(&rules) {
            let refused = self.refuse_picture(subject, evidence);
            self.decide(now, refused, actions);
            return;
        }
        // What another head does says nothing of this one.
        if anybody || self.window.latest_likeness(subject).is_some_and(|likeness| likeness >= least) {
            challenge.progress.take(&cues);
        }
        let progress = challenge.progress;
        let done = progress.is_done() || (planted::is(Bug::ChallengeNeedsNoReturn) && progress.is_away());
        match verdict {
            Verdict::Identified { subject: known, mean_similarity }
                if done && evidence.is_unopposed(&rules) =>
            {
                let permission = self.identified(known, mean_similarity, civil);
                self.note_administrator(now, known, &permission, actions);
                self.decide(now, permission, actions);
            }
            _ => self.challenge = Some(challenge),
        }
    }

    /// Ends a challenge that was not met: nothing opens until the face has left.
    fn fail_challenge(&mut self, now: Timestamp, end: ChallengeEnd, actions: &mut Vec<Action>) {
        let Some(challenge) = self.challenge.take() else { return };
        let subject = challenge.subject;
        if planted::is(Bug::ChallengePassesOnTimeout) && end == ChallengeEnd::TimeOver {
            let cause = Cause::Identified { subject, mean_similarity: self.window.mean_of(subject) };
            self.decide(now, Permission::Granted(cause), actions);
            return;
        }
        let reason = DenyReason::ChallengeFailed { subject, end };
        self.approach.refuse(reason);
        self.turn_away(now, reason, actions);
    }

    /// The only place that releases the strike for a person. A release under way is not prolonged: the
    /// time energised stays bounded by the hold time whatever comes in.
    fn decide(&mut self, now: Timestamp, permission: Permission, actions: &mut Vec<Action>) {
        match permission {
            // Who was just let in, and still stands there, is not told off.
            Permission::Denied(DenyReason::AlreadyReleased { .. }) if self.stage == Stage::Identified => {}
            Permission::Denied(reason) => self.deny(now, reason, actions),
            Permission::Granted(cause) => {
                let identified = matches!(cause, Cause::Identified { .. });
                if identified {
                    self.stage = Stage::Identified;
                }
                if let Some(release) = self.release.as_mut().filter(|_| !planted::is(Bug::RexProlongs)) {
                    if !identified {
                        release.ask_exit();
                    }
                    return;
                }
                if identified {
                    self.approach.spend(now);
                    self.unrecorded = false;
                    self.lockout.clear();
                }
                let mut release = Release::passage(now, self.rules.hold);
                if !identified {
                    release.ask_exit();
                }
                self.release(release, cause, actions);
            }
        }
    }

    /// Refuses a face without asking who it is.
    fn turn_away(&mut self, now: Timestamp, reason: DenyReason, actions: &mut Vec<Action>) {
        self.window.clear();
        self.deny(now, reason, actions);
    }

    /// Says why nobody is let in, once; an unknown face that stays is another attempt after a while.
    fn deny(&mut self, now: Timestamp, reason: DenyReason, actions: &mut Vec<Action>) {
        let again = |last: Timestamp| now.since(last) >= self.rules.lockout.again;
        let again = reason.is_an_attempt() && self.last_denial.is_some_and(again);
        if !self.enter(Stage::Denied(reason.code())) && !again {
            return;
        }
        actions.push(Action::Report(Event::Denied(reason)));
        if !reason.is_an_attempt() {
            return;
        }
        self.last_denial = Some(now);
        if let Some(time) = self.lockout.deny(now) {
            self.window.clear();
            let denials = self.lockout.saved().denials;
            actions.push(Action::Report(Event::LockedOut { denials, time }));
        }
    }

    fn release(&mut self, release: Release, cause: Cause, actions: &mut Vec<Action>) {
        self.release = Some(release);
        actions.push(Action::Release);
        actions.push(Action::Report(Event::Released(cause)));
    }

    /// Secures a released strike; false when it was not released.
    fn secure(&mut self, now: Timestamp, why: Relock, actions: &mut Vec<Action>) -> bool {
        let held = self.mode() == Mode::HoldOpen;
        let was_released = self.release.take().is_some();
        if was_released {
            self.secured = Some(now);
            actions.push(Action::Secure);
            actions.push(Action::Report(Event::Secured(why)));
        }
        if held {
            self.doorway.excuse(now);
            actions.push(Action::Report(Event::ModeChanged(self.mode())));
        }
        was_released
    }

    /// Secures whatever was before, and lets nobody who stands there in.
    fn close(&mut self, now: Timestamp, why: Relock, actions: &mut Vec<Action>) {
        self.forget_face(actions);
        self.approach.spend(now);
        self.unrecorded = false;
        if !self.secure(now, why, actions) {
            actions.push(Action::Secure);
        }
    }

    fn set_mode(&mut self, now: Timestamp, command: ModeCommand, actions: &mut Vec<Action>) {
        let before = self.mode();
        match command {
            ModeCommand::Normal => {
                // That takes a word of its own.
                self.secure_mode = self.rolled_back.any();
                if before == Mode::HoldOpen {
                    self.close(now, Relock::Command, actions);
                    return;
                }
            }
            ModeCommand::Secure => {
                self.secure_mode = true;
                self.close(now, Relock::Command, actions);
                if before == Mode::HoldOpen {
                    return;
                }
            }
            ModeCommand::HoldOpen { time } | ModeCommand::Unlock { time } => {
                let time = time.min(self.rules.max_hold_open);
                if time.is_zero() {
                    return;
                }
                let mut release = Release::held(now, time);
                if let (ModeCommand::Unlock { .. }, Some(under_way)) = (command, self.release) {
                    release = under_way.extended(now, time);
                    if under_way == release {
                        // It is held open for longer than that as it is.
                        return;
                    }
                }
                self.forget_face(actions);
                let time = release.until().since(now);
                self.release(release, Cause::HoldOpen { time }, actions);
            }
        }
        if self.mode() != before {
            actions.push(Action::Report(Event::ModeChanged(self.mode())));
        }
    }

    fn roll_back(&mut self, now: Timestamp, what: RolledBack, actions: &mut Vec<Action>) {
        if !what.any() {
            return;
        }
        let (before, mode) = (self.rolled_back, self.mode());
        self.rolled_back = before.and(what);
        self.secure_mode = true;
        if self.is_exit() {
            self.forget_face(actions);
        } else {
            self.close(now, Relock::RolledBack, actions);
        }
        if self.mode() != mode && mode != Mode::HoldOpen {
            actions.push(Action::Report(Event::ModeChanged(self.mode())));
        }
        if self.rolled_back != before {
            actions.push(Action::Report(Event::Alarm(Alarm::RolledBack)));
        }
    }

    fn accept_rollback(&mut self, actions: &mut Vec<Action>) {
        if !self.rolled_back.any() {
            return;
        }
        let mode = self.mode();
        (self.rolled_back, self.secure_mode) = (RolledBack::default(), false);
        actions.push(Action::Report(Event::AlarmOver(Alarm::RolledBack)));
        if self.mode() != mode {
            actions.push(Action::Report(Event::ModeChanged(self.mode())));
        }
    }

    fn fault(&mut self, now: Timestamp, fault: Fault, actions: &mut Vec<Action>) {
        actions.push(Action::Report(Event::Fault(fault)));
        match fault {
            Fault::Camera if planted::is(Bug::CameraFaultIgnored) => return,
            Fault::Camera | Fault::Vision => {
                self.forget_face(actions);
                self.fail_enrolment(EnrolFailure::CameraLost, actions);
            }
            Fault::Lines => {}
            Fault::Store => {
                self.save_again = Some(now + SAVE_AGAIN);
                // What is not written concerns faces and modes: it keeps nobody in.
                if self.is_exit() {
                    return;
                }
            }
        }
        if !self.secure(now, Relock::Fault(fault), actions) {
            actions.push(Action::Secure);
        }
    }

    fn not_recorded(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if !self.is_exit() {
            self.close(now, Relock::NotRecorded, actions);
            self.unrecorded = true;
            self.deny(now, DenyReason::NotRecorded, actions);
        }
    }

    /// True while a release is under way that somebody inside asked for.
    fn is_exit(&self) -> bool {
        self.release.is_some_and(|release| release.is_exit())
    }

    /// Relocks as soon as the door was opened and closed again; raises and ends alarms.
    fn door_moved(&mut self, now: Timestamp, open: bool, actions: &mut Vec<Action>) {
        match self.doorway.contact(now, open) {
            Moved::No => return,
            Moved::Opened => {
                let just_secured = self.secured.is_some_and(|at| now.since(at) <= CONTACT_LAG);
                actions.push(Action::Report(Event::Door { open }));
                if self.release.is_none() && !just_secured {
                    self.raise(Alarm::ForcedOpen, actions);
                }
            }
            Moved::Closed => {
                actions.push(Action::Report(Event::Door { open }));
                if let Some(alarm) = self.doorway.calm() {
                    actions.push(Action::Report(Event::AlarmOver(alarm)));
                }
            }
        }
        if self.release.as_mut().is_some_and(|release| release.door_moved(open)) {
            self.secure(now, Relock::DoorClosed, actions);
        }
    }

    fn raise(&mut self, alarm: Alarm, actions: &mut Vec<Action>) {
        if self.doorway.raise(alarm) {
            actions.push(Action::Report(Event::Alarm(alarm)));
        }
    }

    fn forget_face(&mut self, actions: &mut Vec<Action>) {
        self.window.clear();
        if self.enter(Stage::Empty) {
            actions.push(Action::Report(Event::NoFace));
        }
    }

    /// Enters a stage; false when it is the one we are in.
    fn enter(&mut self, stage: Stage) -> bool {
        std::mem::replace(&mut self.stage, stage) != stage
    }

    /// An administrator's face, if the person may come in now (or just did), lets the button enrol.
    fn note_administrator(
        &mut self,
        now: Timestamp,
        subject: SubjectId,
        permission: &Permission,
        actions: &mut Vec<Action>,
    ) {
        let here = matches!(
            permission,
            Permission::Granted(_) | Permission::Denied(DenyReason::AlreadyReleased { .. })
        );
        if here
            && self.policy.timetable.administrators.contains(&subject)
            && self.authority.administrator(now)
        {
            let by = EnrolGrant::Administrator { subject };
            actions.push(Action::Report(Event::EnrolAllowed { by, time: self.rules.button.window }));
        }
    }

    fn button(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.enrolling.is_some() {
            return;
        }
        match self.authority.press(now) {
            Enrol::Granted => self.start_enrolment(now, actions),
            Enrol::Refused => actions.push(Action::Report(Event::ButtonRefused)),
        }
    }

    fn start_enrolment(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        self.window.clear();
        self.stage = Stage::Empty;
        let countdown = Countdown::start(self.rules.enrolment, now);
        self.enrolling = Some(Enrolling { countdown, prompt: Prompt::new(now) });
        actions.push(Action::Enrol(EnrolStep::Discard));
        actions.push(Action::Report(Event::EnrolStarted));
    }

    fn count_enrolment(&mut self, now: Timestamp, sighting: &Sighting, actions: &mut Vec<Action>) {
        let Some(enrolling) = &mut self.enrolling else { return };
        let counted = enrolling.countdown.take(sighting);
        let over = counted.steps.contains(&EnrolStep::Store);
        actions.extend(counted.steps.into_iter().map(Action::Enrol));
        if over {
            self.enrolling = None;
            // The person just enrolled stands before the door: coming in is another approach.
            self.approach.spend(now);
            actions.push(Action::Report(Event::EnrolTaken));
            return;
        }
        if let Some(EnrolWait::Better(Unusable::PoseUnknown)) = counted.waits_for {
            // Looked at before the enrolment began: it says nothing.
            return;
        }
        let until_end = enrolling.seconds_until_end(now);
        let asked = Asked { wait: counted.waits_for, seconds_left: counted.seconds_left, until_end };
        actions.extend(enrolling.prompt.take(now, asked).map(Action::Report));
    }

    fn fail_enrolment(&mut self, failure: EnrolFailure, actions: &mut Vec<Action>) {
        if let Some(Enrolling { countdown, .. }) = self.enrolling.take() {
            actions.push(Action::Enrol(EnrolStep::Discard));
            actions.push(Action::Report(Event::EnrolFailed { why: failure, frames: countdown.frames() }));
        }
    }

    fn indicate(&mut self, actions: &mut Vec<Action>) {
        let indication = match (self.doorway.alarm(), &self.enrolling, self.release, self.stage) {
            (Some(alarm), ..) => Indication::Alarm(alarm),
            // Who leaves, or stands there, is shown that first.
            (None, None, None, Stage::Empty) if self.rolled_back.any() => {
                Indication::Alarm(Alarm::RolledBack)
            }
            (None, Some(e), ..) if e.prompt.counts() => Indication::EnrolCounting,
            (None, Some(_), ..) => Indication::EnrolWaiting,
            (None, None, Some(_), _) => Indication::Released,
            (None, None, None, Stage::Empty | Stage::Identified) => Indication::Idle,
            (None, None, None, Stage::Identifying) => Indication::Identifying,
            (None, None, None, Stage::Denied(code)) => Indication::Denied(code),
        };
        if self.shown != Some(indication) {
            self.shown = Some(indication);
            actions.push(Action::Indicate(indication));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Score, SubjectId, TrackId};
    use super::super::lockout::{SavedLock, SavedLockout};
    use super::*;
    use std::collections::BTreeSet;

    use crate::liveness::{Asked, Cues};
    use crate::picture::Rect;

    fn rules() -> AccessRules {
        AccessRules {
            window: WindowRules {
                frames: 15,
                threshold: 0.3,
                gallery_raise: 0.0,
                margin: 0.0,
                max_gap: Duration::from_millis(500),
                max_age: Duration::from_secs(5),
            },
            hold: Duration::from_secs(3),
            max_hold_open: Duration::from_secs(3_600),
            approach: ApproachRules { gap: Duration::from_millis(1_500), cooldown: Duration::from_secs(30) },
            max_frame_age: Duration::from_secs(1),
            lockout: LockoutRules {
                attempts: 3,
                first: Duration::from_secs(30),
                longest: Duration::from_secs(900),
                forget: Duration::from_secs(3_600),
                again: Duration::from_secs(10),
            },
            unset_clock: UnsetClock::Deny,
            held_open_after: Duration::from_secs(20),
            enrolment: EnrolmentRules {
                countdown: Duration::from_secs(5),
                frames: 15,
                templates: 3,
                timeout: Duration::from_secs(60),
                max_gap: Duration::from_millis(500),
                restart_after: Duration::from_secs(2),
            },
            button: ButtonRules::default(),
            liveness: None,
        }
    }

    /// A controller fed one frame every 50 ms; remembers the events with their times in ms.
    struct Door {
        controller: Controller,
        now: u64,
        events: Vec<(u64, Event)>,
        released: bool,
    }

    impl Door {
        fn new() -> Self {
            Door::resumed(Resume::Fresh)
        }

        fn resumed(resume: Resume<Saved>) -> Self {
            let mut controller = Controller::new(rules(), 1, Timetable::default());
            let mut door = Door { controller: controller.clone(), now: 0, events: vec![], released: false };
            let actions = controller.start(Timestamp::ZERO, resume);
            assert_eq!(actions[0], Action::Secure);
            door.controller = controller;
            door.carry_out(actions);
            door
        }

        fn carry_out(&mut self, actions: Vec<Action>) {
            for action in actions {
                match action {
                    Action::Release => self.released = true,
                    Action::Secure => self.released = false,
                    Action::Report(event) => self.events.push((self.now, event)),
                    Action::Indicate(_) | Action::Enrol(_) | Action::Save(_) => {}
                }
            }
        }

        fn input(&mut self, input: Input) {
            let actions = self.controller.handle(Timestamp::from_millis(self.now), input);
            self.carry_out(actions);
        }

        fn frame(&mut self, seen: Seen) {
            self.now += 50;
            self.input(sighting(self.now, 1, seen));
        }

        fn frames(&mut self, n: usize, seen: &Seen) {
            for _ in 0..n {
                self.frame(seen.clone());
            }
        }

        fn take(&mut self) -> Vec<(u64, Event)> {
            std::mem::take(&mut self.events)
        }
    }

    fn sighting(ms: u64, gallery_version: u64, seen: Seen) -> Input {
        let captured = Timestamp::from_millis(ms);
        let sighting = Sighting { captured, sequence: ms, gallery_version, seen, light: None };
        Input::Sighting { sighting, civil: Civil::Unset }
    }

    fn face(track: u64, similarity: f32) -> Seen {
        Seen::Face {
            track: TrackId(track),
            face: Rect::new(0, 0, 100, 100),
            likeness: vec![Score { subject: SubjectId(1), similarity }].into(),
            unusable: None,
            cues: Cues::default(),
        }
    }

    fn identified(mean: f32) -> Event {
        Event::Released(Cause::Identified { subject: SubjectId(1), mean_similarity: mean })
    }

    #[test]
    fn fifteen_frames_release_for_the_hold_time() {
        let mut door = Door::new();
        door.frames(14, &face(1, 0.5));
        assert!(!door.released);
        door.frame(face(1, 0.5));
        assert!(door.released);
        assert_eq!(door.take(), [(50, Event::Identifying { track: TrackId(1) }), (750, identified(0.5))]);
        assert_eq!(
            door.controller.poll_timeout(),
            Some(Timestamp::from_millis(750 + 500 + 1_000) + Duration::from_nanos(1))
        );
        door.frames(59, &face(1, 0.5));
        assert!(door.released);
        door.frame(face(1, 0.5));
        assert!(!door.released, "secured after 3 s although the person stays");
        assert_eq!(door.take(), [(3_750, Event::Secured(Relock::TimeOver))]);
    }

    #[test]
    fn the_strike_is_secured_by_time_alone() {
        let mut door = Door::new();
        door.input(Input::Rex);
        assert!(door.released);
        assert_eq!(door.controller.poll_timeout(), Some(Timestamp::from_millis(3_000)));
        let actions = door.controller.handle_timeout(Timestamp::from_millis(2_999));
        assert!(!actions.contains(&Action::Secure));
        let actions = door.controller.handle_timeout(Timestamp::from_millis(3_000));
        assert_eq!(actions[0], Action::Secure);
    }

    #[test]
    fn rex_does_not_prolong_a_release() {
        let mut door = Door::new();
        door.input(Input::Rex);
        door.now = 2_900;
        door.input(Input::Rex);
        door.now = 3_000;
        door.input(Input::CancelEnrol);
        assert!(!door.released);
    }

    #[test]
    fn one_release_an_approach() {
        let mut door = Door::new();
        door.frames(15 + 100, &face(1, 0.5));
        door.frame(Seen::NoFace);
        door.frames(20, &face(2, 0.5));
        let releases = |door: &Door| door.events.iter().filter(|e| matches!(e.1, Event::Released(_))).count();
        assert_eq!(releases(&door), 1, "{:?}", door.events);
        assert!(
            door.events
                .iter()
                .any(|e| e.1 == Event::Denied(DenyReason::AlreadyReleased { subject: SubjectId(1) }))
        );
        door.frames(31, &Seen::NoFace);
        door.frames(15, &face(3, 0.5));
        assert_eq!(releases(&door), 2, "leaving the picture ends the approach");
        door.frames(620, &face(3, 0.5));
        assert_eq!(releases(&door), 3, "so does the cool-down");
    }

    #[test]
    fn unknown_is_said_once_and_a_better_mean_still_releases() {
        let mut door = Door::new();
        door.frames(20, &face(1, 0.1));
        let denied = Event::Denied(DenyReason::Unknown { best_mean: Some(0.1) });
        assert_eq!(door.take(), [(50, Event::Identifying { track: TrackId(1) }), (750, denied)]);
        door.frames(15, &face(1, 0.5));
        assert!(door.released);
    }

    #[test]
    fn a_gone_face_several_faces_and_another_track_clear_the_window() {
        for gap in [Seen::NoFace, Seen::SeveralFaces { count: 2 }, face(2, 0.9)] {
            let mut door = Door::new();
            door.frames(14, &face(1, 0.9));
            door.frame(gap);
            door.frames(14, &face(1, 0.9));
            assert!(!door.released);
            door.frame(face(1, 0.9));
            assert!(door.released);
        }
    }

    #[test]
    fn voids() {
        type Step = fn(&mut Door);
        let steps: [(&str, Step); 3] = [
            ("camera lost", |door| door.input(Input::Fault(Fault::Camera))),
            ("stale frame", |door| {
                door.now += 2_000;
                door.input(sighting(door.now - 1_001, 1, face(1, 0.9)));
                door.now -= 2_000;
            }),
            ("scores of another gallery", |door| {
                door.input(sighting(door.now + 1, 9, face(1, 0.9)));
            }),
        ];
        for (name, step) in steps {
            let mut door = Door::new();
            door.frames(14, &face(1, 0.9));
            step(&mut door);
            door.frames(14, &face(1, 0.9));
            assert!(!door.released, "{name}");
        }
    }

    #[test]
    fn a_changed_gallery_voids_the_window_and_older_scores() {
        let mut door = Door::new();
        door.frames(14, &face(1, 0.9));
        door.input(Input::GalleryChanged { version: 2, timetable: Timetable::default() });
        door.frames(40, &face(1, 0.9));
        assert!(!door.released, "scores of version 1 no longer count");
    }

    #[test]
    fn the_door_contact_relocks() {
        let mut door = Door::new();
        door.input(Input::Rex);
        door.input(Input::Door { open: false });
        assert!(door.released, "it was never opened");
        door.input(Input::Door { open: true });
        door.input(Input::Door { open: false });
        assert!(!door.released);
    }

    #[test]
    fn forced_and_held_open_raise_alarms_and_a_normal_passage_does_not() {
        let alarms = |door: &mut Door| {
            let alarm = |e: &(u64, Event)| matches!(e.1, Event::Alarm(_) | Event::AlarmOver(_));
            door.take().into_iter().filter(alarm).collect::<Vec<_>>()
        };
        let mut door = Door::new();
        door.input(Input::Door { open: false });
        door.input(Input::Door { open: true });
        assert_eq!(door.controller.alarm(), Some(Alarm::ForcedOpen));
        door.now = 100;
        door.input(Input::Door { open: false });
        let forced = Alarm::ForcedOpen;
        assert_eq!(alarms(&mut door), [(0, Event::Alarm(forced)), (100, Event::AlarmOver(forced))]);

        door.input(Input::Rex);
        door.now = 3_000;
        door.input(Input::CancelEnrol);
        door.now = 3_200;
        door.input(Input::Door { open: true });
        assert_eq!(door.controller.alarm(), None, "pulled in time, seen a little late");
        door.now = 23_200;
        let actions = door.controller.handle_timeout(Timestamp::from_millis(door.now));
        door.carry_out(actions);
        door.input(Input::Door { open: false });
        let held = Alarm::HeldOpen;
        assert_eq!(alarms(&mut door), [(23_200, Event::Alarm(held)), (23_200, Event::AlarmOver(held))]);
    }

    #[test]
    fn strangers_lock_the_door_and_a_friend_has_to_wait() {
        let mut door = Door::new();
        for track in 1..=3 {
            door.frames(15, &face(track, 0.1));
        }
        let locked = Event::LockedOut { denials: 3, time: Duration::from_secs(30) };
        assert_eq!(door.take().last(), Some(&(2_250, locked)));
        door.frames(40, &face(4, 0.9));
        assert!(!door.released);
        let left = Duration::from_millis(29_950);
        assert_eq!(door.take(), [(2_300, Event::Denied(DenyReason::LockedOut { left }))]);
        door.now = 32_200;
        door.frames(15, &face(5, 0.9));
        assert!(door.released, "the lockout is over after 30 s");
        assert_eq!(door.controller.lockout.saved(), SavedLockout::default(), "and all is forgiven");
    }

    #[test]
    fn darkness_several_faces_faults_and_an_empty_gallery_are_no_attempts() {
        let mut door = Door::new();
        let dark = Seen::Face {
            track: TrackId(1),
            face: Rect::new(0, 0, 100, 100),
            likeness: vec![Score { subject: SubjectId(1), similarity: 0.1 }].into(),
            unusable: Some(Unusable::TooDark),
            cues: Cues::default(),
        };
        let nobody = Seen::Face {
            track: TrackId(2),
            face: Rect::new(0, 0, 100, 100),
            likeness: vec![].into(),
            unusable: None,
            cues: Cues::default(),
        };
        for _ in 0..10 {
            door.frames(20, &dark);
            door.frames(20, &nobody);
            door.frames(20, &Seen::SeveralFaces { count: 2 });
            door.input(Input::Fault(Fault::Camera));
        }
        assert_eq!(door.controller.lockout.saved().denials, 0);
        let denials: Vec<_> = door
            .take()
            .into_iter()
            .filter_map(|(_, e)| match e {
                Event::Denied(reason) => Some(reason.code()),
                _ => None,
            })
            .collect();
        assert_eq!(denials[..3], [DenyCode::PoorPicture, DenyCode::NobodyEnrolled, DenyCode::SeveralFaces]);
    }

    #[test]
    fn a_stranger_who_stays_tries_again_every_ten_seconds() {
        let mut door = Door::new();
        door.frames(15 + 399, &face(1, 0.1));
        assert_eq!(door.controller.lockout.saved().denials, 2);
        door.frame(face(1, 0.1));
        assert_eq!(door.controller.lockout.saved().denials, 3);
    }

    #[test]
    fn files_put_back_keep_faces_out_until_that_is_accepted() {
        let mut door = Door::resumed(Resume::Fresh);
        let what = RolledBack { gallery: true, ..RolledBack::default() };
        // Somebody is leaving: that goes on.
        let _ = door.controller.handle(Timestamp::ZERO, Input::Rex);
        let actions = door.controller.handle(Timestamp::ZERO, Input::RolledBack(what));
        assert!(!actions.contains(&Action::Secure), "{actions:?}");
        assert!(actions.contains(&Action::Report(Event::Alarm(Alarm::RolledBack))), "{actions:?}");
        assert!(actions.contains(&Action::Report(Event::ModeChanged(Mode::Secure))), "{actions:?}");
        let saved = Saved { secure_mode: true, rolled_back: what, ..Saved::default() };
        assert_eq!(actions.last(), Some(&Action::Save(saved)));
        // The word that ends secure mode does not end this, nor does a restart.
        for resume in [Resume::SameBoot(saved), Resume::OtherBoot(saved)] {
            door = Door::resumed(resume);
            let normal = Input::SetMode(ModeCommand::Normal);
            let _ = door.controller.handle(Timestamp::ZERO, normal);
            assert_eq!((door.controller.mode(), door.controller.rolled_back()), (Mode::Secure, what));
            assert_eq!(door.controller.alarm(), Some(Alarm::RolledBack));
        }
        let actions = door.controller.handle(Timestamp::ZERO, Input::AcceptRollback);
        assert!(actions.contains(&Action::Report(Event::AlarmOver(Alarm::RolledBack))), "{actions:?}");
        assert!(actions.contains(&Action::Save(Saved::default())), "{actions:?}");
        assert_eq!((door.controller.mode(), door.controller.alarm()), (Mode::Normal, None));
    }

    #[test]
    fn secure_mode_keeps_faces_out_over_restarts_and_lets_people_leave() {
        let mut door = Door::new();
        door.frames(15, &face(1, 0.9));
        door.input(Input::SetMode(ModeCommand::Secure));
        assert!(!door.released);
        door.frames(700, &face(1, 0.9));
        assert!(!door.released);
        door.input(Input::Rex);
        assert!(door.released);
        // Nor does it end with an unlock of a few seconds.
        door.input(Input::SetMode(ModeCommand::HoldOpen { time: Duration::from_secs(5) }));
        assert_eq!(door.controller.mode(), Mode::HoldOpen);
        door.frames(400, &face(1, 0.9));
        assert!(!door.released);
        assert_eq!(door.controller.mode(), Mode::Secure);
        let saved = door.controller.saved.unwrap();
        let mut door = Door::resumed(Resume::OtherBoot(saved));
        assert_eq!(door.controller.mode(), Mode::Secure);
        door.frames(40, &face(1, 0.9));
        assert!(!door.released);
        door.input(Input::SetMode(ModeCommand::Normal));
        door.frames(40, &Seen::NoFace);
        door.frames(15, &face(2, 0.9));
        assert!(door.released);
    }

    #[test]
    fn holding_open_ends_by_time_command_and_fault() {
        let hold = Input::SetMode(ModeCommand::HoldOpen { time: Duration::from_secs(60) });
        for (end, why) in [
            (None, Relock::TimeOver),
            (Some(Input::Secure), Relock::Command),
            (Some(Input::SetMode(ModeCommand::Normal)), Relock::Command),
            (Some(Input::Fault(Fault::Camera)), Relock::Fault(Fault::Camera)),
        ] {
            let mut door = Door::new();
            door.input(Input::Door { open: false });
            door.input(hold.clone());
            assert!(door.released);
            door.now = 59_999;
            door.input(Input::Door { open: true });
            door.input(Input::Door { open: false });
            door.frames(0, &face(1, 0.9));
            assert!(door.released, "passages do not end it");
            assert_eq!(door.controller.mode(), Mode::HoldOpen);
            door.now += u64::from(end.is_none());
            door.input(end.unwrap_or(Input::CancelEnrol));
            assert!(!door.released && door.controller.mode() == Mode::Normal);
            assert!(door.events.iter().any(|e| e.1 == Event::Secured(why)), "{:?}", door.events);
        }
        let mut door = Door::new();
        door.input(Input::SetMode(ModeCommand::HoldOpen { time: Duration::MAX }));
        assert_eq!(door.controller.poll_timeout(), Some(Timestamp::from_millis(3_600_000)));
    }

    #[test]
    fn an_unlock_of_a_few_seconds_cuts_nothing_short() {
        let unlock = Input::SetMode(ModeCommand::Unlock { time: Duration::from_secs(5) });
        let end = |door: &Door| door.controller.poll_timeout();
        // By itself it is a short hold-open.
        let mut door = Door::new();
        door.input(unlock.clone());
        assert_eq!(
            (door.controller.mode(), end(&door)),
            (Mode::HoldOpen, Some(Timestamp::from_millis(5_000)))
        );
        // An operator's minute stays a minute, and nothing is reported.
        let mut door = Door::new();
        door.input(Input::SetMode(ModeCommand::HoldOpen { time: Duration::from_secs(60) }));
        let events = door.events.len();
        door.now = 10_000;
        door.input(unlock.clone());
        assert_eq!((door.events.len(), end(&door)), (events, Some(Timestamp::from_millis(60_000))));
        // Near its end it is prolonged.
        door.now = 58_000;
        door.input(unlock.clone());
        assert_eq!(end(&door), Some(Timestamp::from_millis(63_000)));
        // The operator's own word counts as it is said.
        door.input(Input::SetMode(ModeCommand::HoldOpen { time: Duration::from_secs(1) }));
        assert_eq!(end(&door), Some(Timestamp::from_millis(59_000)));
        door.input(Input::Secure);
        assert!(!door.released);
        // Whoever leaves has the whole hold time, and a passage no longer ends it.
        let mut door = Door::new();
        door.input(Input::Rex);
        let hold = end(&door);
        let short = Duration::from_millis(100);
        door.input(Input::SetMode(ModeCommand::Unlock { time: short }));
        assert_eq!(end(&door), hold);
        assert_eq!(door.controller.mode(), Mode::HoldOpen);
        // Not beyond what may be held open.
        let mut door = Door::new();
        door.input(Input::SetMode(ModeCommand::Unlock { time: Duration::MAX }));
        assert_eq!(end(&door), Some(Timestamp::from_millis(3_600_000)));
    }

    #[test]
    fn hours_are_asked_at_the_moment_of_identification() {
        use super::super::schedule::{CivilTime, Weekday};
        let office = vec!["mon 08:00-18:00".parse().unwrap()].into();
        let timetable = Timetable { people: [(SubjectId(1), office)].into(), ..Timetable::default() };
        let mut door = Door::new();
        door.input(Input::GalleryChanged { version: 1, timetable });
        let at = |minute| Civil::At(CivilTime { weekday: Weekday::Monday, minute });
        let mut see = |civil, frames| {
            for _ in 0..frames {
                door.now += 50;
                let Input::Sighting { sighting, .. } = sighting(door.now, 1, face(1, 0.9)) else { return };
                door.input(Input::Sighting { sighting, civil });
            }
        };
        see(at(8 * 60 - 1), 20);
        see(Civil::Unset, 1);
        see(at(8 * 60), 1);
        let events: Vec<Event> = door.take().into_iter().map(|e| e.1).skip(1).collect();
        let subject = SubjectId(1);
        let denied = [DenyReason::OutOfHours { subject }, DenyReason::ClockNotSet { subject }];
        assert_eq!(events, [Event::Denied(denied[0]), Event::Denied(denied[1]), identified(0.9)]);
    }

    #[test]
    fn what_cannot_be_read_keeps_faces_out_and_what_cannot_be_written_is_tried_again() {
        let mut door = Door::resumed(Resume::Unreadable);
        assert_eq!(door.controller.mode(), Mode::Secure);
        door.input(Input::SetMode(ModeCommand::Normal));
        assert_eq!(door.controller.lockout_left(Timestamp::ZERO), Some(Duration::from_secs(900)));
        let actions = door.controller.handle(Timestamp::ZERO, Input::ClearLockout);
        assert_eq!(actions.last(), Some(&Action::Save(Saved::default())));
        door.input(Input::Fault(Fault::Store));
        assert_eq!(door.controller.poll_timeout(), Some(Timestamp::ZERO + SAVE_AGAIN));
        let actions = door.controller.handle_timeout(Timestamp::ZERO + SAVE_AGAIN);
        assert_eq!(actions, [Action::Save(Saved::default())]);
    }

    #[test]
    fn a_lockout_is_taken_up_after_a_restart() {
        let until = Timestamp::from_millis(20_000);
        let locked = Some(SavedLock { until, time: Duration::from_secs(30) });
        let saved =
            Saved { lockout: SavedLockout { denials: 3, locked }, secure_mode: false, ..Saved::default() };
        for (resume, opens) in [(Resume::SameBoot(saved), 20_000), (Resume::OtherBoot(saved), 30_000)] {
            let mut door = Door::resumed(resume);
            door.now = opens - 50 * 15;
            door.frames(15 + 13, &face(1, 0.9));
            assert!(!door.released, "{resume:?}");
            door.frame(face(1, 0.9));
            assert!(door.released, "{resume:?}");
        }
    }

    #[test]
    fn secure_ends_a_release_and_the_approach_stays_spent() {
        let mut door = Door::new();
        door.frames(15, &face(1, 0.9));
        assert!(door.released);
        door.input(Input::Secure);
        assert!(!door.released);
        door.frames(40, &face(1, 0.9));
        assert!(!door.released);
        let actions = door.controller.handle(Timestamp::from_millis(9_000), Input::Secure);
        assert!(actions.contains(&Action::Secure), "said again although it is secured");
    }

    #[test]
    fn a_disk_that_fails_ends_what_a_face_opened_and_keeps_nobody_in() {
        let disk = [Input::Fault(Fault::Store), Input::NotRecorded];
        for input in &disk {
            let mut door = Door::new();
            door.frames(15, &face(1, 0.9));
            door.input(input.clone());
            assert!(!door.released, "{input:?}");
            let mut door = Door::new();
            door.input(Input::Rex);
            door.input(input.clone());
            assert!(door.released, "{input:?} kept somebody in");
            door.now = 3_000;
            door.input(Input::CancelEnrol);
            assert!(!door.released, "and the hold time ends it");
            // Who presses while the door is open for a face relies on it as much.
            let mut door = Door::new();
            door.frames(15, &face(1, 0.9));
            door.input(Input::Rex);
            door.input(input.clone());
            assert!(door.released, "{input:?} kept somebody in");
            door.input(Input::Secure);
            assert!(!door.released);
        }
        let mut door = Door::new();
        door.frames(15, &face(1, 0.9));
        door.input(Input::NotRecorded);
        let [.., secured, denied] = &door.events[..] else { panic!("{:?}", door.events) };
        assert_eq!(secured.1, Event::Secured(Relock::NotRecorded));
        assert_eq!(denied.1, Event::Denied(DenyReason::NotRecorded));
        assert_eq!(door.controller.shown, Some(Indication::Denied(DenyCode::NotRecorded)));
        door.take();
        door.frames(15, &face(1, 0.9));
        let who_stays = door.take().pop().map(|(_, event)| event);
        assert_eq!(who_stays, Some(Event::Denied(DenyReason::NotRecorded)), "he was not let in");
        door.frames(31, &Seen::NoFace);
        door.frames(15, &face(2, 0.9));
        assert!(door.released, "and may come again");
    }

    #[test]
    fn enrolment_counts_down_and_identifies_nobody() {
        let mut door = Door::new();
        door.input(Input::Enrol);
        door.frames(30, &face(1, 0.9));
        assert!(!door.released);
        let dark = Seen::Face {
            track: TrackId(1),
            face: Rect::new(0, 0, 9, 9),
            likeness: vec![].into(),
            unusable: Some(Unusable::TooDark),
            cues: Cues::default(),
        };
        // One frame is not worth a word.
        door.frame(dark.clone());
        door.frames(5, &face(1, 0.9));
        door.frames(30, &dark);
        door.frames(80, &face(1, 0.9));
        let events: Vec<Event> = door.take().into_iter().map(|e| e.1).collect();
        assert_eq!(events[0], Event::EnrolStarted);
        let said = |wanted: fn(&Event) -> bool| events.iter().filter(|e| wanted(e)).count();
        assert_eq!(said(|e| matches!(e, Event::EnrolWaiting(EnrolWait::Better(Unusable::TooDark)))), 1);
        assert_eq!(said(|e| matches!(e, Event::EnrolWaiting(_))), 1);
        let mut left: Vec<u32> = Vec::new();
        for event in &events {
            if let Event::EnrolCountdown { seconds_left } = event {
                left.push(*seconds_left);
            }
        }
        assert!(left[0] == 5 && left.is_sorted_by(|a, b| a > b) && *left.last().unwrap() == 1, "{left:?}");
        let taken = events.iter().position(|e| *e == Event::EnrolTaken).unwrap();
        assert!(taken > 4, "{events:?}");
        assert!(!door.controller.is_enrolling());
        assert!(!door.released, "the person just enrolled does not open the door by standing there");
    }

    #[test]
    fn enrolment_fails_in_time_and_by_cancel() {
        let mut door = Door::new();
        door.input(Input::Enrol);
        assert_eq!(door.controller.poll_timeout(), Some(Timestamp::from_millis(5_000)), "not in silence");
        let said = door.controller.handle_timeout(Timestamp::from_millis(5_000));
        let still = Event::EnrolStillWaiting { wait: EnrolWait::Picture, seconds_left: 55 };
        assert_eq!(said, [Action::Report(still)]);
        let actions = door.controller.handle_timeout(Timestamp::from_millis(60_000));
        let failed = |why| Event::EnrolFailed { why, frames: FrameCounts::default() };
        assert!(actions.contains(&Action::Report(failed(EnrolFailure::TimedOut))));
        door.input(Input::Enrol);
        door.input(Input::CancelEnrol);
        assert_eq!(door.events.last().unwrap().1, failed(EnrolFailure::Cancelled));
    }

    /// Frames of subject 1's face; alive, a picture, or neither clearly.
    fn shown(track: u64, residual: f32, network: f32) -> Seen {
        match face(track, 0.5) {
            Seen::Face { track, face, likeness, unusable, .. } => Seen::Face {
                track,
                face,
                likeness,
                unusable,
                cues: Cues {
                    motion: Some(0.05),
                    residual: Some(residual),
                    along: None,
                    peak: Some(1.2),
                    patterns: Some(4.0),
                    network: Some(network),
                    ..Cues::default()
                },
            },
            other => other,
        }
    }

    fn alive() -> Seen {
        shown(1, 0.012, 0.9)
    }

    fn picture() -> Seen {
        shown(1, 0.002, 0.05)
    }

    fn unclear() -> Seen {
        shown(1, 0.003, 0.8)
    }

    fn checking(change: impl FnOnce(&mut LivenessRules)) -> Door {
        let mut door = Door::new();
        let mut liveness = LivenessRules::default();
        change(&mut liveness);
        let rules = AccessRules { liveness: Some(liveness), ..rules() };
        door.controller = Controller::new(rules, 1, Timetable::default());
        let actions = door.controller.start(Timestamp::ZERO, Resume::Fresh);
        door.carry_out(actions);
        door
    }

    fn denied(door: &mut Door) -> Vec<DenyCode> {
        let code = |(_, event)| match event {
            Event::Denied(reason) => Some(reason.code()),
            _ => None,
        };
        door.take().into_iter().filter_map(code).collect()
    }

    #[test]
    fn a_picture_is_refused_until_it_has_left() {
        let mut door = checking(|_| {});
        door.frames(15, &picture());
        assert!(!door.released);
        assert_eq!(denied(&mut door), [DenyCode::Spoof]);
        // It stays for longer than the cooldown, and shows a living face meanwhile: still refused.
        door.frames(100, &alive());
        assert!(!door.released);
        door.frame(Seen::NoFace);
        door.frames(20, &alive());
        assert!(!door.released, "a blink of an eye is no leaving");
        let _ = denied(&mut door);
        door.frames(31, &Seen::NoFace);
        door.frames(15, &alive());
        assert!(door.released);
    }

    #[test]
    fn time_alone_does_not_make_a_picture_a_person() {
        let mut door = checking(|_| {});
        door.frames(15, &picture());
        let cooldown = rules().approach.cooldown.as_millis() as usize / 50;
        for _ in 0..2 * cooldown {
            door.frame(alive());
            if door.controller.lockout_left(Timestamp::from_millis(door.now)).is_some() {
                door.input(Input::ClearLockout);
            }
        }
        assert!(!door.released);
    }

    #[test]
    fn pictures_count_towards_the_lockout() {
        let mut door = checking(|_| {});
        for attempt in 1..=3 {
            door.frames(15, &picture());
            let locked = door.controller.lockout_left(Timestamp::from_millis(door.now)).is_some();
            assert_eq!(locked, attempt == 3);
            door.frames(31, &Seen::NoFace);
        }
        door.frames(15, &alive());
        assert!(!door.released, "locked out");
    }

    #[test]
    fn who_is_not_clearly_alive_waits_and_is_no_attempt() {
        let mut door = checking(|_| {});
        door.frames(60, &unclear());
        assert!(!door.released);
        assert_eq!(denied(&mut door), [DenyCode::NotSureAlive]);
        assert_eq!(door.controller.lockout.saved().denials, 0);
        door.frames(25, &alive());
        assert!(door.released, "it became clear");
    }

    #[test]
    fn a_second_factor_settles_doubt_and_no_picture() {
        let second = |rules: &mut LivenessRules| rules.unsure = Unsure::SecondFactor;
        let mut door = checking(second);
        door.frames(20, &unclear());
        assert_eq!(denied(&mut door), [DenyCode::SecondFactor]);
        door.input(Input::SecondFactor);
        door.frame(unclear());
        assert!(door.released);

        let mut door = checking(second);
        door.input(Input::SecondFactor);
        door.frames(15, &picture());
        assert!(!door.released);
        // And it is used up neither by a picture nor lasts for ever.
        door.now += 9_000;
        door.frames(31, &Seen::NoFace);
        door.frames(30, &unclear());
        assert!(!door.released);
    }

    /// Frames of subject 1's face that moves as no flat thing does and is not clearly alive, its head turned
    /// and nodding so far.
    fn posed(turn: f32, nod: f32) -> Seen {
        match shown(1, 0.012, 0.5) {
            Seen::Face { track, face, likeness, unusable, cues } => {
                let cues = Cues { turn: Some(turn), nod: Some(nod), ..cues };
                Seen::Face { track, face, likeness, unusable, cues }
            }
            other => other,
        }
    }

    fn challenging(asked: Asked) -> Door {
        checking(|rules| {
            rules.unsure = Unsure::Challenge;
            rules.challenge.asked = asked;
        })
    }

    /// As [`posed`], but by a face like this.
    fn posed_by(track: u64, similarity: f32, turn: f32) -> Seen {
        match (posed(turn, 0.0), face(track, similarity)) {
            (Seen::Face { cues, .. }, Seen::Face { track, face, likeness, unusable, .. }) => {
                Seen::Face { track, face, likeness, unusable, cues }
            }
            (other, _) => other,
        }
    }

    #[test]
    fn a_head_that_turns_when_asked_and_comes_back_is_let_in() {
        for (asked, code, away, aside) in [
            (Asked::Turn, DenyCode::TurnHead, posed(0.3, 0.0), posed(0.0, 0.3)),
            (Asked::Nod, DenyCode::Nod, posed(0.0, -0.3), posed(-0.3, 0.0)),
        ] {
            let mut door = challenging(asked);
            door.frames(20, &posed(0.0, 0.0));
            assert!(!door.released);
            assert_eq!(denied(&mut door), [code], "asked once");
            assert_eq!(door.controller.shown, Some(Indication::Denied(code)));
            assert!(door.controller.is_challenging());
            // The other gesture is not the one that was asked for.
            door.frames(5, &aside);
            door.frames(5, &posed(0.0, 0.0));
            door.frames(5, &away);
            assert!(!door.released, "not back yet");
            // A head that turns is not seen for a moment.
            door.frames(4, &Seen::NoFace);
            door.frames(2, &posed(0.0, 0.0));
            assert!(!door.released);
            door.frame(posed(0.0, 0.0));
            assert!(door.released, "{code:?}");
            assert!(!door.controller.is_challenging());
        }
    }

    #[test]
    fn whoever_is_clearly_alive_is_not_asked_and_whoever_was_asked_does_it() {
        let mut door = challenging(Asked::Turn);
        door.frames(15, &alive());
        assert!(door.released);
        let mut door = challenging(Asked::Turn);
        door.frames(15, &posed(0.0, 0.0));
        door.frames(60, &alive());
        assert!(!door.released, "asked is asked");
    }

    #[test]
    fn a_challenge_that_is_not_met_denies_until_the_face_has_left() {
        let time = LivenessRules::default().challenge.time.as_millis() as usize / 50;
        let turn = |door: &mut Door, seen: fn(f32) -> Seen| {
            door.frames(5, &seen(0.3));
            door.frames(20, &seen(0.0));
        };
        let honest: fn(f32) -> Seen = |turn| posed(turn, 0.0);
        let still = honest(0.0);
        type Step<'a> = &'a dyn Fn(&mut Door);
        for (name, step, end, attempts) in [
            ("time over", &|door: &mut Door| door.frames(time, &still), ChallengeEnd::TimeOver, 1),
            ("gone", &|door: &mut Door| door.frames(12, &Seen::NoFace), ChallengeEnd::FaceLeft, 0),
            ("two faces", &|door| door.frame(Seen::SeveralFaces { count: 2 }), ChallengeEnd::OtherFace, 1),
            ("another track", &|door| door.frame(posed_by(2, 0.5, 0.3)), ChallengeEnd::OtherFace, 1),
            ("another face", &|door| door.frames(13, &posed_by(1, 0.0, 0.3)), ChallengeEnd::OtherFace, 1),
        ] as [(&str, Step<'_>, ChallengeEnd, u32); 5]
        {
            let mut door = challenging(Asked::Turn);
            door.frames(15, &still);
            assert_eq!(denied(&mut door), [DenyCode::TurnHead], "{name}");
            step(&mut door);
            let reason = DenyReason::ChallengeFailed { subject: SubjectId(1), end };
            assert!(door.take().iter().any(|(_, event)| *event == Event::Denied(reason)), "{name}");
            assert_eq!(door.controller.lockout.saved().denials, attempts, "{name}");
            // Too late, whatever it does now.
            turn(&mut door, honest);
            assert!(!door.released, "{name}");
            door.frames(31, &Seen::NoFace);
            door.frames(15, &still);
            assert!(door.controller.is_challenging(), "{name}: it may come again");
            turn(&mut door, honest);
            assert!(door.released, "{name}");
        }
    }

    #[test]
    fn the_deadline_ends_a_challenge_without_frames() {
        let mut door = challenging(Asked::Turn);
        door.frames(15, &posed(0.0, 0.0));
        door.frames(5, &posed(0.3, 0.0));
        door.frames(2, &posed(0.0, 0.0));
        // Asked with the 15th frame, at 750 ms; the last frame would have met it.
        door.now = 750 + 5_999;
        let until = Timestamp::from_millis(750) + LivenessRules::default().challenge.time;
        assert!(door.controller.poll_timeout().is_some_and(|due| due <= until));
        door.frame(posed(0.0, 0.0));
        assert!(!door.released && !door.controller.is_challenging());
    }

    #[test]
    fn a_stranger_who_turns_does_not_do_it_for_a_photograph() {
        let mut door = challenging(Asked::Turn);
        door.frames(15, &posed(0.0, 0.0));
        // In its place for less than half a window, then the photograph again.
        door.frames(5, &posed_by(1, 0.1, 0.3));
        door.frames(60, &posed(0.0, 0.0));
        assert!(!door.released);
    }

    #[test]
    fn a_picture_is_refused_during_a_challenge_as_well() {
        let mut door = challenging(Asked::Turn);
        door.frames(15, &unclear());
        assert!(door.controller.is_challenging());
        let _ = door.take();
        door.frames(30, &picture());
        assert_eq!(denied(&mut door), [DenyCode::Spoof]);
        assert!(!door.released && !door.controller.is_challenging());
        // And a thing that turns and is flat by its own motion is not let in.
        let mut door = challenging(Asked::Turn);
        door.frames(15, &unclear());
        let flat = |turn| match (posed(turn, 0.0), unclear()) {
            (Seen::Face { cues, .. }, Seen::Face { track, face, likeness, unusable, cues: flat }) => {
                Seen::Face {
                    track,
                    face,
                    likeness,
                    unusable,
                    cues: Cues { turn: cues.turn, nod: cues.nod, ..flat },
                }
            }
            (other, _) => other,
        };
        door.frames(5, &flat(0.3));
        door.frames(60, &flat(0.0));
        assert!(!door.released);
    }

    #[test]
    fn whatever_voids_the_window_ends_a_challenge() {
        for input in [
            Input::Fault(Fault::Camera),
            Input::Secure,
            Input::GalleryChanged { version: 1, timetable: Timetable::default() },
            Input::Enrol,
            Input::SetMode(ModeCommand::Secure),
            Input::SetMode(ModeCommand::HoldOpen { time: Duration::from_secs(9) }),
        ] {
            let mut door = challenging(Asked::Turn);
            door.frames(15, &posed(0.0, 0.0));
            assert!(door.controller.is_challenging());
            door.input(input.clone());
            assert!(!door.controller.is_challenging(), "{input:?}");
        }
    }

    #[test]
    fn a_picture_of_an_administrator_authorises_nothing() {
        let administrators: BTreeSet<SubjectId> = [SubjectId(1)].into();
        let allowed = |seen: &Seen| {
            let mut door = checking(|_| {});
            let timetable = Timetable { administrators: administrators.clone(), ..Timetable::default() };
            door.input(Input::GalleryChanged { version: 1, timetable });
            door.frames(15, seen);
            door.take().iter().any(|(_, event)| matches!(event, Event::EnrolAllowed { .. }))
        };
        assert!(allowed(&alive()));
        assert!(!allowed(&picture()));
        assert!(!allowed(&unclear()));
        // Nor does one that is shown once a living person has been let in.
        let mut door = checking(|_| {});
        let timetable = Timetable { administrators, ..Timetable::default() };
        door.frames(15, &alive());
        door.input(Input::GalleryChanged { version: 1, timetable });
        door.frames(20, &picture());
        assert!(!door.take().iter().any(|(_, event)| matches!(event, Event::EnrolAllowed { .. })));
    }

    #[test]
    fn without_the_check_pictures_pass() {
        let mut door = Door::new();
        door.frames(15, &picture());
        assert!(door.released);
    }
}
