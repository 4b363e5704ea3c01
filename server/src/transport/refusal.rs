//! [`TransportRefusal`]: why a call is refused or ended by the transport, and its gRPC status.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::grpc::ERROR_DOMAIN;

/// When to try again after a limit of the whole server was reached.
const RETRY: Duration = Duration::from_secs(1);

/// Why a call is refused, or ended before its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TransportRefusal {
    /// The message is larger than its method allows.
    #[error("the message is larger than the {limit} bytes that this method takes")]
    TooLarge {
        /// The bound in bytes.
        limit: usize,
    },
    /// The message has more fields than its method allows.
    #[error("the message has more than the {limit} fields that this method takes, repeated ones counted one by one")]
    TooManyFields {
        /// The most fields of a message.
        limit: usize,
    },
    /// The message is compressed in a way that the server does not know or the call does not name.
    #[error(
        "the message is compressed, and `grpc-encoding` names neither `gzip` nor `zstd`; use one of them, or `identity`"
    )]
    Compressed,
    /// The message cannot be decompressed.
    #[error("the message is not what `grpc-encoding` says: it cannot be decompressed")]
    Malformed,
    /// The message did not arrive in time.
    #[error("the message did not arrive within {} s", .limit.as_secs_f32())]
    Slow {
        /// The longest time that a message may take to arrive.
        limit: Duration,
    },
    /// The client reset the call or disconnected.
    #[error("the message did not arrive as a whole")]
    Broken,
    /// The memory limit of incoming messages is reached.
    #[error("too many messages are arriving at the moment; try again")]
    Busy,
    /// A newer call took the place of this one.
    #[error("too many health checks and reflections are open, and this one was the oldest of its address; call again")]
    Displaced,
    /// The time limit of calls of this service was reached.
    #[error("calls of this service end after {} s; call again", .limit.as_secs())]
    Expired {
        /// How long a call of the service may last.
        limit: Duration,
    },
}

impl TransportRefusal {
    /// Code and stable name of the reason; `proto/ERRORS.md` lists them.
    fn kind(&self) -> (Code, &'static str) {
        match self {
            Self::TooLarge { .. } => (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
            Self::TooManyFields { .. } => (Code::InvalidArgument, "TOO_MANY_FIELDS"),
            Self::Compressed => (Code::Unimplemented, "COMPRESSION_UNSUPPORTED"),
            Self::Malformed => (Code::Internal, "MESSAGE_MALFORMED"),
            Self::Slow { .. } => (Code::DeadlineExceeded, "MESSAGE_TOO_SLOW"),
            Self::Broken => (Code::Cancelled, "MESSAGE_BROKEN"),
            Self::Busy => (Code::ResourceExhausted, "TOO_MANY_MESSAGES"),
            Self::Displaced => (Code::ResourceExhausted, "TOO_MANY_OPEN_CALLS"),
            Self::Expired { .. } => (Code::Unavailable, "CALL_EXPIRED"),
        }
    }

    /// The stable name of the reason.
    pub(crate) fn reason(&self) -> &'static str {
        self.kind().1
    }

    /// The status with its details.
    pub(crate) fn to_status(self) -> Status {
        let (code, reason) = self.kind();
        let limit = match self {
            Self::TooLarge { limit } | Self::TooManyFields { limit } => Some(("limit", limit.to_string())),
            Self::Slow { limit } | Self::Expired { limit } => Some(("limit_ms", limit.as_millis().to_string())),
            Self::Compressed | Self::Malformed | Self::Broken | Self::Busy | Self::Displaced => None,
        };
        let mut details = ErrorDetails::new();
        let metadata: HashMap<String, String> =
            limit.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        details.set_error_info(reason, ERROR_DOMAIN, metadata);
        if matches!(self, Self::Busy | Self::Displaced | Self::Expired { .. }) {
            details.set_retry_info(Some(RETRY));
        }
        Status::with_error_details(code, self.to_string(), details)
    }
}

/// Adds an `ErrorInfo` to a status that tonic made: unknown method, malformed or too large message, or an exceeded deadline.
/// `None` if the status has details already or another code.
pub(crate) fn with_reason(status: &Status) -> Option<Status> {
    if !status.details().is_empty() {
        return None;
    }
    let (code, reason) = match status.code() {
        Code::Unimplemented => (Code::Unimplemented, "METHOD_NOT_FOUND"),
        Code::Internal => (Code::Internal, "MESSAGE_MALFORMED"),
        // tonic uses OutOfRange for a message that is too large, and ResourceExhausted for one that is too large when
        // decompressed.
        Code::OutOfRange | Code::ResourceExhausted => (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
        Code::NotFound => (Code::NotFound, "SERVICE_NOT_FOUND"),
        Code::DeadlineExceeded => (Code::DeadlineExceeded, "DEADLINE_PASSED"),
        _ => return None,
    };
    let details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, HashMap::new());
    let is_silent = code == Code::Unimplemented && status.message().is_empty();
    let message = match is_silent {
        true => "the server has no such method; check the name, or update the server",
        false => status.message(),
    };
    Some(Status::with_error_details(code, message, details))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_reason_and_its_facts() {
        let status = TransportRefusal::TooLarge { limit: 7 }.to_status();
        let info = status.get_details_error_info().expect("ErrorInfo");
        assert_eq!(
            (status.code(), info.reason.as_str(), info.domain.as_str()),
            (Code::ResourceExhausted, "MESSAGE_TOO_LARGE", ERROR_DOMAIN)
        );
        assert_eq!(info.metadata["limit"], "7");
        let busy = TransportRefusal::Busy.to_status();
        assert_eq!(busy.get_details_retry_info().and_then(|retry| retry.retry_delay), Some(RETRY));
    }

    #[test]
    fn a_status_of_tonic_gets_a_reason_and_others_keep_theirs() {
        let named = with_reason(&Status::unimplemented("no such method")).expect("a reason");
        assert_eq!((named.code(), named.message()), (Code::Unimplemented, "no such method"));
        assert_eq!(named.get_details_error_info().expect("ErrorInfo").reason, "METHOD_NOT_FOUND");
        assert!(with_reason(&Status::unimplemented("")).expect("a reason").message().contains("no such method"));
        assert!(with_reason(&TransportRefusal::Compressed.to_status()).is_none());
        assert!(with_reason(&Status::cancelled("gone")).is_none());
    }
}
