//! `facelatch model`: quantise a network file, and look at one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Subcommand;
use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest, Sha256};

use super::evaluate::{Which, read_all};
use super::{Answer, CommandError};
use crate::disk::{self, FileSystem};
use crate::embed::{Card, Embed, Embedder};
use crate::matching::Embedding;
use crate::picture::{Gray, Rect};
use facelatch_host::say;
use facelatch_nn::anatomy::{Anatomy, anatomy};
use facelatch_nn::quantize::quantize;

/// Runs of the network for its latency, after a first one.
const RUNS: usize = 50;
/// The most time that the runs may take together.
const MOST_TIME: Duration = Duration::from_secs(5);
/// Synthetic faces where no real ones are named.
const SYNTHETIC: usize = 48;

/// Quantise a network file, or look at one
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Store the weights of an ONNX file as int8, with one scale per output channel
    Quantize {
        /// Float ONNX file
        input: PathBuf,
        /// Quantised ONNX file to write
        output: PathBuf,
    },
    /// Show what a network consists of, how fast it runs, and what its card says
    Check(CheckArgs),
}

#[derive(clap::Args)]
struct CheckArgs {
    /// Model card (TOML) or ONNX file
    file: PathBuf,
    /// Float ONNX file to compare the distances with (needs a card)
    #[arg(long, value_name = "FILE")]
    float: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
    /// Take each whole picture as the face, without detection
    #[arg(long)]
    whole: bool,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    match args.command {
        Command::Quantize { input, output } => quantize_file(&input, &output),
        Command::Check(args) => check(&args),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    fs::read(path).map_err(|e| format!("cannot read {}: {e}; check the path", path.display()).into())
}

fn quantize_file(input: &Path, output: &Path) -> Result<Answer, CommandError> {
    let float = read(input)?;
    let done = quantize(&float).map_err(|e| format!("{}: {e}", input.display()))?;
    // Written beside and renamed, so that a full disk leaves no half file. For everybody to read, as models are.
    let unfinished = output.with_extension("unfinished");
    fs::write(&unfinished, &done.bytes)
        .and_then(|()| disk::swap_in(&FileSystem, &unfinished, output))
        .map_err(|e| format!("{}: {e}; choose a writable place", output.display()))?;
    say!(
        "{}: {} weights in {} tensors to int8, {} bytes to {} ({:.1} %), SHA-256 {}",
        output.display(),
        done.weights,
        done.tensors,
        float.len(),
        done.bytes.len(),
        done.bytes.len() as f64 * 100.0 / float.len() as f64,
        sha256(&done.bytes)
    );
    Ok(Answer::Done)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

#[derive(serde::Serialize)]
struct Line {
    #[serde(flatten)]
    anatomy: Anatomy,
    sha256: String,
    /// Median CPU time of one run on one thread, the crop not included. A busy machine does not change
    /// it much, time on the wall it would.
    latency_ms: f64,
    load_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    against_float: Option<Error>,
    #[serde(skip_serializing_if = "Option::is_none")]
    card: Option<Card>,
}

/// How far the distances are from those of the float network.
#[derive(serde::Serialize)]
struct Error {
    faces: usize,
    /// Whether the faces are real ones.
    real: bool,
    pairs: usize,
    mean_error: f64,
    max_error: f64,
    /// Mean distance of two people by the float network (of any two synthetic faces).
    mean_impostor_distance: f64,
    /// `mean_error` as a share of that.
    mean_error_share: f64,
}

fn check(args: &CheckArgs) -> Result<Answer, CommandError> {
    let is_card = args.file.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml"));
    if args.float.is_some() && !is_card {
        return Err(
            "--float needs a model card, which says how faces enter the network; give the .toml file".into(),
        );
    }
    let start = Instant::now();
    let (onnx, mut embedder, path) = if is_card {
        let embedder = Embedder::open(&args.file)?;
        let path = args.file.with_file_name(&embedder.card().model.file);
        (read(&path)?, Some(embedder), path)
    } else {
        (read(&args.file)?, None, args.file.clone())
    };
    let refuse = |e: String| format!("{}: {e}", path.display());
    let shape = embedder.as_ref().map(Embedder::input_shape);
    let output = embedder.as_ref().and_then(|e| e.card().output.name.clone());
    let parts = anatomy(&onnx, shape.as_ref().map(|s| s.as_slice()), output.as_deref()).map_err(refuse)?;
    let mut runner = match &mut embedder {
        Some(embedder) => Runner::Card(embedder),
        None => Runner::Bare(Box::new(crate::embed::BareNetwork::load(&onnx, &parts.input).map_err(refuse)?)),
    };
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    let latency_ms = latency(&mut runner, parts.input.iter().product()).map_err(refuse)?;
    let against_float = match (&args.float, &mut embedder) {
        (Some(float), Some(embedder)) => Some(against_float(args, embedder, float)?),
        _ => None,
    };
    let card = embedder.map(|e| e.card().clone());
    let line = Line { sha256: sha256(&onnx), anatomy: parts, latency_ms, load_ms, against_float, card };
    if args.json {
        say!("{}", serde_json::to_string(&line)?);
    } else {
        say!("{}", table(&path, &line).trim_end());
    }
    Ok(Answer::Done)
}

enum Runner<'a> {
    Card(&'a mut Embedder),
    Bare(Box<crate::embed::BareNetwork>),
}

impl Runner<'_> {
    fn run(&mut self, values: &[f32]) -> Result<(), String> {
        match self {
            Runner::Card(embedder) => embedder.embed_values(values).map(drop).map_err(|e| e.to_string()),
            Runner::Bare(network) => network.run(values).map(drop),
        }
    }
}

/// CPU time of this thread so far.
fn thread_cpu_ms() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
}

/// Median milliseconds of a run.
fn latency(runner: &mut Runner<'_>, len: usize) -> Result<f64, String> {
    let values: Vec<f32> = (0..len).map(|i| (i * 37 % 256) as f32 / 255.0).collect();
    runner.run(&values)?;
    let begin = Instant::now();
    let mut times = Vec::new();
    while times.len() < RUNS && (times.len() < 3 || begin.elapsed() < MOST_TIME) {
        let start = thread_cpu_ms();
        runner.run(&values)?;
        times.push(thread_cpu_ms() - start);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Compares the distances of many pairs by the card's network with those by a float one.
fn against_float(args: &CheckArgs, embedder: &mut Embedder, float: &Path) -> Result<Error, CommandError> {
    let bytes = read(float)?;
    let mut card = embedder.card().clone();
    card.model.file = float.file_name().unwrap_or_default().to_string_lossy().into_owned();
    card.model.sha256 = sha256(&bytes);
    let open_float = || -> Result<Embedder, CommandError> {
        Ok(Embedder::from_parts(card.clone(), &float.with_file_name("card.toml"), &bytes)?)
    };
    let metric = embedder.card().metric();
    let mut of_both: Vec<[Option<Embedding>; 2]> = Vec::new();
    let mut impostor: Vec<(usize, usize, bool)> = Vec::new();
    let real = match args.which.pairs()? {
        Some(set) => {
            let again = || -> Result<Embedder, CommandError> { Ok(Embedder::open(&args.file)?) };
            let quantised = read_all(&set.pictures, again()?, again, args.whole)?;
            let floats = read_all(&set.pictures, open_float()?, open_float, args.whole)?;
            let vector = |f: Option<crate::face::Face>| f.map(|f| f.vector);
            of_both.extend(quantised.into_iter().zip(floats).map(|(q, f)| [vector(q), vector(f)]));
            impostor.extend(set.pairs.iter().map(|p| (p.a, p.b, !p.genuine)));
            true
        }
        None => {
            let mut float = open_float()?;
            for seed in 0..SYNTHETIC {
                let (picture, face) = synthetic_face(seed as u64);
                let q = embedder.embed(picture.view(), face)?;
                of_both.push([Some(q), Some(float.embed(picture.view(), face)?)]);
            }
            let n = of_both.len();
            impostor.extend((0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b, true))));
            false
        }
    };
    let (mut sum, mut most, mut pairs) = (0.0, 0.0f64, 0);
    let (mut impostor_sum, mut impostors) = (0.0, 0);
    for (a, b, is_impostor) in impostor {
        let distance = |which: usize| {
            let (a, b) = of_both[a][which].as_ref().zip(of_both[b][which].as_ref())?;
            metric.distance(a, b).map(f64::from)
        };
        let Some((quantised, float)) = distance(0).zip(distance(1)) else { continue };
        let error = (quantised - float).abs();
        sum += error;
        most = most.max(error);
        pairs += 1;
        if is_impostor {
            impostor_sum += float;
            impostors += 1;
        }
    }
    if pairs == 0 || impostors == 0 {
        return Err("the pictures hold no two people with a face each; give others".into());
    }
    let mean_error = sum / f64::from(pairs);
    let mean_impostor_distance = impostor_sum / f64::from(impostors);
    Ok(Error {
        faces: of_both.iter().filter(|f| f[0].is_some()).count(),
        real,
        pairs: pairs as usize,
        mean_error,
        max_error: most,
        mean_impostor_distance,
        mean_error_share: mean_error / mean_impostor_distance,
    })
}

/// Something with the broad shapes of a face: an ellipse with dark spots where eyes and mouth are,
/// different for each seed. Real faces are better; these need no data.
fn synthetic_face(seed: u64) -> (Gray, Rect) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32
    };
    for _ in 0..8 {
        random();
    }
    const SIDE: usize = 160;
    // Centre x, y, radius x, y, brightness of each soft spot.
    let mut spots =
        vec![[80.0, 80.0, 45.0 + 12.0 * random(), 60.0 + 12.0 * random(), 60.0 + 90.0 * random()]];
    for (x, y) in [(60.0, 65.0), (100.0, 65.0), (80.0, 88.0), (80.0, 112.0), (80.0, 30.0), (80.0, 138.0)] {
        let mut near = |v: f32| v + 12.0 * (random() - 0.5);
        let (x, y) = (near(x), near(y));
        spots.push([x, y, 5.0 + 14.0 * random(), 4.0 + 9.0 * random(), -90.0 * random()]);
    }
    let (ground, slope) = (40.0 + 80.0 * random(), random() - 0.5);
    let pixels = (0..SIDE * SIDE)
        .map(|i| {
            let (x, y) = ((i % SIDE) as f32, (i / SIDE) as f32);
            let light = spots.iter().map(|[cx, cy, rx, ry, bright]| {
                let d = ((x - cx) / rx).powi(2) + ((y - cy) / ry).powi(2);
                bright * (-0.5 * d).exp()
            });
            (ground + slope * (x - 80.0) + light.sum::<f32>()).clamp(0.0, 255.0) as u8
        })
        .collect();
    let picture = Gray::from_pixels(SIDE, SIDE, pixels).unwrap_or_default();
    (picture, Rect::new(20, 20, 120, 120))
}

fn table(path: &Path, line: &Line) -> String {
    let a = &line.anatomy;
    let product = a.input.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
    let operators: Vec<String> = a.operators.iter().map(|(op, n)| format!("{op} {n}")).collect();
    let mut text = format!(
        "file           {}\nSHA-256        {}\nsize           {} bytes\ninput, output  {product}, {} values\n\
         parameters     {}, of these {} in 8 bits\nmultiply-adds  {:.1} million\narithmetic     {}\n\
         convolutions   {}\noperators      {}\nlatency        {:.2} ms of CPU time, one thread (loaded in {:.0} ms)\n",
        path.display(),
        line.sha256,
        a.bytes,
        a.output,
        a.parameters,
        a.parameters_int8,
        a.multiply_adds as f64 / 1e6,
        a.arithmetic,
        a.convolutions,
        operators.join(", "),
        line.latency_ms,
        line.load_ms,
    );
    if let Some(e) = &line.against_float {
        text += &format!(
            "against float  distance error {:.5} on average, {:.5} at most, over {} pairs of {} {} faces; that is \
             {:.2} % of the mean distance of two people ({:.4})\n",
            e.mean_error,
            e.max_error,
            e.pairs,
            e.faces,
            if e.real { "real" } else { "synthetic" },
            e.mean_error_share * 100.0,
            e.mean_impostor_distance,
        );
    }
    if let Some(card) = &line.card {
        let t = &card.thresholds;
        let thresholds: Vec<String> = t.at_fmr.iter().map(|(fmr, s)| format!("{s} at FMR {fmr}")).collect();
        text += &format!(
            "\ncard           {}\nmetric         {:?}\nthresholds     {}; default FMR {}; attempt {}\n",
            card.model.name,
            card.output.metric,
            thresholds.join(", "),
            t.default_fmr,
            t.attempt
        );
        let training = &card.training;
        for (name, words) in [
            ("origin", &training.origin),
            ("terms", &training.terms),
            ("results", &training.results),
            ("train your own", &training.train_your_own),
        ] {
            if !words.is_empty() {
                text += &format!("{name:<14} {}\n", words.trim());
            }
        }
    }
    text
}
