//! What the controller says of itself to whoever shows it.

use super::*;

#[test]
fn the_window_and_the_door_can_be_read() {
    let mut door = Door::new();
    assert_eq!((door.controller.window_frames(), door.controller.window_mean()), (0, None));
    assert_eq!((door.controller.door_is_open(), door.controller.alarm()), (None, None));
    door.frames(3, &face(1, 0.5));
    assert_eq!(door.controller.window_frames(), 3);
    assert_eq!(door.controller.window_mean(), Some(Score { subject: SubjectId(1), similarity: 0.5 }));
    assert_eq!(door.controller.verdict(), Verdict::Undecided { collected: 3 });
    for open in [true, false] {
        door.input(Input::Door { open });
        assert_eq!(door.controller.door_is_open(), Some(open));
    }
    assert!(!door.controller.is_released());
    door.input(Input::Rex);
    assert!(door.controller.is_released());
}

#[test]
fn an_enrolment_can_be_followed() {
    let mut door = Door::new();
    let controller = &door.controller;
    assert_eq!((controller.enrolment_seconds_left(), controller.enrolment_frames()), (None, None));
    assert_eq!((controller.is_enrolling(), controller.enrolment_allowed(Timestamp::ZERO)), (false, None));
    door.input(Input::AllowEnrolment { time: Duration::from_secs(20) });
    assert_eq!(door.controller.enrolment_allowed(Timestamp::ZERO), Some(Duration::from_secs(20)));
    door.input(Input::EnrolButton);
    assert!(door.controller.is_enrolling());
    door.frames(3, &face(1, 0.5));
    assert_eq!(door.controller.enrolment_seconds_left(), Some(5));
    assert_eq!(door.controller.enrolment_frames().map(|frames| (frames.seen, frames.fit)), Some((3, 3)));
    let stale = sighting(0, 1, face(1, 0.5));
    door.now = 2_000;
    door.input(stale);
    assert_eq!(door.controller.enrolment_frames().map(|frames| frames.stale), Some(1));
}

#[test]
fn the_button_needs_a_grant_or_the_key() {
    let refused = |door: &mut Door| door.take().iter().any(|(_, event)| *event == Event::ButtonRefused);
    let mut door = Door::new();
    door.input(Input::EnrolButton);
    assert!(refused(&mut door) && !door.controller.is_enrolling());
    door.input(Input::EnrolKey { active: true });
    door.input(Input::EnrolButton);
    assert!(!refused(&mut door) && door.controller.is_enrolling());
    // A second press neither restarts it nor is refused.
    door.input(Input::EnrolButton);
    assert!(door.take().is_empty());
    // Whoever is let in as an administrator grants it for the rules' time, and is told once.
    let mut door = Door::new();
    let administrators: BTreeSet<SubjectId> = [SubjectId(1)].into();
    let timetable = Timetable { administrators, ..Timetable::default() };
    door.input(Input::GalleryChanged { version: 1, timetable });
    door.frames(20, &face(1, 0.5));
    let by = EnrolGrant::Administrator { subject: SubjectId(1) };
    let allowed = Event::EnrolAllowed { by, time: ButtonRules::default().window };
    let told: Vec<Event> = door.take().into_iter().map(|(_, event)| event).collect();
    assert_eq!(told.iter().filter(|event| **event == allowed).count(), 1, "{told:?}");
    assert_eq!(told.iter().position(|event| *event == allowed), Some(1), "before the release: {told:?}");
    door.input(Input::EnrolButton);
    assert!(door.controller.is_enrolling());
}

#[test]
fn what_is_shown_follows_the_most_pressing_matter() {
    let mut door = Door::new();
    let shown = |door: &Door| door.controller.shown;
    assert_eq!(shown(&door), Some(Indication::Idle));
    door.frames(3, &face(1, 0.5));
    assert_eq!(shown(&door), Some(Indication::Identifying));
    door.input(Input::Rex);
    assert_eq!(shown(&door), Some(Indication::Released));
    door.input(Input::Enrol);
    assert_eq!(shown(&door), Some(Indication::EnrolWaiting));
    door.frames(3, &face(1, 0.5));
    assert_eq!(shown(&door), Some(Indication::EnrolCounting));
    door.input(Input::CancelEnrol);
    door.input(Input::Secure);
    door.input(Input::RolledBack(RolledBack { log: true, ..RolledBack::default() }));
    assert_eq!(shown(&door), Some(Indication::Alarm(Alarm::RolledBack)));
    door.frame(face(1, 0.5));
    assert_eq!(shown(&door), Some(Indication::Denied(DenyCode::SecureMode)));
    door.input(Input::Door { open: false });
    door.now += 1_000;
    door.input(Input::Door { open: true });
    assert_eq!(shown(&door), Some(Indication::Alarm(Alarm::ForcedOpen)));
    assert_eq!(door.controller.alarm(), Some(Alarm::ForcedOpen), "before the files");
}

#[test]
fn a_state_returns_from_its_recording() {
    type Step = fn(&mut Door);
    let doubtful = |rules: &mut LivenessRules| rules.unsure = Unsure::Challenge;
    let steps: [(&str, Step); 7] = [
        ("challenged", |door| door.frames(16, &unclear())),
        ("let in", |door| door.frames(16, &alive())),
        ("locked out", |door| (1..=3).for_each(|track| door.frames(15, &face(track, 0.1)))),
        ("enrolling", |door| {
            door.input(Input::Enrol);
            door.frames(9, &face(1, 0.5));
        }),
        ("held open", |door| {
            door.input(Input::Door { open: false });
            door.input(Input::SetMode(ModeCommand::HoldOpen { time: Duration::from_secs(9) }));
        }),
        ("put back, and not written", |door| {
            door.input(Input::RolledBack(RolledBack { state: true, ..RolledBack::default() }));
            door.input(Input::Fault(Fault::Store));
        }),
        ("secured, with a factor", |door| {
            door.input(Input::Rex);
            door.input(Input::SetMode(ModeCommand::Secure));
            door.input(Input::SecondFactor);
        }),
    ];
    for (name, step) in steps {
        let mut door = checking(doubtful);
        step(&mut door);
        let text = serde_json::to_string(&door.controller).unwrap();
        let back: Controller = serde_json::from_str(&text).unwrap();
        assert_eq!(back, door.controller, "{name}");
        assert_eq!(serde_json::to_string(&back).unwrap(), text, "{name}");
        assert_ne!(back, checking(doubtful).controller, "{name}: nothing happened");
    }
}
