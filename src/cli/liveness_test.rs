//! `facelatch liveness-test`: what the liveness check does to recordings of people and of attacks.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde_json::json;

use super::pipeline::Pipeline;
use super::{Answer, CommandError, print_json};
use crate::attempt::Simulation;
use crate::camera::Recording;
use crate::embed::card::ColourOrder;
use crate::embed::{LivenessNetwork, Pixels};
use crate::evaluate::intervals::clopper_pearson;
use crate::face::FaceFinder;
use crate::liveness::fusion::MIN_STILL_EVIDENCE;
use crate::liveness::{Cue, CueSet, Cues, Evidence, Liveness, LivenessRules, Watch};
use crate::picture_file::{load_gray, load_rgb};
use facelatch_host::say;

/// Test the liveness check with recordings of people and of photographs, screens and masks
///
/// Each DIR holds recordings (folders of frames, AVI or Y4M), or is one. The verdict of a recording is the
/// first clear one of a full window, as at the door. In the terms of ISO/IEC 30107-3: APCER is the share
/// of attacks of one kind called alive, BPCER the share of living people called a picture; a recording
/// without a clear verdict is a non-response. Intervals are Clopper and Pearson's, 95 %; they hold for
/// recordings of different people and occasions.
#[derive(ClapArgs)]
pub(super) struct Args {
    /// Recordings of living people; may be given several times
    #[arg(long, value_name = "DIR")]
    live: Vec<PathBuf>,
    /// Recordings of attacks of the kind KIND; may be given several times
    #[arg(long, value_name = "KIND=DIR", value_parser = kind_and_path)]
    attack: Vec<(String, PathBuf)>,
    /// Treat each picture as a presentation of its own: without motion, by texture, patterns and network alone, the face found as in a portrait
    #[arg(long)]
    stills: bool,
    /// Also judge by each cue alone
    #[arg(long)]
    ablation: bool,
    /// Frames a second of folders
    #[arg(long, value_name = "FPS", default_value_t = 20.0)]
    rate: f64,
    /// A configuration instead of the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One JSON object per line instead of text
    #[arg(long)]
    json: bool,
}

fn kind_and_path(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((kind, path)) if !kind.is_empty() && !path.is_empty() => Ok((kind.to_owned(), path.into())),
        _ => Err("write KIND=DIR".to_owned()),
    }
}

/// The presentations of one kind: `None` for living people.
struct Class {
    attack: Option<String>,
    /// The evidence of each full window of each presentation.
    presentations: Vec<Vec<Evidence>>,
}

/// What became of the presentations of a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    live: usize,
    spoof: usize,
    unsure: usize,
}

impl Counts {
    fn of(presentations: &[Vec<Evidence>], rules: &LivenessRules) -> Self {
        let mut counts = Counts::default();
        for windows in presentations {
            // As at the door: the first clear verdict counts.
            let clear =
                windows.iter().map(|w| w.judge(rules)).find(|v| !matches!(v, Liveness::NotSure { .. }));
            match clear {
                Some(Liveness::Live { .. }) => counts.live += 1,
                Some(Liveness::Spoof { .. }) => counts.spoof += 1,
                Some(Liveness::NotSure { .. }) | None => counts.unsure += 1,
            }
        }
        counts
    }

    fn all(self) -> usize {
        self.live + self.spoof + self.unsure
    }
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    if args.live.is_empty() && args.attack.is_empty() {
        return Err("nothing to test: give --live DIR, --attack KIND=DIR or both".into());
    }
    let pipeline = Pipeline::load(args.config.as_deref())?;
    let Some(rules) = pipeline.rules.liveness else {
        return Err("the configuration turns the liveness check off: set liveness.check = true".into());
    };
    let kinds = args.attack.iter().map(|(kind, dir)| (Some(kind.clone()), dir));
    let mut classes: Vec<Class> = Vec::new();
    let mut player = Player::new(pipeline, &args);
    for (attack, dir) in args.live.iter().map(|dir| (None, dir)).chain(kinds) {
        let mut presentations = Vec::new();
        for path in recordings(dir, args.stills)? {
            presentations.push(player.evidence(&path)?);
        }
        match classes.iter_mut().find(|class| class.attack == attack) {
            Some(class) => class.presentations.extend(presentations),
            None => classes.push(Class { attack, presentations }),
        }
    }
    let all = if args.stills { stills(rules) } else { rules };
    report(&classes, "all", &all, args.json);
    if args.ablation {
        for cue in Cue::ALL {
            report(&classes, cue.name(), &alone(rules, cue), args.json);
        }
    }
    Ok(Answer::Done)
}

/// A still has no motion to wait for, and fewer cues: one number decides.
fn stills(rules: LivenessRules) -> LivenessRules {
    let cues = CueSet { planarity: false, background: false, ..rules.cues };
    LivenessRules {
        cues,
        live: MIN_STILL_EVIDENCE,
        spoof: MIN_STILL_EVIDENCE,
        veto: f32::NEG_INFINITY,
        ..rules
    }
}

/// One cue decides by its sign.
fn alone(rules: LivenessRules, cue: Cue) -> LivenessRules {
    let cues = CueSet::of(|other| other == cue);
    LivenessRules { cues, live: 0.0, spoof: 0.0, veto: f32::NEG_INFINITY, ..rules }
}

/// What measures the presentations.
enum Player {
    Recordings { simulation: Box<Simulation>, size: Option<(u32, u32)>, colour: bool, rate: f64 },
    Stills { finder: Box<FaceFinder>, network: Option<Box<LivenessNetwork>> },
}

impl Player {
    fn new(pipeline: Pipeline, args: &Args) -> Self {
        if args.stills {
            let network = pipeline.into_liveness().map(Box::new);
            return Player::Stills { finder: Box::default(), network };
        }
        let camera = &pipeline.config.camera;
        Player::Recordings {
            size: Some((camera.width, camera.height)),
            colour: pipeline.wants_colour(),
            rate: args.rate,
            simulation: Box::new(pipeline.simulation()),
        }
    }

    fn evidence(&mut self, path: &Path) -> Result<Vec<Evidence>, CommandError> {
        match self {
            Player::Recordings { simulation, size, colour, rate } => {
                let clip = simulation.watch(&mut Recording::open(path, *rate, *size, *colour)?)?;
                Ok(simulation.evidence(&clip))
            }
            Player::Stills { finder, network } => {
                let gray = load_gray(path)?;
                let Some(face) = finder.find(gray.view()) else { return Ok(Vec::new()) };
                let mut cues = Watch::measure_still(gray.view(), face);
                if let Some(network) = network {
                    let colour = match network.card().input.colour {
                        ColourOrder::Gray => None,
                        ColourOrder::Rgb | ColourOrder::Bgr => Some(load_rgb(path)?),
                    };
                    let pixels = match &colour {
                        None => Pixels::gray(gray.view()),
                        Some(rgb) => Pixels::with_colour(gray.view(), rgb)?,
                    };
                    cues = Cues { network: Some(network.score(pixels, face)?), ..cues };
                }
                Ok(vec![Evidence::of_still(&cues)])
            }
        }
    }
}

/// The recordings of a folder: itself, if it holds pictures, or what it holds; with `stills`, each picture.
fn recordings(dir: &Path, stills: bool) -> Result<Vec<PathBuf>, CommandError> {
    if !dir.is_dir() {
        return Ok(vec![dir.to_owned()]);
    }
    let cannot = |e: std::io::Error| {
        format!("{}: cannot be read: {e}; name a readable folder of recordings", dir.display())
    };
    let mut inside = Vec::new();
    for entry in fs::read_dir(dir).map_err(cannot)? {
        inside.push(entry.map_err(cannot)?.path());
    }
    inside.sort();
    let hidden = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
    inside.retain(|path| !hidden(path));
    let is = |path: &Path, endings: &[&str]| {
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        ending.is_some_and(|e| endings.contains(&e.as_str()))
    };
    let mut found = Vec::new();
    let mut pictures = false;
    for path in inside {
        if path.is_dir() {
            found.extend(recordings(&path, stills)?);
        } else if is(&path, &["avi", "y4m"]) {
            if !stills {
                found.push(path);
            }
        } else if is(&path, &["jpg", "jpeg", "png", "pgm", "ppm", "bmp", "webp"]) {
            if stills {
                found.push(path);
            } else {
                pictures = true;
            }
        }
    }
    if pictures {
        found.push(dir.to_owned());
    }
    if found.is_empty() {
        return Err(format!(
            "{}: it holds neither recordings nor pictures; name a folder that does",
            dir.display()
        )
        .into());
    }
    Ok(found)
}

fn report(classes: &[Class], cues: &str, rules: &LivenessRules, json: bool) {
    if !json {
        say!("cues: {cues}");
    }
    for class in classes {
        let counts = Counts::of(&class.presentations, rules);
        let (all, share) = (counts.all(), |k: usize| k as f64 / counts.all().max(1) as f64);
        let (errors, error, response) = match class.attack {
            Some(_) => (counts.live, "APCER", "APNRR"),
            None => (counts.spoof, "BPCER", "BPNRR"),
        };
        let kind = class.attack.as_deref().unwrap_or("live");
        let (low, high) = clopper_pearson(errors, all);
        let (least, most) = clopper_pearson(counts.unsure, all);
        if json {
            print_json(&json!({
                "event": "class", "cues": cues, "kind": kind, "presentations": all,
                "called_live": counts.live, "called_spoof": counts.spoof, "no_response": counts.unsure,
                error.to_lowercase(): share(errors), "interval": [low, high],
                response.to_lowercase(): share(counts.unsure), "no_response_interval": [least, most],
            }));
            continue;
        }
        let percent = |v: f64| 100.0 * v;
        say!(
            "  {kind:<12} {all:>4} presentations: {error} {errors}/{all} = {:.1} % [{:.1}, {:.1}], {response} {}/{all} = \
             {:.1} % [{:.1}, {:.1}]",
            percent(share(errors)),
            percent(low),
            percent(high),
            counts.unsure,
            percent(share(counts.unsure)),
            percent(least),
            percent(most),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_clear_verdict_counts() {
        let sure = |evidence: f32| Evidence {
            planarity: Some(evidence),
            network: Some(evidence),
            ..Evidence::default()
        };
        let nothing = Evidence::default();
        let rules = LivenessRules::default();
        let clips = [
            vec![nothing, sure(1.5), sure(-2.0)],
            vec![nothing, sure(-2.0), sure(1.5)],
            vec![nothing],
            vec![],
        ];
        assert_eq!(Counts::of(&clips, &rules), Counts { live: 1, spoof: 1, unsure: 2 });
        let planar = alone(rules, Cue::Planarity);
        assert_eq!(Counts::of(&[vec![sure(0.1)], vec![sure(-0.1)]], &planar).live, 1);
    }

    #[test]
    fn recordings_are_folders_of_pictures_and_films() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("a/one")).unwrap();
        fs::create_dir_all(at("a/two")).unwrap();
        for file in ["a/one/0.png", "a/one/1.png", "a/two/0.jpg", "a/film.avi", "a/readme.txt"] {
            fs::write(at(file), b"").unwrap();
        }
        let found = recordings(&at("a"), false).unwrap();
        assert_eq!(found, [at("a/film.avi"), at("a/one"), at("a/two")]);
        assert_eq!(recordings(&at("a/one"), false).unwrap(), [at("a/one")]);
        let stills = [at("a/one/0.png"), at("a/one/1.png"), at("a/two/0.jpg")];
        assert_eq!(recordings(&at("a"), true).unwrap(), stills, "a film is not a still");
        assert_eq!(recordings(&at("a/one"), true).unwrap(), [at("a/one/0.png"), at("a/one/1.png")]);
        fs::create_dir(at("empty")).unwrap();
        assert!(recordings(&at("empty"), false).unwrap_err().to_string().contains("neither recordings"));
    }
}
