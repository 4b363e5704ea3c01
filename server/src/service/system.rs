//! `sakuga.system.v1.SystemService`: what the server is, and how its device does.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use sakuga_proto::system::v1::system_service_server::SystemService;
use sakuga_proto::system::v1::{
    GetServerInfoRequest, GetServerInfoResponse, ListModelsRequest, ListModelsResponse, WatchActivityRequest,
    WatchActivityResponse, WatchGpuStatsRequest, WatchGpuStatsResponse,
};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};

use super::caller::caller;
use super::{Context, Messages, refuse};
use crate::error::{ServerError, Violation};
use crate::gpu::{DeviceSample, Subscription};
use crate::limits::Limits;
use crate::wire::to_proto;

/// Says what the server is.
pub(crate) struct System {
    context: Arc<Context>,
}

impl System {
    /// The service.
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl SystemService for System {
    type WatchGpuStatsStream = Messages<WatchGpuStatsResponse>;
    type WatchActivityStream = Messages<WatchActivityResponse>;

    async fn get_server_info(
        &self,
        _: Request<GetServerInfoRequest>,
    ) -> Result<Response<GetServerInfoResponse>, Status> {
        let context = &self.context;
        let jobs = *context.scheduler.live().count().borrow();
        let model = context.models.default_model();
        let step_time = context.scheduler.step_time(model.id);
        Ok(Response::new(to_proto::server_info(model, context.started, jobs, step_time)))
    }

    async fn list_models(&self, _: Request<ListModelsRequest>) -> Result<Response<ListModelsResponse>, Status> {
        Ok(Response::new(ListModelsResponse { models: self.context.models.iter().map(to_proto::model).collect() }))
    }

    async fn watch_gpu_stats(
        &self,
        request: Request<WatchGpuStatsRequest>,
    ) -> Result<Response<Self::WatchGpuStatsStream>, Status> {
        let WatchGpuStatsRequest { interval_ms, all_devices } = request.into_inner();
        let interval = interval(interval_ms)?;
        let message = |sample: &DeviceSample| WatchGpuStatsResponse { stats: Some(to_proto::gpu_stats(sample)) };
        let (newest, messages) = watch::channel(Vec::new());
        let sampler = &self.context.sampler;
        let subscription = match all_devices {
            false => sampler.subscribe(interval, move |own| _ = newest.send_replace(vec![message(own)])),
            true => sampler.subscribe_all(interval, move |devices| {
                newest.send_replace(std::iter::once(devices.own).chain(devices.others).map(message).collect());
            }),
        };
        Ok(Response::new(newest_first(&self.context, messages, subscription)))
    }

    async fn watch_activity(
        &self,
        request: Request<WatchActivityRequest>,
    ) -> Result<Response<Self::WatchActivityStream>, Status> {
        let caller = caller(&request)?;
        let interval = interval(request.into_inner().interval_ms)?;
        let (activity, jobs) = (self.context.activity.clone(), self.context.jobs.clone());
        let (newest, messages) = watch::channel(Vec::new());
        let subscription = self.context.sampler.subscribe(interval, move |sample| {
            let mut seen = activity.activity(activity.snapshot(), sample);
            // The running job of another owner is not shown.
            seen.running.take_if(|running| !jobs.may_access_live(&caller, &running.job_id));
            newest.send_replace(vec![WatchActivityResponse { activity: Some(to_proto::activity(&seen)) }]);
        });
        Ok(Response::new(newest_first(&self.context, messages, subscription)))
    }
}

/// The interval that a call asks for.
fn interval(asked_ms: u32) -> Result<Duration, Status> {
    let interval = match asked_ms {
        0 => Limits::STATS_INTERVAL_DEFAULT,
        given_ms => Duration::from_millis(given_ms.into()),
    };
    if interval < Limits::STATS_INTERVAL_MIN {
        let text = format!(
            "{} ms is too often; use at least {} ms",
            interval.as_millis(),
            Limits::STATS_INTERVAL_MIN.as_millis()
        );
        return Err(refuse(&ServerError::invalid("interval_ms", Violation::OUT_OF_RANGE, text)));
    }
    Ok(interval)
}

/// The messages of a subscription, until the caller cancels or the server shuts down. A slow reader gets the newest ones;
/// the messages of one moment stay together.
fn newest_first<T: Clone + Send + Sync + 'static>(
    context: &Context,
    messages: watch::Receiver<Vec<T>>,
    subscription: Subscription,
) -> Messages<T> {
    let closing = context.closing.clone().cancelled_owned();
    let moments = WatchStream::from_changes(messages);
    let messages = moments.flat_map(move |messages| {
        // Lives as long as the stream.
        let _kept = &subscription;
        stream::iter(messages).map(Ok)
    });
    messages.take_until(closing).boxed()
}
