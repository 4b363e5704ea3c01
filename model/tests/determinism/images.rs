//! Initial images, masks and second passes: what is kept, how many steps are computed, and that the same request gives the
//! same picture.

use std::ops::ControlFlow;
use std::sync::Arc;

use sakuga_model::families::newbie::SAMPLING_DEFAULT;
use sakuga_model::sampler::SOLVERS;
use sakuga_model_core::{
    Area, EngineError, GenerationSpec, InitImage, Mask, Outcome, PreviewMethod, Progress, Region, Rgb8, Sampling,
    SecondPass, SpecError, Stage, Upscaler,
};

use crate::{draw, pipeline};

const WIDTH: u32 = 64;
const HEIGHT: u32 = 96;

fn spec() -> GenerationSpec {
    let sampling = Sampling { steps: 6, ..SAMPLING_DEFAULT };
    GenerationSpec { seed: 7, ..GenerationSpec::new("1girl, silver hair", WIDTH, HEIGHT, sampling) }
}

/// Smooth colours, which the random autoencoder of the checkpoint preserves best.
fn image(width_px: u32, height_px: u32) -> Rgb8 {
    let pixel = |x: u32, y: u32| [(255 * x / width_px) as u8, (255 * y / height_px) as u8, 60];
    let pixels = (0..height_px).flat_map(|y| (0..width_px).flat_map(move |x| pixel(x, y))).collect();
    Rgb8 { width_px, height_px, pixels }
}

fn from_image(strength: f32, mask: Option<Mask>) -> GenerationSpec {
    let init = InitImage { image: Arc::new(image(WIDTH, HEIGHT)), strength, mask: mask.map(Arc::new), region: None };
    GenerationSpec { init: Some(init), ..spec() }
}

fn boxed(width_px: u32, height_px: u32, area: Area) -> Mask {
    let mut mask = Mask::empty(width_px, height_px);
    mask.mark(&area);
    mask
}

const MARKED: Area = Area { left_px: 20, top_px: 30, width_px: 24, height_px: 40 };

/// The mean difference of two images, in grey levels.
fn distance(a: &Rgb8, b: &Rgb8) -> f64 {
    assert_eq!((a.width_px, a.height_px), (b.width_px, b.height_px));
    let sum: u32 = a.pixels.iter().zip(&b.pixels).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    f64::from(sum) / a.pixels.len() as f64
}

#[test]
fn more_strength_is_farther_from_the_image_and_all_of_it_is_noise_alone() {
    let pipeline = pipeline();
    let at = |strength| draw(&pipeline, &from_image(strength, None)).remove(0);
    let pictures: Vec<Rgb8> = [0.17, 0.5, 0.84].map(at).into();
    let from_noise = draw(&pipeline, &spec()).remove(0);
    let distances: Vec<f64> = pictures.iter().map(|picture| distance(picture, &from_noise)).collect();
    // The network is random, so only the ends are in order.
    assert!(distances[0] > distances[2] && distances.iter().all(|distance| *distance > 1.0), "{distances:?}");
    assert_eq!(at(1.0), from_noise);
    assert_eq!(at(0.5), pictures[1], "the same request, the same bits");
    let other = GenerationSpec { seed: 8, ..from_image(0.5, None) };
    assert!(distance(&draw(&pipeline, &other)[0], &pictures[1]) > 1.0, "the seed matters");
}

#[test]
fn only_the_rest_of_the_schedule_is_computed_by_every_solver() {
    let pipeline = pipeline();
    for solver in SOLVERS {
        let mut spec = from_image(0.7, None);
        (spec.sampling.solver, spec.sampling.steps, spec.images, spec.max_batch) = (solver, 10, 2, 1);
        let (mut stages, mut steps) = (Vec::new(), Vec::new());
        let outcome = pipeline.generate(&spec, &mut |progress| {
            match progress {
                Progress::Stage(stage) => stages.push(stage),
                Progress::Step(step) => {
                    assert_eq!((step.report.total, step.report.pass), (14, 1));
                    assert_eq!(step.report.evaluations, step.report.index * solver.evaluations_per_step());
                    steps.push((step.report.index, step.report.t));
                }
                _ => {}
            }
            ControlFlow::Continue(())
        });
        let Ok(Outcome::Finished { images, timings, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(stages, [Stage::TextEncode, Stage::VaeEncode, Stage::Denoise, Stage::Decode]);
        assert_eq!(steps.iter().map(|(index, _)| *index).collect::<Vec<_>>(), (1..=14).collect::<Vec<_>>());
        // Both images begin at the same point of the grid, not at its beginning.
        assert!(steps[0].1 > 0.05 && steps[0].1 == steps[7].1 && steps[6].1 == 1.0, "{solver}: {steps:?}");
        assert!(timings.vae_encode > std::time::Duration::ZERO && images.len() == 2);
        assert!(distance(&images[0], &images[1]) > 0.5, "each image has its own noise");
    }
}

#[test]
fn what_a_mask_keeps_is_kept_bit_for_bit() {
    let pipeline = pipeline();
    let original = image(WIDTH, HEIGHT);
    for (feather, strength) in [(0, 1.0), (6, 0.5)] {
        let mask = boxed(WIDTH, HEIGHT, MARKED).feathered(feather);
        let spec = GenerationSpec { images: 2, ..from_image(strength, Some(mask.clone())) };
        let mut previews = Vec::new();
        let outcome = pipeline.generate(&spec, &mut |progress| {
            if let Progress::Step(step) = progress {
                previews = step.previews(PreviewMethod::Decoder);
            }
            ControlFlow::Continue(())
        });
        let Ok(Outcome::Finished { images, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(previews.len(), 2);
        for picture in &images {
            let pixels = picture.pixels.as_chunks::<3>().0.iter().zip(original.pixels.as_chunks::<3>().0);
            let (mut kept, mut changed) = (0, 0);
            for ((found, expected), level) in pixels.zip(mask.levels()) {
                if *level == 0 {
                    assert_eq!(found, expected, "feather {feather}");
                    kept += 1;
                } else {
                    changed += usize::from(found != expected);
                }
            }
            assert!(kept > 3000 && changed > 800, "{kept} kept, {changed} changed");
        }
        assert_eq!(draw(&pipeline, &spec), images);
        assert!(distance(&images[0].cropped(&MARKED), &images[1].cropped(&MARKED)) > 1.0, "its own noise");
    }
}

/// Latents that are kept are those of the image at every step: the drawn part fits what is around it, and depends on it.
#[test]
fn what_is_drawn_depends_on_what_is_kept() {
    let pipeline = pipeline();
    let mask = boxed(WIDTH, HEIGHT, MARKED);
    let spec = from_image(1.0, Some(mask));
    let first = draw(&pipeline, &spec).remove(0).cropped(&MARKED);
    let inverted =
        Rgb8 { pixels: image(WIDTH, HEIGHT).pixels.iter().map(|level| 255 - level).collect(), ..image(WIDTH, HEIGHT) };
    let init = InitImage { image: Arc::new(inverted), ..spec.init.clone().expect("an image") };
    let second = draw(&pipeline, &GenerationSpec { init: Some(init), ..spec }).remove(0).cropped(&MARKED);
    assert!(distance(&first, &second) > 1.0);
}

#[test]
fn a_region_is_drawn_alone_and_put_back() {
    let pipeline = pipeline();
    let whole = image(160, 128);
    let area = Area { left_px: 40, top_px: 20, width_px: 50, height_px: 75 };
    let mask = boxed(160, 128, Area { left_px: 50, top_px: 40, width_px: 20, height_px: 30 }).feathered(4);
    let init = InitImage {
        image: Arc::new(whole.cropped(&area).resampled(WIDTH, HEIGHT)),
        strength: 0.8,
        mask: Some(Arc::new(mask.covering(&area, WIDTH, HEIGHT))),
        region: Some(Region { whole: Arc::new(whole.clone()), mask: Arc::new(mask.clone()), area }),
    };
    let picture = draw(&pipeline, &GenerationSpec { init: Some(init), ..spec() }).remove(0);
    assert_eq!((picture.width_px, picture.height_px), (160, 128));
    let pixels = picture.pixels.as_chunks::<3>().0.iter().zip(whole.pixels.as_chunks::<3>().0).zip(mask.levels());
    let changed = pixels.filter(|((found, expected), level)| {
        assert!(**level > 0 || found == expected);
        found != expected
    });
    assert!(changed.count() > 300);
}

#[test]
fn a_second_pass_is_larger_and_reports_its_steps() {
    let pipeline = pipeline();
    let mut drawn = Vec::new();
    for upscaler in Upscaler::ALL {
        let second = SecondPass { width_px: 96, height_px: 144, upscaler, strength: 0.5, steps: 5 };
        let spec = GenerationSpec { images: 2, second_pass: Some(second), ..spec() };
        let (mut stages, mut passes, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
        let outcome = pipeline.generate(&spec, &mut |progress| {
            match progress {
                Progress::Pass(pass) => stages.push(format!("pass {pass}")),
                Progress::Stage(stage) => stages.push(stage.name().to_owned()),
                Progress::Step(step) => {
                    passes.push((step.report.index, step.report.total, step.report.pass, step.report.evaluations));
                    let preview = &step.previews(PreviewMethod::Linear)[1];
                    sizes.push((preview.width_px, preview.height_px));
                }
                _ => {}
            }
            ControlFlow::Continue(())
        });
        let Ok(Outcome::Finished { images, timings, .. }) = outcome else { panic!("{outcome:?}") };
        let between: &[&str] = match upscaler {
            Upscaler::Lanczos => &["decode", "pass 2", "vae_encode"],
            Upscaler::LatentBilinear => &["pass 2"],
        };
        assert_eq!(stages, [&["text_encode", "denoise"][..], between, &["denoise", "decode"]].concat());
        let expected: Vec<_> = (1..=8).map(|index| (index, 8, if index > 6 { 2 } else { 1 }, index)).collect();
        assert_eq!((passes, timings.steps.len()), (expected, 8));
        assert_eq!((sizes[5], sizes[6]), ((8, 12), (12, 18)));
        assert!(images.iter().all(|image| (image.width_px, image.height_px) == (96, 144)));
        assert!(distance(&images[0], &images[1]) > 1.0);
        let alone = draw(&pipeline, &GenerationSpec { max_batch: 1, ..spec.clone() });
        for (alone, together) in alone.iter().zip(&images) {
            assert!(distance(alone, together) < 0.5, "an image does not depend on its batch");
        }
        assert_eq!(draw(&pipeline, &spec), images);
        drawn.push(images[0].clone());
    }
    assert!(distance(&drawn[0], &drawn[1]) > 0.1, "the upscalers differ");
}

#[test]
fn the_observer_stops_in_either_pass_and_before_the_encoder() {
    let pipeline = pipeline();
    let second = SecondPass { width_px: 96, height_px: 144, upscaler: Upscaler::Lanczos, strength: 1.0, steps: 4 };
    let spec = GenerationSpec { second_pass: Some(second), ..from_image(0.5, None) };
    let stop = |wanted: &dyn Fn(&Progress<'_>) -> bool| {
        let outcome = pipeline.generate(&spec, &mut |progress| match wanted(&progress) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        });
        match outcome {
            Ok(Outcome::Stopped { after_step }) => after_step,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(stop(&|progress| matches!(progress, Progress::Stage(Stage::VaeEncode))), 0);
    assert_eq!(stop(&|progress| matches!(progress, Progress::Pass(2))), 3);
    assert_eq!(stop(&|progress| matches!(progress, Progress::Step(step) if step.report.index == 5)), 5);
}

#[test]
fn requests_that_cannot_be_drawn_are_refused_before_anything_is_computed() {
    let pipeline = pipeline();
    let mask = boxed(WIDTH, HEIGHT, MARKED);
    let second = SecondPass { width_px: 96, height_px: 144, upscaler: Upscaler::Lanczos, strength: 0.5, steps: 4 };
    for spec in [
        from_image(0.1, None),
        from_image(1.5, None),
        GenerationSpec { width_px: 96, ..from_image(0.5, None) },
        GenerationSpec { second_pass: Some(second), ..from_image(0.5, Some(mask)) },
        GenerationSpec { second_pass: Some(SecondPass { width_px: 100, ..second }), ..spec() },
    ] {
        let mut called = false;
        let outcome = pipeline.generate(&spec, &mut |_| {
            called = true;
            ControlFlow::Continue(())
        });
        assert!(matches!(outcome, Err(EngineError::Spec(_))) && !called, "{outcome:?}");
    }
    let error = pipeline.generate(&from_image(0.1, None), &mut |_| ControlFlow::Continue(())).expect_err("no step");
    assert!(
        matches!(&error, EngineError::Spec(SpecError::NoStep { .. })) && error.to_string().contains("0.17"),
        "{error}"
    );
}
