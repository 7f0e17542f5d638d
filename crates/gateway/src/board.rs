//! Which board this is, for systems that show many.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

/// The serial number that a Raspberry Pi and its like have.
const DEVICE_TREE: &str = "/sys/firmware/devicetree/base/serial-number";
/// Tells installations apart; not to be shown to others as it is.
const MACHINE_ID: &str = "/etc/machine-id";

/// The board's serial number; of one that has none, a number made of its machine id, which cannot be got back
/// from it.
pub fn serial() -> Option<String> {
    from(Path::new(DEVICE_TREE), Path::new(MACHINE_ID))
}

fn from(device_tree: &Path, machine_id: &Path) -> Option<String> {
    let read = |path| {
        let text = fs::read_to_string(path).ok()?;
        let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace()).to_owned();
        let fits = (4..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
        fits.then_some(text)
    };
    read(device_tree).or_else(|| {
        let digest = Sha256::digest(format!("facelatch gateway {}", read(machine_id)?));
        Some(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_without_a_serial_number_has_one_that_does_not_tell_its_machine_id() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, id) = (dir.path().join("tree"), dir.path().join("id"));
        assert_eq!(from(&tree, &id), None);
        fs::write(&id, "0123456789abcdef0123456789abcdef\n").unwrap();
        let made = from(&tree, &id).unwrap();
        assert!(made.len() == 16 && !made.contains("0123"), "{made}");
        fs::write(&id, "fedcba98765432100123456789abcdef\n").unwrap();
        assert_ne!(from(&tree, &id).unwrap(), made);
        fs::write(&tree, "10000000abcd1234\0").unwrap();
        assert_eq!(from(&tree, &id).as_deref(), Some("10000000abcd1234"));
        fs::write(&tree, "\u{1}garbage\0").unwrap();
        assert_eq!(from(&tree, &id).unwrap().len(), 16, "what cannot be shown is not a serial number");
    }
}
