//! Inputs pressed by the program, and an indicator without lights.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::{Indicator, InputLine, Inputs, LineError, LineEvent};
use facelatch_core::access::Indication;
use facelatch_host::clock;

/// Inputs that are pressed through a [`Switch`].
#[derive(Debug)]
pub struct SimulatedInputs {
    events: Receiver<LineEvent>,
    switch: Switch,
    active: BTreeMap<InputLine, bool>,
}

/// Presses simulated inputs.
#[derive(Clone, Debug)]
pub struct Switch(Sender<LineEvent>);

impl Switch {
    /// Brings an input into a state, now.
    pub fn set(&self, line: InputLine, active: bool) {
        // Nobody listens any more: then nobody misses it.
        let _ = self.0.send(LineEvent { line, active, at: clock::now() });
    }
}

impl SimulatedInputs {
    /// Inputs that nobody has pressed; they count as configured once they are.
    pub fn new() -> Self {
        let (sender, events) = channel();
        SimulatedInputs { events, switch: Switch(sender), active: BTreeMap::new() }
    }

    /// A handle to press them by.
    pub fn switch(&self) -> Switch {
        self.switch.clone()
    }
}

impl Default for SimulatedInputs {
    fn default() -> Self {
        SimulatedInputs::new()
    }
}

impl Inputs for SimulatedInputs {
    fn wait(&mut self, wait: Duration) -> Result<Option<LineEvent>, LineError> {
        match self.events.recv_timeout(wait) {
            Ok(event) => {
                self.active.insert(event.line, event.active);
                Ok(Some(event))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            // Not reachable, we hold a sender ourselves; but never spin.
            Err(RecvTimeoutError::Disconnected) => {
                thread::sleep(wait);
                Ok(None)
            }
        }
    }

    fn active(&mut self, line: InputLine) -> Result<Option<bool>, LineError> {
        Ok(self.active.get(&line).copied())
    }

    fn describe(&self) -> String {
        "simulated inputs (no line is read)".to_owned()
    }
}

/// An indicator without lights: the log shows the state anyway.
#[derive(Debug, Default)]
pub struct NoLights;

impl Indicator for NoLights {
    fn show(&mut self, indication: Indication, elapsed: Duration) -> Result<(), LineError> {
        if elapsed.is_zero() {
            log::debug!("indication={indication:?}");
        }
        Ok(())
    }

    fn describe(&self) -> String {
        "no lights".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presses_arrive_in_order() {
        let mut inputs = SimulatedInputs::new();
        let switch = inputs.switch();
        assert_eq!(inputs.active(InputLine::Button).unwrap(), None);
        switch.set(InputLine::Button, true);
        switch.set(InputLine::Button, false);
        let first = inputs.wait(Duration::ZERO).unwrap().unwrap();
        assert_eq!((first.line, first.active), (InputLine::Button, true));
        assert_eq!(inputs.active(InputLine::Button).unwrap(), Some(true));
        let second = inputs.wait(Duration::ZERO).unwrap().unwrap();
        assert!(!second.active && second.at >= first.at);
        assert_eq!(inputs.wait(Duration::ZERO).unwrap(), None);
    }
}
