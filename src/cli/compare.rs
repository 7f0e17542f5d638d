//! `facelatch compare`: whether two pictures show one person.

use std::path::{Path, PathBuf};

use super::{Answer, CommandError};
use crate::embed::{Card, Embedder};
use crate::face::{Face, FaceReader};
use facelatch_host::say;

/// Check whether two pictures show the same person
///
/// Exit status 0: they match; 1: they do not; 2: a picture cannot be read or shows no face.
#[derive(clap::Args)]
pub(super) struct Args {
    /// First picture
    a: PathBuf,
    /// Second picture
    b: PathBuf,
    /// Take each whole picture as the face, without detection
    #[arg(long)]
    whole: bool,
    #[command(flatten)]
    model: ModelArgs,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Which network, and how strict.
#[derive(clap::Args)]
pub struct ModelArgs {
    /// Model card (TOML) of the network to use [default: the one within facelatch]
    #[arg(long, value_name = "CARD")]
    model: Option<PathBuf>,
    /// False-match rate per comparison whose threshold in the card is used [default: the card's]
    #[arg(long, value_name = "RATE", conflicts_with = "threshold")]
    fmr: Option<f64>,
    /// Lowest similarity (1 - distance) at which two faces match [default: the card's]
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    threshold: Option<f32>,
}

impl ModelArgs {
    /// Opens the network.
    pub fn open(&self) -> Result<Embedder, CommandError> {
        Ok(match &self.model {
            Some(card) => Embedder::open(card)?,
            None => Embedder::embedded_default()?,
        })
    }

    /// The threshold asked for.
    pub fn threshold(&self, card: &Card) -> Result<f32, CommandError> {
        if let Some(threshold) = self.threshold {
            if !threshold.is_finite() {
                return Err("--threshold: give a finite similarity, such as 0.5".into());
            }
            return Ok(threshold);
        }
        let Some(fmr) = self.fmr else { return Ok(card.default_threshold()) };
        card.threshold_at_fmr(fmr).ok_or_else(|| {
            let known: Vec<&str> = card.thresholds.at_fmr.keys().map(String::as_str).collect();
            format!("--fmr {fmr}: the model card has no rate that low, only {}", known.join(", ")).into()
        })
    }
}

#[derive(serde::Serialize)]
struct Line {
    distance: f32,
    similarity: f32,
    r#match: bool,
    threshold: f32,
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let embedder = args.model.open()?;
    let threshold = args.model.threshold(embedder.card())?;
    let metric = embedder.card().metric();
    let mut reader = FaceReader::new(embedder, args.whole);
    let a = face(&mut reader, &args.a)?;
    let b = face(&mut reader, &args.b)?;
    let distance = metric
        .distance(&a.vector, &b.vector)
        .ok_or("the network gave zero vectors, which cannot be compared; use another one")?;
    let similarity = 1.0 - distance;
    let matches = similarity >= threshold;
    if args.json {
        let line = Line { distance, similarity, r#match: matches, threshold };
        say!("{}", serde_json::to_string(&line)?);
    } else {
        let verdict = if matches { "match" } else { "no match" };
        say!("{verdict}: similarity {similarity:.4}, threshold {threshold:.4} (distance {distance:.4})");
    }
    Ok(if matches { Answer::Done } else { Answer::No })
}

fn face(reader: &mut FaceReader, path: &Path) -> Result<Face, CommandError> {
    reader.read(path)?.ok_or_else(|| {
        format!(
            "{}: no face found; give a picture with an upright face, or --whole if it shows nothing but one",
            path.display()
        )
        .into()
    })
}
