//! The page and the metrics, over HTTP/1.1.
//!
//! Without a session there is the login page and its style sheet; everything else asks for one. Each form
//! carries its session's token. Pages take nothing from elsewhere, and say so to the browser.
//!
//! One thread serves everybody: however hard it is hammered, it takes one core at most, and connections,
//! headers, bodies and unread answers are bounded.
//!
//! * `server`: connections, routes, headers and the access log.
//! * `auth`: who may in: sessions, the login and its limits, the token of each form.
//! * `site`: what every page needs: the link to the daemon, secrets, sessions.
//! * `session`, `throttle`: who is logged in; how often a password may be tried.
//! * `secrets`: what the files of password and token say at present.
//! * `tls`: the page's TLS.
//! * `layout`: what the pages share.
//! * `live`, `people`, `events`, `health`: a page each.
//! * `metrics`: the door's figures for Prometheus.
//! * `commands`: what forms ask of the door.

mod auth;
mod commands;
mod events;
mod health;
mod layout;
mod live;
mod metrics;
mod people;
mod secrets;
mod server;
mod session;
mod site;
mod throttle;
mod tls;

pub use server::serve;
pub use site::Site;
