//! Keys, certificates and tokens, and reloading them.

use std::sync::Arc;
use std::time::Duration;

use super::config::TransportConfig;
use super::reload::Reloader;
use super::tls::{self, Tls};
use crate::auth::error::CredentialError;
use crate::auth::identity::CertificateScopes;
use crate::auth::tokens::Tokens;

/// Keys, certificates and tokens, as the configuration names them.
pub(crate) struct Credentials {
    /// Keys and certificates, if connections are encrypted.
    pub tls: Option<Arc<Tls>>,
    /// Bearer tokens, if calls need one.
    pub tokens: Option<Arc<Tokens>>,
    /// What the holders of certificates may do.
    pub certificates: CertificateScopes,
    requires_certificate: bool,
    reload_interval: Duration,
}

impl Credentials {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] names the file that cannot be used.
    pub(crate) fn load(config: &TransportConfig) -> Result<Self, CredentialError> {
        let tls = config.tls.as_ref().map(|files| Tls::load(files, config.grpc_web()).map(Arc::new)).transpose()?;
        for problem in config.tls.iter().flat_map(tls::validity_problems) {
            tracing::warn!(%problem, "a certificate or revocation list is out of date");
        }
        let tokens = config.tokens.as_ref().map(|path| Tokens::load(path).map(Arc::new)).transpose()?;
        let requires_certificate = config.tls.as_ref().is_some_and(|files| files.client_ca.is_some());
        let certificates =
            CertificateScopes { scopes: config.certificate_scopes, admins: config.admin_certificates.clone() };
        Ok(Self { tls, tokens, certificates, requires_certificate, reload_interval: config.reload_interval })
    }

    /// Every problem of the files, for `--check-config`.
    pub(crate) fn problems(config: &TransportConfig) -> Vec<String> {
        let tls = config.tls.as_ref().and_then(|files| Tls::load(files, false).err());
        let expired = config.tls.iter().flat_map(tls::validity_problems);
        let tokens = config.tokens.as_ref().and_then(|path| Tokens::load(path).err());
        tls.into_iter().chain(expired).chain(tokens).map(|error| error.to_string()).collect()
    }

    /// Reads the files again when they change or SIGHUP comes, until the handle is dropped.
    pub(crate) fn watch(&self) -> Reloader {
        Reloader::start(self.tls.clone(), self.tokens.clone(), self.reload_interval)
    }

    /// Whether calls need an identity: a token, a certificate, or both.
    pub(crate) fn requires_identity(&self) -> bool {
        self.tokens.is_some() || self.requires_certificate
    }
}
