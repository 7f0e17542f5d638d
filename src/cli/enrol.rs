//! `facelatch enrol`: a new person, before the camera or from pictures; or somebody enrolled in another look.

use std::io::{self, BufRead, IsTerminal};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args as ClapArgs;

use super::gallery_access::{self, EnrolmentContext, GalleryAccess};
use super::pipeline::Pipeline;
use super::progress::ProgressLine;
use super::{Answer, CommandError};
use crate::access::{ButtonPolicy, SubjectId};
use crate::camera::fitted;
use crate::config::Config;
use crate::door::{Existing, Terms};
use crate::embed::{CropView, Embed, Pixels};
use crate::face::{FaceFinder, Found};
use crate::matching::{Embedding, GalleryError, MOST_LOOKS, mean};
use crate::picture_file::{list_pictures, load_gray};
use crate::protocol::client::{Client, LinkError};
use crate::protocol::{Person, Request};
use crate::vision::Pose;
use facelatch_host::say;

/// Enrol a person: before the running door's camera, or from pictures
///
/// The frames must show one person, well lit, sharp and facing the camera, and nobody who is enrolled
/// already under another name. A person enrolled under the name is replaced, or gets another look, only
/// when that is asked for.
#[derive(ClapArgs)]
pub(super) struct Args {
    /// The person's name
    #[arg(required_unless_present = "allow_button")]
    name: Option<String>,
    /// Enrol from the pictures in this folder (or this one picture) instead of the camera
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Put this face in the place of the one enrolled under the name; without a terminal to ask at, it takes this
    #[arg(long, conflicts_with = "add_look")]
    replace: bool,
    /// Add a look (glasses, a beard, winter clothes) to the person enrolled under the name; the others stay
    #[arg(long)]
    add_look: bool,
    /// Take the face although it is not like the one enrolled under the name
    #[arg(long)]
    unlike: bool,
    /// Enrol although the person looks like somebody enrolled under another name (twins)
    #[arg(id = "anyway", long = "anyway")]
    allow_duplicate: bool,
    /// Instead: let the enrolment button work once within this many seconds (0 revokes it)
    #[arg(
        long,
        value_name = "SECONDS",
        conflicts_with_all = ["name", "pictures", "replace", "add_look", "unlike", "anyway"]
    )]
    allow_button: Option<u64>,
    #[command(flatten)]
    config: super::ConfigFile,
}

/// Runs the command: "no" when the enrolment failed before the camera, or was not meant after all.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
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
    let (client, most) = (daemon(args, &config)?, config.enrolment.button_window_s);
    match config.enrolment.button {
        ButtonPolicy::Authorised => {}
        ButtonPolicy::Anyone => {
            say!("anyone may use the button (enrolment.button): there is nothing to allow")
        }
        ButtonPolicy::Nobody => return Err("enrolment.button = \"nobody\": the button never works".into()),
    }
    if seconds > most {
        return Err(format!("--allow-button {seconds}: at most {most} (enrolment.button_window_s)").into());
    }
    client.ask::<serde_json::Value>(&Request::AllowEnrolment { time: Duration::from_secs(seconds) })?;
    match seconds {
        0 => say!("the button enrols nobody"),
        _ => say!("the button enrols the next person before the camera if it is pressed within {seconds} s"),
    }
    Ok(Answer::Done)
}

fn daemon(args: &Args, config: &Config) -> Result<Client, CommandError> {
    Client::find(&config.daemon.socket)?.ok_or_else(|| {
        format!(
            "no daemon listens on {}: start it (systemctl start facelatch, or facelatch run --config {}), \
             or enrol from pictures (--pictures DIR)",
            config.daemon.socket.display(),
            args.config.path.display()
        )
        .into()
    })
}

/// What is meant by this enrolment, and what to say when it is done.
struct Meant {
    terms: Terms,
    done: String,
}

/// Finds out whether somebody enrolled is meant; `None` when the operator, asked, wants nothing changed.
fn meant(args: &Args, name: &str, people: &[Person]) -> Result<Option<Meant>, CommandError> {
    let held = match gallery_access::find(people, name) {
        Ok(held) => Some(held),
        Err(GalleryError::NoSuchSubject(_)) if !args.add_look => None,
        Err(GalleryError::NotQuite { name, other }) if !args.add_look => {
            return Err(GalleryError::LooksAlike { name, other }.into());
        }
        Err(error) => return Err(error.into()),
    };
    let terms = |existing| Terms { allow_duplicate: args.allow_duplicate, existing, unlike: args.unlike };
    let Some(held) = held else {
        return Ok(Some(Meant { terms: terms(Existing::Refuse), done: format!("enrolled {name}") }));
    };
    let (id, name) = (SubjectId(held.id), &held.name);
    let since = super::audit::wall(held.enrolled.saturating_mul(1_000));
    let who = format!("id {id}, enrolled {since}, {} look(s)", held.looks);
    let replace = || {
        eprintln!("{name} ({who}) is replaced");
        let done = format!("enrolled {name} in place of id {id}, enrolled {since}");
        Ok(Some(Meant { terms: terms(Existing::Replace(id)), done }))
    };
    let add_look = || {
        let done = format!("added a look to {name}: {} of at most {MOST_LOOKS}", held.looks + 1);
        Ok(Some(Meant { terms: terms(Existing::AddLook(id)), done }))
    };
    match (args.replace, args.add_look) {
        (true, _) => return replace(),
        (_, true) => return add_look(),
        _ => {}
    }
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(format!(
            "{name} is already enrolled ({who}): --replace replaces them, --add-look adds a look \
             to theirs (glasses, a beard); or choose another name"
        )
        .into());
    }
    eprint!(
        "{name} is already enrolled ({who}).\nReplace them with this face, or add a look (glasses, a \
         beard)? [replace/look/NOTHING] "
    );
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "replace" | "r" => replace(),
        "look" | "l" => add_look(),
        _ => Ok(None),
    }
}

fn unchanged() -> Result<Answer, CommandError> {
    say!("nothing was changed");
    Ok(Answer::No)
}

fn before_camera(args: &Args, name: &str) -> Result<Answer, CommandError> {
    let config = Config::load(&args.config.path)?;
    let client = daemon(args, &config)?;
    let people: Vec<Person> = client.ask(&Request::People {})?;
    let Some(Meant { terms, done }) = meant(args, name, &people)? else { return unchanged() };
    let Terms { allow_duplicate, existing, unlike } = terms;
    let client = client.within(Duration::from_millis(config.enrolment.timeout_ms) + Duration::from_secs(5));
    let request = Request::Enroll { name: Some(name.to_owned()), allow_duplicate, existing, unlike };
    let told = client.ask_with(
        &request,
        || false,
        |text| {
            say!("{text}");
            ControlFlow::Continue(())
        },
    );
    match told {
        Ok(_) => {
            say!("{done}");
            Ok(Answer::Done)
        }
        Err(LinkError::Refused { message } | LinkError::NotAllowed { message, .. }) => {
            say!("{message}");
            Ok(Answer::No)
        }
        Err(error) => Err(error.into()),
    }
}

fn from_pictures(args: &Args, name: &str, pictures: &Path) -> Result<Answer, CommandError> {
    let pipeline = Pipeline::load(Some(&args.config.path))?;
    let mut access = GalleryAccess::open(&pipeline.config)?;
    let Some(Meant { terms, done }) = meant(args, name, &access.people()?)? else { return unchanged() };
    let context = EnrolmentContext { model: pipeline.model, rules: pipeline.rules };
    let quality = pipeline.config.vision_rules().quality;
    let size = (pipeline.config.camera.width, pipeline.config.camera.height);
    let (mut finder, mut embedder) = (FaceFinder::new(), pipeline.into_embedder());
    let mut pose = Pose::default();
    let mut embeddings: Vec<Embedding> = Vec::new();
    let paths = if pictures.is_dir() { list_pictures(pictures)? } else { vec![pictures.to_owned()] };
    let progress = ProgressLine::new("pictures looked at", paths.len());
    for path in &paths {
        // As large as the camera's frames: what is sharp and large enough there is so here.
        let picture = fitted(&load_gray(path)?, size);
        let flaw = match finder.find_only(picture.view()) {
            Found::Nobody => Some("no face found"),
            Found::Several => Some("only one person please"),
            Found::One(face) => match quality.judge(picture.view(), face, Some(&mut pose)) {
                Some(unusable) => Some(unusable.advice()),
                None => {
                    let mut embed = |view| embedder.embed_pixels(Pixels::gray(picture.view()), face, view);
                    // One vector a picture: two views of it would vouch for one another.
                    let (plain, mirrored) = (embed(CropView::Plain)?, embed(CropView::Mirrored)?);
                    embeddings.push(mean(&[&plain, &mirrored]).unwrap_or(plain));
                    None
                }
            },
        };
        if let Some(flaw) = flaw {
            say!("{}: left out: {flaw}", path.display());
        }
        progress.step();
    }
    drop(progress);
    if embeddings.is_empty() {
        return Err(format!(
            "{}: none of the {} picture(s) shows a face that can be found and is fit for enrolment",
            pictures.display(),
            paths.len()
        )
        .into());
    }
    access.add(name, &embeddings, terms, &context)?;
    say!("{done} (from {} of {} picture(s))", embeddings.len(), paths.len());
    Ok(Answer::Done)
}
