//! The gateway beside the real daemon: the protocol between them, and the page before it.

mod bench;
mod crowd;
mod flicked;
mod flood;
mod password;
mod private;
mod protocol;
mod web;
