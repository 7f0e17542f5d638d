//! The thread that drives a connection, and what it tells the others.

use std::time::Duration;

use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{Connection, ConnectionError, Outgoing, Packet, StateError};

use super::commands::CommandSorter;
use super::connect;
use super::settings::MqttConfig;
use crate::sync::Monitor;

/// A broker that is silent for longer is lost.
pub(super) const SILENCE: Duration = Duration::from_secs(25);

/// What the thread that drives the connection tells the others.
pub(super) type BrokerLink = Monitor<ConnectionState>;

#[derive(Default)]
pub(super) struct ConnectionState {
    pub(super) up: bool,
    pub(super) down: Option<String>,
    /// Events that the broker has taken.
    pub(super) acknowledged: u64,
    /// The event that the broker retains.
    pub(super) retained: Option<String>,
    /// A packet came that is larger than the client takes.
    pub(super) too_large: bool,
}

impl BrokerLink {
    pub(super) fn lose(&self, reason: impl ToString) {
        self.change(|now| {
            now.down.get_or_insert_with(|| reason.to_string());
        });
    }

    /// Waits until `done`, the loss of the connection, or the end of the time; true for the first.
    pub(super) fn wait(&self, time: Duration, done: impl Fn(&ConnectionState) -> bool) -> bool {
        done(&self.wait_while(time, |now| !done(now) && now.down.is_none()))
    }

    pub(super) fn is_down(&self) -> bool {
        self.lock().down.is_some()
    }
}

/// Drives the connection until it is lost.
pub(super) fn drive(
    mut connection: Connection,
    link: &BrokerLink,
    mut commands: CommandSorter,
    config: &MqttConfig,
    host: &str,
) {
    use rumqttc::Event::{Incoming, Outgoing as Out};
    let events = commands.events();
    let mut up = false;
    loop {
        match connection.recv_timeout(SILENCE) {
            Ok(Ok(Incoming(Packet::ConnAck(_)))) => {
                up = true;
                link.change(|now| now.up = true);
            }
            Ok(Ok(Incoming(Packet::PubComp(_)))) => link.change(|now| now.acknowledged += 1),
            Ok(Ok(Incoming(Packet::Publish(publish)))) if publish.topic == events.as_bytes() => {
                let event = String::from_utf8(publish.payload.to_vec()).ok().filter(|_| publish.retain);
                link.change(|now| now.retained = now.retained.take().or(event));
            }
            Ok(Ok(Incoming(Packet::Publish(publish)))) => commands.take(&publish),
            Ok(Ok(Out(Outgoing::Disconnect))) => return link.lose("disconnected"),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                let too_large = matches!(
                    &error,
                    ConnectionError::MqttState(StateError::Deserialization(
                        PacketError::PayloadSizeLimitExceeded(_)
                    ))
                );
                link.lock().too_large |= too_large;
                return link.lose(match up {
                    true => connect::parted(&error),
                    false => connect::explain(&error, config, host),
                });
            }
            Err(_) => return link.lose("the broker does not answer"),
        }
    }
}
