//! Recordings of earlier versions replay to the same actions and the same states, byte for byte.
//!
//! Each file in `recordings/` is a door with another answer to doubt about liveness: none is asked for, deny, second
//! factor, challenge. Between them they hold every kind of event and denial but one or two.

use facelatch_core::access::record::{Line, Replay, WhatIf};

fn replay(recording: &str) {
    let mut replay = Replay::new(WhatIf::default());
    for (number, text) in (1..).zip(recording.lines()) {
        let line: Line = serde_json::from_str(text).unwrap_or_else(|e| panic!("line {number}: {e}"));
        assert_eq!(serde_json::to_string(&line).unwrap(), text, "line {number} is written as it was read");
        let _ = replay.line(line).unwrap_or_else(|e| panic!("line {number}: {e}"));
    }
    assert!(replay.recorded.steps > 60 && replay.recorded.releases_by_face > 0, "{:?}", replay.recorded);
    assert_eq!(replay.recorded, replay.replayed);
}

#[test]
fn without_the_liveness_check() {
    replay(include_str!("recordings/liveness_none.jsonl"));
}

#[test]
fn with_doubt_denied() {
    replay(include_str!("recordings/liveness_deny.jsonl"));
}

#[test]
fn with_a_second_factor() {
    replay(include_str!("recordings/liveness_second_factor.jsonl"));
}

#[test]
fn with_a_challenge() {
    replay(include_str!("recordings/liveness_challenge.jsonl"));
}
