//! The step cache on the fast path: nothing changes without it, and a pattern gives what the CPU gives.

use std::ops::ControlFlow;

use burn::tensor::{DType, Device, Tensor};
use sakuga_model::device::OpenDevice;
use sakuga_model::families::newbie::synthetic::{DitSize, Preset};
use sakuga_model::families::newbie::{Denoiser, TextFeatures};
use sakuga_model::networks::next_dit::{Caption, NextDit};
use sakuga_model::sampler::{Schedule, noise};
use sakuga_model_core::{EvaluationReuse, Guidance, ReuseRule, Solver, StepCache, StepSet};

use crate::next_dit::{LATENTS, load_preset, preset};
use crate::{gpu, relative_error};

const STEPS: usize = 8;
/// Tokens of the prompt and of the negative prompt.
const LENGTHS: [usize; 2] = [40, 9];

/// Three blocks in the middle.
fn deep() -> Preset {
    let small = preset();
    Preset { dit: DitSize { layers: 6, ..small.dit }, ..small }
}

fn cache(rule: ReuseRule, taylor_order: u32) -> StepCache {
    StepCache { front_blocks: 1, back_blocks: 2, rule, taylor_order }
}

fn change(threshold: f32, consecutive_max: u32) -> ReuseRule {
    ReuseRule::Change { threshold, warmup_steps: 2, consecutive_max }
}

/// Latents of `images` images after all steps under guidance, and what each reused.
fn run(
    network: &NextDit,
    device: &Device,
    settings: Option<StepCache>,
    images: usize,
) -> (Vec<f32>, Vec<EvaluationReuse>) {
    let config = network.config();
    let values = |seed, shape: [usize; 3]| noise::batch(seed, 0, 2, shape, device);
    let width = LENGTHS[0];
    let caption: Tensor<3> = values(11, [1, width, config.cap_feat_dim]).reshape([2, width, config.cap_feat_dim]);
    let text = config.clip_text_dim.expect("the preset has pooled text");
    let pooled: Tensor<2> = values(12, [1, 1, text]).reshape([2, text]);
    let features = TextFeatures { caption: Caption { features: caption, lengths: LENGTHS.to_vec() }, pooled };
    // The last steps compute the conditional half alone.
    let guidance = Guidance { until: 0.8, ..Guidance::new(3.0) };
    let [_, height, width] = LATENTS;
    let denoiser = Denoiser::new(network, &features, guidance, images, [height, width]).with_step_cache(settings, 1);
    let start = noise::batch(5, 0, images, LATENTS, device);
    let schedule = Schedule::new(Solver::Euler, STEPS, 3.0);
    let walk = denoiser.run(&schedule, start, &mut |_| ControlFlow::Continue(()));
    let ControlFlow::Continue(latents) = walk else { panic!("nobody stopped it") };
    let values = latents.try_into_vec_as().expect("the device works");
    (values, denoiser.reused())
}

#[test]
fn a_cache_that_never_reuses_changes_little() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let network = load_preset(&deep(), &device, DType::BF16);
    assert!(network.is_fast(), "the log says why the fast path is not taken");
    let (exact, none) = run(&network, &device, None, 2);
    assert!(none.is_empty());
    let cpu = Device::flex();
    let rounding = relative_error(&exact, &run(&load_preset(&deep(), &cpu, DType::F32), &cpu, None, 2).0);
    // At the edges of the parts, norms read sums that were rounded to bf16 on the way; within the stack they do not. That changes
    // less than bf16 does.
    for threshold in [0.0, f32::MIN_POSITIVE] {
        let (found, reused) = run(&network, &device, Some(cache(change(threshold, 0), 1)), 2);
        assert!(reused.iter().all(|image| image.conditional.is_empty() && image.unconditional.is_empty()));
        let error = relative_error(&found, &exact);
        println!("threshold {threshold:e}: relative error {error:.2e}, of bf16 {rounding:.2e}");
        assert!(error < rounding, "threshold {threshold:e}: {error}, of bf16 {rounding}");
    }
    assert!(run(&network, &device, None, 2).0 == exact, "other bits after a cache was used");
}

#[test]
fn a_replayed_pattern_agrees_with_the_cpu() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let network = load_preset(&deep(), &device, DType::BF16);
    let cpu = Device::flex();
    let reference = load_preset(&deep(), &cpu, DType::F32);
    let exact = relative_error(&run(&network, &device, None, 2).0, &run(&reference, &cpu, None, 2).0);
    let steps = ReuseRule::Steps(StepSet::of([3, 5, 6, 8]).expect("few steps"));
    for order in [0, 1] {
        let settings = Some(cache(steps, order));
        let (found, reused) = run(&network, &device, settings, 2);
        let (expected, on_cpu) = run(&reference, &cpu, settings, 2);
        assert_eq!(reused, on_cpu);
        assert_eq!(reused[0].conditional, [3, 5, 6, 8]);
        let error = relative_error(&found, &expected);
        println!("order {order}: relative error {error:.2e}, exact {exact:.2e}");
        assert!(error < 5.0 * exact.max(1e-2), "order {order}: {error}, exact {exact}");
        assert!(run(&network, &device, settings, 2).0 == found, "other bits the second time");
    }
}

#[test]
fn changes_are_measured_as_on_the_cpu() {
    let Some(OpenDevice { device, .. }) = gpu() else { return };
    let network = load_preset(&deep(), &device, DType::BF16);
    let plain = load_preset(&deep(), &device, DType::BF16).plain();
    // Far above and far below every change, only the limit and nothing decide.
    let always = run(&network, &device, Some(cache(change(f32::MAX, 2), 0)), 2).1;
    assert_eq!(always[0].conditional, [3, 4, 6, 7]);
    assert_eq!(always[0], always[1]);
    // Between them the rows decide on their own, and as burn's operations do but for rounding.
    let mut differences = 0;
    for threshold in [0.05, 0.1, 0.2, 0.4] {
        let settings = Some(cache(change(threshold, 3), 0));
        let [fast, slow] = [&network, &plain].map(|network| run(network, &device, settings, 3).1);
        println!("threshold {threshold}: {fast:?}");
        differences += usize::from(fast != slow);
    }
    assert!(differences <= 1, "{differences} of 4 thresholds are decided otherwise");
}
