//! `facelatch enroll`: a new person, before the camera or from pictures.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args as ClapArgs;

use super::office::{Facts, Office};
use super::rig::Rig;
use super::{Answer, CommandError};
use crate::config::Config;
use crate::daemon::protocol::Request;
use crate::daemon::socket::Client;
use crate::embed::{Embed, Pixels, View};
use crate::face::FaceFinder;
use crate::matching::Embedding;
use crate::picture_file::{list_pictures, load_gray};

/// Enrol a person: before the running door's camera, or from pictures
#[derive(ClapArgs)]
pub struct Args {
    /// The person's name
    name: String,
    /// Enrol from the pictures in this folder (or this one picture) instead of the camera
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    #[command(flatten)]
    config: super::ConfigFile,
}

/// Runs the command: "no" when the enrolment failed before the camera.
pub fn run(args: Args) -> Result<Answer, CommandError> {
    match &args.pictures {
        Some(pictures) => from_pictures(&args, pictures),
        None => before_camera(&args),
    }
}

fn before_camera(args: &Args) -> Result<Answer, CommandError> {
    let config = Config::load(&args.config.path)?;
    let Some(mut client) = Client::connect(&config.daemon.socket)? else {
        return Err(format!(
            "no daemon listens on {}: start it (systemctl start facelatch, or facelatch run --config {}), \
             or enrol from pictures (--pictures DIR)",
            config.daemon.socket.display(),
            args.config.path.display()
        )
        .into());
    };
    client.limit(Duration::from_millis(config.enrolment.timeout_ms) + Duration::from_secs(5))?;
    let request = Request::Enroll { name: Some(args.name.clone()) };
    match client.ask(&request, |text| say!("{text}")) {
        Ok(_) => {
            say!("enrolled {}", args.name);
            Ok(Answer::Done)
        }
        Err(crate::daemon::DaemonError::Refused { message }) => {
            say!("{message}");
            Ok(Answer::No)
        }
        Err(error) => Err(error.into()),
    }
}

fn from_pictures(args: &Args, pictures: &Path) -> Result<Answer, CommandError> {
    let rig = Rig::load(Some(&args.config.path))?;
    let mut office = Office::open(&rig.config)?;
    let facts = Facts { model: rig.model, threshold: rig.rules.window.threshold };
    let (mut finder, mut embedder) = (FaceFinder::new(), rig.into_embedder());
    let mut embeddings: Vec<Embedding> = Vec::new();
    let paths = if pictures.is_dir() { list_pictures(pictures)? } else { vec![pictures.to_owned()] };
    for path in &paths {
        let picture = load_gray(path)?;
        match finder.find(picture.view()) {
            Some(face) => {
                for view in [View::Plain, View::Mirrored] {
                    embeddings.push(embedder.embed_pixels(Pixels::gray(picture.view()), face, view)?);
                }
            }
            None => say!("{}: left out: no face found", path.display()),
        }
    }
    if embeddings.is_empty() {
        return Err(format!(
            "{}: none of the {} picture(s) shows a face that can be found",
            pictures.display(),
            paths.len()
        )
        .into());
    }
    office.add(&args.name, &embeddings, &facts)?;
    say!("enrolled {} from {} of {} picture(s)", args.name, embeddings.len() / 2, paths.len());
    Ok(Answer::Done)
}
