//! Errors over HTTP, in the form of OpenAI's API: one table decides the HTTP status of every gRPC status.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Map, Value, json};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Says to OpenAI's clients whether to retry the request themselves.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The HTTP status of each code. `proto/ERRORS.md` lists them.
const BY_CODE: [(Code, u16); 14] = [
    (Code::InvalidArgument, 400),
    (Code::FailedPrecondition, 400),
    (Code::OutOfRange, 400),
    (Code::DeadlineExceeded, 400),
    (Code::Unauthenticated, 401),
    (Code::PermissionDenied, 403),
    (Code::NotFound, 404),
    (Code::Unimplemented, 404),
    (Code::AlreadyExists, 409),
    (Code::Cancelled, 409),
    (Code::ResourceExhausted, 429),
    (Code::Aborted, 500),
    (Code::DataLoss, 500),
    (Code::Unavailable, 503),
];

/// Reasons with another HTTP status than their gRPC code.
const BY_REASON: [(&str, u16); 7] = [
    ("DEVICE_OUT_OF_MEMORY", 400),
    ("MESSAGE_TOO_SLOW", 408),
    ("MESSAGE_TOO_LARGE", 413),
    ("DISK_FULL", 503),
    ("HOST_EXHAUSTED", 503),
    ("MODEL_UNUSABLE", 503),
    ("NO_DEVICE", 503),
];

/// The HTTP status of a gRPC code with this reason; 500 for every other code.
fn http_status(code: Code, reason: &str) -> u16 {
    let by_reason = BY_REASON.iter().find(|(known, _)| *known == reason).map(|(_, status)| *status);
    let by_code = || BY_CODE.iter().find(|(known, _)| *known == code).map(|(_, status)| *status);
    by_reason.or_else(by_code).unwrap_or(500)
}

/// OpenAI's name for the kind of an error.
fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

/// The body of an error: `{"error": {message, type, param, code}}`. `code` is the reason. `param` is the first field that is
/// wrong, and `sakuga` has the other details: every violation, and the facts of the reason.
pub(crate) fn error_body(status: &Status) -> Value {
    error(status).1
}

fn error(status: &Status) -> (u16, Value) {
    let info = status.get_details_error_info();
    let reason = info.as_ref().map_or("INTERNAL", |info| info.reason.as_str());
    let http = http_status(status.code(), reason);
    let violations = status.get_details_bad_request().map(|details| details.field_violations).unwrap_or_default();
    let param = violations.first().map(|violation| violation.field.clone());
    let facts: Map<String, Value> =
        info.iter().flat_map(|info| &info.metadata).map(|(name, value)| (name.clone(), json!(value))).collect();
    let violations: Vec<Value> = violations
        .iter()
        .map(|one| json!({ "field": one.field, "description": one.description, "reason": one.reason }))
        .collect();
    let body = json!({ "error": {
        "message": status.message(),
        "type": kind(http),
        "param": param,
        "code": reason,
        "sakuga": { "violations": violations, "facts": facts },
    }});
    (http, body)
}

/// The answer to a request that is refused.
pub(crate) fn error_response(status: &Status) -> Response<Body> {
    let (http, body) = error(status);
    let mut answer = json_response(&body);
    *answer.status_mut() = StatusCode::from_u16(http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let retry_after = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
    let headers = answer.headers_mut();
    if let Some(delay) = retry_after {
        headers.insert(RETRY_AFTER, whole_seconds(delay).into());
    }
    headers.insert(SHOULD_RETRY, HeaderValue::from_static(if retry_after.is_some() { "true" } else { "false" }));
    if http == 401 {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

/// At least one: a client that waits 0 s asks again at once.
fn whole_seconds(delay: Duration) -> u64 {
    (delay.as_millis().div_ceil(1000) as u64).max(1)
}

/// An answer with this JSON.
pub(crate) fn json_response(body: &Value) -> Response<Body> {
    json_answer(Body::new(Full::new(Bytes::from(body.to_string()))))
}

/// An answer whose body is JSON.
pub(crate) fn json_answer(body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sakuga_proto::code;

    use super::*;
    use crate::error::{ServerError, Violation};
    use crate::wire::status::to_status;

    #[test]
    fn the_documented_table_is_that_of_the_code() {
        let table = include_str!("../../../proto/ERRORS.md");
        let (_, table) = table.split_once("## Over HTTP").expect("the section");
        let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
        let documented: BTreeSet<(String, u16)> = rows
            .filter_map(|(status, rest)| Some((status.parse().ok()?, rest.rsplit_once(" | ")?)))
            .flat_map(|(status, (kind_of, names)): (u16, _)| {
                assert_eq!(kind_of, format!("`{}`", kind(status)), "{status}");
                names.split(", ").map(move |name| (name.trim_matches('`').to_owned(), status)).collect::<Vec<_>>()
            })
            .collect();
        let by_code = BY_CODE.iter().map(|(code, status)| (code::name(*code).to_owned(), *status));
        let by_reason = BY_REASON.iter().map(|(reason, status)| ((*reason).to_owned(), *status));
        let others = [(code::name(Code::Internal).to_owned(), 500)];
        assert_eq!(documented, by_code.chain(by_reason).chain(others).collect());
    }

    #[test]
    fn reasons_with_another_status_exist() {
        let table = include_str!("../../../proto/ERRORS.md");
        for (reason, _) in BY_REASON {
            assert!(table.contains(&format!("| `{reason}` |")), "{reason}");
        }
    }

    #[test]
    fn an_error_names_the_field_the_reason_and_when_to_try_again() {
        let invalid = to_status(&ServerError::invalid("size", Violation::OUT_OF_RANGE, "too large"));
        let body = error_body(&invalid);
        assert_eq!(body["error"]["param"], "size");
        assert_eq!(
            (&body["error"]["type"], &body["error"]["code"]),
            (&json!("invalid_request_error"), &json!("INVALID_REQUEST"))
        );
        assert_eq!(body["error"]["sakuga"]["violations"][0]["reason"], "out-of-range");
        let answer = error_response(&invalid);
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["x-should-retry"]),
            (400, &HeaderValue::from_static("false"))
        );
        let full = to_status(&ServerError::QueueFull { waiting: 3, retry_after: Duration::from_millis(2500) });
        let answer = error_response(&full);
        assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (429, &HeaderValue::from_static("3")));
        assert_eq!(answer.headers()["x-should-retry"], "true");
        assert_eq!(error_response(&Status::unknown("x")).status().as_u16(), 500);
    }
}
