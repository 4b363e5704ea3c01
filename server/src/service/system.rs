//! `sakuga.system.v1.SystemService`: what the server is, and how its device does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use sakuga_proto::system::v1::system_service_server::SystemService;
use sakuga_proto::system::v1::{
    GetServerInfoRequest, GetServerInfoResponse, ListModelsRequest, ListModelsResponse, WatchGpuStatsRequest,
    WatchGpuStatsResponse,
};
use tokio::sync::watch;
use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Request, Response, Status};

use super::{Context, refuse};
use crate::error::{ServerError, Violation};
use crate::gpu::{DeviceSample, Subscription};
use crate::limits::Limits;
use crate::wire::to_proto;

/// Says what the server is.
pub struct System {
    context: Arc<Context>,
}

impl System {
    /// The service.
    pub fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

#[tonic::async_trait]
impl SystemService for System {
    type WatchGpuStatsStream = StatsStream;

    async fn get_server_info(
        &self,
        _: Request<GetServerInfoRequest>,
    ) -> Result<Response<GetServerInfoResponse>, Status> {
        let context = &self.context;
        let jobs = *context.scheduler.live().count().borrow();
        let step_time = context.scheduler.step_time();
        Ok(Response::new(to_proto::server_info(&context.engine, &context.limits, context.started, jobs, step_time)))
    }

    async fn list_models(&self, _: Request<ListModelsRequest>) -> Result<Response<ListModelsResponse>, Status> {
        Ok(Response::new(ListModelsResponse { models: vec![to_proto::model(&self.context.engine.model)] }))
    }

    async fn watch_gpu_stats(&self, request: Request<WatchGpuStatsRequest>) -> Result<Response<StatsStream>, Status> {
        let interval = match request.into_inner().interval_ms {
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
        Ok(Response::new(StatsStream::new(&self.context, interval)))
    }
}

/// Samples until the caller hangs up or the server goes down. A slow reader gets the newest.
pub struct StatsStream {
    samples: WatchStream<Option<DeviceSample>>,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    _subscription: Subscription,
}

impl StatsStream {
    fn new(context: &Context, interval: Duration) -> Self {
        let (newest, samples) = watch::channel(None);
        let subscription = context.sampler.subscribe(interval, move |sample| {
            newest.send_replace(Some(sample.clone()));
        });
        Self {
            samples: WatchStream::from_changes(samples),
            closing: Box::pin(context.closing.clone().cancelled_owned()),
            _subscription: subscription,
        }
    }
}

impl Stream for StatsStream {
    type Item = Result<WatchGpuStatsResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Option<Self::Item>> {
        if self.closing.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        loop {
            return match Pin::new(&mut self.samples).poll_next(context) {
                Poll::Ready(Some(Some(sample))) => {
                    Poll::Ready(Some(Ok(WatchGpuStatsResponse { stats: Some(to_proto::gpu_stats(&sample)) })))
                }
                Poll::Ready(Some(None)) => continue,
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            };
        }
    }
}
