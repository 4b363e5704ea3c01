//! [`ClientIdentity`]: the identity of a call's client.

use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use super::access::{Scope, Scopes};
use super::token_file::hex;

/// Longest name of an owner.
const NAME_BYTES_MAX: usize = 128;

/// Who makes a call, as an extension of its request. Absent on a server that needs no identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientIdentity {
    /// The token's name, or `cert:` and the names in the client's certificate. It may be logged.
    pub name: Arc<str>,
    /// The name that an older server version used for the holder of this certificate. It owns the jobs of that time.
    pub former_name: Option<Arc<str>>,
    /// What the client may do.
    pub scopes: Scopes,
}

/// What a certificate is in a revocation list: its issuer's name in DER, and its serial number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CertificateId {
    /// The name of its issuer in DER.
    pub issuer: Arc<[u8]>,
    /// Its serial number, the bytes of a big-endian integer.
    pub serial: Arc<[u8]>,
}

/// A client's certificate, which the server's client CA signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    /// What it is in a revocation list.
    pub id: CertificateId,
    /// Its SHA-256 in lower-case hexadecimal.
    pub fingerprint: Arc<str>,
    /// Its subject, such as `CN=alice`, and its alternative names, such as `DNS:alice.example`.
    pub names: Arc<[String]>,
    /// When it expires.
    pub expires: SystemTime,
}

impl ClientCertificate {
    /// The owner of the holder's jobs: all names together, so that a renewed certificate has the jobs of the one before and no
    /// two holders share them. Names that cannot stand in a log are replaced by their SHA-256.
    pub(crate) fn owner(&self) -> Arc<str> {
        if self.names.is_empty() {
            return self.former_owner();
        }
        let names = self.names.join("; ");
        let is_plain = names.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        let owner = format!("cert:{names}");
        if is_plain && owner.len() <= NAME_BYTES_MAX {
            return owner.into();
        }
        // Each name ends with a zero, so that no two lists are alike.
        let mut hash = Sha256::new();
        self.names.iter().for_each(|name| hash.update([name.as_bytes(), b"\0"].concat()));
        format!("cert:sha256:{}", hex(&hash.finalize())).into()
    }

    /// The owner as servers named it before they read the names.
    fn former_owner(&self) -> Arc<str> {
        format!("cert:{}", self.fingerprint).into()
    }

    /// Whether the certificate has this name, or this fingerprint as `sha256:` and 64 digits.
    fn is_named(&self, name: &str) -> bool {
        let is_fingerprint =
            name.strip_prefix("sha256:").is_some_and(|digits| digits.eq_ignore_ascii_case(&self.fingerprint));
        is_fingerprint || self.names.iter().any(|known| known == name)
    }
}

/// What the holders of certificates may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateScopes {
    /// The scopes of every certificate.
    pub scopes: Scopes,
    /// The names of certificates that have the scope `admin` as well.
    pub admins: Vec<String>,
}

impl CertificateScopes {
    /// The holder of a certificate.
    pub(crate) fn identity(&self, certificate: &ClientCertificate) -> ClientIdentity {
        let is_admin = self.admins.iter().any(|name| certificate.is_named(name));
        let scopes = if is_admin { self.scopes.and(Scopes::one(Scope::Admin)) } else { self.scopes };
        let former_name = Some(certificate.former_owner());
        ClientIdentity { name: certificate.owner(), former_name, scopes }
    }
}

/// Whether a text can be a name of a certificate.
///
/// # Errors
///
/// What such a name looks like.
pub(crate) fn check_certificate_name(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_fingerprint = |digits: &str| digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let is_name = match text.split_once(':') {
        Some(("sha256", digits)) => is_fingerprint(digits),
        Some(("DNS" | "email" | "URI" | "IP", name)) => !name.is_empty(),
        _ => text.split_once('=').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty()),
    };
    if is_name {
        return Ok(text.to_owned());
    }
    Err("is not a name of a certificate; write its whole subject such as `CN=ops`, an alternative name such as \
         `DNS:ops.example`, or `sha256:` and its fingerprint"
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(names: &[&str]) -> ClientCertificate {
        ClientCertificate {
            id: CertificateId { issuer: [0x30, 0].into(), serial: [1].into() },
            fingerprint: "ab".repeat(32).into(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            expires: SystemTime::now(),
        }
    }

    #[test]
    fn holders_of_other_names_own_other_jobs() {
        let owner = |names: &[&str]| certificate(names).owner().to_string();
        assert_eq!(owner(&["CN=alice", "DNS:a.example"]), "cert:CN=alice; DNS:a.example");
        assert_eq!(owner(&[]), format!("cert:{}", "ab".repeat(32)));
        let (long, other) = ("x".repeat(200), "x".repeat(201));
        let owners = [
            owner(&["CN=alice"]),
            owner(&["CN=bob"]),
            owner(&["CN=alice", "DNS:localhost"]),
            owner(&["CN=bob", "DNS:localhost"]),
            owner(&[&long]),
            owner(&[&other]),
            owner(&["CN=a\nb"]),
            owner(&["CN=a", "b\n"]),
        ];
        for (place, one) in owners.iter().enumerate() {
            assert!(one.len() <= NAME_BYTES_MAX && !one.contains('\n'), "{one}");
            assert!(!owners[..place].contains(one), "{one}");
        }
    }

    #[test]
    fn a_certificate_is_an_admin_only_by_a_name_that_was_given() {
        let scopes = CertificateScopes {
            scopes: Scopes::one(Scope::Generate),
            admins: vec!["DNS:ops.example".into(), format!("sha256:{}", "CD".repeat(32))],
        };
        let is_admin =
            |certificate: &ClientCertificate| scopes.identity(certificate).scopes.allow(Scopes::one(Scope::Admin));
        assert!(is_admin(&certificate(&["CN=x", "DNS:ops.example"])));
        for names in [&["CN=ops.example"][..], &["DNS:ops.example.evil"], &["DNS:ops"], &[]] {
            assert!(!is_admin(&certificate(names)), "{names:?}");
        }
        assert!(is_admin(&ClientCertificate { fingerprint: "cd".repeat(32).into(), ..certificate(&[]) }));
    }

    #[test]
    fn names_of_certificates_are_checked() {
        let digits = format!("sha256:{}", "0a".repeat(32));
        for name in ["CN=ops", "CN=ops, O=Example", "DNS:ops.example", "email:ops@example", "URI:spiffe://a/b", &digits]
        {
            assert_eq!(check_certificate_name(name), Ok(name.to_owned()));
        }
        for name in ["", "ops", "=ops", "CN=", "DNS:", "sha256:12", "dns:ops"] {
            assert!(check_certificate_name(name).is_err(), "{name}");
        }
    }
}
