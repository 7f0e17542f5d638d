//! `[daemon]`

use std::path::PathBuf;

use super::table::section;

section! {
    /// The daemon itself.
    [daemon] DaemonConfig;

    /// Unix socket for `facelatch enrol`, `people` and `status`.
    socket: PathBuf = "/run/facelatch/socket".into();
    /// Stop feeding systemd's watchdog after this long without a processed frame, unless the camera is known to
    /// be away.
    watchdog_stall_ms: u64 = 5_000, range 500 to 60_000 ms, old stall_ms;
}
