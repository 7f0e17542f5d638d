//! Any bytes as a Y4M: an error, or frames of the size that the header says.

#![no_main]

use facelatch::camera::y4m::Y4mReader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut reader) = Y4mReader::new(bytes) else { return };
    let size = (reader.header().width, reader.header().height);
    while let Ok(Some(frame)) = reader.next_frame(true) {
        assert_eq!((frame.gray.width(), frame.gray.height()), size);
        let colour = frame.colour.expect("it was asked for");
        assert_eq!((colour.width() as usize, colour.height() as usize), size);
    }
});
