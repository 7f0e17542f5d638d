//! The same rectangles as OpenCV, in the same order.
//!
//! `tests/expected/opencv.json` holds what OpenCV (`opencv-python-headless<5`, one thread) found;
//! `tests/expected/opencv.py` writes it. The live test asks OpenCV itself where Python has it:
//! `.ci/run` sees to that and names the interpreter in `FACELATCH_OPENCV_PYTHON`.

use crate::common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use facelatch::detect::{Cascade, Detector, Job, ScanParams, Sequential, Workers};
use facelatch::picture::Rect;
use facelatch::picture_file::load_gray;

type Case = (String, f64, u32, u32, Vec<[i32; 4]>);

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Compares our rectangles with the expected ones; returns the number of cases and rectangles.
fn check(cases: &[Case]) -> (usize, usize) {
    let mut detector = Detector::new(Cascade::frontal_face());
    let mut rectangles = 0;
    for (path, scale_factor, min_neighbors, min_size, expected) in cases {
        let picture = load_gray(&root().join(path)).unwrap();
        let params = ScanParams {
            scale_factor: *scale_factor,
            min_neighbors: *min_neighbors,
            min_size: *min_size,
            max_size: 0,
        };
        let expected: Vec<Rect> = expected.iter().map(|&[x, y, w, h]| Rect::new(x, y, w, h)).collect();
        assert_eq!(detector.detect(picture.view(), &params), expected, "{path} {params:?}");
        rectangles += expected.len();
    }
    (cases.len(), rectangles)
}

fn stored(wanted: impl Fn(&str) -> bool) -> Vec<Case> {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../expected/opencv.json")).unwrap();
    cases.into_iter().filter(|case| wanted(&case.0)).collect()
}

#[test]
fn the_shipped_portraits() {
    let (cases, rectangles) = check(&stored(|path| path.starts_with("assets/")));
    assert!(cases == 4 && rectangles >= 4, "{cases} cases, {rectangles} rectangles");
}

/// A thread for each job, begun from the last; counts them.
struct Threads(usize, AtomicUsize);

impl Workers for Threads {
    fn count(&self) -> usize {
        self.0
    }

    fn run(&self, jobs: &mut [Job<'_>]) {
        self.1.fetch_add(jobs.len(), Ordering::Relaxed);
        std::thread::scope(|scope| {
            for job in jobs.iter_mut().rev() {
                scope.spawn(|| job.run());
            }
        });
    }
}

#[test]
fn several_threads_find_the_same_in_the_same_order() {
    let picture = load_gray(&root().join("assets/portraits/collins.jpg")).unwrap();
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    let mut detector = Detector::new(Cascade::frontal_face());
    for scale_factor in [1.1, 1.6] {
        let params = ScanParams { scale_factor, min_neighbors: 0, ..Default::default() };
        detector.detect_into(picture.view(), &params, &Sequential, &mut alone);
        assert!(!alone.is_empty());
        for count in [2, 3, 7] {
            let threads = Threads(count, AtomicUsize::new(0));
            detector.detect_into(picture.view(), &params, &threads, &mut together);
            assert_eq!(together, alone, "{count} threads, {params:?}");
            assert!(threads.1.into_inner() > 1);
        }
    }
    // A scan too small to be worth it stays with one.
    let threads = Threads(2, AtomicUsize::new(0));
    let params = ScanParams { min_size: 300, ..Default::default() };
    detector.detect_into(picture.view(), &params, &threads, &mut together);
    assert_eq!(threads.1.into_inner(), 0);
}

#[test]
fn sample_faces_and_cmu_mit() {
    if common::shared("sample_faces_and_cmu_mit", "data").is_none() {
        return;
    }
    let (cases, rectangles) = check(&stored(|path| path.starts_with("../shared/")));
    println!("{cases} cases, {rectangles} rectangles, 0 mismatches");
    assert!(cases >= 2 * (4 + 130) && rectangles > 600);
}

#[test]
fn opencv_itself_says_the_same() {
    let test = "opencv_itself_says_the_same";
    let python = std::env::var_os("FACELATCH_OPENCV_PYTHON").unwrap_or("python3".into());
    let has = Command::new(&python).args(["-c", "import cv2; assert cv2.__version__ < '5'"]).output();
    if !has.is_ok_and(|out| out.status.success()) {
        println!("skipped: {test}: no Python with OpenCV (set FACELATCH_OPENCV_PYTHON)");
        return;
    }
    let cascade = Path::new("/usr/share/opencv4/haarcascades/haarcascade_frontalface_default.xml");
    if !cascade.exists() {
        println!("skipped: {test}: no opencv-data");
        return;
    }
    let out =
        Command::new(&python).arg(root().join("tests/expected/opencv.py")).arg(cascade).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let cases: Vec<Case> = serde_json::from_slice(&out.stdout).unwrap();
    let (cases, rectangles) = check(&cases);
    println!("{cases} cases, {rectangles} rectangles, 0 mismatches");
}
