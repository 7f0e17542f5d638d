//! `facelatch status`: how the running daemon is.

use std::time::Duration;

use clap::Args as ClapArgs;

use super::{Answer, CommandError, print_json};
use crate::config::Config;
use crate::protocol::client::Client;
use crate::protocol::{Request, Status};
use facelatch_host::say;

/// Show the state of the running door
#[derive(ClapArgs)]
pub(super) struct Args {
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: super::ConfigFile,
}

/// Runs the command: "no" when no daemon runs.
pub(super) fn run(args: Args) -> Result<Answer, CommandError> {
    let config = Config::load(&args.config.path)?;
    let Some(client) = Client::find(&config.daemon.socket)? else {
        if args.json {
            print_json(&serde_json::json!({"running": false}));
        } else {
            say!("not running: no daemon listens on {}", config.daemon.socket.display());
        }
        return Ok(Answer::No);
    };
    let mut answer: serde_json::Value = client.within(Duration::from_secs(5)).ask(&Request::Status {})?;
    if args.json {
        if let Some(object) = answer.as_object_mut() {
            object.insert("running".into(), true.into());
        }
        print_json(&answer);
        return Ok(Answer::Done);
    }
    let s: Status = serde_json::from_value(answer)?;
    say!("strike      {} ({})", s.strike, s.strike_line);
    say!("mode        {}", s.mode.name());
    if let Some(left) = s.lockout_left_s {
        say!(
            "lockout     faces are not let in for another {left} s (end it: facelatch mode --clear-lockout)"
        );
    }
    if let Some(open) = s.door_open {
        say!("door        {}", if open { "open" } else { "closed" });
    }
    if let Some(alarm) = s.alarm {
        say!("ALARM       {}", alarm.name());
    }
    if let Some(rolled_back) = s.rolled_back {
        say!("ROLLED BACK {rolled_back} (accept it: facelatch mode normal --accept-rollback)");
    }
    if !s.audit_written {
        say!("audit log   NOT WRITTEN (see the log: journalctl -u facelatch)");
    }
    say!("camera      {} ({})", s.camera, if s.camera_delivers { "delivers" } else { "NO FRAMES" });
    say!(
        "frames      {}, {} with a face, the last took {:.1} ms",
        s.frames,
        s.frames_with_face,
        s.last_frame_ms
    );
    let c = &s.camera_counters;
    say!(
        "camera saw  {} frames, {} skipped, {} undecodable; opened again {} times, format restored {} times",
        c.frames,
        c.skipped,
        c.undecodable,
        c.reopened,
        c.format_changes
    );
    if s.people_of_other_models > 0 {
        say!(
            "people      {} CANNOT BE MATCHED: enrolled with another model; enrol them again",
            s.people_of_other_models
        );
    }
    say!("people      {}{}", s.people, if s.enrolling { ", an enrolment is in progress" } else { "" });
    say!("model       {}, threshold {:.3}", s.model, s.threshold);
    say!("uptime      {} s", s.uptime_s);
    say!("last denial {}", s.last_denial.as_deref().unwrap_or("none"));
    say!("last event  {}", s.last_event.as_deref().unwrap_or("none"));
    Ok(Answer::Done)
}
