//! The 15-frame rule, approaches and hours.

use super::*;

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
    assert_eq!(door.take(), [(3_750, Event::Secured(SecureReason::TimeOver))]);
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
fn hours_are_asked_at_the_moment_of_identification() {
    use crate::access::schedule::{CivilTime, Weekday};
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
fn somebody_who_joins_a_face_that_was_let_in_does_not_open_again() {
    let mut door = Door::new();
    door.frames(15, &face(1, 0.5));
    assert!(door.released);
    door.input(Input::Secure);
    door.frames(3, &Seen::SeveralFaces { count: 2 });
    door.frames(40, &face(2, 0.5));
    assert!(!door.released, "it is the same approach");
}
