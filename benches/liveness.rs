//! What liveness adds to a frame with a face.
//!
//! `cargo bench --bench liveness`: the same frames go in turns through the daemon's vision without and with
//! the check, and the thread's CPU time of each is compared; frames without a face are left out. The frames
//! are drawn (`facelatch demo`), or those of the folder given as argument, scaled to 640x480.

use std::path::{Path, PathBuf};
use std::time::Duration;

use facelatch::attempt::scene;
use facelatch::camera::{Frame, FrameSource, Next, Recording};
use facelatch::config::Config;
use facelatch::demo::portrait::Portrait;
use facelatch::demo::walkup::{Walk, WalkUp};
use facelatch::detect::{Cascade, Detector};
use facelatch::embed::{Embedder, LivenessNetwork, Pixels};
use facelatch::liveness::Watch;
use facelatch::matching::Gallery;
use facelatch::observation::Purpose;
use facelatch::picture::Rect;
use facelatch::vision::Vision;
use rustix::time::{ClockId, clock_gettime};

type Failure = Box<dyn std::error::Error>;

/// CPU time of this thread in ms.
fn cpu() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}

fn vision(liveness: bool) -> Result<Vision, Failure> {
    let embedder = Embedder::embedded_default()?;
    let metric = embedder.card().metric();
    let detector = Detector::new(Cascade::frontal_face());
    let vision = Vision::new(Config::default().vision_rules(), detector, Box::new(embedder), metric);
    Ok(if liveness { vision.watching(Some(LivenessNetwork::embedded_default()?)) } else { vision })
}

fn frames() -> Result<Vec<Frame>, Failure> {
    let folder = std::env::args().skip(1).find(|a| !a.starts_with("--")).map(PathBuf::from);
    let mut source: Box<dyn FrameSource> = match folder {
        Some(folder) => Box::new(Recording::open(Path::new(&folder), 20.0, Some((640, 480)), false)?),
        None => Box::new(WalkUp::new("visit", Portrait::collins()?, Walk::VISIT)),
    };
    let mut frames = Vec::new();
    while let Next::Frame(frame) = source.next(Duration::ZERO)? {
        frames.push(frame);
    }
    Ok(frames)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> Result<(), Failure> {
    let frames = frames()?;
    let gallery = Gallery::default();
    let (mut without, mut with) = (vision(false)?, vision(true)?);
    let mut watch = Watch::new();
    let mut network = LivenessNetwork::embedded_default()?;
    let (mut plain, mut checked, mut watched, mut run) = (vec![], vec![], vec![], vec![]);
    for frame in &frames {
        let begun = cpu();
        let seen = without.process(scene(frame), &gallery, Purpose::Identify)?;
        let between = cpu();
        let _ = with.process(scene(frame), &gallery, Purpose::Identify)?;
        let end = cpu();
        let [face]: [Rect; 1] = match seen.faces.as_slice().try_into() {
            Ok(face) => face,
            Err(_) => continue,
        };
        plain.push(between - begun);
        checked.push(end - between);
        let begun = cpu();
        let _ = watch.measure_motion(frame.gray.view(), face, 1);
        let between = cpu();
        let _ = network.score(Pixels::gray(frame.gray.view()), face)?;
        watched.push(between - begun);
        run.push(cpu() - between);
    }
    let count = plain.len();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    println!("{count} frames with a face, ms of CPU a frame (mean, median):");
    let added = 100.0 * (mean(&checked) / mean(&plain) - 1.0);
    for (name, values) in
        [("without", plain), ("with liveness", checked), ("  cues", watched), ("  network", run)]
    {
        println!("{name:<14} {:>7.3} {:>7.3}", mean(&values), median(values));
    }
    println!("liveness adds {added:.1} % to the mean");
    Ok(())
}
