//! The door controller: what happens to the strike, and why.

use std::time::Duration;

use super::enrolment::{Countdown, EnrolmentRules};
use super::event::{
    Action, Cause, DenyReason, EnrolFailure, EnrolStep, EnrolWait, Event, Indication, Input, Seen, Sighting,
    SubjectId,
};
use super::window::{Verdict, Window, WindowRules};
use crate::time::Timestamp;

/// The numbers of the access decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AccessRules {
    /// The 15-frame rule.
    pub window: WindowRules,
    /// How long the strike stays released.
    pub hold: Duration,
    /// An approach ends when no face was seen for so long.
    pub approach_gap: Duration,
    /// After so long a person who stays in the picture may be released again.
    pub cooldown: Duration,
    /// A frame older than this when it is decided on is refused.
    pub max_frame_age: Duration,
    /// The enrolment countdown.
    pub enrolment: EnrolmentRules,
}

/// Whether the strike may be released: the one thing that turns an input into [`Action::Release`].
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq)]
enum Permission {
    Granted(Cause),
    Denied,
}

/// What was last said of the picture in front of the camera.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Empty,
    Identifying,
    Identified,
    Unknown,
    SeveralFaces,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Release {
    until: Timestamp,
    door_opened: bool,
}

#[derive(Clone, Debug)]
struct Enrolling {
    countdown: Countdown,
    seconds_said: Option<u32>,
    wait_said: Option<EnrolWait>,
}

/// The access decision as a state machine without input or output of its own.
///
/// The caller passes each input with the time of its arrival to [`Controller::handle`], calls
/// [`Controller::handle_timeout`] when the time of [`Controller::poll_timeout`] has come, and carries
/// out the returned actions in order.
#[derive(Clone, Debug)]
pub struct Controller {
    rules: AccessRules,
    gallery_version: u64,
    window: Window,
    stage: Stage,
    release: Option<Release>,
    last_face: Option<Timestamp>,
    released_in_approach: Option<Timestamp>,
    enrolling: Option<Enrolling>,
    shown: Option<Indication>,
}

impl Controller {
    /// A controller that has seen nothing. Its strike counts as secured once the actions of
    /// [`Controller::start`] are carried out.
    pub fn new(rules: AccessRules, gallery_version: u64) -> Self {
        Controller {
            rules,
            gallery_version,
            window: Window::new(rules.window),
            stage: Stage::Empty,
            release: None,
            last_face: None,
            released_in_approach: None,
            enrolling: None,
            shown: None,
        }
    }

    /// The first actions: secure, whatever the strike was before.
    pub fn start(&mut self) -> Vec<Action> {
        let mut actions = vec![Action::Secure];
        self.indicate(&mut actions);
        actions
    }

    /// The next time at which [`Controller::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        [
            self.release.map(|r| r.until),
            self.enrolling.as_ref().map(|e| e.countdown.deadline()),
            self.window_lapse(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// True while the strike is released.
    pub fn is_released(&self) -> bool {
        self.release.is_some()
    }

    /// True while an enrolment is under way.
    pub fn is_enrolling(&self) -> bool {
        self.enrolling.is_some()
    }

    /// Whole seconds left of the countdown, while it runs.
    pub fn enrolment_seconds_left(&self) -> Option<u32> {
        self.enrolling.as_ref().and_then(|e| e.seconds_said)
    }

    /// Frames in the window.
    pub fn window_frames(&self) -> usize {
        self.window.len()
    }

    /// What the latest frames of the face in front of the camera say.
    pub fn verdict(&self) -> Verdict {
        self.window.verdict()
    }

    /// Does what the passing of time asks for.
    pub fn handle_timeout(&mut self, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        self.expire(now, &mut actions);
        self.indicate(&mut actions);
        actions
    }

    /// Takes an input that arrived at `now` (never earlier than the `now` before it).
    pub fn handle(&mut self, now: Timestamp, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        self.expire(now, &mut actions);
        match input {
            Input::Sighting(sighting) => self.see(now, sighting, &mut actions),
            Input::CameraLost => {
                self.forget_face(&mut actions);
                self.fail_enrolment(EnrolFailure::CameraLost, &mut actions);
            }
            Input::GalleryChanged { version } => {
                self.gallery_version = version;
                self.forget_face(&mut actions);
            }
            Input::Rex => self.decide(now, Permission::Granted(Cause::Rex), &mut actions),
            Input::Door { open } => self.door_moved(open, &mut actions),
            Input::Enrol => self.start_enrolment(now, &mut actions),
            Input::CancelEnrol => self.fail_enrolment(EnrolFailure::Cancelled, &mut actions),
            Input::Secure => {
                self.forget_face(&mut actions);
                self.released_in_approach = Some(now);
                if !self.secure(&mut actions) {
                    actions.push(Action::Secure);
                }
            }
        }
        self.indicate(&mut actions);
        actions
    }

    fn expire(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.release.is_some_and(|r| now >= r.until) {
            self.secure(actions);
        }
        if self.enrolling.as_ref().is_some_and(|e| now >= e.countdown.deadline()) {
            self.fail_enrolment(EnrolFailure::TimedOut, actions);
        }
        if self.window_lapse().is_some_and(|lapse| now >= lapse) {
            self.forget_face(actions);
        }
    }

    /// When frames have stopped coming for good: later, no frame could be both fresh enough to count
    /// and close enough to the window's last one.
    fn window_lapse(&self) -> Option<Timestamp> {
        let wait = self.rules.window.max_gap + self.rules.max_frame_age + Duration::from_nanos(1);
        self.window.latest().map(|last| last + wait)
    }

    fn see(&mut self, now: Timestamp, sighting: Sighting, actions: &mut Vec<Action>) {
        let age = now.since(sighting.captured);
        if age > self.rules.max_frame_age {
            self.forget_face(actions);
            actions.push(Action::Report(Event::StaleFrame { age }));
            return;
        }
        if !matches!(sighting.seen, Seen::NoFace) {
            self.note_presence(now);
        }
        if self.enrolling.is_some() {
            self.window.clear();
            self.stage = Stage::Empty;
            self.count_enrolment(&sighting, actions);
            return;
        }
        match sighting.seen {
            Seen::NoFace => self.forget_face(actions),
            Seen::SeveralFaces { count } => {
                self.window.clear();
                if self.enter(Stage::SeveralFaces) {
                    actions.push(Action::Report(Event::Denied(DenyReason::SeveralFaces { count })));
                }
            }
            Seen::Face { .. } if sighting.gallery_version != self.gallery_version => self.window.clear(),
            Seen::Face { track, scores, .. } => {
                let was_empty = self.window.is_empty();
                let verdict = self.window.push(track, sighting.captured, scores);
                let permission = match verdict {
                    Verdict::Undecided { collected } => {
                        if (was_empty || collected == 1) && self.enter(Stage::Identifying) {
                            actions.push(Action::Report(Event::Identifying { track }));
                        }
                        Permission::Denied
                    }
                    Verdict::Unknown { best_mean } => {
                        if self.enter(Stage::Unknown) {
                            actions.push(Action::Report(Event::Denied(DenyReason::Unknown { best_mean })));
                        }
                        Permission::Denied
                    }
                    Verdict::Identified { subject, mean_similarity } => {
                        self.identified(now, subject, mean_similarity, actions)
                    }
                };
                self.decide(now, permission, actions);
            }
        }
    }

    /// Keeps the book of approaches: a face after a long enough absence begins a new one.
    fn note_presence(&mut self, now: Timestamp) {
        let left = self.last_face.is_none_or(|last| now.since(last) > self.rules.approach_gap);
        let cooled = self.released_in_approach.is_some_and(|at| now.since(at) > self.rules.cooldown);
        if left || cooled {
            self.released_in_approach = None;
        }
        self.last_face = Some(now);
    }

    fn identified(
        &mut self,
        now: Timestamp,
        subject: SubjectId,
        mean_similarity: f32,
        actions: &mut Vec<Action>,
    ) -> Permission {
        let newly = self.enter(Stage::Identified);
        if self.released_in_approach.is_some() {
            if newly {
                actions.push(Action::Report(Event::AlreadyReleased { subject }));
            }
            return Permission::Denied;
        }
        self.released_in_approach = Some(now);
        Permission::Granted(Cause::Identified { subject, mean_similarity })
    }

    /// The only place that releases the strike. A release under way is not prolonged: the time
    /// energised stays bounded by the hold time whatever comes in.
    fn decide(&mut self, now: Timestamp, permission: Permission, actions: &mut Vec<Action>) {
        let Permission::Granted(cause) = permission else { return };
        if self.release.is_none() {
            self.release = Some(Release { until: now + self.rules.hold, door_opened: false });
            actions.push(Action::Release);
            actions.push(Action::Report(Event::Released(cause)));
        }
    }

    /// Secures a released strike; false when it was not released.
    fn secure(&mut self, actions: &mut Vec<Action>) -> bool {
        let was_released = self.release.take().is_some();
        if was_released {
            actions.push(Action::Secure);
            actions.push(Action::Report(Event::Secured));
        }
        was_released
    }

    /// Relocks as soon as the door was opened and closed again.
    fn door_moved(&mut self, open: bool, actions: &mut Vec<Action>) {
        let Some(release) = &mut self.release else { return };
        if open {
            release.door_opened = true;
        } else if release.door_opened {
            self.secure(actions);
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

    fn start_enrolment(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        self.window.clear();
        self.stage = Stage::Empty;
        let countdown = Countdown::start(self.rules.enrolment, now);
        self.enrolling = Some(Enrolling { countdown, seconds_said: None, wait_said: None });
        actions.push(Action::Enrol(EnrolStep::Discard));
        actions.push(Action::Report(Event::EnrolStarted));
    }

    fn count_enrolment(&mut self, sighting: &Sighting, actions: &mut Vec<Action>) {
        let Some(enrolling) = &mut self.enrolling else { return };
        let counted = enrolling.countdown.take(sighting);
        let over = counted.steps.contains(&EnrolStep::Store);
        actions.extend(counted.steps.into_iter().map(Action::Enrol));
        if over {
            self.enrolling = None;
            // The person just enrolled stands before the door: coming in is another approach.
            self.released_in_approach = self.last_face;
            actions.push(Action::Report(Event::EnrolTaken));
            return;
        }
        if counted.waits_for != enrolling.wait_said {
            enrolling.wait_said = counted.waits_for;
            enrolling.seconds_said = None;
            if let Some(wait) = counted.waits_for {
                actions.push(Action::Report(Event::EnrolWaiting(wait)));
            }
        }
        if counted.waits_for.is_none() && enrolling.seconds_said != Some(counted.seconds_left) {
            enrolling.seconds_said = Some(counted.seconds_left);
            let seconds_left = counted.seconds_left;
            actions.push(Action::Report(Event::EnrolCountdown { seconds_left }));
        }
    }

    fn fail_enrolment(&mut self, failure: EnrolFailure, actions: &mut Vec<Action>) {
        if self.enrolling.take().is_some() {
            actions.push(Action::Enrol(EnrolStep::Discard));
            actions.push(Action::Report(Event::EnrolFailed(failure)));
        }
    }

    fn indicate(&mut self, actions: &mut Vec<Action>) {
        let indication = match (&self.enrolling, self.release, self.stage) {
            (Some(e), ..) if e.seconds_said.is_some() => Indication::EnrolCounting,
            (Some(_), ..) => Indication::EnrolWaiting,
            (None, Some(_), _) => Indication::Released,
            (None, None, Stage::Empty | Stage::Identified) => Indication::Idle,
            (None, None, Stage::Identifying) => Indication::Identifying,
            (None, None, Stage::Unknown | Stage::SeveralFaces) => Indication::Denied,
        };
        if self.shown != Some(indication) {
            self.shown = Some(indication);
            actions.push(Action::Indicate(indication));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Score, TrackId, Unusable};
    use super::*;
    use crate::picture::Rect;

    fn rules() -> AccessRules {
        AccessRules {
            window: WindowRules {
                frames: 15,
                threshold: 0.3,
                max_gap: Duration::from_millis(500),
                max_age: Duration::from_secs(5),
            },
            hold: Duration::from_secs(3),
            approach_gap: Duration::from_millis(1_500),
            cooldown: Duration::from_secs(30),
            max_frame_age: Duration::from_secs(1),
            enrolment: EnrolmentRules {
                countdown: Duration::from_secs(5),
                frames: 15,
                timeout: Duration::from_secs(60),
                max_gap: Duration::from_millis(500),
                restart_after: Duration::from_secs(2),
            },
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
            let mut controller = Controller::new(rules(), 1);
            assert_eq!(controller.start()[0], Action::Secure);
            Door { controller, now: 0, events: vec![], released: false }
        }

        fn carry_out(&mut self, actions: Vec<Action>) {
            for action in actions {
                match action {
                    Action::Release => self.released = true,
                    Action::Secure => self.released = false,
                    Action::Report(event) => self.events.push((self.now, event)),
                    Action::Indicate(_) | Action::Enrol(_) => {}
                }
            }
        }

        fn input(&mut self, input: Input) {
            let actions = self.controller.handle(Timestamp::from_millis(self.now), input);
            self.carry_out(actions);
        }

        fn frame(&mut self, seen: Seen) {
            self.now += 50;
            let captured = Timestamp::from_millis(self.now);
            self.input(Input::Sighting(Sighting { captured, sequence: self.now, gallery_version: 1, seen }));
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

    fn face(track: u64, similarity: f32) -> Seen {
        Seen::Face {
            track: TrackId(track),
            face: Rect::new(0, 0, 100, 100),
            scores: vec![Score { subject: SubjectId(1), similarity }],
            unusable: None,
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
        assert_eq!(door.take(), [(3_750, Event::Secured)]);
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
        assert!(door.events.iter().any(|e| e.1 == Event::AlreadyReleased { subject: SubjectId(1) }));
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
            ("camera lost", |door| door.input(Input::CameraLost)),
            ("stale frame", |door| {
                door.now += 2_000;
                let captured = Timestamp::from_millis(door.now - 1_001);
                let seen = face(1, 0.9);
                door.input(Input::Sighting(Sighting { captured, sequence: 0, gallery_version: 1, seen }));
                door.now -= 2_000;
            }),
            ("scores of another gallery", |door| {
                let captured = Timestamp::from_millis(door.now + 1);
                let seen = face(1, 0.9);
                door.input(Input::Sighting(Sighting { captured, sequence: 0, gallery_version: 9, seen }));
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
        door.input(Input::GalleryChanged { version: 2 });
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
    fn enrolment_counts_down_and_identifies_nobody() {
        let mut door = Door::new();
        door.input(Input::Enrol);
        door.frames(30, &face(1, 0.9));
        assert!(!door.released);
        door.frame(Seen::Face {
            track: TrackId(1),
            face: Rect::new(0, 0, 9, 9),
            scores: vec![],
            unusable: Some(Unusable::TooDark),
        });
        door.frames(80, &face(1, 0.9));
        let events: Vec<Event> = door.take().into_iter().map(|e| e.1).collect();
        let left = |seconds_left| Event::EnrolCountdown { seconds_left };
        assert_eq!(
            events[..8],
            [
                Event::EnrolStarted,
                left(5),
                left(4),
                Event::EnrolWaiting(EnrolWait::Better(Unusable::TooDark)),
                left(4),
                left(3),
                left(2),
                left(1)
            ]
        );
        assert_eq!(events[8], Event::EnrolTaken);
        assert!(!door.controller.is_enrolling());
        assert!(!door.released, "the person just enrolled does not open the door by standing there");
    }

    #[test]
    fn enrolment_fails_in_time_and_by_cancel() {
        let mut door = Door::new();
        door.input(Input::Enrol);
        assert_eq!(door.controller.poll_timeout(), Some(Timestamp::from_millis(60_000)));
        let actions = door.controller.handle_timeout(Timestamp::from_millis(60_000));
        assert!(actions.contains(&Action::Report(Event::EnrolFailed(EnrolFailure::TimedOut))));
        door.input(Input::Enrol);
        door.input(Input::CancelEnrol);
        assert_eq!(door.events.last().unwrap().1, Event::EnrolFailed(EnrolFailure::Cancelled));
    }

    mod invariants {
        use proptest::prelude::*;

        use super::*;

        fn input() -> impl Strategy<Value = Option<Input>> {
            let seen = prop_oneof![
                1 => Just(Seen::NoFace),
                1 => Just(Seen::SeveralFaces { count: 2 }),
                40 => (prop_oneof![30 => Just(1u64), 1 => Just(2)], prop_oneof![30 => Just(0.9f32), 1 => Just(0.0), 1 => Just(f32::NAN)])
                    .prop_map(|(t, s)| face(t, s)),
            ];
            let sighting = |seen| {
                Input::Sighting(Sighting {
                    captured: Timestamp::ZERO, // set by the test to the time of arrival
                    sequence: 0,
                    gallery_version: 1,
                    seen,
                })
            };
            prop_oneof![
                80 => seen.prop_map(move |seen| Some(sighting(seen))),
                1 => Just(Some(Input::CameraLost)),
                1 => Just(Some(Input::Rex)),
                1 => any::<bool>().prop_map(|open| Some(Input::Door { open })),
                1 => Just(Some(Input::Enrol)),
                1 => Just(Some(Input::CancelEnrol)),
                1 => Just(Some(Input::Secure)),
                2 => Just(None), // only time passes
            ]
        }

        proptest! {
            /// The strike is energised only by fifteen frames of one face at the threshold or by REX,
            /// and never longer than the hold time once timeouts are served.
            #[test]
            fn released_only_for_cause_and_never_for_long(
                steps in prop::collection::vec((input(), 1u64..200), 1..300)
            ) {
                let mut controller = Controller::new(rules(), 1);
                let _ = controller.start();
                let mut now = Timestamp::ZERO;
                let mut since: Option<Timestamp> = None;
                let mut good_run = (None, 0);
                for (input, ms) in steps {
                    let next = now + Duration::from_millis(ms);
                    while let Some(due) = controller.poll_timeout().filter(|due| *due < next) {
                        now = now.max(due);
                        for action in controller.handle_timeout(now) {
                            prop_assert_ne!(action, Action::Release);
                            if action == Action::Secure {
                                since = None;
                            }
                        }
                    }
                    now = next;
                    let Some(mut input) = input else { continue };
                    if let Input::Sighting(sighting) = &mut input {
                        sighting.captured = now;
                        good_run = match &sighting.seen {
                            Seen::Face { track, .. } if good_run.0 == Some(*track) => (Some(*track), good_run.1 + 1),
                            Seen::Face { track, .. } => (Some(*track), 1),
                            _ => (None, 0),
                        };
                    }
                    let is_rex = input == Input::Rex;
                    for action in controller.handle(now, input) {
                        match action {
                            Action::Release => {
                                prop_assert!(is_rex || good_run.1 >= 15);
                                prop_assert!(since.is_none());
                                since = Some(now);
                            }
                            Action::Secure => since = None,
                            _ => {}
                        }
                    }
                    prop_assert_eq!(controller.is_released(), since.is_some());
                    if let Some(since) = since {
                        prop_assert!(now.since(since) < Duration::from_secs(3));
                    }
                }
            }
        }
    }
}
