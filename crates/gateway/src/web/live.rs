//! The live page: picture, attempt and state of the door, and commands.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::auth::cookie_of;
use super::layout::{self, csrf};
use super::session::Session;
use super::site::{Shared, Site};
use crate::feed::{DaemonSnapshot, EnrolmentProgress};
use facelatch_host::clock;
use facelatch_protocol::Right;

/// The browser reconnects a live view after this long.
const MAX_VIEW: Duration = Duration::from_secs(600);
/// The least time between two pictures to one viewer, and what each viewer adds to it: together they get
/// at most 25 pictures a second.
const VIEW_EVERY: Duration = Duration::from_millis(100);
const VIEW_SHARE: Duration = Duration::from_millis(40);

/// What the live page gets besides pictures, as one line of JSON.
fn state_json(known: &DaemonSnapshot, enrolment: Option<&EnrolmentProgress>) -> String {
    let status = known.state.as_ref().map(|state| &state.status);
    let enrolment_text = enrolment.map(|e| match (&e.name, e.over) {
        (Some(name), false) => format!("{name}: {}", e.text),
        _ => e.text.clone(),
    });
    // Somebody else's, from the command line or the button.
    let others = status
        .filter(|s| s.enrolling)
        .map(|s| s.enrol_advice.clone().unwrap_or_else(|| "an enrolment is in progress".to_owned()));
    serde_json::json!({
        "up": status.is_some(),
        "problem": known.problem,
        "strike": status.map(|s| s.strike),
        "mode": status.map(|s| s.mode.name()),
        "door_open": status.and_then(|s| s.door_open),
        "alarm": status.and_then(|s| s.alarm).map(|alarm| alarm.name()),
        "lockout_left_s": status.and_then(|s| s.lockout_left_s),
        "enrolment": enrolment_text.or(others),
        "enrolment_runs": enrolment.is_some_and(|e| !e.over),
    })
    .to_string()
}

pub(super) async fn page(State(site): Shared, Extension(session): Extension<Session>) -> Markup {
    let content = html! {
        h1 { "Live" }
        p id="problem" class="note error" role="alert" hidden { }
        div class="view" {
            img id="picture" src="/picture.jpg" width="640" height="480" alt="What the door's camera sees now";
            svg id="boxes" viewBox="0 0 640 480" aria-hidden="true" { }
        }
        p id="words" class="words" role="status" { "Waiting for the door" }
        label for="mean" { "How sure the door is" }
        meter id="mean" min="0" max="1" value="0" { }
        p id="meanwords" { "no frames yet" }
        div id="enrolling" hidden {
            h2 { "Enrolment" }
            p id="enrolment" class="words orange" role="status" { }
            @if site.has(Right::Enrol) {
                form id="cancel" method="post" action="/people/cancel" {
                    (csrf(&session))
                    button type="submit" { "Cancel the enrolment" }
                }
            }
        }
        h2 { "Aiming the camera" }
        p id="advice" class="note" role="status" { "Step in front of the camera" }
        dl {
            dt { "Face" } dd id="size" { "–" }
            dt { "Brightness of the face" } dd id="light" { "–" }
            dt { "Sharpness" } dd id="sharp" { "–" }
        }
        h2 { "Door" }
        dl {
            dt { "Strike" } dd id="strike" { "unknown" }
            dt { "Mode" } dd id="mode" { "–" }
            dt { "Door" } dd id="contact" { "–" }
            dt { "Alarm" } dd id="alarm" { "–" }
            dt { "Lockout" } dd id="lockout" { "–" }
        }
        @if site.has(Right::Release) { (commands(&session)) }
        noscript { p class="note" { "Without JavaScript the picture does not move: reload the page to see a new one." } }
        script src="/live.js" defer { }
    };
    layout::page(&site.name, "Live", Some(&session), &content)
}

fn commands(session: &Session) -> Markup {
    let simple = |what: &str, label: &str| {
        html! {
            form method="post" action={ "/door/" (what) } {
                (csrf(session))
                button type="submit" { (label) }
            }
        }
    };
    html! {
        h2 { "Commands" }
        div class="row" {
            (simple("normal", "Normal mode"))
            (simple("secure", "Secure mode: let no face in"))
            (simple("clear-lockout", "Clear the lockout"))
        }
        form method="post" action="/door/hold" {
            (csrf(session))
            label for="seconds" { "Hold open for how many seconds" }
            div class="row" {
                input id="seconds" name="seconds" type="number" min="1" max="86400" value="5" required;
                button class="danger" type="submit" { "Hold the door open" }
            }
        }
    }
}

/// The latest picture, for browsers without scripts.
pub(super) async fn picture(State(site): Shared) -> Response {
    let _looking = site.feed.look();
    let mut views = site.feed.view.subscribe();
    let latest = views.wait_for(Option::is_some);
    let jpeg = match tokio::time::timeout(Duration::from_secs(3), latest).await {
        Ok(Ok(view)) => view.as_ref().map(|view| view.jpeg.clone()),
        _ => None,
    };
    match jpeg {
        Some(jpeg) => ([(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "no picture from the camera\n").into_response(),
    }
}

/// Server-sent events: `state` and `view`, the latest of each; ends with the session.
pub(super) async fn stream(State(site): Shared, headers: HeaderMap) -> Response {
    let (sender, events) = mpsc::channel(1);
    let word = cookie_of(&headers, site.cookie()).unwrap_or_default();
    tokio::spawn(async move {
        let end = tokio::time::Instant::now() + MAX_VIEW;
        let _ = tokio::time::timeout_at(end, send_events(site, word, sender)).await;
    });
    let stream = ReceiverStream::new(events).map(Ok::<Bytes, Infallible>);
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    (kind, Body::from_stream(stream)).into_response()
}

async fn send_events(site: Arc<Site>, word: String, sender: mpsc::Sender<Bytes>) {
    let _looking = site.feed.look();
    let (mut known, mut views) = (site.feed.known.subscribe(), site.feed.view.subscribe());
    let (mut enrolment, mut ended) = (site.feed.enrolment.subscribe(), site.ended.subscribe());
    known.mark_changed();
    views.mark_changed();
    let mut told = String::new();
    loop {
        if site.sessions.find(&word, clock::now(), false).is_none() {
            return;
        }
        let state = state_json(&known.borrow_and_update(), enrolment.borrow_and_update().as_ref());
        if state != told {
            if sender.send(format!("event: state\ndata: {state}\n\n").into()).await.is_err() {
                return;
            }
            told = state;
        }
        if views.has_changed().unwrap_or(false) {
            let view = views.borrow_and_update().clone();
            if let Some(view) = view
                && sender.send(view.event.clone()).await.is_err()
            {
                return;
            }
        }
        // However many are watching, the door and the other clients keep their time.
        let viewers = u32::try_from(site.feed.viewers()).unwrap_or(u32::MAX);
        tokio::select! {
            () = tokio::time::sleep(VIEW_EVERY.max(VIEW_SHARE.saturating_mul(viewers))) => {}
            _ = ended.changed() => return,
        }
        tokio::select! {
            _ = known.changed() => {}
            _ = views.changed() => {}
            _ = enrolment.changed() => {}
            _ = ended.changed() => return,
            () = sender.closed() => return,
            () = tokio::time::sleep(Duration::from_secs(15)) => {
                if sender.send(Bytes::from_static(b": still here\n\n")).await.is_err() {
                    return;
                }
            }
        }
    }
}
