//! `[store]`

use std::path::PathBuf;

use super::table::section;

section! {
    /// Where the gallery is kept.
    [store] StoreConfig;

    /// The encrypted templates.
    gallery: PathBuf = "/var/lib/facelatch/gallery".into();
    /// Their key: 32 bytes, mode 0600, made on first use.
    key: PathBuf = "/var/lib/facelatch/key".into();
    /// Lockout and secure mode, kept across restarts.
    state: PathBuf = "/var/lib/facelatch/state".into();
}
