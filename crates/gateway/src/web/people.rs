//! The page of the people enrolled.

use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::layout::{self, csrf, date};
use super::session::Session;
use super::site::{Shared, Site};
use facelatch_core::matching::MOST_LOOKS;
use facelatch_protocol::{Person, Request, Right};

pub(super) async fn page(State(site): Shared, Extension(session): Extension<Session>) -> Response {
    let people: Vec<Person> = match site.ask(Request::People {}).await {
        Ok(people) => people,
        Err(error) => return layout::unreachable(&site, &session, "People", &error),
    };
    let may = site.has(Right::Enrol);
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
    layout::page(&site.name, "People", Some(&session), &content).into_response()
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
    layout::page(&site.name, "People", Some(session), &content)
}
