//! What a door tells: in the log, to watchers and to whoever enrols.

use std::time::Duration;

use crate::access::{DenyReason, EnrolFailure, EnrolGrant, Event, ReleaseReason, SubjectId};

/// Something worth telling.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// What the controller says.
    Event(Event),
    /// Somebody was enrolled.
    Enrolled {
        /// The new id.
        subject: SubjectId,
        /// The name.
        name: String,
        /// From what.
        from: Origin,
    },
    /// Somebody's place was taken by the one who is enrolled next.
    Replaced {
        /// The id that was theirs.
        subject: SubjectId,
        /// The new one.
        by: SubjectId,
        /// How much the new face is like them, where the network is the same.
        similarity: Option<f32>,
        /// True when it is too little for one person: then all that is known of them goes.
        another: bool,
    },
    /// Somebody is known in one more look.
    LookAdded {
        /// Who.
        subject: SubjectId,
        /// The name.
        name: String,
        /// From what.
        from: Origin,
        /// How many looks there are now.
        looks: usize,
        /// How much the new face is like them.
        similarity: f32,
    },
    /// Somebody was removed.
    Removed {
        /// The id that was theirs.
        subject: SubjectId,
    },
    /// Somebody's time was over: removed.
    Expired {
        /// The id that was theirs.
        subject: SubjectId,
    },
    /// Somebody has another name.
    Renamed {
        /// Who.
        subject: SubjectId,
    },
    /// Consent or expiry of somebody was noted.
    Noted {
        /// Who.
        subject: SubjectId,
    },
    /// An operator has accepted the door's files, which do not match, as they are.
    RollbackAccepted,
    /// Somebody's time is over: not let in from now on.
    Disabled {
        /// Who.
        subject: SubjectId,
    },
    /// Somebody's time is not over after all.
    Enabled {
        /// Who.
        subject: SubjectId,
    },
    /// The countdown ended, but nothing was stored.
    EnrolRefused {
        /// Why, in words, which may name people.
        reason: String,
        /// Why, as logs may say it: without a name.
        logged: String,
        /// Who that is.
        like: Option<SubjectId>,
    },
}

/// What a template was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The door's camera.
    Camera,
    /// Pictures.
    Pictures,
    /// A copy from another board.
    Copy,
}

impl Origin {
    /// The name in logs and the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Camera => "camera",
            Origin::Pictures => "pictures",
            Origin::Copy => "copy",
        }
    }
}

impl Report {
    /// True when it tells of a change of the gallery.
    pub fn is_change(&self) -> bool {
        match self {
            Report::Enrolled { .. }
            | Report::Replaced { .. }
            | Report::LookAdded { .. }
            | Report::Removed { .. }
            | Report::Expired { .. }
            | Report::Renamed { .. }
            | Report::Noted { .. }
            | Report::RollbackAccepted => true,
            Report::Event(_)
            | Report::Disabled { .. }
            | Report::Enabled { .. }
            | Report::EnrolRefused { .. } => false,
        }
    }

    /// The report as one line of `key=value` pairs for the log. People appear as ids.
    pub fn log_line(&self) -> String {
        match self {
            Report::Enrolled { subject, from, .. } => {
                format!("event=enrolled subject={subject} from={}", from.name())
            }
            Report::Replaced { subject, by, another, .. } => {
                format!("event=removed subject={subject} why=replaced by={by} another={another}")
            }
            Report::LookAdded { subject, from, looks, .. } => {
                format!("event=look_added subject={subject} from={} looks={looks}", from.name())
            }
            Report::Removed { subject } => format!("event=removed subject={subject}"),
            Report::Expired { subject } => format!("event=expired subject={subject}"),
            Report::Renamed { subject } => format!("event=renamed subject={subject}"),
            Report::Noted { subject } => format!("event=noted subject={subject}"),
            Report::RollbackAccepted => "event=rollback_accepted".to_owned(),
            Report::Disabled { subject } => format!("event=disabled subject={subject} why=expired"),
            Report::Enabled { subject } => format!("event=enabled subject={subject} why=not_expired"),
            Report::EnrolRefused { like: Some(subject), .. } => {
                format!("event=enrol_refused reason=\"already enrolled\" subject={subject}")
            }
            Report::EnrolRefused { logged, like: None, .. } => {
                format!("event=enrol_refused reason={logged:?}")
            }
            Report::Event(event) => format!("event={}{}", event.name(), details(event)),
        }
    }

    /// True when somebody is gone: what was recorded of them goes, too.
    pub fn erases(&self) -> bool {
        matches!(
            self,
            Report::Removed { .. } | Report::Expired { .. } | Report::Replaced { another: true, .. }
        )
    }

    /// What a person waiting for the end of an enrolment should read.
    pub fn enrol_progress(&self) -> Option<String> {
        match self {
            Report::Event(Event::EnrolStarted) => Some("look at the camera".to_owned()),
            Report::Event(Event::EnrolCountdown { seconds_left }) => {
                Some(format!("Image will be taken in {seconds_left}.."))
            }
            Report::Event(Event::EnrolWaiting(wait)) => Some(wait.advice().to_owned()),
            Report::Event(Event::EnrolStillWaiting { wait, seconds_left }) => {
                Some(format!("{} ({seconds_left} s left)", wait.advice()))
            }
            Report::Event(Event::EnrolTaken) => Some("taken".to_owned()),
            _ => None,
        }
    }

    /// For the reports that end an enrolment before the camera: the name, or why it failed.
    pub fn ends_enrolment(&self) -> Option<Result<&str, String>> {
        match self {
            Report::Enrolled { name, from: Origin::Camera, .. }
            | Report::LookAdded { name, from: Origin::Camera, .. } => Some(Ok(name)),
            Report::EnrolRefused { reason, .. } => Some(Err(reason.clone())),
            Report::Event(Event::EnrolFailed { why: EnrolFailure::Cancelled, .. }) => {
                Some(Err(EnrolFailure::Cancelled.to_string()))
            }
            Report::Event(Event::EnrolFailed { why, frames }) => Some(Err(format!("{why} ({frames})"))),
            Report::Enrolled { .. }
            | Report::LookAdded { .. }
            | Report::Replaced { .. }
            | Report::Removed { .. }
            | Report::Expired { .. }
            | Report::Renamed { .. }
            | Report::Noted { .. }
            | Report::RollbackAccepted
            | Report::Disabled { .. }
            | Report::Enabled { .. }
            | Report::Event(_) => None,
        }
    }
}

/// What a line about an event says besides its name.
pub fn details(event: &Event) -> String {
    let seconds = |time: &Duration| time.as_secs_f64();
    match event {
        Event::NoFace
        | Event::Door { .. }
        | Event::LockoutOver
        | Event::LockoutCleared
        | Event::EnrolStarted
        | Event::EnrolTaken
        | Event::ButtonRefused => String::new(),
        Event::EnrolAllowed { by: EnrolGrant::Operator, time } => {
            format!(" by=operator time_s={}", seconds(time))
        }
        Event::EnrolAllowed { by: EnrolGrant::Administrator { subject }, time } => {
            format!(" by=administrator subject={subject} time_s={}", seconds(time))
        }
        Event::Identifying { track } => format!(" track={}", track.0),
        Event::Denied(reason) => format!(" reason={}{}", reason.code().name(), numbers(reason)),
        Event::Released(ReleaseReason::Identified { subject, mean_similarity }) => {
            format!(" subject={subject} mean_similarity={mean_similarity:.3}")
        }
        Event::Released(ReleaseReason::Rex) => " cause=rex".into(),
        Event::Released(ReleaseReason::HoldOpen { time }) => {
            format!(" cause=hold_open time_s={}", seconds(time))
        }
        Event::Secured(why) => format!(" why={}", why.name()),
        Event::Alarm(alarm) | Event::AlarmOver(alarm) => format!(" alarm={}", alarm.name()),
        Event::LockedOut { denials, time } => format!(" denials={denials} time_s={}", seconds(time)),
        Event::ModeChanged(mode) => format!(" mode={}", mode.name()),
        Event::Fault(fault) => format!(" fault={}", fault.name()),
        Event::StaleFrame { age } => format!(" age_ms={}", age.as_millis()),
        Event::EnrolCountdown { seconds_left } => format!(" seconds_left={seconds_left}"),
        Event::EnrolWaiting(wait) => format!(" advice={:?}", wait.advice()),
        Event::EnrolStillWaiting { wait, seconds_left } => {
            format!(" advice={:?} seconds_left={seconds_left}", wait.advice())
        }
        Event::EnrolFailed { why, frames } => {
            let mut details = format!(" reason={:?} frames={}", why.to_string(), frames.seen);
            for (name, _, count) in
                frames.named().iter().filter(|(name, _, count)| *count > 0 || *name == "fit")
            {
                details += &format!(" {name}={count}");
            }
            details
        }
    }
}

fn numbers(reason: &DenyReason) -> String {
    match reason {
        DenyReason::Unknown { best_mean: Some(mean) } => format!(" best_mean={mean:.3}"),
        DenyReason::Ambiguous { subject, other, best_mean } => {
            format!(" subject={subject} other={other} best_mean={best_mean:.3}")
        }
        DenyReason::PoorPicture { unusable, best_mean } => {
            let mean = best_mean.map_or_else(String::new, |mean| format!(" best_mean={mean:.3}"));
            format!(" advice={:?}{mean}", unusable.advice())
        }
        DenyReason::SeveralFaces { count } => format!(" count={count}"),
        DenyReason::AlreadyReleased { subject }
        | DenyReason::OutOfHours { subject }
        | DenyReason::ClockNotSet { subject } => format!(" subject={subject}"),
        DenyReason::Spoof { subject, evidence }
        | DenyReason::NotSureAlive { subject, evidence }
        | DenyReason::SecondFactor { subject, evidence }
        | DenyReason::TurnHead { subject, evidence }
        | DenyReason::Nod { subject, evidence } => {
            format!(" subject={subject} evidence={evidence:.2}")
        }
        DenyReason::ChallengeFailed { subject, end } => format!(" subject={subject} end={}", end.name()),
        DenyReason::LockedOut { left } => format!(" left_s={:.0}", left.as_secs_f64().ceil()),
        DenyReason::Unknown { best_mean: None } | DenyReason::SecureMode | DenyReason::NotRecorded => {
            String::new()
        }
    }
}
