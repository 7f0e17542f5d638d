//! Any text as the door's configuration and as the gateway's: an error that names the file, or settings that can
//! be turned into rules.

#![no_main]

use std::path::Path;

use facelatch::config::Config;
use facelatch::embed::Card;
use facelatch::embed::liveness::LivenessCard;
use facelatch_gateway::config::GatewayConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let path = Path::new("door.toml");
    match Config::parse(text, path) {
        Err(error) => assert!(error.to_string().contains("door.toml"), "{error}"),
        Ok(config) => {
            let _ = config.vision_rules();
            let _ = config.named_hours();
            let _ = config.camera_settings();
            let _ = config.gateway_place();
            let _ = config.audit_rotation();
            let _ = config.frame_limits();
            let _ = (config.strike_settings(), config.lines.inputs(), config.lines.indicators());
            let card = include_str!("../../models/embedder.toml");
            let card = Card::parse(card, Path::new("embedder.toml")).expect("the shipped card is sound");
            if let Err(error) = config.access_rules(&card, path) {
                assert!(!error.to_string().is_empty());
            }
        }
    }
    match GatewayConfig::parse(text, path) {
        Err(error) => assert!(error.to_string().contains("door.toml"), "{error}"),
        Ok(config) => {
            let _ = (config.web.session(), config.web.tls());
        }
    }
    for error in [Card::parse(text, path).err(), LivenessCard::parse(text, path).err()].into_iter().flatten() {
        assert!(error.to_string().contains("door.toml"), "{error}");
    }
});
