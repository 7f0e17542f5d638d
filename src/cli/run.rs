//! `facelatch run`: the daemon.

use std::path::Path;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::last_config::LastConfig;
use super::pipeline::Pipeline;
use super::{Answer, CommandError};
use crate::audit::{Context, Hash};
use crate::camera::{CameraSettings, FrameSource, Recording};
use crate::config::{Config, LoadedConfig, PersistentOutputs, Unrecorded};
use crate::daemon::{self, AuditLocation, FrameRecording, Resources, UnrecordedRules};
use crate::gpio::Backend;
use crate::gpio::persistence::{self, Persistence};
use crate::store::{FrameStore, GalleryStore, RecordingFile, StateStore, StoreKey};
use crate::{camera, lines, private, strike};

/// Run the door until stopped by a signal
#[derive(ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    config: super::ConfigFile,
}

/// Runs the command.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let (loaded, last_config) = (LoadedConfig::load(&args.config.path), LastConfig::of_service());
    // First of all: whatever an earlier process left, the door is locked from here on.
    if let Some(last_config) = &last_config {
        let present = loaded.as_ref().ok().map(|file| file.config.strike_settings());
        last_config.secure_unless(present.as_ref());
    }
    let LoadedConfig { config, bytes, renamed } = loaded?;
    let strike = strike::open(&config.strike_settings())?;
    if let Some(last_config) = &last_config {
        last_config.keep(&bytes, &args.config.path);
    }
    for key in renamed {
        log::warn!("event=config_key_renamed file={} hint={:?}", args.config.path.display(), key.to_string());
    }
    check_persistence(&config, &args.config.path)?;
    let pipeline = Pipeline::from_config(config, &args.config.path)?;
    let config = pipeline.config.clone();
    // Before the key is read, and after the strike is in hand.
    private::no_core_file();
    private::no_swap();
    let colour = pipeline.wants_colour();
    let key = StoreKey::open_or_create(&config.store.key)?;
    let store = GalleryStore::open(&config.store.gallery, key)?;
    let recording = config.recording.enabled.then(|| open_recording(&config)).flatten();
    let source: Box<dyn FrameSource> = match &config.camera.recording {
        Some(path) => {
            let size = Some((config.camera.width, config.camera.height));
            Box::new(camera::Paced::new(Recording::open(path, f64::from(config.camera.fps), size, colour)?))
        }
        None => camera::open(&CameraSettings { colour, ..config.camera_settings() })?,
    };
    let audit = AuditLocation {
        folder: config.audit.folder.clone(),
        rotation: config.audit_rotation(),
        context: Context { model: Hash(pipeline.model.hash.0), config: Hash::of(&bytes) },
    };
    let resources = Resources {
        gateway: config.gateway_place(),
        quality: config.vision_rules().quality,
        rules: pipeline.rules,
        model: pipeline.model,
        vision: pipeline.vision(),
        hours: config.named_hours(),
        wall: config.wall_clock()?,
        store,
        state: StateStore::open(&config.store.state)?,
        recording,
        recorded: config.recording.file.clone(),
        frames: open_frames(&config),
        source,
        strike,
        inputs: lines::open_inputs(config.strike.backend, &config.lines.inputs())?,
        indicator: lines::open_indicators(config.strike.backend, &config.lines.indicators())?,
        socket: config.daemon.socket,
        stall: Duration::from_millis(config.daemon.watchdog_stall_ms),
        audit,
        unrecorded: UnrecordedRules::new(
            Duration::from_millis(config.audit.sync_timeout_ms),
            Duration::from_millis(config.access.hold_ms),
            config.audit.on_unrecorded == Unrecorded::Release,
        ),
    };
    daemon::run(resources)?;
    Ok(Answer::Done)
}

/// A recording that cannot be written must not keep people out or in.
fn open_recording(config: &Config) -> Option<RecordingFile> {
    let file = &config.recording.file;
    RecordingFile::open(file, config.recording.max_mb << 20)
        .inspect_err(|error| {
            log::error!(
                "event=recording_stopped file={} error={:?} remedy=\"see [recording] in the configuration\"",
                file.display(),
                error.to_string()
            );
        })
        .ok()
}

/// Old frames are still expired when none are recorded any more.
fn open_frames(config: &Config) -> Option<FrameRecording> {
    let record = config.recording.frames;
    if !record && !config.recording.frames_folder.exists() {
        return None;
    }
    match super::frames::open(config) {
        Ok(store) => Some(FrameRecording { store, record }),
        Err(error) => {
            log::error!("event=frames_failed error={:?}", error.to_string());
            // None are recorded; that those of somebody removed go is still asked for.
            let key = StoreKey::open(&config.store.key).ok()?;
            let folder = &config.recording.frames_folder;
            Some(FrameRecording {
                store: FrameStore::unlisted(folder, key, config.frame_limits()),
                record: false,
            })
        }
    }
}

/// On a kernel that keeps outputs driven, a crash in mid-release is an open door until somebody drives
/// the line again: says so or refuses, as configured.
fn check_persistence(config: &Config, path: &Path) -> Result<(), CommandError> {
    if config.strike.backend == Backend::Simulated || persistence::of_this_machine() != Persistence::Keeps {
        return Ok(());
    }
    match config.strike.persistent_outputs {
        PersistentOutputs::Accept => Ok(()),
        PersistentOutputs::Warn => {
            log::warn!("event=outputs_persist remedy=\"dtparam=strict_gpiod in config.txt (see facelatch doctor)\"");
            Ok(())
        }
        PersistentOutputs::Refuse => Err(format!(
            "config {}: strike.persistent_outputs = \"refuse\", and this kernel keeps a GPIO output driven when its \
             program dies: add dtparam=strict_gpiod to config.txt, or write \"warn\"",
            path.display()
        )
        .into()),
    }
}
