//! Connections, routes, and what is sent with every answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Extension, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio_io_timeout::TimeoutStream;

use super::auth::{self, IO_TIMEOUT, Numbered};
use super::site::{Shared, Site};
use super::{commands, events, health, live, metrics, people};
use crate::daemon_link::StopSignal;
use facelatch_host::clock;

/// The longest body of a form.
const MAX_BODY: usize = 16 * 1_024;
/// How often the secrets are checked while no requests come.
const SECRETS_CHECK: Duration = Duration::from_secs(1);

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("live.js");
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Serves until told to stop.
pub fn serve(site: Site, stop: &StopSignal) {
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
            tokio::time::sleep(SECRETS_CHECK).await;
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
        stream.set_write_timeout(Some(IO_TIMEOUT));
        let (tls, app) = (tls.clone(), app.clone().layer(Extension(ConnectInfo(peer))));
        tokio::spawn(async move {
            let _permit = permit;
            let stream = Box::pin(stream);
            match tls {
                None => connection(stream, app).await,
                Some(tls) => match tokio::time::timeout(IO_TIMEOUT, tls.accept(stream)).await {
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
        .header_read_timeout(IO_TIMEOUT)
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
        .route("/", get(live::page))
        .route("/live", get(live::stream))
        .route("/live.js", get(script))
        .route("/picture.jpg", get(live::picture))
        .route("/session", get(|| async { StatusCode::NO_CONTENT }))
        .route("/people", get(people::page))
        .route("/people/enrol", post(commands::enrol))
        .route("/people/cancel", post(commands::cancel))
        .route("/people/{id}/rename", post(commands::rename))
        .route("/people/{id}/remove", post(commands::remove))
        .route("/people/{id}/expiry", post(commands::expiry))
        .route("/door/{what}", post(commands::command))
        .route("/events", get(events::page))
        .route("/events/export", get(events::export))
        .route("/health", get(health::page))
        .route("/logout", post(auth::logout))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there is no such page\n") })
        .layer(from_fn_with_state(Arc::clone(&site), auth::ask_for_session));
    Router::new()
        .route("/login", get(auth::login_page).post(auth::login))
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

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT).into_response()
}

/// By a session, or by the token that `facelatch-gateway token` made.
async fn metrics_page(State(site): Shared, headers: HeaderMap) -> Response {
    let bearer =
        headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    site.refresh();
    let by_token = bearer.is_some_and(|bearer| site.secrets.is_token(bearer));
    if !by_token && auth::session_of(&site, &headers, false).is_none() {
        let mut response =
            (StatusCode::UNAUTHORIZED, "give the token that `facelatch-gateway token` printed\n")
                .into_response();
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    }
    let known = site.feed.known.borrow().clone();
    let text = metrics::text(&known, site.feed.viewers(), &metrics::temperatures(), site.started.unix());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
