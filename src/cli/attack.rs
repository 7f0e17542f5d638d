//! `facelatch attack`: draws a presentation attack as a recording.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::{Answer, CommandError};
use crate::demo::attack::{Attack, FRAME_RATE, Figures, Kind};
use crate::face::FaceFinder;
use crate::picture_file::{load_gray, load_rgb};
use facelatch_host::say;

/// Draw a photograph or phone held in front of a background, as a recording
///
/// For trying the liveness check with pictures of your own (`facelatch liveness-test`, `facelatch
/// attempt --probe`). All figures of the attack follow from the seed. A drawing is not a real print: try
/// real ones as well.
#[derive(ClapArgs)]
pub(super) struct Args {
    /// The picture of a person
    #[arg(long, value_name = "FILE")]
    picture: PathBuf,
    /// The picture of the place
    #[arg(long, value_name = "FILE")]
    place: PathBuf,
    /// What is held in front of the camera
    #[arg(long, value_enum)]
    kind: Medium,
    /// Number of the attack of its kind
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many frames, 20 a second
    #[arg(long, value_name = "N", default_value_t = 3 * u64::from(FRAME_RATE))]
    frames: u64,
    /// The folder for the frames; created if missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Medium {
    /// A printed photograph
    Print,
    /// A phone or tablet
    Screen,
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let gray = load_gray(&args.picture)?;
    let Some(face) = FaceFinder::new().find(gray.view()) else {
        let path = args.picture.display();
        return Err(format!("{path}: no face found; use a picture of one person").into());
    };
    let kind = match args.kind {
        Medium::Print => Kind::Print,
        Medium::Screen => Kind::Screen,
    };
    let figures = Figures::drawn(kind, args.seed);
    let place = load_rgb(&args.place)?;
    let attack = Attack::new(figures, load_rgb(&args.picture)?, face, &place, args.frames);
    let remedy = "choose a writable folder";
    std::fs::create_dir_all(&args.out)
        .map_err(|e| format!("{}: cannot be made: {e}; {remedy}", args.out.display()))?;
    for n in 0..attack.len() {
        let file = args.out.join(format!("{n:04}.png"));
        attack
            .frame(n)
            .save(&file)
            .map_err(|e| format!("{}: cannot be written: {e}; {remedy}", file.display()))?;
    }
    say!("{} frames of a simulated {} in {}", attack.len(), kind.name(), args.out.display());
    Ok(Answer::Done)
}
