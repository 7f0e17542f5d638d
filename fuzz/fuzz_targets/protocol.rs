//! Any line as a client's request and as the daemon's reply: an error, or something that is written as it was
//! read.

#![no_main]

use facelatch::protocol::{Reply, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    if let Ok(request) = serde_json::from_slice::<Request>(line) {
        let _ = (request.right(), request.secures(), request.name());
        let written = serde_json::to_vec(&request).expect("a request can be written");
        let again: Request = serde_json::from_slice(&written).expect("and read again");
        assert_eq!(serde_json::to_vec(&again).expect("as before"), written);
    }
    if let Ok(reply) = serde_json::from_slice::<Reply>(line) {
        let _ = reply.is_last();
        let written = serde_json::to_vec(&reply).expect("a reply can be written");
        let again: Reply = serde_json::from_slice(&written).expect("and read again");
        assert_eq!(serde_json::to_vec(&again).expect("as before"), written);
    }
});
