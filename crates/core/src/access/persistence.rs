//! What must outlive a restart: when it is written, and written again.

use std::time::Duration;

use super::event::PersistentState;
use crate::time::Timestamp;

/// A state that could not be written is tried again after this.
pub(super) const RETRY_SAVE_AFTER: Duration = Duration::from_secs(60);

/// What was last asked to be saved.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Persistence {
    saved: Option<PersistentState>,
    save_again: Option<Timestamp>,
}

impl Persistence {
    /// This is known to be saved, or nothing is.
    pub fn resumed(saved: Option<PersistentState>, save_again: Option<Timestamp>) -> Self {
        Persistence { saved, save_again }
    }

    /// What was last asked to be saved.
    pub fn saved(&self) -> Option<PersistentState> {
        self.saved
    }

    /// When writing is tried again.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.save_again
    }

    /// The state as it is now; returns it when it is to be written.
    pub fn update(&mut self, state: PersistentState) -> Option<PersistentState> {
        (self.saved.replace(state) != Some(state)).then_some(state)
    }

    /// It could not be written.
    pub fn failed(&mut self, now: Timestamp) {
        self.save_again = Some(now + RETRY_SAVE_AFTER);
    }

    /// Forgets what was saved when it is time to write again.
    pub fn expire(&mut self, now: Timestamp) {
        if self.save_again.is_some_and(|at| now >= at) {
            *self = Persistence::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_written_once_and_again_after_a_failure() {
        let (state, at) = (PersistentState::default(), Timestamp::from_millis(5_000));
        let mut persistence = Persistence::default();
        assert_eq!([0, 1].map(|_| persistence.update(state)), [Some(state), None]);
        let other = PersistentState { secure_mode: true, ..state };
        assert_eq!(persistence.update(other), Some(other));
        persistence.failed(at);
        assert_eq!(persistence.deadline(), Some(at + RETRY_SAVE_AFTER));
        persistence.expire(at + RETRY_SAVE_AFTER - Duration::from_nanos(1));
        assert_eq!(persistence.update(other), None);
        persistence.expire(at + RETRY_SAVE_AFTER);
        assert_eq!((persistence.update(other), persistence.deadline()), (Some(other), None));
    }
}
