//! The detector beside OpenCV's: `make bench-detector`.
//!
//! Usage: `detector SIDE CASCADE.xml [--threads N] [--rounds N] [--set NAME]... [PICTURE...]`. SIDE is
//! the program of `benches/opencv/side.cpp`. Both take turns on the same gray frames; what counts is
//! the thread's CPU time, the median of the rounds (with several threads the time on the wall, the least).
//! Without pictures there is only the scene that is made up here.
//!
//! OpenCV takes the widest instructions that it has been built for. Beside our code of 128 bits there is
//! therefore a second OpenCV, held to the same instruction set by its own `OPENCV_CPU_DISABLE`: the ratio in
//! brackets, which is what a processor without AVX would see.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use facelatch::config::Config;
use facelatch::detect::{
    Cascade, Detector, InstructionSet, Job, ScanParams, SearchKind, Searcher, Sequential, Workers,
};
use facelatch::picture::Gray;
use facelatch::picture_file::load_gray;
use facelatch::time::Timestamp;

type Failure = Box<dyn std::error::Error>;

fn thread_cpu_ns() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of our own.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

struct Threads(usize);

impl Workers for Threads {
    fn count(&self) -> usize {
        self.0
    }

    fn run(&self, jobs: &mut [Job<'_>]) {
        std::thread::scope(|scope| {
            let Some((mine, others)) = jobs.split_first_mut() else { return };
            for job in others {
                scope.spawn(|| job.run());
            }
            mine.run();
        });
    }
}

/// OpenCV in a process of its own.
struct Side {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Side {
    /// `without` names instruction sets that it must not use.
    fn start(program: &str, cascade: &str, without: &str) -> Result<Self, Failure> {
        let mut process = Command::new(program)
            .arg(cascade)
            .env("OPENCV_CPU_DISABLE", without)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{program}: {e}"))?;
        let to = process.stdin.take().ok_or("no pipe")?;
        let from = BufReader::new(process.stdout.take().ok_or("no pipe")?);
        Ok(Side { process, to, from })
    }

    fn picture(&mut self, picture: &Gray) -> Result<(), Failure> {
        writeln!(self.to, "F {} {}", picture.width(), picture.height())?;
        Ok(self.to.write_all(picture.pixels())?)
    }

    /// CPU time, wall time (ns) and number of rectangles of one scan.
    fn scan(&mut self, params: &ScanParams, threads: usize) -> Result<[u64; 3], Failure> {
        let ScanParams { scale_factor, min_neighbors, min_size, .. } = params;
        writeln!(self.to, "R {scale_factor} {min_neighbors} {min_size} {threads}")?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        let mut words = line.split_whitespace().map(str::parse);
        let mut next = || words.next().ok_or("OpenCV's side has stopped")?.map_err(Failure::from);
        Ok([next()?, next()?, next()?])
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The instruction sets of Debian's OpenCV that a processor with no more than `set` lacks.
fn beyond(set: InstructionSet) -> Option<&'static str> {
    match set {
        InstructionSet::Sse2 => Some("SSE4_1,SSE4_2,FP16,AVX,AVX2,AVX512_SKX"),
        InstructionSet::Sse42 => Some("FP16,AVX,AVX2,AVX512_SKX"),
        _ => None,
    }
}

/// A wall with a gradient of light and the noise of a sensor.
fn flat_wall(width: usize, height: usize) -> Gray {
    let mut rng = fastrand::Rng::with_seed(1);
    let pixels = (0..width * height).map(|i| {
        let light = 110 + (i % width) * 60 / width + (i / width) * 20 / height;
        light as u8 + rng.u8(0..8)
    });
    let pixels = pixels.collect();
    Gray::from_pixels(width, height, pixels).unwrap_or_default()
}

/// `picture` at another size, by the nearest pixel after cutting it to the shape.
fn scaled(picture: &Gray, width: usize, height: usize) -> Gray {
    let (pw, ph) = (picture.width(), picture.height());
    let zoom = (pw as f64 / width as f64).min(ph as f64 / height as f64);
    let at = |i: usize, to: usize, from: usize| {
        let start = (from as f64 - to as f64 * zoom) / 2.0;
        ((start + (i as f64 + 0.5) * zoom) as usize).min(from - 1)
    };
    let pixels = (0..width * height)
        .map(|i| picture.pixels()[at(i / width, height, ph) * pw + at(i % width, width, pw)])
        .collect();
    Gray::from_pixels(width, height, pixels).unwrap_or_default()
}

/// What stands for the rounds: of CPU time the median; of time on the wall, which other programs
/// lengthen, the least.
fn typical(times: Vec<u64>, threads: usize) -> f64 {
    if threads == 1 {
        return median(times);
    }
    times.into_iter().min().unwrap_or(0) as f64 / 1e6
}

fn median(mut values: Vec<u64>) -> f64 {
    values.sort_unstable();
    values[values.len() / 2] as f64 / 1e6
}

/// `background` with a person who sways before it, to the right and back in 20 frames.
fn person(background: &Gray, portrait: &Gray, number: usize) -> Gray {
    let mut frame = background.clone();
    let width = frame.width();
    let left = 180 + 2 * number.min(20 - number);
    for (y, row) in portrait.pixels().chunks_exact(portrait.width()).enumerate() {
        frame.pixels_mut()[(y + 120) * width + left..][..row.len()].copy_from_slice(row);
    }
    frame
}

/// What the frame loop costs at the daemon's default settings, in shares of a full scan of the same
/// frames: while a face is followed, and while nothing moves.
fn frame_loop(scenes: &[(String, Gray)]) -> Result<(), Failure> {
    let config = Config::default();
    let search = config.vision_rules().search;
    let (width, height) = (config.camera.width as usize, config.camera.height as usize);
    let period = 1000 / u64::from(config.camera.fps);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let portrait = scaled(&load_gray(&root.join("assets/portraits/collins.jpg"))?, 340, 320);
    let ms = |ns: u64, frames: u64| ns as f64 / 1e6 / frames.max(1) as f64;
    println!(
        "\nthe frame loop at the defaults, {width}x{height}, a person before each scene; thread CPU ms a frame"
    );
    for (name, scene) in scenes {
        let background = scaled(scene, width, height);
        let frames: Vec<Gray> = (0..20).map(|k| person(&background, &portrait, k)).collect();
        let mut detector = Detector::new(Cascade::frontal_face());
        let mut faces = Vec::new();
        let mut whole = Vec::new();
        for frame in frames.iter().cycle().take(60) {
            let start = thread_cpu_ns();
            detector.detect_into(frame.view(), &search.scan, &Sequential, &mut faces);
            whole.push(thread_cpu_ns() - start);
        }
        let whole = median(whole);
        // Both scenes begin with a frame that does not count.
        let run = |frames: &[Gray]| {
            let mut searcher = Searcher::new(Detector::new(Cascade::frontal_face()), search);
            let (mut cost, mut count) = ([0u64; 3], [0u64; 3]);
            for (i, frame) in frames.iter().cycle().take(121).enumerate() {
                let start = thread_cpu_ns();
                let kind = searcher.search(Timestamp::from_millis(i as u64 * period), frame.view());
                let kind = match kind {
                    SearchKind::Full => 0,
                    SearchKind::Region => 1,
                    SearchKind::Still => 2,
                };
                if i > 0 {
                    cost[kind] += thread_cpu_ns() - start;
                    count[kind] += 1;
                }
            }
            (cost, count)
        };
        let (followed, counts) = run(&frames);
        let tracked = ms(followed.iter().sum(), counts.iter().sum());
        let around = ms(followed[1], counts[1]);
        let (still, still_counts) = run(&frames[..1]);
        let nothing = ms(still[2], still_counts[2]);
        println!(
            "{name:<14} full {whole:.3}; followed {tracked:.3}, {:.0} % ({} full, {} around the face at \
             {around:.3}, {:.0} %); still {nothing:.4}, {:.1} %",
            100.0 * tracked / whole,
            counts[0],
            counts[1],
            100.0 * around / whole,
            100.0 * nothing / whole,
        );
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1).filter(|a| a != "--bench");
    let (mut rounds, mut threads) = (7, 1);
    let (mut sets, mut plain) = (Vec::new(), Vec::new());
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--rounds" => rounds = value()?.parse()?,
            "--threads" => threads = value()?.parse()?,
            "--set" => {
                let name = value()?;
                let set = Detector::instruction_sets().find(|s| s.name() == name);
                sets.push(set.ok_or(format!("{name}: no such instruction set on this processor"))?);
            }
            _ => plain.push(word),
        }
    }
    let [side, xml, pictures @ ..] = &plain[..] else {
        println!("skipped: detector bench: run `make bench-detector`, which brings OpenCV");
        return Ok(());
    };
    if sets.is_empty() {
        sets = Detector::instruction_sets().filter(|s| *s != InstructionSet::Portable).collect();
    }
    let mut text = String::new();
    std::fs::File::open(xml)?.read_to_string(&mut text)?;
    let cascade = Cascade::from_xml(&text)?;
    let mut detectors: Vec<_> =
        sets.iter().map(|&s| Detector::with_instruction_set(cascade.clone(), s)).collect();
    let mut opencv = Side::start(side, xml, "")?;
    let mut held = Vec::new();
    for set in &sets {
        held.push(beyond(*set).map(|without| Side::start(side, xml, without)).transpose()?);
    }

    let mut scenes = vec![("flat wall".to_string(), flat_wall(640, 480))];
    for path in pictures {
        let path = Path::new(path);
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        scenes.push((name, load_gray(path)?));
    }
    let clock = if threads == 1 { "thread CPU ms, median" } else { "wall ms, least" };
    println!(
        "{clock} of {rounds} rounds (five times as many below 2 ms), {threads} thread(s); ratio = OpenCV / ours"
    );
    print!("{:<14} {:<8} {:>5} {:>4} {:>8}", "scene", "frame", "scale", "min", "OpenCV");
    for set in &sets {
        print!(" {:>8} {:>6}{}", set.name(), "ratio", beyond(*set).map_or("", |_| "  (held)"));
    }
    println!();
    let mut ratios = vec![Vec::new(); sets.len()];
    let mut held_ratios = ratios.clone();
    let mut faces = Vec::new();
    for (name, scene) in &scenes {
        for (width, height) in [(640, 480), (320, 240)] {
            let frame = scaled(scene, width, height);
            for side in held.iter_mut().flatten().chain([&mut opencv]) {
                side.picture(&frame)?;
            }
            for scale_factor in [1.1, 1.2, 1.6] {
                for min_size in [24, 80] {
                    let params = ScanParams::new(scale_factor, 3, min_size, 0)?;
                    let mut theirs = Vec::new();
                    let mut ours = vec![Vec::new(); sets.len()];
                    let mut held_back = ours.clone();
                    let (mut round, mut last) = (0, rounds);
                    while round <= last {
                        let [cpu, wall, count] = opencv.scan(&params, threads)?;
                        let time = if threads == 1 { cpu } else { wall };
                        // The first round warms up, and says whether a scan is so short that more
                        // rounds are needed for a median to be believed.
                        if round > 0 {
                            theirs.push(time);
                        } else if time < 2_000_000 {
                            last = 5 * rounds;
                        }
                        for (n, (detector, times)) in detectors.iter_mut().zip(&mut ours).enumerate() {
                            if let Some(side) = &mut held[n] {
                                let [cpu, wall, _] = side.scan(&params, threads)?;
                                if round > 0 {
                                    held_back[n].push(if threads == 1 { cpu } else { wall });
                                }
                            }
                            let (cpu, wall) = (thread_cpu_ns(), Instant::now());
                            detector.detect_into(frame.view(), &params, &Threads(threads), &mut faces);
                            let (cpu, wall) = (thread_cpu_ns() - cpu, wall.elapsed());
                            assert_eq!(faces.len() as u64, count, "{name}: OpenCV finds another number");
                            if round > 0 {
                                times.push(if threads == 1 { cpu } else { wall.as_nanos() as u64 });
                            }
                        }
                        round += 1;
                    }
                    let theirs = typical(theirs, threads);
                    let frame = format!("{width}x{height}");
                    print!("{name:<14} {frame:<8} {scale_factor:>5} {min_size:>4} {theirs:>8.2}");
                    for (n, (ours, held_back)) in ours.into_iter().zip(held_back).enumerate() {
                        let ours = typical(ours, threads);
                        print!(" {ours:>8.2} {:>5.1}x", theirs / ours);
                        ratios[n].push(theirs / ours);
                        if !held_back.is_empty() {
                            let ratio = typical(held_back, threads) / ours;
                            print!(" ({ratio:>4.1}x)");
                            held_ratios[n].push(ratio);
                        }
                    }
                    println!();
                }
            }
        }
    }
    let sums = sets.iter().zip(ratios.iter().zip(&held_ratios));
    let lines = sums.flat_map(|(set, (free, held))| [(set, "", free), (set, ", OpenCV held to it", held)]);
    for (set, which, ratios) in lines.filter(|(.., ratios)| !ratios.is_empty()) {
        let mean = (ratios.iter().map(|r| r.ln()).sum::<f64>() / ratios.len() as f64).exp();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        println!(
            "{:<8} geometric mean {mean:.2}x, least {least:.2}x, most {most:.2}x, {} cases{which}",
            set.name(),
            ratios.len()
        );
    }
    if threads == 1 { frame_loop(&scenes) } else { Ok(()) }
}
