//! Who calls, and whether the options of a job make sense.

use std::sync::Arc;

use sakuga_proto::generation::v1::{JobOptions, Priority};
use tonic::Request;

use crate::auth::identity::ClientIdentity;
use crate::error::{ServerError, Violation};
use crate::limits::Limits;
use crate::transport::connection::Peer;
use crate::wire::from_proto;

/// The entry of a call's metadata that names its client.
pub const CLIENT_ID: &str = "sakuga-client-id";

/// The client's name: that of its token or certificate if calls need one; else what the call says, else the address that
/// it comes from. Where calls need an identity, a client cannot get more than its share by using many names.
///
/// # Errors
///
/// [`ServerError::InvalidRequest`] if the name is no short printable text.
pub fn client_id<T>(request: &Request<T>) -> Result<Arc<str>, ServerError> {
    if let Some(identity) = request.extensions().get::<ClientIdentity>() {
        return Ok(identity.name.clone());
    }
    let Some(value) = request.metadata().get(CLIENT_ID) else {
        let address = request.extensions().get::<Peer>().map(|peer| peer.address.ip().to_string());
        return Ok(address.unwrap_or_else(|| "unknown".into()).into());
    };
    match value.to_str() {
        Ok(name) if !name.is_empty() && name.len() <= Limits::CLIENT_ID_BYTES_MAX => Ok(name.into()),
        _ => {
            let text = format!("write 1 to {} printable ASCII characters", Limits::CLIENT_ID_BYTES_MAX);
            Err(ServerError::invalid(CLIENT_ID, Violation::BAD_TEXT, text))
        }
    }
}

/// Checks options.
///
/// # Errors
///
/// [`ServerError::InvalidRequest`] with every fault.
pub fn options(options: &JobOptions) -> Result<(), ServerError> {
    let mut faults = Vec::new();
    if Priority::try_from(options.priority).is_err() {
        let text = format!("{} is no priority that this server knows", options.priority);
        faults.push(Violation::new("options.priority", Violation::UNKNOWN_VALUE, text));
    }
    for (field, time) in [("options.timeout", options.timeout), ("options.disconnect_grace", options.disconnect_grace)]
    {
        if time.is_some_and(|time| from_proto::duration(time).is_none()) {
            faults.push(Violation::new(
                field,
                Violation::OUT_OF_RANGE,
                "write a time from 0 to 100 years, with nanos below a second",
            ));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(ServerError::InvalidRequest(faults)) }
}
