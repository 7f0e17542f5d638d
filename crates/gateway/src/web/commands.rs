//! What the page's forms ask of the door. The daemon decides whether the gateway may.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::auth::Fields;
use super::session::Session;
use super::site::{Shared, Site};
use super::{layout, people};
use crate::daemon_link::{LONGEST_ENROLMENT, LinkError};
use crate::feed::EnrolmentProgress;
use facelatch_core::access::{ModeCommand, SubjectId};
use facelatch_core::door::Existing;
use facelatch_core::matching::{Note, name};
use facelatch_protocol::{Person, Request, Right};

/// How long the result of an enrolment is shown.
const RESULT_SHOWN: Duration = Duration::from_secs(60);

fn refused(site: &Site, error: &LinkError) -> Response {
    let status = match error {
        LinkError::NotAllowed { .. } => StatusCode::FORBIDDEN,
        LinkError::Refused { .. } => StatusCode::CONFLICT,
        _ => StatusCode::BAD_GATEWAY,
    };
    (status, layout::problem(&site.name, &error.to_string())).into_response()
}

/// Asks, and goes back to a page or says why not.
async fn then(site: &Arc<Site>, request: Request, page: &'static str) -> Response {
    match site.ask::<serde_json::Value>(request).await {
        Ok(_) => Redirect::to(page).into_response(),
        Err(error) => refused(site, &error),
    }
}

fn wrong(site: &Site, words: &str) -> Response {
    (StatusCode::BAD_REQUEST, layout::problem(&site.name, words)).into_response()
}

/// Starts an enrolment; the live page shows how it goes. Under the name of somebody enrolled, it asks first.
pub(super) async fn enrol(
    State(site): Shared,
    Extension(session): Extension<Session>,
    fields: Fields,
) -> Response {
    let name = Some(fields.get("name").to_owned()).filter(|name| !name.is_empty());
    let (anyway, unlike) = (fields.get("anyway") == "yes", fields.get("unlike") == "yes");
    let existing = match (fields.get("existing"), fields.get("id").parse().map(SubjectId)) {
        ("replace", Ok(id)) => Existing::Replace(id),
        ("look", Ok(id)) => Existing::AddLook(id),
        _ => Existing::Refuse,
    };
    if let Some(name) = name.as_deref().filter(|_| existing.is_refused() && site.has(Right::Enrol)) {
        let people: Vec<Person> = match site.ask(Request::People {}).await {
            Ok(people) => people,
            Err(error) => return refused(&site, &error),
        };
        if let Some(held) = people.iter().find(|person| name::same(&person.name, name)) {
            return (StatusCode::CONFLICT, people::taken(&site, &session, held, anyway)).into_response();
        }
    }
    let mut busy = false;
    site.feed.enrolment.send_modify(|enrolment| {
        busy = enrolment.as_ref().is_some_and(|e| !e.over);
        if !busy {
            let text = "starting".to_owned();
            *enrolment = Some(EnrolmentProgress { name: name.clone(), text, ..EnrolmentProgress::default() });
        }
    });
    if busy {
        return refused(&site, &LinkError::Refused { message: "an enrolment is in progress".to_owned() });
    }
    let done = match existing {
        Existing::Refuse | Existing::Replace(_) => "enrolled",
        Existing::AddLook(_) => "added a look to",
    };
    let request = Request::Enroll { name, allow_duplicate: anyway, existing, unlike };
    let own = Arc::clone(&site);
    let (started, first) = tokio::sync::oneshot::channel();
    let asking = tokio::task::spawn_blocking(move || {
        let mut started = Some(started);
        let said = |text: String, over: bool| {
            own.feed.enrolment.send_modify(|enrolment| {
                if let Some(enrolment) = enrolment {
                    enrolment.text = text;
                    enrolment.over |= over;
                }
            });
        };
        let cancelled = || own.feed.enrolment.borrow().as_ref().is_none_or(|e| e.cancelled);
        let outcome = own.link.ask_with(&request, LONGEST_ENROLMENT, cancelled, |text| {
            if let Some(started) = started.take() {
                let _ = started.send(Ok(()));
            }
            if cancelled() {
                return ControlFlow::Break(());
            }
            said(text.to_owned(), false);
            ControlFlow::Continue(())
        });
        match outcome {
            Ok(result) => said(format!("{done} {}", result["name"].as_str().unwrap_or_default()), true),
            Err(error) => {
                said(error.to_string(), true);
                if let Some(started) = started.take() {
                    let _ = started.send(Err(error));
                }
            }
        }
    });
    let own = Arc::clone(&site);
    tokio::spawn(async move {
        let _ = asking.await;
        let mut latest = own.feed.enrolment.subscribe();
        let replaced = latest.wait_for(|enrolment| enrolment.as_ref().is_none_or(|e| !e.over));
        if tokio::time::timeout(RESULT_SHOWN, replaced).await.is_err() {
            own.feed.enrolment.send_if_modified(|enrolment| enrolment.take_if(|e| e.over).is_some());
        }
    });
    // An immediate refusal is shown at once.
    match tokio::time::timeout(Duration::from_secs(3), first).await {
        Ok(Ok(Err(error))) => {
            site.feed.enrolment.send_modify(|enrolment| drop(enrolment.take_if(|e| e.over)));
            refused(&site, &error)
        }
        _ => Redirect::to("/").into_response(),
    }
}

/// Ends the enrolment that the page began; answers when the door says that it has ended, so that the next
/// may begin.
pub(super) async fn cancel(State(site): Shared, _: Fields) -> Response {
    site.feed.enrolment.send_modify(|enrolment| {
        if let Some(enrolment) = enrolment {
            enrolment.cancelled = true;
        }
    });
    let (mut latest, mut known) = (site.feed.enrolment.subscribe(), site.feed.known.subscribe());
    let ended = async {
        let _ = latest.wait_for(|enrolment| enrolment.as_ref().is_none_or(|e| e.over)).await;
        let _ = known.wait_for(|known| known.state.as_ref().is_none_or(|s| !s.status.enrolling)).await;
    };
    let _ = tokio::time::timeout(Duration::from_secs(3), ended).await;
    Redirect::to("/").into_response()
}

/// The name of the person with this id: names do not belong in addresses, which are logged.
async fn name_of(site: &Arc<Site>, id: u32) -> Result<String, Response> {
    let people: Vec<Person> = site.ask(Request::People {}).await.map_err(|error| refused(site, &error))?;
    let found = people.into_iter().find(|person| person.id == id);
    let missing = || (StatusCode::NOT_FOUND, layout::problem(&site.name, "no person has that number"));
    found.map(|person| person.name).ok_or_else(|| missing().into_response())
}

pub(super) async fn rename(State(site): Shared, Path(id): Path<u32>, fields: Fields) -> Response {
    match name_of(&site, id).await {
        Ok(name) => then(&site, Request::Rename { name, to: fields.get("name").to_owned() }, "/people").await,
        Err(response) => response,
    }
}

pub(super) async fn remove(State(site): Shared, Path(id): Path<u32>, fields: Fields) -> Response {
    if fields.get("sure") != "yes" {
        return wrong(&site, "confirm that you are sure: a removal cannot be undone");
    }
    match name_of(&site, id).await {
        Ok(name) => then(&site, Request::Remove { name }, "/people").await,
        Err(response) => response,
    }
}

/// The day at whose start (UTC) somebody is removed, or none.
pub(super) async fn expiry(State(site): Shared, Path(id): Path<u32>, fields: Fields) -> Response {
    let expires = match day(fields.get("day")) {
        Ok(expires) => expires,
        Err(words) => return wrong(&site, &words),
    };
    match name_of(&site, id).await {
        Ok(name) => {
            let note = Note { consent: None, expires: Some(expires) };
            then(&site, Request::Note { name, note }, "/people").await
        }
        Err(response) => response,
    }
}

pub(super) async fn command(State(site): Shared, Path(what): Path<String>, fields: Fields) -> Response {
    let request = match what.as_str() {
        "secure" => Request::Mode { mode: ModeCommand::Secure },
        "normal" => Request::Mode { mode: ModeCommand::Normal },
        "hold" => match fields.get("seconds").parse() {
            Ok(seconds) => {
                Request::Mode { mode: ModeCommand::HoldOpen { time: Duration::from_secs(seconds) } }
            }
            Err(_) => return wrong(&site, "give a whole number of seconds"),
        },
        "clear-lockout" => Request::ClearLockout {},
        _ => return (StatusCode::NOT_FOUND, "there is no such command\n").into_response(),
    };
    then(&site, request, "/").await
}

/// A day written as YYYY-MM-DD, as the seconds since 1970 of its start (UTC); empty for none.
fn day(text: &str) -> Result<Option<u64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || "write the date as YYYY-MM-DD".to_owned();
    let date: jiff::civil::Date = text.parse().map_err(|_| wrong())?;
    let start = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?;
    u64::try_from(start.timestamp().as_second()).map(Some).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_its_begin_and_may_be_left_out() {
        assert_eq!(day("1970-01-02"), Ok(Some(86_400)));
        assert_eq!(day(""), Ok(None));
        assert!(day("2.1.1970").is_err());
    }
}
