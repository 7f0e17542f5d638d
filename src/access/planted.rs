//! Bugs to be found: a test that finds none of them would not find a real one either.
//!
//! They exist only under the feature `planted-bugs`, which no build for a door has. Without it
//! `is` is the constant `false` and the compiler removes every trace.

/// A bug that a test can plant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Request to exit, or a face, prolongs a release under way.
    RexProlongs,
    /// The window takes frames of another tracked face.
    TracksMix,
    /// A restart forgets lockout and denials.
    RestartForgetsLockout,
    /// Several faces begin a new approach.
    SeveralFacesRenewApproach,
    /// A lost camera leaves a release under way.
    CameraFaultIgnored,
    /// Hours over midnight ask for the wrong day after midnight.
    NightBelongsToItsMorning,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 6] = [
        Bug::RexProlongs,
        Bug::TracksMix,
        Bug::RestartForgetsLockout,
        Bug::SeveralFacesRenewApproach,
        Bug::CameraFaultIgnored,
        Bug::NightBelongsToItsMorning,
    ];
}

#[cfg(feature = "planted-bugs")]
mod chosen {
    use std::cell::Cell;

    use super::Bug;

    thread_local!(static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) });

    /// Plants a bug into the controllers of this thread, or removes it.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    pub(in super::super) fn is(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(feature = "planted-bugs")]
pub(super) use chosen::is;
#[cfg(feature = "planted-bugs")]
pub use chosen::plant;

/// Whether this bug is planted: never.
#[cfg(not(feature = "planted-bugs"))]
pub(super) const fn is(_bug: Bug) -> bool {
    false
}
