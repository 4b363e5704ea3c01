//! Revocation lists of client certificates.
//!
//! A handshake refuses what a list names: rustls checks the certificate, and the signature of the list. Connections that are
//! open when a list changes keep their certificate, so the lists are read here as well, and each call looks into them.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::CertificateRevocationListDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use x509_parser::time::ASN1Time;

use crate::auth::error::CredentialError;
use crate::auth::identity::CertificateId;

/// Issuer and serial number of every revoked certificate.
pub(crate) type Revoked = Arc<HashSet<CertificateId>>;

/// The lists of a file.
///
/// # Errors
///
/// [`CredentialError`] if it cannot be read or has none.
pub(super) fn lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, CredentialError> {
    let text = CredentialError::read(path)?;
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(CredentialError::new(path, "there is no revocation list in it; write it as PEM")),
        Err(error) => {
            Err(CredentialError::new(path, format!("no revocation list can be read: {error:?}; write it as PEM")))
        }
    }
}

/// The certificates that the lists of a file name.
///
/// # Errors
///
/// [`CredentialError`] if a list cannot be read.
pub(super) fn revoked(
    path: &Path,
    lists: &[CertificateRevocationListDer<'_>],
) -> Result<HashSet<CertificateId>, CredentialError> {
    let mut revoked = HashSet::new();
    for list in lists {
        let (_, list) = x509_parser::parse_x509_crl(list)
            .map_err(|error| CredentialError::new(path, format!("a revocation list cannot be read: {error}")))?;
        let issuer: Arc<[u8]> = list.issuer().as_raw().into();
        let named = list.iter_revoked_certificates();
        revoked.extend(named.map(|named| CertificateId { issuer: issuer.clone(), serial: named.raw_serial().into() }));
    }
    Ok(revoked)
}

/// The lists of a file that should have been replaced by now. A file that cannot be read has none.
pub(super) fn outdated(path: &Path) -> Vec<CredentialError> {
    let problem = |list: &CertificateRevocationListDer<'_>| {
        let (_, list) = x509_parser::parse_x509_crl(list).ok()?;
        let next = list.next_update().filter(|next| *next < ASN1Time::now())?;
        let issuer = list.issuer();
        Some(format!(
            "the revocation list of `{issuer}` was to be replaced at {next}; certificates that were revoked since its issue \
             are accepted: fetch the newest list"
        ))
    };
    let found = lists(path).unwrap_or_default();
    found.iter().filter_map(problem).map(|problem| CredentialError::new(path, problem)).collect()
}
