//! `facelatch doctor`: what this machine has, what is wrong with it, and what to do.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Answer, CommandError, office};
use crate::config::Config;
use crate::gpio::persistence::{self, Persistence};

/// Look at cameras, GPIO lines, permissions and the names in the configuration, and say what to do
#[derive(clap::Args)]
pub struct Args {
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
    /// What is wrong, each with what to do.
    problems: Vec<String>,
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
pub fn run(args: Args) -> Result<Answer, CommandError> {
    let mut findings = Findings {
        board: board(),
        kernel: first_line(Path::new("/proc/sys/kernel/osrelease")),
        ..Default::default()
    };
    cameras(&mut findings);
    chips(&mut findings);
    outputs(&mut findings);
    names(&mut findings, &args.config.path);

    let text = if args.json { serde_json::to_string(&findings)? + "\n" } else { report(&findings) };
    super::say_text(text.as_bytes());
    Ok(if findings.problems.is_empty() { Answer::Done } else { Answer::No })
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
fn cameras(findings: &mut Findings) {
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
            findings.problems.push(format!(
                "{}: \"{}\" has none of the formats that facelatch reads (YUYV, MJPG, GREY, NV12, YU12): use another camera",
                camera.path.display(),
                camera.caps.card
            ));
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
    for path in v4l::nodes() {
        if let Some(error) = v4l::why_not(&path) {
            findings.problems.push(error.to_string());
        }
    }
    if findings.cameras.is_empty() && findings.problems.is_empty() {
        findings.problems.push(
            "no camera (/dev/video*): plug one in; on a Raspberry Pi enable it (camera_auto_detect=1 in config.txt)"
                .to_owned(),
        );
    }
}

#[cfg(not(feature = "v4l"))]
fn cameras(findings: &mut Findings) {
    findings
        .problems
        .push("this facelatch was built without cameras: build it with --features v4l".to_owned());
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
fn chips(findings: &mut Findings) {
    use crate::gpio::cdev;

    let paths = match cdev::chips() {
        Ok(paths) => paths,
        Err(error) => return findings.problems.push(error.to_string()),
    };
    for path in paths {
        let chip = match cdev::open_chip(&path) {
            Ok(chip) => chip,
            Err(error) => {
                findings.problems.push(error.to_string());
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
fn chips(_: &mut Findings) {}

fn outputs(findings: &mut Findings) {
    findings.outputs_of_the_dead = match persistence::of_this_machine() {
        Persistence::Keeps => "keeps",
        Persistence::LetsGo => "lets-go",
        Persistence::Unknown => "unknown",
    };
    if findings.outputs_of_the_dead == "keeps" {
        findings.problems.push(
            "this kernel keeps a GPIO output driven after its program died: a crash while the strike is released \
             leaves the door open until facelatch.service's ExecStopPost= secures it. Add dtparam=strict_gpiod to \
             config.txt, or pinctrl_bcm2835.persist_gpio_outputs=n to cmdline.txt, and restart"
                .to_owned(),
        );
    }
}

/// Names with hours of their own that nobody has. A machine without a configuration has none.
fn names(findings: &mut Findings, path: &Path) {
    if !path.exists() {
        return;
    }
    let place = format!("config {}: schedule.people", path.display());
    match Config::load(path).map_err(CommandError::from).and_then(|config| office::strangers(&config)) {
        Ok(names) => {
            findings.problems.extend(names.iter().map(|name| {
                format!("{place}: nobody enrolled is called {name:?}: {}", office::STRANGER_REMEDY)
            }))
        }
        Err(error) => findings.problems.push(format!("{place}: the names cannot be looked for: {error}")),
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
            let _ = writeln!(
                text,
                "         also {}: this name stays when it is plugged in elsewhere",
                link.display()
            );
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
            "lets-go" => "are let go when the program that drove them dies",
            _ => "the drivers do not say what becomes of them when the program that drove them dies",
        }
    );
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
            "PROBLEM  something: do this",
        ] {
            assert!(text.contains(expected), "{expected} is missing in\n{text}");
        }
        assert!(!text.contains("  3 "), "free lines without a name are left out:\n{text}");
        assert!(!text.contains("nothing is wrong"));
    }
}
