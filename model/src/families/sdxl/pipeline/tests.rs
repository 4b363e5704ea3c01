//! Whole requests with random weights.

use sakuga_model_core::{
    Area, ControlChoice, InitImage, Mask, PreviewMethod, Progress, Rgb8, SecondPass, Upscaler, limits,
};

use super::*;
use crate::device::OpenDevice;
use crate::families::sdxl::synthetic;

fn pipeline() -> (tempfile::TempDir, Pipeline) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    synthetic::write(dir.path(), 1).expect("writable");
    let options = LoadOptions::new(OpenDevice::cpu());
    let (pipeline, reports) = Pipeline::load(dir.path(), &options).unwrap_or_else(|error| panic!("{error}"));
    let parts: Vec<&str> = reports.iter().map(|report| report.component.as_str()).collect();
    assert_eq!(parts, ["unet", "text_encoder", "text_encoder_2", "vae"]);
    (dir, pipeline)
}

fn spec(pipeline: &Pipeline) -> GenerationSpec {
    let sampling = Sampling { steps: 3, ..pipeline.info.sampling };
    GenerationSpec { seed: 7, images: 2, ..GenerationSpec::new("1girl, (red hat:1.2)", 32, 48, sampling) }
}

fn draw(pipeline: &Pipeline, spec: &GenerationSpec) -> Vec<Rgb8> {
    match pipeline.generate(spec, &mut |_| ControlFlow::Continue(())) {
        Ok(Outcome::Finished { images, .. }) => images,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_picture_depends_on_seed_prompt_negative_and_solver_and_not_on_its_batch() {
    let (_dir, pipeline) = pipeline();
    let spec = spec(&pipeline);
    let first = draw(&pipeline, &spec);
    assert_eq!((first.len(), first[0].width_px, first[0].height_px), (2, 32, 48));
    assert_ne!(first[0], first[1]);
    assert_eq!(draw(&pipeline, &spec), first);
    for (alone, together) in draw(&pipeline, &GenerationSpec { max_batch: 1, ..spec.clone() }).iter().zip(&first) {
        let difference = alone.pixels.iter().zip(&together.pixels).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(difference <= Some(1), "{difference:?}");
    }
    let second = draw(&pipeline, &GenerationSpec { image_indices: vec![1], ..spec.clone() });
    assert!(second == first[1..], "the second picture alone");
    let by = |solver, schedule| Sampling { solver, schedule, ..spec.sampling };
    let rescaled = Guidance { rescale: 0.7, ..spec.sampling.guidance };
    for changed in [
        GenerationSpec { seed: 8, ..spec.clone() },
        GenerationSpec { text: "1girl, (red hat:1.3)".into(), ..spec.clone() },
        GenerationSpec { negative: "blurry".into(), ..spec.clone() },
        GenerationSpec { sampling: by(Solver::Dpm, NoiseSchedule::Native), ..spec.clone() },
        GenerationSpec { sampling: by(Solver::Ddim, NoiseSchedule::Native), ..spec.clone() },
        GenerationSpec { sampling: by(Solver::UniPc, NoiseSchedule::Exponential), ..spec.clone() },
        GenerationSpec { sampling: by(Solver::EulerAncestral, NoiseSchedule::Native), ..spec.clone() },
        GenerationSpec { sampling: by(Solver::Euler, NoiseSchedule::Karras), ..spec.clone() },
        GenerationSpec { sampling: Sampling { guidance: rescaled, ..spec.sampling }, ..spec.clone() },
    ] {
        assert_ne!(draw(&pipeline, &changed), first, "{changed:?}");
    }
}

/// The noise that a solver adds is a function of seed, picture, pass and step.
#[test]
fn an_ancestral_picture_is_the_same_again_and_alone() {
    let (_dir, pipeline) = pipeline();
    let mut spec = spec(&pipeline);
    spec.sampling.solver = Solver::EulerAncestral;
    let first = draw(&pipeline, &spec);
    assert_eq!(draw(&pipeline, &spec), first);
    let second = draw(&pipeline, &GenerationSpec { image_indices: vec![1], ..spec.clone() });
    assert!(second == first[1..], "the second picture alone");
}

#[test]
fn images_begin_from_an_image_keep_what_a_mask_keeps_and_have_a_second_pass() {
    let (_dir, pipeline) = pipeline();
    let pixels: Vec<u8> = (0..3 * 32 * 48).map(|place| (place / 20) as u8).collect();
    let image = Arc::new(Rgb8 { width_px: 32, height_px: 48, pixels });
    let mut mask = Mask::empty(32, 48);
    mask.mark(&Area { left_px: 8, top_px: 8, width_px: 16, height_px: 16 });
    let mut spec = spec(&pipeline);
    spec.sampling.steps = 6;
    let from_noise = draw(&pipeline, &spec);
    for solver in [Solver::Euler, Solver::Dpm, Solver::EulerAncestral, Solver::Ddim, Solver::UniPc] {
        spec.sampling.solver = solver;
        let init = InitImage { image: Arc::clone(&image), strength: 0.5, mask: None, region: None };
        let changed = GenerationSpec { init: Some(init.clone()), ..spec.clone() };
        let (mut steps, mut pixels) = (Vec::new(), Vec::new());
        let outcome = pipeline.generate(&changed, &mut |progress| {
            if let Progress::Step(step) = progress {
                steps.push((step.report.index, step.report.total));
            }
            ControlFlow::Continue(())
        });
        if let Ok(Outcome::Finished { images, .. }) = outcome {
            pixels = images;
        }
        assert_eq!((steps, pixels.len()), (vec![(1, 3), (2, 3), (3, 3)], 2), "{solver}");
        assert_eq!(draw(&pipeline, &changed), pixels);
        let masked = InitImage { mask: Some(Arc::new(mask.clone())), ..init.clone() };
        for picture in draw(&pipeline, &GenerationSpec { init: Some(masked), ..spec.clone() }) {
            let both = picture.pixels.as_chunks::<3>().0.iter().zip(image.pixels.as_chunks::<3>().0);
            let differing = both.zip(mask.levels()).filter(|((found, before), level)| {
                assert!(**level > 0 || found == before);
                found != before
            });
            assert!(differing.count() > 100, "{solver}");
        }
        let whole = InitImage { strength: 1.0, ..init };
        let alone = GenerationSpec { init: Some(whole), ..spec.clone() };
        assert_eq!(draw(&pipeline, &alone), draw(&pipeline, &spec), "all noise");
    }
    spec.sampling.solver = Solver::Euler;
    let second = SecondPass { width_px: 48, height_px: 72, upscaler: Upscaler::Lanczos, strength: 0.5, steps: 4 };
    let enlarged = draw(&pipeline, &GenerationSpec { second_pass: Some(second), ..spec.clone() });
    assert_eq!((enlarged[0].width_px, enlarged[0].height_px, enlarged.len()), (48, 72, 2));
    assert_ne!(enlarged[0], from_noise[0].resampled(48, 72));
}

#[test]
fn steps_are_reported_and_can_be_stopped() {
    let (_dir, pipeline) = pipeline();
    let mut levels = Vec::new();
    let outcome = pipeline.generate(&spec(&pipeline), &mut |progress| {
        let Progress::Step(step) = progress else { return ControlFlow::Continue(()) };
        assert_eq!(step.previews(PreviewMethod::Linear).len(), 2);
        levels.push((step.report.index, step.report.t));
        if step.report.index == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(outcome, Ok(Outcome::Stopped { after_step: 2 })), "{outcome:?}");
    assert!(levels[0].1 < levels[1].1 && levels[1].1 < 1.0, "{levels:?}");
}

#[test]
fn options_that_this_family_does_not_have_are_refused() {
    let (_dir, pipeline) = pipeline();
    let spec = spec(&pipeline);
    for (sampling, field) in [
        (Sampling { shift: 6.0, ..spec.sampling }, "sampling.shift"),
        (Sampling { solver: Solver::Rk4, ..spec.sampling }, "sampling.solver"),
        (Sampling { solver: Solver::Ddim, schedule: NoiseSchedule::Karras, ..spec.sampling }, "sampling.schedule"),
        (Sampling { steps: limits::STEPS.max + 1, ..spec.sampling }, "steps"),
    ] {
        let spec = GenerationSpec { sampling, ..spec.clone() };
        let error = pipeline.generate(&spec, &mut |_| ControlFlow::Continue(())).expect_err("refused");
        assert!(error.to_string().contains(field), "{error}");
    }
}

#[test]
fn tokens_are_counted_in_chunks() {
    let (_dir, pipeline) = pipeline();
    let counts = pipeline.tokens().count("", "red hat BREAK blue sky");
    let found: Vec<_> = counts.iter().map(|count| (count.encoder, count.tokens)).collect();
    assert_eq!(found, [("clip_l", 4), ("clip_g", 4)]);
}

#[test]
fn a_refiner_computes_the_end_of_the_schedule() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (base, refiner) = (dir.path().join("base"), dir.path().join("refiner"));
    synthetic::write(&base, 1).expect("writable");
    synthetic::write_refiner(&refiner, 2).expect("writable");
    let load = |refiner: Option<&Path>| {
        let options = LoadOptions { refiner: refiner.map(Path::to_owned), ..LoadOptions::new(OpenDevice::cpu()) };
        Pipeline::load(&base, &options)
    };
    let (pipeline, reports) = load(Some(&refiner)).unwrap_or_else(|error| panic!("{error}"));
    let parts: Vec<&str> = reports.iter().skip(4).map(|report| report.component.as_str()).collect();
    assert_eq!(parts, ["refiner_unet", "refiner_text_encoder_2"]);
    assert!(pipeline.info.refiner.as_ref().is_some_and(|identity| identity.starts_with("refiner@")));
    let mut spec = spec(&pipeline);
    spec.sampling.steps = 10;
    let alone = draw(&pipeline, &spec);
    let chosen = sakuga_model_core::Refiner::default();
    let with = |chosen| GenerationSpec { refiner: Some(chosen), ..spec.clone() };
    let refined = draw(&pipeline, &with(chosen));
    assert_ne!(refined, alone);
    assert_eq!(draw(&pipeline, &with(chosen)), refined);
    for changed in [
        sakuga_model_core::Refiner { switch_at: 0.5, ..chosen },
        sakuga_model_core::Refiner { aesthetic_score: 2.0, ..chosen },
        sakuga_model_core::Refiner { negative_aesthetic_score: 6.0, ..chosen },
    ] {
        assert_ne!(draw(&pipeline, &with(changed)), refined, "{changed:?}");
    }
    let base_alone = sakuga_model_core::Refiner { switch_at: 1.0, ..chosen };
    assert_eq!(draw(&pipeline, &with(base_alone)), alone, "nothing is left for the refiner");
    let mut steps = Vec::new();
    let outcome = pipeline.generate(&with(chosen), &mut |progress| {
        if let Progress::Step(step) = progress {
            steps.push((step.report.index, step.report.total));
        }
        if steps.len() == 9 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(outcome, Ok(Outcome::Stopped { after_step: 9 })), "{outcome:?}");
    assert_eq!(steps, (1..10).map(|index| (index, 10)).collect::<Vec<_>>());

    let (plain, _) = load(None).unwrap_or_else(|error| panic!("{error}"));
    let refused = plain.generate(&with(chosen), &mut |_| ControlFlow::Continue(())).expect_err("it has none");
    assert!(refused.to_string().contains("refiner"), "{refused}");
    let refused = load(Some(&base)).err().expect("a base model").to_string();
    assert!(refused.contains("no refiner"), "{refused}");
}

#[test]
fn control_networks_steer_while_they_act() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (base, folder) = (dir.path().join("base"), dir.path().join("controlnets"));
    synthetic::write(&base, 1).expect("writable");
    synthetic::write_control(&folder.join("canny"), 2).expect("writable");
    synthetic::write_control(&folder.join("depth"), 3).expect("writable");
    synthetic::write_refiner(&dir.path().join("refiner"), 4).expect("writable");
    let weights = "diffusion_pytorch_model.safetensors";
    std::fs::copy(base.join("unet").join(weights), folder.join("other.safetensors")).expect("copied");
    let refiner = Some(dir.path().join("refiner"));
    let options = LoadOptions { controlnets: Some(folder), refiner, ..LoadOptions::new(OpenDevice::cpu()) };
    let (mut pipeline, _) = Pipeline::load(&base, &options).unwrap_or_else(|error| panic!("{error}"));
    let found: Vec<_> =
        pipeline.info.controls.iter().map(|found| (found.name.as_str(), found.problem.is_empty())).collect();
    assert_eq!(found, [("canny", true), ("depth", true), ("other", false)]);
    assert!(pipeline.info.controls[2].problem.contains("not those of a ControlNet"), "{:?}", pipeline.info.controls);
    let mut spec = spec(&pipeline);
    spec.sampling.steps = 4;
    let pixels: Vec<u8> = (0..3 * 32 * 48).map(|place| (place / 7) as u8).collect();
    let image = Arc::new(Rgb8 { width_px: 32, height_px: 48, pixels });
    let control = |network: &str| ControlChoice {
        network: network.to_owned(),
        image: Arc::clone(&image),
        scale: 1.0,
        start: 0.0,
        end: 1.0,
        device_bytes: 0,
    };
    let with = |controls| GenerationSpec { controls, ..spec.clone() };
    let alone = draw(&pipeline, &spec);
    let steered = draw(&pipeline, &with(vec![control("canny")]));
    assert_ne!(steered, alone);
    assert_eq!(draw(&pipeline, &with(vec![control("canny")])), steered);
    for changed in [
        vec![control("depth")],
        vec![control("canny"), control("depth")],
        vec![ControlChoice { scale: 0.5, ..control("canny") }],
        vec![ControlChoice { start: 0.5, ..control("canny") }],
        vec![ControlChoice { end: 0.5, ..control("canny") }],
    ] {
        assert_ne!(draw(&pipeline, &with(changed.clone())), steered, "{changed:?}");
    }
    let silent = ControlChoice { scale: 0.0, ..control("canny") };
    assert_eq!(draw(&pipeline, &with(vec![silent])), alone);
    pipeline.release_adapters().expect("nothing can fail");
    assert_eq!(draw(&pipeline, &with(vec![control("canny")])), steered, "loaded again");
    let refined = GenerationSpec { refiner: Some(Default::default()), ..with(vec![control("canny")]) };
    assert_ne!(draw(&pipeline, &refined), steered);
    for (network, complaint) in [("other", "canny or depth"), ("pose", "canny or depth")] {
        let refused = pipeline.generate(&with(vec![control(network)]), &mut |_| ControlFlow::Continue(()));
        let refused = refused.expect_err("no such network").to_string();
        assert!(refused.contains(complaint), "{refused}");
    }
}
