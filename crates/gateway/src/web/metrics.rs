//! `/metrics`: the door's figures in Prometheus' text format, version 0.0.4. Nothing about a person.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::fs;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::feed::DaemonSnapshot;
use facelatch_core::access::{Alarm, DenyCode, Fault, Mode, ReleaseReason};
use facelatch_core::strike::StrikeState;
use facelatch_core::time::Timestamp;
use facelatch_host::clock;
use facelatch_host::lock::lock;
use facelatch_protocol::metrics::{BOUNDS_US, Histogram};

/// A text in progress.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP facelatch_{name} {help}\n# TYPE facelatch_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(self.0, "facelatch_{name}{labels} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, "", value);
    }

    /// One counter for each of `values`, and for whatever else was counted. What has not happened yet is 0:
    /// a series that begins with its first event has no increase for it.
    fn counters<'v>(
        &mut self,
        name: &str,
        label: &str,
        help: &str,
        values: impl IntoIterator<Item = &'v str>,
        counts: &'v BTreeMap<String, u64>,
    ) {
        let mut all: BTreeMap<&str, u64> = values.into_iter().map(|value| (value, 0)).collect();
        all.extend(counts.iter().map(|(value, count)| (value.as_str(), *count)));
        self.family(name, "counter", help);
        for (value, count) in all {
            self.sample(name, &format!("{label}=\"{}\"", escaped(value)), count);
        }
    }

    fn histogram(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        let mut sum = 0;
        let comma = if labels.is_empty() { "" } else { "," };
        for (count, bound) in histogram.counts.iter().zip(BOUNDS_US) {
            sum += count;
            let bound = bound as f64 / 1e6;
            self.sample(&format!("{name}_bucket"), &format!("{labels}{comma}le=\"{bound}\""), sum);
        }
        let all = histogram.count();
        self.sample(&format!("{name}_bucket"), &format!("{labels}{comma}le=\"+Inf\""), all);
        self.sample(&format!("{name}_sum"), labels, histogram.sum_us as f64 / 1e6);
        self.sample(&format!("{name}_count"), labels, all);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// When this process was started, by the wall clock.
#[derive(Debug)]
pub struct ProcessStart {
    at: Timestamp,
    told: Mutex<Duration>,
}

impl ProcessStart {
    /// Now.
    pub fn now() -> Self {
        ProcessStart { at: clock::now(), told: Mutex::default() }
    }

    /// Seconds since 1970, the same with each scrape unless somebody has set the clock: many boards learn
    /// the time only after their start.
    pub fn unix(&self) -> f64 {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started = wall.saturating_sub(clock::now().since(self.at));
        let mut told = lock(&self.told);
        if told.abs_diff(started) > Duration::from_secs(2) {
            *told = started;
        }
        told.as_millis() as f64 / 1e3
    }
}

/// Temperatures of the board's zones in °C, by their names.
pub fn temperatures() -> Vec<(String, f64)> {
    let Ok(folder) = fs::read_dir("/sys/class/thermal") else { return Vec::new() };
    let zone = |path: std::path::PathBuf| {
        let millis: f64 = fs::read_to_string(path.join("temp")).ok()?.trim().parse().ok()?;
        let kind = fs::read_to_string(path.join("type")).ok()?;
        let name = path.file_name()?.to_str()?.to_owned();
        Some((format!("{name} {}", kind.trim()), millis / 1e3))
    };
    let mut zones: Vec<_> = folder.filter_map(|entry| zone(entry.ok()?.path())).collect();
    zones.sort_by(|a, b| a.0.cmp(&b.0));
    zones
}

/// All of it.
pub fn text(known: &DaemonSnapshot, viewers: usize, temperatures: &[(String, f64)], started: f64) -> String {
    let mut text = Text::default();
    // The name under which every Prometheus looks for it.
    let _ = writeln!(
        text.0,
        "# HELP process_start_time_seconds When the gateway was started, in seconds since 1970.\n\
         # TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {started}"
    );
    let up = known.state.is_some();
    text.one("up", "gauge", "1 while the door's daemon answers the gateway.", u8::from(up));
    text.one("gateway_viewers", "gauge", "Viewers of the live picture.", viewers);
    if !temperatures.is_empty() {
        text.family("board_temperature_celsius", "gauge", "Temperature of the board's thermal zones.");
        for (zone, celsius) in temperatures {
            text.sample("board_temperature_celsius", &format!("zone=\"{}\"", escaped(zone)), celsius);
        }
    }
    if let Some(hello) = &known.hello {
        text.family("build_info", "gauge", "The daemon's version; always 1.");
        text.sample("build_info", &format!("version=\"{}\"", escaped(&hello.version)), 1);
    }
    let Some(state) = &known.state else { return text.0 };
    let (status, metrics) = (&state.status, &state.metrics);
    let flag = u8::from;
    text.one("uptime_seconds", "gauge", "Since the daemon's start.", status.uptime_s);
    let released = flag(status.strike == StrikeState::Released);
    text.one("strike_released", "gauge", "1 while the strike is released.", released);
    if let Some(open) = status.door_open {
        text.one("door_open", "gauge", "1 while the door is open.", flag(open));
    }
    text.family("mode", "gauge", "1 for the mode that the door is in.");
    for mode in [Mode::Normal, Mode::Secure, Mode::HoldOpen] {
        text.sample("mode", &format!("mode=\"{}\"", mode.name()), flag(status.mode == mode));
    }
    text.family("alarm", "gauge", "1 while this alarm is active.");
    for alarm in Alarm::ALL {
        text.sample("alarm", &format!("alarm=\"{}\"", alarm.name()), flag(status.alarm == Some(alarm)));
    }
    let lockout = status.lockout_left_s.unwrap_or(0);
    text.one("lockout_seconds", "gauge", "Until the lockout ends; 0 without one.", lockout);
    text.one("people", "gauge", "People enrolled.", status.people);
    let others = status.people_of_other_models;
    text.one(
        "people_of_other_models",
        "gauge",
        "People enrolled with another model, who are not recognised.",
        others,
    );
    text.one("enrolling", "gauge", "1 during an enrolment.", flag(status.enrolling));
    text.one("audit_written", "gauge", "1 while the audit log can be written.", flag(status.audit_written));
    text.one("camera_delivers", "gauge", "1 while frames arrive.", flag(status.camera_delivers));
    text.one("frames_total", "counter", "Frames processed.", status.frames);
    text.one(
        "frames_with_face_total",
        "counter",
        "Frames in which a face was found.",
        status.frames_with_face,
    );
    let camera = &status.camera_counters;
    text.family("camera_frames_total", "counter", "The camera's frames by outcome.");
    for (fate, count) in
        [("delivered", camera.frames), ("skipped", camera.skipped), ("undecodable", camera.undecodable)]
    {
        text.sample("camera_frames_total", &format!("fate=\"{fate}\""), count);
    }
    text.one("camera_restarts_total", "counter", "Times the camera was opened again.", camera.reopened);
    let changes = camera.format_changes;
    text.one("camera_format_changes_total", "counter", "Times another program changed the format.", changes);
    text.family("stage_duration_seconds", "histogram", "How long frames take, stage by stage.");
    for (stage, histogram) in metrics.stages.named() {
        text.histogram("stage_duration_seconds", &format!("stage=\"{stage}\""), histogram);
    }
    let help = "From the capture of the deciding frame to the driven strike.";
    text.family("release_latency_seconds", "histogram", help);
    text.histogram("release_latency_seconds", "", &metrics.release);
    let help = "Releases of the strike by cause.";
    text.counters("releases_total", "cause", help, ReleaseReason::NAMES, &metrics.releases);
    let reasons = DenyCode::ALL.map(DenyCode::name);
    text.counters("denials_total", "reason", "Denials by reason.", reasons, &metrics.denials);
    let alarms = Alarm::ALL.map(Alarm::name);
    text.counters("alarms_total", "alarm", "Alarms by kind.", alarms, &metrics.alarms);
    let faults = Fault::ALL.map(Fault::name);
    text.counters("faults_total", "fault", "Faults by kind.", faults, &metrics.faults);
    if let Some(watchdog) = metrics.watchdog {
        text.one(
            "watchdog_limit_seconds",
            "gauge",
            "The daemon is killed after this long without a sign of life.",
            watchdog.limit_s,
        );
        text.one(
            "watchdog_margin_seconds",
            "gauge",
            "The smallest margin to that limit in the last minutes.",
            watchdog.margin_s,
        );
    }
    text.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use facelatch_protocol::metrics::{Metrics, Watchdog};
    use facelatch_protocol::{Attempt, State, Status};
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn the_dashboard_asks_for_nothing_that_is_not_exported() {
        let state = State {
            status: Status { door_open: Some(true), ..Status::example() },
            attempt: Attempt::default(),
            metrics: Metrics {
                watchdog: Some(Watchdog { limit_s: 10.0, margin_s: 9.0 }),
                ..Metrics::default()
            },
        };
        let known = DaemonSnapshot { state: Some(Arc::from(state)), ..DaemonSnapshot::default() };
        let text = text(&known, 0, &[("zone".to_owned(), 20.0)], 1.0);
        let kinds: BTreeMap<&str, &str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
        let dashboard = include_str!("../../../../docs/grafana.json");
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        let mut asked = 0;
        for after in dashboard.split("facelatch_").skip(1) {
            let name = format!("facelatch_{}", &after[..after.find(|c| !is_name(c)).unwrap_or(after.len())]);
            let parts = ["_bucket", "_sum", "_count"];
            let family = parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(&name);
            let kind = kinds.get(family).unwrap_or_else(|| panic!("{name} is not exported"));
            assert_eq!(*kind == "histogram", family != name, "{name} of a {kind}");
            asked += 1;
        }
        assert!(asked > 15, "{asked}");
    }

    #[test]
    fn buckets_add_up_and_labels_are_escaped() {
        let mut histogram = Histogram::default();
        for ms in [1, 1, 20, 9_000] {
            histogram.add(Duration::from_millis(ms));
        }
        let mut text = Text::default();
        text.histogram("h", "stage=\"x\"", &histogram);
        assert!(text.0.contains("facelatch_h_bucket{stage=\"x\",le=\"0.001\"} 2\n"), "{}", text.0);
        assert!(text.0.contains("le=\"5\"} 3\n") && text.0.contains("le=\"+Inf\"} 4\n"), "{}", text.0);
        assert!(text.0.contains("facelatch_h_sum{stage=\"x\"} 9.022\n"), "{}", text.0);
        assert_eq!(escaped("a\"b\\c\n"), "a\\\"b\\\\c\\n");
        let down = super::text(&DaemonSnapshot::default(), 3, &[], 1_790_000_000.125);
        assert!(
            down.contains("\nprocess_start_time_seconds 1790000000.125\n")
                && down.contains("facelatch_up 0\n")
                && down.contains("facelatch_gateway_viewers 3\n"),
            "{down}"
        );
    }

    #[test]
    fn every_name_is_listed() {
        // Whoever adds one is led here by the compiler, and from here to the list.
        let alarm = |alarm| match alarm {
            Alarm::ForcedOpen => 0,
            Alarm::HeldOpen => 1,
            Alarm::RolledBack => 2,
        };
        let fault = |fault| match fault {
            Fault::Camera => 0,
            Fault::Vision => 1,
            Fault::Lines => 2,
            Fault::Store => 3,
        };
        assert!(Alarm::ALL.into_iter().map(alarm).eq(0..3));
        assert!(Fault::ALL.into_iter().map(fault).eq(0..4));
    }

    #[test]
    fn what_has_not_happened_is_zero_and_what_has_no_name_here_is_told_as_well() {
        let mut text = Text::default();
        let counts = BTreeMap::from([("b".to_owned(), 3), ("new".to_owned(), 1)]);
        text.counters("c", "kind", "Help.", ["a", "b"], &counts);
        let samples: Vec<&str> = text.0.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = ["a\"} 0", "b\"} 3", "new\"} 1"].map(|end| format!("facelatch_c{{kind=\"{end}"));
        assert_eq!(samples, expected);
    }

    #[test]
    fn the_start_does_not_waver() {
        let started = ProcessStart::now();
        let first = started.unix();
        std::thread::sleep(Duration::from_millis(30));
        assert!(first > 1.7e9 && started.unix() == first);
    }
}
