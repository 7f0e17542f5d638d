//! `facelatch replay`: a recorded run once more, as it was or with other numbers.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::{Answer, CommandError, print_json};
use crate::access::DenyCode;
use crate::access::record::{Line, Replay, ReplayError, Tally, WhatIf};
use facelatch_host::say;

/// Run what `facelatch run` recorded through the controller again
///
/// The section `recording` of the configuration turns recording on. Without options every action must be the recorded one, byte for byte. With --threshold, --window or
/// --hold-time: what would have happened? The people then do as recorded, whatever the door does.
#[derive(ClapArgs)]
pub(super) struct Args {
    /// The recording; several are replayed in this order (the older one first)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Another mean similarity that opens
    #[arg(long, value_name = "SIMILARITY", allow_negative_numbers = true)]
    threshold: Option<f32>,
    /// Another number of frames in a window
    #[arg(long, value_name = "FRAMES", value_parser = clap::value_parser!(u16).range(1..=200))]
    window: Option<u16>,
    /// Another hold time in ms
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    hold_time: Option<u64>,
    /// Print every action, one JSON object per line: {"at": nanoseconds, "action": ...}
    #[arg(long)]
    actions: bool,
    /// The summary as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command: "no" when a replay as it was answers something else.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let what_if = WhatIf {
        threshold: args.threshold,
        frames: args.window.map(usize::from),
        hold: args.hold_time.map(Duration::from_millis),
    };
    let mut replay = Replay::new(what_if);
    let (mut differences, mut unreadable) = (0_u64, 0_u64);
    for path in &args.files {
        let error = |e: std::io::Error| {
            format!(
                "recording {}: cannot be read: {e}; name a file that facelatch run recorded",
                path.display()
            )
        };
        let file = BufReader::new(File::open(path).map_err(error)?);
        for (number, bytes) in file.split(b'\n').enumerate() {
            let bytes = bytes.map_err(error)?;
            let place = format!("{}:{}", path.display(), number + 1);
            let Ok(line) = serde_json::from_slice::<Line>(&bytes) else {
                super::note(&format!(
                    "{place}: incomplete line (a power cut?): continuing at the next snapshot"
                ));
                unreadable += 1;
                replay.lose();
                continue;
            };
            match replay.line(line) {
                Ok(done) if args.actions => {
                    for (at, action) in done {
                        print_json(&serde_json::json!({"at": at, "action": action}));
                    }
                }
                Ok(_) => {}
                // Said for the line that could not be read.
                Err(ReplayError::NoSnapshot) if unreadable > 0 => {}
                Err(ReplayError::NoSnapshot) => {
                    unreadable += 1;
                    super::note(&format!("{place}: {}", ReplayError::NoSnapshot));
                }
                Err(error @ ReplayError::Format(_)) => {
                    return Err(format!("recording {place}: {error}").into());
                }
                Err(error) => {
                    differences += 1;
                    super::note(&format!("{place}: {error}"));
                }
            }
        }
    }
    if replay.recorded.steps == 0 {
        let files: Vec<_> = args.files.iter().map(|p| p.display().to_string()).collect();
        return Err(format!("recording {}: no step in it can be replayed", files.join(", ")).into());
    }
    if args.json {
        print_json(&serde_json::json!({
            "what_if": what_if != WhatIf::default(),
            "differences": differences,
            "unreadable_lines": unreadable,
            "recorded": replay.recorded,
            "replayed": replay.replayed,
        }));
    } else if what_if == WhatIf::default() {
        say!(
            "{} steps, {} actions: {}",
            replay.replayed.steps,
            replay.replayed.actions,
            if differences == 0 { "identical".to_owned() } else { format!("{differences} DIFFERENT") }
        );
        table(&replay.recorded, None);
    } else {
        table(&replay.recorded, Some(&replay.replayed));
    }
    Ok(if differences == 0 { Answer::Done } else { Answer::No })
}

fn table(recorded: &Tally, what_if: Option<&Tally>) {
    if what_if.is_some() {
        say!("{:<28} {:>10} {:>10}", "", "recorded", "what if");
    }
    let row = |name: &str, figure: &dyn Fn(&Tally) -> u64| match what_if.map(figure) {
        Some(other) => say!("{name:<28} {:>10} {other:>10}", figure(recorded)),
        None => say!("{name:<28} {:>10}", figure(recorded)),
    };
    row("releases for faces", &|t| t.releases_by_face);
    row("releases by request to exit", &|t| t.releases_by_rex);
    row("times held open", &|t| t.held_open);
    row("strike released, ms", &|t| t.released_ms);
    for code in DenyCode::ALL {
        let denials = |t: &Tally| t.denials.get(&code).copied().unwrap_or(0);
        if denials(recorded) + what_if.map_or(0, denials) > 0 {
            row(&format!("denied: {}", code.name()), &denials);
        }
    }
    row("lockouts", &|t| t.lockouts);
    row("alarms", &|t| t.alarms);
}
