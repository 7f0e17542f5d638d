//! When the strike is released and secured, and the door beside it.

use super::*;

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
        // Somebody who presses while the door is open for a face relies on it as well.
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
    assert_eq!(secured.1, Event::Secured(SecureReason::NotRecorded));
    assert_eq!(denied.1, Event::Denied(DenyReason::NotRecorded));
    assert_eq!(door.controller.shown, Some(Indication::Denied(DenyCode::NotRecorded)));
    door.take();
    door.frames(15, &face(1, 0.9));
    let who_stays = door.take().pop().map(|(_, event)| event);
    assert_eq!(who_stays, Some(Event::Denied(DenyReason::NotRecorded)), "they were not let in");
    door.frames(31, &Seen::NoFace);
    door.frames(15, &face(2, 0.9));
    assert!(door.released, "and may come again");
}

#[test]
fn a_camera_that_fails_ends_whatever_is_under_way() {
    for fault in [Fault::Camera, Fault::Vision, Fault::Lines] {
        let mut door = Door::new();
        door.frames(15, &face(1, 0.9));
        door.input(Input::Fault(fault));
        assert!(!door.released, "{fault:?} leaves what a face opened");
        door.input(Input::Rex);
        door.input(Input::Fault(fault));
        assert!(!door.released, "{fault:?} leaves what a button opened");
        assert!(door.events.iter().any(|(_, event)| *event == Event::Secured(SecureReason::Fault(fault))));
    }
    let mut door = Door::new();
    door.input(Input::Enrol);
    door.input(Input::Fault(Fault::Camera));
    assert!(!door.controller.is_enrolling());
}
