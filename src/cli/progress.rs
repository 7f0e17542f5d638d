//! How far a long command has come, on stderr: for people who wait, and never before they would wonder.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::lock::lock;

/// Between two words on a terminal, which are written over one another.
const TERMINAL: Duration = Duration::from_millis(500);
/// Between two lines elsewhere.
const LINES: Duration = Duration::from_secs(10);

/// Counts what is done, and says so now and then.
pub struct ProgressLine {
    /// What is done, such as "pictures read".
    what: &'static str,
    of: usize,
    terminal: bool,
    state: Mutex<State>,
}

struct State {
    done: usize,
    /// When something was said last, or the work began.
    said: Instant,
    /// Words stand on the terminal's line.
    open: bool,
}

impl ProgressLine {
    /// Starts work of this many steps.
    pub fn new(what: &'static str, of: usize) -> Self {
        let state = Mutex::new(State { done: 0, said: Instant::now(), open: false });
        ProgressLine { what, of, terminal: io::stderr().is_terminal(), state }
    }

    /// A step is done.
    pub fn step(&self) {
        let mut state = lock(&self.state);
        state.done += 1;
        // What is done is said by the result.
        if state.done >= self.of || state.said.elapsed() < if self.terminal { TERMINAL } else { LINES } {
            return;
        }
        state.said = Instant::now();
        let words = format!("{} of {} {}", state.done, self.of, self.what);
        // The caller may have closed stderr; the work continues.
        let _ = if self.terminal {
            state.open = true;
            write!(io::stderr(), "\r{words}\x1b[K")
        } else {
            writeln!(io::stderr(), "{words}")
        };
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if lock(&self.state).open {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
