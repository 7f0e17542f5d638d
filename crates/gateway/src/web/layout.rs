//! What the pages share.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::session::Session;
use super::site::Site;
use crate::daemon_link::LinkError;

/// A page. Whatever comes from elsewhere is escaped by the template engine.
pub(super) fn page(name: &str, title: &str, session: Option<&Session>, content: &Markup) -> Markup {
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

/// The token that a form must carry.
pub(super) fn csrf(session: &Session) -> Markup {
    html! { input type="hidden" name="csrf" value=(session.csrf); }
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

/// A day, by its begin in seconds since 1970 (UTC).
pub(super) fn date(seconds: u64) -> String {
    time(seconds.saturating_mul(1_000), "%Y-%m-%d", &jiff::tz::TimeZone::UTC)
}

/// A moment in ms since 1970.
pub(super) fn time(ms: u64, format: &str, zone: &jiff::tz::TimeZone) -> String {
    let stamp = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    stamp.map_or_else(|| "?".to_owned(), |s| s.to_zoned(zone.clone()).strftime(format).to_string())
}

/// The page when the daemon gives no answer.
pub(super) fn unreachable(site: &Site, session: &Session, title: &str, error: &LinkError) -> Response {
    let content = html! {
        h1 { (title) }
        p class="note error" role="alert" { (error) }
    };
    (StatusCode::BAD_GATEWAY, page(&site.name, title, Some(session), &content)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_shown_by_its_date() {
        assert_eq!(date(86_400), "1970-01-02");
    }
}
