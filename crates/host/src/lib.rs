//! What each process of facelatch asks of the operating system.
//!
//! | Module | Asks for |
//! |---|---|
//! | [`backoff`] | nothing: how long to wait before another attempt |
//! | [`clock`] | the time since boot, the wall clock, the time of the week |
//! | [`config_file`] | TOML, with one clear line for each mistake |
//! | [`console`] | lines on standard output and error, exit status |
//! | [`disk`] | files that are swapped in whole, or not at all |
//! | [`journal`] | log lines as entries of systemd's journal |
//! | [`lock`] | nothing: locks whose owner may have panicked |
//! | [`notify`] | systemd's word that the process is ready, and its watchdog |
//! | [`private`] | memory that neither a core file nor swap gets |
//!
//! No device of a door, and nothing about people.

pub mod backoff;
pub mod clock;
pub mod config_file;
pub mod console;
pub mod disk;
pub mod journal;
pub mod lock;
pub mod notify;
pub mod private;
