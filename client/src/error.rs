//! Errors of the client. Those of a server are decoded from their `google.rpc` details.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use tonic::Code;
use tonic_types::{ErrorDetails, RpcStatusExt, StatusExt};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address of the server cannot be used.
    #[error("`{address}` is not a server address: {reason}")]
    Address {
        /// The address as it was given.
        address: String,
        /// What is wrong with it, and what to write instead.
        reason: String,
    },
    /// No program listens at the address.
    #[error("nothing listens at {address}")]
    NothingListens {
        /// The address that was given.
        address: String,
    },
    /// The server cannot be reached.
    #[error("cannot connect to {address}: {reason}")]
    Unreachable {
        /// The address that was given.
        address: String,
        /// Why.
        reason: String,
    },
    /// The connection was lost during a call.
    #[error("lost the connection to {address}: {reason}")]
    ConnectionLost {
        /// The address that was given.
        address: String,
        /// Why.
        reason: String,
    },
    /// The deadline that the caller set passed.
    #[error("the deadline of {} passed", format_deadline(.after))]
    DeadlineExceeded {
        /// The deadline, if it is known.
        after: Option<Duration>,
    },
    /// The server refused the request.
    #[error("the server refused the request: {0}")]
    Refused(Box<ServerError>),
    /// The server accepted the request, and the job failed.
    #[error("the job failed: {0}")]
    Failed(Box<ServerError>),
    /// The server violated the protocol.
    #[error("the server violated the protocol: {0}")]
    Protocol(String),
    /// A picture differs from the server's description.
    #[error("picture {image_index} is damaged: {reason}")]
    Damaged {
        /// Index of the picture in the request.
        image_index: u32,
        /// How it differs.
        reason: String,
    },
}

fn format_deadline(after: &Option<Duration>) -> String {
    after.map_or_else(|| "the call".to_owned(), |after| format!("{after:?}"))
}

/// An error of a server: a `google.rpc.Status` with the standard details decoded.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerError {
    /// The code of gRPC.
    pub code: Code,
    /// What is wrong.
    pub message: String,
    /// What is wrong field by field (`BadRequest`).
    pub violations: Vec<Violation>,
    /// The reason as a constant of `domain` (`ErrorInfo`), such as `QUEUE_FULL`.
    pub reason: Option<String>,
    /// The domain that `reason` belongs to.
    pub domain: Option<String>,
    /// Further facts (`ErrorInfo`), by name.
    pub metadata: BTreeMap<String, String>,
    /// How long to wait before a retry (`RetryInfo`).
    pub retry_after: Option<Duration>,
    /// The identifier of the request in the server's log (`RequestInfo`).
    pub request_id: Option<String>,
    /// The resource, as type and name (`ResourceInfo`).
    pub resource: Option<(String, String)>,
    /// Links, as description and address (`Help`).
    pub help: Vec<(String, String)>,
}

/// One field of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field, such as `sampling.steps`, or a place in the prompt.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
    /// The rule that it breaks, such as `unknown-element`. Empty if the server does not say.
    pub reason: String,
}

/// The message, with the server's name for the code.
impl fmt::Display for ServerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            return write!(formatter, "{}", self.code_name());
        }
        write!(formatter, "{} ({})", self.message, self.code_name())
    }
}

impl StdError for ServerError {}

impl ServerError {
    /// The code's name in the gRPC specification, such as `INVALID_ARGUMENT`.
    pub fn code_name(&self) -> &'static str {
        sakuga_proto::code::name(self.code)
    }

    fn new(code: Code, message: &str, details: &ErrorDetails) -> Self {
        let error_info = details.error_info();
        let non_empty = |text: &String| (!text.is_empty()).then(|| text.clone());
        Self {
            code,
            message: message.to_owned(),
            violations: details
                .bad_request()
                .map(|bad_request| bad_request.field_violations.iter().map(Violation::from).collect())
                .unwrap_or_default(),
            reason: error_info.and_then(|info| non_empty(&info.reason)),
            domain: error_info.and_then(|info| non_empty(&info.domain)),
            metadata: error_info
                .map(|info| info.metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
                .unwrap_or_default(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            request_id: details.request_info().and_then(|info| non_empty(&info.request_id)),
            resource: details.resource_info().map(|info| (info.resource_type.clone(), info.resource_name.clone())),
            help: details
                .help()
                .map(|help| help.links.iter().map(|link| (link.description.clone(), link.url.clone())).collect())
                .unwrap_or_default(),
        }
    }
}

impl From<&tonic_types::FieldViolation> for Violation {
    fn from(violation: &tonic_types::FieldViolation) -> Self {
        Self {
            field: violation.field.clone(),
            description: violation.description.clone(),
            reason: violation.reason.clone(),
        }
    }
}

impl From<&tonic::Status> for ServerError {
    fn from(status: &tonic::Status) -> Self {
        Self::new(status.code(), status.message(), &status.get_error_details())
    }
}

/// Of the terminal event `failed`.
impl From<&tonic_types::pb::Status> for ServerError {
    fn from(status: &tonic_types::pb::Status) -> Self {
        Self::new(Code::from_i32(status.code), &status.message, &status.get_error_details())
    }
}

impl ClientError {
    /// The error that a status stands for. tonic has one type for a status of the server, a lost connection and a passed
    /// deadline.
    pub(crate) fn from_status(status: &tonic::Status, address: &str, deadline: Option<Duration>) -> Self {
        for cause in causes(status) {
            if cause.is::<tonic::TimeoutExpired>() {
                return Self::DeadlineExceeded { after: deadline };
            }
            if cause.is::<tonic::ConnectError>() {
                return Self::unreachable(cause, address);
            }
        }
        // A status that the server sent has no source.
        if let Some(source) = status.source()
            && matches!(status.code(), Code::Unknown | Code::Unavailable | Code::Internal | Code::Cancelled)
        {
            return Self::ConnectionLost { address: address.to_owned(), reason: innermost(source) };
        }
        match status.code() {
            // With a reason the server refused the request; without one the time is over.
            Code::DeadlineExceeded if status.get_details_error_info().is_none() => {
                Self::DeadlineExceeded { after: deadline }
            }
            _ => Self::Refused(Box::new(ServerError::from(status))),
        }
    }

    /// The error of a connection that could not be made.
    pub(crate) fn unreachable(error: &(dyn StdError + 'static), address: &str) -> Self {
        let address = address.to_owned();
        let io_kind = causes(error).find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
        match io_kind {
            Some(std::io::ErrorKind::ConnectionRefused) => Self::NothingListens { address },
            Some(std::io::ErrorKind::TimedOut) => {
                Self::Unreachable { address, reason: "the connection timed out".to_owned() }
            }
            _ => Self::Unreachable { address, reason: innermost(error) },
        }
    }
}

fn causes<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// The innermost cause. The layers of the transport above it only say that the transport failed.
pub(crate) fn innermost(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_details_are_decoded() {
        let mut details = ErrorDetails::new();
        details
            .add_bad_request_violation("sampling.steps", "201 is more than 200")
            .set_error_info("STEPS_OUT_OF_RANGE", "sakuga.dev", [("limit".to_owned(), "200".to_owned())])
            .set_retry_info(Some(Duration::from_secs(3)))
            .set_request_info("r-1", "");
        let status = tonic::Status::with_error_details(Code::InvalidArgument, "no", details);
        let ClientError::Refused(error) = ClientError::from_status(&status, "http://localhost", None) else {
            panic!("a status from the wire is a refusal");
        };
        assert_eq!(error.violations[0].field, "sampling.steps");
        assert_eq!(error.reason.as_deref(), Some("STEPS_OUT_OF_RANGE"));
        assert_eq!(error.metadata["limit"], "200");
        assert_eq!(error.retry_after, Some(Duration::from_secs(3)));
        assert_eq!(error.request_id.as_deref(), Some("r-1"));
        assert_eq!(error.to_string(), "no (INVALID_ARGUMENT)");
    }

    #[test]
    fn details_that_are_not_protobuf_are_ignored() {
        let status = tonic_types::pb::Status {
            code: 13,
            message: "broken".to_owned(),
            details: vec![prost_types::Any {
                type_url: "type.googleapis.com/google.rpc.BadRequest".into(),
                value: vec![255],
            }],
        };
        let error = ServerError::from(&status);
        assert_eq!((error.code, error.violations.len()), (Code::Internal, 0));
    }
}
