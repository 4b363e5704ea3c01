//! `sakuga.system.v1.SystemService`: describes the server and its devices, and takes devices out of service.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use sakuga_proto::system::v1::system_service_server::SystemService;
use sakuga_proto::system::v1::{
    Device, DisableDeviceRequest, DisableDeviceResponse, DrainDeviceRequest, DrainDeviceResponse, EnableDeviceRequest,
    EnableDeviceResponse, GetServerInfoRequest, GetServerInfoResponse, ListDevicesRequest, ListDevicesResponse,
    ListModelsRequest, ListModelsResponse, WatchActivityRequest, WatchActivityResponse, WatchGpuStatsRequest,
    WatchGpuStatsResponse,
};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};

use super::caller::caller;
use super::{Context, Messages, refuse};
use crate::devices::{DeviceId, DeviceStatus};
use crate::error::{ServerError, Violation};
use crate::gpu::{DeviceSample, Subscription};
use crate::job_id::JobId;
use crate::jobs::Caller;
use crate::limits::Limits;
use crate::scheduler::DeviceChange;
use crate::wire::to_proto;

/// Describes the server, and takes devices out of service.
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
            false => sampler.subscribe(DeviceId::FIRST, interval, move |sample| {
                newest.send_replace(vec![message(sample)]);
            }),
            true => sampler.subscribe_all(interval, move |samples| {
                newest.send_replace(samples.own.iter().chain(samples.others).map(message).collect());
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
        let subscription = self.context.sampler.subscribe_own(interval, move |samples| {
            let mut seen = activity.activity(activity.snapshot(), samples.own);
            // The running jobs of other owners are not shown.
            for device in &mut seen.devices {
                device.running.take_if(|running| !jobs.may_access_live(&caller, &running.job_id));
            }
            newest.send_replace(vec![WatchActivityResponse { activity: Some(to_proto::activity(&seen)) }]);
        });
        Ok(Response::new(newest_first(&self.context, messages, subscription)))
    }

    async fn list_devices(
        &self,
        request: Request<ListDevicesRequest>,
    ) -> Result<Response<ListDevicesResponse>, Status> {
        let caller = caller(&request)?;
        Ok(Response::new(ListDevicesResponse { devices: self.devices(&caller) }))
    }

    async fn drain_device(
        &self,
        request: Request<DrainDeviceRequest>,
    ) -> Result<Response<DrainDeviceResponse>, Status> {
        let (caller, DrainDeviceRequest { name }) = (caller(&request)?, request.into_inner());
        let changed = self.change_device(&caller, &name, DeviceChange::Drain).await;
        changed.map(|device| Response::new(DrainDeviceResponse { device })).map_err(|error| refuse(&error))
    }

    async fn disable_device(
        &self,
        request: Request<DisableDeviceRequest>,
    ) -> Result<Response<DisableDeviceResponse>, Status> {
        let (caller, DisableDeviceRequest { name }) = (caller(&request)?, request.into_inner());
        let changed = self.change_device(&caller, &name, DeviceChange::Disable).await;
        changed.map(|device| Response::new(DisableDeviceResponse { device })).map_err(|error| refuse(&error))
    }

    async fn enable_device(
        &self,
        request: Request<EnableDeviceRequest>,
    ) -> Result<Response<EnableDeviceResponse>, Status> {
        let (caller, EnableDeviceRequest { name }) = (caller(&request)?, request.into_inner());
        let changed = self.change_device(&caller, &name, DeviceChange::Enable).await;
        changed.map(|device| Response::new(EnableDeviceResponse { device })).map_err(|error| refuse(&error))
    }
}

impl System {
    /// Changes whether a device takes jobs, and returns it once that is done.
    async fn change_device(
        &self,
        caller: &Caller,
        name: &str,
        change: DeviceChange,
    ) -> Result<Option<Device>, ServerError> {
        let scheduler = &self.context.scheduler;
        let device = scheduler.find_device(name)?;
        tracing::info!(device = name, ?change, "a call changes a device");
        scheduler.change_device(device, change).done().await?;
        Ok(self.devices(caller).into_iter().nth(device.index()))
    }

    /// Every device as it is now, with the jobs that the caller may see.
    fn devices(&self, caller: &Caller) -> Vec<Device> {
        let Context { scheduler, jobs, .. } = &*self.context;
        let devices = scheduler.devices();
        let message = |(status, running): &(DeviceStatus, Option<JobId>)| {
            let visible = running.as_ref().filter(|running| jobs.may_access_live(caller, running));
            to_proto::device(status, visible)
        };
        devices.iter().map(message).collect()
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
