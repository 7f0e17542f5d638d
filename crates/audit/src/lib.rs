//! The audit log: who opened the door and when, kept so that a change to it shows.
//!
//! A folder of files, oldest first by name. A file is lines of text, one [`Entry`] a line: the
//! entry's hash in 64 hexadecimal digits, a blank, and the entry as JSON. The hash is SHA-256 over the
//! hash of the entry before (32 zero bytes before the first) and the JSON bytes: an entry that is
//! changed, removed, moved or slipped in breaks the chain there. A file's first entry repeats the hash
//! it continues, so that the chain holds over the files and old ones can be retired.
//!
//! * [`entry`]: one line, and how it is chained.
//! * [`disk`]: the few things that are asked of a disk.
//! * [`writer`]: appending, recovery after a power cut, rotation.
//! * [`kept`]: releases, enrolments and removals outlive the file that held them.
//! * [`mod@check`]: reading the whole log and naming the first broken entry.
//!
//! The chain has no key. Anyone who can write the files can write a new log with a new chain, or truncate its
//! end: an exported [`Checkpoint`] kept elsewhere shows that. On the board itself the gallery, which is
//! sealed, and the door's state hold the log's last entry as it was when they were written
//! ([`AuditLog::holds`]), and the log's entries say how far these two had come ([`Marks`]): one of the three
//! put back from a copy does not fit the others.

pub mod check;
pub mod disk;
pub mod entry;
mod error;
pub mod kept;
pub mod writer;

pub use check::{LogCheck, check, entries_since, read_checkpoint};
pub use disk::{FolderDisk, LogDisk};
pub use entry::{AuditEvent, Checkpoint, Context, Entry, Hash, Mark, Marks, Stamp};
pub use error::{AuditError, Break};
pub use kept::kept_entries;
pub use writer::{AuditLog, Rotation};
