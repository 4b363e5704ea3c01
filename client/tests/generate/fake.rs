//! A server in the test's process that plays a script, also of behaviour that is rare in a real one.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sakuga_client::proto::Encoded;
use sakuga_client::proto::digest::sha256_hex;
use sakuga_client::proto::generation::v1::generate_event::Event;
use sakuga_client::proto::generation::v1::generation_service_server::{GenerationService, GenerationServiceServer};
use sakuga_client::proto::generation::v1::{
    Accepted, Completed, Estimate, EstimateRequest, EstimateResponse, EstimatedTime, FieldValue, GenerateEvent,
    GenerateRequest, GenerateResponse, ImageChunk, ImageFormat, ImageInfo, Obstacle, ObstacleKind, Preview,
    PreviewMethod, Priority, RequestChange, Stage, StageBegun, Started, Step, Timings,
};
use sakuga_client::proto::system::v1::system_service_server::SystemServiceServer;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use crate::info::System;

/// The requests so far, each with its `grpc-timeout`.
type Requests = Arc<Mutex<Vec<(GenerateRequest, Option<String>)>>>;

/// What the server does next.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a test holds few of them")]
pub(crate) enum Act {
    /// Sends an event with the next number.
    Send(Event),
    /// Skips this number of sequence numbers.
    Skip(u64),
    /// Goes back to this number.
    Rewind(u64),
    /// Ends the stream with a status.
    Break(Status),
    /// Waits until the client hangs up.
    Hang,
}

/// A running server.
pub(crate) struct Fake {
    pub address: SocketAddr,
    requests: Requests,
    hung_up: watch::Receiver<bool>,
    _stop: mpsc::Sender<()>,
}

impl Fake {
    /// Starts a server that refuses calls with `refusal`, or plays `acts` for each.
    pub(crate) async fn start(refusal: Option<Status>, acts: Vec<Act>) -> Self {
        Self::serve(refusal, vec![], acts, None).await
    }

    /// A server that refuses as many calls as there are `refusals`, and then plays `acts` for each.
    pub(crate) async fn busy_at_first(refusals: Vec<Status>, acts: Vec<Act>) -> Self {
        Self::serve(None, refusals, acts, None).await
    }

    /// A server that plays `acts` and also describes itself.
    pub(crate) async fn playing_as(acts: Vec<Act>, system: System) -> Self {
        Self::serve(None, vec![], acts, Some(system)).await
    }

    async fn serve(refusal: Option<Status>, first: Vec<Status>, acts: Vec<Act>, system: Option<System>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (hang_up, hung_up) = watch::channel(false);
        let (stop, mut stopped) = mpsc::channel::<()>(1);
        let first = Mutex::new(first);
        let service = Script { refusal, first, acts, requests: requests.clone(), hang_up: Arc::new(hang_up) };
        let server = tonic::transport::Server::builder()
            .add_service(GenerationServiceServer::new(service))
            .add_optional_service(system.map(SystemServiceServer::new))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async move {
                stopped.recv().await;
            });
        tokio::spawn(server);
        Self { address, requests, hung_up, _stop: stop }
    }

    /// A server that plays `acts`.
    pub(crate) async fn playing(acts: Vec<Act>) -> Self {
        Self::start(None, acts).await
    }

    /// The requests so far, each with its `grpc-timeout`.
    pub(crate) fn requests(&self) -> Vec<(GenerateRequest, Option<String>)> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until a client has hung up on [`Act::Hang`].
    pub(crate) async fn wait_for_hang_up(&mut self) -> bool {
        tokio::time::timeout(Duration::from_secs(10), self.hung_up.wait_for(|is_hung_up| *is_hung_up)).await.is_ok()
    }
}

struct Script {
    refusal: Option<Status>,
    first: Mutex<Vec<Status>>,
    acts: Vec<Act>,
    requests: Requests,
    hang_up: Arc<watch::Sender<bool>>,
}

#[tonic::async_trait]
impl GenerationService for Script {
    type GenerateStream = Pin<Box<dyn Stream<Item = Result<Encoded<GenerateResponse>, Status>> + Send>>;

    async fn generate(&self, request: Request<GenerateRequest>) -> Result<Response<Self::GenerateStream>, Status> {
        let timeout = request.metadata().get("grpc-timeout").and_then(|value| value.to_str().ok()).map(str::to_owned);
        self.requests.lock().unwrap().push((request.into_inner(), timeout));
        if let Some(refusal) = self.first.lock().unwrap().pop().or_else(|| self.refusal.clone()) {
            return Err(refusal);
        }
        let (sender, receiver) = mpsc::channel(4);
        tokio::spawn(play(self.acts.clone(), sender, self.hang_up.clone()));
        Ok(Response::new(Box::pin(
            ReceiverStream::new(receiver).map(|item| item.map(|response| Encoded::of(&response))),
        )))
    }

    async fn estimate(&self, request: Request<EstimateRequest>) -> Result<Response<EstimateResponse>, Status> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        Ok(Response::new(EstimateResponse { estimate: Some(estimate(&request.into_inner())) }))
    }
}

/// The estimate of the script for a request that fits: one that asks for a single picture.
fn estimate(asked: &EstimateRequest) -> Estimate {
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let images = asked.request.as_ref().map_or(0, |request| request.images);
    let change = RequestChange {
        fields: vec![FieldValue { field: "images".to_owned(), value: "1".to_owned() }],
        description: "ask for 1 instead of 4 images".to_owned(),
    };
    let obstacle = Obstacle {
        kind: ObstacleKind::Memory.into(),
        description: "the request needs more memory".to_owned(),
        changes: vec![change],
    };
    Estimate {
        model: "script".to_owned(),
        device: "cpu".to_owned(),
        learned_jobs: 20,
        time: Some(EstimatedTime { expected: seconds(12), low: seconds(11), high: seconds(14) }),
        steps: asked
            .request
            .as_ref()
            .and_then(|request| request.sampling.as_ref())
            .map_or(28, |sampling| sampling.steps),
        eta: asked.options.and_then(|options| options.timeout),
        queue_position: match asked.options.map(|options| options.priority()) {
            Some(Priority::Low) => 7,
            _ => 0,
        },
        fits: images < 2,
        obstacles: if images < 2 { vec![] } else { vec![obstacle] },
        ..Estimate::default()
    }
}

async fn play(
    acts: Vec<Act>,
    sender: mpsc::Sender<Result<GenerateResponse, Status>>,
    hang_up: Arc<watch::Sender<bool>>,
) {
    let mut sequence = 0;
    for act in acts {
        let item = match act {
            Act::Send(event) => {
                let event = GenerateEvent {
                    sequence,
                    time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
                    job_id: "job-1".to_owned(),
                    event: Some(event),
                };
                sequence += 1;
                Ok(GenerateResponse { event: Some(event) })
            }
            Act::Skip(numbers) => {
                sequence += numbers;
                continue;
            }
            Act::Rewind(number) => {
                sequence = number;
                continue;
            }
            Act::Break(status) => Err(status),
            Act::Hang => {
                sender.closed().await;
                hang_up.send_replace(true);
                return;
            }
        };
        if sender.send(item).await.is_err() {
            return;
        }
    }
}

/// The events before the first step.
pub(crate) fn opening(steps: u32, images: u32) -> Vec<Act> {
    let resolved = GenerateRequest {
        images,
        sampling: Some(sakuga_client::proto::generation::v1::Sampling { steps, ..Default::default() }),
        ..GenerateRequest::default()
    };
    vec![
        Act::Send(Event::Accepted(Accepted { request_id: "request-1".to_owned(), diagnostics: vec![] })),
        Act::Send(Event::Started(Started {
            resolved: Some(resolved),
            seeds: vec![42; images as usize],
            device: "cpu".to_owned(),
            model_notice: "the weights are random".to_owned(),
            quality: None,
        })),
        stage(Stage::TextEncode),
        stage(Stage::Denoise),
    ]
}

pub(crate) fn stage(stage: Stage) -> Act {
    Act::Send(Event::Stage(StageBegun { stage: stage.into(), pass_number: 1 }))
}

pub(crate) fn step(index: u32, total: u32) -> Act {
    Act::Send(Event::Step(Step {
        index,
        total,
        t: 0.5,
        sigma: 0.5,
        step_ms: 143.0,
        eta: Some(prost_types::Duration { seconds: 2, nanos: 300_000_000 }),
        guidance_active: true,
        evaluations: index,
        pass_number: 1,
        reused_share: 0.0,
    }))
}

pub(crate) fn preview(image_index: u32, step: u32, data: &[u8]) -> Act {
    Act::Send(Event::Preview(Preview {
        image_index,
        step,
        method: PreviewMethod::Linear.into(),
        format: ImageFormat::Jpeg.into(),
        width: 8,
        height: 8,
        data: data.to_vec().into(),
    }))
}

/// A picture in two pieces.
pub(crate) fn chunks(image_index: u32, file: &[u8]) -> Vec<Act> {
    let (first, second) = file.split_at(file.len() / 2);
    let chunk = |offset: usize, data: &[u8]| {
        Act::Send(Event::ImageChunk(ImageChunk {
            image_index,
            format: ImageFormat::Png.into(),
            offset: offset as u64,
            total_size: file.len() as u64,
            data: data.to_vec().into(),
        }))
    };
    vec![chunk(0, first), chunk(first.len(), second)]
}

pub(crate) fn completed(files: &[&[u8]]) -> Act {
    let images = files
        .iter()
        .map(|file| ImageInfo {
            sha256: sha256_hex(file),
            pixels_sha256: sha256_hex(b"pixels"),
            width: 16,
            height: 32,
            size: file.len() as u64,
            metadata: None,
            reuse: None,
        })
        .collect();
    let timings = Timings {
        denoise: Some(prost_types::Duration { seconds: 3, nanos: 0 }),
        total: Some(prost_types::Duration { seconds: 4, nanos: 200_000_000 }),
        ..Timings::default()
    };
    Act::Send(Event::Completed(Completed { images, timings: Some(timings) }))
}

/// A whole job that goes well.
pub(crate) fn job(steps: u32, files: &[&[u8]]) -> Vec<Act> {
    let mut acts = opening(steps, u32::try_from(files.len()).unwrap());
    for index in 1..=steps {
        acts.push(step(index, steps));
        acts.push(preview(0, index, b"jpeg bytes"));
    }
    acts.push(stage(Stage::Decode));
    for (index, file) in (0..).zip(files) {
        acts.extend(chunks(index, file));
    }
    acts.push(completed(files));
    acts
}
