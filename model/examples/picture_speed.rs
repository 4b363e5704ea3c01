//! Times a picture: the first preview, each step, the decoder, and the memory at the peak.
//!
//! ```text
//! cargo run --release -p sakuga-model --example picture_speed [-- FOLDER [DEVICE [PICTURES]] [--fp8] [--reuse=STEPS]]
//! ```
//!
//! DEVICE is `cpu` unless given; with the feature `cuda` it may be `cuda:0`. With `--fp8` the Next-DiT's products are in fp8, which
//! needs a GPU. Without FOLDER, a checkpoint of random weights of the embedded model's size is written and used; where FOLDER has
//! none, one of the published size is written there first. The time does not depend on the weights. Steps, guidance and size are
//! the checkpoint's defaults, but 20 steps for the random one.
//!
//! `--reuse=5,6,8` times the step cache: pictures are drawn exactly, with a cache that compares but never reuses, and with the
//! middle blocks reused in these steps, in turn; `--blocks=1,1` are the blocks of the front and of the back. A pattern, and not a
//! threshold, because random weights would meet any threshold. Medians, the ratio of the last to the first, and the overhead of a
//! step that is not reused are printed.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sakuga_model::device;
use sakuga_model::families::newbie::synthetic::{self, DitSize, GemmaSize, JinaSize, Preset, VaeSize};
use sakuga_model::families::newbie::{LoadOptions, Pipeline};
use sakuga_model_core::{
    DeviceChoice, GenerationSpec, Outcome, Precision, PreviewMethod, Progress, Quality, ReuseRule, Sampling, StepCache,
    StepSet, TokenCounter,
};

/// Approximate number of tokens of the prompt, with either tokenizer.
const PROMPT: &str = "<character_1>\n<n>$character_1$</n>\n<gender>1girl</gender>\n<appearance>blue_hair, long_hair, \
    red_eyes</appearance>\n<position>center_left</position>\n</character_1>\n\n<general_tags>\n<count>1girl</count>\n\
    <background>outdoors</background>\n</general_tags>";

/// Eight million parameters in the Next-DiT.
fn preset() -> Preset {
    Preset {
        name: "embedded-geometry".into(),
        default_size_px: 256,
        gemma_tokens_max: 512,
        dit: DitSize {
            dim: 256,
            ffn: 768,
            layers: 6,
            refiner_layers: 1,
            heads: 8,
            kv_heads: 4,
            axes_dims: [8, 12, 12],
            axes_lens: [1024, 128, 128],
        },
        gemma: GemmaSize {
            vocabulary: 2048,
            hidden: 128,
            ffn: 256,
            layers: 3,
            heads: 4,
            kv_heads: 2,
            head_dim: 32,
            sliding_window: 256,
        },
        jina: JinaSize { vocabulary: 2048, hidden: 64, ffn: 128, layers: 2, heads: 2, lora_rank: 4 },
        vae: VaeSize { channels: vec![32, 48, 64, 64], blocks_per_level: 1, norm_groups: 8 },
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (flags, arguments): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let precision = flags.iter().any(|flag| flag == "--fp8").then_some(Precision::Fp8);
    let numbers = |name: &str| -> Result<Option<Vec<u32>>, std::num::ParseIntError> {
        let list = flags.iter().find_map(|flag| flag.strip_prefix(name));
        list.map(|list| list.split(',').map(str::parse).collect()).transpose()
    };
    let (reuse, blocks) = (numbers("--reuse=")?, numbers("--blocks=")?.unwrap_or_else(|| vec![1, 1]));
    let mut arguments = arguments.into_iter();
    let given = arguments.next().map(PathBuf::from);
    let spec: DeviceChoice = arguments.next().map_or(Ok(DeviceChoice::Cpu), |name| name.parse())?;
    // The difference to the second picture is the cost of warming up.
    let pictures: usize = arguments.next().map_or(Ok(2), |count| count.parse())?;
    let device = device::open(spec, precision)?;
    let temporary = std::env::temp_dir().join(format!("sakuga-speed-{}", std::process::id()));
    let folder = given.clone().unwrap_or_else(|| temporary.clone());
    if given.is_none() {
        synthetic::write(&folder, &preset(), 1)?;
    } else if !folder.join("model_index.json").exists() {
        synthetic::write(&folder, &Preset::newbie(), 1)?;
    }
    let clock = Instant::now();
    let loaded = Pipeline::load(&folder, LoadOptions::new(device));
    let load_ms = milliseconds(clock);
    if given.is_none() {
        std::fs::remove_dir_all(&temporary)?;
    }
    let (pipeline, reports) = loaded?;
    let info = pipeline.info();
    let parameters: u64 = reports.iter().map(|report| report.parameters).sum();
    println!("{}: {parameters} parameters, loaded in {load_ms:.0} ms", info.name);

    let size_px = info.default_size_px;
    let mut spec = GenerationSpec::new(PROMPT, size_px, size_px, info.sampling);
    if given.is_none() {
        spec.sampling.steps = 20;
    }
    spec.system_prompt = if given.is_none() { String::new() } else { info.default_system_prompt.clone() };
    let counts = pipeline.text().count(&spec.system_prompt, &spec.text);
    let (steps, scale) = (spec.sampling.steps, spec.sampling.guidance.scale);
    println!("{size_px}x{size_px}, {steps} steps, guidance {scale}, {} tokens", counts[0].tokens);
    if let Some(reuse) = reuse {
        let steps = StepSet::of(reuse).ok_or("a step is beyond the largest number of steps")?;
        let [front_blocks, back_blocks] = blocks[..] else { return Err("--blocks takes two numbers".into()) };
        return time_reuse(
            &pipeline,
            &spec,
            pictures,
            |rule| StepCache { front_blocks, back_blocks, rule, taylor_order: 0 },
            steps,
        );
    }
    for picture in 0..pictures {
        spec.seed = picture as u64;
        let clock = Instant::now();
        let mut first_preview_ms = None;
        let outcome = pipeline.generate(&spec, &mut |progress| {
            if let Progress::Step(step) = progress {
                if step.report.index == 1 {
                    step.previews(PreviewMethod::Linear);
                }
                first_preview_ms.get_or_insert_with(|| milliseconds(clock));
            }
            ControlFlow::Continue(())
        })?;
        let Outcome::Finished { timings, .. } = outcome else { return Err("nobody stopped it".into()) };
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let mut step_ms: Vec<f64> = timings.steps.iter().copied().map(ms).collect();
        step_ms.sort_by(f64::total_cmp);
        println!(
            "first preview {:.0} ms, text {:.1} ms, preparation {:.1} ms, step {:.2} ms (median; {:.1} to {:.1}), decoding {:.1} ms, all {:.0} ms",
            first_preview_ms.unwrap_or(f64::NAN),
            ms(timings.text_encode),
            ms(timings.prepare),
            step_ms[step_ms.len() / 2],
            step_ms[0],
            step_ms[step_ms.len() - 1],
            ms(timings.decode),
            ms(timings.total)
        );
    }
    if let Some(peak) = peak_memory() {
        println!("memory at the peak: {peak}");
    }
    Ok(())
}

/// Times exact pictures, pictures that compare but never reuse, and pictures that reuse in `steps`, in turn.
fn time_reuse(
    pipeline: &Pipeline,
    spec: &GenerationSpec,
    pictures: usize,
    cache: impl Fn(ReuseRule) -> StepCache,
    steps: StepSet,
) -> Result<(), Box<dyn std::error::Error>> {
    // Below every change that is not zero: every step is compared and none is reused.
    let compared = ReuseRule::Change { threshold: f32::MIN_POSITIVE, warmup_steps: 1, consecutive_max: 0 };
    let modes =
        [("exact", None), ("compared", Some(cache(compared))), ("reused", Some(cache(ReuseRule::Steps(steps))))];
    let mut totals: [Vec<f64>; 3] = Default::default();
    let mut step_ms: [Vec<f64>; 3] = Default::default();
    // The first round warms up.
    for round in 0..=pictures {
        for (mode, (_, step_cache)) in modes.iter().enumerate() {
            let sampling = Sampling { quality: Quality::Custom, step_cache: *step_cache, ..spec.sampling };
            let sampling = if step_cache.is_none() { spec.sampling } else { sampling };
            let spec = GenerationSpec { sampling, seed: round as u64, ..spec.clone() };
            let outcome = pipeline.generate(&spec, &mut |_| ControlFlow::Continue(()))?;
            let Outcome::Finished { timings, reused, .. } = outcome else { return Err("nobody stopped it".into()) };
            if round == 0 {
                if let Some(reused) = reused.first() {
                    println!("{}: {} evaluations reused {:?}", modes[mode].0, reused.evaluations, reused.conditional);
                }
                continue;
            }
            totals[mode].push(timings.total.as_secs_f64() * 1e3);
            // The first step of a cache allocates its memory.
            step_ms[mode].extend(timings.steps.iter().skip(1).map(|step| step.as_secs_f64() * 1e3));
        }
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let [exact, compared, reused] = totals.each_mut().map(median);
    let [exact_step, compared_step, _] = step_ms.each_mut().map(median);
    println!("picture: exact {exact:.0} ms, compared {compared:.0} ms, reused {reused:.0} ms: {:.2} x", exact / reused);
    println!(
        "step: exact {exact_step:.2} ms, compared and not reused {compared_step:.2} ms: {:+.2} %",
        100.0 * (compared_step / exact_step - 1.0)
    );
    Ok(())
}

fn milliseconds(clock: Instant) -> f64 {
    clock.elapsed().as_secs_f64() * 1e3
}

/// Memory of this process on Linux.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map(|peak| peak.trim().to_owned())
}
