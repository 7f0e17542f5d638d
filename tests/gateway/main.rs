//! The gateway beside the real daemon: the protocol between them, and the page before it.

mod bench;
mod flicked;
mod flood;
mod protocol;
mod web;
