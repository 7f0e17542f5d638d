//! `[gateway]`

use std::path::PathBuf;

use super::Config;
use super::table::section;
use crate::daemon::{GatewayEndpoint, Rights};
use crate::protocol::Right;

section! {
    /// How `facelatch-gateway` reaches the daemon: web page, metrics, Home Assistant (docs/guide/gateway.md).
    [gateway] GatewayConfig;

    /// Unix socket for the gateway. The package makes its folder, for the group facelatch-gateway. Without the
    /// folder, or with "", the gateway cannot connect.
    socket: PathBuf = "/run/facelatch-gateway/socket".into();
    /// What the gateway may do. "view": see state, people, events and the live picture. "enrol": also enrol,
    /// rename and remove people. "release": also hold the door open, secure it and clear a lockout.
    rights: Vec<Right> = vec![Right::View];
}

impl Config {
    /// Where the gateway connects, if it may.
    pub fn gateway_place(&self) -> Option<GatewayEndpoint> {
        let GatewayConfig { socket, rights } = &self.gateway;
        let place =
            || GatewayEndpoint { socket: socket.clone(), rights: Rights::new(rights.iter().copied()) };
        (!socket.as_os_str().is_empty()).then(place)
    }
}
