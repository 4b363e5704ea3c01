//! Keys and certificates: read from PEM files, checked, and replaced while the server runs.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use parking_lot::RwLock;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, ServerConnection};
use x509_parser::extensions::GeneralName;
use x509_parser::time::ASN1Time;

use super::config::TlsFiles;
use super::revocation::{self, Revoked};
use crate::auth::error::CredentialError;
use crate::auth::identity::{CertificateId, ClientCertificate};
use crate::auth::token_file::hex;

/// The server's side of TLS. A handshake uses the newest keys; an open connection keeps those that it began with.
pub(crate) struct Tls {
    files: TlsFiles,
    speaks_http1: bool,
    current: RwLock<Arc<ServerConfig>>,
    /// The certificates that the newest revocation lists name.
    revoked: watch::Sender<Revoked>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] names the file that cannot be used.
    pub(crate) fn load(files: &TlsFiles, speaks_http1: bool) -> Result<Self, CredentialError> {
        let current = RwLock::new(Arc::new(server_config(files, speaks_http1)?));
        let revoked = watch::Sender::new(revoked(files)?);
        Ok(Self { files: files.clone(), speaks_http1, current, revoked })
    }

    /// Reads the files again. Sessions are not resumed across a change: a client whose CA was removed is refused.
    ///
    /// # Errors
    ///
    /// Those of [`Tls::load`]; the keys stay as they were.
    pub(crate) fn reload(&self) -> Result<(), CredentialError> {
        let fresh = Arc::new(server_config(&self.files, self.speaks_http1)?);
        let revoked = revoked(&self.files)?;
        *self.current.write() = fresh;
        self.revoked.send_replace(revoked);
        Ok(())
    }

    /// The files that it is made from.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        let TlsFiles { cert, key, client_ca, client_crl } = &self.files;
        [cert, key].into_iter().chain(client_ca).chain(client_crl).map(AsRef::as_ref)
    }

    /// The certificates that are revoked, now and when the lists change; `None` without lists.
    pub(crate) fn revoked(&self) -> Option<watch::Receiver<Revoked>> {
        self.files.client_crl.is_some().then(|| self.revoked.subscribe())
    }

    /// The acceptor of the next handshake.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.current.read().clone().into()
    }
}

/// The client's certificate, if it has sent one that can be read.
pub(crate) fn client_certificate(connection: &ServerConnection) -> Option<ClientCertificate> {
    let leaf = connection.peer_certificates()?.first()?;
    read_certificate(leaf)
}

fn read_certificate(certificate: &[u8]) -> Option<ClientCertificate> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = Some(parsed.subject().to_string()).filter(|subject| !subject.is_empty());
    let alternative = parsed.subject_alternative_name().ok()?;
    let alternative = alternative.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(format!("DNS:{name}")),
        GeneralName::RFC822Name(name) => Some(format!("email:{name}")),
        GeneralName::URI(name) => Some(format!("URI:{name}")),
        GeneralName::IPAddress(bytes) => Some(format!("IP:{}", ip_text(bytes))),
        _ => None,
    });
    let not_after = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
    Some(ClientCertificate {
        id: CertificateId { issuer: parsed.issuer().as_raw().into(), serial: parsed.raw_serial().into() },
        fingerprint: hex(&Sha256::digest(certificate)).into(),
        names: subject.into_iter().chain(alternative).collect(),
        expires: UNIX_EPOCH.checked_add(Duration::from_secs(not_after))?,
    })
}

fn ip_text(bytes: &[u8]) -> String {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return IpAddr::from(bytes).to_string();
    }
    <[u8; 16]>::try_from(bytes).map_or_else(|_| hex(bytes), |bytes| IpAddr::from(bytes).to_string())
}

/// The certificates that the revocation lists of these files name.
fn revoked(files: &TlsFiles) -> Result<Revoked, CredentialError> {
    let Some(path) = &files.client_crl else { return Ok(Revoked::default()) };
    revocation::revoked(path, &revocation::lists(path)?).map(Arc::new)
}

/// The certificates of these files that are not valid now, and the revocation lists that are outdated. Files that cannot be
/// read have none.
pub(crate) fn validity_problems(files: &TlsFiles) -> Vec<CredentialError> {
    let paths = [Some(&files.cert), files.client_ca.as_ref()].into_iter().flatten();
    let of_file = |path: &PathBuf| {
        let found = certificates(path).unwrap_or_default();
        let problems = found.iter().filter_map(|certificate| validity_problem(certificate));
        problems.map(|problem| CredentialError::new(path, problem)).collect::<Vec<_>>()
    };
    let outdated = files.client_crl.iter().flat_map(|path| revocation::outdated(path));
    paths.flat_map(of_file).chain(outdated).collect()
}

fn validity_problem(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let (subject, validity, now) = (parsed.subject(), parsed.validity(), ASN1Time::now());
    if now > validity.not_after {
        return Some(format!("the certificate of `{subject}` expired at {}; replace it", validity.not_after));
    }
    if now < validity.not_before {
        let begin = validity.not_before;
        return Some(format!(
            "the certificate of `{subject}` is valid only from {begin}; replace it, or set the clock"
        ));
    }
    None
}

fn server_config(files: &TlsFiles, speaks_http1: bool) -> Result<ServerConfig, CredentialError> {
    // Named explicitly, so that it does not depend on the provider that other crates install for the process.
    let provider = Arc::new(ring::default_provider());
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&CredentialError::read(&files.key)?).map_err(|error| {
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
            let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            if let Some(path) = &files.client_crl {
                verifier = verifier.with_crls(revocation::lists(path)?).only_check_end_entity_revocation();
            }
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
    let text = CredentialError::read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(CredentialError::new(path, "there is no certificate in it; write it as PEM")),
        Err(error) => {
            Err(CredentialError::new(path, format!("no certificate can be read: {error:?}; write it as PEM")))
        }
    }
}
