//! Any bytes as a network file: one sentence that says what is wrong, or figures of it. (What tract makes of a
//! sound file is contained by `embed::network`; the fuzzer sees the reading before it as well.)

#![no_main]

use facelatch_nn::anatomy::anatomy;
use facelatch_nn::quantize::quantize;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match anatomy(bytes, None, None) {
        Err(error) => assert!(!error.is_empty()),
        Ok(found) => assert_eq!(found.bytes, bytes.len()),
    }
    if let Err(error) = quantize(bytes) {
        assert!(!error.is_empty());
    }
});
