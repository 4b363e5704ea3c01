//! A builder of requests. A field that is not set keeps the server's default.

use std::time::Duration;

use sakuga_proto::generation::v1::adapter::Source;
use sakuga_proto::generation::v1::generate_request::{Negative, Prompt};
use sakuga_proto::generation::v1::{
    Adapter, Control, GenerateEvent, GenerateRequest, ImageFormat, InitImage, Mask, NoiseSchedule, Placement,
    PreviewMethod, PreviewOptions, Priority, Quality, Refiner, Sampling, Scene, SecondPass, Solver, StepCache,
};
use sakuga_proto::prompt::v1::Strictness;

use crate::connection::Connection;
use crate::error::ClientError;
use crate::follow::{Policy, Resume};
use crate::generation::{Generation, Tap};

/// A request for pictures that has not been sent.
#[must_use = "nothing is sent before `start`"]
pub struct GenerationBuilder {
    connection: Connection,
    request: GenerateRequest,
    deadline: Option<Duration>,
    priority: Priority,
    placement: Placement,
    tap: Option<Tap>,
}

impl GenerationBuilder {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            request: GenerateRequest::default(),
            deadline: None,
            priority: Priority::Unspecified,
            placement: Placement::Unspecified,
            tap: None,
        }
    }

    /// Replaces everything that was set so far, for example by the request that a picture carries.
    pub fn request(mut self, request: GenerateRequest) -> Self {
        self.request = request;
        self
    }

    /// The prompt as text: XML or any other form that the prompt language accepts.
    pub fn xml(mut self, text: impl Into<String>) -> Self {
        self.request.prompt = Some(Prompt::Xml(text.into()));
        self
    }

    /// The prompt as typed values.
    pub fn prompt(mut self, prompt: &sakuga_schema::Prompt) -> Self {
        self.request.prompt = Some(Prompt::Typed(prompt.into()));
        self
    }

    /// Accepts only text that the XSD accepts, instead of repairing what can be repaired.
    pub fn strict(mut self) -> Self {
        self.request.strictness = Strictness::Strict.into();
        self
    }

    /// The negative prompt as text.
    pub fn negative_text(mut self, text: impl Into<String>) -> Self {
        self.request.negative = Some(Negative::NegativeText(text.into()));
        self
    }

    /// The model, by its name in ListModels.
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.request.model = name.into();
        self
    }

    /// Adds an adapter, by its name in ListAdapters, with factors on its effect on the denoiser and on the text encoders.
    pub fn adapter(mut self, name: impl Into<String>, scale: f32, text_scale: f32) -> Self {
        let source = Some(Source::Name(name.into()));
        self.request.adapters.push(Adapter { source, scale: Some(scale), text_scale: Some(text_scale) });
        self
    }

    /// Adds an image that steers the pictures through a control network.
    pub fn control(mut self, control: Control) -> Self {
        self.request.controls.push(control);
        self
    }

    /// Has the model's refiner compute the end of the schedule.
    pub fn refiner(mut self, refiner: Refiner) -> Self {
        self.request.refiner = Some(refiner);
        self
    }

    /// The system prompt of the text encoder; empty for none.
    pub fn system_prompt(mut self, text: impl Into<String>) -> Self {
        self.request.system_prompt = Some(text.into());
        self
    }

    /// The system prompt of the text encoder before the negative prompt; empty for none.
    pub fn negative_system_prompt(mut self, text: impl Into<String>) -> Self {
        self.request.negative_system_prompt = Some(text.into());
        self
    }

    /// Sets the solver; the model's default otherwise.
    pub fn solver(mut self, solver: Solver) -> Self {
        self.sampling().solver = solver.into();
        self
    }

    /// The noise levels that the solver walks.
    pub fn schedule(mut self, schedule: NoiseSchedule) -> Self {
        self.sampling().schedule = schedule.into();
        self
    }

    /// Number of steps from noise to picture.
    pub fn steps(mut self, steps: u32) -> Self {
        self.sampling().steps = steps;
        self
    }

    /// Scale of classifier-free guidance; 1 turns it off.
    pub fn guidance_scale(mut self, scale: f32) -> Self {
        self.sampling().guidance_scale = Some(scale);
        self
    }

    /// Guidance is active from this t on, from 0 for noise to 1 for the picture. It must be below `guidance_until`.
    pub fn guidance_from(mut self, t: f32) -> Self {
        self.sampling().guidance_from = Some(t);
        self
    }

    /// Guidance is active while t, from 0 for noise to 1 for the picture, is below this.
    pub fn guidance_until(mut self, t: f32) -> Self {
        self.sampling().guidance_until = Some(t);
        self
    }

    /// Limits the norm of the guided velocity to this multiple of the conditional velocity's; 0 means no limit.
    pub fn guidance_renorm(mut self, factor: f32) -> Self {
        self.sampling().guidance_renorm = Some(factor);
        self
    }

    /// Shift of the time schedule: larger values spend more steps near the noise.
    pub fn shift(mut self, shift: f32) -> Self {
        self.sampling().shift = Some(shift);
        self
    }

    /// How exactly evaluations are computed.
    pub fn quality(mut self, quality: Quality) -> Self {
        self.sampling().quality = quality.into();
        self
    }

    /// What evaluations reuse of earlier ones, instead of what the quality stands for.
    pub fn step_cache(mut self, settings: StepCache) -> Self {
        self.sampling().step_cache = Some(settings);
        self
    }

    /// Width and height in pixels.
    pub fn size(mut self, width_px: u32, height_px: u32) -> Self {
        self.request.width = width_px;
        self.request.height = height_px;
        self
    }

    /// Number of pictures.
    pub fn images(mut self, count: u32) -> Self {
        self.request.images = count;
        self
    }

    /// Draws only these pictures of the batch of [`GenerationBuilder::images`], by index from 0. Each is bit for bit the one
    /// of the whole batch, and keeps its index.
    pub fn image_indices(mut self, indices: impl IntoIterator<Item = u32>) -> Self {
        self.request.image_indices = indices.into_iter().collect();
        self
    }

    /// Sets the seed of the noise; without it the server draws one and reports it.
    pub fn seed(mut self, seed: u64) -> Self {
        self.request.seed = Some(seed);
        self
    }

    /// Begins from this image. See [`InitImage`] for its strength and size.
    pub fn init(mut self, init: InitImage) -> Self {
        self.request.init = Some(init);
        self
    }

    /// Draws only a part of the image again.
    pub fn mask(mut self, mask: Mask) -> Self {
        self.request.mask = Some(mask);
        self
    }

    /// Enlarges the pictures and draws them again.
    pub fn second_pass(mut self, second: SecondPass) -> Self {
        self.request.second_pass = Some(second);
        self
    }

    /// Has another model draw the pictures again: a scene around the characters of the first pass.
    pub fn scene(mut self, scene: Scene) -> Self {
        self.request.scene = Some(scene);
        self
    }

    /// Sets how previews are made from the latents.
    pub fn preview(mut self, method: PreviewMethod) -> Self {
        self.preview_options().method = method.into();
        self
    }

    /// Sets the file format of previews.
    pub fn preview_format(mut self, format: ImageFormat) -> Self {
        self.preview_options().format = format.into();
        self
    }

    /// The largest edge of a preview, in pixels.
    pub fn preview_max_edge(mut self, edge_px: u32) -> Self {
        self.preview_options().max_edge = edge_px;
        self
    }

    /// A preview after every `steps` steps.
    pub fn preview_every_steps(mut self, steps: u32) -> Self {
        self.preview_options().every_steps = steps;
        self
    }

    /// The shortest time between two samples of the device.
    pub fn gpu_stats_interval(mut self, interval: Duration) -> Self {
        self.request.gpu_stats_interval_ms = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
        self
    }

    /// Measures the operations on the device and reports them as [`EventKind::Profile`](crate::EventKind::Profile).
    pub fn profile(mut self, is_wanted: bool) -> Self {
        self.request.profile = is_wanted;
        self
    }

    /// Identifies the request in the server's log and in ListJobs.
    pub fn request_id(mut self, id: impl Into<String>) -> Self {
        self.request.request_id = id.into();
        self
    }

    /// How long the whole job may take, waiting included. After that the server cancels it at its next step.
    pub fn deadline(mut self, after: Duration) -> Self {
        self.deadline = Some(after);
        self
    }

    /// The job's share of the devices while other jobs wait. [`GenerationBuilder::start`] does not send it: Generate has no
    /// priorities.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// On how many devices of the server the job is drawn; for [`start_resuming`](Self::start_resuming) only.
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Calls `tap` with every event as received, before it is checked.
    pub fn tap(mut self, tap: impl FnMut(&GenerateEvent) + Send + 'static) -> Self {
        self.tap = Some(Box::new(tap));
        self
    }

    /// The request so far.
    pub fn as_request(&self) -> &GenerateRequest {
        &self.request
    }

    /// Sends the request.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with the fields that are wrong, or the error of the connection.
    pub async fn start(self) -> Result<Generation, ClientError> {
        Generation::start(&self.connection, self.request, self.deadline, self.tap).await
    }

    /// Sends the request as a job and follows it across lost connections and restarts of the server. No event comes twice,
    /// and only previews, statistics and queue positions can be missing. A server without JobService gets the request as
    /// by [`GenerationBuilder::start`]. Dropping the generation cancels the job; if the server cannot be reached then, it
    /// cancels the job itself after `resume.patience`.
    ///
    /// # Errors
    ///
    /// Those of [`GenerationBuilder::start`], once the server was unreachable for `resume.patience`.
    pub async fn start_resuming(self, resume: Resume) -> Result<Generation, ClientError> {
        let policy = Policy { timeout: self.deadline, priority: self.priority, placement: self.placement };
        Generation::start_resuming(&self.connection, self.request, policy, self.tap, resume).await
    }

    fn sampling(&mut self) -> &mut Sampling {
        self.request.sampling.get_or_insert_default()
    }

    fn preview_options(&mut self) -> &mut PreviewOptions {
        self.request.preview.get_or_insert_default()
    }
}

impl std::fmt::Debug for GenerationBuilder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("GenerationBuilder")
            .field("request", &self.request)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
