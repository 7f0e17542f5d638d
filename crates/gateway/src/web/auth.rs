//! Who may in: sessions, the login, and the token that each form must carry.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Form, FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::layout;
use super::session::Session;
use super::site::{Shared, Site};
use super::throttle::LoginSource;
use crate::secret::{Fingerprint, token};
use facelatch_host::clock;
use facelatch_host::lock::lock;

/// Limit for the headers, for a body and for the TLS handshake, and for how long a client may leave an answer
/// unread.
pub(super) const IO_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a try whose turn has come waits for the passwords before it to be hashed.
const HASH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a browser that has logged in is remembered, s: 180 days.
const DEVICE_LIFETIME_S: u32 = 180 * 86_400;

/// The session's number, for the access log.
#[derive(Clone, Copy)]
pub(super) struct Numbered(pub u64);

pub(super) fn cookie_of(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

pub(super) fn session_of(site: &Site, headers: &HeaderMap, used: bool) -> Option<Session> {
    site.refresh();
    site.sessions.find(&cookie_of(headers, site.cookie())?, clock::now(), used)
}

pub(super) async fn ask_for_session(State(site): Shared, mut request: Request, next: Next) -> Response {
    // What a page asks by itself does not prolong its session.
    let by_hand = !matches!(request.uri().path(), "/live" | "/session" | "/picture.jpg");
    let Some(session) = session_of(&site, request.headers(), by_hand) else {
        let page = request.method() == Method::GET
            && request
                .headers()
                .get(header::ACCEPT)
                .is_some_and(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")));
        return if page {
            Redirect::to("/login").into_response()
        } else {
            (StatusCode::UNAUTHORIZED, "log in first: /login\n").into_response()
        };
    };
    let number = session.number;
    request.extensions_mut().insert(session);
    let mut response = next.run(request).await;
    response.extensions_mut().insert(Numbered(number));
    response
}

/// The fields of a form that carries its session's token.
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.trim())
    }
}

/// A form's fields, within the limits.
async fn form<S: Send + Sync>(request: Request, state: &S) -> Result<BTreeMap<String, String>, Response> {
    match tokio::time::timeout(IO_TIMEOUT, Form::from_request(request, state)).await {
        Ok(Ok(Form(fields))) => Ok(fields),
        Ok(Err(rejection)) => Err(rejection.into_response()),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT.into_response()),
    }
}

fn forged() -> Response {
    let text = "this form does not belong to your session: go back, reload the page and try again\n";
    (StatusCode::FORBIDDEN, text).into_response()
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let session = request.extensions().get::<Session>().cloned();
        // A form that cannot be read carries no token either.
        let fields = form(request, state).await.map_err(|refusal| match refusal.status() {
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => refusal,
            _ => forged(),
        })?;
        let own = |session: Session| {
            fields.get("csrf").is_some_and(|given| Fingerprint::of(given) == Fingerprint::of(&session.csrf))
        };
        if session.is_some_and(own) { Ok(Fields(fields)) } else { Err(forged()) }
    }
}

/// The cookie that a login form must come back with.
const LOGIN: &str = "facelatch-login";

/// The login page; `word` goes into its form and its cookie.
fn login_markup(name: &str, word: &str, problem: Option<&str>) -> Markup {
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
    layout::page(name, "Log in", None, &content)
}

fn login_form(site: &Site, status: StatusCode, problem: Option<&str>) -> Response {
    let Ok(word) = token() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let mut response = (status, login_markup(&site.name, &word, problem)).into_response();
    response.headers_mut().append(header::SET_COOKIE, site.cookie_for(LOGIN, &word, Some(900)));
    response
}

pub(super) async fn login_page(State(site): Shared, headers: HeaderMap) -> Response {
    match session_of(&site, &headers, true) {
        Some(_) => Redirect::to("/").into_response(),
        None => login_form(&site, StatusCode::OK, None),
    }
}

pub(super) async fn login(
    State(site): Shared,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let fields = match form(request, &()).await {
        Ok(fields) => fields,
        Err(refusal) => {
            return if refusal.status().is_client_error() { forged() } else { refusal };
        }
    };
    let given = fields.get("csrf").map(|csrf| Fingerprint::of(csrf));
    if given.is_none() || given != cookie_of(&headers, LOGIN).map(|word| Fingerprint::of(&word)) {
        return forged();
    }
    let known = cookie_of(&headers, site.device_cookie());
    let word = fields.get("password").cloned().unwrap_or_default();
    let (session, device) = match check_password(&site, peer.ip(), known, word).await {
        Ok(words) => words,
        Err((status, words, wait)) => {
            let mut response = login_form(&site, status, Some(&words));
            if let Some(wait) = wait {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            }
            return response;
        }
    };
    log::info!("event=login client={}", peer.ip());
    let mut response = Redirect::to("/").into_response();
    for cookie in [
        site.cookie_for(site.cookie(), &session, None),
        site.cookie_for(site.device_cookie(), &device, Some(DEVICE_LIFETIME_S)),
        site.cookie_for(LOGIN, "", Some(0)),
    ] {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

type Refusal = (StatusCode, String, Option<Duration>);

/// Waits for the turn of this try and checks it: the words for the cookies of session and device.
async fn check_password(
    site: &Arc<Site>,
    client: IpAddr,
    device: Option<String>,
    given: String,
) -> Result<(String, String), Refusal> {
    let unusable = || {
        let words = "The password cannot be checked: see the gateway's log.".to_owned();
        (StatusCode::SERVICE_UNAVAILABLE, words, None)
    };
    let busy = || (StatusCode::SERVICE_UNAVAILABLE, "Busy: try again.".to_owned(), None);
    site.refresh();
    let password = site.secrets.password().ok_or_else(unusable)?;
    let known = device.and_then(|word| password.known_device(&word));
    let place = known.map_or_else(|| LoginSource::address(client), LoginSource::Device);
    let line = &site.lines[usize::from(known.is_some())];
    let _in_line = line.try_acquire().map_err(|_| busy())?;
    let wait = site.throttle.turn(place, clock::now()).map_err(|left| {
        let words = format!("Too many wrong passwords: try again in {} s.", left.as_secs() + 1);
        (StatusCode::TOO_MANY_REQUESTS, words, Some(left))
    })?;
    tokio::time::sleep(wait).await;
    let turn = tokio::time::timeout(HASH_TIMEOUT, Arc::clone(&site.hashing).acquire_owned()).await;
    let Ok(Ok(turn)) = turn else { return Err(busy()) };
    let (own, checked) = (Arc::clone(site), Arc::clone(&password));
    let hash = move || {
        // Hanging up meanwhile does not let a second one begin.
        let _turn = turn;
        checked.is(&given, &mut lock(&own.memory))
    };
    let right = tokio::task::spawn_blocking(hash).await.unwrap_or(false);
    // It may have been changed meanwhile.
    site.refresh();
    if !right || site.secrets.password().is_none_or(|now| !Arc::ptr_eq(&now, &password)) {
        log::warn!("event=login_failed client={client} known_device={}", known.is_some());
        return Err((StatusCode::UNAUTHORIZED, "That is not the password.".to_owned(), None));
    }
    site.throttle.succeeded(place);
    let words = site.sessions.begin(clock::now()).and_then(|session| Ok((session, password.device()?)));
    words.map_err(|_| unusable())
}

pub(super) async fn logout(State(site): Shared, headers: HeaderMap, _: Fields) -> Response {
    if let Some(word) = cookie_of(&headers, site.cookie()) {
        site.sessions.end(&word);
    }
    let mut response = Redirect::to("/login").into_response();
    response.headers_mut().append(header::SET_COOKIE, site.cookie_for(site.cookie(), "", Some(0)));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_escaped() {
        let text = login_markup("<b>&", "w", Some("<script>")).into_string();
        assert!(!text.contains("<script>") && !text.contains("<b>"), "{text}");
    }
}
