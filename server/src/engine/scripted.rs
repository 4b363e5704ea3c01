//! An engine that draws gradients at set times and fails where its script says: for tests, and for authors of clients.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sakuga_model_core::{
    AdapterChoice, Assistant, EncoderInfo, EngineError, EngineInfo, EvaluationReuse, GenerationSpec, Guidance,
    ImageModel, Leader, MemoryNeed, MemoryShortage, ModelDescription, ModelInfo, ModelSource, ModelVocabulary,
    NoiseSchedule, Observer, OpenModel, OpenOptions, Outcome, Pass, PreviewMethod, Progress, PromptText, Quality,
    ReuseRule, Rgb8, Sampling, SecondPass, SizeLimits, Solver, Stage, StepCache, StepCacheSupport, StepDone,
    StepReport, Timings, TokenCount, TokenCounter, Upscaler,
};

mod adapters;
mod figures;
mod profile;
mod shared;

/// The sampling options of a request that gives none.
const SAMPLING: Sampling = Sampling {
    solver: Solver::Euler,
    schedule: NoiseSchedule::Native,
    steps: 28,
    guidance: Guidance::new(5.0),
    shift: 6.0,
    quality: Quality::Exact,
    step_cache: None,
};
/// Blocks of the denoiser that it claims to have.
const BLOCKS: u32 = 12;
/// The names of the text encoders.
const ENCODERS: [&str; 2] = ["main_encoder", "pooled_encoder"];

/// Times, sizes and faults of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// How long a step takes, in milliseconds.
    pub step_ms: u64,
    /// How long the text encoders take, in milliseconds.
    pub text_encode_ms: u64,
    /// How long the decoder takes, in milliseconds.
    pub decode_ms: u64,
    /// Default width and height, in pixels.
    pub default_size_px: u32,
    /// Bytes of its weights, on the device and in host memory.
    pub weight_bytes: u64,
    /// How long opening it from its files takes, in milliseconds. From host memory it takes no time.
    pub load_ms: u64,
    /// The openings that fail, counted from 1 over the life of the server.
    pub failing_openings: Vec<u64>,
    /// Faults of its jobs.
    pub faults: Vec<ScriptedFault>,
    /// Faults of jobs of other devices in which it assists, counted like jobs and their guided evaluations like steps.
    pub assist_faults: Vec<ScriptedFault>,
    /// Whether it claims to have a refiner.
    pub has_refiner: bool,
    /// Whether its folder has a quality profile, that of `scripted::profile`.
    pub has_quality_profile: bool,
    /// The tags and sizes that it claims to be trained with.
    pub vocabulary: Option<Arc<ModelVocabulary>>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            step_ms: 50,
            text_encode_ms: 20,
            decode_ms: 20,
            default_size_px: 512,
            weight_bytes: 64 << 20,
            load_ms: 0,
            failing_openings: Vec::new(),
            faults: Vec::new(),
            assist_faults: Vec::new(),
            has_refiner: false,
            has_quality_profile: false,
            vocabulary: None,
        }
    }
}

/// A fault of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedFault {
    /// The job, counted from 1 over the life of the server.
    pub job: u64,
    /// The step after which it happens; 0 is before the first.
    pub after_step: u32,
    /// What happens.
    pub fault: Fault,
}

/// The kinds of faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The job fails.
    Fail,
    /// The device is gone.
    LoseDevice,
    /// The device runs out of memory at a request for this number of bytes.
    ExhaustMemory(u64),
    /// The engine panics.
    Panic,
    /// The engine does nothing for this number of milliseconds and ignores its observer.
    Hang(u64),
}

/// A model that follows `script`: its jobs count on when it is opened again.
pub fn source(script: Script) -> Arc<dyn ModelSource> {
    new_source(&Arc::new(script), &Arc::default())
}

/// The same model on `devices` devices. Jobs and openings are counted over all devices, so each fault happens once.
pub fn sources(script: Script, devices: usize) -> Vec<Arc<dyn ModelSource>> {
    let (script, counts) = (Arc::new(script), Arc::default());
    (0..devices).map(|_| new_source(&script, &counts)).collect()
}

fn new_source(script: &Arc<Script>, counts: &Arc<Counts>) -> Arc<dyn ModelSource> {
    Arc::new(ScriptedSource { script: script.clone(), counts: counts.clone(), has_host_copy: AtomicBool::new(false) })
}

/// What happened to a model so far.
#[derive(Default)]
struct Counts {
    jobs: AtomicU64,
    /// Jobs in which it assisted.
    assists: AtomicU64,
    /// How often it was opened.
    openings: AtomicU64,
}

struct ScriptedSource {
    script: Arc<Script>,
    counts: Arc<Counts>,
    /// Whether it pretends to have a copy of its weights in host memory.
    has_host_copy: AtomicBool,
}

impl ModelSource for ScriptedSource {
    fn describe(&self) -> Result<ModelDescription, EngineError> {
        let info = EngineInfo { loading: Vec::new(), compute_paths: Vec::new(), ..info(&self.script) };
        Ok(ModelDescription {
            info,
            tokens: Arc::new(WordCounter),
            adapters: Some(Arc::new(adapters::Headers)),
            host_copy_bytes: self.script.weight_bytes,
        })
    }

    fn open(&self, options: OpenOptions) -> Result<OpenModel, EngineError> {
        let opening = self.counts.openings.fetch_add(1, Ordering::Relaxed) + 1;
        if self.script.load_ms > 0 && !self.has_host_copy.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(self.script.load_ms));
        }
        if self.script.failing_openings.contains(&opening) {
            return Err(EngineError::Model(format!("the script fails opening {opening}")));
        }
        self.has_host_copy.store(options.keeps_host_copy, Ordering::Relaxed);
        let memory = figures::Memory::of_weights(self.script.weight_bytes);
        Ok(OpenModel {
            info: info(&self.script),
            tokens: Arc::new(WordCounter),
            memory: memory.probe(),
            adapters: Some(Arc::new(adapters::Headers)),
            model: Box::new(ScriptedModel {
                script: self.script.clone(),
                counts: self.counts.clone(),
                memory,
                applied: Vec::new(),
            }),
        })
    }

    fn host_copy_bytes(&self) -> u64 {
        if self.has_host_copy.load(Ordering::Relaxed) { self.script.weight_bytes } else { 0 }
    }

    fn drop_host_copy(&self) {
        self.has_host_copy.store(false, Ordering::Relaxed);
    }
}

fn info(script: &Script) -> EngineInfo {
    EngineInfo {
        pixels_max: None,
        kind: "scripted",
        device: "cpu".into(),
        precision: "f32".into(),
        memory: MemoryNeed { fixed_bytes: script.weight_bytes, pixel_bytes: figures::PIXEL_BYTES, batch_max: 0 },
        loading: figures::loading(script.weight_bytes),
        compute_paths: figures::compute_paths(),
        model: ModelInfo {
            name: "scripted".into(),
            family: "scripted",
            encoders: ENCODERS.map(|name| EncoderInfo { name, tokens_max: WordCounter::LIMIT }).into(),
            stages: vec![Stage::TextEncode, Stage::Denoise, Stage::Decode],
            parameters: BTreeMap::new(),
            default_size_px: script.default_size_px,
            size: SizeLimits { multiple_px: 16, edge_max_px: 8192, pixels_max: 8192 * 8192 },
            has_preview_decoder: true,
            encodes_images: true,
            notice: "scripted engine: no model is loaded, the pictures are gradients".into(),
            fingerprint: "0".repeat(64),
            default_system_prompt: "You draw gradients. ".into(),
            default_plain_system_prompt: "You draw plain gradients. ".into(),
            prompt_text: PromptText::Markup,
            solvers: &Solver::ALL,
            schedules: &NoiseSchedule::ALL,
            has_shift: true,
            sampling: SAMPLING,
            controls: Vec::new(),
            refiner: script.has_refiner.then(|| format!("refiner@{}", "1".repeat(64))),
            vocabulary: script.vocabulary.clone(),
            shares_guidance: true,
            step_cache: Some(StepCacheSupport {
                blocks: BLOCKS,
                profile: script.has_quality_profile.then(|| Arc::new(profile::profile())),
            }),
        },
    }
}

struct ScriptedModel {
    script: Arc<Script>,
    counts: Arc<Counts>,
    memory: figures::Memory,
    /// The adapters of the last job.
    applied: Vec<AdapterChoice>,
}

impl ImageModel for ScriptedModel {
    fn generate(&mut self, spec: &GenerationSpec, observer: &mut Observer<'_>) -> Result<Outcome, EngineError> {
        self.draw(spec, None, observer)
    }

    fn generate_with(
        &mut self,
        spec: &GenerationSpec,
        assistant: &dyn Assistant,
        observer: &mut Observer<'_>,
    ) -> Result<Outcome, EngineError> {
        self.draw(spec, Some(assistant), observer)
    }

    fn assist(&mut self, spec: &GenerationSpec, leader: &mut dyn Leader) -> Result<(), EngineError> {
        self.assist_in(spec, leader)
    }

    fn release(&mut self) -> Result<(), EngineError> {
        self.applied.clear();
        Ok(())
    }
}

impl ScriptedModel {
    fn draw(
        &mut self,
        spec: &GenerationSpec,
        assistant: Option<&dyn Assistant>,
        observer: &mut Observer<'_>,
    ) -> Result<Outcome, EngineError> {
        let mut halves = shared::Halves::new(assistant);
        let begun = Instant::now();
        let job = self.counts.jobs.fetch_add(1, Ordering::Relaxed) + 1;
        let stopped = |after_step| Ok(Outcome::Stopped { after_step });
        let _taken = self.memory.take(spec);
        if self.applied != spec.adapters {
            if observer(Progress::Stage(Stage::LoadAdapters)).is_break() {
                return stopped(0);
            }
            self.applied.clone_from(&spec.adapters);
        }
        if observer(Progress::Stage(Stage::TextEncode)).is_break() {
            return stopped(0);
        }
        let text_encode = self.pass(self.script.text_encode_ms);
        if profile(spec, Stage::TextEncode, text_encode, observer).is_break() {
            return stopped(0);
        }
        let mut timings = Timings { text_encode, ..Timings::default() };
        let mut size = (spec.width_px, spec.height_px);
        for (number, pass) in (1..).zip(spec.passes()) {
            if self.begin_pass(spec, number, &mut timings, observer).is_break() {
                return stopped(timings.steps.len() as u32);
            }
            size = (pass.width_px, pass.height_px);
            let before = timings.steps.len();
            if number == 1 {
                play(&self.script.faults, job, 0)?;
            }
            for index in 1..=pass.steps() {
                let duration = halves.step(self.script.step_ms, number, index);
                timings.steps.push(duration);
                let done = timings.steps.len() as u32;
                if self.step(spec, number, &pass, index, done, duration, observer).is_break() {
                    return stopped(done);
                }
                play(&self.script.faults, job, done)?;
            }
            if profile(spec, Stage::Denoise, timings.steps[before..].iter().sum(), observer).is_break() {
                return stopped(timings.steps.len() as u32);
            }
        }
        drop(halves);
        if self.code(spec, Stage::Decode, &mut timings.decode, observer).is_break() {
            return stopped(timings.steps.len() as u32);
        }
        let image = |index| gradient(spec, index, size.0, size.1, 1.0);
        let drawn = spec.drawn().into_iter().map(image);
        let images = match &spec.init {
            Some(init) => drawn.map(|image| init.composed(image)).collect(),
            None => drawn.collect(),
        };
        timings.total = begun.elapsed();
        let reused = match spec.sampling.step_cache {
            Some(cache) => vec![reuse(spec, &cache); spec.drawn().len()],
            None => Vec::new(),
        };
        Ok(Outcome::Finished { images, timings, reused })
    }
}

/// Whether a step of a pass claims to reuse; without a pattern every second one after the warm-up.
fn reuses(cache: &StepCache, step: u32) -> bool {
    match cache.rule {
        ReuseRule::Steps(steps) => steps.contains(step),
        ReuseRule::Change { warmup_steps, .. } => step > warmup_steps && step.is_multiple_of(2),
    }
}

/// What an image claims to have reused, in both halves of guidance.
fn reuse(spec: &GenerationSpec, cache: &StepCache) -> EvaluationReuse {
    let mut all = EvaluationReuse::default();
    for pass in spec.passes() {
        let each = spec.sampling.solver.evaluations_per_step();
        let reused = (1..=pass.steps()).filter(|step| reuses(cache, *step));
        let conditional: Vec<u32> = reused.flat_map(|step| (step - 1) * each + 1..=step * each).collect();
        all.append(&EvaluationReuse {
            evaluations: pass.steps() * each,
            unconditional: conditional.clone(),
            conditional,
        });
    }
    all
}

impl ScriptedModel {
    /// The stages before the steps of a pass, in the order of the models in burn.
    fn begin_pass(
        &self,
        spec: &GenerationSpec,
        number: u32,
        timings: &mut Timings,
        observer: &mut Observer<'_>,
    ) -> ControlFlow<()> {
        match (number, &spec.init, &spec.second_pass) {
            (1, Some(_), _) => self.code(spec, Stage::VaeEncode, &mut timings.vae_encode, observer)?,
            (2, _, Some(SecondPass { upscaler: Upscaler::Lanczos, .. })) => {
                self.code(spec, Stage::Decode, &mut timings.decode, observer)?;
                observer(Progress::Pass(2))?;
                self.code(spec, Stage::VaeEncode, &mut timings.vae_encode, observer)?;
            }
            (2, ..) => observer(Progress::Pass(2))?,
            _ => {}
        }
        observer(Progress::Stage(Stage::Denoise))
    }

    /// A stage of the VAE.
    fn code(
        &self,
        spec: &GenerationSpec,
        stage: Stage,
        time: &mut Duration,
        observer: &mut Observer<'_>,
    ) -> ControlFlow<()> {
        observer(Progress::Stage(stage))?;
        let took = self.pass(self.script.decode_ms);
        *time += took;
        profile(spec, stage, took, observer)
    }

    /// Reports step `index` of a pass, the one of number `done` of the request.
    #[expect(clippy::too_many_arguments, reason = "the place of the step in its pass and in the request")]
    fn step(
        &self,
        spec: &GenerationSpec,
        number: u32,
        pass: &Pass,
        index: u32,
        done: u32,
        duration: Duration,
        observer: &mut Observer<'_>,
    ) -> ControlFlow<()> {
        let Sampling { solver, guidance, shift, .. } = spec.sampling;
        let linear = (pass.grid_steps - pass.steps() + index) as f32 / pass.grid_steps as f32;
        let t = linear / (linear + shift - shift * linear);
        let previews = |method| {
            let shrink = match method {
                PreviewMethod::Linear => 8,
                PreviewMethod::Decoder => 1,
            };
            let (width_px, height_px) = ((pass.width_px / shrink).max(1), (pass.height_px / shrink).max(1));
            (0..spec.images).map(|image| gradient(spec, image, width_px, height_px, t)).collect()
        };
        let report = StepReport {
            index: done,
            total: spec.computed_steps(),
            pass: number,
            t: t.into(),
            sigma: (1.0 - t).into(),
            duration,
            guidance_active: guidance.is_active(t),
            evaluations: done * solver.evaluations_per_step(),
            reused_share: spec.sampling.step_cache.map_or(0.0, |cache| f32::from(u8::from(reuses(&cache, index)))),
        };
        observer(Progress::Step(StepDone { report, first_image: 0, draw_previews: &previews }))
    }

    fn pass(&self, time_ms: u64) -> Duration {
        let begun = Instant::now();
        if time_ms > 0 {
            thread::sleep(Duration::from_millis(time_ms));
        }
        begun.elapsed()
    }
}

/// The faults of a job after a step.
fn play(faults: &[ScriptedFault], job: u64, step: u32) -> Result<(), EngineError> {
    for planned in faults.iter().filter(|planned| planned.job == job && planned.after_step == step) {
        match planned.fault {
            Fault::Fail => {
                return Err(EngineError::Failed(format!("the script fails job {job} after step {step}")));
            }
            Fault::LoseDevice => {
                return Err(EngineError::DeviceLost(format!("the script loses the device in job {job}")));
            }
            Fault::ExhaustMemory(bytes) => {
                let reason = format!("the script lets {bytes} bytes be missing in job {job}");
                let requested_bytes = Some(bytes);
                let shortage = MemoryShortage { requested_bytes, reason, ..MemoryShortage::default() };
                return Err(EngineError::OutOfMemory(shortage));
            }
            Fault::Panic => panic!("the script panics in job {job} after step {step}"),
            Fault::Hang(time_ms) => thread::sleep(Duration::from_millis(time_ms)),
        }
    }
    Ok(())
}

/// Reports an invented profile of a stage, if the request asks for one.
fn profile(spec: &GenerationSpec, stage: Stage, took: Duration, observer: &mut Observer<'_>) -> ControlFlow<()> {
    if !spec.profile {
        return ControlFlow::Continue(());
    }
    observer(Progress::Profile(figures::profile(stage, took, spec.computed_steps())))
}

/// A picture that depends on nothing but its arguments: a colour ramp of the seed, under noise that clears with `t`.
fn gradient(spec: &GenerationSpec, image: u32, width_px: u32, height_px: u32, t: f32) -> Rgb8 {
    let key = mix(spec.seed ^ (u64::from(image) << 32) ^ mix(spec.text.len() as u64));
    let base = [key as u8, (key >> 8) as u8, (key >> 16) as u8];
    let mut pixels = Vec::with_capacity(3 * width_px as usize * height_px as usize);
    for y in 0..height_px {
        for x in 0..width_px {
            let noise = mix(key ^ (u64::from(y) << 32 | u64::from(x)));
            let ramp = [255 * x / width_px, 255 * y / height_px, 255 * (x + y) / (width_px + height_px)];
            for channel in 0..3 {
                let clear = f32::from((ramp[channel] as u8) ^ (base[channel] & 0x3f));
                let grain = f32::from((noise >> (8 * channel)) as u8);
                pixels.push((clear * t + grain * (1.0 - t)) as u8);
            }
        }
    }
    Rgb8 { width_px, height_px, pixels }
}

/// The finaliser of SplitMix64: spreads every bit of the input over the output.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Counts words: near enough for a script, and it can be counted by hand in a test.
struct WordCounter;

impl WordCounter {
    /// The most words that each encoder of the script reads.
    const LIMIT: u32 = 512;
}

impl TokenCounter for WordCounter {
    fn count(&self, system_prompt: &str, text: &str) -> Vec<TokenCount> {
        let before = system_prompt.split_whitespace().count();
        let count = |encoder, before: usize| {
            let mut words = text.split_whitespace();
            let tokens = u32::try_from(before + words.clone().count()).unwrap_or(u32::MAX);
            let lost = words.nth((Self::LIMIT as usize).saturating_sub(before)).map(str::to_owned);
            TokenCount { encoder, tokens, limit: Self::LIMIT, first_lost: lost }
        };
        ENCODERS.into_iter().zip([before, 0]).map(|(encoder, before)| count(encoder, before)).collect()
    }
}
