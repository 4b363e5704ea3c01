//! The whole pipeline on the GPU: its reports and its memory.

use std::ops::ControlFlow;
use std::sync::Arc;

use burn::tensor::{DType, Tensor};
use sakuga_model::device::OpenDevice;
use sakuga_model::families::newbie::synthetic::{self, Preset, VaeSize};
use sakuga_model::families::newbie::{LoadOptions, Pipeline, SAMPLING_DEFAULT, WarmUpSize};
use sakuga_model_core::{
    Area, GenerationSpec, InitImage, Mask, Outcome, Progress, Rgb8, Sampling, SecondPass, Stage, StageProfile, Upscaler,
};

use crate::gpu;

/// Every network on its fast path.
fn pipeline(device: OpenDevice) -> Pipeline {
    let vae = VaeSize { channels: vec![32, 64, 128, 128], blocks_per_level: 1, norm_groups: 8 };
    let dir = tempfile::tempdir().expect("a temporary folder");
    synthetic::write(dir.path(), &Preset { vae, ..Preset::tiny() }, 1).expect("writable");
    let loaded = Pipeline::load(dir.path(), LoadOptions::new(device));
    loaded.unwrap_or_else(|error| panic!("{error}")).0
}

fn spec(text: &str, width_px: u32, height_px: u32, steps: u32) -> GenerationSpec {
    GenerationSpec::new(text, width_px, height_px, Sampling { steps, ..SAMPLING_DEFAULT })
}

fn draw(pipeline: &Pipeline, spec: &GenerationSpec) -> (Vec<Rgb8>, Vec<StageProfile>) {
    let mut profiles = Vec::new();
    let outcome = pipeline.generate(spec, &mut |progress| {
        if let Progress::Profile(profile) = progress {
            profiles.push(profile);
        }
        ControlFlow::Continue(())
    });
    match outcome {
        Ok(Outcome::Finished { images, .. }) => (images, profiles),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_profile_names_the_operations_of_every_network() {
    let Some(device) = gpu() else { return };
    let pipeline = pipeline(device);
    for path in pipeline.networks().compute_paths() {
        assert!(path.implementation.starts_with("cuBLASLt ") && path.reason.is_empty(), "{path:?}");
    }
    let spec = GenerationSpec { profile: true, ..spec("1girl, solo", 256, 192, 3) };
    let (images, profiles) = draw(&pipeline, &spec);
    assert_eq!(images, draw(&pipeline, &GenerationSpec { profile: false, ..spec.clone() }).0, "the same picture");
    let networks = [
        (Stage::TextEncode, vec!["gemma3", "jina_clip"]),
        (Stage::Denoise, vec!["next_dit"]),
        (Stage::Decode, vec!["autoencoder_kl"]),
    ];
    assert_eq!(profiles.len(), networks.len());
    for (profile, (stage, names)) in profiles.iter().zip(networks) {
        assert_eq!(profile.stage, stage);
        let mut found: Vec<&str> = profile.spans.iter().map(|span| span.network).collect();
        found.dedup();
        assert_eq!(found, names, "{stage:?}");
        assert!(profile.spans.iter().all(|span| span.ms >= 0.0 && span.count > 0));
        assert!(0.0 < profile.device_ms() && profile.device_ms() <= 1.05 * profile.wall_ms, "{stage:?}");
    }
    // The last of them are those of the layers, once in each step.
    let attention = profiles[1].spans.iter().rfind(|span| span.name == "attention" && span.layer.is_some());
    let attention = attention.expect("attention in a layer");
    assert!(attention.cost.flops > 0.0 && attention.count == 3, "{attention:?}");
    // Cached texts cost the device nothing.
    let (_, again) = draw(&pipeline, &spec);
    assert!(again[0].spans.is_empty(), "{:?}", again[0]);
}

/// An initial image with a mask, and a second pass: what is kept is kept, and the same request gives the same bits.
#[test]
fn images_are_encoded_kept_and_enlarged() {
    let Some(device) = gpu() else { return };
    let pipeline = pipeline(device);
    let pixels: Vec<u8> = (0..3 * 256 * 192).map(|place| (place / 600) as u8).collect();
    let image = Arc::new(Rgb8 { width_px: 256, height_px: 192, pixels });
    let mut mask = Mask::empty(256, 192);
    mask.mark(&Area { left_px: 64, top_px: 40, width_px: 80, height_px: 90 });
    let init = InitImage { image: Arc::clone(&image), strength: 0.5, mask: Some(Arc::new(mask.clone())), region: None };
    let masked = GenerationSpec { init: Some(init.clone()), profile: true, ..spec("1girl, solo", 256, 192, 6) };
    let (pictures, profiles) = draw(&pipeline, &masked);
    let stages: Vec<Stage> = profiles.iter().map(|profile| profile.stage).collect();
    assert_eq!(stages, [Stage::TextEncode, Stage::VaeEncode, Stage::Denoise, Stage::Decode]);
    let pixels = pictures[0].pixels.as_chunks::<3>().0.iter().zip(image.pixels.as_chunks::<3>().0);
    let changed = pixels.zip(mask.levels()).filter(|((found, before), level)| {
        assert!(**level > 0 || found == before);
        found != before
    });
    assert!(changed.count() > 5000);
    assert_eq!(draw(&pipeline, &masked).0, pictures);
    for upscaler in Upscaler::ALL {
        let second = SecondPass { width_px: 384, height_px: 288, upscaler, strength: 0.5, steps: 4 };
        let init = InitImage { mask: None, ..init.clone() };
        let spec = GenerationSpec { second_pass: Some(second), init: Some(init), profile: false, ..masked.clone() };
        let pictures = draw(&pipeline, &spec).0;
        assert_eq!((pictures[0].width_px, pictures[0].height_px), (384, 288));
        assert_eq!(draw(&pipeline, &spec).0, pictures, "{upscaler}");
    }
}

#[test]
fn an_image_that_is_drawn_alone_has_the_bits_of_the_whole_request() {
    let Some(device) = gpu() else { return };
    let pipeline = pipeline(device);
    let whole = GenerationSpec { images: 4, ..spec("1girl, solo", 256, 192, 4) };
    let (together, _) = draw(&pipeline, &whole);
    for max_batch in [0, 4] {
        let (drawn, _) = draw(&pipeline, &GenerationSpec { image_indices: vec![1, 3], max_batch, ..whole.clone() });
        assert!(drawn == [together[1].clone(), together[3].clone()], "in batches of {max_batch}");
    }
}

#[test]
fn memory_stays_where_the_warm_up_left_it() {
    let Some(device) = gpu() else { return };
    let pipeline = pipeline(device);
    let largest = WarmUpSize { width_px: 512, height_px: 512, images: 2, every_length: false };
    pipeline.warm_up(&[largest]).unwrap_or_else(|error| panic!("{error}"));
    let probe = pipeline.networks().memory_probe();
    let held = || probe().iter().map(|pool| (pool.name, pool.held_bytes)).collect::<Vec<_>>();
    let warm = held();
    assert!(warm.iter().any(|(name, bytes)| *name == "scratch" && *bytes > 0), "{warm:?}");
    for (seed, (width, height, images)) in
        [(256, 512, 2), (512, 512, 1), (64, 64, 2), (512, 384, 2)].into_iter().enumerate()
    {
        let text = "red_eyes, ".repeat(1 + 40 * seed);
        let spec = GenerationSpec { images, seed: seed as u64, ..spec(&text, width, height, 2) };
        draw(&pipeline, &spec);
        let held = held();
        let has_grown = held.iter().zip(&warm).any(|((_, now), (_, then))| now > then);
        assert!(!has_grown, "{width}x{height}, {images} pictures: {held:?}, when warm {warm:?}");
    }
}

/// burn moves tensors to free pages. Pinned weights must not move.
#[test]
fn weights_stay_where_they_are_when_memory_is_tidied_up() {
    let Some(device) = gpu() else { return };
    let burn_device = device.device.clone();
    // Larger and larger tensors make burn replace the pages of the weights.
    let filler = |edge: usize| Tensor::<2>::ones([edge, edge], (&burn_device, DType::BF16));
    let before: Vec<_> = (1..6).map(|i| filler(256 * i)).collect();
    let pipeline = pipeline(device);
    drop(before);
    let spec = spec("1girl, solo", 128, 128, 2);
    let (expected, _) = draw(&pipeline, &spec);
    for round in 1..6 {
        burn_device.memory_cleanup();
        let filled: Vec<_> = (0..16).map(|_| filler(512 * round).mul_scalar(f32::NAN)).collect();
        burn_device.sync().expect("the device works");
        pipeline.networks().gemma.forget_texts();
        pipeline.networks().jina.forget_texts();
        assert_eq!(draw(&pipeline, &spec).0, expected, "round {round}");
        drop(filled);
    }
}
