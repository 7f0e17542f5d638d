//! The page and the metrics, over HTTP/1.1: who may in, and what is sent with every answer.
//!
//! Without a session there is the login page and its style sheet; everything else asks for one. Each form
//! carries its session's token. Pages take nothing from elsewhere, and say so to the browser.
//!
//! One thread serves everybody: however hard it is hammered, it takes one core at most, and connections,
//! headers, bodies and unread answers are bounded.

mod commands;
mod guesses;
mod metrics;
mod pages;
mod secrets;
mod session;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, Extension, Form, FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::GatewayError;
use super::config::GatewayConfig;
use super::feed::Feed;
use super::secret::{self, Fingerprint, Memory, token};
use crate::daemon_link::{DoorLink, Stop};
use facelatch_host::clock;
use guesses::{Guesses, Place};
use secrets::Secrets;
use session::{Session, Sessions};

type Shared = State<Arc<Site>>;

/// Headers, a body or the TLS handshake that take longer are given up, and so is an answer of which
/// nothing is read for so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest body of a form.
const MAX_BODY: usize = 16 * 1_024;
/// A live view is begun anew by the browser after so long.
const LONGEST_VIEW: Duration = Duration::from_secs(600);
/// The least time between two pictures to one viewer, and what each viewer adds to it: together they get
/// at most 25 pictures a second.
const VIEW_EVERY: Duration = Duration::from_millis(100);
const VIEW_SHARE: Duration = Duration::from_millis(40);

/// Tries of the password that wait for their turn: from addresses, and from known devices.
const LINES: [usize; 2] = [32, 16];
/// A turn that has come waits so long for the hashing of those before.
const HASHING: Duration = Duration::from_secs(10);
/// A browser that has logged in is known for so long, in s: 180 days.
const KNOWN: u32 = 180 * 86_400;
/// Between two looks at the secrets while nobody asks for anything.
const LOOK: Duration = Duration::from_secs(1);

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("live.js");
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Everything that is served.
pub struct Site {
    name: String,
    link: DoorLink,
    feed: Arc<Feed>,
    secrets: Secrets,
    sessions: Sessions,
    /// Counts up when all sessions have ended.
    ended: watch::Sender<u64>,
    guesses: Guesses,
    lines: [Semaphore; 2],
    /// Hashing a password takes memory and time: one at a time, in memory that is taken once.
    hashing: Arc<Semaphore>,
    memory: Mutex<Memory>,
    started: metrics::Started,
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    connections: Arc<Semaphore>,
}

impl Site {
    /// Reads the secrets and takes the address.
    ///
    /// # Errors
    /// When a file cannot be used or the address is taken.
    pub fn open(config: &GatewayConfig, link: DoorLink, feed: Arc<Feed>) -> Result<Self, GatewayError> {
        let web = &config.web;
        let secrets = Secrets::open(&web.password_file, &web.token_file)?;
        let mut memory = Memory::default();
        if let Some(password) = secrets.password() {
            memory.prepare(&password);
        }
        let tls = web.tls().map(|(certificate, key)| tls(certificate, key)).transpose()?;
        let listen = |source| GatewayError::Listen { address: web.listen, source };
        let listener = TcpListener::bind(web.listen).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Site {
            name: config.door.name.clone(),
            link,
            feed,
            secrets,
            sessions: Sessions::new(web.session()),
            ended: watch::Sender::default(),
            guesses: Guesses::default(),
            lines: LINES.map(Semaphore::new),
            hashing: Arc::new(Semaphore::new(1)),
            memory: Mutex::new(memory),
            started: metrics::Started::now(),
            listener,
            address,
            tls,
            connections: Arc::new(Semaphore::new(web.max_connections)),
        })
    }

    fn cookie(&self) -> &'static str {
        // A browser takes the second only from the host itself, by TLS.
        if self.tls.is_none() { "facelatch" } else { "__Host-facelatch" }
    }

    fn device_cookie(&self) -> &'static str {
        if self.tls.is_none() { "facelatch-device" } else { "__Host-facelatch-device" }
    }

    /// Looks whether the secrets are what they were. With another password, or none, every session is
    /// over, and so is what it has under way.
    fn refresh(&self) {
        if !self.secrets.refresh() {
            return;
        }
        let sessions = self.sessions.end_all();
        log::warn!("event=password_changed sessions_ended={sessions}");
        self.feed.enrolment.send_if_modified(|enrolment| match enrolment {
            Some(enrolment) => !std::mem::replace(&mut enrolment.cancelled, true),
            None => false,
        });
        self.ended.send_modify(|count| *count += 1);
    }

    fn cookie_for(&self, name: &str, value: &str, seconds: Option<u32>) -> HeaderValue {
        let secure = if self.tls.is_none() { "" } else { "; Secure" };
        let age = seconds.map(|s| format!("; Max-Age={s}")).unwrap_or_default();
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}");
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

fn tls(certificate: &std::path::Path, key: &std::path::Path) -> Result<TlsAcceptor, GatewayError> {
    let fail = |what, path: &std::path::Path, problem: String| GatewayError::File {
        what,
        path: path.to_owned(),
        problem,
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|e| fail("certificate", certificate, e.to_string()))?;
    let pem = secret::guarded(key).map_err(|problem| fail("key", key, problem))?;
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|e| fail("key", key, e.to_string()))?;
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| fail("certificate", certificate, e.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|e| fail("certificate", certificate, e.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves until told to stop.
pub fn serve(site: Site, stop: &Stop) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(16).build();
    match runtime {
        Ok(runtime) => {
            runtime.block_on(async {
                let ended = async {
                    while !stop.is_set() {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                };
                tokio::select! {
                    () = ended => {}
                    outcome = accept(site) => if let Err(error) = outcome {
                        log::error!("event=web_failed error={:?}", error.to_string());
                    }
                }
            });
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
        Err(error) => log::error!("event=web_failed error={:?}", error.to_string()),
    }
}

async fn accept(site: Site) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(site.listener.try_clone()?)?;
    let (tls, connections) = (site.tls.clone(), Arc::clone(&site.connections));
    let scheme = if tls.is_some() { "https" } else { "http" };
    log::info!("event=web_listening url={scheme}://{}/", site.address);
    let site = Arc::new(site);
    let looking = Arc::clone(&site);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK).await;
            looking.refresh();
        }
    });
    let app = router(site);
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return Ok(()) };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                log::debug!("event=not_accepted error={:?}", error.to_string());
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(PATIENCE));
        let (tls, app) = (tls.clone(), app.clone().layer(Extension(ConnectInfo(peer))));
        tokio::spawn(async move {
            let _permit = permit;
            let stream = Box::pin(stream);
            match tls {
                None => connection(stream, app).await,
                Some(tls) => match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => connection(stream, app).await,
                    _ => log::debug!("event=no_handshake client={peer}"),
                },
            }
        });
    }
}

/// One request a connection: nobody holds one for nothing.
async fn connection<S>(stream: S, app: Router)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(32 * 1_024)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        .await;
    if let Err(error) = served {
        log::debug!("event=connection_broken error={:?}", error.to_string());
    }
}

fn router(site: Arc<Site>) -> Router {
    let inside = Router::new()
        .route("/", get(pages::live))
        .route("/live", get(live))
        .route("/live.js", get(script))
        .route("/picture.jpg", get(picture))
        .route("/session", get(|| async { StatusCode::NO_CONTENT }))
        .route("/people", get(pages::people))
        .route("/people/enrol", post(commands::enrol))
        .route("/people/cancel", post(commands::cancel))
        .route("/people/{id}/rename", post(commands::rename))
        .route("/people/{id}/remove", post(commands::remove))
        .route("/people/{id}/expiry", post(commands::expiry))
        .route("/door/{what}", post(commands::command))
        .route("/events", get(pages::events))
        .route("/events/export", get(pages::export))
        .route("/health", get(pages::health))
        .route("/logout", post(logout))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is no such page\n") })
        .layer(from_fn_with_state(Arc::clone(&site), ask_for_session));
    Router::new()
        .route("/login", get(login_page).post(login))
        .route("/style.css", get(style))
        .route("/metrics", get(metrics_page))
        .merge(inside)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(Arc::clone(&site), around))
        .with_state(site)
}

/// Access log and the headers of every answer.
async fn around(State(site): Shared, request: Request, next: Next) -> Response {
    let began = clock::now();
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if site.tls.is_some() {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
    let session = response.extensions().get::<Numbered>().map_or(0, |n| n.0);
    log::info!(
        "event=http client={} method={method} path={path:?} status={} session={session} ms={}",
        client.map_or_else(|| "unknown".to_owned(), |c| c.ip().to_string()),
        response.status().as_u16(),
        clock::now().since(began).as_millis()
    );
    response
}

/// The session's number, for the access log.
#[derive(Clone, Copy)]
struct Numbered(u64);

fn cookie_of(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

fn session_of(site: &Site, headers: &HeaderMap, used: bool) -> Option<Session> {
    site.refresh();
    site.sessions.find(&cookie_of(headers, site.cookie())?, clock::now(), used)
}

async fn ask_for_session(State(site): Shared, mut request: Request, next: Next) -> Response {
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
struct Fields(BTreeMap<String, String>);

impl Fields {
    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.trim())
    }
}

/// A form's fields, within the limits.
async fn form<S: Send + Sync>(request: Request, state: &S) -> Result<BTreeMap<String, String>, Response> {
    match tokio::time::timeout(PATIENCE, Form::from_request(request, state)).await {
        Ok(Ok(Form(fields))) => Ok(fields),
        Ok(Err(rejection)) => Err(rejection.into_response()),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT.into_response()),
    }
}

fn forged() -> Response {
    let text = "this form is not of your session: go back, reload the page and try again\n";
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

fn login_form(site: &Site, status: StatusCode, problem: Option<&str>) -> Response {
    let Ok(word) = token() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let mut response = (status, pages::login(&site.name, &word, problem)).into_response();
    response.headers_mut().append(header::SET_COOKIE, site.cookie_for(LOGIN, &word, Some(900)));
    response
}

async fn login_page(State(site): Shared, headers: HeaderMap) -> Response {
    match session_of(&site, &headers, true) {
        Some(_) => Redirect::to("/").into_response(),
        None => login_form(&site, StatusCode::OK, None),
    }
}

async fn login(
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
        site.cookie_for(site.device_cookie(), &device, Some(KNOWN)),
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
    let place = known.map_or_else(|| Place::address(client), Place::Device);
    let line = &site.lines[usize::from(known.is_some())];
    let _in_line = line.try_acquire().map_err(|_| busy())?;
    let wait = site.guesses.turn(place, clock::now()).map_err(|left| {
        let words = format!("Too many wrong passwords: try again in {} s.", left.as_secs() + 1);
        (StatusCode::TOO_MANY_REQUESTS, words, Some(left))
    })?;
    tokio::time::sleep(wait).await;
    let turn = tokio::time::timeout(HASHING, Arc::clone(&site.hashing).acquire_owned()).await;
    let Ok(Ok(turn)) = turn else { return Err(busy()) };
    let (own, checked) = (Arc::clone(site), Arc::clone(&password));
    let hash = move || {
        // Who hangs up meanwhile does not let a second one begin.
        let _turn = turn;
        checked.is(&given, &mut own.memory.lock().unwrap_or_else(PoisonError::into_inner))
    };
    let right = tokio::task::spawn_blocking(hash).await.unwrap_or(false);
    // It may have been changed meanwhile.
    site.refresh();
    if !right || site.secrets.password().is_none_or(|now| !Arc::ptr_eq(&now, &password)) {
        log::warn!("event=login_failed client={client} known_device={}", known.is_some());
        return Err((StatusCode::UNAUTHORIZED, "That is not the password.".to_owned(), None));
    }
    site.guesses.right(place);
    let words = site.sessions.begin(clock::now()).and_then(|session| Ok((session, password.device()?)));
    words.map_err(|_| unusable())
}

async fn logout(State(site): Shared, headers: HeaderMap, _: Fields) -> Response {
    if let Some(word) = cookie_of(&headers, site.cookie()) {
        site.sessions.end(&word);
    }
    let mut response = Redirect::to("/login").into_response();
    response.headers_mut().append(header::SET_COOKIE, site.cookie_for(site.cookie(), "", Some(0)));
    response
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT).into_response()
}

/// By a session, or by the token that `facelatch gateway token` made.
async fn metrics_page(State(site): Shared, headers: HeaderMap) -> Response {
    let bearer =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    site.refresh();
    let by_token = bearer.is_some_and(|bearer| site.secrets.is_token(bearer));
    if !by_token && session_of(&site, &headers, false).is_none() {
        let mut response =
            (StatusCode::UNAUTHORIZED, "give the token of `facelatch gateway token`\n").into_response();
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    }
    let known = site.feed.known.borrow().clone();
    let text = metrics::text(&known, site.feed.viewers(), &metrics::temperatures(), site.started.unix());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// The latest picture, for browsers without scripts.
async fn picture(State(site): Shared) -> Response {
    let _looking = site.feed.look();
    let mut views = site.feed.view.subscribe();
    let latest = views.wait_for(Option::is_some);
    let jpeg = match tokio::time::timeout(Duration::from_secs(3), latest).await {
        Ok(Ok(view)) => view.as_ref().map(|view| view.jpeg.clone()),
        _ => None,
    };
    match jpeg {
        Some(jpeg) => ([(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the camera gives no picture\n").into_response(),
    }
}

/// Server-sent events: `state` and `view`, the latest of each; ends with the session.
async fn live(State(site): Shared, headers: HeaderMap) -> Response {
    let (sender, events) = mpsc::channel(1);
    let word = cookie_of(&headers, site.cookie()).unwrap_or_default();
    tokio::spawn(async move {
        let end = tokio::time::Instant::now() + LONGEST_VIEW;
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
        let state = pages::state_json(&known.borrow_and_update(), enrolment.borrow_and_update().as_ref());
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
        // However many look, the door and the other clients keep their time.
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
