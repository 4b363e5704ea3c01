//! `sakuga info`.

use std::pin::Pin;
use std::process::Stdio;

use sakuga_client::proto::system::v1::system_service_server::{SystemService, SystemServiceServer};
use sakuga_client::proto::system::v1::{
    Activity, ComputePath, Device, DeviceState, DisableDeviceRequest, DisableDeviceResponse, DrainDeviceRequest,
    DrainDeviceResponse, ElementTags, EnableDeviceRequest, EnableDeviceResponse, GetServerInfoRequest,
    GetServerInfoResponse, GpuStats, Limits, ListDevicesRequest, ListDevicesResponse, ListModelsRequest,
    ListModelsResponse, LoadingPhase, MemoryPool, Model, ModelVocabulary, ProcessMemory, SamplingDefaults, StatsSource,
    TextEncoder, TrainedSize, WatchActivityRequest, WatchActivityResponse, WatchGpuStatsRequest, WatchGpuStatsResponse,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};

use crate::fake::Fake;
use crate::support::{Run, collect, command};

/// A server that describes itself and does nothing else.
pub(crate) struct System;

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A stream of one message that does not end.
fn one<T: Send + 'static>(message: T) -> Messages<T> {
    Box::pin(tokio_stream::once(Ok(message)).chain(tokio_stream::pending()))
}

fn device(name: &str, state: DeviceState) -> Device {
    Device {
        name: name.to_owned(),
        full_name: format!("{name} NVIDIA X"),
        state: state.into(),
        failure: if state == DeviceState::Lost { "no\u{1b}[2J driver".to_owned() } else { String::new() },
        jobs: 12,
        ..Device::default()
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
        Ok(Response::new(GetServerInfoResponse {
            version: "0.1.0".to_owned(),
            device: "cpu".to_owned(),
            precision: "f32".to_owned(),
            engine: "scripted".to_owned(),
            started: None,
            limits: Some(Limits {
                max_prompt_bytes: 65_536,
                max_pixels: 4_194_304,
                max_images: 8,
                max_steps: 200,
                max_queued: 16,
                size_multiple: 16,
            }),
            jobs: 2,
            step_time: Some(prost_types::Duration { seconds: 0, nanos: 143_000_000 }),
            loading: vec![
                LoadingPhase { name: "device".to_owned(), ..LoadingPhase::default() },
                LoadingPhase {
                    name: "next_dit".to_owned(),
                    duration: Some(prost_types::Duration { seconds: 2, nanos: 0 }),
                    bytes: 4 << 30,
                    ..LoadingPhase::default()
                },
            ],
            compute_paths: vec![ComputePath {
                operation: "attention".to_owned(),
                implementation: "burn".to_owned(),
                reason: "the driver is too old".to_owned(),
            }],
        }))
    }

    async fn list_models(&self, _: Request<ListModelsRequest>) -> Result<Response<ListModelsResponse>, Status> {
        let mut default_sampling = SamplingDefaults { steps: 20, shift: 2.0, ..SamplingDefaults::default() };
        default_sampling.solver = "dpm".to_owned();
        (default_sampling.guidance_scale, default_sampling.guidance_until) = (3.5, 0.5);
        default_sampling.guidance_renorm = 1.0;
        let model = Model {
            name: "tiny\u{1b}[2J".to_owned(),
            parameters: [("next_dit".to_owned(), 3_500_000_000)].into(),
            default_size: 1024,
            notice: "the weights are random".to_owned(),
            default_sampling: Some(default_sampling),
            text_encoders: vec![TextEncoder { name: "gemma3".to_owned(), max_tokens: 512 }],
            solvers: vec!["euler".to_owned(), "dpm".to_owned()],
            size_multiple: 16,
            max_pixels: 4_194_304,
            vocabulary: Some(ModelVocabulary {
                elements: vec![ElementTags { element: "style".to_owned(), tags: vec!["chibi".to_owned()] }],
                sizes: vec![TrainedSize { width: 320, height: 192 }],
                max_characters: 4,
            }),
            ..Model::default()
        };
        Ok(Response::new(ListModelsResponse { models: vec![model] }))
    }

    async fn watch_gpu_stats(
        &self,
        _: Request<WatchGpuStatsRequest>,
    ) -> Result<Response<Self::WatchGpuStatsStream>, Status> {
        let stats =
            GpuStats { source: StatsSource::Host.into(), utilization_percent: Some(51.0), ..GpuStats::default() };
        Ok(Response::new(one(WatchGpuStatsResponse { stats: Some(stats) })))
    }

    async fn watch_activity(
        &self,
        _: Request<WatchActivityRequest>,
    ) -> Result<Response<Self::WatchActivityStream>, Status> {
        let pool = MemoryPool { name: "scratch\u{1b}[2J".to_owned(), used_bytes: 1024, held_bytes: 4096 };
        let activity = Activity {
            pools: vec![pool],
            processes: vec![
                ProcessMemory { pid: 7, bytes: 1 << 20, is_server: true },
                ProcessMemory { pid: 8, bytes: 1 << 30, is_server: false },
            ],
            queued: 2,
            job_id: "done".to_owned(),
            stage: "text_encode".to_owned(),
            step: 3,
            steps: 28,
            ..Activity::default()
        };
        Ok(Response::new(one(WatchActivityResponse { activity: Some(activity) })))
    }

    async fn list_devices(&self, _: Request<ListDevicesRequest>) -> Result<Response<ListDevicesResponse>, Status> {
        Ok(Response::new(ListDevicesResponse {
            devices: vec![device("cuda:0", DeviceState::Serving), device("cuda:1", DeviceState::Lost)],
        }))
    }

    async fn drain_device(
        &self,
        request: Request<DrainDeviceRequest>,
    ) -> Result<Response<DrainDeviceResponse>, Status> {
        Ok(Response::new(DrainDeviceResponse {
            device: Some(device(&request.into_inner().name, DeviceState::Drained)),
        }))
    }

    async fn disable_device(
        &self,
        request: Request<DisableDeviceRequest>,
    ) -> Result<Response<DisableDeviceResponse>, Status> {
        Ok(Response::new(DisableDeviceResponse {
            device: Some(device(&request.into_inner().name, DeviceState::Disabled)),
        }))
    }

    async fn enable_device(&self, _: Request<EnableDeviceRequest>) -> Result<Response<EnableDeviceResponse>, Status> {
        Err(Status::permission_denied("enabling needs the scope admin"))
    }
}

/// A server that accepts every call and answers none.
struct Silent;

#[tonic::async_trait]
impl SystemService for Silent {
    type WatchGpuStatsStream = Messages<WatchGpuStatsResponse>;
    type WatchActivityStream = Messages<WatchActivityResponse>;

    async fn get_server_info(
        &self,
        _: Request<GetServerInfoRequest>,
    ) -> Result<Response<GetServerInfoResponse>, Status> {
        std::future::pending().await
    }

    async fn list_models(&self, _: Request<ListModelsRequest>) -> Result<Response<ListModelsResponse>, Status> {
        std::future::pending().await
    }

    async fn watch_gpu_stats(
        &self,
        _: Request<WatchGpuStatsRequest>,
    ) -> Result<Response<Self::WatchGpuStatsStream>, Status> {
        std::future::pending().await
    }

    async fn watch_activity(
        &self,
        _: Request<WatchActivityRequest>,
    ) -> Result<Response<Self::WatchActivityStream>, Status> {
        std::future::pending().await
    }

    async fn list_devices(&self, _: Request<ListDevicesRequest>) -> Result<Response<ListDevicesResponse>, Status> {
        std::future::pending().await
    }

    async fn drain_device(&self, _: Request<DrainDeviceRequest>) -> Result<Response<DrainDeviceResponse>, Status> {
        std::future::pending().await
    }

    async fn disable_device(
        &self,
        _: Request<DisableDeviceRequest>,
    ) -> Result<Response<DisableDeviceResponse>, Status> {
        std::future::pending().await
    }

    async fn enable_device(&self, _: Request<EnableDeviceRequest>) -> Result<Response<EnableDeviceResponse>, Status> {
        std::future::pending().await
    }
}

async fn info(address: &str, arguments: &[&str]) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let mut command = command(directory.path());
    // The address from the environment; the other tests use `--server`.
    command.arg("info").args(arguments).env("SAKUGA_SERVER", address).stdin(Stdio::null());
    collect(tokio::process::Command::from(command).output().await.unwrap())
}

#[tokio::test]
async fn a_server_is_described() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tonic::transport::Server::builder().add_service(SystemServiceServer::new(System));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let run = info(&address, &[]).await;
    run.expect(0)
        .says("scripted, f32")
        .says("host: 51 % load")
        .says("2, a step takes 0.1 s")
        .says("4.2 megapixels in multiples of 16 px, 8 pictures of 200 steps, 16 jobs waiting, prompts up to 64.0 KiB")
        .says("device 0 s, next_dit 2.0 s (4.0 GiB, 2.0 GiB/s)")
        .says("attention      burn (the driver is too old)")
        .says("the weights are random")
        .says("3500.0 million parameters")
        .says("device         cuda:0 NVIDIA X: serving, 12 jobs")
        .says("device         cuda:1 NVIDIA X: lost, 12 jobs, no")
        .says("gemma3         reads 512 tokens")
        .says("1024x1024, up to 4.2 megapixels in multiples of 16 px")
        .says("trained with   1 tag, up to 4 characters, 320x192")
        .says("solvers        euler, dpm")
        .says("dpm, 20 steps, guidance 3.5 while t < 0.5, renorm 1, shift 2");
    assert!(!run.stdout.contains('\u{1b}'), "{run:#?}");
    let object = info(&address, &["--json"]).await.expect(0).json();
    assert_eq!(object["server"]["limits"]["maxSteps"], 200);
    assert_eq!(object["models"]["models"][0]["defaultSize"], 1024);
    assert_eq!(object["device"]["utilizationPercent"], 51.0);
    assert_eq!(object["devices"]["devices"][1]["state"], "DEVICE_STATE_LOST");
}

#[tokio::test]
async fn a_server_that_does_not_answer_ends_the_command() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tonic::transport::Server::builder().add_service(SystemServiceServer::new(Silent));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let run = tokio::time::timeout(std::time::Duration::from_secs(30), info(&address, &[])).await.expect("it ends");
    run.expect(4).says("did not answer within 10 s");
}

#[tokio::test]
async fn another_kind_of_server_is_reported() {
    let fake = Fake::playing(vec![]).await;
    info(&fake.address.to_string(), &[]).await.expect(3).says("UNIMPLEMENTED").says("is not Sakuga");
}

#[tokio::test]
async fn devices_are_listed_and_taken_out_of_service() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tonic::transport::Server::builder().add_service(SystemServiceServer::new(System));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let devices = async |arguments: &[&str]| {
        let directory = tempfile::tempdir().unwrap();
        let mut command = command(directory.path());
        command.arg("devices").args(arguments).env("SAKUGA_SERVER", &address).stdin(Stdio::null());
        collect(tokio::process::Command::from(command).output().await.unwrap())
    };
    let run = devices(&[]).await;
    run.expect(0);
    assert!(
        run.stdout.starts_with("cuda:0 NVIDIA X  serving  12 jobs\ncuda:1 NVIDIA X  lost     12 jobs, no"),
        "{run:#?}"
    );
    assert!(!run.stdout.contains('\u{1b}'), "{run:#?}");
    assert_eq!(devices(&["list", "--json"]).await.expect(0).json()["devices"][0]["jobs"], "12");
    assert_eq!(devices(&["drain", "cuda:1"]).await.expect(0).stdout, "cuda:1 NVIDIA X  drained  12 jobs\n");
    assert_eq!(devices(&["disable", "cuda:1", "--json"]).await.expect(0).json()["state"], "DEVICE_STATE_DISABLED");
    devices(&["enable", "cuda:1"]).await.expect(3).says("enabling needs the scope admin");
}
