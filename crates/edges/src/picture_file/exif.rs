//! Which way up a picture was taken: the one entry of EXIF that matters here.

use image::metadata::Orientation;

/// The tag of the orientation in EXIF's first directory.
const ORIENTATION: u16 = 0x0112;

/// The orientation that an EXIF block states; `None` when it states none, or none that exists.
pub(super) fn orientation(block: &[u8]) -> Option<Orientation> {
    // WebP and PNG hold the block with or without its name.
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    let big = match block.get(..4)? {
        b"II*\0" => false,
        b"MM\0*" => true,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = block.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = block.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    };
    let directory = long(4)? as usize;
    for entry in 0..usize::from(short(directory)?) {
        let at = directory.checked_add(2 + 12 * entry)?;
        if short(at)? != ORIENTATION {
            continue;
        }
        let value = match short(at + 2)? {
            1 => u32::from(*block.get(at + 8)?),
            3 => u32::from(short(at + 8)?),
            4 => long(at + 8)?,
            _ => return None,
        };
        return Orientation::from_exif(u8::try_from(value).ok()?);
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An EXIF block with one other entry and the orientation.
    pub(crate) fn block(big: bool, orientation: u16) -> Vec<u8> {
        let short = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let long = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let mut block = if big { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
        block.extend(long(8));
        block.extend(short(2));
        for (tag, value) in [(0x010f, 7), (ORIENTATION, orientation)] {
            block.extend([&short(tag)[..], &short(3), &long(1), &short(value), &[0, 0]].concat());
        }
        block.extend(long(0));
        block
    }

    #[test]
    fn both_byte_orders_and_all_eight_are_read() {
        for big in [false, true] {
            for value in 1..=8 {
                let found = orientation(&block(big, value)).unwrap();
                assert_eq!(u16::from(found.to_exif()), value, "big: {big}");
                let named = [b"Exif\0\0".to_vec(), block(big, value)].concat();
                assert_eq!(orientation(&named), Some(found));
            }
            for value in [0, 9, 300] {
                assert_eq!(orientation(&block(big, value)), None, "{value} is no orientation");
            }
        }
    }

    #[test]
    fn cut_or_foreign_blocks_state_nothing() {
        let whole = block(true, 6);
        for end in 0..whole.len() - 6 {
            assert_eq!(orientation(&whole[..end]), None, "cut at {end}");
        }
        let mut far = whole;
        far[4..8].fill(0xff);
        assert_eq!(orientation(&far), None);
    }
}
