//! Any bytes as a picture file: one line that says what is wrong, or a picture whose gray and colours have one
//! size.

#![no_main]

use std::path::Path;

use facelatch::picture_file::from_bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match from_bytes(Path::new("picture.jpg"), bytes, true) {
        Err(error) => {
            let said = error.to_string();
            assert!(said.starts_with("picture.jpg: ") && !said.contains('\n'), "{said}");
        }
        Ok(picture) => {
            let colour = picture.colour.expect("it was asked for");
            let gray = (picture.gray.width(), picture.gray.height());
            assert_eq!(gray, (colour.width() as usize, colour.height() as usize));
        }
    }
});
