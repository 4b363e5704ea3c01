//! The protocol: draws every picture and every text one after the other, and records the events.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use sakuga_bench::article::FormText;
use sakuga_bench::case::{self, Case, Text};
use sakuga_bench::protocol::Protocol;
use sakuga_bench::record::{CaseRecord, ComputePath, FORMAT, JobRecord, LoadingPhase, Record, System, TextSample};
use sakuga_bench::recorder::Recorder;
use sakuga_client::proto::generation::v1::{Placement, PreviewMethod, Refiner, Sampling};
use sakuga_client::proto::system::v1::{GetServerInfoRequest, GetServerInfoResponse, ListModelsRequest, Model};
use sakuga_client::proto::time::milliseconds;
use sakuga_client::{Client, EventKind, GenerationBuilder, Resume, cancel_reason};

use super::progress::Progress;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::server::answer;
use crate::cli::size::Size;

/// Interval of the samples of the device.
const STATS_INTERVAL: Duration = Duration::from_millis(100);

/// Edge of the pictures that are drawn to measure the text encoders, in multiples of the server's size multiple.
const TEXT_EDGE_MULTIPLES: u32 = 4;
/// The size multiple of a server that does not report it.
const SIZE_MULTIPLE: u32 = 16;

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The prompts.
    pub cases: Vec<Case>,
    /// Measured pictures of each.
    pub repeats: u32,
    /// Pictures of each before the measured ones.
    pub warmup: u32,
    /// Width and height; `None` for the model's.
    pub size: Option<Size>,
    /// Steps; `None` for the model's.
    pub steps: Option<u32>,
    /// Further sampling options of every measured picture; what is absent is the model's.
    pub sampling: Sampling,
    /// Whether the model's refiner computes the last steps.
    pub is_refined: bool,
    /// The model; `None` for the server's default.
    pub model: Option<String>,
    /// Whether one more picture is drawn with a profile.
    pub is_profiled: bool,
    /// On how many devices of the server each picture is drawn; `None`: the server's default.
    pub placement: Option<Placement>,
    /// The command line, for the record.
    pub command: String,
}

impl Plan {
    /// Number of requests.
    pub(crate) fn calls(&self) -> u64 {
        let pictures = self.cases.len() as u64 * u64::from(self.repeats.saturating_add(self.warmup));
        pictures + u64::from(self.repeats) * case::texts("", "", 1).len() as u64 + u64::from(self.is_profiled)
    }
}

/// The model of this name; without a name the first one, which is the server's default.
pub(super) fn wanted<'a>(models: &'a [Model], name: Option<&str>) -> Result<&'a Model, Failure> {
    models.iter().find(|model| name.is_none_or(|name| name == model.name)).ok_or_else(|| {
        let name = name.unwrap_or_default();
        Failure::new(Exit::Server, format_args!("the server has no model `{name}`"))
            .with_help("`sakuga info` lists its models")
    })
}

/// Runs the plan.
///
/// # Errors
///
/// The server refuses a request, fails, cannot be reached, or does not have the model.
pub(crate) async fn measure(client: &Client, plan: &Plan, progress: &Progress) -> Result<Record, Failure> {
    let info = answer(client, client.system().get_server_info(GetServerInfoRequest {})).await?;
    let models = answer(client, client.system().list_models(ListModelsRequest {})).await?.models;
    let model = wanted(&models, plan.model.as_deref())?;
    let edge_px = text_edge_px(&info);
    let mut run = Run { client, plan, progress, begun: Instant::now(), protocol: None };
    let begun_unix_ms = unix_ms();
    let mut cases = Vec::new();
    for case in &plan.cases {
        cases.push(run.case(case).await?);
    }
    let texts = run.texts(model, edge_px).await?;
    let profiled = match plan.cases.last() {
        Some(case) if plan.is_profiled => Some(run.profiled(case).await?),
        _ => None,
    };
    let record = Record {
        format: FORMAT.to_owned(),
        program: concat!("sakuga ", env!("CARGO_PKG_VERSION")).to_owned(),
        command: plan.command.clone(),
        begun_unix_ms,
        protocol: run.protocol.unwrap_or_default(),
        system: system(&info, model),
        // The server reports the phases of its default model, which is the first.
        loading: if models.first() == Some(model) { loading(&info) } else { Vec::new() },
        compute_paths: compute_paths(&info),
        cases,
        texts,
        profiled,
    };
    record.checked().map_err(|error| Failure::new(Exit::Server, error))
}

/// Times of the text encoders for new texts of every case.
///
/// # Errors
///
/// Those of [`measure`].
pub(super) async fn form_texts(client: &Client, plan: &Plan, progress: &Progress) -> Result<Vec<FormText>, Failure> {
    let info = answer(client, client.system().get_server_info(GetServerInfoRequest {})).await?;
    let models = answer(client, client.system().list_models(ListModelsRequest {})).await?.models;
    let model = wanted(&models, plan.model.as_deref())?;
    let run = Run { client, plan, progress, begun: Instant::now(), protocol: None };
    run.form_texts(model, text_edge_px(&info)).await
}

/// Edge of the pictures that texts are drawn in.
fn text_edge_px(info: &GetServerInfoResponse) -> u32 {
    let multiple = info.limits.as_ref().map_or(SIZE_MULTIPLE, |limits| limits.size_multiple);
    multiple.max(1).saturating_mul(TEXT_EDGE_MULTIPLES)
}

/// A text that no other run has.
fn salt() -> String {
    format!("{:?}", SystemTime::now())
}

struct Run<'a> {
    client: &'a Client,
    plan: &'a Plan,
    progress: &'a Progress,
    begun: Instant,
    /// The settings that the server reported for the first picture.
    protocol: Option<Protocol>,
}

impl Run<'_> {
    async fn case(&mut self, case: &Case) -> Result<CaseRecord, Failure> {
        let mut record = CaseRecord {
            name: case.name.to_owned(),
            title: case.title.to_owned(),
            prompt: case.prompt.to_owned(),
            warmup: Vec::new(),
            repeats: Vec::new(),
        };
        for index in 0..self.plan.warmup {
            self.progress.begin(&format!("{}: warm-up {} of {}", case.title, index + 1, self.plan.warmup));
            record.warmup.push(self.picture(case, index).await?.finish());
        }
        for index in 0..self.plan.repeats {
            self.progress.begin(&format!("{}: picture {} of {}", case.title, index + 1, self.plan.repeats));
            let recorder = self.picture(case, index).await?;
            if self.protocol.is_none() {
                self.protocol = Some(protocol(&recorder, self.plan));
            }
            record.repeats.push(recorder.finish());
        }
        Ok(record)
    }

    /// Draws a separate picture with a profile, because profiling slows the steps down.
    async fn profiled(&self, case: &Case) -> Result<JobRecord, Failure> {
        self.progress.begin(&format!("{}: a profile", case.title));
        let request = self.sized(self.request(case.prompt).seed(case::SEED).profile(true));
        Ok(self.draw(request).await?.finish())
    }

    async fn picture(&self, case: &Case, index: u32) -> Result<Recorder, Failure> {
        let request = self.request(case.prompt).seed(case::SEED.wrapping_add(index.into()));
        self.draw(self.sized(request)).await
    }

    fn sized(&self, mut request: GenerationBuilder) -> GenerationBuilder {
        if let Some(size) = self.plan.size {
            request = request.size(size.width_px, size.height_px);
        }
        let mut whole = request.as_request().clone();
        whole.sampling = Some(self.plan.sampling.clone());
        whole.refiner = self.plan.is_refined.then(Refiner::default);
        request = request.request(whole);
        if let Some(steps) = self.plan.steps {
            request = request.steps(steps);
        }
        request
    }

    /// Times of the text encoders.
    async fn texts(&self, model: &Model, edge_px: u32) -> Result<Vec<TextSample>, Failure> {
        let mut samples = Vec::new();
        for text in case::texts(&salt(), &model.default_system_prompt, self.plan.repeats) {
            self.progress.begin(&format!("text encoders: {}", text.kind.title()));
            samples.push(TextSample { kind: text.kind, ms: self.text_ms(&text, edge_px).await? });
        }
        Ok(samples)
    }

    /// Times of the text encoders for new texts of every case.
    async fn form_texts(&self, model: &Model, edge_px: u32) -> Result<Vec<FormText>, Failure> {
        let mut samples = Vec::new();
        for case in &self.plan.cases {
            for text in case::new_texts(case, &salt(), &model.default_system_prompt, self.plan.repeats) {
                self.progress.begin(&format!("text encoders: {}", case.title));
                samples.push(FormText { case: case.name.to_owned(), ms: self.text_ms(&text, edge_px).await? });
            }
        }
        Ok(samples)
    }

    /// A text is drawn in the smallest size, in one step.
    async fn text_ms(&self, text: &Text, edge_px: u32) -> Result<f64, Failure> {
        let mut request = self.request(&text.prompt).seed(case::SEED).size(edge_px, edge_px).steps(1);
        if let Some(system_prompt) = text.system_prompt.as_ref().filter(|prompt| !prompt.is_empty()) {
            request = request.system_prompt(system_prompt);
        }
        Ok(self.draw(request).await?.finish().timings.text_encode_ms)
    }

    fn request(&self, prompt: &str) -> GenerationBuilder {
        let mut request =
            self.client.generation().xml(prompt).preview(PreviewMethod::None).gpu_stats_interval(STATS_INTERVAL);
        if let Some(model) = &self.plan.model {
            request = request.model(model);
        }
        request
    }

    async fn draw(&self, request: GenerationBuilder) -> Result<Recorder, Failure> {
        let asked = Instant::now();
        let recorder = Arc::new(Mutex::new(Recorder::begun(asked - self.begun)));
        let tapped = recorder.clone();
        let request = request.tap(move |event| {
            tapped.lock().unwrap_or_else(PoisonError::into_inner).take(event, Some(asked.elapsed()));
        });
        let mut generation = match self.plan.placement {
            Some(placement) => request.placement(placement).start_resuming(Resume::default()).await?,
            None => request.start().await?,
        };
        while let Some(event) = generation.next_event().await? {
            if let EventKind::Cancelled(cancelled) = event.kind {
                let reason = cancel_reason(cancelled.reason());
                return Err(Failure::new(Exit::Cancelled, format_args!("a picture was cancelled: {reason}")));
            }
        }
        drop(generation);
        self.progress.end();
        let recorder = std::mem::take(&mut *recorder.lock().unwrap_or_else(PoisonError::into_inner));
        if recorder.is_completed {
            Ok(recorder)
        } else {
            Err(Failure::new(Exit::Server, "the server ended the stream without a terminal event"))
        }
    }
}

/// The settings that the server reported.
fn protocol(recorder: &Recorder, plan: &Plan) -> Protocol {
    let mut protocol = Protocol::of(recorder.resolved.as_ref());
    protocol.repeats = plan.repeats;
    protocol.warmup = plan.warmup;
    protocol.request.seed = Some(case::SEED);
    protocol
}

fn system(info: &GetServerInfoResponse, model: &Model) -> System {
    System {
        engine: info.engine.clone(),
        version: info.version.clone(),
        device: info.device.clone(),
        precision: info.precision.clone(),
        model: model.name.clone(),
        fingerprint: model.fingerprint.clone(),
        notice: model.notice.clone(),
        parameters: model.parameters.iter().map(|(part, count)| (part.clone(), *count)).collect(),
    }
}

fn loading(info: &GetServerInfoResponse) -> Vec<LoadingPhase> {
    let phases = info.loading.iter().map(|phase| LoadingPhase {
        name: phase.name.clone(),
        begin_ms: milliseconds(phase.begin),
        duration_ms: milliseconds(phase.duration),
        bytes: phase.bytes,
    });
    phases.collect()
}

fn compute_paths(info: &GetServerInfoResponse) -> Vec<ComputePath> {
    let paths = info.compute_paths.iter().map(|path| ComputePath {
        operation: path.operation.clone(),
        implementation: path.implementation.clone(),
        reason: path.reason.clone(),
    });
    paths.collect()
}

/// Milliseconds since 1970; 0 on a machine whose clock is before it.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
