//! Pictures of faces, and doubt.

use super::*;

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
    assert!(!door.released, "a blink of an eye is not leaving");
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
    assert_eq!(door.controller.faces.attempts.lockout().saved().denials, 0);
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
