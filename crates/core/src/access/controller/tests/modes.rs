//! Secure mode, holding open, files that were put back, and what outlives a restart.

use super::*;

#[test]
fn files_put_back_keep_faces_out_until_that_is_accepted() {
    let mut door = Door::resumed(Restored::Fresh);
    let what = RolledBack { gallery: true, ..RolledBack::default() };
    // Somebody is leaving: the release continues.
    let _ = door.controller.handle(Timestamp::ZERO, Input::Rex);
    let actions = door.controller.handle(Timestamp::ZERO, Input::RolledBack(what));
    assert!(!actions.contains(&Action::Secure), "{actions:?}");
    assert!(actions.contains(&Action::Report(Event::Alarm(Alarm::RolledBack))), "{actions:?}");
    assert!(actions.contains(&Action::Report(Event::ModeChanged(Mode::Secure))), "{actions:?}");
    let saved = PersistentState { secure_mode: true, rolled_back: what, ..PersistentState::default() };
    assert_eq!(actions.last(), Some(&Action::Save(saved)));
    // The word that ends secure mode does not end this, nor does a restart.
    for resume in [Restored::SameBoot(saved), Restored::OtherBoot(saved)] {
        door = Door::resumed(resume);
        let normal = Input::SetMode(ModeCommand::Normal);
        let _ = door.controller.handle(Timestamp::ZERO, normal);
        assert_eq!((door.controller.mode(), door.controller.rolled_back()), (Mode::Secure, what));
        assert_eq!(door.controller.alarm(), Some(Alarm::RolledBack));
    }
    let actions = door.controller.handle(Timestamp::ZERO, Input::AcceptRollback);
    assert!(actions.contains(&Action::Report(Event::AlarmOver(Alarm::RolledBack))), "{actions:?}");
    assert!(actions.contains(&Action::Save(PersistentState::default())), "{actions:?}");
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
    let saved = door.controller.persistence.saved().unwrap();
    let mut door = Door::resumed(Restored::OtherBoot(saved));
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
        (None, SecureReason::TimeOver),
        (Some(Input::Secure), SecureReason::Command),
        (Some(Input::SetMode(ModeCommand::Normal)), SecureReason::Command),
        (Some(Input::Fault(Fault::Camera)), SecureReason::Fault(Fault::Camera)),
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
    assert_eq!((door.controller.mode(), end(&door)), (Mode::HoldOpen, Some(Timestamp::from_millis(5_000))));
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
    // A person who leaves has the full hold time, and a passage no longer ends it.
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
fn what_cannot_be_read_keeps_faces_out_and_what_cannot_be_written_is_tried_again() {
    let mut door = Door::resumed(Restored::Unreadable);
    assert_eq!(door.controller.mode(), Mode::Secure);
    door.input(Input::SetMode(ModeCommand::Normal));
    assert_eq!(door.controller.lockout_left(Timestamp::ZERO), Some(Duration::from_secs(900)));
    let actions = door.controller.handle(Timestamp::ZERO, Input::ClearLockout);
    assert_eq!(actions.last(), Some(&Action::Save(PersistentState::default())));
    door.input(Input::Fault(Fault::Store));
    assert_eq!(door.controller.poll_timeout(), Some(Timestamp::ZERO + RETRY_SAVE_AFTER));
    let actions = door.controller.handle_timeout(Timestamp::ZERO + RETRY_SAVE_AFTER);
    assert_eq!(actions, [Action::Save(PersistentState::default())]);
}
