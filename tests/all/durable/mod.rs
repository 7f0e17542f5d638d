//! Nothing is lost or undone by a kill, a file put back, or a wrong clock: the real program, killed before each
//! of its steps on files, and with older files in the place of newer ones.
//!
//! `FACELATCH_KILLS=1000` asks for so many kills, half of the command line and half of the daemon.

mod bench;
mod clock;
mod kills;
mod rollback;
