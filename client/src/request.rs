//! Filling in a request. What is not set keeps the server's default.

use std::time::Duration;

use sakuga_proto::generation::v1::generate_request::{Negative, Prompt};
use sakuga_proto::generation::v1::{
    GenerateEvent, GenerateRequest, ImageFormat, PreviewMethod, PreviewOptions, Sampling, Solver,
};
use sakuga_proto::prompt::v1::Strictness;

use crate::connect::Client;
use crate::error::ClientError;
use crate::follow::Resume;
use crate::generation::{Generation, Tap};
use crate::typed;

/// A request for pictures that has not been sent.
#[must_use = "nothing is asked of the server before `start`"]
pub struct GenerationBuilder {
    client: Client,
    request: GenerateRequest,
    deadline: Option<Duration>,
    tap: Option<Tap>,
}

impl GenerationBuilder {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, request: GenerateRequest::default(), deadline: None, tap: None }
    }

    /// Replaces everything that was set so far by `request`, such as one that a picture carries.
    pub fn request(mut self, request: GenerateRequest) -> Self {
        self.request = request;
        self
    }

    /// What to draw, as text: XML or any envelope that the prompt language knows.
    pub fn xml(mut self, text: impl Into<String>) -> Self {
        self.request.prompt = Some(Prompt::Xml(text.into()));
        self
    }

    /// What to draw, as a typed prompt.
    pub fn prompt(mut self, prompt: &sakuga_schema::Prompt) -> Self {
        self.request.prompt = Some(Prompt::Typed(typed::prompt_to_wire(prompt)));
        self
    }

    /// Accepts only text that the XSD accepts, instead of repairing what can be repaired.
    pub fn strict(mut self) -> Self {
        self.request.strictness = Strictness::Strict.into();
        self
    }

    /// What the picture must not be, as text.
    pub fn negative_text(mut self, text: impl Into<String>) -> Self {
        self.request.negative = Some(Negative::NegativeText(text.into()));
        self
    }

    /// The model, as the server lists it.
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.request.model = name.into();
        self
    }

    /// What Gemma reads before the prompt; empty for nothing.
    pub fn system_prompt(mut self, text: impl Into<String>) -> Self {
        self.request.system_prompt = Some(text.into());
        self
    }

    /// The solver.
    pub fn solver(mut self, solver: Solver) -> Self {
        self.sampling().solver = solver.into();
        self
    }

    /// Intervals from noise to picture.
    pub fn steps(mut self, steps: u32) -> Self {
        self.sampling().steps = steps;
        self
    }

    /// Scale of classifier-free guidance.
    pub fn guidance_scale(mut self, scale: f32) -> Self {
        self.sampling().guidance_scale = Some(scale);
        self
    }

    /// Guidance is active while t is below this.
    pub fn guidance_until(mut self, t: f32) -> Self {
        self.sampling().guidance_until = Some(t);
        self
    }

    /// Bounds the norm of the guided velocity to this multiple of the conditional one's; 0 for off.
    pub fn guidance_renorm(mut self, factor: f32) -> Self {
        self.sampling().guidance_renorm = Some(factor);
        self
    }

    /// Time shift.
    pub fn shift(mut self, shift: f32) -> Self {
        self.sampling().shift = Some(shift);
        self
    }

    /// Width and height in pixels.
    pub fn size(mut self, width_px: u32, height_px: u32) -> Self {
        self.request.width = width_px;
        self.request.height = height_px;
        self
    }

    /// How many pictures.
    pub fn images(mut self, count: u32) -> Self {
        self.request.images = count;
        self
    }

    /// Start of the noise.
    pub fn seed(mut self, seed: u64) -> Self {
        self.request.seed = Some(seed);
        self
    }

    /// How previews are made.
    pub fn preview(mut self, method: PreviewMethod) -> Self {
        self.preview_options().method = method.into();
        self
    }

    /// How previews are encoded.
    pub fn preview_format(mut self, format: ImageFormat) -> Self {
        self.preview_options().format = format.into();
        self
    }

    /// The longer edge of a preview at the most, in pixels.
    pub fn preview_max_edge(mut self, edge_px: u32) -> Self {
        self.preview_options().max_edge = edge_px;
        self
    }

    /// A preview after every `steps` steps.
    pub fn preview_every_steps(mut self, steps: u32) -> Self {
        self.preview_options().every_steps = steps;
        self
    }

    /// Least time between two samples of the device.
    pub fn gpu_stats_interval(mut self, interval: Duration) -> Self {
        self.request.gpu_stats_interval_ms = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
        self
    }

    /// Measures on the device where the time goes, and says so in [`EventKind::Profile`](crate::EventKind::Profile).
    pub fn profile(mut self, is_wanted: bool) -> Self {
        self.request.profile = is_wanted;
        self
    }

    /// Names the job in the server's log.
    pub fn request_id(mut self, id: impl Into<String>) -> Self {
        self.request.request_id = id.into();
        self
    }

    /// How long the whole job may take, waiting included. The server gives it up at the next step after that.
    pub fn deadline(mut self, after: Duration) -> Self {
        self.deadline = Some(after);
        self
    }

    /// Shows every event to `tap` as it came, before it is checked: for logs that also hold what was wrong.
    pub fn tap(mut self, tap: impl FnMut(&GenerateEvent) + Send + 'static) -> Self {
        self.tap = Some(Box::new(tap));
        self
    }

    /// The request as it stands.
    pub fn as_request(&self) -> &GenerateRequest {
        &self.request
    }

    /// Sends the request.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with what is wrong with the request, or why the connection did not hold.
    pub async fn start(self) -> Result<Generation, ClientError> {
        Generation::start(self.client, self.request, self.deadline, self.tap).await
    }

    /// Sends the request as a job that is followed through broken connections and restarts of the server: nothing is seen
    /// twice and no state is missed. A server that knows no jobs is asked as by [`GenerationBuilder::start`]. Dropping the
    /// generation cancels the job, if the server can be told; else the server does after `resume.patience`.
    ///
    /// # Errors
    ///
    /// Those of [`GenerationBuilder::start`], when patience has ended.
    pub async fn start_resuming(self, resume: Resume) -> Result<Generation, ClientError> {
        Generation::start_resuming(self.client, self.request, self.deadline, self.tap, resume).await
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
