//! What every page needs.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::HeaderValue;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::metrics::ProcessStart;
use super::secrets::Secrets;
use super::session::Sessions;
use super::throttle::LoginThrottle;
use super::tls;
use crate::config::GatewayConfig;
use crate::daemon_link::{DaemonLink, LinkError};
use crate::error::GatewayError;
use crate::feed::Feed;
use crate::secret::HashMemory;
use facelatch_protocol::{Request, Right};

/// How handlers get the site.
pub(super) type Shared = State<Arc<Site>>;

/// Tries of the password that wait for their turn: from addresses, and from known devices.
const MAX_WAITING: [usize; 2] = [32, 16];

/// Everything that is served.
pub struct Site {
    pub(super) name: String,
    pub(super) link: DaemonLink,
    pub(super) feed: Arc<Feed>,
    pub(super) secrets: Secrets,
    pub(super) sessions: Sessions,
    /// Counts up when all sessions have ended.
    pub(super) ended: watch::Sender<u64>,
    pub(super) throttle: LoginThrottle,
    pub(super) lines: [Semaphore; 2],
    /// Hashing a password takes memory and time: one at a time, in memory that is taken once.
    pub(super) hashing: Arc<Semaphore>,
    pub(super) memory: Mutex<HashMemory>,
    pub(super) started: ProcessStart,
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) connections: Arc<Semaphore>,
}

impl Site {
    /// Reads the secrets and takes the address.
    ///
    /// # Errors
    /// When a file cannot be used or the address is taken.
    pub fn open(config: &GatewayConfig, link: DaemonLink, feed: Arc<Feed>) -> Result<Self, GatewayError> {
        let web = &config.web;
        let secrets = Secrets::open(&web.password_file, &web.token_file)?;
        let mut memory = HashMemory::default();
        if let Some(password) = secrets.password() {
            memory.prepare(&password);
        }
        let tls = web.tls().map(|(certificate, key)| tls::acceptor(certificate, key)).transpose()?;
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
            throttle: LoginThrottle::default(),
            lines: MAX_WAITING.map(Semaphore::new),
            hashing: Arc::new(Semaphore::new(1)),
            memory: Mutex::new(memory),
            started: ProcessStart::now(),
            listener,
            address,
            tls,
            connections: Arc::new(Semaphore::new(web.max_connections)),
        })
    }

    pub(super) fn cookie(&self) -> &'static str {
        // A browser takes the second only from the host itself, by TLS.
        if self.tls.is_none() { "facelatch" } else { "__Host-facelatch" }
    }

    pub(super) fn device_cookie(&self) -> &'static str {
        if self.tls.is_none() { "facelatch-device" } else { "__Host-facelatch-device" }
    }

    /// Looks whether the secrets are what they were. With another password, or none, every session is
    /// over, and so is what it has in progress.
    pub(super) fn refresh(&self) {
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

    pub(super) fn cookie_for(&self, name: &str, value: &str, seconds: Option<u32>) -> HeaderValue {
        let secure = if self.tls.is_none() { "" } else { "; Secure" };
        let age = seconds.map(|s| format!("; Max-Age={s}")).unwrap_or_default();
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{secure}{age}");
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// Asks the daemon without holding up the others.
    pub(super) async fn ask<T>(&self, request: Request) -> Result<T, LinkError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let link = self.link.clone();
        let broken = |_| LinkError::Refused { message: "the gateway is stopping".to_owned() };
        tokio::task::spawn_blocking(move || link.ask(&request)).await.map_err(broken)?
    }

    /// True when the daemon gives this gateway the right.
    pub(super) fn has(&self, right: Right) -> bool {
        self.feed.known.borrow().hello.as_ref().is_some_and(|hello| hello.rights.contains(&right))
    }
}
