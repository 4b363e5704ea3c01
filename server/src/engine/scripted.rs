//! An engine that draws gradients on a timetable and fails on cue: for tests, and for those who write clients.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{
    Engine, EngineError, EngineEvent, EngineInfo, EngineOpener, EngineTimings, JobSpec, MemoryNeed, ModelInfo,
    Observer, OpenEngine, Outcome, PreviewMethod, Rgb8, SamplingDefaults, Stage, StepDone, StepReport, TokenCount,
    TokenCounter,
};

mod figures;

/// What the engine does, and when.
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
    /// What goes wrong.
    pub faults: Vec<ScriptedFault>,
}

impl Default for Script {
    fn default() -> Self {
        Self { step_ms: 50, text_encode_ms: 20, decode_ms: 20, default_size_px: 512, faults: Vec::new() }
    }
}

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedFault {
    /// The job, counted from 1 over the life of the server.
    pub job: u64,
    /// The step after which it happens; 0 is before the first.
    pub after_step: u32,
    /// What happens.
    pub fault: Fault,
}

/// The ways to go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The job fails.
    Fail,
    /// The device is gone.
    LoseDevice,
    /// The device has no memory left, when so many bytes are asked for.
    ExhaustMemory(u64),
    /// The engine panics.
    Panic,
    /// The engine does nothing for so many milliseconds, deaf to its observer.
    Hang(u64),
}

/// An opener of engines that follow `script` together: jobs count on when the engine is opened anew.
pub fn opener(script: Script) -> EngineOpener {
    let script = Arc::new(script);
    let jobs = Arc::new(AtomicU64::new(0));
    Arc::new(move || {
        let memory = figures::Memory::default();
        Ok(OpenEngine {
            info: info(&script),
            tokens: Arc::new(WordCounter),
            memory: memory.probe(),
            engine: Box::new(ScriptedEngine { script: script.clone(), jobs: jobs.clone(), memory }),
        })
    })
}

fn info(script: &Script) -> EngineInfo {
    EngineInfo {
        pixels_max: None,
        kind: "scripted",
        device: "cpu".into(),
        precision: "f32".into(),
        memory: MemoryNeed { fixed_bytes: 0, pixel_bytes: figures::PIXEL_BYTES, batch_max: 0 },
        loading: figures::loading(),
        compute_paths: figures::compute_paths(),
        model: ModelInfo {
            name: "scripted".into(),
            parameters: BTreeMap::new(),
            default_size_px: script.default_size_px,
            size_multiple_px: 16,
            edge_max_px: 8192,
            has_preview_decoder: true,
            notice: "scripted engine: no model is loaded, the pictures are gradients".into(),
            fingerprint: "0".repeat(64),
            default_system_prompt: "You draw gradients. ".into(),
            default_plain_system_prompt: "You draw plain gradients. ".into(),
            sampling: SamplingDefaults::default(),
        },
    }
}

struct ScriptedEngine {
    script: Arc<Script>,
    jobs: Arc<AtomicU64>,
    memory: figures::Memory,
}

impl Engine for ScriptedEngine {
    fn generate(&mut self, spec: &JobSpec, observer: &mut Observer<'_>) -> Result<Outcome, EngineError> {
        let job = self.jobs.fetch_add(1, Ordering::Relaxed) + 1;
        let _taken = self.memory.take(spec);
        if observer(EngineEvent::Stage(Stage::TextEncode)).is_break() {
            return Ok(Outcome::Stopped);
        }
        let text_encode = self.pass(self.script.text_encode_ms);
        if profile(spec, Stage::TextEncode, text_encode, observer).is_break()
            || observer(EngineEvent::Stage(Stage::Denoise)).is_break()
        {
            return Ok(Outcome::Stopped);
        }
        self.play(job, 0)?;
        let begun = Instant::now();
        for index in 1..=spec.steps {
            let took = self.pass(self.script.step_ms);
            if self.step(spec, index, took, observer).is_break() {
                return Ok(Outcome::Stopped);
            }
            self.play(job, index)?;
        }
        let denoise = begun.elapsed();
        if profile(spec, Stage::Denoise, denoise, observer).is_break()
            || observer(EngineEvent::Stage(Stage::Decode)).is_break()
        {
            return Ok(Outcome::Stopped);
        }
        let decode = self.pass(self.script.decode_ms);
        if profile(spec, Stage::Decode, decode, observer).is_break() {
            return Ok(Outcome::Stopped);
        }
        let images = (0..spec.images).map(|image| gradient(spec, image, spec.width_px, spec.height_px, 1.0)).collect();
        Ok(Outcome::Finished { images, timings: EngineTimings { text_encode, denoise, decode } })
    }
}

impl ScriptedEngine {
    fn step(&self, spec: &JobSpec, index: u32, took: Duration, observer: &mut Observer<'_>) -> ControlFlow<()> {
        let linear = index as f32 / spec.steps as f32;
        let t = linear / (linear + spec.shift - spec.shift * linear);
        let previews = |method| {
            let shrink = match method {
                PreviewMethod::Linear => 8,
                PreviewMethod::Decoder => 1,
            };
            let (width_px, height_px) = ((spec.width_px / shrink).max(1), (spec.height_px / shrink).max(1));
            (0..spec.images).map(|image| gradient(spec, image, width_px, height_px, t)).collect()
        };
        let report = StepReport {
            index,
            total: spec.steps,
            t,
            sigma: 1.0 - t,
            step_ms: took.as_secs_f32() * 1000.0,
            guidance_active: spec.guidance_scale != 1.0 && t < spec.guidance_until,
            evaluations: index * spec.solver.evaluations(),
        };
        observer(EngineEvent::Step(StepDone { report, first_image: 0, previews: &previews }))
    }

    fn pass(&self, time_ms: u64) -> Duration {
        let begun = Instant::now();
        if time_ms > 0 {
            thread::sleep(Duration::from_millis(time_ms));
        }
        begun.elapsed()
    }

    fn play(&self, job: u64, step: u32) -> Result<(), EngineError> {
        for planned in self.script.faults.iter().filter(|planned| planned.job == job && planned.after_step == step) {
            match planned.fault {
                Fault::Fail => {
                    return Err(EngineError::Failed(format!("the script fails job {job} after step {step}")));
                }
                Fault::LoseDevice => {
                    return Err(EngineError::DeviceLost(format!("the script loses the device in job {job}")));
                }
                Fault::ExhaustMemory(bytes) => {
                    let reason = format!("the script lets {bytes} bytes be missing in job {job}");
                    return Err(EngineError::OutOfMemory { allocation: Some(bytes), reason });
                }
                Fault::Panic => panic!("the script panics in job {job} after step {step}"),
                Fault::Hang(time_ms) => thread::sleep(Duration::from_millis(time_ms)),
            }
        }
        Ok(())
    }
}

/// Tells where a part's time went, if the job wants to know.
fn profile(spec: &JobSpec, stage: Stage, took: Duration, observer: &mut Observer<'_>) -> ControlFlow<()> {
    if !spec.profile {
        return ControlFlow::Continue(());
    }
    observer(EngineEvent::Profile(figures::profile(stage, took, spec.steps)))
}

/// A picture that depends on nothing but its arguments: a colour ramp of the seed, under noise that clears with `t`.
fn gradient(spec: &JobSpec, image: u32, width_px: u32, height_px: u32, t: f32) -> Rgb8 {
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
    const LIMIT: usize = 512;
}

impl TokenCounter for WordCounter {
    fn count(&self, system_prompt: &str, text: &str) -> Vec<TokenCount> {
        let before = system_prompt.split_whitespace().count();
        let count = |encoder, before: usize| {
            let mut words = text.split_whitespace();
            let tokens = before + words.clone().count();
            let lost = words.nth(Self::LIMIT.saturating_sub(before)).map(str::to_owned);
            TokenCount { encoder, tokens, limit: Self::LIMIT, first_lost: lost }
        };
        vec![count("gemma3", before), count("jina_clip", 0)]
    }
}
