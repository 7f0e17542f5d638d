//! Denied attempts.

use super::*;

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
    assert_eq!(
        door.controller.faces.attempts.lockout().saved(),
        SavedLockout::default(),
        "and all is forgiven"
    );
}

#[test]
fn darkness_several_faces_faults_and_an_empty_gallery_are_no_attempts() {
    let mut door = Door::new();
    let dark = Seen::Face {
        track: TrackId(1),
        face: Rect::new(0, 0, 100, 100),
        likeness: vec![Score { subject: SubjectId(1), similarity: 0.1 }].into(),
        unusable: Some(QualityIssue::TooDark),
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
    assert_eq!(door.controller.faces.attempts.lockout().saved().denials, 0);
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
    assert_eq!(door.controller.faces.attempts.lockout().saved().denials, 2);
    door.frame(face(1, 0.1));
    assert_eq!(door.controller.faces.attempts.lockout().saved().denials, 3);
}

#[test]
fn a_lockout_is_taken_up_after_a_restart() {
    let until = Timestamp::from_millis(20_000);
    let locked = Some(SavedLock { until, time: Duration::from_secs(30) });
    let saved = PersistentState {
        lockout: SavedLockout { denials: 3, locked },
        secure_mode: false,
        ..PersistentState::default()
    };
    for (resume, opens) in [(Restored::SameBoot(saved), 20_000), (Restored::OtherBoot(saved), 30_000)] {
        let mut door = Door::resumed(resume);
        door.now = opens - 50 * 15;
        door.frames(15 + 13, &face(1, 0.9));
        assert!(!door.released, "{resume:?}");
        door.frame(face(1, 0.9));
        assert!(door.released, "{resume:?}");
    }
}
