//! What the audit log keeps of what happens, and how much of it.

use super::budget::{Allowance, EntryKind};
use crate::access::{DenyReason, EnrolGrant, Event, ReleaseReason};
use crate::audit::{AuditEvent, Stamp};
use crate::clock;
use crate::door::{Report, details};
use crate::time::Timestamp;

/// `now` by the monotonic clock, with what the wall clock says.
pub fn stamp(now: Timestamp) -> Stamp {
    Stamp { wall_ms: clock::unix_millis(), mono: now }
}

/// What the audit log keeps of a report; `None` for what concerns nobody's access.
pub fn audit_event(report: &Report) -> Option<AuditEvent> {
    let event = match report {
        Report::Enrolled { subject, from, .. } => {
            let event = AuditEvent::new("enrolled").with(format!("from={}", from.name()));
            return Some(AuditEvent { subject: Some(*subject), ..event });
        }
        Report::Replaced { subject, by, similarity, another } => {
            let event = AuditEvent::new("removed").with(format!("why=replaced by={by} another={another}"));
            return Some(AuditEvent { subject: Some(*subject), similarity: *similarity, ..event });
        }
        Report::LookAdded { subject, from, looks, similarity, .. } => {
            let event = AuditEvent::new("look_added").with(format!("from={} looks={looks}", from.name()));
            return Some(AuditEvent { subject: Some(*subject), similarity: Some(*similarity), ..event });
        }
        Report::Removed { subject } => {
            return Some(AuditEvent { subject: Some(*subject), ..AuditEvent::new("removed") });
        }
        Report::Expired { subject } => {
            return Some(AuditEvent {
                subject: Some(*subject),
                ..AuditEvent::new("removed").with("why=expired")
            });
        }
        Report::Renamed { subject } => {
            return Some(AuditEvent { subject: Some(*subject), ..AuditEvent::new("renamed") });
        }
        Report::Noted { subject } => {
            return Some(AuditEvent { subject: Some(*subject), ..AuditEvent::new("noted") });
        }
        Report::Disabled { subject } => {
            return Some(AuditEvent {
                subject: Some(*subject),
                ..AuditEvent::new("disabled").with("why=expired")
            });
        }
        Report::Enabled { subject } => {
            return Some(AuditEvent {
                subject: Some(*subject),
                ..AuditEvent::new("enabled").with("why=not_expired")
            });
        }
        Report::RollbackAccepted => return Some(AuditEvent::new("rollback_accepted").with("by=operator")),
        Report::EnrolRefused { like: Some(subject), .. } => {
            let refused = AuditEvent::new("enrol_refused").with("reason=\"already enrolled\"");
            return Some(AuditEvent { subject: Some(*subject), ..refused });
        }
        Report::EnrolRefused { logged, like: None, .. } => {
            return Some(AuditEvent::new("enrol_refused").with(format!("reason={logged:?}")));
        }
        Report::Event(event) => event,
    };
    let (subject, similarity) = match event {
        Event::NoFace
        | Event::Identifying { .. }
        | Event::StaleFrame { .. }
        | Event::EnrolCountdown { .. }
        | Event::EnrolWaiting(_)
        | Event::EnrolStillWaiting { .. }
        | Event::EnrolTaken => return None,
        Event::Released(ReleaseReason::Identified { subject, mean_similarity }) => {
            (Some(*subject), Some(*mean_similarity))
        }
        Event::Denied(DenyReason::Unknown { best_mean } | DenyReason::PoorPicture { best_mean, .. }) => {
            (None, *best_mean)
        }
        Event::Denied(DenyReason::Ambiguous { subject, best_mean, .. }) => (Some(*subject), Some(*best_mean)),
        Event::Denied(
            DenyReason::AlreadyReleased { subject }
            | DenyReason::OutOfHours { subject }
            | DenyReason::ClockNotSet { subject }
            | DenyReason::Spoof { subject, .. }
            | DenyReason::NotSureAlive { subject, .. }
            | DenyReason::SecondFactor { subject, .. }
            | DenyReason::TurnHead { subject, .. }
            | DenyReason::Nod { subject, .. }
            | DenyReason::ChallengeFailed { subject, .. },
        ) => (Some(*subject), None),
        Event::Denied(
            DenyReason::SeveralFaces { .. }
            | DenyReason::LockedOut { .. }
            | DenyReason::SecureMode
            | DenyReason::NotRecorded,
        )
        | Event::Released(ReleaseReason::Rex | ReleaseReason::HoldOpen { .. })
        | Event::Secured(_)
        | Event::Door { .. }
        | Event::Alarm(_)
        | Event::AlarmOver(_)
        | Event::LockedOut { .. }
        | Event::LockoutOver
        | Event::LockoutCleared
        | Event::ModeChanged(_)
        | Event::Fault(_)
        | Event::ButtonRefused
        | Event::EnrolAllowed { by: EnrolGrant::Operator, .. }
        | Event::EnrolStarted
        | Event::EnrolFailed { .. } => (None, None),
        Event::EnrolAllowed { by: EnrolGrant::Administrator { subject }, .. } => (Some(*subject), None),
    };
    // Subject and similarity have their own fields.
    let detail = match event {
        Event::Released(ReleaseReason::Identified { .. }) => "cause=identified".to_owned(),
        Event::EnrolAllowed { by: EnrolGrant::Administrator { .. }, .. } => "by=administrator".to_owned(),
        Event::Denied(
            reason @ (DenyReason::Spoof { evidence, .. }
            | DenyReason::NotSureAlive { evidence, .. }
            | DenyReason::SecondFactor { evidence, .. }
            | DenyReason::TurnHead { evidence, .. }
            | DenyReason::Nod { evidence, .. }),
        ) => format!("reason={} evidence={evidence:.2}", reason.code().name()),
        Event::Denied(reason @ DenyReason::ChallengeFailed { end, .. }) => {
            format!("reason={} end={}", reason.code().name(), end.name())
        }
        Event::Denied(reason) if subject.is_some() || similarity.is_some() => {
            format!("reason={}", reason.code().name())
        }
        _ => details(event).trim_start().to_owned(),
    };
    let detail = Some(detail).filter(|detail| !detail.is_empty());
    Some(AuditEvent { event: event.name().to_owned(), subject, similarity, detail, mark: None })
}

/// By which kind an entry is counted when there are too many, and how many there may be. `None` for what
/// always gets an entry of its own: a release for a face, an enrolment and a removal are what the log is
/// for, and nobody outside can repeat them at will.
pub(super) fn quota(report: &Report) -> Option<(EntryKind, Allowance)> {
    let outside = |event, detail: String| Some((EntryKind { event, detail }, Allowance::OUTSIDE));
    let event = match report {
        Report::Enrolled { .. }
        | Report::Replaced { .. }
        | Report::LookAdded { .. }
        | Report::Removed { .. }
        | Report::Expired { .. }
        | Report::RollbackAccepted => return None,
        // A time server can set the clock again and again.
        Report::Disabled { .. } => return outside("disabled", String::new()),
        Report::Enabled { .. } => return outside("enabled", String::new()),
        // The gateway may have the right to do these, and then can a thousand times a minute.
        Report::Renamed { .. } => return outside("renamed", String::new()),
        Report::Noted { .. } => return outside("noted", String::new()),
        Report::EnrolRefused { .. } => return outside("enrol_refused", String::new()),
        Report::Event(event) => event,
    };
    let (detail, allowance) = match event {
        Event::Released(ReleaseReason::Identified { .. }) => return None,
        Event::Released(ReleaseReason::Rex) => ("cause=rex".to_owned(), Allowance::TRAFFIC),
        Event::Released(ReleaseReason::HoldOpen { .. }) => ("cause=hold_open".to_owned(), Allowance::OUTSIDE),
        Event::Secured(why) => (format!("why={}", why.name()), Allowance::TRAFFIC),
        Event::Door { .. } => (String::new(), Allowance::TRAFFIC),
        Event::Denied(reason) => (format!("reason={}", reason.code().name()), Allowance::OUTSIDE),
        Event::Alarm(alarm) | Event::AlarmOver(alarm) => {
            (format!("alarm={}", alarm.name()), Allowance::OUTSIDE)
        }
        Event::ModeChanged(mode) => (format!("mode={}", mode.name()), Allowance::OUTSIDE),
        Event::Fault(fault) => (format!("fault={}", fault.name()), Allowance::OUTSIDE),
        _ => (String::new(), Allowance::OUTSIDE),
    };
    Some((EntryKind { event: event.name(), detail }, allowance))
}

/// True for the release of a face: its entry must be on the disk before the strike moves. Who asks to
/// leave is never kept waiting.
pub fn is_recorded_first(report: &Report) -> bool {
    matches!(report, Report::Event(Event::Released(ReleaseReason::Identified { .. })))
}
