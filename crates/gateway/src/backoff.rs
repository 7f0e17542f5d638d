//! Pauses between attempts to reach somebody.

use std::time::Duration;

/// A pause that doubles with each failure, up to a limit.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Pauses from `first` up to `longest`.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Backoff { first, longest, next: first }
    }

    /// How long to wait after this failure.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }

    /// An attempt succeeded: the next failure is a first one.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_start_over_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(1));
        let mut pauses = || (0..4).map(|_| backoff.pause().as_millis()).collect::<Vec<_>>();
        assert_eq!(pauses(), [250, 500, 1_000, 1_000]);
        backoff.reset();
        assert_eq!(backoff.pause(), Duration::from_millis(250));
    }
}
