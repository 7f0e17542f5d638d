//! facelatch's side of `make bench-gallery`: exact searches, and plain reads of as much memory.
//!
//! Usage: `gallery TEMPLATES PROBES VALUES`: two files of signed bytes, VALUES a template. Each line on
//! stdin is one of
//!
//! * `INSTRUCTION-SET PROBE`: searches all templates for that probe and prints the row found and the
//!   CPU time of this thread in milliseconds;
//! * `read STREAMS`: sums memory of the templates' size, read in so many places at once, and prints 0 and
//!   the CPU time;
//! * `memory`: prints the bytes allocated for the templates.
//!
//! `cargo bench --bench gallery -- door SUBJECTS...` times what the door does with a probe instead: the
//! whole comparison in full precision, and the one it makes.
//!
//! The script `benches/gallery/compare.py` takes turns between this program and the other libraries, so
//! that a busy machine slows all alike.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{BufRead, Write};

use facelatch::access::SubjectId;
use facelatch::matching::{
    Bytes, CompactTemplates, Embedding, Gallery, InstructionSet, Matcher, Metric, ModelHash, Subject,
};
use rustix::time::{ClockId, clock_gettime};

type Failure = Box<dyn std::error::Error>;

fn cpu_ms() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}

fn rows(path: &str, values: usize) -> Result<Vec<Bytes>, Failure> {
    let bytes = std::fs::read(path).map_err(|e| format!("{path}: {e}"))?;
    let row = |row: &[u8]| Bytes::stored(&row.iter().map(|b| b.cast_signed()).collect::<Vec<_>>());
    let all: Option<Vec<_>> = bytes.chunks(values).map(row).collect();
    Ok(all.ok_or_else(|| format!("{path}: a row is no template"))?)
}

/// The sum of all numbers, read in `STREAMS` places at once.
fn read<const STREAMS: usize>(memory: &[u64]) -> u64 {
    let part = memory.len() / STREAMS;
    let parts: [&[u64]; STREAMS] = std::array::from_fn(|n| &memory[n * part..(n + 1) * part]);
    let mut sums = [[0u64; 16]; STREAMS];
    for at in (0..part / 16 * 16).step_by(16) {
        for (sums, part) in sums.iter_mut().zip(parts) {
            for (sum, value) in sums.iter_mut().zip(&part[at..at + 16]) {
                *sum = sum.wrapping_add(*value);
            }
        }
    }
    sums.as_flattened().iter().fold(0, |a, b| a.wrapping_add(*b))
}

/// Random vectors of length 1.
fn vectors(count: usize) -> impl Iterator<Item = Embedding> {
    let mut rng = fastrand::Rng::with_seed(1);
    (0..count).map(move |_| {
        let raw: [f32; 128] = std::array::from_fn(|_| 2.0 * rng.f32() - 1.0);
        let length = raw.iter().map(|v| v * v).sum::<f32>().sqrt();
        Embedding::new(raw.iter().map(|v| v / length).collect())
    })
}

/// Comparisons of a probe with galleries of so many subjects, one template each.
fn door(sizes: &[String]) -> Result<(), Failure> {
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    println!("{:>10} {:>14} {:>14} {:>14}", "subjects", "whole, ms", "the door, ms", "index, ms");
    for size in sizes {
        let size: usize = size.parse().map_err(|e| format!("{size}: {e}"))?;
        let mut all = vectors(size + 15);
        let probes: Vec<Embedding> = all.by_ref().take(15).collect();
        let subject = |(id, template)| Subject {
            id: SubjectId(id),
            name: format!("{id}"),
            enrolled: 0,
            model: ModelHash([1; 32]),
            templates: vec![template],
            added: Vec::new(),
            consent: None,
            expires: None,
        };
        let gallery = Gallery::restore(1, u32::MAX, (0u32..).zip(all).map(subject).collect())?;
        let metric = Metric::Euclidean;
        let mut matcher = Matcher::new(metric);
        let start = cpu_ms();
        black_box(matcher.compare(&gallery, &probes[0]));
        let index = cpu_ms() - start;
        let (mut whole, mut door) = (Vec::new(), Vec::new());
        for probe in &probes {
            let start = cpu_ms();
            black_box(gallery.scores(black_box(probe), metric));
            whole.push(cpu_ms() - start);
            let start = cpu_ms();
            black_box(matcher.compare(&gallery, black_box(probe)));
            door.push(cpu_ms() - start);
        }
        println!("{size:>10} {:>14.3} {:>14.3} {index:>14.1}", median(whole), median(door));
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    if let [first, sizes @ ..] = args.as_slice()
        && first == "door"
    {
        return door(sizes);
    }
    let [templates, probes, values] = args.as_slice() else {
        println!("skipped: gallery bench: run `make bench-gallery`, which makes the templates");
        return Ok(());
    };
    let values: usize = values.parse()?;
    let (rows, probes) = (rows(templates, values)?, self::rows(probes, values)?);
    let mut held = CompactTemplates::with_capacity(values, rows.len());
    if !rows.iter().all(|row| held.push(row)) {
        return Err("the templates are of different lengths".into());
    }
    let memory: Vec<u64> = (0..(rows.len() * values / 8) as u64).collect();
    drop(rows);
    let sets: BTreeMap<&str, InstructionSet> =
        InstructionSet::ALL.into_iter().map(|set| (set.name(), set)).collect();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (what, number) = line.trim().split_once(' ').unwrap_or((line.trim(), "0"));
        let number: usize = number.parse()?;
        if what == "memory" {
            writeln!(out, "{}", held.allocated())?;
        } else if what == "read" {
            let start = cpu_ms();
            let _ = match number {
                1 => black_box(read::<1>(black_box(&memory))),
                2 => black_box(read::<2>(black_box(&memory))),
                _ => black_box(read::<4>(black_box(&memory))),
            };
            writeln!(out, "0 {}", cpu_ms() - start)?;
        } else {
            let set =
                *sets.get(what).ok_or("a line is `INSTRUCTION-SET PROBE`, `read STREAMS` or `memory`")?;
            let probe = probes.get(number).ok_or("no probe of that number")?;
            if !set.is_available() {
                writeln!(out, "- -")?;
            } else {
                held = held.using(set).ok_or("the instruction set is not there")?;
                let start = cpu_ms();
                let hit = black_box(held.top(black_box(probe)));
                let time = cpu_ms() - start;
                writeln!(out, "{} {time}", hit.ok_or("nothing found")?.row)?;
            }
        }
        out.flush()?;
    }
    Ok(())
}
