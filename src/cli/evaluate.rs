//! `facelatch evaluate`: how well the network tells people apart, on pictures whose people are known.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use image::RgbImage;

use super::compare::ModelArgs;
use super::progress::ProgressLine;
use super::{Answer, CommandError};
use crate::draw::png_bytes;
use crate::embed::Embedder;
use crate::evaluate::report::{WorstPair, det, face_tile, roc, score_histogram, worst_sheet};
use crate::evaluate::{EvaluationReport, Pair, PairScore, PairSet, pairs};
use crate::face::{Face, FaceReader};
use crate::picture_file::load_gray;
use facelatch_host::say;

/// Pairs of each kind on the sheet of the worst pairs.
const WORST: usize = 12;

/// Measure how well the network distinguishes people
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// Take each whole picture as the face, without detection
    #[arg(long)]
    whole: bool,
    #[command(flatten)]
    model: ModelArgs,
    /// Write det.png, roc.png, scores.png and worst-pairs.png into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

/// Which pictures are compared.
#[derive(clap::Args)]
pub struct Which {
    /// Folder of LFW's pictures, NAME/NAME_0001.jpg
    #[arg(long, value_name = "DIR", requires = "pairs")]
    lfw_root: Option<PathBuf>,
    /// List of pairs in LFW's format
    #[arg(long, value_name = "FILE", requires = "lfw_root")]
    pairs: Option<PathBuf>,
    /// Folder that holds a folder of pictures for each person; all pairs are compared
    #[arg(long, value_name = "DIR", conflicts_with_all = ["lfw_root", "pairs"])]
    subjects: Option<PathBuf>,
}

impl Which {
    /// The pairs asked for, `None` when none were.
    pub fn pairs(&self) -> Result<Option<PairSet>, CommandError> {
        Ok(match (&self.lfw_root, &self.pairs, &self.subjects) {
            (Some(root), Some(list), _) => Some(pairs::lfw(root, list)?),
            (_, _, Some(folder)) => Some(pairs::subjects(folder)?),
            _ => None,
        })
    }
}

#[derive(serde::Serialize)]
struct Line {
    #[serde(flatten)]
    report: EvaluationReport,
    pictures: usize,
    pictures_without_face: usize,
    model: String,
    model_hash: String,
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let set = args.which.pairs()?.ok_or("give either --lfw-root DIR with --pairs FILE, or --subjects DIR")?;
    let first = args.model.open()?;
    let threshold = args.model.threshold(first.card())?;
    let metric = first.card().metric();
    let (model, model_hash) = (first.card().model.name.clone(), first.model_hash().to_string());
    let faces = read_all(&set.pictures, first, || args.model.open(), args.whole)?;
    let scores: Vec<PairScore> = set
        .pairs
        .iter()
        .map(|pair| PairScore {
            genuine: pair.genuine,
            similarity: faces[pair.a]
                .as_ref()
                .zip(faces[pair.b].as_ref())
                .and_then(|(a, b)| metric.similarity(&a.vector, &b.vector)),
        })
        .collect();
    let report = EvaluationReport::new(&scores, threshold);
    if let Some(folder) = &args.out {
        fs::create_dir_all(folder)
            .map_err(|e| format!("{}: {e}; choose a writable folder", folder.display()))?;
        write(folder, "det.png", &det(&scores, &report, &model))?;
        write(folder, "roc.png", &roc(&scores, &report, &model))?;
        write(folder, "scores.png", &score_histogram(&scores, &report))?;
        write(folder, "worst-pairs.png", &worst(&set, &scores, &faces, &model)?)?;
    }
    let line = Line {
        report,
        pictures: faces.len(),
        pictures_without_face: faces.iter().filter(|f| f.is_none()).count(),
        model,
        model_hash,
    };
    if args.json {
        say!("{}", serde_json::to_string(&line)?);
    } else {
        say!("{}", table(&line).trim_end());
    }
    Ok(Answer::Done)
}

/// The face of every picture, each read once, on all cores. Where pictures cannot be read, the error is
/// that of the first of them in the list, whichever worker was quicker.
pub fn read_all(
    pictures: &[PathBuf],
    first: Embedder,
    another: impl Fn() -> Result<Embedder, CommandError>,
    whole: bool,
) -> Result<Vec<Option<Face>>, CommandError> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(pictures.len()).max(1);
    let mut readers = vec![FaceReader::new(first, whole)];
    while readers.len() < workers {
        readers.push(FaceReader::new(another()?, whole));
    }
    let next = AtomicUsize::new(0);
    let progress = ProgressLine::new("pictures read", pictures.len());
    type Part = Result<Vec<(usize, Option<Face>)>, (usize, CommandError)>;
    let parts: Vec<Part> = std::thread::scope(|scope| {
        let work = |mut reader: FaceReader| {
            let (next, progress) = (&next, &progress);
            move || -> Part {
                let mut done = Vec::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(path) = pictures.get(index) else { return Ok(done) };
                    match reader.read(path) {
                        Ok(face) => {
                            done.push((index, face));
                            progress.step();
                        }
                        Err(error) => {
                            // The other workers finish the pictures they hold, all that come before this one
                            // among them, and need not go on.
                            next.store(pictures.len(), Ordering::Relaxed);
                            return Err((index, error.into()));
                        }
                    }
                }
            }
        };
        let running: Vec<_> = readers.into_iter().map(|reader| scope.spawn(work(reader))).collect();
        running
            .into_iter()
            .map(|w| w.join().unwrap_or_else(|_| Err((0, "a worker stopped; please report this".into()))))
            .collect()
    });
    let mut faces = vec![None; pictures.len()];
    let mut first_error: Option<(usize, CommandError)> = None;
    for part in parts {
        match part {
            Ok(done) => done.into_iter().for_each(|(index, face)| faces[index] = face),
            Err((index, error)) => {
                if first_error.as_ref().is_none_or(|(first, _)| index < *first) {
                    first_error = Some((index, error));
                }
            }
        }
    }
    first_error.map_or(Ok(faces), |(_, error)| Err(error))
}

/// Writes a picture as PNG.
pub fn write(folder: &Path, name: &str, picture: &RgbImage) -> Result<(), CommandError> {
    let path = folder.join(name);
    fs::write(&path, png_bytes(picture)?)
        .map_err(|e| format!("{}: {e}; choose a writable folder", path.display()).into())
}

/// The sheet of the pairs that the network gets most wrong.
fn worst(
    set: &PairSet,
    scores: &[PairScore],
    faces: &[Option<Face>],
    model: &str,
) -> Result<RgbImage, CommandError> {
    let ranked = |genuine: bool| -> Vec<(Pair, f32)> {
        let mut found: Vec<(Pair, f32)> = set
            .pairs
            .iter()
            .zip(scores)
            .filter(|(p, _)| p.genuine == genuine)
            .filter_map(|(p, s)| Some((*p, s.similarity?)))
            .collect();
        found.sort_by(|a, b| a.1.total_cmp(&b.1));
        if !genuine {
            found.reverse();
        }
        found.truncate(WORST);
        found
    };
    let tile = |picture: usize| -> Result<RgbImage, CommandError> {
        let gray = load_gray(&set.pictures[picture])?;
        Ok(face_tile(&gray, faces[picture].as_ref().map(|f| f.place)))
    };
    let name = |picture: usize| {
        let path = &set.pictures[picture];
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let file = path.file_stem().unwrap_or_default().to_string_lossy();
        // LFW's file names already begin with the person's.
        if file.starts_with(&*folder) { file.into_owned() } else { format!("{folder}/{file}") }
    };
    let pair = |pair: Pair, caption: String| -> Result<WorstPair, CommandError> {
        Ok(WorstPair { faces: [tile(pair.a)?, tile(pair.b)?], names: [name(pair.a), name(pair.b)], caption })
    };
    let with_score = |(p, similarity): (Pair, f32)| pair(p, format!("similarity {similarity:.3}"));
    let unseen = set.pairs.iter().zip(scores).filter(|(_, s)| s.similarity.is_none()).take(WORST);
    let sections = vec![
        (
            "One person, least alike".to_string(),
            ranked(true).into_iter().map(with_score).collect::<Result<_, _>>()?,
        ),
        (
            "Two people, most alike".to_string(),
            ranked(false).into_iter().map(with_score).collect::<Result<_, _>>()?,
        ),
        (
            "A face was not found".to_string(),
            unseen.map(|(p, _)| pair(*p, "no score".into())).collect::<Result<_, _>>()?,
        ),
    ];
    Ok(worst_sheet(&format!("Worst pairs of {model}"), &sections))
}

/// The report for people.
fn table(line: &Line) -> String {
    let r = &line.report;
    let share = |name: &str, value: Option<f64>, interval: Option<(f64, f64)>| match value {
        None => format!("{name:<34} -\n"),
        Some(value) => {
            let interval = interval.map_or(String::new(), |(low, high)| {
                format!("  ({:.2} to {:.2})", low * 100.0, high * 100.0)
            });
            format!("{name:<34} {:6.2} %{interval}\n", value * 100.0)
        }
    };
    let mut text = format!(
        "{} ({}): {} pairs, {} genuine and {} impostor, of {} pictures; {} without a face, {} pairs undetected\n",
        line.model,
        line.model_hash,
        r.pairs,
        r.genuine,
        r.impostor,
        line.pictures,
        line.pictures_without_face,
        r.undetected,
    );
    text += "with 95 % intervals; pairs without a face count as errors\n";
    text += &share("accuracy (cross-validated)", Some(r.accuracy), Some(r.accuracy_interval));
    let at = format!("accuracy at threshold {:.4}", r.threshold);
    text += &share(&at, Some(r.accuracy_at_threshold), Some(r.accuracy_at_threshold_interval));
    text += &share("  FMR there", r.fmr_at_threshold, Some(r.fmr_at_threshold_interval));
    text += &share("  FNMR there", r.fnmr_at_threshold, Some(r.fnmr_at_threshold_interval));
    text += &share("area under the ROC curve", r.auc, r.auc_interval);
    text += &share("equal error rate", r.eer, r.eer_interval);
    for (fmr, tar) in &r.tar_at_fmr {
        let name = format!("TAR at FMR {fmr} (from {:.4} on)", r.threshold_at_fmr[fmr]);
        text += &share(&name, Some(*tar), r.tar_at_fmr_interval.get(fmr).copied());
    }
    text
}
