//! TLS to the broker: only certificates of the configured file count, never the system's.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::error::MqttError;
use super::settings::{self, MqttConfig};

fn error(key: &'static str, path: &Path, problem: impl ToString) -> MqttError {
    MqttError::File { key, path: path.to_owned(), problem: problem.to_string() }
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, MqttError> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).and_then(|certificates| certificates.collect());
    match found {
        Ok(found) if found.is_empty() => Err(error(key, path, "contains no certificate in PEM form")),
        Ok(found) => Ok(found),
        Err(pem::Error::Io(e)) => Err(error(key, path, unreadable(key, &e))),
        Err(e) => Err(error(key, path, format!("contains no certificate in PEM form: {e}"))),
    }
}

fn unreadable(key: &str, e: &io::Error) -> String {
    match (key, e.kind()) {
        ("ca", io::ErrorKind::NotFound) => {
            "there is no such file: copy the certificate of the authority that signed the broker's there, or name \
             another file; mqtt.tls = false works without it, but only for a broker on this board"
                .to_owned()
        }
        (_, io::ErrorKind::NotFound) => "there is no such file".to_owned(),
        _ => format!("cannot be read: {e}"),
    }
}

/// How TLS is spoken: with which authorities, and with which certificate of our own.
pub(super) fn settings(config: &MqttConfig) -> Result<Arc<ClientConfig>, MqttError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca", &config.ca)? {
        roots.add(certificate).map_err(|e| error("ca", &config.ca, e))?;
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| error("ca", &config.ca, e))?
        .with_root_certificates(roots);
    let tls = match (&config.certificate, &config.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates("certificate", certificate)?;
            let pem = settings::secret("key", key)?;
            let own = PrivateKeyDer::from_pem_slice(&pem)
                .map_err(|e| error("key", key, format!("not a key in PEM form: {e}")))?;
            builder.with_client_auth_cert(chain, own).map_err(|e| error("certificate", certificate, e))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(tls))
}
