//! How long to wait before something is tried again: twice as long after each failure, up to a longest time.
//!
//! Pure: whoever waits has the clock.

use std::time::Duration;

/// The waiting times of one thing that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Begins with `first`; never waits for longer than `longest`, or than `first` where that is longer.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Backoff { first, longest, next: first }
    }

    /// It has failed: how long to wait now. The next wait is twice as long.
    pub fn failed(&mut self) -> Duration {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.longest.max(self.first));
        wait
    }

    /// It works: the next failure begins with the first time again.
    pub fn works(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_longest_and_begins_again_when_it_works() {
        let s = Duration::from_secs;
        let mut backoff = Backoff::new(s(1), s(5));
        let waits: Vec<Duration> = (0..5).map(|_| backoff.failed()).collect();
        assert_eq!(waits, [s(1), s(2), s(4), s(5), s(5)]);
        backoff.works();
        assert_eq!((backoff.failed(), backoff.failed()), (s(1), s(2)));
    }

    #[test]
    fn odd_limits_neither_overflow_nor_shorten_the_first_wait() {
        let mut longest = Backoff::new(Duration::MAX, Duration::MAX);
        assert_eq!((longest.failed(), longest.failed()), (Duration::MAX, Duration::MAX));
        let mut reversed = Backoff::new(Duration::from_secs(9), Duration::from_secs(2));
        assert_eq!((reversed.failed(), reversed.failed()), (Duration::from_secs(9), Duration::from_secs(9)));
    }
}
