//! What is sealed along with the gallery so that nothing is lost by a kill, and an older file shows.
//!
//! A change of the gallery, its entries for the audit log, and the order to erase recorded frames are one
//! file, and so take effect together: whoever opens the gallery next finds what is still to be done, until the
//! log says that it was.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use facelatch_core::access::SubjectId;

/// Beyond this many changes, renames and notes are no longer owed.
const MOST_OWED: usize = 64;

/// A place in the audit log: the number of entries, and the last one's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogHead {
    /// Number of the last entry.
    pub entries: u64,
    /// Its hash; 64 hexadecimal digits in the file.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub hash: [u8; 32],
}

/// What a gallery owes the audit log and the recorded frames.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// The last entry of the audit log that was on the disk when the gallery was written; none before there
    /// was a log.
    #[serde(default)]
    pub log: Option<LogHead>,
    /// Changes whose entries may not be in the log yet, the oldest first.
    #[serde(default)]
    pub owed: Vec<OwedChange>,
    /// The latest version with which somebody was removed, or the key replaced: frames recorded before are to
    /// be erased. 0 for none.
    #[serde(default)]
    pub erase: u64,
}

/// A change of the gallery, in the words of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwedChange {
    /// The version that it made.
    pub version: u64,
    /// The id that the next new person got from then on.
    pub next_id: u32,
    /// Its entries, in their order.
    pub entries: Vec<OwedEntry>,
}

/// An entry that the audit log is to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwedEntry {
    /// What happened.
    pub event: String,
    /// Whom it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectId>,
    /// More, as `key=value` pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Ledger {
    /// With one more change. Left out are those that the log has: the entries of all versions before
    /// `recorded.0`, and so many of that version as `recorded.1` says.
    #[must_use]
    pub fn with(&self, change: OwedChange, erases: bool, log: Option<LogHead>, recorded: (u64, u32)) -> Self {
        let mut next = self.settled(log, recorded);
        if erases {
            next.erase = change.version;
        }
        next.owed.push(change);
        // Renamings and notes can be asked for faster than the log takes their entries.
        let is_minor =
            |c: &OwedChange| c.entries.iter().all(|e| matches!(e.event.as_str(), "renamed" | "noted"));
        while next.owed.len() > MOST_OWED
            && let Some(minor) = next.owed.iter().position(is_minor)
        {
            next.owed.remove(minor);
        }
        next
    }

    /// Without what the log has by now.
    #[must_use]
    pub fn settled(&self, log: Option<LogHead>, recorded: (u64, u32)) -> Self {
        let owed = self.owed.iter().filter(|change| !change.missing(recorded).is_empty()).cloned().collect();
        Ledger { log: log.or(self.log), owed, erase: self.erase }
    }
}

impl OwedChange {
    /// Those of its entries that a log lacks which has the entries of all versions before `recorded.0`, and so
    /// many of that version as `recorded.1` says.
    pub fn missing(&self, (version, entries): (u64, u32)) -> &[OwedEntry] {
        match self.version.cmp(&version) {
            std::cmp::Ordering::Less => &[],
            std::cmp::Ordering::Equal => self.entries.get(entries as usize..).unwrap_or_default(),
            std::cmp::Ordering::Greater => &self.entries,
        }
    }
}

fn to_hex<S: Serializer>(hash: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits = text.len() == 64 && text.bytes().all(|c| c.is_ascii_hexdigit());
    let mut hash = [0; 32];
    for (n, byte) in hash.iter_mut().enumerate() {
        let pair = text.get(2 * n..2 * n + 2).filter(|_| digits);
        *byte = pair
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
            .ok_or_else(|| de::Error::custom("not 64 hexadecimal digits"))?;
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(version: u64, entries: usize) -> OwedChange {
        let owed = OwedEntry { event: "removed".to_owned(), subject: Some(SubjectId(1)), detail: None };
        OwedChange { version, next_id: 3, entries: vec![owed; entries] }
    }

    #[test]
    fn what_the_log_has_is_owed_no_more() {
        let head = |entries| Some(LogHead { entries, hash: [0xa5; 32] });
        let one = Ledger::default().with(change(4, 2), true, head(7), (0, 0));
        assert_eq!((one.owed.len(), one.erase, one.log), (1, 4, head(7)));
        // The log was away meanwhile, or has one of the two entries: the change stays.
        for recorded in [(0, 0), (3, 1), (4, 1)] {
            let two = one.with(change(5, 1), false, None, recorded);
            assert_eq!((two.owed.len(), two.erase, two.log), (2, 4, head(7)), "{recorded:?}");
        }
        for recorded in [(4, 2), (5, 0)] {
            assert_eq!(one.with(change(5, 1), false, head(9), recorded).owed, [change(5, 1)], "{recorded:?}");
        }
        assert_eq!(change(4, 2).missing((4, 1)).len(), 1);
        assert_eq!(change(4, 2).missing((4, 9)).len(), 0);
    }

    #[test]
    fn it_returns_from_its_json() {
        let log = Some(LogHead { entries: 9, hash: std::array::from_fn(|n| n as u8 * 8) });
        let ledger = Ledger { log, owed: vec![change(2, 1)], erase: 2 };
        let text = serde_json::to_string(&ledger).unwrap();
        assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
        let digits = "\u{e4}".repeat(32);
        for hash in ["", "00", &"0".repeat(63), &"g".repeat(64), &digits] {
            let text = format!("{{\"entries\":1,\"hash\":\"{hash}\"}}");
            assert!(serde_json::from_str::<LogHead>(&text).is_err(), "{hash}");
        }
    }
}
