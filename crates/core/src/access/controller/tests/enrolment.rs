//! Enrolments.

use super::*;

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
        unusable: Some(QualityIssue::TooDark),
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
    assert_eq!(said(|e| matches!(e, Event::EnrolWaiting(EnrolWait::Better(QualityIssue::TooDark)))), 1);
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
