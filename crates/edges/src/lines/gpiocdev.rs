//! Inputs and indicators on the GPIO character device.
//!
//! Lines may lie on several chips, and the kernel hands out one descriptor per request and chip:
//! each line has its own request, and they are polled together.

use std::os::fd::AsFd;
use std::time::Duration;

use ::gpiocdev::Request;
use ::gpiocdev::line::{self, EdgeDetection, EdgeKind, EventClock, Value};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    Indicator, IndicatorLine, IndicatorSettings, InputLine, InputSettings, Inputs, LineError, LineEvent, lit,
};
use crate::gpio::cdev::{self, CdevError};
use crate::gpio::{Bias, LineAddress, Polarity};
use facelatch_core::access::Indication;
use facelatch_core::time::Timestamp;

struct Held<L> {
    line: L,
    request: Request,
    offset: u32,
    address: LineAddress,
}

fn open_error(what: &dyn std::fmt::Display, address: &LineAddress, error: &CdevError) -> LineError {
    LineError::Open { what: what.to_string(), address: address.clone(), why: error.to_string() }
}

fn use_error(what: &dyn std::fmt::Display, error: &dyn std::fmt::Display) -> LineError {
    LineError::Use { what: what.to_string(), why: error.to_string() }
}

fn list<L: std::fmt::Display>(held: &[Held<L>]) -> String {
    let lines: Vec<_> = held.iter().map(|h| format!("{} on {}", h.line, h.address)).collect();
    format!("gpiocdev: {}", lines.join(", "))
}

pub struct CdevInputs {
    held: Vec<Held<InputLine>>,
}

impl CdevInputs {
    pub fn open(settings: &[InputSettings]) -> Result<Self, LineError> {
        let mut held = Vec::new();
        for input in settings {
            let open_error = |e: CdevError| open_error(&input.line, &input.address, &e);
            let found = cdev::find(&input.address).map_err(open_error)?;
            let bias = match input.bias {
                Bias::AsIs => None,
                Bias::Disabled => Some(line::Bias::Disabled),
                Bias::PullUp => Some(line::Bias::PullUp),
                Bias::PullDown => Some(line::Bias::PullDown),
            };
            let mut builder = Request::builder();
            builder
                .with_consumer(format!("facelatch {}", input.line))
                .on_chip(&found.chip)
                .with_line(found.offset)
                .as_input()
                .with_bias(bias)
                .with_edge_detection(EdgeDetection::BothEdges)
                .with_event_clock(EventClock::Monotonic);
            if input.polarity == Polarity::ActiveLow {
                builder.as_active_low();
            }
            if !input.debounce.is_zero() {
                builder.with_debounce_period(input.debounce);
            }
            let request = builder.request().map_err(|e| open_error(cdev::explain(&found, &e)))?;
            held.push(Held {
                line: input.line,
                request,
                offset: found.offset,
                address: input.address.clone(),
            });
        }
        Ok(CdevInputs { held })
    }
}

impl Inputs for CdevInputs {
    fn wait(&mut self, wait: Duration) -> Result<Option<LineEvent>, LineError> {
        let mut descriptors: Vec<_> =
            self.held.iter().map(|h| PollFd::from_borrowed_fd(h.request.as_fd(), PollFlags::IN)).collect();
        let timeout = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        match poll(&mut descriptors, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(use_error(&"an input", &error)),
        }
        let ready: Vec<bool> = descriptors.iter().map(|d| !d.revents().is_empty()).collect();
        // The first that is ready; the others stay ready for the next call.
        let Some(held) = self.held.iter().zip(ready).find_map(|(h, ready)| ready.then_some(h)) else {
            return Ok(None);
        };
        let event = held.request.read_edge_event().map_err(|e| use_error(&held.line, &e))?;
        Ok(Some(LineEvent {
            line: held.line,
            active: event.kind == EdgeKind::Rising,
            at: Timestamp::from_nanos(event.timestamp_ns),
        }))
    }

    fn active(&mut self, line: InputLine) -> Result<Option<bool>, LineError> {
        let Some(held) = self.held.iter().find(|h| h.line == line) else { return Ok(None) };
        let value = held.request.value(held.offset).map_err(|e| use_error(&line, &e))?;
        Ok(Some(value == Value::Active))
    }

    fn describe(&self) -> String {
        list(&self.held)
    }
}

pub struct CdevIndicators {
    held: Vec<Held<IndicatorLine>>,
}

impl CdevIndicators {
    pub fn open(settings: &[IndicatorSettings]) -> Result<Self, LineError> {
        let mut held = Vec::new();
        for indicator in settings {
            let open_error = |e: CdevError| open_error(&indicator.line, &indicator.address, &e);
            let found = cdev::find(&indicator.address).map_err(open_error)?;
            let mut builder = Request::builder();
            builder
                .with_consumer(format!("facelatch {}", indicator.line))
                .on_chip(&found.chip)
                .with_line(found.offset)
                .as_output(Value::Inactive);
            if indicator.polarity == Polarity::ActiveLow {
                builder.as_active_low();
            }
            let request = builder.request().map_err(|e| open_error(cdev::explain(&found, &e)))?;
            held.push(Held {
                line: indicator.line,
                request,
                offset: found.offset,
                address: indicator.address.clone(),
            });
        }
        Ok(CdevIndicators { held })
    }
}

impl Indicator for CdevIndicators {
    fn show(&mut self, indication: Indication, elapsed: Duration) -> Result<(), LineError> {
        // All are tried: a broken LED does not keep the buzzer on.
        let mut outcome = Ok(());
        for held in &self.held {
            let value = if lit(held.line, indication, elapsed) { Value::Active } else { Value::Inactive };
            if let Err(error) = held.request.set_value(held.offset, value) {
                outcome = Err(use_error(&held.line, &error));
            }
        }
        outcome
    }

    fn describe(&self) -> String {
        list(&self.held)
    }
}

impl Drop for CdevIndicators {
    fn drop(&mut self) {
        if let Err(error) = self.show(Indication::Idle, Duration::ZERO) {
            log::warn!("event=indicator_stays_on reason={:?}", error.to_string());
        }
    }
}
