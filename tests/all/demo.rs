//! `facelatch demo` with the shipped network and cascade: the person enrolled gets in, another one
//! does not, and an empty hall does nothing.

use std::path::Path;
use std::process::Command;

use facelatch::draw::colour;
use image::RgbImage;

fn sheet(dir: &Path, name: &str) -> RgbImage {
    image::open(dir.join(name)).unwrap_or_else(|e| panic!("{name}: {e}")).to_rgb8()
}

/// Pixels of nearly this colour: the files have a palette of 256.
fn count(img: &RgbImage, wanted: image::Rgb<u8>) -> usize {
    let near = |p: &image::Rgb<u8>| p.0.iter().zip(wanted.0).all(|(a, b)| a.abs_diff(b) <= 24);
    img.pixels().filter(|p| near(p)).count()
}

#[test]
fn the_demo_goes_as_it_should_and_draws_it() {
    let out = tempfile::tempdir().unwrap();
    let demo = Command::new(env!("CARGO_BIN_EXE_facelatch"))
        .args(["demo", "--out"])
        .arg(out.path().join("new/folder"))
        .current_dir(out.path())
        .output()
        .unwrap();
    let said = String::from_utf8(demo.stdout).unwrap();
    assert_eq!(demo.status.code(), Some(0), "{said}\n{}", String::from_utf8_lossy(&demo.stderr));

    let results: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("  => ")).collect();
    let starts = ["ENROLLED as Eileen Collins", "RELEASED for Eileen Collins", "DENIED", "NOTHING"];
    assert_eq!(results.len(), starts.len(), "{said}");
    for (result, start) in results.iter().zip(starts) {
        assert!(result.starts_with(start), "{result}");
    }
    // In the words of the reference, in this order.
    let mut rest = said.as_str();
    for words in [
        "Image will be taken in 5..",
        "Image will be taken in 1..",
        "Identifying ...",
        "Identity: Eileen Collins",
        "strike secured",
        "Identifying ...",
        "Identity Unknown!",
    ] {
        let at = rest.find(words).unwrap_or_else(|| panic!("no {words:?} where it should be in:\n{said}"));
        rest = &rest[at + words.len()..];
    }

    let dir = out.path().join("new/folder");
    let visit = sheet(&dir, "2-visit.png");
    let stranger = sheet(&dir, "3-stranger.png");
    assert!(count(&sheet(&dir, "1-enrolment.png"), colour::BLUE) > 1_000);
    assert!(count(&visit, colour::GREEN) > 2_000, "box, words and outline of the release");
    assert_eq!(count(&stranger, colour::GREEN), 0);
    assert!(count(&stranger, colour::RED) > 1_000);
    assert!(count(&sheet(&dir, "4-nobody.png"), colour::ORANGE) == 0);
    let all = sheet(&dir, "contact-sheet.png");
    for tint in [colour::BLUE, colour::ORANGE, colour::GREEN, colour::RED] {
        assert!(count(&all, tint) > 300, "{tint:?}");
    }
    let bytes = std::fs::metadata(dir.join("contact-sheet.png")).unwrap().len();
    assert!(bytes < 300_000, "{bytes} bytes: too large for the README");
}

#[test]
fn a_folder_that_cannot_be_made_is_one_clear_line() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("a-file");
    std::fs::write(&file, "not a folder").unwrap();
    let demo = Command::new(env!("CARGO_BIN_EXE_facelatch"))
        .args(["demo", "--out"])
        .arg(file.join("below"))
        .output()
        .unwrap();
    assert_eq!(demo.status.code(), Some(2));
    let said = String::from_utf8(demo.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("a-file/below: cannot be made"), "{said}");
}
