//! Any bytes as a cascade: an error, or a cascade that keeps its promises.

#![no_main]

use facelatch::detect::{Cascade, Detector, InstructionSet, ScanParams};
use facelatch::picture::Gray;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match Cascade::from_bytes(bytes) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(cascade) => {
            assert_eq!(Cascade::from_compact(&cascade.to_compact()).as_ref(), Ok(&cascade));
            let pixels = (0..64 * 48u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let picture = Gray::from_pixels(64, 48, pixels).expect("as many pixels as the size says");
            let params = ScanParams { min_neighbors: 0, ..Default::default() };
            let fastest = Detector::new(cascade.clone()).detect(picture.view(), &params);
            let mut portable = Detector::with_instruction_set(cascade, InstructionSet::Portable);
            assert_eq!(fastest, portable.detect(picture.view(), &params));
        }
    }
});
