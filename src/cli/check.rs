//! `facelatch check`: is a configuration right, and what would it do?

use clap::Args as ClapArgs;

use super::pipeline::Pipeline;
use super::{Answer, CommandError, gallery_access};
use crate::config::LoadedConfig;
use crate::gpio::Backend;
use facelatch_host::say;

/// Check a configuration, the network and the cascade it names, and say what it would do
#[derive(ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    config: super::ConfigFile,
}

/// Runs the command. Opens no device; looks who is enrolled, where hours name people.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let LoadedConfig { config, renamed, .. } = LoadedConfig::load(&args.config.path)?;
    let pipeline = Pipeline::from_config(config, &args.config.path)?;
    let (config, rules) = (&pipeline.config, &pipeline.rules);
    say!("{} is valid. facelatch run would", args.config.path.display());
    match &config.camera.recording {
        Some(path) => say!("- play the recording {} at {} frames/s", path.display(), config.camera.fps),
        None => say!(
            "- read {} at {}x{}, {} frames/s",
            config.camera.device.display(),
            config.camera.width,
            config.camera.height,
            config.camera.fps
        ),
    }
    let cascade = config.detector.cascade.as_ref();
    say!(
        "- find faces of {} px and more with {}",
        config.detector.min_size,
        cascade.map_or_else(|| "the built-in frontal face cascade".into(), |p| p.display().to_string())
    );
    let card = config.model.card.as_ref();
    say!(
        "- compare them with {} (model {})",
        card.map_or_else(|| "the built-in network".into(), |p| p.display().to_string()),
        pipeline.model.hash
    );
    say!(
        "- release the strike for {:.1} s when {} frames of one face have a mean similarity of {:.3} or more",
        rules.hold.as_secs_f64(),
        rules.window.frames,
        rules.window.threshold
    );
    match (config.strike.backend, &config.strike.line) {
        (Backend::Simulated, _) => say!("- drive no line: the strike is simulated"),
        (backend, Some(line)) => say!("- drive the strike on line {line} by {backend}"),
        (backend, None) => say!("- drive the strike by {backend}"),
    }
    let _ = config.wall_clock()?;
    match rules.lockout.attempts {
        0 => say!("- never lock strangers out"),
        n => say!(
            "- let no face in for {} s and more after {n} denied attempts in a row",
            rules.lockout.first.as_secs()
        ),
    }
    let named = config.schedule.people.len();
    if named > 0 {
        say!("- check the hours of {named} people who have their own");
    }
    match gallery_access::unknown_names(config) {
        Ok(names) => {
            for name in names {
                say!(
                    "- match no enrolled person with the name {name:?} (schedule.people): {}",
                    gallery_access::STRANGER_REMEDY
                );
            }
        }
        Err(error) => say!("- look up the names in schedule.people, which this command cannot do: {error}"),
    }
    if config.recording.enabled {
        say!("- record the controller's inputs in {}", config.recording.file.display());
    }
    if config.recording.frames {
        let recording = &config.recording;
        say!(
            "- keep PICTURES OF PEOPLE, encrypted, for {} days in {}",
            recording.frames_days,
            recording.frames_folder.display()
        );
    }
    say!("- keep the encrypted gallery in {}", config.store.gallery.display());
    say!("- take commands on {}", config.daemon.socket.display());
    for key in renamed {
        say!("hint: {key}");
    }
    Ok(Answer::Done)
}
