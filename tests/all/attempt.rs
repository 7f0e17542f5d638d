//! `facelatch attempt` on the real webcam frames of `walkup`.

use crate::common;

use common::{facelatch, shared};

#[test]
fn a_real_walk_up_gives_a_truthful_timeline() {
    let Some(walkup) = shared("a_real_walk_up_gives_a_truthful_timeline", "data/walkup") else { return };
    let enroll = format!("02={}", walkup.join("02-1").display());
    let probe = walkup.join("02-2").display().to_string();
    let out = facelatch(["attempt", "--enroll", &enroll, "--probe", &probe, "--json"]);
    let text = String::from_utf8(out.stdout).unwrap();
    let events: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let summary = events.last().unwrap();
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["frames"], std::fs::read_dir(walkup.join("02-2")).unwrap().count());
    let released = summary["released"].as_bool().unwrap();
    assert_eq!(out.status.code(), Some(i32::from(!released)));
    let releases: Vec<_> = events.iter().filter(|e| e["event"] == "release").collect();
    assert_eq!(released, !releases.is_empty());
    let mut last = 0;
    for event in &events[1..events.len() - 1] {
        let frame = event["frame"].as_u64().unwrap();
        assert!(frame >= last, "events come in order");
        assert!((event["time_s"].as_f64().unwrap() - frame as f64 / 20.0).abs() < 1e-3);
        last = frame;
    }
    if let Some(first) = releases.first() {
        assert_eq!(first["frame"], summary["first_release_frame"]);
        let since_face = first["frame"].as_u64().unwrap() - summary["first_face_frame"].as_u64().unwrap();
        assert!(since_face >= 14, "fifteen frames of one face come first");
    }
    let again = facelatch(["attempt", "--enroll", &enroll, "--probe", &probe, "--json"]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), text, "the same recording, the same decisions");
}

#[test]
fn a_recording_too_short_to_enrol_from_says_so() {
    let picture = common::portrait().display().to_string();
    let out = facelatch(["attempt", "--enroll", &format!("A={picture}"), "--probe", &picture, "--json"]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(1), "{text}");
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["event"], "enrol_failed");
    assert!(first["reason"].as_str().unwrap().contains("ended before"));
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["released"], false);
}
