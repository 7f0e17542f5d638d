//! One entry of the audit log, and how it is chained to the one before.

use std::fmt::{self, Write};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use facelatch_core::access::SubjectId;
use facelatch_core::time::Timestamp;

/// A SHA-256. Shown, and written in JSON, as 64 lowercase hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What the first entry continues.
    pub const ZERO: Hash = Hash([0; 32]);

    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Hash(Sha256::digest(bytes).into())
    }

    /// The hash of an entry with this JSON that follows an entry of hash `self`.
    pub fn chain(self, json: &[u8]) -> Self {
        Hash(Sha256::new().chain_update(self.0).chain_update(json).finalize().into())
    }

    /// Reads exactly what `Display` writes.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digit = |c: u8| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Hash(bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Hash::parse(text.as_bytes()).ok_or_else(|| de::Error::custom("not 64 lowercase hexadecimal digits"))
    }
}

/// When something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// By the wall clock, in ms since 1970; wrong while the board's clock is not set.
    pub wall_ms: u64,
    /// By the monotonic clock, which restarts at each boot.
    pub mono: Timestamp,
}

/// What was in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// SHA-256 of the network.
    pub model: Hash,
    /// SHA-256 of the configuration file.
    pub config: Hash,
}

/// How far the files beside the log had come, as far as its entries have said. Each figure only grows, so that
/// a gallery or a state that says less than the log is an older one put back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marks {
    /// The version of the gallery.
    pub gallery: u64,
    /// So many entries are about the change that made this version.
    pub part: u32,
    /// The id that the next new person gets.
    pub next_id: u32,
    /// How often the door's state was written.
    pub state: u64,
    /// People removed up to this version of the gallery are on no recorded frame any more.
    pub erased: u64,
}

/// What an entry says of the files beside the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is about the change that brought the gallery to this version.
    Change {
        /// The version.
        version: u64,
        /// The id that the next new person gets.
        next_id: u32,
    },
    /// They were found like this at a start.
    Found {
        /// The gallery's version.
        version: u64,
        /// The id that the next new person gets.
        next_id: u32,
        /// The number of the last write of the state.
        state: u64,
    },
    /// The state was written for this time.
    State(u64),
    /// The frames of people removed up to this version of the gallery are erased.
    Erased(u64),
}

impl Marks {
    /// After an entry that says this.
    #[must_use]
    pub fn with(mut self, mark: Mark) -> Self {
        match mark {
            Mark::Change { version, next_id } => {
                if version > self.gallery {
                    (self.gallery, self.part) = (version, 0);
                }
                self.part += u32::from(version == self.gallery);
                self.next_id = self.next_id.max(next_id);
            }
            Mark::Found { version, next_id, state } => {
                if version > self.gallery {
                    (self.gallery, self.part) = (version, 0);
                }
                self.next_id = self.next_id.max(next_id);
                self.state = self.state.max(state);
            }
            Mark::State(number) => self.state = self.state.max(number),
            Mark::Erased(version) => self.erased = self.erased.max(version),
        }
        self
    }

    /// The further of two.
    #[must_use]
    pub fn max(self, other: Marks) -> Self {
        let part = match self.gallery.cmp(&other.gallery) {
            std::cmp::Ordering::Greater => self.part,
            std::cmp::Ordering::Less => other.part,
            std::cmp::Ordering::Equal => self.part.max(other.part),
        };
        Marks {
            gallery: self.gallery.max(other.gallery),
            part,
            next_id: self.next_id.max(other.next_id),
            state: self.state.max(other.state),
            erased: self.erased.max(other.erased),
        }
    }
}

/// What happened. People appear as ids, never by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuditEvent {
    /// One word: `release`, `deny`, ...
    pub event: String,
    /// Whom it concerns.
    pub subject: Option<SubjectId>,
    /// The mean similarity that decided, where one did.
    pub similarity: Option<f32>,
    /// More, as `key=value` pairs.
    pub detail: Option<String>,
    /// What it says of the files beside the log.
    pub mark: Option<Mark>,
}

impl AuditEvent {
    /// An event about nobody in particular.
    pub fn new(event: &str) -> Self {
        AuditEvent { event: event.to_owned(), ..AuditEvent::default() }
    }

    /// The same with more to say.
    #[must_use]
    pub fn with(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same with a word on the files beside the log.
    #[must_use]
    pub fn marked(mut self, mark: Mark) -> Self {
        self.mark = Some(mark);
        self
    }
}

/// A place in the chain: the number of entries, and the last one's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Number of the last entry; entries are counted from 1.
    pub entries: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Checkpoint {
    /// The place before the first entry.
    pub const START: Checkpoint = Checkpoint { entries: 0, hash: Hash::ZERO };
}

/// One entry as it stands in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its number; the first is 1.
    pub seq: u64,
    /// The last entry that was known to be on the disk when this one was written.
    pub synced: u64,
    /// Wall clock, ms since 1970.
    pub wall_ms: u64,
    /// Monotonic clock, ns since boot.
    pub mono_ns: u64,
    /// What happened, one word.
    pub event: String,
    /// Whom it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectId>,
    /// The mean similarity that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similarity: Option<f32>,
    /// More, as `key=value` pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// In a file's first entry what the file continues; in `retired` what was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Checkpoint>,
    /// How far gallery and state had come, this entry included: in a file's first entry, and wherever that
    /// changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Marks>,
    /// SHA-256 of the network in force.
    pub model: Hash,
    /// SHA-256 of the configuration in force.
    pub config: Hash,
}

/// The event of a file's first entry.
pub const FILE: &str = "file";
/// The event that says old files were removed.
pub const RETIRED: &str = "retired";

/// A line as far as it can be read without the line before.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainedEntry {
    /// The hash that the line states.
    pub hash: Hash,
    /// The entry.
    pub entry: Entry,
}

impl Entry {
    /// Appends the line of this entry, which follows one of hash `before`; returns its hash.
    pub fn write(&self, before: Hash, out: &mut Vec<u8>) -> Hash {
        // Numbers, words and hashes: there is nothing in an entry that JSON cannot say.
        let json = serde_json::to_string(self).unwrap_or_default();
        let hash = before.chain(json.as_bytes());
        let mut line = String::with_capacity(json.len() + 66);
        let _ = writeln!(line, "{hash} {json}");
        out.extend_from_slice(line.as_bytes());
        hash
    }
}

impl ChainedEntry {
    /// Reads a line (without its end) that follows an entry of hash `before`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(line: &[u8], before: Hash) -> Result<Self, &'static str> {
        let (hash, json) = split(line).ok_or("it is not an entry of an audit log")?;
        if before.chain(json) != hash {
            return Err("its hash does not follow from the entry before");
        }
        let entry = serde_json::from_slice(json).map_err(|_| "its content is of another version")?;
        Ok(ChainedEntry { hash, entry })
    }
}

/// The hash a line states, and its JSON.
pub fn split(line: &[u8]) -> Option<(Hash, &[u8])> {
    let (hash, rest) = line.split_at_checked(64)?;
    let json = rest.strip_prefix(b" ")?;
    Some((Hash::parse(hash)?, json))
}
