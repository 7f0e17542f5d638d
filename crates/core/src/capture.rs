//! What a camera counts: the word that edge and protocol share.

/// What happened to the frames of a source so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counters {
    /// Frames handed out.
    pub frames: u64,
    /// Frames that the source captured but that were not handed out: superseded by a newer one
    /// before they were asked for, or missing in the driver's sequence numbers.
    pub skipped: u64,
    /// Frames whose bytes were not a picture.
    pub undecodable: u64,
    /// Times the device was opened again after it was lost or hung.
    pub reopened: u64,
    /// Times another program was found to have changed the format.
    pub format_changes: u64,
}
