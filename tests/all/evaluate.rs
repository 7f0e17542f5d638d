//! The commands `compare` and `evaluate` as other tools call them.

use crate::common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{facelatch, one_error_line, shared};
use image::{GrayImage, Luma};

/// A picture with structure, different for each seed, and a little noise that depends on `take`.
fn save(path: &Path, seed: u32, take: u32) {
    let value = |x: u32, y: u32| {
        let wave = ((x * (seed % 5 + 1)) as f32 / 15.0).sin() + ((y * (seed % 7 + 1)) as f32 / 17.0).cos();
        let noise = (x * 31 + y * 17 + take * 101) % 5;
        (128.0 + 55.0 * wave) as u8 + noise as u8
    };
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    GrayImage::from_fn(92, 112, |x, y| Luma([value(x, y)])).save(path).unwrap();
}

fn json(output: &std::process::Output) -> serde_json::Value {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text.lines().count(), 1, "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn compare_answers_by_its_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a.png", "b.png"].map(|n| folder.path().join(n).to_string_lossy().into_owned());
    save(Path::new(&a), 1, 0);
    save(Path::new(&b), 13, 0);
    let same = facelatch(["compare", &a, &a, "--whole", "--json"]);
    let line = json(&same);
    assert_eq!(same.status.code(), Some(0));
    assert_eq!(line["match"], true);
    let (distance, similarity) = (line["distance"].as_f64().unwrap(), line["similarity"].as_f64().unwrap());
    assert!((similarity - (1.0 - distance)).abs() < 1e-6);
    let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 4, "{keys:?}");

    let strict = facelatch(["compare", &a, &b, "--whole", "--json", "--threshold", "0.9999"]);
    assert_eq!(strict.status.code(), Some(1));
    let line = json(&strict);
    assert_eq!(line["match"], false);
    assert_eq!(line["threshold"].as_f64().unwrap() as f32, 0.9999);
    assert!(line["distance"].as_f64().unwrap() > distance, "{line}");
    let loose = facelatch(["compare", &a, &b, "--whole", "--threshold", "-1"]);
    assert_eq!(loose.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&loose.stdout).starts_with("match: similarity"));
}

#[test]
fn compare_says_what_is_wrong_with_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.png");
    save(&good, 1, 0);
    let cut = folder.path().join("cut.png");
    let bytes = fs::read(&good).unwrap();
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let none = folder.path().join("none.png");
    for (bad, whole) in [(&cut, true), (&none, true), (&good, false)] {
        let mut arguments =
            vec!["compare".to_string(), good.to_string_lossy().into(), bad.to_string_lossy().into()];
        if whole {
            arguments.push("--whole".into());
        }
        let line = one_error_line(&facelatch(arguments));
        assert!(line.contains(&*bad.file_name().unwrap().to_string_lossy()), "{line}");
        assert!(whole || line.contains("no face found"), "{line}");
    }
    let good = good.to_string_lossy().into_owned();
    let line = one_error_line(&facelatch(["compare", &good, &good, "--whole", "--fmr", "0.0000001"]));
    assert!(line.contains("--fmr"), "{line}");
}

#[test]
fn evaluate_reports_all_figures_and_draws() {
    let folder = tempfile::tempdir().unwrap();
    let people = folder.path().join("people");
    for person in 0..6 {
        for take in 0..3 {
            save(&people.join(format!("p{person}/{take}.png")), person * 3 + 1, take);
        }
    }
    fs::write(people.join("README"), "not a person").unwrap();
    let out = folder.path().join("out");
    let arguments: Vec<PathBuf> =
        ["evaluate", "--subjects"].map(PathBuf::from).into_iter().chain([people.clone()]).collect();
    let with = |more: &[&Path]| facelatch(arguments.iter().map(PathBuf::as_path).chain(more.iter().copied()));
    let output = with(&["--whole".as_ref(), "--json".as_ref(), "--out".as_ref(), &out]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let line = json(&output);
    assert_eq!((line["pairs"].as_u64(), line["genuine"].as_u64()), (Some(153), Some(18)));
    assert_eq!((line["undetected"].as_u64(), line["pictures"].as_u64()), (Some(0), Some(18)));
    for key in ["accuracy", "accuracy_at_threshold", "auc", "eer"] {
        let value = line[key].as_f64().unwrap();
        let interval = line[format!("{key}_interval")].as_array().unwrap();
        let ends: Vec<f64> = interval.iter().map(|v| v.as_f64().unwrap()).collect();
        assert!(
            (0.0..=1.0).contains(&value) && ends[0] <= value + 1e-9 && value <= ends[1] + 1e-9,
            "{key}: {line}"
        );
    }
    // Takes differ only by noise: any network tells that apart.
    assert!(line["auc"].as_f64().unwrap() > 0.95, "{line}");
    let tar = &line["tar_at_fmr"];
    assert!(tar["0.1"].as_f64().unwrap() >= tar["0.01"].as_f64().unwrap());
    assert!(line["threshold"].is_number());
    for name in ["det", "roc", "scores", "worst-pairs"] {
        let picture = image::open(out.join(format!("{name}.png"))).unwrap();
        assert!(picture.width() > 300 && picture.height() > 300);
    }
    let words = with(&["--whole".as_ref()]);
    assert!(String::from_utf8_lossy(&words.stdout).contains("accuracy (cross-validated)"));

    // Without --whole none of these shows a face: every pair is an error.
    let line = json(&with(&["--json".as_ref()]));
    assert_eq!(line["undetected"], 153);
    assert_eq!(line["accuracy"], 0.0);
    assert_eq!(line["auc"], 0.5, "nothing was compared: {line}");
}

#[test]
fn evaluate_refuses_bad_lists() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("pairs.txt");
    let root = folder.path().to_string_lossy().into_owned();
    let path = list.to_string_lossy().into_owned();
    let run = || one_error_line(&facelatch(["evaluate", "--lfw-root", &root, "--pairs", &path, "--whole"]));
    assert!(run().contains("pairs.txt"));
    fs::write(&list, "Ada\t1\n").unwrap();
    assert!(run().contains("line 1"), "{}", run());
    fs::write(&list, "Ada\t1\t2\n").unwrap();
    // Two workers read: the error is still that of the first picture, each time.
    for _ in 0..20 {
        let line = run();
        assert!(line.contains("Ada_0001.jpg"), "{line}");
    }
    let empty = one_error_line(&facelatch(["evaluate", "--subjects", &root, "--whole"]));
    assert!(empty.contains("folder of pictures for each person"), "{empty}");
    assert!(one_error_line(&facelatch(["evaluate"])).contains("--subjects"));
}

#[test]
fn att_faces_and_lfw_are_told_apart() {
    let name = "att_faces_and_lfw_are_told_apart";
    let Some(data) = shared(name, "data") else { return };
    let folder = tempfile::tempdir().unwrap();
    // The five people whose names sort last never taught the network.
    for person in ["s5", "s6", "s7", "s8", "s9"] {
        let to = folder.path().join(person);
        fs::create_dir(&to).unwrap();
        for entry in fs::read_dir(data.join("att_faces").join(person)).unwrap() {
            let from = entry.unwrap().path();
            fs::copy(&from, to.join(from.file_name().unwrap())).unwrap();
        }
    }
    let people = folder.path().to_string_lossy().into_owned();
    let line = json(&facelatch(["evaluate", "--subjects", &people, "--whole", "--json"]));
    assert_eq!((line["pairs"].as_u64(), line["genuine"].as_u64()), (Some(1225), Some(225)));
    println!("AT&T: {line}");
    assert!(line["auc"].as_f64().unwrap() > 0.95, "{line}");

    let root = data.join("lfw/test").to_string_lossy().into_owned();
    let list = data.join("lfw/test-pairs.txt").to_string_lossy().into_owned();
    let line = json(&facelatch(["evaluate", "--lfw-root", &root, "--pairs", &list, "--json"]));
    assert_eq!((line["pairs"].as_u64(), line["genuine"].as_u64()), (Some(600), Some(300)));
    println!("LFW: {line}");
    assert!(line["accuracy"].as_f64().unwrap() > 0.7, "{line}");
    assert!(line["undetected"].as_u64().unwrap() < 10, "{line}");
}
