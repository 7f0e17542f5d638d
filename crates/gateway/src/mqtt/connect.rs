//! The way to the broker, and in words why it does not work.
//!
//! TLS is ours rather than the client library's: the library need not bring a second reader of certificates, and
//! what went wrong is told by rustls' own errors.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{ConnectReturnCode, ConnectionError, MqttOptions, StateError};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{AlertDescription as Alert, CertificateError, ClientConfig, Error as TlsError};

use super::error::MqttError;
use super::settings::MqttConfig;

/// TLS to one broker.
#[derive(Clone)]
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// To the broker of that name, which its certificate must bear.
    pub(super) fn new(config: Arc<ClientConfig>, host: &str) -> Result<Self, MqttError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| MqttError::Value {
            key: "host",
            value: format!("{host:?}"),
            problem: "the broker's name or address alone, such as \"homeassistant.local\"",
        })?;
        Ok(Tls { connector: TlsConnector::from(config), name })
    }
}

/// Gives the client its way to the broker.
pub(super) fn dial(options: &mut MqttOptions, host: &str, port: u16, tls: Option<Tls>) {
    let host = host.to_owned();
    // Of its own for each try: the library joins name and port to one text, which no IPv6 address survives.
    let tcp = move || {
        let host = host.clone();
        async move {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(stream)
        }
    };
    match tls {
        None => options.set_socket_connector(move |_, _| tcp()),
        Some(tls) => options.set_socket_connector(move |_, _| {
            let (stream, tls) = (tcp(), tls.clone());
            async move { tls.connector.connect(tls.name, stream.await?).await }
        }),
    };
}

/// The error of that type which brought this one about.
fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An I/O error keeps what it wraps to itself.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// Why there is no connection, in one line that names the key to look at.
pub(super) fn explain(error: &ConnectionError, config: &MqttConfig, host: &str) -> String {
    let broker = format!("{host}:{}", config.port);
    if let ConnectionError::ConnectionRefused(code) = error {
        return match code {
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                "the broker refuses this name and password: check mqtt.username and mqtt.password_file".into()
            }
            ConnectReturnCode::BadClientId => {
                format!("the broker refuses the client id facelatch-{}: check mqtt.door", config.door)
            }
            code => format!("the broker refuses the connection: {code:?}"),
        };
    }
    if let Some(error) = cause::<TlsError>(error) {
        return tls_problem(error, config, host);
    }
    let io = cause::<io::Error>(error);
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => {
            return format!(
                "nothing listens on {broker}: see mqtt.host and mqtt.port, and whether the broker runs"
            );
        }
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            return format!("{host} cannot be reached: see mqtt.host and the board's network");
        }
        _ => {}
    }
    match error {
        // The system's resolver has an error kind of its own, which std does not name.
        ConnectionError::Io(error) if error.to_string().contains("lookup") => {
            format!("no address is known for {host:?}: see mqtt.host and the board's name server")
        }
        ConnectionError::NetworkTimeout if config.tls => format!(
            "{broker} does not answer: see mqtt.host and mqtt.port, and whether that port speaks TLS (else \
             mqtt.tls = false, for a broker on this board only)"
        ),
        ConnectionError::NetworkTimeout => {
            format!("{broker} does not answer: see mqtt.host and mqtt.port")
        }
        // Before the first answer. TLS that a port without it does not understand, and the other way about.
        ConnectionError::Io(error) if config.tls && is_cut(error) => format!(
            "{broker} hung up when TLS began: that port probably does not use TLS; see mqtt.port (usually 8883 with \
             TLS), or mqtt.tls = false for a broker on this board"
        ),
        ConnectionError::MqttState(_) | ConnectionError::NotConnAck(_) | ConnectionError::Io(_)
            if !config.tls && is_no_mqtt(error) =>
        {
            format!(
                "{broker} does not speak MQTT: if that port uses TLS, set mqtt.tls = true and mqtt.ca, or see \
                 mqtt.port (usually 1883 without TLS)"
            )
        }
        _ => error.to_string(),
    }
}

/// Why a connection that was there is lost.
pub(super) fn parted(error: &ConnectionError) -> String {
    let cut = matches!(error, ConnectionError::MqttState(StateError::ConnectionAborted))
        || cause::<io::Error>(error).is_some_and(is_cut);
    match cut {
        true => "the broker closed the connection".into(),
        false => error.to_string(),
    }
}

/// True when the other side ended the connection.
fn is_cut(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// True for what a listener with TLS, or another service, answers to an MQTT packet.
fn is_no_mqtt(error: &ConnectionError) -> bool {
    match error {
        ConnectionError::MqttState(StateError::ConnectionAborted) | ConnectionError::NotConnAck(_) => true,
        ConnectionError::MqttState(StateError::Deserialization(packet)) => match packet {
            PacketError::Io(error) => is_cut(error),
            _ => true,
        },
        ConnectionError::MqttState(StateError::Io(error)) | ConnectionError::Io(error) => is_cut(error),
        _ => false,
    }
}

fn tls_problem(error: &TlsError, config: &MqttConfig, host: &str) -> String {
    let ca = config.ca.display();
    match error {
        TlsError::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
                "the broker's certificate is not signed by an authority in mqtt.ca ({ca}): copy the certificate of \
                 the authority that signed it there"
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
                "the broker's certificate is for a name other than mqtt.host = {host:?}: use the name in the certificate"
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the broker's certificate has expired, or this board's clock is wrong".into()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the broker's certificate is not valid yet, or this board's clock is wrong".into()
            }
            other => format!("the broker's certificate cannot be used: {other} (mqtt.ca is {ca})"),
        },
        TlsError::InvalidMessage(_) => format!(
            "{host}:{} does not speak TLS: check mqtt.port (usually 8883 with TLS), or mqtt.tls = false for a \
             broker on this board",
            config.port
        ),
        TlsError::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::HandshakeFailure,
        ) => match &config.certificate {
            None => {
                "the broker requires a certificate from the gateway: set mqtt.certificate and mqtt.key".into()
            }
            Some(own) => format!(
                "the broker refuses the gateway's certificate: see mqtt.certificate ({}) and the broker's list of \
                 authorities",
                own.display()
            ),
        },
        other => format!("TLS with the broker failed: {other}; check mqtt.tls, mqtt.ca and mqtt.port"),
    }
}
