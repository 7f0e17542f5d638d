//! The page of the audit log's entries, and their export.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use axum::extract::{Extension, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use maud::html;
use serde::Deserialize;

use super::layout::{self, time};
use super::session::Session;
use super::site::{Shared, Site};
use crate::daemon_link::LinkError;
use facelatch_audit::Entry;
use facelatch_core::access::DenyCode;
use facelatch_protocol::{Entries, MAX_ENTRIES, Person, Request, Verified};

/// Events on a page.
const PAGE_ENTRIES: usize = 50;
/// Entries searched for a page or an export.
const MAX_SCANNED: u64 = 10_000;

/// Which events are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    event: String,
    /// A number; text, so that an empty field is not an error.
    person: String,
    /// Text in the details.
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

    /// The query of an address that asks for the same entries, and for `more`; empty for all of them.
    fn query(&self, more: &[(&str, &str)]) -> String {
        let own = [("event", &self.event), ("person", &self.person), ("words", &self.words)];
        let own = own.iter().map(|(key, value)| (*key, value.as_str()));
        let all = own.chain(more.iter().copied()).filter(|(_, value)| !value.is_empty());
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish();
        if query.is_empty() { query } else { format!("?{query}") }
    }
}

/// Entries that the filter takes, newest first: at most `limit`, from the [`MAX_SCANNED`] before `filter.before`.
async fn find(site: &Site, filter: &Filter, limit: usize) -> Result<(Vec<Entry>, u64), LinkError> {
    // The daemon reads its log for a gateway at most twice a second.
    let asked = async |since, limit| {
        let mut part = site.ask::<Entries>(Request::Entries { since, limit }).await;
        for _ in 0..20 {
            if !matches!(part, Err(LinkError::Refused { .. })) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            part = site.ask(Request::Entries { since, limit }).await;
        }
        part
    };
    let head = asked(u64::MAX, 0).await?.head;
    let before = filter.before.parse().unwrap_or(u64::MAX).min(head.saturating_add(1));
    let floor = before.saturating_sub(1).saturating_sub(MAX_SCANNED);
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

pub(super) async fn page(
    State(site): Shared,
    Extension(session): Extension<Session>,
    Query(filter): Query<Filter>,
) -> Response {
    let (entries, head) = match find(&site, &filter, PAGE_ENTRIES).await {
        Ok(found) => found,
        Err(error) => return layout::unreachable(&site, &session, "Events", &error),
    };
    let people: Vec<Person> = site.ask(Request::People {}).await.unwrap_or_default();
    let names: BTreeMap<u32, &str> = people.iter().map(|p| (p.id, p.name.as_str())).collect();
    let verified: Option<Verified> = site.ask(Request::VerifyLog {}).await.ok();
    let zone = jiff::tz::TimeZone::system();
    let older = entries.last().filter(|_| entries.len() == PAGE_ENTRIES).map(|e| e.seq.to_string());
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
            None => p class="note error" { "The chain could not be checked: reload the page to try again." },
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
                    label for="filterwords" { "Text in the details" }
                    input id="filterwords" name="words" value=(filter.words) maxlength="60";
                }
                button type="submit" { "Show" }
            }
        }
        p {
            "Export the events of this filter: "
            a href={ "/events/export" (filter.query(&[("format", "csv")])) } { "CSV" } ", "
            a href={ "/events/export" (filter.query(&[("format", "json")])) } { "JSON" }
        }
        @if entries.is_empty() { p { "No matching event among the last " (MAX_SCANNED) "." } }
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
    layout::page(&site.name, "Events", Some(&session), &content).into_response()
}

/// The events most often looked for.
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

/// A denial's reason in the words of [`DenyCode`]; a code of a later version as it is.
fn words(code: &str) -> &str {
    DenyCode::from_name(code).map_or(code, |code| code.summary())
}

pub(super) async fn export(
    State(site): Shared,
    Extension(session): Extension<Session>,
    Query(filter): Query<Filter>,
) -> Response {
    let mut entries = match find(&site, &filter, MAX_SCANNED as usize).await {
        Ok((entries, _)) => entries,
        Err(error) => return layout::unreachable(&site, &session, "Events", &error),
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

#[cfg(test)]
mod tests {
    use super::*;
    use facelatch_audit::Hash;

    fn entry() -> Entry {
        Entry {
            seq: 12,
            synced: 11,
            wall_ms: 1_790_000_000_123,
            mono_ns: 5,
            event: "deny".into(),
            subject: None,
            similarity: Some(0.75),
            detail: None,
            after: None,
            marks: None,
            model: Hash::ZERO,
            config: Hash::ZERO,
        }
    }

    #[test]
    fn every_denial_is_explained() {
        for code in DenyCode::ALL {
            let words = words(code.name());
            assert!(words == code.summary() && words.contains(char::is_alphabetic), "{code:?}: {words}");
            // The code itself is an explanation to nobody.
            assert!(!words.contains('_') && !words.is_empty(), "{code:?}: {words}");
        }
        assert_eq!(words("of_a_later_version"), "of_a_later_version");
        let denied = Entry { detail: Some("reason=spoof evidence=-2".to_owned()), ..entry() };
        assert_eq!(why(&denied), "a picture, not a person (reason=spoof evidence=-2), similarity 0.75");
    }

    #[test]
    fn a_field_is_no_formula_and_a_query_survives() {
        assert_eq!(quoted("=1+1"), "\"'=1+1\"");
        assert_eq!(quoted("say \"x\""), "\"say \"\"x\"\"\"");
        let filter = Filter { words: "a b&c=ä".to_owned(), ..Filter::default() };
        assert_eq!(filter.query(&[("format", "csv")]), "?words=a+b%26c%3D%C3%A4&format=csv");
        assert_eq!(Filter::default().query(&[]), "");
    }
}
