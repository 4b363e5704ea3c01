//! A picture that two devices draw has the bits of one. With one GPU, both halves are computed there by two models.

use std::ops::ControlFlow;
use std::thread;

use sakuga_model::device::gpu_count;
use sakuga_model::families::newbie::synthetic::{self, Preset, VaeSize};
use sakuga_model::open::ModelFiles;
use sakuga_model_core::{
    DeviceChoice, GenerationSpec, ModelOptions, OpenModel, OpenOptions, Outcome, Precision, Quality, ReuseRule, Rgb8,
    Sampling, StepCache, StepSet, WarmUp, link,
};

use crate::{gpu, next_dit};

fn open(folder: &std::path::Path, index: usize, precision: Precision) -> Option<OpenModel> {
    let options = ModelOptions {
        device: DeviceChoice::Cuda(index),
        precision: Some(precision),
        model: Some(folder.to_owned()),
        warm_up: WarmUp::None,
        ..ModelOptions::default()
    };
    match ModelFiles::new(options).open(OpenOptions { keeps_host_copy: false, skips_warm_up: true }) {
        Ok(open) => Some(open),
        Err(error) if precision == Precision::Fp8 => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn images(outcome: Outcome) -> Vec<Rgb8> {
    match outcome {
        Outcome::Finished { images, .. } => images,
        Outcome::Stopped { .. } => panic!("nobody stopped it"),
    }
}

#[test]
fn two_devices_draw_the_bits_of_one() {
    if gpu().is_none() {
        return;
    }
    let vae = VaeSize { channels: vec![32, 64, 128, 128], blocks_per_level: 1, norm_groups: 8 };
    let dir = tempfile::tempdir().expect("a temporary folder");
    synthetic::write(dir.path(), &Preset { vae, ..next_dit::preset() }, 1).expect("writable");
    let second = usize::from(gpu_count() > 1);
    for precision in [Precision::Bf16, Precision::Fp8] {
        let (Some(mut first), Some(mut second)) = (open(dir.path(), 0, precision), open(dir.path(), second, precision))
        else {
            continue;
        };
        let sampling = Sampling { steps: 4, ..first.info.model.sampling };
        let pattern = ReuseRule::Steps(StepSet::of([3]).expect("few steps"));
        let cache = StepCache { front_blocks: 1, back_blocks: 1, rule: pattern, taylor_order: 1 };
        let cached = Sampling { quality: Quality::Fast, step_cache: Some(cache), ..sampling };
        for (width_px, height_px, images_wanted, sampling) in
            [(256, 192, 1, sampling), (1024, 1024, 1, sampling), (512, 256, 2, sampling), (256, 192, 1, cached)]
        {
            let spec = GenerationSpec {
                images: images_wanted,
                seed: 3,
                negative: "lowres".into(),
                ..GenerationSpec::new("1girl, silver hair, a field of flowers", width_px, height_px, sampling)
            };
            let go_on = &mut |_: sakuga_model_core::Progress<'_>| ControlFlow::Continue(());
            let alone = images(first.model.generate(&spec, go_on).unwrap_or_else(|error| panic!("{error}")));
            let (lead, mut assist) = link();
            let assistant = &mut second.model;
            let shared = thread::scope(|scope| {
                let spec = &spec;
                scope.spawn(move || assistant.assist(spec, &mut assist).unwrap_or_else(|error| panic!("{error}")));
                first.model.generate_with(spec, &lead, go_on).unwrap_or_else(|error| panic!("{error}"))
            });
            assert!(images(shared) == alone, "{precision}, {width_px}x{height_px}, {images_wanted} images");
        }
    }
}
