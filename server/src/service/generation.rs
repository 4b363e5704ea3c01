//! `sakuga.generation.v1.GenerationService`: a job and the stream of its events in one call.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use futures::stream::{self, StreamExt as _};
use sakuga_proto::generation::v1::generation_service_server::GenerationService;
use sakuga_proto::generation::v1::{GenerateRequest, GenerateResponse, JobOptions};
use tonic::{Request, Response, Status};

use super::{Context, refuse};
use crate::error::ServerError;
use crate::jobs::Call;
use crate::journal::Next;
use crate::wire::{caller, deadline, to_proto};

/// Draws pictures.
pub struct Generation {
    context: Arc<Context>,
}

impl Generation {
    /// The service.
    pub fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl GenerationService for Generation {
    type GenerateStream = Pin<Box<dyn Stream<Item = Result<GenerateResponse, Status>> + Send>>;

    async fn generate(&self, request: Request<GenerateRequest>) -> Result<Response<Self::GenerateStream>, Status> {
        let permit = self.context.stream_permit()?;
        let client = caller::client_id(&request).map_err(|error| refuse(&error))?;
        let timeout = deadline::timeout(request.metadata()).and_then(to_proto::duration);
        let options = JobOptions { cancel_on_disconnect: true, timeout, ..JobOptions::default() };
        let trace_parent = request.extensions().get().copied();
        let call = Call { client, request: request.into_inner(), options, trace_parent, is_watched: true };
        let jobs = self.context.jobs.clone();
        let created = jobs.create(call).await.map_err(|error| refuse(&error))?;
        let job_id = created.job.job_id;
        // Dropping the stream drops the reader, which gives the job up.
        let events = stream::unfold((created.reader, permit), move |(reader, permit)| {
            let (jobs, job_id) = (jobs.clone(), job_id.clone());
            async move {
                let mut reader = reader?;
                match reader.next().await {
                    Next::Event(entry) => match jobs.event(&job_id, &entry).await {
                        Ok(event) => Some((Ok(GenerateResponse { event: Some(event) }), (Some(reader), permit))),
                        Err(error) => Some((Err(refuse(&error)), (None, permit))),
                    },
                    Next::End => None,
                    Next::Sealed => Some((Err(refuse(&ServerError::ShuttingDown)), (None, permit))),
                }
            }
        });
        Ok(Response::new(events.boxed()))
    }
}
