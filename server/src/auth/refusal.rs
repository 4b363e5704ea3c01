//! [`Refusal`]: why authentication or authorisation refuses a call, and its gRPC status.

use std::collections::HashMap;
use std::time::Duration;

use sakuga_proto::text;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::access::Scopes;
use super::quota::OverQuota;
use super::tokens::BadToken;
use crate::grpc::ERROR_DOMAIN;
use crate::rate::Rate;

/// When to try again while the token has as many open calls as it may have.
const RETRY_CONCURRENT: Duration = Duration::from_secs(1);

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this server needs a token; send `authorization: Bearer <token>`")]
    NoToken,
    /// Its `authorization` header is not a bearer token.
    #[error("the authorization header cannot be read; send `authorization: Bearer <token>`, once")]
    MalformedToken,
    /// No line of the token file has the token's hash.
    #[error("the token is unknown; ask the server's operator for one")]
    UnknownToken,
    #[error("the token has expired; ask the server's operator for a new one")]
    ExpiredToken,
    /// The token was removed or has expired while the call was open.
    #[error("the token was revoked; ask the server's operator for a new one")]
    RevokedToken,
    /// The client's certificate has expired since the connection began.
    #[error("the client's certificate has expired; connect with a new one")]
    ExpiredCertificate,
    /// A revocation list names the client's certificate.
    #[error("the client's certificate was revoked; ask the server's operator for a new one")]
    RevokedCertificate,
    /// The token or certificate lacks the scope of the method.
    #[error("the token or certificate has the scope `{held}`, and this call needs `{needed}`")]
    WrongScope {
        /// The scopes of the token.
        held: Scopes,
        /// Those of which any is needed.
        needed: Scopes,
    },
    /// The signature of a picture's URL is not this server's.
    #[error(
        "the signature of the URL is not valid; signatures are those of one run of the server, so ask for a new URL"
    )]
    BadSignature,
    /// A picture's URL has expired.
    #[error("the URL has expired; ask for a new one, or fetch the picture with GetArtifact")]
    ExpiredUrl,
    /// The token is over its quota.
    #[error("{}", over_share(.0))]
    OverQuota(OverQuota),
}

fn over_share(over: &OverQuota) -> String {
    match over {
        OverQuota::Concurrent { limit } => {
            format!(
                "{} of this token open already; wait for one to end, or cancel it",
                text::count(*limit as usize, "call")
            )
        }
        OverQuota::Rate { limit: Rate { calls, per }, retry_after } => format!(
            "this token may make {} in {} s; try again in {} s",
            text::count(calls.get() as usize, "call"),
            per.as_secs(),
            retry_after.as_secs_f32().ceil()
        ),
    }
}

impl From<BadToken> for Refusal {
    fn from(bad: BadToken) -> Self {
        match bad {
            BadToken::Unknown => Self::UnknownToken,
            BadToken::Expired => Self::ExpiredToken,
        }
    }
}

impl Refusal {
    /// Code and stable name of the reason; `proto/ERRORS.md` lists them.
    fn kind(&self) -> (Code, &'static str) {
        match self {
            Self::NoToken => (Code::Unauthenticated, "TOKEN_MISSING"),
            Self::MalformedToken => (Code::Unauthenticated, "TOKEN_MALFORMED"),
            Self::UnknownToken => (Code::Unauthenticated, "TOKEN_UNKNOWN"),
            Self::ExpiredToken => (Code::Unauthenticated, "TOKEN_EXPIRED"),
            Self::RevokedToken => (Code::Unauthenticated, "TOKEN_REVOKED"),
            Self::ExpiredCertificate => (Code::Unauthenticated, "CERTIFICATE_EXPIRED"),
            Self::RevokedCertificate => (Code::Unauthenticated, "CERTIFICATE_REVOKED"),
            Self::WrongScope { .. } => (Code::PermissionDenied, "SCOPE_MISSING"),
            Self::BadSignature => (Code::PermissionDenied, "URL_SIGNATURE"),
            Self::ExpiredUrl => (Code::PermissionDenied, "URL_EXPIRED"),
            Self::OverQuota(OverQuota::Concurrent { .. }) => (Code::ResourceExhausted, "CLIENT_CONCURRENCY_LIMIT"),
            Self::OverQuota(OverQuota::Rate { .. }) => (Code::ResourceExhausted, "CLIENT_RATE_LIMIT"),
        }
    }

    /// The stable name of the reason.
    pub(crate) fn reason(&self) -> &'static str {
        self.kind().1
    }

    /// The status with its details.
    pub(crate) fn to_status(self) -> Status {
        let (code, reason) = self.kind();
        let mut details = ErrorDetails::new();
        let metadata: HashMap<String, String> = match self {
            Self::WrongScope { needed, .. } => HashMap::from([("scope".into(), needed.to_string())]),
            Self::OverQuota(OverQuota::Concurrent { limit }) => HashMap::from([("limit".into(), limit.to_string())]),
            Self::OverQuota(OverQuota::Rate { limit, .. }) => {
                HashMap::from([("limit".into(), limit.calls.to_string())])
            }
            _ => HashMap::new(),
        };
        details.set_error_info(reason, ERROR_DOMAIN, metadata);
        match self {
            Self::OverQuota(OverQuota::Concurrent { .. }) => _ = details.set_retry_info(Some(RETRY_CONCURRENT)),
            Self::OverQuota(OverQuota::Rate { retry_after, .. }) => _ = details.set_retry_info(Some(retry_after)),
            _ => {}
        }
        Status::with_error_details(code, self.to_string(), details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_scope_is_permission_denied() {
        let refusal = Refusal::WrongScope { held: Scopes::default(), needed: Scopes::ALL };
        assert_eq!(refusal.to_status().code(), Code::PermissionDenied);
    }
}
