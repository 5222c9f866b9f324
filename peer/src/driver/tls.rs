//! TLS towards TURN servers, by rustls.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::config::TlsRoots;
use super::error::DriverError;

/// The authorities, made ready at the first connection: reading the system's takes tens of milliseconds.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    roots: Arc<TlsRoots>,
    ready: Arc<OnceLock<Result<Arc<ClientConfig>, String>>>,
}

impl Trust {
    /// # Errors
    /// Text that holds no certificates.
    pub(super) fn new(roots: TlsRoots) -> Result<Self, DriverError> {
        let ready = OnceLock::new();
        if let TlsRoots::Pem(_) = roots {
            let made = make_ready(&roots).map_err(|reason| DriverError::TlsRoots { reason })?;
            let _ = ready.set(Ok(made));
        }
        Ok(Self {
            roots: Arc::new(roots),
            ready: Arc::new(ready),
        })
    }

    /// A TLS handshake with a server of this name (or address).
    pub(super) async fn connect(
        &self,
        name: &str,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, String> {
        let trust = self.clone();
        let ready = tokio::task::spawn_blocking(move || {
            trust.ready.get_or_init(|| make_ready(&trust.roots)).clone()
        });
        let config = ready.await.map_err(|error| error.to_string())??;
        let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
        TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(explain)
    }
}

/// What to do about it, where that is known.
fn explain(error: std::io::Error) -> String {
    use rustls::{CertificateError, Error};
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            format!("{error}; if the server is to be trusted, give its authority in tls_roots")
        }
        _ => error.to_string(),
    }
}

fn make_ready(roots: &TlsRoots) -> Result<Arc<ClientConfig>, String> {
    let mut store = RootCertStore::empty();
    match roots {
        TlsRoots::System => {
            // Some of a system's certificates may be unreadable: what matters is that there are any.
            let native = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(native.certs);
            if store.is_empty() {
                let why = native.errors.first();
                let why = why.map_or("the system has none".to_owned(), ToString::to_string);
                return Err(format!("no certificate authorities: {why}; set tls_roots"));
            }
        }
        TlsRoots::Pem(text) => {
            for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
                let certificate = certificate.map_err(|error| error.to_string())?;
                store.add(certificate).map_err(|error| error.to_string())?;
            }
            if store.is_empty() {
                return Err("the text holds no certificate".to_owned());
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
