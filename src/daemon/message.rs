//! What the other threads tell the one that owns the strike.

use super::error::DaemonError;
use super::request::ClientRequest;
use crate::access::PersistentState;
use crate::lines::LineEvent;
use crate::observation::Observation;
use crate::protocol::metrics::StageTimes;

/// A message to the controller's thread.
#[derive(Debug)]
pub enum Message {
    /// A frame was processed, taking this long.
    Seen(Box<Observation>, StageTimes),
    /// The camera gives no frames at present, and says so.
    CameraIdle,
    /// The recording is over.
    CameraEnded,
    /// The camera or the network failed for good.
    Failed(DaemonError),
    /// A line moved.
    Line(LineEvent),
    /// The door's state was written, and something in it is new that an older one would undo.
    StateSaved {
        /// The number of the write.
        number: u64,
        /// The state.
        saved: PersistentState,
    },
    /// The door's state could not be written.
    NotSaved,
    /// Recorded frames are erased, as this version of the gallery asks for.
    FramesErased {
        /// The version.
        version: u64,
        /// How many there were.
        frames: usize,
    },
    /// The same of the controller's recording.
    RecordingErased {
        /// The version.
        version: u64,
    },
    /// The gallery was written, or why not.
    GallerySaved(Result<(), String>),
    /// A client asks.
    Asked(ClientRequest),
    /// Somebody asked for something they have no right to.
    Refused {
        /// What.
        command: &'static str,
        /// Who: `gateway`, or `mqtt`, whom the gateway itself refuses.
        by: &'static str,
    },
    /// Entries of the audit log have reached the disk.
    Recorded,
    /// Stop in good order.
    Stop,
}
