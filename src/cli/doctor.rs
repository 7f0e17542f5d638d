//! `facelatch doctor`: what this machine has, what is wrong with it, and what to do.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::pipeline::Pipeline;
use super::{Answer, CONFIG_PATH, CommandError, gallery_access};
use crate::camera::Recording;
use crate::config::{Config, LoadedConfig, PersistentOutputs};
use crate::gpio::persistence::{self, Persistence};
use crate::gpio::{Backend, LineAddress};

/// Check cameras, GPIO lines, permissions and the configuration, and suggest remedies
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: super::ConfigFile,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Default, Serialize)]
struct Findings {
    board: String,
    kernel: String,
    cameras: Vec<Camera>,
    chips: Vec<Chip>,
    /// `keeps`, `lets-go` or `unknown`: what happens to an output whose holder is gone.
    outputs_of_the_dead: &'static str,
    /// The configuration that was looked at; without one, the machine alone is.
    config: Option<PathBuf>,
    /// What would be wrong if the configuration asked for it.
    notes: Vec<String>,
    /// What is wrong, each with what to do.
    problems: Vec<String>,
}

/// What the configuration asks of the machine.
#[derive(Clone, Copy)]
struct Wants {
    camera: bool,
    lines: bool,
    /// An output that outlives its program is a problem.
    secured_outputs: bool,
}

impl Wants {
    /// Without a configuration nobody knows: everything is looked at.
    fn of(config: Option<&Config>) -> Self {
        let lines = config.is_none_or(|config| config.strike.backend != Backend::Simulated);
        let accepted =
            config.is_some_and(|config| config.strike.persistent_outputs == PersistentOutputs::Accept);
        Wants {
            camera: config.is_none_or(|config| config.camera.recording.is_none()),
            lines,
            secured_outputs: lines && !accepted,
        }
    }
}

impl Findings {
    /// A problem where the configuration asks for it, otherwise a note.
    fn say(&mut self, wanted: bool, words: String) {
        if wanted { self.problems.push(words) } else { self.notes.push(words) }
    }
}

#[derive(Debug, Serialize)]
struct Camera {
    path: PathBuf,
    /// Names that stay the same when the camera is plugged in elsewhere.
    by_id: Vec<PathBuf>,
    name: String,
    driver: String,
    bus: String,
    formats: Vec<Format>,
}

#[derive(Debug, Serialize)]
struct Format {
    name: String,
    /// Whether facelatch reads it.
    read: bool,
    /// Frames a second at 640x480, where the driver says.
    fps_at_vga: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Chip {
    path: PathBuf,
    label: String,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    offset: u32,
    name: String,
    /// Who holds it; empty when free.
    used_by: String,
}

/// Runs the command. The answer is "no" when something is wrong.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let mut findings = Findings {
        board: board(),
        kernel: first_line(Path::new("/proc/sys/kernel/osrelease")),
        ..Default::default()
    };
    let path = &args.config.path;
    let config = configuration(&mut findings, path);
    let wants = Wants::of(config.as_ref());
    cameras(&mut findings, wants.camera);
    chips(&mut findings, wants.lines);
    outputs(&mut findings, wants.secured_outputs);
    if let Some(config) = &config {
        camera(&mut findings, config, path);
        lines(&mut findings, config, path);
        names(&mut findings, config, path);
    }

    let text = if args.json { serde_json::to_string(&findings)? + "\n" } else { report(&findings) };
    super::say_text(text.as_bytes());
    Ok(if findings.problems.is_empty() { Answer::Done } else { Answer::No })
}

/// The configuration, with the questions of `facelatch check`. A machine without one is not a problem;
/// a file that was named and is not there is one.
fn configuration(findings: &mut Findings, path: &Path) -> Option<Config> {
    if !path.exists() && path == Path::new(CONFIG_PATH) {
        findings
            .notes
            .push(format!("there is no configuration yet ({CONFIG_PATH}): only the machine was checked"));
        return None;
    }
    let LoadedConfig { config, renamed, .. } = match LoadedConfig::load(path) {
        Ok(file) => file,
        Err(error) => {
            findings.problems.push(error.to_string());
            return None;
        }
    };
    findings.config = Some(path.to_owned());
    findings.notes.extend(renamed.iter().map(|key| format!("config {}: {key}", path.display())));
    let pipeline = Pipeline::from_config(config.clone(), path).map(|pipeline| pipeline.wants_colour());
    let recording = config.camera.recording.as_deref();
    let opened = recording.map(|file| {
        let rate = f64::from(config.camera.fps);
        Recording::open(file, rate, None, *pipeline.as_ref().unwrap_or(&false)).map(|_| ())
    });
    let clock = config.wall_clock().map(|_| ()).map_err(|error| error.to_string());
    let pipeline = pipeline.map(|_| ()).map_err(|error| error.to_string());
    let opened = opened.transpose().map(|_| ()).map_err(|error| error.to_string());
    findings.problems.extend([pipeline, clock, opened].into_iter().filter_map(Result::err));
    Some(config)
}

/// The camera that the configuration names.
fn camera(findings: &mut Findings, config: &Config, path: &Path) {
    let device = &config.camera.device;
    if config.camera.recording.is_none() && !device.exists() && !findings.cameras.is_empty() {
        let there: Vec<String> =
            findings.cameras.iter().map(|camera| camera.path.display().to_string()).collect();
        findings.problems.push(format!(
            "config {}: camera.device = \"{}\": it does not exist; name one of {}, or a name below \
             /dev/v4l/by-id that leads to it",
            path.display(),
            device.display(),
            there.join(", ")
        ));
    }
}

/// The lines that the configuration names. None is taken: the daemon may hold them.
fn lines(findings: &mut Findings, config: &Config, path: &Path) {
    let backend = config.strike.backend;
    let inputs = &config.lines;
    let input =
        |key, line: &Option<crate::config::InputConfig>| line.as_ref().map(|input| (key, input.line.clone()));
    let output = |key, line: &Option<crate::config::OutputConfig>| {
        line.as_ref().map(|output| (key, output.line.clone()))
    };
    let named = [
        config.strike.line.clone().map(|line| ("strike.line", line)),
        input("lines.button", &inputs.button),
        input("lines.enrol_key", &inputs.enrol_key),
        input("lines.rex", &inputs.rex),
        input("lines.second_factor", &inputs.second_factor),
        input("lines.door_sensor", &inputs.door_sensor),
        output("lines.green_led", &inputs.green_led),
        output("lines.red_led", &inputs.red_led),
        output("lines.buzzer", &inputs.buzzer),
    ];
    for (key, line) in named.into_iter().flatten() {
        if let Err(problem) = find_line(backend, &line) {
            findings.problems.push(format!("config {}: {key} = \"{line}\": {problem}", path.display()));
        }
    }
}

/// Whether a line is there, or what is wrong with it.
#[cfg_attr(
    not(any(feature = "gpiocdev", feature = "rppal")),
    expect(unused_variables, reason = "no backend asks")
)]
fn find_line(backend: Backend, line: &LineAddress) -> Result<(), String> {
    match backend {
        Backend::Simulated => Ok(()),
        #[cfg(feature = "gpiocdev")]
        Backend::Gpiocdev => match crate::gpio::cdev::find(line) {
            Err(crate::gpio::cdev::CdevError::NoName) => {
                Err("no GPIO line has this name; write one of those listed here, or chip:offset".to_owned())
            }
            found => found.map(|_| ()).map_err(|error| error.to_string()),
        },
        #[cfg(feature = "rppal")]
        Backend::Rppal => match line {
            LineAddress::Bcm(number) => {
                crate::gpio::pi::pin(*number).map(|_| ()).map_err(|error| error.to_string())
            }
            _ => Err("the rppal backend needs a BCM number (17)".to_owned()),
        },
        #[allow(unreachable_patterns)]
        missing => Err(format!(
            "this facelatch was built without the {missing} backend: build it with --features {missing}"
        )),
    }
}

/// The first line of a file, without NULs; empty when there is none.
fn first_line(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().replace('\0', "").trim().to_owned()
}

fn board() -> String {
    let tree = first_line(Path::new("/proc/device-tree/model"));
    if !tree.is_empty() {
        return tree;
    }
    let dmi = |file| first_line(&Path::new("/sys/class/dmi/id").join(file));
    let name = format!("{} {}", dmi("sys_vendor"), dmi("product_name"));
    if name.trim().is_empty() { "unknown board".to_owned() } else { name.trim().to_owned() }
}

#[cfg(feature = "v4l")]
fn cameras(findings: &mut Findings, wanted: bool) {
    use crate::camera::{PixelFormat, v4l};

    let links = links(Path::new("/dev/v4l/by-id"));
    for camera in v4l::list() {
        let formats: Vec<Format> = camera
            .formats
            .iter()
            .map(|(name, fps)| Format {
                name: name.clone(),
                read: name.as_bytes().try_into().ok().and_then(PixelFormat::from_fourcc).is_some(),
                fps_at_vga: *fps,
            })
            .collect();
        if !formats.iter().any(|f| f.read) {
            let words = format!(
                "{}: \"{}\" has none of the formats that facelatch reads (YUYV, MJPG, GREY, NV12, YU12): use another camera",
                camera.path.display(),
                camera.caps.card
            );
            findings.say(wanted, words);
        }
        let by_id =
            links.iter().filter(|(_, target)| *target == camera.path).map(|(link, _)| link.clone()).collect();
        findings.cameras.push(Camera {
            path: camera.path,
            by_id,
            name: camera.caps.card,
            driver: camera.caps.driver,
            bus: camera.caps.bus,
            formats,
        });
    }
    let mut refused = false;
    for path in v4l::nodes() {
        if let Some(error) = v4l::why_not(&path) {
            findings.say(wanted, error.to_string());
            refused = true;
        }
    }
    if findings.cameras.is_empty() && !refused {
        let words = "no camera (/dev/video*): plug one in; on a Raspberry Pi enable it \
                     (camera_auto_detect=1 in config.txt)";
        findings.say(wanted, words.to_owned());
    }
}

#[cfg(not(feature = "v4l"))]
fn cameras(findings: &mut Findings, wanted: bool) {
    findings.say(
        wanted,
        "this facelatch was built without camera support: build it with --features v4l".to_owned(),
    );
}

/// Links in a folder, with what they lead to.
#[cfg(feature = "v4l")]
fn links(folder: &Path) -> Vec<(PathBuf, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut links: Vec<_> = entries
        .filter_map(|e| {
            let link = e.ok()?.path();
            let target = fs::canonicalize(&link).ok()?;
            Some((link, target))
        })
        .collect();
    links.sort();
    links
}

#[cfg(feature = "gpiocdev")]
fn chips(findings: &mut Findings, wanted: bool) {
    use crate::gpio::cdev;

    let paths = match cdev::chips() {
        Ok(paths) => paths,
        Err(error) => return findings.say(wanted, error.to_string()),
    };
    for path in paths {
        let chip = match cdev::open_chip(&path) {
            Ok(chip) => chip,
            Err(error) => {
                findings.say(wanted, error.to_string());
                continue;
            }
        };
        let label = chip.info().map(|i| i.label).unwrap_or_default();
        let lines = chip
            .line_info_iter()
            .map(|lines| {
                lines
                    .flatten()
                    .map(|l| Line {
                        offset: l.offset,
                        name: l.name,
                        used_by: match (l.used, l.consumer.is_empty()) {
                            (false, _) => String::new(),
                            (true, true) => "the kernel".to_owned(),
                            (true, false) => l.consumer,
                        },
                    })
                    .collect()
            })
            .unwrap_or_default();
        findings.chips.push(Chip { path, label, lines });
    }
}

#[cfg(not(feature = "gpiocdev"))]
fn chips(_: &mut Findings, _: bool) {}

fn outputs(findings: &mut Findings, wanted: bool) {
    findings.outputs_of_the_dead = match persistence::of_this_machine() {
        Persistence::Keeps => "keeps",
        Persistence::LetsGo => "lets-go",
        Persistence::Unknown => "unknown",
    };
    if findings.outputs_of_the_dead == "keeps" {
        findings.say(
            wanted,
            "this kernel keeps a GPIO output driven after its program died: a crash while the strike is released \
             leaves the door open until facelatch.service's ExecStopPost= secures it. Add dtparam=strict_gpiod to \
             config.txt, or pinctrl_bcm2835.persist_gpio_outputs=n to cmdline.txt, and restart"
                .to_owned(),
        );
    }
}

/// Names with hours of their own that nobody has.
fn names(findings: &mut Findings, config: &Config, path: &Path) {
    let place = format!("config {}: schedule.people", path.display());
    match gallery_access::unknown_names(config) {
        Ok(names) => {
            findings.problems.extend(names.iter().map(|name| {
                format!("{place}: {name:?} is not enrolled: {}", gallery_access::STRANGER_REMEDY)
            }))
        }
        Err(error) => findings.problems.push(format!("{place}: the names cannot be looked up: {error}")),
    }
}

/// The findings for people.
fn report(findings: &Findings) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "board    {} (Linux {})", findings.board, findings.kernel);
    for camera in &findings.cameras {
        let _ = writeln!(
            text,
            "camera   {} \"{}\" ({}, {})",
            camera.path.display(),
            camera.name,
            camera.driver,
            camera.bus
        );
        for link in &camera.by_id {
            let _ = writeln!(text, "         also {}: this name survives replugging", link.display());
        }
        for format in &camera.formats {
            let rate = format
                .fps_at_vga
                .map_or(String::new(), |r| format!(", up to {r:.0} frames a second at 640x480"));
            let read = if format.read { "" } else { " (not read by facelatch)" };
            let _ = writeln!(text, "         format {}{rate}{read}", format.name);
        }
    }
    for chip in &findings.chips {
        let _ =
            writeln!(text, "gpio     {} \"{}\", {} lines", chip.path.display(), chip.label, chip.lines.len());
        for line in chip.lines.iter().filter(|l| !l.name.is_empty() || !l.used_by.is_empty()) {
            let used = if line.used_by.is_empty() {
                String::new()
            } else {
                format!(", in use by \"{}\"", line.used_by)
            };
            let _ = writeln!(text, "         {:3} {}{used}", line.offset, line.name);
        }
    }
    let _ = writeln!(
        text,
        "outputs  {}",
        match findings.outputs_of_the_dead {
            "keeps" => "stay driven when the program that drove them dies",
            "lets-go" => "are released when the program that drove them dies",
            _ => "the drivers do not say what happens to them when the program that drove them dies",
        }
    );
    if let Some(config) = &findings.config {
        let _ = writeln!(text, "config   {}", config.display());
    }
    for note in &findings.notes {
        let _ = writeln!(text, "note     {note}");
    }
    if findings.problems.is_empty() {
        text.push_str("nothing is wrong\n");
    }
    for problem in &findings.problems {
        let _ = writeln!(text, "PROBLEM  {problem}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_what_there_is() {
        let findings = Findings {
            board: "Lab".into(),
            kernel: "6.12".into(),
            cameras: vec![Camera {
                path: "/dev/video0".into(),
                by_id: vec!["/dev/v4l/by-id/usb-cam".into()],
                name: "Cam".into(),
                driver: "uvcvideo".into(),
                bus: "usb-1".into(),
                formats: vec![
                    Format { name: "YUYV".into(), read: true, fps_at_vga: Some(30.0) },
                    Format { name: "H264".into(), read: false, fps_at_vga: None },
                ],
            }],
            chips: vec![Chip {
                path: "/dev/gpiochip0".into(),
                label: "lab".into(),
                lines: vec![
                    Line { offset: 3, name: String::new(), used_by: String::new() },
                    Line { offset: 4, name: "RELAY".into(), used_by: "facelatch strike".into() },
                ],
            }],
            outputs_of_the_dead: "keeps",
            config: Some("/etc/door.toml".into()),
            notes: vec!["by the way".into()],
            problems: vec!["something: do this".into()],
        };
        let text = report(&findings);
        for expected in [
            "/dev/video0 \"Cam\"",
            "by-id/usb-cam",
            "YUYV, up to 30 frames a second",
            "H264 (not read",
            "4 RELAY, in use by \"facelatch strike\"",
            "stay driven",
            "config   /etc/door.toml",
            "note     by the way",
            "PROBLEM  something: do this",
        ] {
            assert!(text.contains(expected), "{expected} is missing in\n{text}");
        }
        assert!(!text.contains("  3 "), "free lines without a name are left out:\n{text}");
        assert!(!text.contains("nothing is wrong"));
    }
}
