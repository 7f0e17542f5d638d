//! What the surroundings of a door carry out.

use std::sync::Arc;

use super::report::Report;
use crate::access::record::Line;
use crate::access::{Indication, PersistentState};
use crate::matching::Gallery;
use crate::strike::StrikeState;

/// What the surroundings of a door carry out, in order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Drive the strike.
    Strike(StrikeState),
    /// Show this on lights and buzzer.
    Indicate(Indication),
    /// Log and publish this.
    Report(Report),
    /// Compare with the people of this gallery from now on.
    Gallery(Arc<Gallery>),
    /// Write this where it outlives a restart.
    Save(PersistentState),
    /// Write this gallery and tell [`super::Door::gallery_saved`] how that went: it counts from then on.
    SaveGallery(Arc<Gallery>),
    /// Add this to the recording.
    Record(Box<Line>),
}
