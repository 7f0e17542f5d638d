//! The detector beside OpenCV's: `make bench-detector`.
//!
//! Usage: `detector SIDE CASCADE.xml [--threads N] [--rounds N] [--set NAME]... [PICTURE...]`. SIDE is
//! the program of `benches/opencv/side.cpp`. Both take turns on the same gray frames; what counts is
//! the thread's CPU time (with several threads the time on the wall), the median of the rounds.
//! Without pictures there is only the scene that is made up here.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use facelatch::detect::{Cascade, Detector, InstructionSet, Job, ScanParams, Workers};
use facelatch::picture::Gray;
use facelatch::picture_file::load_gray;

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
    fn start(program: &str, cascade: &str) -> Result<Self, Failure> {
        let mut process = Command::new(program)
            .arg(cascade)
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

/// A wall with a gradient of light and the noise of a sensor.
fn flat_wall(width: usize, height: usize) -> Gray {
    let mut state = 1u32;
    let pixels = (0..width * height).map(|i| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let light = 110 + (i % width) * 60 / width + (i / width) * 20 / height;
        (light as u32 + (state >> 29)) as u8
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

fn median(mut values: Vec<u64>) -> f64 {
    values.sort_unstable();
    values[values.len() / 2] as f64 / 1e6
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
                let set = InstructionSet::ALL.into_iter().find(|s| s.name() == name);
                sets.push(set.ok_or(format!("{name}: no such instruction set"))?);
            }
            _ => plain.push(word),
        }
    }
    let [side, xml, pictures @ ..] = &plain[..] else {
        println!("skipped: detector bench: run `make bench-detector`, which brings OpenCV");
        return Ok(());
    };
    if sets.is_empty() {
        sets = InstructionSet::ALL.into_iter().filter(|s| s.is_available()).collect();
        sets.retain(|s| *s != InstructionSet::Portable);
    }
    let mut text = String::new();
    std::fs::File::open(xml)?.read_to_string(&mut text)?;
    let cascade = Cascade::from_xml(&text)?;
    let mut detectors: Vec<_> =
        sets.iter().map(|&s| Detector::with_instruction_set(cascade.clone(), s)).collect();
    let mut opencv = Side::start(side, xml)?;

    let mut scenes = vec![("flat wall".to_string(), flat_wall(640, 480))];
    for path in pictures {
        let path = Path::new(path);
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        scenes.push((name, load_gray(path)?));
    }
    let clock = if threads == 1 { "thread CPU" } else { "wall" };
    println!("{clock} ms, median of {rounds} rounds, {threads} thread(s); ratio = OpenCV / ours");
    print!("{:<14} {:<8} {:>5} {:>4} {:>8}", "scene", "frame", "scale", "min", "OpenCV");
    for set in &sets {
        print!(" {:>8} {:>6}", set.name(), "ratio");
    }
    println!();
    let mut ratios = vec![Vec::new(); sets.len()];
    let mut faces = Vec::new();
    for (name, scene) in &scenes {
        for (width, height) in [(640, 480), (320, 240)] {
            let frame = scaled(scene, width, height);
            opencv.picture(&frame)?;
            for scale_factor in [1.1, 1.2, 1.6] {
                for min_size in [24, 80] {
                    let params = ScanParams::new(scale_factor, 3, min_size, 0)?;
                    let mut theirs = Vec::new();
                    let mut ours = vec![Vec::new(); sets.len()];
                    for round in 0..=rounds {
                        let [cpu, wall, count] = opencv.scan(&params, threads)?;
                        let time = if threads == 1 { cpu } else { wall };
                        // The first round warms up.
                        if round > 0 {
                            theirs.push(time);
                        }
                        for (detector, times) in detectors.iter_mut().zip(&mut ours) {
                            let (cpu, wall) = (thread_cpu_ns(), Instant::now());
                            detector.detect_into(frame.view(), &params, &Threads(threads), &mut faces);
                            let (cpu, wall) = (thread_cpu_ns() - cpu, wall.elapsed());
                            assert_eq!(faces.len() as u64, count, "{name}: OpenCV finds another number");
                            if round > 0 {
                                times.push(if threads == 1 { cpu } else { wall.as_nanos() as u64 });
                            }
                        }
                    }
                    let theirs = median(theirs);
                    let frame = format!("{width}x{height}");
                    print!("{name:<14} {frame:<8} {scale_factor:>5} {min_size:>4} {theirs:>8.2}");
                    for (ours, ratios) in ours.into_iter().zip(&mut ratios) {
                        let ours = median(ours);
                        print!(" {ours:>8.2} {:>5.1}x", theirs / ours);
                        ratios.push(theirs / ours);
                    }
                    println!();
                }
            }
        }
    }
    for (set, ratios) in sets.iter().zip(ratios) {
        let mean = (ratios.iter().map(|r| r.ln()).sum::<f64>() / ratios.len() as f64).exp();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        println!(
            "{:<8} geometric mean {mean:.2}x, least {least:.2}x, most {most:.2}x, {} cases",
            set.name(),
            ratios.len()
        );
    }
    Ok(())
}
