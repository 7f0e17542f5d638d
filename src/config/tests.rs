use std::path::Path;

use super::*;
use crate::liveness::LivenessRules;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("t.toml")).map_err(|e| e.to_string())
}

fn parse_file(text: &str) -> Result<LoadedConfig, String> {
    LoadedConfig::parse(text.to_owned(), Path::new("t.toml")).map_err(|e| e.to_string())
}

/// Section, old name, new name, and a value that is not the default.
const RENAMED: [(&str, &str, &str, &str); 13] = [
    ("camera", "hang_ms", "frame_timeout_ms", "4000"),
    ("detector", "still_ms", "max_scan_pause_ms", "400"),
    ("access", "gallery_raise", "threshold_per_decade", "0.25"),
    ("liveness", "live", "accept_above", "3.5"),
    ("liveness", "spoof", "reject_below", "-2.5"),
    ("liveness", "unsure", "on_uncertain", "\"challenge\""),
    ("lockout", "forget_s", "reset_after_s", "120"),
    ("lockout", "again_ms", "reattempt_after_ms", "2000"),
    ("enrolment", "darkest", "luma_min", "50"),
    ("enrolment", "brightest", "luma_max", "200"),
    ("audit", "wait_ms", "sync_timeout_ms", "500"),
    ("audit", "unrecorded", "on_unrecorded", "\"release\""),
    ("daemon", "stall_ms", "watchdog_stall_ms", "6000"),
];

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(parse(""), Ok(Config::default()));
}

#[test]
fn the_shipped_file_states_every_default() {
    let file = parse_file(&shipped::file()).unwrap();
    assert_eq!(file.config, Config::default());
    assert_eq!(file.renamed, []);
}

#[test]
fn every_key_has_a_default_or_a_valid_example() {
    let text = shipped::file();
    for section in SECTIONS {
        for key in section.keys {
            let name = format!("{}.{}", section.name, key.name);
            let Some(example) = key.example else {
                let default = (key.default)().unwrap_or_else(|| panic!("{name} has neither"));
                assert!(text.contains(&format!("\n{} = {default}", key.name)), "{name} is not shipped");
                continue;
            };
            let example = match (key.default)() {
                None => format!("[{}]\n{} = {example}", section.name, key.name),
                Some(_) => format!("[{name}]\n{example}"),
            };
            assert_ne!(parse(&example).expect(&name), Config::default(), "{name}");
            let last = example.lines().last().unwrap();
            assert!(text.contains(&format!("\n#: {last}")), "{name} is not shipped");
        }
    }
}

#[test]
fn every_range_holds() {
    let mut ranges = 0;
    for section in SECTIONS {
        for key in section.keys {
            let Some(range) = key.range else { continue };
            ranges += 1;
            let name = format!("{}.{}", section.name, key.name);
            let (least, rest) = range.split_once(" to ").expect(range);
            let most = rest.split(' ').next().unwrap();
            let outcome = |value: &str| parse(&format!("[{}]\n{} = {value}", section.name, key.name));
            for value in [least, most] {
                // Another key may contradict an extreme value, but its own range does not.
                let error = outcome(value).err().unwrap_or_default();
                assert!(!error.contains(&format!("must be {range}")), "{name} = {value}: {error}");
            }
            let (below, above) = if least.contains('.') {
                let step = |bound: &str, by: f64| format!("{:?}", bound.parse::<f64>().unwrap() + by);
                (step(least, -0.5), step(most, 0.5))
            } else {
                let step = |bound: &str, by: i64| (bound.parse::<i64>().unwrap() + by).to_string();
                (step(least, -1), step(most, 1))
            };
            for value in [below, above] {
                let error = outcome(&value).expect_err(&name);
                // A number that the key's type cannot hold is refused with its line.
                let named = error.contains(&format!("{name} = {value}: must be {range}"));
                assert!(named || error.contains("line 2: invalid value"), "{name}: {error}");
            }
        }
    }
    assert!(ranges > 40, "only {ranges} ranges");
}

#[test]
fn every_renamed_key_is_accepted_with_a_hint() {
    let known: Vec<_> = SECTIONS
        .iter()
        .flat_map(|section| section.keys.iter().map(move |key| (section.name, key)))
        .filter_map(|(section, key)| Some((section, key.old?, key.name)))
        .collect();
    assert_eq!(known, RENAMED.map(|(section, old, new, _)| (section, old, new)));
    for (section, old, new, value) in RENAMED {
        let given = |key: &str| parse_file(&format!("\n[{section}]\n{key} = {value}")).unwrap();
        let (by_old, by_new) = (given(old), given(new));
        assert_eq!(by_old.config, by_new.config, "{old}");
        assert_ne!(by_old.config, Config::default(), "{old}");
        assert_eq!(by_new.renamed, [], "{new}");
        let hints: Vec<String> = by_old.renamed.iter().map(ToString::to_string).collect();
        assert_eq!(hints, [format!("line 3: key {section}.{old} is now {section}.{new}: rename it")]);
    }
}

#[test]
fn a_key_under_both_names_is_refused() {
    for (section, old, new, value) in RENAMED {
        for (first, second) in [(old, new), (new, old)] {
            let error = parse(&format!("[{section}]\n{first} = {value}\n{second} = {value}")).expect_err(old);
            let line = if first == old { "line 2: " } else { "line 3: " };
            for words in ["t.toml", line, &format!("{section}.{old}"), &format!("{section}.{new}")] {
                assert!(error.contains(words), "{error:?} does not say {words:?}");
            }
            assert!(!error.contains('\n'), "{error:?} is not one line");
        }
    }
}

#[test]
fn an_old_name_is_found_however_it_is_written() {
    for text in [
        "liveness.live = 3.5",
        "liveness = { live = 3.5 }",
        "[liveness]\n\"live\" = 3.5",
        "[\"liveness\"]\nlive = 3.5",
    ] {
        let file = parse_file(text).unwrap();
        assert_eq!((file.config.liveness.accept_above, file.renamed.len()), (3.5, 1), "{text}");
    }
    let hints = parse_file("[lockout]\nagain_ms = 2000\n[camera]\nhang_ms = 4000").unwrap().renamed;
    assert_eq!(hints.iter().map(|hint| hint.line).collect::<Vec<_>>(), [2, 4], "in the order of the file");
}

#[test]
fn mistakes_under_an_old_name_are_named() {
    for (text, words) in [
        ("[camera]\nhang_ms = \"long\"", &["line 2", "u64"][..]),
        (
            "[camera]\nhang_ms = 499",
            &["line 2: camera.hang_ms (now camera.frame_timeout_ms) = 499", "60000 ms"],
        ),
        ("[audit]\nwait_ms = 0", &["line 2: audit.wait_ms (now audit.sync_timeout_ms) = 0", "on_unrecorded"]),
        (
            "[enrolment]\ndarkest = 50\nluma_max = 45",
            &["line 2: enrolment.darkest (now enrolment.luma_min) = 50"],
        ),
        ("[lockout]\nagain_ms = 2000\nattempts = 101", &["lockout.attempts = 101: must be 0 to 100"]),
        ("[camera]\nstill_ms = 500", &["line 2", "unknown field `still_ms`"]),
    ] {
        let error = parse(text).unwrap_err();
        for word in words {
            assert!(error.contains(word), "{error:?} does not say {word:?}");
        }
    }
}

#[test]
fn hours_are_by_name_and_a_person_without_any_has_the_default() {
    let config =
        parse("[schedule]\nzone = \"UTC\"\ndefault = []\n[schedule.people]\nAda = [\"mon-fri 08:00-18:00\"]")
            .unwrap();
    let hours = config.named_hours();
    assert_eq!(hours.others, Vec::new().into(), "nobody else at any hour");
    assert_eq!(hours.people["Ada"], vec!["mon-fri 08:00-18:00".parse().unwrap()].into());
}

#[test]
fn the_default_liveness_rules_are_the_cores() {
    assert_eq!(LivenessConfig::default().rules(), Some(LivenessRules::default()));
}

#[test]
fn the_words_on_lines_state_the_defaults_of_a_line() {
    let lines = parse("[lines]\nrex = { line = \"REX\" }\nbuzzer = { line = \"BUZZER\" }").unwrap().lines;
    let (rex, buzzer) = (lines.rex.unwrap(), lines.buzzer.unwrap());
    let text = |value: Option<String>| value.unwrap();
    let inputs = format!(
        "polarity ({}), bias ({}) and debounce_ms ({})",
        text(table::as_toml(&rex.polarity)),
        text(table::as_toml(&rex.bias)),
        rex.debounce_ms
    );
    let outputs = format!("outputs take polarity ({})", text(table::as_toml(&buzzer.polarity)));
    let about = LinesConfig::TABLE.about;
    assert!(about.contains(&inputs) && about.contains(&outputs), "{inputs}; {outputs}; {about}");
}

#[test]
fn mistakes_are_named() {
    for (text, words) in [
        ("[acces]", &["t.toml", "line 1", "acces"][..]),
        ("[access]\nhold = 3", &["line 2", "hold"]),
        ("[access]\n\nhold_ms = \"long\"", &["line 3", "u64"]),
        ("[access]\nhold_ms = 0", &["access.hold_ms = 0", "must be 200 to 30000 ms"]),
        ("[access]\nthreshold = nan", &["access.threshold", "NaN", "-1.0 to 1.0"]),
        ("[access]\nthreshold = 0.3\ntarget_fmr = 0.01", &["not both"]),
        ("[detector]\nmin_size = 90\nmax_size = 50", &["detector.max_size", "min_size"]),
        ("[strike]\nbackend = \"gpiocdev\"", &["strike.line", "needs a line"]),
        ("[strike]\nbackend = \"relais\"", &["line 2", "relais"]),
        ("[strike]\nline = \"gpiochip0:\"", &["line 2", "gpiochip0:"]),
        ("[lines]\nrex = { line = \"A\", debounce_ms = 1001 }", &["lines.rex.debounce_ms = 1001", "1000"]),
        ("[enrolment]\ntimeout_ms = 5000", &["enrolment.timeout_ms", "countdown"]),
        ("[lockout]\nfirst_s = 0", &["lockout.first_s", "3600"]),
        ("[lockout]\nattempts = 101", &["lockout.attempts", "100"]),
        ("[lockout]\nfirst_s = 60\nlongest_s = 59", &["lockout.longest_s", "first_s"]),
        ("[access]\nmax_hold_open_s = 86401", &["access.max_hold_open_s"]),
        ("[access]\nheld_open_ms = 999", &["access.held_open_ms"]),
        ("[recording]\nmax_mb = 0", &["recording.max_mb"]),
        ("[recording]\nframes_days = 366", &["recording.frames_days", "365"]),
        ("[audit]\nsync_timeout_ms = 0", &["audit.sync_timeout_ms = 0", "on_unrecorded"]),
        ("[schedule]\ndefault = [\"mon 8-18\"]", &["line 2", "mon 8-18", "mon-fri 08:00-18:00"]),
        ("[schedule.people]\nAda = [\"never\"]", &["line 2", "never"]),
        ("[schedule.people]\n\"Zo\\u00eb\" = []\n\"Zoe\\u0308\" = []", &["schedule.people", "twice"]),
        ("[schedule]\nunset_clock = \"maybe\"", &["line 2", "maybe"]),
        ("[liveness]\ncues = []", &["liveness.cues = []", "check = false"]),
        ("[liveness]\nreject_below = 3.0", &["liveness.reject_below = 3.0", "accept_above"]),
        ("[liveness]\non_uncertain = \"ask\"", &["line 2", "ask", "challenge"]),
        ("[liveness]\non_uncertain = \"second-factor\"", &["liveness.on_uncertain", "lines.second_factor"]),
        ("[liveness]\nchallenge = \"shake\"", &["line 2", "shake", "either"]),
        ("[liveness]\nchallenge_ms = 1999", &["liveness.challenge_ms", "1999", "2000"]),
        ("[enrolment]\nluma_min = 230", &["enrolment.luma_min", "luma_max"]),
        ("hello", &["line 1"]),
        ("a = 1\na = 2", &["line 2", "duplicate"]),
    ] {
        let error = parse(text).unwrap_err();
        assert!(!error.contains('\n'), "{error:?} is not one line");
        for word in words {
            assert!(error.contains(word), "{error:?} does not say {word:?}");
        }
    }
}
