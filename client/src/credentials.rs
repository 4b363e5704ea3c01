//! The token and the certificate of a client, and the CAs that it trusts.

use std::fmt;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use tonic::{Request, Status};

/// A bearer token. `Debug` does not show it.
#[derive(Clone)]
pub struct Token(MetadataValue<Ascii>);

/// The text is not a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token is one word of visible ASCII characters")]
pub struct BadToken;

impl Token {
    /// A token as the operator of the server issued it. Surrounding white space is removed.
    ///
    /// # Errors
    ///
    /// [`BadToken`] if it cannot be sent in a header.
    pub fn new(token: &str) -> Result<Self, BadToken> {
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadToken);
        }
        let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().map_err(|_| BadToken)?;
        // `Debug` hides it, and header compression does not index it.
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(***)")
    }
}

/// Trusted CAs and the client's own certificate, in PEM.
#[derive(Clone, Default)]
pub struct TlsOptions {
    /// CAs that the server's certificate must be signed by; `None` for those that the system trusts.
    pub ca: Option<Vec<u8>>,
    /// The client's certificate and its private key, for a server that requires one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ca, identity } = self;
        formatter
            .debug_struct("TlsOptions")
            .field("ca", &ca.as_ref().map(Vec::len))
            .field("identity", &identity.as_ref().map(|_| "***"))
            .finish()
    }
}

impl TlsOptions {
    pub(crate) fn config(&self) -> ClientTlsConfig {
        let mut config = ClientTlsConfig::new();
        config = match &self.ca {
            Some(ca) => config.ca_certificate(Certificate::from_pem(ca)),
            None => config.with_native_roots(),
        };
        match &self.identity {
            Some((cert, key)) => config.identity(Identity::from_pem(cert, key)),
            None => config,
        }
    }
}

/// Adds the token to every call.
#[derive(Clone, Debug, Default)]
pub struct Authorization(pub(crate) Option<Token>);

impl Interceptor for Authorization {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(Token(value)) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let token = Token::new(" sakuga_secret\n").expect("a token");
        let mut request = Authorization(Some(token.clone())).call(Request::new(())).expect("let through");
        let sent = request.metadata_mut().remove("authorization").expect("on the call");
        assert_eq!(sent, "Bearer sakuga_secret");
        let identity = Some((b"secret".to_vec(), b"secret".to_vec()));
        for shown in [format!("{token:?}"), format!("{sent:?}"), format!("{:?}", TlsOptions { ca: None, identity })] {
            assert!(!shown.contains("secret"), "{shown}");
        }
    }

    #[test]
    fn text_that_cannot_be_sent_is_refused() {
        for text in ["", " \n", "two words", "é", "a\u{7}"] {
            assert!(Token::new(text).is_err(), "{text:?}");
        }
    }
}
