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
            h2 { "Enrol a person" }
            p { "Ask the person to stand in front of the camera and look at it. The live page shows the countdown." }
            form method="post" action="/people/enrol" {
                (csrf(&session))
                label for="name" { "Name (leave empty to use a number)" }
                input id="name" name="name" maxlength="64" autocomplete="off";
                p {
                    label {
                        input type="checkbox" name="anyway" value="yes";
                        " Enrol even if the face is like somebody else's (twins)"
                    }
                }
                p { button class="main" type="submit" { "Start the enrolment" } }
            }
        } @else {
            p class="note" {
                "This page can only view. To allow enrolment, set "
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
                    dt { "Consent" } dd { (person.consent.as_deref().unwrap_or("not recorded")) }
                    dt { "Removed on" } dd { (person.expires.map_or_else(|| "no date set".to_owned(), date)) }
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
                    "Ask the person to stand in front of the camera with the new look (glasses, a beard, winter clothes). "
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
            label for={ "day" (id) } { "Remove automatically on (leave empty for never)" }
            div class="row" {
                input id={ "day" (id) } name="day" type="date" value=[person.expires.map(date)];
                button type="submit" { "Set the date" }
            }
        }
        form method="post" action={ "/people/" (id) "/remove" } {
            (csrf(session))
            p {
                label {
                    input type="checkbox" name="sure" value="yes" required;
                    " I am sure: templates and recorded frames are deleted for good"
                }
            }
            p { button class="danger" type="submit" { "Remove " bdi { (person.name) } } }
        }
    }
}

/// Asks what to do about the person already enrolled under the name.
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
            (MOST_LOOKS) " looks. Nothing has been changed. What do you want to do?"
        }
        h2 { "The same person with another look" }
        p { "For glasses, a beard or winter clothes. The looks enrolled so far are kept." }
        @if person.looks < MOST_LOOKS {
            (form("look", "Even if the face does not match this person's", html! {
                button class="main" type="submit" { "Add a look" }
            }))
        } @else { p class="note" { "This person already has the maximum number of looks." } }
        h2 { "Replace the enrolment" }
        p { "The person now enrolled under this name will no longer be let in. The name keeps its hours." }
        (form("replace", "Even if the face does not match this person's: another person takes over the name", html! {
            button class="danger" type="submit" { "Replace " bdi { (person.name) } }
        }))
        p { a href="/people" { "Neither: back to People" } }
    };
    layout::page(&site.name, "People", Some(session), &content)
}
