//! `facelatch attempt`: recordings played through the daemon's pipeline in simulated time.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde_json::json;

use super::pipeline::Pipeline;
use super::sheet::PlaySheet;
use super::{Answer, CommandError, print_json};
use crate::access::{DenyReason, Event, ReleaseReason};
use crate::attempt::{Played, Summary};
use crate::camera::Recording;
use crate::door::Report;
use crate::draw::sheet::{Sheet, Tone};
use crate::matching::Gallery;
use facelatch_host::say;

/// Play recordings to the door: enrol from some, then attempt to get in with another
#[derive(ClapArgs)]
pub(super) struct Args {
    /// Enrol NAME from the recording PATH (a folder of pictures, a picture, AVI or Y4M); may be given
    /// several times
    #[arg(long = "enroll", value_name = "NAME=PATH", required = true, value_parser = named_path)]
    enroll: Vec<(String, PathBuf)>,
    /// The recording of the attempt
    #[arg(long, value_name = "PATH")]
    probe: PathBuf,
    /// Frames a second of folders and single pictures
    #[arg(long, value_name = "FPS", default_value_t = 20.0)]
    rate: f64,
    /// A configuration instead of the defaults
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write a contact sheet of the attempt into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// One JSON object per line instead of text
    #[arg(long)]
    json: bool,
}

fn named_path(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), path.into())),
        _ => Err("write NAME=PATH".to_owned()),
    }
}

/// Runs the command: "no" when the strike was not released.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let pipeline = Pipeline::load(args.config.as_deref())?;
    let size = Some((pipeline.config.camera.width, pipeline.config.camera.height));
    let colour = args.out.is_some() || pipeline.wants_colour();
    let open = |path: &Path| Recording::open(path, args.rate, size, colour);
    // Every path is tried before the first, possibly long, enrolment.
    for path in args.enroll.iter().map(|(_, path)| path).chain([&args.probe]) {
        open(path)?;
    }
    let mut simulation = pipeline.simulation();
    let printer = Printer { json: args.json };
    let mut sheet = PlaySheet::default();
    for (name, path) in &args.enroll {
        let outcome = simulation.enrol(name, &mut open(path)?, |_| {})?;
        printer.enrolment(name, outcome.map(|_| ()));
    }
    let gallery = simulation.gallery().clone();
    let summary = simulation.probe(&mut open(&args.probe)?, |played| {
        printer.frame(&played, &gallery);
        if args.out.is_some() {
            sheet.add(&played);
        }
    })?;
    printer.summary(&summary, &gallery);
    if let Some(dir) = &args.out {
        write_sheet(dir, &args.probe, &sheet, &summary, &gallery)?;
    }
    Ok(if summary.first_release.is_some() { Answer::Done } else { Answer::No })
}

fn write_sheet(
    dir: &Path,
    probe: &Path,
    sheet: &PlaySheet,
    summary: &Summary,
    gallery: &Gallery,
) -> Result<(), CommandError> {
    let (outcome, tone) = match summary.first_release {
        Some((_, subject)) => (format!("RELEASED {}", gallery.name(subject)), Tone::Good),
        None if summary.frames_with_face == 0 => ("NOBODY".to_owned(), Tone::Neutral),
        None => ("NOT RELEASED".to_owned(), Tone::Bad),
    };
    let picture = Sheet {
        title: "facelatch attempt".into(),
        subtitle: format!("{} frames, {} with a face", summary.frames, summary.frames_with_face),
        sections: vec![sheet.section(&probe.display().to_string(), &outcome, tone, 12)],
        columns: 4,
        tile_width: 320,
    }
    .draw();
    std::fs::create_dir_all(dir)
        .map_err(|e| format!("{}: cannot be made: {e}; choose a writable folder", dir.display()))?;
    let file = dir.join("contact-sheet.png");
    picture
        .save(&file)
        .map_err(|e| format!("{}: cannot be written: {e}; choose a writable folder", file.display()).into())
}

struct Printer {
    json: bool,
}

impl Printer {
    fn enrolment(&self, name: &str, outcome: Result<(), String>) {
        match (self.json, outcome) {
            (true, Ok(())) => print_json(&json!({"event": "enrolled", "subject": name})),
            (true, Err(reason)) => {
                print_json(&json!({"event": "enrol_failed", "subject": name, "reason": reason}));
            }
            (false, Ok(())) => say!("enrolled {name}"),
            (false, Err(reason)) => say!("enrolment of {name} failed: {reason}"),
        }
    }

    fn frame(&self, played: &Played<'_>, gallery: &Gallery) {
        for report in played.reports {
            let Report::Event(event) = report else { continue };
            let (frame, time_s) = (played.index, round(played.frame.captured.as_secs_f64()));
            let Some((line, words)) = event_line(event, frame, time_s, gallery) else { continue };
            if self.json {
                print_json(&line);
            } else {
                say!("{time_s:>7.2} s  frame {frame:>4}  {words}");
            }
        }
    }

    fn summary(&self, summary: &Summary, gallery: &Gallery) {
        let subject = summary.first_release.map(|(_, subject)| gallery.name(subject));
        let frame = summary.first_release.map(|(frame, _)| frame);
        if self.json {
            print_json(&json!({
                "event": "summary",
                "frames": summary.frames,
                "frames_with_face": summary.frames_with_face,
                "released": frame.is_some(),
                "subject": subject,
                "first_face_frame": summary.first_face_frame,
                "first_release_frame": frame,
                "best_mean_similarity": summary.best_mean.map(|mean| round(f64::from(mean))),
            }));
            return;
        }
        let end = match (subject, frame) {
            (Some(subject), Some(frame)) => format!("released for {subject} at frame {frame}"),
            _ => "not released".to_owned(),
        };
        say!("{} frames, {} with a face: {end}", summary.frames, summary.frames_with_face);
    }
}

fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// An event as JSON and in words; `None` for those that say nothing new to a reader of a timeline.
pub(super) fn event_line(
    event: &Event,
    frame: u64,
    time_s: f64,
    gallery: &Gallery,
) -> Option<(serde_json::Value, String)> {
    Some(match event {
        Event::NoFace => (json!({"event": "no_face", "frame": frame, "time_s": time_s}), "no face".into()),
        Event::Identifying { track } => (
            json!({"event": "identifying", "frame": frame, "time_s": time_s, "track": track.0}),
            "Identifying ...".into(),
        ),
        Event::Denied(DenyReason::AlreadyReleased { subject }) => {
            let name = gallery.name(*subject);
            let line =
                json!({"event": "already_released", "frame": frame, "time_s": time_s, "subject": name});
            (line, format!("Identity: {name} (already released in this approach)"))
        }
        Event::Denied(reason) => {
            let mut line = json!({
                "event": "deny", "frame": frame, "time_s": time_s, "reason": reason.code().name(),
            });
            let words = match reason {
                DenyReason::Unknown { best_mean } => {
                    // One name for both, as long as this line has been a contract.
                    line["reason"] = "unknown".into();
                    let mean = best_mean.map(|m| round(f64::from(m)));
                    line["mean_similarity"] = json!(mean);
                    format!("Identity Unknown! (best mean similarity {})", words(mean))
                }
                DenyReason::SeveralFaces { count } => {
                    line["count"] = json!(count);
                    format!("{count} faces at once: nobody is identified")
                }
                DenyReason::Spoof { evidence, .. }
                | DenyReason::NotSureAlive { evidence, .. }
                | DenyReason::SecondFactor { evidence, .. }
                | DenyReason::TurnHead { evidence, .. }
                | DenyReason::Nod { evidence, .. } => {
                    line["evidence"] = json!(round(f64::from(*evidence)));
                    format!("{reason} (evidence {evidence:.2})")
                }
                other => other.to_string(),
            };
            (line, words)
        }
        Event::Released(ReleaseReason::Identified { subject, mean_similarity }) => {
            let (name, mean) = (gallery.name(*subject), round(f64::from(*mean_similarity)));
            let line = json!({
                "event": "release", "frame": frame, "time_s": time_s,
                "subject": name, "mean_similarity": mean,
            });
            (line, format!("Identity: {name} (mean similarity {mean:.2}): strike released"))
        }
        Event::Secured(_) => {
            (json!({"event": "secured", "frame": frame, "time_s": time_s}), "strike secured".into())
        }
        _ => return None,
    })
}

fn words(mean: Option<f64>) -> String {
    mean.map_or_else(|| "none: nobody is enrolled".into(), |m| format!("{m:.2}"))
}
