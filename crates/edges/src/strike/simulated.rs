//! A strike that drives nothing and remembers what it was told, in a file as well if wanted.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::{Strike, StrikeError, StrikeState};
use facelatch_core::time::Timestamp;
use facelatch_host::clock;
use facelatch_host::lock::lock;

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
        lock(&self.0).clone()
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
        let mut all = lock(&self.0);
        if all.last().map(|t| t.state) != Some(state) {
            all.push(Transition { at: clock::now(), state });
        }
    }
}

/// A strike for tests, recordings and machines without GPIO. Its drop secures, like the real ones'.
#[derive(Debug)]
pub struct Simulated {
    transitions: Transitions,
    shown: Option<File>,
}

impl Simulated {
    /// A secured strike.
    pub fn new() -> Self {
        let transitions = Transitions::default();
        transitions.push(StrikeState::Secured);
        Simulated { transitions, shown: None }
    }

    /// A secured strike whose state can be read in a file: `secured` or `released`. A killed holder
    /// leaves the file as it is, like a kernel that keeps its outputs driven.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn shown_in(path: &Path) -> Result<Self, StrikeError> {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|e| StrikeError::StateFile { path: path.to_owned(), why: e.to_string() })?;
        let mut strike = Simulated { transitions: Transitions::default(), shown: Some(file) };
        strike.set(StrikeState::Secured)?;
        Ok(strike)
    }

    fn show(&self, state: StrikeState) -> std::io::Result<()> {
        // One write of one length: a reader never finds half a word.
        self.shown.as_ref().map_or(Ok(()), |file| file.write_all_at(format!("{state:<8}\n").as_bytes(), 0))
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
        self.show(state)
            .map_err(|e| StrikeError::StateFile { path: "strike.state_file".into(), why: e.to_string() })
    }

    fn describe(&self) -> String {
        "simulated strike (no line is driven)".to_owned()
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        let _ = self.set(StrikeState::Secured);
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
    fn the_state_can_be_read_in_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("strike");
        std::fs::write(&path, "released\n").unwrap();
        let state = || std::fs::read_to_string(&path).unwrap().trim().to_owned();
        let mut strike = Simulated::shown_in(&path).unwrap();
        assert_eq!(state(), "secured");
        strike.set(Released).unwrap();
        assert_eq!(state(), "released");
        drop(strike);
        assert_eq!(state(), "secured");
        let error = Simulated::shown_in(&dir.path().join("no/strike")).unwrap_err().to_string();
        assert!(error.contains("no/strike") && error.contains("state_file"), "{error}");
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
