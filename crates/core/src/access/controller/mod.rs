//! The door controller: the order of things, and what happens to the strike.
//!
//! Each part owns its state and says what follows from an input: `faces` the face in front of the
//! camera, `enrolment` an enrolment, `release` the strike, `doorway` the door's
//! contact. Here that is put together and turned into actions.

mod recorded;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::attempts::Attempts;
use super::authority::{Authority, Enrol};
use super::challenge::Challenges;
use super::doorway::{Doorway, Moved};
use super::enrolment::{EnrolFailure, EnrolGrant, EnrolStep, Enrolment, FrameCounts};
use super::event::{Action, Event, Indication, PersistentState};
use super::faces::{FaceAccess, Stage};
use super::fault::{Alarm, Fault, RolledBack};
use super::input::Input;
use super::lockout::Restored;
use super::mode::{Mode, ModeCommand, Restriction};
use super::persistence::Persistence;
use super::policy::Permission;
use super::release::{Ended, ReleaseReason, SecureReason, StrikeTimer};
use super::rules::AccessRules;
use super::schedule::{Civil, Timetable};
use super::sighting::Sighting;
use super::window::Verdict;
use crate::time::Timestamp;
use recorded::Recorded;

/// The access decision as a state machine without input or output of its own.
///
/// The caller passes each input with the time of its arrival to [`Controller::handle`], calls
/// [`Controller::handle_timeout`] when the time of [`Controller::poll_timeout`] has come, and carries
/// out the returned actions in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Recorded", into = "Recorded")]
pub struct Controller {
    rules: AccessRules,
    faces: FaceAccess,
    restriction: Restriction,
    strike: StrikeTimer,
    doorway: Doorway,
    authority: Authority,
    enrolment: Enrolment,
    shown: Option<Indication>,
    persistence: Persistence,
}

impl Controller {
    /// A controller that has seen nothing. Its strike counts as secured once the actions of
    /// [`Controller::start`] are carried out.
    pub fn new(rules: AccessRules, gallery_version: u64, timetable: Timetable) -> Self {
        Controller {
            rules,
            faces: FaceAccess::new(&rules, gallery_version, timetable),
            restriction: Restriction::default(),
            strike: StrikeTimer::default(),
            doorway: Doorway::new(rules.held_open_after),
            authority: Authority::new(rules.button),
            enrolment: Enrolment::default(),
            shown: None,
            persistence: Persistence::default(),
        }
    }

    /// The first actions: secure, whatever the strike was before. What was saved is taken up; if it
    /// cannot be read, the door is in secure mode and locked out for the longest time.
    pub fn start(&mut self, now: Timestamp, resume: Restored<PersistentState>) -> Vec<Action> {
        let mut actions = vec![Action::Secure];
        let saved = match resume {
            Restored::Fresh => Some(PersistentState::default()),
            Restored::SameBoot(saved) | Restored::OtherBoot(saved) => Some(saved),
            Restored::Unreadable => None,
        };
        self.persistence = Persistence::resumed(saved, None);
        let rolled_back = saved.map(|saved| saved.rolled_back).unwrap_or_default();
        let secure_mode = saved.is_none_or(|saved| saved.secure_mode) || rolled_back.any();
        self.restriction = Restriction::resumed(secure_mode, rolled_back);
        self.faces.resume(now, resume.map(|saved| saved.lockout));
        self.finish(&mut actions);
        actions
    }

    /// Continues with other rules; the window restarts.
    pub(super) fn retune(&mut self, change: impl FnOnce(&mut AccessRules)) {
        change(&mut self.rules);
        self.faces.retune(self.rules.window);
    }

    /// The next time at which [`Controller::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        [
            self.strike.deadline(),
            self.enrolment.deadline(),
            self.faces.deadline(),
            self.doorway.deadline().filter(|_| !self.strike.is_held()),
            self.persistence.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// True while the strike is released.
    pub fn is_released(&self) -> bool {
        self.strike.is_released()
    }

    /// The mode in force.
    pub fn mode(&self) -> Mode {
        self.restriction.mode(self.strike.is_held())
    }

    /// How long no face opens yet, while locked out.
    pub fn lockout_left(&self, now: Timestamp) -> Option<Duration> {
        self.faces.lockout().left(now)
    }

    /// The alarm in force; an alarm at the door itself comes first.
    pub fn alarm(&self) -> Option<Alarm> {
        self.doorway.alarm().or(self.rolled_back().any().then_some(Alarm::RolledBack))
    }

    /// Which of the door's files were found older than the others say, until an operator accepts it.
    pub fn rolled_back(&self) -> RolledBack {
        self.restriction.rolled_back()
    }

    /// Whether the door is open, if its contact has reported.
    pub fn door_is_open(&self) -> Option<bool> {
        self.doorway.open()
    }

    /// True while an enrolment is in progress.
    pub fn is_enrolling(&self) -> bool {
        self.enrolment.is_under_way()
    }

    /// True while a face is asked to turn or to nod.
    pub fn is_challenging(&self) -> bool {
        self.faces.is_challenging()
    }

    /// How long the enrolment button counts, where it needs authorisation and has it for a time.
    pub fn enrolment_allowed(&self, now: Timestamp) -> Option<Duration> {
        self.authority.left(now)
    }

    /// Whole seconds left of the countdown, while it runs.
    pub fn enrolment_seconds_left(&self) -> Option<u32> {
        self.enrolment.seconds_left()
    }

    /// What became of the frames of the enrolment in progress.
    pub fn enrolment_frames(&self) -> Option<FrameCounts> {
        self.enrolment.frames()
    }

    /// Frames in the window.
    pub fn window_frames(&self) -> usize {
        self.faces.window.len()
    }

    /// The best subject's mean similarity over the frames in the window.
    pub fn window_mean(&self) -> Option<crate::ids::Score> {
        self.faces.window.best_means().0
    }

    /// What the latest frames of the face in front of the camera say.
    pub fn verdict(&self) -> Verdict {
        self.faces.window.verdict()
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
            Input::Sighting { sighting, civil } => self.on_sighting(now, sighting, civil, &mut actions),
            Input::GalleryChanged { version, timetable } => {
                report(&mut actions, self.faces.change_gallery(version, timetable));
            }
            Input::Rex => self.apply_permission(now, Permission::Granted(ReleaseReason::Rex), &mut actions),
            Input::Door { open } => self.on_door(now, open, &mut actions),
            Input::Enrol => self.start_enrolment(now, &mut actions),
            Input::EnrolButton => self.on_enrol_button(now, &mut actions),
            Input::AllowEnrolment { time } => {
                let time = self.authority.allow(now, time);
                report(&mut actions, [Event::EnrolAllowed { by: EnrolGrant::Operator, time }]);
            }
            Input::SecondFactor => self.faces.on_second_factor(now),
            Input::EnrolKey { active } => self.authority.set_key(active),
            Input::CancelEnrol => self.fail_enrolment(EnrolFailure::Cancelled, &mut actions),
            Input::Secure => self.secure_and_end_approach(now, SecureReason::Command, &mut actions),
            Input::SetMode(command) => self.set_mode(now, command, &mut actions),
            Input::ClearLockout => {
                self.faces.clear_lockout();
                report(&mut actions, [Event::LockoutCleared]);
            }
            Input::NotRecorded => self.on_not_recorded(now, &mut actions),
            Input::Fault(fault) => self.on_fault(now, fault, &mut actions),
            Input::RolledBack(what) => self.on_rolled_back(now, what, &mut actions),
            Input::AcceptRollback => self.accept_rollback(&mut actions),
        }
        self.finish(&mut actions);
        actions
    }

    fn expire(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.strike.is_overdue(now) {
            self.secure(now, SecureReason::TimeOver, actions);
        }
        if self.enrolment.is_overdue(now) {
            self.fail_enrolment(EnrolFailure::TimedOut, actions);
        }
        report(actions, self.enrolment.remind(now).map(Event::from));
        report(actions, self.faces.expire(now));
        if !self.strike.is_held() && self.doorway.is_open_too_long(now) {
            self.raise(Alarm::HeldOpen, actions);
        }
        self.persistence.expire(now);
    }

    /// What follows from the state as it is now: what to show, what to save.
    fn finish(&mut self, actions: &mut Vec<Action>) {
        self.faces.drop_stale_challenge();
        let indication = self.indication();
        if self.shown.replace(indication) != Some(indication) {
            actions.push(Action::Indicate(indication));
        }
        let saved = PersistentState {
            lockout: self.faces.lockout().saved(),
            secure_mode: self.restriction.secure_mode(),
            rolled_back: self.restriction.rolled_back(),
        };
        actions.extend(self.persistence.update(saved).map(Action::Save));
    }

    fn indication(&self) -> Indication {
        if let Some(alarm) = self.doorway.alarm() {
            return Indication::Alarm(alarm);
        }
        if self.enrolment.is_counting() {
            return Indication::EnrolCounting;
        }
        if self.enrolment.is_under_way() {
            return Indication::EnrolWaiting;
        }
        if self.strike.is_released() {
            return Indication::Released;
        }
        match self.faces.stage {
            // Whoever leaves, or stands there, is shown that first.
            Stage::Empty if self.rolled_back().any() => Indication::Alarm(Alarm::RolledBack),
            Stage::Empty | Stage::Identified => Indication::Idle,
            Stage::Identifying => Indication::Identifying,
            Stage::Denied(code) => Indication::Denied(code),
        }
    }

    fn on_sighting(&mut self, now: Timestamp, sighting: Sighting, civil: Civil, actions: &mut Vec<Action>) {
        let age = now.since(sighting.captured);
        if age > self.rules.max_frame_age {
            report(actions, self.faces.forget_face());
            report(actions, [Event::StaleFrame { age }]);
            self.enrolment.on_stale_frame();
            return;
        }
        self.faces.note_presence(now, &sighting);
        if self.enrolment.is_under_way() {
            self.faces.set_aside();
            self.advance_enrolment(now, &sighting, actions);
            return;
        }
        let looked = self.faces.on_sighting(now, self.mode(), sighting, civil);
        report(actions, looked.reports);
        if let Some(subject) = looked.administrator
            && self.authority.on_administrator(now)
        {
            let by = EnrolGrant::Administrator { subject };
            report(actions, [Event::EnrolAllowed { by, time: self.rules.button.window }]);
        }
        if let Some(permission) = looked.permission {
            self.apply_permission(now, permission, actions);
        }
    }

    /// The only place that releases the strike for a person. A release in progress is not prolonged.
    fn apply_permission(&mut self, now: Timestamp, permission: Permission, actions: &mut Vec<Action>) {
        match permission {
            Permission::Denied(reason) => report(actions, self.faces.deny(now, reason)),
            Permission::Granted(cause) => {
                let is_face = matches!(cause, ReleaseReason::Identified { .. });
                if is_face {
                    self.faces.identify();
                }
                if self.strike.pass(now, self.rules.hold, !is_face) {
                    if is_face {
                        self.faces.let_in(now);
                    }
                    released(cause, actions);
                }
            }
        }
    }

    /// Secures a released strike; false when it was not released.
    fn secure(&mut self, now: Timestamp, why: SecureReason, actions: &mut Vec<Action>) -> bool {
        let ended = self.strike.secure(now);
        if ended == Ended::Nothing {
            return false;
        }
        actions.push(Action::Secure);
        report(actions, [Event::Secured(why)]);
        if ended == Ended::HoldOpen {
            self.doorway.restart_timer(now);
            report(actions, [Event::ModeChanged(self.mode())]);
        }
        true
    }

    /// Secures whatever was before, and lets nobody in who stands there.
    fn secure_and_end_approach(&mut self, now: Timestamp, why: SecureReason, actions: &mut Vec<Action>) {
        report(actions, self.faces.dismiss(now));
        self.secure_again(now, why, actions);
    }

    /// Secures whatever was before; says so to the strike even when it should be secured already.
    fn secure_again(&mut self, now: Timestamp, why: SecureReason, actions: &mut Vec<Action>) {
        if !self.secure(now, why, actions) {
            actions.push(Action::Secure);
        }
    }

    fn set_mode(&mut self, now: Timestamp, command: ModeCommand, actions: &mut Vec<Action>) {
        let before = self.mode();
        match command {
            ModeCommand::Normal => {
                self.restriction.normal();
                if before == Mode::HoldOpen {
                    self.secure_and_end_approach(now, SecureReason::Command, actions);
                    return;
                }
            }
            ModeCommand::Secure => {
                self.restriction.secure();
                self.secure_and_end_approach(now, SecureReason::Command, actions);
                if before == Mode::HoldOpen {
                    return;
                }
            }
            ModeCommand::HoldOpen { time } | ModeCommand::Unlock { time } => {
                let time = time.min(self.rules.max_hold_open);
                if time.is_zero() {
                    return;
                }
                let time = match command {
                    ModeCommand::Unlock { .. } => self.strike.unlock(now, time),
                    _ => Some(self.strike.hold_open(now, time)),
                };
                // Nothing changes where it is held open for longer as it is.
                let Some(time) = time else { return };
                report(actions, self.faces.forget_face());
                released(ReleaseReason::HoldOpen { time }, actions);
            }
        }
        self.report_mode(before, actions);
    }

    fn report_mode(&self, before: Mode, actions: &mut Vec<Action>) {
        if self.mode() != before {
            report(actions, [Event::ModeChanged(self.mode())]);
        }
    }

    fn on_rolled_back(&mut self, now: Timestamp, what: RolledBack, actions: &mut Vec<Action>) {
        if !what.any() {
            return;
        }
        let before = self.mode();
        let is_news = self.restriction.roll_back(what);
        if self.strike.is_exit() {
            report(actions, self.faces.forget_face());
        } else {
            self.secure_and_end_approach(now, SecureReason::RolledBack, actions);
        }
        // The end of holding open was reported with the strike.
        if before != Mode::HoldOpen {
            self.report_mode(before, actions);
        }
        if is_news {
            report(actions, [Event::Alarm(Alarm::RolledBack)]);
        }
    }

    fn accept_rollback(&mut self, actions: &mut Vec<Action>) {
        let before = self.mode();
        if self.restriction.accept_rollback() {
            report(actions, [Event::AlarmOver(Alarm::RolledBack)]);
            self.report_mode(before, actions);
        }
    }

    fn on_fault(&mut self, now: Timestamp, fault: Fault, actions: &mut Vec<Action>) {
        report(actions, [Event::Fault(fault)]);
        match fault {
            Fault::Camera | Fault::Vision => {
                report(actions, self.faces.forget_face());
                self.fail_enrolment(EnrolFailure::CameraLost, actions);
            }
            Fault::Lines => {}
            Fault::Store => {
                self.persistence.failed(now);
                // What is not written concerns faces and modes: it keeps nobody in.
                if self.strike.is_exit() {
                    return;
                }
            }
        }
        self.secure_again(now, SecureReason::Fault(fault), actions);
    }

    fn on_not_recorded(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if !self.strike.is_exit() {
            self.secure_and_end_approach(now, SecureReason::NotRecorded, actions);
            report(actions, self.faces.take_back(now));
        }
    }

    /// Secures as soon as the door was opened and closed again; raises and ends alarms.
    fn on_door(&mut self, now: Timestamp, open: bool, actions: &mut Vec<Action>) {
        match self.doorway.on_contact(now, open) {
            Moved::No => return,
            Moved::Opened => {
                report(actions, [Event::Door { open }]);
                if !self.strike.lets_open(now) {
                    self.raise(Alarm::ForcedOpen, actions);
                }
            }
            Moved::Closed => {
                report(actions, [Event::Door { open }]);
                report(actions, self.doorway.end_alarm().map(Event::AlarmOver));
            }
        }
        if self.strike.door_moved(open) {
            self.secure(now, SecureReason::DoorClosed, actions);
        }
    }

    fn raise(&mut self, alarm: Alarm, actions: &mut Vec<Action>) {
        if self.doorway.raise(alarm) {
            report(actions, [Event::Alarm(alarm)]);
        }
    }

    fn on_enrol_button(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.enrolment.is_under_way() {
            return;
        }
        match self.authority.press(now) {
            Enrol::Granted => self.start_enrolment(now, actions),
            Enrol::Refused => report(actions, [Event::ButtonRefused]),
        }
    }

    fn start_enrolment(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        self.faces.set_aside();
        self.enrolment.start(self.rules.enrolment, now);
        actions.push(Action::Enrol(EnrolStep::Discard));
        report(actions, [Event::EnrolStarted]);
    }

    fn advance_enrolment(&mut self, now: Timestamp, sighting: &Sighting, actions: &mut Vec<Action>) {
        let progress = self.enrolment.on_sighting(now, sighting);
        actions.extend(progress.steps.into_iter().map(Action::Enrol));
        report(actions, progress.notice.map(Event::from));
        if progress.is_taken {
            // The person just enrolled stands before the door: coming in is another approach.
            self.faces.end_approach(now);
            report(actions, [Event::EnrolTaken]);
        }
    }

    fn fail_enrolment(&mut self, why: EnrolFailure, actions: &mut Vec<Action>) {
        if let Some(frames) = self.enrolment.abandon() {
            actions.push(Action::Enrol(EnrolStep::Discard));
            report(actions, [Event::EnrolFailed { why, frames }]);
        }
    }
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

fn report(actions: &mut Vec<Action>, events: impl IntoIterator<Item = Event>) {
    actions.extend(events.into_iter().map(Action::Report));
}

fn released(cause: ReleaseReason, actions: &mut Vec<Action>) {
    actions.push(Action::Release);
    report(actions, [Event::Released(cause)]);
}
