//! Keys and certificates: read from PEM files, checked, and exchanged while the server runs.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, ServerConnection};

use super::config::TlsFiles;
use crate::auth::error::CredentialError;
use crate::auth::identity::CertificateFingerprint;
use crate::auth::token_file::hex;

/// The server's side of TLS. Handshakes take the keys of the moment; connections keep those that they began with.
pub struct Tls {
    files: TlsFiles,
    speaks_http1: bool,
    current: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] names the file that cannot be used.
    pub fn load(files: &TlsFiles, speaks_http1: bool) -> Result<Self, CredentialError> {
        let current = RwLock::new(Arc::new(server_config(files, speaks_http1)?));
        Ok(Self { files: files.clone(), speaks_http1, current })
    }

    /// Reads the files again. Sessions are not resumed across: a client whose CA was taken out comes in no more.
    ///
    /// # Errors
    ///
    /// Those of [`Tls::load`]; the keys stay as they were.
    pub fn reload(&self) -> Result<(), CredentialError> {
        let fresh = Arc::new(server_config(&self.files, self.speaks_http1)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// The files that it is made from.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let TlsFiles { cert, key, client_ca } = &self.files;
        [cert, key].into_iter().chain(client_ca).map(AsRef::as_ref)
    }

    /// What makes the next handshake.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone().into()
    }
}

/// Whose certificate the client of a connection has shown, if it has.
pub fn fingerprint(connection: &ServerConnection) -> Option<CertificateFingerprint> {
    let leaf = connection.peer_certificates()?.first()?;
    Some(CertificateFingerprint(hex(&Sha256::digest(leaf)).into()))
}

fn server_config(files: &TlsFiles, speaks_http1: bool) -> Result<ServerConfig, CredentialError> {
    // Named, so that it does not matter which other crates bring one for the process.
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?).map_err(|error| {
        CredentialError::new(&files.key, format!("no private key can be read: {error:?}; write it as PEM"))
    })?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| CredentialError::new(&files.cert, format!("TLS cannot be set up: {error}")))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let unusable = |error: String| CredentialError::new(path, format!("not usable as client CA: {error}"));
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(|error| unusable(error.to_string()))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        CredentialError::new(
            &files.cert,
            format!("{error}; the certificate and {} have to belong together", files.key.display()),
        )
    })?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    if speaks_http1 {
        config.alpn_protocols.push(b"http/1.1".to_vec());
    }
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CredentialError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(CredentialError::new(path, "there is no certificate in it; write it as PEM")),
        Err(error) => {
            Err(CredentialError::new(path, format!("no certificate can be read: {error:?}; write it as PEM")))
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CredentialError> {
    std::fs::read(path).map_err(|error| CredentialError::new(path, format!("{error}; name a file that can be read")))
}
