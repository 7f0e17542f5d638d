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
    /// A picture that was refused is judged anew with the next window.
    SpoofForgotten,
    /// Pictures do not count towards the lockout.
    SpoofsAreNoAttempts,
    /// Who is not sure to be alive is let in without the second factor.
    DoubtOpens,
    /// A challenge whose time is over counts as met.
    ChallengePassesOnTimeout,
    /// A challenge is met by a head that turns, whoever it belongs to.
    ChallengeTakesAnybody,
    /// A head need not come back.
    ChallengeNeedsNoReturn,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 12] = [
        Bug::RexProlongs,
        Bug::TracksMix,
        Bug::RestartForgetsLockout,
        Bug::SeveralFacesRenewApproach,
        Bug::CameraFaultIgnored,
        Bug::NightBelongsToItsMorning,
        Bug::SpoofForgotten,
        Bug::SpoofsAreNoAttempts,
        Bug::DoubtOpens,
        Bug::ChallengePassesOnTimeout,
        Bug::ChallengeTakesAnybody,
        Bug::ChallengeNeedsNoReturn,
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
