//! A strike that drives nothing and remembers what it was told.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Strike, StrikeError, StrikeState};
use crate::clock;
use crate::time::Timestamp;

/// A change of a simulated strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When it was asked for, by the monotonic clock.
    pub at: Timestamp,
    /// The new state.
    pub state: StrikeState,
}

/// A handle on the transitions of a [`Simulated`] strike; stays readable after the strike is gone.
#[derive(Clone, Debug, Default)]
pub struct Transitions(Arc<Mutex<Vec<Transition>>>);

impl Transitions {
    /// All changes so far, the first being the opening in [`StrikeState::Secured`].
    pub fn all(&self) -> Vec<Transition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The states alone, in order.
    pub fn states(&self) -> Vec<StrikeState> {
        self.all().iter().map(|t| t.state).collect()
    }

    /// The present state.
    pub fn state(&self) -> StrikeState {
        self.all().last().map_or(StrikeState::Secured, |t| t.state)
    }

    fn push(&self, state: StrikeState) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.last().map(|t| t.state) != Some(state) {
            all.push(Transition { at: clock::now(), state });
        }
    }
}

/// A strike for tests, recordings and machines without GPIO. Its drop secures, like the real ones'.
#[derive(Debug)]
pub struct Simulated {
    transitions: Transitions,
}

impl Simulated {
    /// A secured strike.
    pub fn new() -> Self {
        let transitions = Transitions::default();
        transitions.push(StrikeState::Secured);
        Simulated { transitions }
    }

    /// A handle to read its transitions by.
    pub fn transitions(&self) -> Transitions {
        self.transitions.clone()
    }
}

impl Default for Simulated {
    fn default() -> Self {
        Simulated::new()
    }
}

impl Strike for Simulated {
    fn set(&mut self, state: StrikeState) -> Result<(), StrikeError> {
        self.transitions.push(state);
        Ok(())
    }

    fn describe(&self) -> String {
        "simulated strike (no line is driven)".to_owned()
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.transitions.push(StrikeState::Secured);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use StrikeState::{Released, Secured};

    #[test]
    fn remembers_changes_only() {
        let mut strike = Simulated::new();
        let transitions = strike.transitions();
        for state in [Secured, Released, Released, Secured, Released] {
            strike.set(state).unwrap();
        }
        assert_eq!(transitions.states(), [Secured, Released, Secured, Released]);
        assert_eq!(transitions.state(), Released);
    }

    #[test]
    fn drop_secures() {
        let mut strike = Simulated::new();
        let transitions = strike.transitions();
        strike.set(Released).unwrap();
        drop(strike);
        assert_eq!(transitions.states(), [Secured, Released, Secured]);
    }

    #[test]
    fn a_panicking_holder_secures() {
        let strike = Simulated::new();
        let transitions = strike.transitions();
        let result = std::thread::spawn(move || {
            let mut strike = strike;
            strike.set(Released).unwrap();
            panic!("on purpose");
        })
        .join();
        assert!(result.is_err());
        assert_eq!(transitions.state(), Secured);
    }
}
