//! What clients ask of the door.

use super::budget::{Allowance, EntryKind};
use super::effects::Executor;
use super::request::{ClientRequest, Peer};
use super::status::Vitals;
use crate::access::Input;
use crate::audit::AuditEvent;
use crate::clock;
use crate::door::{DoorError, Effect, PeopleChange, Terms};
use crate::matching::Embedding;
use crate::protocol::{Reply, Request, Right};
use crate::store;
use crate::time::Timestamp;

/// Does what a client asks, and answers unless the answer comes later.
pub(super) fn answer(
    executor: &mut Executor,
    vitals: &Vitals,
    now: Timestamp,
    asked: ClientRequest,
) -> Vec<Effect> {
    let ClientRequest { request, people, peer, client } = asked;
    if peer == Peer::Gateway && request.right() != Some(Right::View) {
        let detail = format!("command={} by=gateway", request.name());
        let kind = EntryKind { event: "command", detail: detail.clone() };
        executor.trail.record_within(
            now,
            (kind, Allowance::OUTSIDE),
            AuditEvent::new("command").with(detail),
        );
    }
    let done = |outcome: Result<Vec<Effect>, DoorError>| match outcome {
        Ok(effects) => (Reply::ok(), effects),
        Err(error) => (Reply::error(error.to_string()), Vec::new()),
    };
    let (answer, effects) = match request {
        Request::Enroll { name, allow_duplicate, existing, unlike } => {
            let terms = Terms { allow_duplicate, existing, unlike };
            match executor.door.enrol(now, name.as_deref(), terms) {
                // The client hears of the end from `apply_effects`.
                Ok(effects) => {
                    executor.clients.enrolment = Some((client, peer));
                    return effects;
                }
                Err(error) => done(Err(error)),
            }
        }
        Request::Add { model, .. } if model != vitals.model.hash => {
            let message = format!(
                "the pictures were read with model {model}, but the daemon runs {}: give both the same config",
                vitals.model.hash
            );
            (Reply::error(message), Vec::new())
        }
        Request::AllowEnrolment { time } => {
            (Reply::ok(), executor.door.handle(now, Input::AllowEnrolment { time }))
        }
        Request::Add { name, embeddings, allow_duplicate, existing, unlike, .. } => {
            let embeddings: Vec<Embedding> = embeddings.into_iter().map(Embedding::new).collect();
            let terms = Terms { allow_duplicate, existing, unlike };
            match executor.door.enrol_from(clock::unix(), &name, &embeddings, terms) {
                // The client hears of the end from `gallery_saved`.
                Ok(effects) => {
                    executor.clients.change = Some((client, peer));
                    return effects;
                }
                Err(error) => done(Err(error)),
            }
        }
        Request::Import { allow_duplicate, .. } => {
            match executor.door.import(people.subjects(), allow_duplicate) {
                Ok(effects) => {
                    executor.clients.change = Some((client, peer));
                    return effects;
                }
                Err(error) => done(Err(error)),
            }
        }
        Request::Remove { .. } | Request::Rename { .. } | Request::Note { .. } => {
            match change_people(executor, request) {
                Ok(effects) => {
                    executor.clients.change = Some((client, peer));
                    return effects;
                }
                Err(message) => (Reply::error(message), Vec::new()),
            }
        }
        Request::AcceptRollback {} => match executor.door.accept_rollback() {
            Ok(effects) => {
                executor.clients.change = Some((client, peer));
                return effects;
            }
            Err(error) => done(Err(error)),
        },
        Request::Export { name } => match executor.door.gallery().only(&[name]) {
            Ok(person) => {
                let subject = person.subjects().first().map(|s| s.id);
                executor.trail.record(AuditEvent { subject, ..AuditEvent::new("exported") });
                (Reply::Ok { result: store::to_json(&person) }, Vec::new())
            }
            Err(error) => (Reply::error(error.to_string()), Vec::new()),
        },
        Request::Secure {} => {
            // What the gateway asks for has its entry already.
            if peer == Peer::Operator {
                executor.trail.record(AuditEvent::new("command").with("command=secure"));
            }
            (Reply::ok(), executor.door.handle(now, Input::Secure))
        }
        Request::Mode { mode } => done(executor.door.set_mode(now, mode)),
        Request::ClearLockout {} => (Reply::ok(), executor.door.handle(now, Input::ClearLockout)),
        Request::People {} => {
            let people = crate::protocol::people(executor.door.gallery());
            (Reply::Ok { result: serde_json::to_value(people).unwrap_or_default() }, Vec::new())
        }
        Request::Status {} => {
            let status = vitals.status(now, executor);
            (Reply::Ok { result: serde_json::to_value(status).unwrap_or_default() }, Vec::new())
        }
        Request::State {} => {
            let state = vitals.state(now, executor);
            (Reply::Ok { result: serde_json::to_value(state).unwrap_or_default() }, Vec::new())
        }
        // The client's own thread answers these.
        Request::Hello { .. }
        | Request::Watch { .. }
        | Request::Entries { .. }
        | Request::VerifyLog {}
        | Request::ReportRefusal { .. } => (Reply::error("not for the door's thread"), Vec::new()),
    };
    client.send(answer);
    effects
}

/// Somebody has asked for what they may not.
pub(super) fn refused(executor: &mut Executor, now: Timestamp, command: &str, by: &str) {
    log::warn!("event=refused command={command} by={by}");
    let kind = EntryKind { event: "refused", detail: format!("by={by}") };
    let event = AuditEvent::new("refused").with(format!("command={command} by={by}"));
    executor.trail.record_within(now, (kind, Allowance::OUTSIDE), event);
}

/// Starts what a request wants changed among the people enrolled.
fn change_people(executor: &mut Executor, request: Request) -> Result<Vec<Effect>, String> {
    let change = match request {
        Request::Remove { name } => PeopleChange::Remove { name },
        Request::Rename { name, to } => PeopleChange::Rename { name, to },
        Request::Note { name, note } => PeopleChange::Note { name, note },
        _ => return Err("this changes nobody".to_owned()),
    };
    executor.door.change_people(&change).map_err(|e| e.to_string())
}
