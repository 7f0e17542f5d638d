//! Locks whose owner may have panicked.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Takes a lock, also one whose owner has panicked. A door that stops for that would be worse: what is behind such
/// a lock is replaced whole, and a thread that the door cannot do without reports its own end.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As [`lock`], for a lock that is taken again after a wait.
pub fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// As [`wait`], but no longer than `limit`.
pub fn wait_at_most<'a, T>(
    condition: &Condvar,
    guard: MutexGuard<'a, T>,
    limit: Duration,
) -> MutexGuard<'a, T> {
    condition.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner).0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_panic_under_the_lock_keeps_nobody_out() {
        let shared = Arc::new(Mutex::new(1));
        let owner = Arc::clone(&shared);
        let panicked = std::thread::spawn(move || {
            let _guard = owner.lock().unwrap();
            panic!("with the lock in hand");
        });
        assert!(panicked.join().is_err() && shared.is_poisoned());
        *lock(&shared) += 1;
        assert_eq!(*wait_at_most(&Condvar::new(), lock(&shared), Duration::from_millis(1)), 2);
    }
}
