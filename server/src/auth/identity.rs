//! Who makes a call.

use std::sync::Arc;

use super::access::Scopes;

/// Who makes a call, as an extension of its request. Absent on a server that needs no identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The token's name, or `cert:` and the SHA-256 of the client's certificate. It may be logged.
    pub name: Arc<str>,
    /// What the client may do.
    pub scopes: Scopes,
}

/// The SHA-256 of a client's certificate, in lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFingerprint(pub Arc<str>);

impl ClientIdentity {
    /// The holder of a certificate that the server's client CA signed, with all scopes. Clients with fewer scopes need
    /// a token as well.
    pub fn of_certificate(fingerprint: &CertificateFingerprint) -> Self {
        Self { name: format!("cert:{}", fingerprint.0).into(), scopes: Scopes::ALL }
    }
}
