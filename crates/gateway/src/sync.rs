//! What threads of this process share.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use facelatch_host::lock::lock;

/// What one thread changes and another waits for.
#[derive(Debug, Default)]
pub(crate) struct Monitor<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Monitor<T> {
    /// The value at present, which nobody else can change meanwhile.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        lock(&self.value)
    }

    /// Changes the value and wakes those who wait.
    pub(crate) fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until the value is not `idle`, or the end of the time.
    pub(crate) fn wait_while(&self, time: Duration, idle: impl FnMut(&mut T) -> bool) -> MutexGuard<'_, T> {
        let waited = self.changed.wait_timeout_while(self.lock(), time, idle);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
