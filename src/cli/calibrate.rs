//! `facelatch calibrate`: what this door's model, threshold and 15-frame rule are worth for people the
//! operator has pictures or recordings of.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::evaluate::{read_all, write};
use super::pipeline::Pipeline;
use super::progress::ProgressLine;
use super::{Answer, CONFIG_PATH, CommandError};
use crate::attempt::{Simulation, Watched};
use crate::camera::Recording;
use crate::embed::Embedder;
use crate::evaluate::calibration::{Claim, Rate, Trial, Trials, Unsupported};
use crate::evaluate::report::trade_off;
use crate::face::Face;
use crate::matching::{Gallery, Metric};
use crate::picture_file::list_pictures;
use facelatch_host::say;

/// Measure the installed model, threshold and 15-frame rule on your own people
///
/// DIR holds a folder for each person. Pictures in it are compared with one another: false match and
/// false non-match rate (FMR, FNMR) per comparison. Recordings in it (AVI, Y4M, or a folder of frames
/// each) are walk-ups: the first by name enrols the person, each other one is an attempt to come in, with
/// the person enrolled (false reject rate, FRR) and without (false accept rate, FAR). Who has one
/// recording only is a stranger. Answers "no" (exit status 1) where a target cannot be claimed.
#[derive(clap::Args)]
pub(super) struct Args {
    /// A folder that holds a folder for each person
    #[arg(value_name = "DIR")]
    people: PathBuf,
    /// The configuration; else the installed one, or the defaults where none is installed
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Find the threshold for which this false match rate per comparison can be claimed (0.001 is 0.1 %)
    #[arg(long, value_name = "RATE", value_parser = rate)]
    target_fmr: Option<f64>,
    /// Find the threshold for which this false accept rate per attempt can be claimed
    #[arg(long, value_name = "RATE", value_parser = rate)]
    target_far: Option<f64>,
    /// Take each whole picture as the face, without detection
    #[arg(long)]
    whole: bool,
    /// Frames a second of recordings that are folders
    #[arg(long, value_name = "FPS", default_value_t = 20.0)]
    rate: f64,
    /// Write det-comparisons.png and det-attempts.png into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate < 1.0 => Ok(rate),
        _ => Err("give a share above 0 and below 1, such as 0.001 for 0.1 %".into()),
    }
}

/// One person's pictures and recordings.
struct Person {
    name: String,
    pictures: Vec<PathBuf>,
    clips: Vec<PathBuf>,
}

/// What was measured, per comparison or per attempt.
#[derive(Serialize)]
struct Measured {
    /// People with trials of this kind.
    people: usize,
    /// The similarity at which a door with this configuration matches, for one person enrolled.
    threshold: f64,
    /// FMR per comparison or FAR per attempt, at that threshold.
    false_accepts: Option<Rate>,
    /// FNMR per comparison or FRR per attempt, at that threshold.
    false_rejects: Option<Rate>,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<Answered>,
    #[serde(skip)]
    impostors: Trials,
    #[serde(skip)]
    genuine: Trials,
}

/// The answer about a target.
#[derive(Serialize)]
#[serde(untagged)]
enum Answered {
    Supported {
        #[serde(flatten)]
        claim: Claim,
        /// The other rate at that threshold.
        false_rejects: Option<Rate>,
    },
    Refused {
        refused: String,
        #[serde(flatten)]
        why: Unsupported,
    },
}

#[derive(Serialize)]
struct EvaluationReport {
    model: String,
    model_hash: String,
    comparisons: Option<Measured>,
    attempts: Option<Measured>,
    /// Who could not be enrolled, and why.
    not_enrolled: Vec<(String, String)>,
    /// What that means, in plain words.
    plain: String,
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let people = people(&args.people)?;
    let installed = Path::new(CONFIG_PATH);
    let config = args.config.as_deref().or_else(|| installed.is_file().then_some(installed));
    let pipeline = Pipeline::load(config)?;
    let (card, hash) = (pipeline.card().clone(), pipeline.model.hash);
    let comparisons = comparisons(&people, &args, config, card.default_threshold(), card.metric())?;
    let (attempts, not_enrolled) = attempts(&people, &args, pipeline)?;
    if comparisons.is_none() && attempts.is_none() {
        return Err(format!(
            "{}: nothing to measure: give at least two people with pictures, or a recording each; {}",
            args.people.display(),
            "use the layout DIR/NAME/picture.jpg and DIR/NAME/recording (see facelatch calibrate --help)"
        )
        .into());
    }
    for (measured, target, option) in [
        (&comparisons, args.target_fmr, "--target-fmr: no two people have pictures to compare"),
        (&attempts, args.target_far, "--target-far: there is no recording of a stranger's attempt"),
    ] {
        if target.is_some() && measured.as_ref().is_none_or(|m| m.impostors.is_empty()) {
            return Err(format!("{}: {option}", args.people.display()).into());
        }
    }
    if let Some(folder) = &args.out {
        fs::create_dir_all(folder)
            .map_err(|e| format!("{}: {e}; choose a writable folder", folder.display()))?;
        for (measured, what) in [(&comparisons, "comparison"), (&attempts, "attempt")] {
            let Some(m) = measured else { continue };
            let picture = trade_off(&m.genuine, &m.impostors, m.threshold, what);
            write(folder, &format!("det-{what}s.png"), &picture)?;
        }
    }
    let plain = plain(comparisons.as_ref(), attempts.as_ref());
    let (model, model_hash) = (card.model.name, hash.to_string());
    let report = EvaluationReport { model, model_hash, comparisons, attempts, not_enrolled, plain };
    if args.json {
        say!("{}", serde_json::to_string(&report)?);
    } else {
        say!("{}", report.table().trim_end());
    }
    let refused =
        |m: &Option<Measured>| m.as_ref().is_some_and(|m| matches!(m.claim, Some(Answered::Refused { .. })));
    Ok(if refused(&report.comparisons) || refused(&report.attempts) { Answer::No } else { Answer::Done })
}

/// The people of a folder, by name.
fn people(folder: &Path) -> Result<Vec<Person>, CommandError> {
    let unreadable = |e| format!("{}: cannot be read: {e}; give a folder of people", folder.display());
    let mut people = Vec::new();
    for path in sorted(folder).map_err(unreadable)? {
        if !path.is_dir() {
            continue;
        }
        let entries = sorted(&path).map_err(|e| format!("{}: cannot be read: {e}", path.display()))?;
        let is_clip = |p: &PathBuf| {
            let kind = p.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
            p.is_dir() || matches!(kind.as_deref(), Some("avi" | "y4m"))
        };
        people.push(Person {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            pictures: list_pictures(&path)?,
            clips: entries.into_iter().filter(is_clip).collect(),
        });
    }
    Ok(people)
}

fn sorted(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|e| Ok(e?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// All pictures with one another.
fn comparisons(
    people: &[Person],
    args: &Args,
    config: Option<&Path>,
    threshold: f32,
    metric: Metric,
) -> Result<Option<Measured>, CommandError> {
    let mut owners = Vec::new();
    let mut paths = Vec::new();
    for (number, person) in people.iter().enumerate() {
        owners.extend(person.pictures.iter().map(|_| number));
        paths.extend(person.pictures.iter().cloned());
    }
    let most = crate::evaluate::pairs::MOST_PAIRS;
    let pairs = paths.len().saturating_mul(paths.len().saturating_sub(1)) / 2;
    if pairs == 0 {
        return Ok(None);
    }
    if pairs > most {
        let n = paths.len();
        return Err(format!(
            "{}: its {n} pictures make {pairs} comparisons, the limit is {most}; give fewer",
            args.people.display()
        )
        .into());
    }
    let another = || -> Result<Embedder, CommandError> { Ok(Pipeline::load(config)?.into_embedder()) };
    let faces: Vec<Option<Face>> = read_all(&paths, another()?, another, args.whole)?;
    let (mut genuine, mut impostors) = (Vec::new(), Vec::new());
    for a in 0..faces.len() {
        for b in a + 1..faces.len() {
            let score = faces[a]
                .as_ref()
                .zip(faces[b].as_ref())
                .and_then(|(a, b)| metric.similarity(&a.vector, &b.vector));
            let trial = Trial { unit: (owners[a], owners[b]), score };
            if owners[a] == owners[b] { genuine.push(trial) } else { impostors.push(trial) }
        }
    }
    let people = owners.iter().collect::<std::collections::BTreeSet<_>>().len();
    let (genuine, impostors) = (genuine.into_iter().collect(), impostors.into_iter().collect());
    Ok(Some(Measured::new(people, f64::from(threshold), genuine, impostors, args.target_fmr)))
}

/// Every recording but the ones that enrol, before the door with its person enrolled and without.
#[allow(clippy::type_complexity)]
fn attempts(
    people: &[Person],
    args: &Args,
    pipeline: Pipeline,
) -> Result<(Option<Measured>, Vec<(String, String)>), CommandError> {
    let size = Some((pipeline.config.camera.width, pipeline.config.camera.height));
    let threshold = f64::from(pipeline.rules.window.threshold);
    // Error rates of identity: they hold for whoever is alive.
    let mut simulation = pipeline.without_liveness().simulation();
    // Who is who is given.
    simulation.enrol_anyway();
    let mut not_enrolled = Vec::new();
    // Attempts with the person's number.
    let mut walks: Vec<(usize, Vec<Watched>)> = Vec::new();
    let mut ids = vec![None; people.len()];
    let progress =
        ProgressLine::new("recordings watched", people.iter().map(|person| person.clips.len()).sum());
    for (number, person) in people.iter().enumerate() {
        let mut clips = person.clips.as_slice();
        let watch = |simulation: &mut Simulation, path: &Path| -> Result<Vec<Watched>, CommandError> {
            let clip = simulation.watch(&mut Recording::open(path, args.rate, size, false)?)?;
            progress.step();
            Ok(clip)
        };
        if let [first, _, ..] = clips {
            let clip = watch(&mut simulation, first)?;
            // Folders may be called what nobody can be.
            match simulation.enrol_watched(&numbered(number), &clip)? {
                Ok(id) => ids[number] = Some(id),
                Err(reason) => not_enrolled.push((person.name.clone(), reason)),
            }
            clips = &clips[1..];
        }
        for path in clips {
            walks.push((number, watch(&mut simulation, path)?));
        }
    }
    drop(progress);
    let everybody = Arc::new(simulation.gallery().clone());
    if walks.is_empty() || everybody.subjects().is_empty() {
        return Ok((None, not_enrolled));
    }
    let (mut genuine, mut impostors) = (Vec::new(), Vec::new());
    let (mut rejected, mut accepted) = (Vec::new(), Vec::new());
    let progress = ProgressLine::new("attempts played", walks.len());
    for (attempt, (number, clip)) in walks.iter().enumerate() {
        progress.step();
        let mut others = Gallery::clone(&everybody);
        if let Some(id) = ids[*number] {
            let unit = (attempt, attempt);
            let score = simulation.peaks(&everybody, clip).get(&id).copied();
            genuine.push(Trial { unit, score });
            let released = simulation.release_of(&everybody, clip) == Some(id);
            rejected.push(Trial { unit, score: released.then_some(f32::MAX) });
            let _ = others.remove(&numbered(*number))?;
        }
        if others.subjects().is_empty() {
            continue;
        }
        let unit = (*number, *number);
        let score = simulation.peaks(&others, clip).into_values().max_by(f32::total_cmp);
        impostors.push(Trial { unit, score });
        let released = simulation.release_of(&Arc::new(others), clip).is_some();
        accepted.push(Trial { unit, score: released.then_some(f32::MAX) });
    }
    drop(progress);
    let count = walks.iter().map(|(number, _)| number).collect::<std::collections::BTreeSet<_>>().len();
    let (genuine, impostors) = (genuine.into_iter().collect(), impostors.into_iter().collect());
    let mut measured = Measured::new(count, threshold, genuine, impostors, args.target_far);
    // At the door's own threshold the whole door was asked, with everything else that denies.
    measured.false_rejects = rejected.into_iter().collect::<Trials>().rejected(0.0);
    measured.false_accepts = accepted.into_iter().collect::<Trials>().accepted(0.0);
    Ok((Some(measured), not_enrolled))
}

/// What a person is called before the simulated door.
fn numbered(number: usize) -> String {
    format!("person {number}")
}

impl Measured {
    fn new(people: usize, threshold: f64, genuine: Trials, impostors: Trials, target: Option<f64>) -> Self {
        let claim = target.map(|target| match impostors.threshold_for(target) {
            Ok(claim) => Answered::Supported { false_rejects: genuine.rejected(claim.threshold), claim },
            Err(why) => Answered::Refused { refused: why.to_string(), why },
        });
        Measured {
            people,
            threshold,
            false_accepts: impostors.accepted(threshold),
            false_rejects: genuine.rejected(threshold),
            claim,
            impostors,
            genuine,
        }
    }
}

impl EvaluationReport {
    fn table(&self) -> String {
        let mut text = format!("{} ({})\n", self.model, self.model_hash);
        let sections =
            [(&self.comparisons, "comparison", ["FMR", "FNMR"]), (&self.attempts, "attempt", ["FAR", "FRR"])];
        for (measured, what, names) in sections {
            let Some(m) = measured else {
                text += &format!("per {what}: nothing to measure\n");
                continue;
            };
            text += &format!("per {what}, {} people, at the threshold {:.4}:\n", m.people, m.threshold);
            for (name, rate) in names.iter().zip([m.false_accepts, m.false_rejects]) {
                text += &row(name, rate);
            }
            match &m.claim {
                None => {}
                Some(Answered::Supported { claim, false_rejects }) => {
                    text += &format!(
                        "  {} of at most {} holds with 95 % confidence at or above the threshold {:.4} (at most {:.4} %):\n",
                        names[0],
                        claim.target,
                        claim.threshold,
                        claim.at_most * 100.0
                    );
                    text += &row(names[0], Some(claim.rate));
                    text += &row(names[1], *false_rejects);
                }
                Some(Answered::Refused { refused, .. }) => text += &format!("  {}: {refused}\n", names[0]),
            }
        }
        for (name, reason) in &self.not_enrolled {
            text += &format!("not enrolled: {name}: {reason}\n");
        }
        text += &format!("in plain words: {}\n", self.plain);
        text += "95 % intervals (Clopper-Pearson) for independent trials: comparisons of the same person, or of \
                 the same two people, count as one, and so do attempts of one stranger\n";
        text
    }
}

/// What the figures mean, in one sentence: of attempts where there are any, else of comparisons.
fn plain(comparisons: Option<&Measured>, attempts: Option<&Measured>) -> String {
    let words = |m: &Measured, [strange, let_in, own, kept_out]: [&str; 4]| {
        let part = |rate: Option<Rate>, who: &str, what: &str| match rate {
            None => format!("nothing is known of {who}"),
            Some(Rate { errors: 0, trials, interval, .. }) => {
                format!("none of {trials} {who} was {what} (up to {} could be)", one_in(interval.1))
            }
            Some(Rate { errors, trials, share, interval, .. }) => format!(
                "{errors} of {trials} {who} {} {what}, {} (up to {} could be)",
                if errors == 1 { "was" } else { "were" },
                one_in(share),
                one_in(interval.1)
            ),
        };
        format!("{}; {}", part(m.false_accepts, strange, let_in), part(m.false_rejects, own, kept_out))
    };
    let of_attempts = ["attempts by strangers", "let in", "attempts by people enrolled", "kept out"];
    let of_pictures =
        ["pairs of two people", "taken for one person", "pairs of one person", "taken for two people"];
    match (attempts, comparisons) {
        (Some(m), _) => words(m, of_attempts),
        (None, Some(m)) => words(m, of_pictures),
        (None, None) => "nothing was measured".to_owned(),
    }
}

/// A share as people say it.
fn one_in(share: f64) -> String {
    if share >= 0.095 {
        format!("{:.0} in 100", share * 100.0)
    } else {
        format!("1 in {:.0}", 1.0 / share.max(1e-9))
    }
}

fn row(name: &str, rate: Option<Rate>) -> String {
    let Some(rate) = rate else { return format!("  {name:<5}no trial\n") };
    let (low, high) = rate.interval;
    format!(
        "  {name:<5}{:8.3} % ({:.3} to {:.3}), {} of {}, worth {:.0} independent\n",
        rate.share * 100.0,
        low * 100.0,
        high * 100.0,
        rate.errors,
        rate.trials,
        rate.independent
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_figures_mean_is_said_in_a_sentence() {
        let trials = |errors: usize, of: usize| -> Trials {
            let score = |n| Some(if n < errors { 1.0 } else { 0.0 });
            (0..of).map(|n| Trial { unit: (n, n), score: score(n) }).collect()
        };
        // Impostors at or above the threshold are errors, and genuine ones below it.
        let measured = |accepted: usize, rejected: usize| {
            Measured::new(9, 0.5, trials(100 - rejected, 100), trials(accepted, 100), None)
        };
        let attempts = measured(0, 3);
        assert_eq!(
            plain(None, Some(&attempts)),
            "none of 100 attempts by strangers was let in (up to 1 in 28 could be); 3 of 100 attempts by people \
             enrolled were kept out, 1 in 33 (up to 1 in 12 could be)"
        );
        let pairs = measured(1, 40);
        assert_eq!(
            plain(Some(&pairs), None),
            "1 of 100 pairs of two people was taken for one person, 1 in 100 (up to 1 in 18 could be); 40 of 100 pairs \
             of one person were taken for two people, 40 in 100 (up to 50 in 100 could be)"
        );
        assert_eq!(plain(Some(&pairs), Some(&attempts)), plain(None, Some(&attempts)));
        let none = Measured::new(0, 0.5, trials(0, 1), trials(0, 0), None);
        assert!(plain(None, Some(&none)).starts_with("nothing is known of attempts by strangers; 1 of 1"));
    }
}
