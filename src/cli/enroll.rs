//! `facelatch enroll`: a new person, before the camera or from pictures.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args as ClapArgs;

use super::office::{Facts, Office};
use super::rig::Rig;
use super::{Answer, CommandError};
use crate::access::ButtonPolicy;
use crate::config::Config;
use crate::daemon::protocol::Request;
use crate::daemon::socket::Client;
use crate::embed::{Embed, Pixels, View};
use crate::face::{FaceFinder, Found};
use crate::matching::{Embedding, mean};
use crate::picture_file::{list_pictures, load_gray};
use crate::vision::Pose;

/// Enrol a person: before the running door's camera, or from pictures
///
/// The frames must show one person, well lit, sharp and facing the camera, and nobody who is enrolled
/// already under another name. Enrolling a name again replaces what was known of that person.
#[derive(ClapArgs)]
pub struct Args {
    /// The person's name
    #[arg(required_unless_present = "allow_button")]
    name: Option<String>,
    /// Enrol from the pictures in this folder (or this one picture) instead of the camera
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Enrol although the person looks like somebody enrolled already (twins)
    #[arg(long)]
    anyway: bool,
    /// Instead: let the enrolment button work once within so many seconds (0 takes it back)
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["name", "pictures", "anyway"])]
    allow_button: Option<u64>,
    #[command(flatten)]
    config: super::ConfigFile,
}

/// Runs the command: "no" when the enrolment failed before the camera.
pub fn run(args: Args) -> Result<Answer, CommandError> {
    match (&args.name, args.allow_button) {
        (_, Some(seconds)) => allow_button(&args, seconds),
        (Some(name), None) => match &args.pictures {
            Some(pictures) => from_pictures(&args, name, pictures),
            None => before_camera(&args, name),
        },
        (None, None) => Err("give a name, or --allow-button".into()),
    }
}

fn allow_button(args: &Args, seconds: u64) -> Result<Answer, CommandError> {
    let config = Config::load(&args.config.path)?;
    let (mut client, most) = (daemon(args, &config)?, config.enrolment.button_window_s);
    match config.enrolment.button {
        ButtonPolicy::Authorised => {}
        ButtonPolicy::Anyone => say!("the button works for anyone (enrolment.button): nothing to allow"),
        ButtonPolicy::Nobody => return Err("enrolment.button = \"nobody\": the button never works".into()),
    }
    if seconds > most {
        return Err(format!("--allow-button {seconds}: at most {most} (enrolment.button_window_s)").into());
    }
    let time = Duration::from_secs(seconds);
    let _ = client.ask(&Request::AllowEnrolment { time }, |_| {})?;
    match seconds {
        0 => say!("the button enrols nobody"),
        _ => say!("the button enrols the next person before the camera if it is pressed within {seconds} s"),
    }
    Ok(Answer::Done)
}

fn daemon(args: &Args, config: &Config) -> Result<Client, CommandError> {
    Client::connect(&config.daemon.socket)?.ok_or_else(|| {
        format!(
            "no daemon listens on {}: start it (systemctl start facelatch, or facelatch run --config {}), \
             or enrol from pictures (--pictures DIR)",
            config.daemon.socket.display(),
            args.config.path.display()
        )
        .into()
    })
}

fn before_camera(args: &Args, name: &str) -> Result<Answer, CommandError> {
    let config = Config::load(&args.config.path)?;
    let mut client = daemon(args, &config)?;
    client.limit(Duration::from_millis(config.enrolment.timeout_ms) + Duration::from_secs(5))?;
    let request = Request::Enroll { name: Some(name.to_owned()), anyway: args.anyway };
    match client.ask(&request, |text| say!("{text}")) {
        Ok(_) => {
            say!("enrolled {name}");
            Ok(Answer::Done)
        }
        Err(crate::daemon::DaemonError::Refused { message }) => {
            say!("{message}");
            Ok(Answer::No)
        }
        Err(error) => Err(error.into()),
    }
}

fn from_pictures(args: &Args, name: &str, pictures: &Path) -> Result<Answer, CommandError> {
    let rig = Rig::load(Some(&args.config.path))?;
    let mut office = Office::open(&rig.config)?;
    let facts = Facts { model: rig.model, rules: rig.rules };
    let quality = rig.config.vision_rules().quality;
    let (mut finder, mut embedder) = (FaceFinder::new(), rig.into_embedder());
    let mut pose = Pose::default();
    let mut embeddings: Vec<Embedding> = Vec::new();
    let paths = if pictures.is_dir() { list_pictures(pictures)? } else { vec![pictures.to_owned()] };
    for path in &paths {
        let picture = load_gray(path)?;
        let flaw = match finder.find_only(picture.view()) {
            Found::Nobody => Some("no face found"),
            Found::Several => Some("only one person please"),
            Found::One(face) => match quality.judge(picture.view(), face, Some(&mut pose)) {
                Some(unusable) => Some(unusable.advice()),
                None => {
                    let mut embed = |view| embedder.embed_pixels(Pixels::gray(picture.view()), face, view);
                    // One vector a picture: two views of it would vouch for one another.
                    let (plain, mirrored) = (embed(View::Plain)?, embed(View::Mirrored)?);
                    embeddings.push(mean(&[&plain, &mirrored]).unwrap_or(plain));
                    None
                }
            },
        };
        if let Some(flaw) = flaw {
            say!("{}: left out: {flaw}", path.display());
        }
    }
    if embeddings.is_empty() {
        return Err(format!(
            "{}: none of the {} picture(s) shows a face that can be found and is fit for enrolment",
            pictures.display(),
            paths.len()
        )
        .into());
    }
    office.add(name, &embeddings, args.anyway, &facts)?;
    say!("enrolled {name} from {} of {} picture(s)", embeddings.len(), paths.len());
    Ok(Answer::Done)
}
