//! The pages, rendered here. Whatever comes from elsewhere is escaped by the template engine.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;

use super::commands::ask;
use super::{Session, Shared, Site, metrics};
use crate::daemon_link::LinkError;
use crate::feed::{Enrolment, Known};
use facelatch_audit::Entry;
use facelatch_core::access::DenyCode;
use facelatch_core::matching::MOST_LOOKS;
use facelatch_core::strike::StrikeState;
use facelatch_protocol::metrics::{BOUNDS_US, Histogram};
use facelatch_protocol::{Entries, MAX_ENTRIES, Person, Request, Right, State as DoorState, Verified};

/// Events on a page.
const PAGE: usize = 50;
/// Entries looked through for a page or an export.
const MOST: u64 = 10_000;

fn page(name: &str, title: &str, session: Option<&Session>, content: &Markup) -> Markup {
    let places = [("/", "Live"), ("/people", "People"), ("/events", "Events"), ("/health", "Health")];
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · " (name) }
                // Browsers ask for one otherwise.
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/style.css";
            }
            body {
                header {
                    div {
                        strong { (name) }
                        @if let Some(session) = session {
                            nav aria-label="Pages" {
                                @for (path, label) in places {
                                    a href=(path) aria-current=[(label == title).then_some("page")] { (label) }
                                }
                                form method="post" action="/logout" {
                                    (csrf(session))
                                    button type="submit" { "Log out" }
                                }
                            }
                        }
                    }
                }
                main { (content) }
            }
        }
    }
}

fn csrf(session: &Session) -> Markup {
    html! { input type="hidden" name="csrf" value=(session.csrf); }
}

/// The login page; `word` goes into its form and its cookie.
pub(super) fn login(name: &str, word: &str, problem: Option<&str>) -> Markup {
    let content = html! {
        h1 { "Log in" }
        @if let Some(problem) = problem { p class="note error" role="alert" { (problem) } }
        form method="post" action="/login" {
            input type="hidden" name="csrf" value=(word);
            label for="password" { "Password" }
            input id="password" name="password" type="password" autocomplete="current-password" required autofocus;
            p { button class="main" type="submit" { "Log in" } }
        }
    };
    page(name, "Log in", None, &content)
}

/// What went wrong, and the way back.
pub(super) fn problem(name: &str, words: &str) -> Markup {
    let content = html! {
        h1 { "Not done" }
        p class="note error" role="alert" { (words) }
        p { a href="/" { "Live" } " · " a href="/people" { "People" } }
    };
    page(name, "Not done", None, &content)
}

/// True when the door lets this page enrol.
pub(super) fn may_enrol(site: &Site) -> bool {
    has(&site.feed.known.borrow(), Right::Enrol)
}

/// Somebody is enrolled under the name: what is to happen with them?
pub(super) fn taken(site: &Site, session: &Session, person: &Person, anyway: bool) -> Markup {
    let form = |what: &str, unlike: &str, button: Markup| {
        html! {
            form method="post" action="/people/enrol" {
                (csrf(session))
                input type="hidden" name="name" value=(person.name);
                input type="hidden" name="id" value=(person.id);
                input type="hidden" name="existing" value=(what);
                @if anyway { input type="hidden" name="anyway" value="yes"; }
                p { label { input type="checkbox" name="unlike" value="yes"; " " (unlike) } }
                p { (button) }
            }
        }
    };
    let content = html! {
        h1 { bdi { (person.name) } " is enrolled already" }
        p {
            "Number " (person.id) ", enrolled on " (date(person.enrolled)) ", " (person.looks) " of at most "
            (MOST_LOOKS) " looks. Nothing has been changed. What is to happen?"
        }
        h2 { "The same person in another look" }
        p { "Glasses, a beard, winter clothes: the looks known so far stay." }
        @if person.looks < MOST_LOOKS {
            (form("look", "also if the face is not like theirs", html! {
                button class="main" type="submit" { "Add a look" }
            }))
        } @else { p class="note" { "No more looks are kept." } }
        h2 { "A new enrolment in their place" }
        p { "Who is known under this name now will not be let in any more. Hours and rights of the name stay." }
        (form("replace", "also if the face is not like theirs: another person takes the name", html! {
            button class="danger" type="submit" { "Replace " bdi { (person.name) } }
        }))
        p { a href="/people" { "Neither: back to the people" } }
    };
    page(&site.name, "People", Some(session), &content)
}

fn has(known: &Known, right: Right) -> bool {
    known.hello.as_ref().is_some_and(|hello| hello.rights.contains(&right))
}

/// What the live page is told besides pictures, as one line of JSON.
pub(super) fn state_json(known: &Known, enrolment: Option<&Enrolment>) -> String {
    let status = known.state.as_ref().map(|state| &state.status);
    let enrolment_text = enrolment.map(|e| match (&e.name, e.over) {
        (Some(name), false) => format!("{name}: {}", e.text),
        _ => e.text.clone(),
    });
    // Somebody else's, from the command line or the button.
    let others = status
        .filter(|s| s.enrolling)
        .map(|s| s.enrol_advice.clone().unwrap_or_else(|| "an enrolment is under way".to_owned()));
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

pub(super) async fn live(State(site): Shared, Extension(session): Extension<Session>) -> Markup {
    let known = site.feed.known.borrow().clone();
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
            @if has(&known, Right::Enrol) {
                form id="cancel" method="post" action="/people/cancel" {
                    (csrf(&session))
                    button type="submit" { "Cancel the enrolment" }
                }
            }
        }
        h2 { "Aiming the camera" }
        p id="advice" class="note" role="status" { "Step before the camera" }
        dl {
            dt { "Face" } dd id="size" { "–" }
            dt { "Light on it" } dd id="light" { "–" }
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
        @if has(&known, Right::Release) { (commands(&session)) }
        noscript { p class="note" { "Without scripts the picture stands still: reload the page." } }
        script src="/live.js" defer { }
    };
    page(&site.name, "Live", Some(&session), &content)
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
            (simple("secure", "Secure mode: no face opens"))
            (simple("clear-lockout", "Lift the lockout"))
        }
        form method="post" action="/door/hold" {
            (csrf(session))
            label for="seconds" { "Hold open for so many seconds" }
            div class="row" {
                input id="seconds" name="seconds" type="number" min="1" max="86400" value="5" required;
                button class="danger" type="submit" { "Hold the door open" }
            }
        }
    }
}

/// A day written as YYYY-MM-DD, as the seconds since 1970 of its begin (UTC); empty for none.
pub(super) fn day(text: &str) -> Result<Option<u64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || "write the day as YYYY-MM-DD".to_owned();
    let date: jiff::civil::Date = text.parse().map_err(|_| wrong())?;
    let start = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?;
    u64::try_from(start.timestamp().as_second()).map(Some).map_err(|_| wrong())
}

fn date(seconds: u64) -> String {
    time(seconds.saturating_mul(1_000), "%Y-%m-%d", &jiff::tz::TimeZone::UTC)
}

fn time(ms: u64, format: &str, zone: &jiff::tz::TimeZone) -> String {
    let stamp = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    stamp.map_or_else(|| "?".to_owned(), |s| s.to_zoned(zone.clone()).strftime(format).to_string())
}

fn unreachable(site: &Site, session: &Session, title: &str, error: &LinkError) -> Response {
    let content = html! {
        h1 { (title) }
        p class="note error" role="alert" { (error) }
    };
    (StatusCode::BAD_GATEWAY, page(&site.name, title, Some(session), &content)).into_response()
}

pub(super) async fn people(State(site): Shared, Extension(session): Extension<Session>) -> Response {
    let people: Vec<Person> = match ask(&site, Request::People {}).await {
        Ok(people) => people,
        Err(error) => return unreachable(&site, &session, "People", &error),
    };
    let known = site.feed.known.borrow().clone();
    let may = has(&known, Right::Enrol);
    let content = html! {
        h1 { "People" }
        @if may {
            h2 { "Enrol somebody" }
            p { "The person stands before the camera and looks at it. The live page shows the countdown." }
            form method="post" action="/people/enrol" {
                (csrf(&session))
                label for="name" { "Name (empty: a number)" }
                input id="name" name="name" maxlength="64" autocomplete="off";
                p {
                    label {
                        input type="checkbox" name="anyway" value="yes";
                        " also if the face is like somebody enrolled (twins)"
                    }
                }
                p { button class="main" type="submit" { "Start the enrolment" } }
            }
        } @else {
            p class="note" {
                "Only looking is allowed here: the owner lets this page enrol by "
                code { "gateway.rights" } " in the daemon's configuration."
            }
        }
        h2 { "Enrolled (" (people.len()) ")" }
        @if people.is_empty() { p { "Nobody yet." } }
        @for person in &people {
            details {
                summary {
                    bdi { (person.name) }
                    @if let Some(expires) = person.expires { " · until " (date(expires)) }
                }
                dl {
                    dt { "Number" } dd { (person.id) }
                    dt { "Enrolled" } dd { (date(person.enrolled)) }
                    dt { "Looks" } dd { (person.looks) " of at most " (MOST_LOOKS) ", " (person.templates) " templates" }
                    dt { "Consent" } dd { (person.consent.as_deref().unwrap_or("none noted")) }
                    dt { "Removed on" } dd { (person.expires.map_or_else(|| "no day set".to_owned(), date)) }
                }
                @if may { (change(&session, person)) }
            }
        }
    };
    page(&site.name, "People", Some(&session), &content).into_response()
}

fn change(session: &Session, person: &Person) -> Markup {
    let id = person.id;
    html! {
        @if person.looks < MOST_LOOKS {
            form method="post" action="/people/enrol" {
                (csrf(session))
                input type="hidden" name="name" value=(person.name);
                input type="hidden" name="id" value=(id);
                input type="hidden" name="existing" value="look";
                p {
                    "The person stands before the camera in another look (glasses, a beard, winter clothes). "
                    button type="submit" { "Add a look" }
                }
            }
        }
        form method="post" action={ "/people/" (id) "/rename" } {
            (csrf(session))
            label for={ "name" (id) } { "New name" }
            div class="row" {
                input id={ "name" (id) } name="name" maxlength="64" required autocomplete="off";
                button type="submit" { "Rename" }
            }
        }
        form method="post" action={ "/people/" (id) "/expiry" } {
            (csrf(session))
            label for={ "day" (id) } { "Removed by itself on (empty: never)" }
            div class="row" {
                input id={ "day" (id) } name="day" type="date" value=[person.expires.map(date)];
                button type="submit" { "Set the day" }
            }
        }
        form method="post" action={ "/people/" (id) "/remove" } {
            (csrf(session))
            p {
                label {
                    input type="checkbox" name="sure" value="yes" required;
                    " I am sure: templates and recorded frames are gone for good"
                }
            }
            p { button class="danger" type="submit" { "Remove " bdi { (person.name) } } }
        }
    }
}

/// Which events are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    event: String,
    /// A number; text, so that an empty field is no error.
    person: String,
    /// Words in the details.
    words: String,
    /// Those before this number.
    before: String,
    format: String,
}

impl Filter {
    fn takes(&self, entry: &Entry) -> bool {
        let detail = entry.detail.as_deref().unwrap_or_default();
        (self.event.is_empty() || entry.event == self.event)
            && (self.person.is_empty() || entry.subject.is_some_and(|s| s.to_string() == self.person))
            && detail.to_lowercase().contains(&self.words.to_lowercase())
    }

    fn query(&self, more: &[(&str, &str)]) -> String {
        let own = [("event", &self.event), ("person", &self.person), ("words", &self.words)];
        let mut text = String::new();
        let own = own.iter().map(|(key, value)| (*key, value.as_str()));
        for (key, value) in own.chain(more.iter().copied()).filter(|(_, value)| !value.is_empty()) {
            let _ = write!(text, "{}{key}=", if text.is_empty() { '?' } else { '&' });
            for byte in value.bytes() {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                        text.push(char::from(byte))
                    }
                    _ => {
                        let _ = write!(text, "%{byte:02X}");
                    }
                }
            }
        }
        text
    }
}

/// Entries that the filter takes, newest first: at most `limit`, from the [`MOST`] before `filter.before`.
async fn find(site: &Arc<Site>, filter: &Filter, limit: usize) -> Result<(Vec<Entry>, u64), LinkError> {
    // The daemon reads its log for a gateway twice a second.
    let asked = async |since, limit| {
        let mut part = ask::<Entries>(site, Request::Entries { since, limit }).await;
        for _ in 0..20 {
            if !matches!(part, Err(LinkError::Refused { .. })) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            part = ask(site, Request::Entries { since, limit }).await;
        }
        part
    };
    let head = asked(u64::MAX, 0).await?.head;
    let before = filter.before.parse().unwrap_or(u64::MAX).min(head.saturating_add(1));
    let floor = before.saturating_sub(1).saturating_sub(MOST);
    let (mut found, mut end) = (Vec::new(), before);
    while end > floor + 1 && found.len() < limit {
        let since = (end - 1).saturating_sub(MAX_ENTRIES as u64).max(floor);
        let entries = asked(since, MAX_ENTRIES).await?.entries;
        found.extend(entries.into_iter().rev().filter(|e| e.seq < end && filter.takes(e)));
        end = since + 1;
    }
    found.truncate(limit);
    Ok((found, head))
}

pub(super) async fn events(
    State(site): Shared,
    Extension(session): Extension<Session>,
    Query(filter): Query<Filter>,
) -> Response {
    let (entries, head) = match find(&site, &filter, PAGE).await {
        Ok(found) => found,
        Err(error) => return unreachable(&site, &session, "Events", &error),
    };
    let people: Vec<Person> = ask(&site, Request::People {}).await.unwrap_or_default();
    let names: BTreeMap<u32, &str> = people.iter().map(|p| (p.id, p.name.as_str())).collect();
    let verified: Option<Verified> = ask(&site, Request::VerifyLog {}).await.ok();
    let zone = jiff::tz::TimeZone::system();
    let older = entries.last().filter(|_| entries.len() == PAGE).map(|e| e.seq.to_string());
    let content = html! {
        h1 { "Events" }
        @match &verified {
            Some(v) if v.holds => p class="note" {
                span class="good" { "The chain holds" }
                " from entry " (v.first.unwrap_or(1)) " to " (v.head.map_or(head, |h| h.entries))
                ", checked " (time(v.checked * 1_000, "%H:%M:%S", &zone)) "."
            },
            Some(v) => p class="note error" {
                span class="bad" { "The chain is broken" } ": " (v.problem.as_deref().unwrap_or_default())
            },
            None => p class="note error" { "The chain could not be checked just now." },
        }
        form method="get" action="/events" {
            div class="row" {
                div {
                    label for="event" { "Event" }
                    select id="event" name="event" {
                        option value="" { "all" }
                        @for name in KINDS {
                            option value=(name) selected[name == filter.event] { (name) }
                        }
                    }
                }
                div {
                    label for="person" { "Person" }
                    select id="person" name="person" {
                        option value="" { "all" }
                        @for (id, name) in &names {
                            option value=(id) selected[id.to_string() == filter.person] { (name) }
                        }
                    }
                }
                div {
                    label for="filterwords" { "Words in the details" }
                    input id="filterwords" name="words" value=(filter.words) maxlength="60";
                }
                button type="submit" { "Show" }
            }
        }
        p {
            "Export what is shown by this filter: "
            a href={ "/events/export" (filter.query(&[("format", "csv")])) } { "CSV" } ", "
            a href={ "/events/export" (filter.query(&[("format", "json")])) } { "JSON" }
        }
        @if entries.is_empty() { p { "No such event among the last " (MOST) "." } }
        @else {
            table class="stack" {
                thead {
                    tr { th scope="col" { "No." } th scope="col" { "Time" } th scope="col" { "Event" }
                        th scope="col" { "Who" } th scope="col" { "Why" } }
                }
                tbody {
                    @for entry in &entries {
                        tr {
                            td { (entry.seq) }
                            td { (time(entry.wall_ms, "%Y-%m-%d %H:%M:%S", &zone)) }
                            td { (entry.event) }
                            td { (who(entry, &names)) }
                            td { (why(entry)) }
                        }
                    }
                }
            }
        }
        @if let Some(older) = older {
            p { a href={ "/events" (filter.query(&[("before", &older)])) } { "Older events" } }
        }
    };
    page(&site.name, "Events", Some(&session), &content).into_response()
}

/// Events that are asked for most.
const KINDS: [&str; 18] = [
    "release",
    "deny",
    "secured",
    "alarm",
    "locked_out",
    "mode",
    "command",
    "refused",
    "enrolled",
    "look_added",
    "removed",
    "renamed",
    "noted",
    "door_opened",
    "door_closed",
    "fault",
    "started",
    "stopped",
];

fn who(entry: &Entry, names: &BTreeMap<u32, &str>) -> String {
    entry.subject.map_or_else(String::new, |subject| {
        names.get(&subject.0).map_or_else(|| format!("number {subject}, removed"), |name| (*name).to_owned())
    })
}

fn why(entry: &Entry) -> String {
    let similarity = entry.similarity.map(|s| format!("similarity {s:.2}"));
    let detail = entry.detail.as_deref().map(|detail| match detail.strip_prefix("reason=") {
        Some(code) => format!("{} ({detail})", words(code.split(' ').next().unwrap_or(code))),
        None => detail.to_owned(),
    });
    detail.into_iter().chain(similarity).collect::<Vec<_>>().join(", ")
}

/// A denial's reason in words; the code itself for what is none.
fn words(code: &str) -> &str {
    DenyCode::from_name(code).map_or(code, |code| code.summary())
}

pub(super) async fn export(
    State(site): Shared,
    Extension(session): Extension<Session>,
    Query(filter): Query<Filter>,
) -> Response {
    let mut entries = match find(&site, &filter, MOST as usize).await {
        Ok((entries, _)) => entries,
        Err(error) => return unreachable(&site, &session, "Events", &error),
    };
    entries.reverse();
    let (kind, name, text) = match filter.format.as_str() {
        "json" => {
            let text = serde_json::to_string_pretty(&entries).unwrap_or_default();
            ("application/json", "events.json", text)
        }
        _ => ("text/csv; charset=utf-8", "events.csv", csv(&entries)),
    };
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition.as_str())], text)
        .into_response()
}

/// People stand in it by number, as in the log itself.
fn csv(entries: &[Entry]) -> String {
    let mut text = String::from("seq,time,event,subject,similarity,detail\r\n");
    for entry in entries {
        let _ = write!(
            text,
            "{},{},{},{},{},{}\r\n",
            entry.seq,
            time(entry.wall_ms, "%Y-%m-%dT%H:%M:%SZ", &jiff::tz::TimeZone::UTC),
            quoted(&entry.event),
            entry.subject.map_or_else(String::new, |s| s.to_string()),
            entry.similarity.map_or_else(String::new, |s| s.to_string()),
            quoted(entry.detail.as_deref().unwrap_or_default()),
        );
    }
    text
}

/// A field that no spreadsheet takes for a formula.
fn quoted(field: &str) -> String {
    let guard = if field.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", field.replace('"', "\"\""))
}

/// Upper bound of the bucket that holds this share of the values, in ms.
fn quantile(histogram: &Histogram, share: f64) -> Option<f64> {
    let wanted = (histogram.count() as f64 * share).ceil().max(1.0) as u64;
    let mut sum = 0;
    let found = histogram.counts.iter().position(|count| {
        sum += count;
        sum >= wanted
    })?;
    BOUNDS_US.get(found).map(|bound| *bound as f64 / 1e3)
}

pub(super) async fn health(State(site): Shared, Extension(session): Extension<Session>) -> Markup {
    let known = site.feed.known.borrow().clone();
    let temperatures = metrics::temperatures();
    let content = html! {
        h1 { "Health" }
        @if let Some(problem) = &known.problem { p class="note error" role="alert" { (problem) } }
        @if let Some(state) = &known.state { (figures(state)) } @else { p { "The door has not told anything yet." } }
        h2 { "Board" }
        dl {
            @for (zone, celsius) in &temperatures { dt { (zone) } dd { (format!("{celsius:.1} °C")) } }
            @if temperatures.is_empty() { dt { "Temperature" } dd { "this board tells none" } }
            dt { "Gateway" } dd { (env!("CARGO_PKG_VERSION")) }
            dt { "Daemon" } dd { (known.hello.as_ref().map_or("not there", |hello| hello.version.as_str())) }
            dt { "Rights here" } dd {
                (known.hello.as_ref().map_or_else(String::new, |hello| {
                    hello.rights.iter().map(|r| r.name()).collect::<Vec<_>>().join(", ")
                }))
            }
        }
    };
    page(&site.name, "Health", Some(&session), &content)
}

fn figures(state: &DoorState) -> Markup {
    let (status, stages) = (&state.status, &state.metrics.stages);
    let ms =
        |value: Option<f64>| value.map_or_else(|| "over 5 s".to_owned(), |ms| format!("at most {ms} ms"));
    let rate = status.frames as f64 / (status.uptime_s.max(1) as f64);
    let rows = stages.named().into_iter().chain([("capture to strike", &state.metrics.release)]);
    let yes = |good: bool, words: &str, otherwise: &str| {
        if good {
            html! { span class="good" { (words) } }
        } else {
            html! { span class="bad" { (otherwise) } }
        }
    };
    html! {
        h2 { "Camera" }
        dl {
            dt { "Source" } dd { (status.camera) }
            dt { "Frames" } dd { (yes(status.camera_delivers, "they come", "none come")) }
            dt { "Rate" } dd { (format!("{rate:.1} a second since the start")) }
            dt { "With a face" } dd { (status.frames_with_face) " of " (status.frames) }
            dt { "Skipped, broken" } dd { (status.camera_counters.skipped) ", " (status.camera_counters.undecodable) }
            dt { "Opened again" } dd { (status.camera_counters.reopened) " times" }
        }
        h2 { "Time for each stage" }
        table {
            thead { tr { th scope="col" { "Stage" } th scope="col" { "Half of them" } th scope="col" { "99 of 100" } } }
            tbody {
                @for (name, histogram) in rows.filter(|(_, histogram)| histogram.count() > 0) {
                    tr { td { (name) } td { (ms(quantile(histogram, 0.5))) } td { (ms(quantile(histogram, 0.99))) } }
                }
            }
        }
        h2 { "Door" }
        dl {
            dt { "Strike" } dd {
                (if status.strike == StrikeState::Released { "released" } else { "locked" }) ", " (status.strike_line)
            }
            dt { "Running for" } dd { (status.uptime_s / 3_600) " h " (status.uptime_s / 60 % 60) " min" }
            dt { "Audit log" } dd { (yes(status.audit_written, "is written", "IS NOT WRITTEN: see the journal")) }
            dt { "People" } dd {
                (status.people)
                @if status.people_of_other_models > 0 {
                    ", of whom " (status.people_of_other_models) " must be enrolled anew (another network)"
                }
            }
            dt { "Network" } dd { (status.model) }
            dt { "Threshold" } dd { (format!("{:.3}", status.threshold)) }
            @if let Some(watchdog) = state.metrics.watchdog {
                dt { "Watchdog" } dd { (format!("{:.1} s left of {:.0} s at the worst", watchdog.margin_s, watchdog.limit_s)) }
            }
            dt { "Last event" } dd { (status.last_event.as_deref().unwrap_or("none")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_no_formula_and_a_query_survives() {
        assert_eq!(quoted("=1+1"), "\"'=1+1\"");
        assert_eq!(quoted("say \"x\""), "\"say \"\"x\"\"\"");
        let filter = Filter { words: "a b&c=ä".to_owned(), ..Filter::default() };
        assert_eq!(filter.query(&[("format", "csv")]), "?words=a%20b%26c%3D%C3%A4&format=csv");
        assert_eq!(Filter::default().query(&[]), "");
    }

    #[test]
    fn days_and_quantiles() {
        assert_eq!(day("1970-01-02"), Ok(Some(86_400)));
        assert_eq!(day(""), Ok(None));
        assert!(day("2.1.1970").is_err());
        assert_eq!(date(86_400), "1970-01-02");
        let mut histogram = Histogram::default();
        for ms in [1, 1, 1, 20] {
            histogram.add(Duration::from_millis(ms));
        }
        assert_eq!(quantile(&histogram, 0.5), Some(1.0));
        assert_eq!(quantile(&histogram, 0.99), Some(25.0));
    }

    #[test]
    fn what_is_shown_is_escaped() {
        let text = login("<b>&", "w", Some("<script>")).into_string();
        assert!(!text.contains("<script>") && !text.contains("<b>"), "{text}");
    }
}
