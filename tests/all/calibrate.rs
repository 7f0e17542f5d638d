//! `facelatch calibrate` on people whose pictures are at hand.

use crate::common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use common::{at_a_terminal, facelatch, one_error_line, shared};
use image::{GrayImage, Luma};

fn json(output: &std::process::Output) -> serde_json::Value {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&text)
        .unwrap_or_else(|e| panic!("{e}: {text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// A picture with structure, different for each person.
fn save(path: &Path, person: u32, take: u32) {
    let value = |x: u32, y: u32| {
        let wave =
            ((x * (person % 5 + 1)) as f32 / 15.0).sin() + ((y * (person % 7 + 1)) as f32 / 17.0).cos();
        (128.0 + 55.0 * wave) as u8 + ((x * 31 + y * 17 + take * 101) % 5) as u8
    };
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    GrayImage::from_fn(92, 112, |x, y| Luma([value(x, y)])).save(path).unwrap();
}

#[test]
fn att_cannot_show_a_false_match_rate_of_a_thousandth() {
    let Some(people) = shared("att_cannot_show_a_false_match_rate_of_a_thousandth", "data/att_faces") else {
        return;
    };
    let out = tempfile::tempdir().unwrap();
    let arguments = ["calibrate", &people.display().to_string(), "--whole", "--json"].map(str::to_owned);
    let ask = |target: &str| {
        let more = ["--target-fmr", target, "--out", &out.path().display().to_string()].map(str::to_owned);
        facelatch(arguments.iter().chain(&more))
    };
    let refused = ask("0.001");
    assert_eq!(refused.status.code(), Some(1));
    let comparisons = &json(&refused)["comparisons"];
    let claim = &comparisons["claim"];
    println!("AT&T, FMR 0.1 %: {}", claim["refused"]);
    assert_eq!(claim["needed"], 2_995);
    assert!(claim["independent"].as_f64().unwrap() <= 780.0, "40 people make 780 pairs");
    assert!(claim["threshold"].is_null());
    assert_eq!(comparisons["false_accepts"]["trials"], 780 * 100);
    assert_eq!(comparisons["false_rejects"]["independent"], 40.0);
    assert!(out.path().join("det-comparisons.png").is_file());

    let granted = ask("0.05");
    assert_eq!(granted.status.code(), Some(0));
    let claim = &json(&granted)["comparisons"]["claim"];
    assert!(claim["at_most"].as_f64().unwrap() <= 0.05 && claim["threshold"].is_number(), "{claim}");
}

#[test]
fn recordings_are_attempts_of_the_enrolled_and_of_strangers() {
    let Some(walkup) = shared("recordings_are_attempts_of_the_enrolled_and_of_strangers", "data/walkup")
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (person, clips) in [("00", 2), ("02", 2), ("07", 1)] {
        let own = folder.path().join(person);
        fs::create_dir(&own).unwrap();
        for clip in 1..=clips {
            symlink(
                walkup.join(format!("{person}-{clip}")).canonicalize().unwrap(),
                own.join(clip.to_string()),
            )
            .unwrap();
        }
    }
    let people = folder.path().display().to_string();
    let out = facelatch(["calibrate", &people, "--target-far", "0.01", "--json"]);
    assert_eq!(out.status.code(), Some(1), "three strangers show nothing");
    let attempts = &json(&out)["attempts"];
    println!("{attempts}");
    assert_eq!(
        (&attempts["false_rejects"]["trials"], &attempts["false_rejects"]["errors"]),
        (&2.into(), &0.into())
    );
    assert_eq!(
        (&attempts["false_accepts"]["trials"], &attempts["false_accepts"]["errors"]),
        (&3.into(), &0.into())
    );
    assert_eq!(attempts["claim"]["needed"], 299);
}

#[test]
fn who_waits_is_shown_how_far_it_has_come() {
    let Some(people) = shared("who_waits_is_shown_how_far_it_has_come", "data/att_faces") else { return };
    let people = people.display().to_string();
    let (text, code) = at_a_terminal(&["calibrate", &people, "--whole"], "");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(" of 400 pictures read"), "{text}");
    assert!(text.contains("in plain words: ") && text.contains(" pairs of two people "), "{text}");
    // Without a terminal nothing is written over.
    let out = facelatch(["calibrate", &people, "--whole"]);
    assert!(!String::from_utf8_lossy(&out.stderr).contains('\r'));
}

#[test]
fn what_there_is_nothing_to_measure_of_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let people = folder.path().display().to_string();
    assert!(one_error_line(&facelatch(["calibrate", &people])).contains("nothing to measure"));
    for person in [1, 13] {
        save(&folder.path().join(format!("p{person}/1.png")), person, 0);
        save(&folder.path().join(format!("p{person}/2.png")), person, 1);
    }
    let no_clips = facelatch(["calibrate", &people, "--whole", "--target-far", "0.1"]);
    assert!(one_error_line(&no_clips).contains("no recording"));
    let measured = facelatch(["calibrate", &people, "--whole", "--json"]);
    let report = json(&measured);
    let plain = report["plain"].as_str().unwrap();
    assert!(
        plain.contains("of 4 pairs of two people") && plain.contains("of 2 pairs of one person"),
        "{plain}"
    );
    let text = facelatch(["calibrate", &people, "--whole"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains(&format!("in plain words: {plain}\n")), "{text}");
    assert_eq!(report["comparisons"]["false_accepts"]["trials"], 4);
    assert_eq!(report["comparisons"]["false_accepts"]["independent"], 1.0);
    assert!(report["attempts"].is_null());
    for rate in ["0", "1", "x", "-1"] {
        assert_eq!(facelatch(["calibrate", &people, "--target-fmr", rate]).status.code(), Some(2));
    }
}
