//! The caller of a call, and the check of job options.

use std::sync::Arc;

use sakuga_proto::generation::v1::{JobOptions, Placement, Priority};
use tonic::{Request, Status};

use super::refuse;
use crate::auth::access::{Scope, Scopes};
use crate::auth::identity::ClientIdentity;
use crate::error::{ServerError, Violation};
use crate::jobs::Caller;
use crate::limits::Limits;
use crate::transport::connection::Peer;
use crate::wire::from_proto;

/// The entry of a call's metadata that names its client.
pub(crate) const CLIENT_ID: &str = "sakuga-client-id";

/// The caller of a call: its token or certificate on a server that requires one.
pub(crate) fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let client = client_id(request).map_err(|error| refuse(&error))?;
    Ok(match request.extensions().get::<ClientIdentity>() {
        Some(identity) => {
            let sees_all = identity.scopes.allow(Scopes::one(Scope::Admin));
            Caller { client, owner: identity.name.clone(), former_owner: identity.former_name.clone(), sees_all }
        }
        None => Caller { client, owner: "".into(), former_owner: None, sees_all: true },
    })
}

/// The client's name: that of its token or certificate on a server that requires one, else the one in the call's
/// metadata, else its address. So a client can use several names only on a server that requires no credential.
///
/// # Errors
///
/// [`ServerError::InvalidRequest`] if the name is not a short printable text.
fn client_id<T>(request: &Request<T>) -> Result<Arc<str>, ServerError> {
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

/// Checks the options of a job.
///
/// # Errors
///
/// [`ServerError::InvalidRequest`] with every fault.
pub(crate) fn check_options(options: &JobOptions) -> Result<(), ServerError> {
    let mut faults = Vec::new();
    if Priority::try_from(options.priority).is_err() {
        let text = format!("this server does not know the priority {}", options.priority);
        faults.push(Violation::new("options.priority", Violation::UNKNOWN_VALUE, text));
    }
    if Placement::try_from(options.placement).is_err() {
        let text = format!("this server does not know the placement {}", options.placement);
        faults.push(Violation::new("options.placement", Violation::UNKNOWN_VALUE, text));
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
