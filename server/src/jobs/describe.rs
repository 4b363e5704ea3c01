//! Checks a request for another server, which keeps the job.

use std::time::SystemTime;

use sakuga_proto::generation::v1::{self as generation};
use sakuga_proto::internal::store::v1::JobRecord;

use super::create::{Call, fingerprint};
use super::policy::JobPolicy;
use super::prepare::{Prepared, prepare};
use super::record::{Creation, Record};
use super::registry::Jobs;
use crate::error::ServerError;
use crate::event::{Event, EventBody};
use crate::job_id::JobId;
use crate::wire::to_proto;

/// A job as this server would have stored it.
pub(crate) struct Described {
    /// Its record after its first event.
    pub record: JobRecord,
    /// Its first event.
    pub accepted: generation::GenerateEvent,
    /// Whether files came within the request. The record has their SHA-256 only.
    pub has_files: bool,
}

impl Jobs {
    /// Checks a call as [`Jobs::create`] does. Nothing is stored, and limits of clients and of the queue are not checked. Takes up
    /// to some milliseconds of CPU time.
    ///
    /// # Errors
    ///
    /// [`ServerError`] for a request that this server would refuse.
    pub(crate) fn describe(&self, id: JobId, call: Call) -> Result<Described, ServerError> {
        let fingerprint = fingerprint(&call);
        let Call { caller, request, options, trace_parent, .. } = call;
        let client = (caller.client.clone(), &caller.asset_owner());
        let name_key = caller.name_key(&request.request_id);
        let prepared = prepare(&self.dependencies, id, client, request, JobPolicy::read(&options))?;
        self.check_memory(&prepared.request)?;
        let (forecast, _) = self.dependencies.scheduler.forecast(&prepared.request)?;
        if let (Some(given), Some(needed)) = (prepared.request.timeout, forecast.expected())
            && needed > given
        {
            return Err(ServerError::DeadlineTooShort { needed, given });
        }
        let Prepared { context, diagnostics, inline_files, .. } = prepared;
        let creation = Creation {
            client: caller.client.to_string(),
            owner: caller.owner.to_string(),
            options,
            fingerprint,
            name_key,
            trace_parent,
            estimated_time: forecast.expected(),
        };
        let mut record = Record::new(&context, creation);
        let body = EventBody::Accepted { diagnostics };
        let accepted = to_proto::event(&context, Event { sequence: 0, time: SystemTime::now(), body });
        record.apply(&accepted);
        Ok(Described { record: record.message().clone(), accepted, has_files: !inline_files.is_empty() })
    }
}
