//! The kernel's monotonic clock, as a [`Timestamp`].
//!
//! V4L2 stamps frames and the GPIO character device stamps edges with `CLOCK_MONOTONIC`; this is the
//! same clock, so that "now", a frame and a button press can be compared. Only edges and the
//! composition may ask for it: the core gets time as an argument.

use rustix::time::{ClockId, clock_gettime};

use crate::time::Timestamp;

/// Time since boot by `CLOCK_MONOTONIC`.
pub fn now() -> Timestamp {
    let t = clock_gettime(ClockId::Monotonic);
    // Neither part is negative for this clock.
    let secs = u64::try_from(t.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(t.tv_nsec).unwrap_or(0);
    Timestamp::from_nanos(secs.saturating_mul(1_000_000_000).saturating_add(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn does_not_run_backwards() {
        let first = now();
        let second = now();
        assert!(second >= first);
        assert!(first > Timestamp::ZERO);
    }
}
