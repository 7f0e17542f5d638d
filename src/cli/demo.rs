//! `facelatch demo`: the whole chain on the files within the program alone.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;

use super::attempt::event_line;
use super::pipeline::Pipeline;
use super::sheet::PlaySheet;
use super::{Answer, CommandError};
use crate::access::{DenyReason, Event};
use crate::attempt::{Played, Simulation};
use crate::demo::portrait::Portrait;
use crate::demo::walkup::{Walk, WalkUp};
use crate::door::Report;
use crate::draw::sheet::{Sheet, SheetSection, Tone};
use crate::draw::small_png_bytes;
use crate::matching::Gallery;
use facelatch_host::say;

/// Show the whole chain: enrol a person, let them in, keep another out, see an empty hall
#[derive(ClapArgs)]
pub(super) struct Args {
    /// Folder for the contact sheets; created if missing
    #[arg(long, value_name = "DIR", default_value = "out/demo")]
    out: PathBuf,
    /// Write the walk-ups as recordings, too (DIR/recordings), to be played by `facelatch attempt`
    #[arg(long)]
    recordings: bool,
}

const OWNER: &str = "Eileen Collins";
const STRANGER: &str = "Grace Hopper";

/// How a play should end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Enrolment,
    Release,
    Denial,
    Nothing,
}

/// One play of the demonstration.
struct Play {
    expected: Expected,
    /// Name of its contact sheet without the ending.
    file: &'static str,
    heading: String,
    recording: WalkUp,
}

/// What came of a play.
struct Outcome {
    words: String,
    badge: &'static str,
    tone: Tone,
    /// What is wrong with it, when it did not go as it should.
    fault: Option<&'static str>,
}

/// Runs the command: "no" when a play did not end as it should.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let (owner, stranger) = (Portrait::collins()?, Portrait::hopper()?);
    let plays = [
        Play {
            expected: Expected::Enrolment,
            file: "1-enrolment",
            heading: format!("{OWNER} is enrolled"),
            recording: WalkUp::new("enrolment", owner.clone(), Walk::ENROLMENT),
        },
        Play {
            expected: Expected::Release,
            file: "2-visit",
            heading: format!("{OWNER} comes back, in other light"),
            recording: WalkUp::new("visit", owner, Walk::VISIT),
        },
        Play {
            expected: Expected::Denial,
            file: "3-stranger",
            heading: format!("{STRANGER}, who is not enrolled, comes"),
            recording: WalkUp::new("stranger", stranger, Walk::VISIT.seeded(3)),
        },
        Play {
            expected: Expected::Nothing,
            file: "4-nobody",
            heading: "Nobody comes".to_owned(),
            recording: WalkUp::empty_scene("nobody", Walk::NOBODY),
        },
    ];

    // The people of the demonstration are pictures, and liveness would say so.
    let pipeline = Pipeline::load(None)?.without_liveness();
    let threshold = pipeline.rules.window.threshold;
    let mut simulation = pipeline.simulation();
    make_dir(&args.out)?;
    say!("Synthetic walk-ups of two portraits, seen by the daemon's own pipeline in simulated time.");
    say!("Each person's walk-ups come from one photograph: this shows the chain, not its accuracy. The");
    say!("liveness check is off, because they are pictures of people (facelatch liveness-test tries it).");

    let mut sheets = Vec::new();
    for play in plays {
        if args.recordings {
            write_recording(&args.out, &play.recording)?;
        }
        say!("\n{}", play.heading);
        let mut sheet = PlaySheet::default();
        let outcome = perform(&play, &mut simulation, threshold, &mut sheet)?;
        say!("  => {}", outcome.words);
        let file = args.out.join(format!("{}.png", play.file));
        let section = sheet.section(&play.heading, outcome.badge, outcome.tone, 12);
        write_sheet(&file, "facelatch demo", &outcome.words, vec![section], (4, 320))?;
        sheets.push((play.heading, sheet, outcome));
    }

    let sections =
        sheets.iter().map(|(heading, sheet, o)| sheet.section(heading, o.badge, o.tone, 5)).collect();
    let file = args.out.join("contact-sheet.png");
    let subtitle = "synthetic walk-ups of two public-domain portraits, seen by the daemon's own pipeline";
    write_sheet(&file, "facelatch demo", subtitle, sections, (5, 184))?;
    say!("\ncontact sheets: {} and one for each play", file.display());

    let faults: Vec<String> = sheets
        .iter()
        .filter_map(|(heading, _, outcome)| outcome.fault.map(|fault| format!("{heading}: {fault}")))
        .collect();
    if faults.is_empty() {
        return Ok(Answer::Done);
    }
    for fault in faults {
        say!("NOT AS IT SHOULD BE: {fault}");
    }
    Ok(Answer::No)
}

/// Plays one recording, printing its timeline.
fn perform(
    play: &Play,
    simulation: &mut Simulation,
    threshold: f32,
    sheet: &mut PlaySheet,
) -> Result<Outcome, CommandError> {
    let mut recording = play.recording.clone();
    if play.expected == Expected::Enrolment {
        let nobody_yet = simulation.gallery().clone();
        let outcome = simulation.enrol(OWNER, &mut recording, |played| {
            timeline(&played, &nobody_yet);
            sheet.add(&played);
        })?;
        return Ok(match outcome {
            Ok(_) => outcome_of(format!("ENROLLED as {OWNER}"), "ENROLLED", Tone::Taught, None),
            Err(reason) => {
                let fault = Some("the person should have been enrolled");
                outcome_of(format!("NOT ENROLLED: {reason}"), "NOT ENROLLED", Tone::Bad, fault)
            }
        });
    }

    let gallery = simulation.gallery().clone();
    let mut denied = false;
    let summary = simulation.probe(&mut recording, |played| {
        denied |= played.reports.iter().any(|r| {
            matches!(
                r,
                Report::Event(Event::Denied(DenyReason::Unknown { .. } | DenyReason::PoorPicture { .. }))
            )
        });
        timeline(&played, &gallery);
        sheet.add(&played);
    })?;
    let best = summary.best_mean.map_or_else(|| "none".to_owned(), |mean| format!("{mean:.2}"));
    let figures = format!("best mean similarity {best}, threshold {threshold:.2}");
    Ok(match summary.first_release {
        Some((frame, subject)) => {
            let name = gallery.name(subject);
            let fault = match play.expected {
                Expected::Release if name == OWNER => None,
                Expected::Release => Some("released for somebody else"),
                _ => Some("the strike should have stayed secured"),
            };
            let seconds = play.recording.captured(frame).as_secs_f64();
            let words = format!("RELEASED for {name} at {seconds:.2} s, frame {frame} ({figures})");
            outcome_of(words, "RELEASED", if fault.is_none() { Tone::Good } else { Tone::Bad }, fault)
        }
        None if summary.frames_with_face == 0 => {
            let fault = (play.expected != Expected::Nothing).then_some("no face was found");
            outcome_of(
                "NOTHING: no face, the strike stays secured".to_owned(),
                "NOTHING",
                Tone::Neutral,
                fault,
            )
        }
        None => {
            let fault = match play.expected {
                Expected::Release => Some("the strike should have been released"),
                Expected::Denial if denied => None,
                Expected::Denial => Some("the controller never reported the person as unknown"),
                _ => Some("there is no face in the empty hall"),
            };
            let badge = if denied { "DENIED" } else { "NOT RELEASED" };
            outcome_of(format!("{badge}: the strike stays secured ({figures})"), badge, Tone::Bad, fault)
        }
    })
}

fn outcome_of(words: String, badge: &'static str, tone: Tone, fault: Option<&'static str>) -> Outcome {
    Outcome { words, badge, tone, fault }
}

/// Prints what was reported on a frame.
fn timeline(played: &Played<'_>, gallery: &Gallery) {
    let (frame, time_s) = (played.index, played.frame.captured.as_secs_f64());
    for report in played.reports {
        let words = match report {
            Report::Enrolled { .. } => Some("the template is stored".to_owned()),
            Report::LookAdded { .. }
            | Report::Replaced { .. }
            | Report::Removed { .. }
            | Report::Expired { .. }
            | Report::Renamed { .. }
            | Report::Noted { .. }
            | Report::RollbackAccepted
            | Report::Disabled { .. }
            | Report::Enabled { .. } => None,
            Report::EnrolRefused { reason, .. } => Some(reason.clone()),
            Report::Event(Event::EnrolCountdown { seconds_left }) => {
                Some(format!("Image will be taken in {seconds_left}.."))
            }
            Report::Event(Event::EnrolWaiting(wait)) => {
                Some(format!("the countdown waits: {}", wait.advice()))
            }
            Report::Event(Event::EnrolStillWaiting { .. }) => None,
            Report::Event(Event::EnrolTaken) => Some("the images are taken".to_owned()),
            Report::Event(Event::EnrolFailed { why, frames }) => Some(format!("{why} ({frames})")),
            Report::Event(event) => event_line(event, frame, time_s, gallery).map(|(_, words)| words),
        };
        if let Some(words) = words {
            say!("  {time_s:>5.2} s  frame {frame:>3}  {words}");
        }
    }
}

fn write_sheet(
    file: &Path,
    title: &str,
    subtitle: &str,
    sections: Vec<SheetSection<'_>>,
    (columns, tile_width): (usize, u32),
) -> Result<(), CommandError> {
    let sheet =
        Sheet { title: title.to_owned(), subtitle: subtitle.to_owned(), sections, columns, tile_width }
            .draw();
    let bytes = small_png_bytes(&sheet)?;
    fs::write(file, bytes)
        .map_err(|e| format!("{}: cannot be written: {e}; choose a writable folder", file.display()).into())
}

/// Writes a walk-up as a folder of JPEG pictures.
fn write_recording(out: &Path, recording: &WalkUp) -> Result<(), CommandError> {
    let dir = out.join("recordings").join(recording.name());
    make_dir(&dir)?;
    for n in 0..recording.len() {
        let file = dir.join(format!("{n:04}.jpg"));
        let cannot = |e: &dyn std::fmt::Display| {
            format!("{}: cannot be written: {e}; choose a writable folder", file.display())
        };
        let mut bytes = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 92)
            .encode_image(&recording.frame(n))
            .map_err(|e| cannot(&e))?;
        fs::write(&file, bytes).map_err(|e| cannot(&e))?;
    }
    Ok(())
}

fn make_dir(dir: &Path) -> Result<(), CommandError> {
    fs::create_dir_all(dir)
        .map_err(|e| format!("{}: cannot be made: {e}; choose a writable folder", dir.display()).into())
}
