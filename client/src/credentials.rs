//! What a client shows at a server's door: a token, a certificate; and whom it trusts.

use std::fmt;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use tonic::{Request, Status};

/// A bearer token. It is never shown, not even by `Debug`.
#[derive(Clone)]
pub struct Token(MetadataValue<Ascii>);

/// The text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token is one word of visible ASCII characters")]
pub struct BadToken;

impl Token {
    /// A token as the server's operator gave it; white space around it is dropped.
    ///
    /// # Errors
    ///
    /// [`BadToken`] if it cannot be sent.
    pub fn new(token: &str) -> Result<Self, BadToken> {
        let token = token.trim();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadToken);
        }
        let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().map_err(|_| BadToken)?;
        // Neither shown by `Debug` nor kept in the tables that compress headers.
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(***)")
    }
}

/// Whom the client trusts, and who it is. All texts are PEM.
#[derive(Clone, Default)]
pub struct TlsOptions {
    /// CAs that sign the server's certificate; `None`: those that the system trusts.
    pub ca: Option<Vec<u8>>,
    /// The client's certificate and its private key, for a server that asks for one.
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

/// Puts the token on every call.
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
    fn what_cannot_be_sent_is_no_token() {
        for text in ["", " \n", "two words", "é", "a\u{7}"] {
            assert!(Token::new(text).is_err(), "{text:?}");
        }
    }
}
