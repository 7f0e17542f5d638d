//! Faces that are asked to turn or to nod.

use super::*;

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
        assert_eq!(door.controller.faces.attempts.lockout().saved().denials, attempts, "{name}");
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
        (Seen::Face { cues, .. }, Seen::Face { track, face, likeness, unusable, cues: flat }) => Seen::Face {
            track,
            face,
            likeness,
            unusable,
            cues: Cues { turn: cues.turn, nod: cues.nod, ..flat },
        },
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
