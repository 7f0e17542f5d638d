//! Any lines as a recording: the replay refuses them, or goes on; what is in it can be written and read again.

#![no_main]

use facelatch::access::record::{Line, Replay, WhatIf};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut replay = Replay::new(WhatIf::default());
    for line in bytes.split(|b| *b == b'\n') {
        let Ok(line) = serde_json::from_slice::<Line>(line) else {
            replay.lose();
            continue;
        };
        let written = serde_json::to_vec(&line).expect("a line can be written");
        let again: Line = serde_json::from_slice(&written).expect("and read again");
        assert_eq!(serde_json::to_vec(&again).expect("as before"), written);
        if let Err(error) = replay.line(line) {
            assert!(!error.to_string().is_empty());
        }
    }
});
