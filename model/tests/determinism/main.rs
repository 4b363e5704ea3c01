//! The same request gives the same picture: repeated, in any batch, and with any other outputs.

mod images;
mod shared;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use sakuga_model::device::OpenDevice;
use sakuga_model::families::newbie::synthetic::{self, Preset};
use sakuga_model::families::newbie::{LoadOptions, Pipeline, SAMPLING_DEFAULT, WarmUpSize};
use sakuga_model_core::{
    EngineError, GenerationSpec, Guidance, Outcome, PreviewMethod, Progress, Rgb8, Sampling, Solver, Stage,
    TokenCounter,
};
use tempfile::TempDir;

/// The checkpoint of all tests in this file.
fn checkpoint() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        synthetic::write(folder.path(), &Preset::tiny(), 1).expect("a checkpoint is written");
        folder
    });
    folder.path()
}

fn pipeline() -> Pipeline {
    let options = LoadOptions::new(OpenDevice::cpu());
    Pipeline::load(checkpoint(), options).unwrap_or_else(|error| panic!("{error}")).0
}

fn spec() -> GenerationSpec {
    let guidance = Guidance { renorm: 1.0, ..SAMPLING_DEFAULT.guidance };
    let sampling = Sampling { steps: 6, guidance, ..SAMPLING_DEFAULT };
    GenerationSpec { seed: 7, ..GenerationSpec::new("1girl, silver hair", 64, 96, sampling) }
}

fn with_sampling(change: impl FnOnce(&mut Sampling)) -> GenerationSpec {
    let mut spec = spec();
    change(&mut spec.sampling);
    spec
}

fn draw(pipeline: &Pipeline, spec: &GenerationSpec) -> Vec<Rgb8> {
    match pipeline.generate(spec, &mut |_| ControlFlow::Continue(())) {
        Ok(Outcome::Finished { images, .. }) => images,
        other => panic!("{other:?}"),
    }
}

/// The largest difference of any two pixels, in grey levels.
fn difference(a: &Rgb8, b: &Rgb8) -> u8 {
    assert_eq!((a.width_px, a.height_px), (b.width_px, b.height_px));
    a.pixels.iter().zip(&b.pixels).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

#[test]
fn the_same_request_gives_the_same_bits() {
    let first = draw(&pipeline(), &spec());
    let second = draw(&pipeline(), &spec());
    assert_eq!(first, second);
    assert_eq!((first[0].width_px, first[0].height_px), (64, 96));
    let mean = first[0].pixels.iter().map(|&value| f64::from(value)).sum::<f64>() / first[0].pixels.len() as f64;
    let spread = first[0].pixels.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>();
    assert!((spread / first[0].pixels.len() as f64).sqrt() > 10.0, "a picture, not a grey area");
}

#[test]
fn an_image_does_not_depend_on_its_batch() {
    let pipeline = pipeline();
    let together = draw(&pipeline, &GenerationSpec { images: 3, ..spec() });
    let in_turn = draw(&pipeline, &GenerationSpec { images: 3, max_batch: 1, ..spec() });
    let in_pairs = draw(&pipeline, &GenerationSpec { images: 3, max_batch: 2, ..spec() });
    let alone = draw(&pipeline, &spec());
    assert_eq!(alone[0], in_turn[0]);
    for i in 0..3 {
        assert!(difference(&together[i], &in_turn[i]) <= 1, "image {i}");
        assert!(difference(&in_pairs[i], &in_turn[i]) <= 1, "image {i}");
    }
    assert!(difference(&together[0], &together[1]) > 20, "other noise, other picture");
}

#[test]
fn an_image_that_is_drawn_alone_has_the_bits_of_the_whole_request() {
    let pipeline = pipeline();
    for max_batch in [0, 2] {
        let whole = GenerationSpec { images: 3, max_batch, ..spec() };
        let together = draw(&pipeline, &whole);
        for indices in [vec![1], vec![2], vec![0, 2]] {
            let wanted: Vec<Rgb8> = indices.iter().map(|index: &u32| together[*index as usize].clone()).collect();
            let drawn = draw(&pipeline, &GenerationSpec { image_indices: indices.clone(), ..whole.clone() });
            assert!(drawn == wanted, "{indices:?} of batches of {max_batch}");
        }
    }
    let mut steps = Vec::new();
    let last = GenerationSpec { images: 3, max_batch: 2, image_indices: vec![2], ..spec() };
    let outcome = pipeline.generate(&last, &mut |progress| {
        if let Progress::Step(step) = progress {
            steps.push((step.report.index, step.report.total, step.first_image));
        }
        ControlFlow::Continue(())
    });
    assert!(matches!(outcome, Ok(Outcome::Finished { .. })), "{outcome:?}");
    assert_eq!(steps, [1, 2, 3, 4, 5, 6].map(|index| (index, 6, 2)), "the first batch is not computed");
}

#[test]
fn every_field_of_a_request_matters() {
    let pipeline = pipeline();
    let base = draw(&pipeline, &spec());
    let changed = [
        ("text", GenerationSpec { text: "1boy, red eyes".into(), ..spec() }),
        ("system_prompt", GenerationSpec { system_prompt: "You draw. ".into(), ..spec() }),
        ("negative", GenerationSpec { negative: "lowres".into(), ..spec() }),
        ("negative_system_prompt", GenerationSpec { negative_system_prompt: "You draw badly. ".into(), ..spec() }),
        ("seed", GenerationSpec { seed: 8, ..spec() }),
        ("solver", with_sampling(|sampling| sampling.solver = Solver::Dpm)),
        ("steps", with_sampling(|sampling| sampling.steps = 7)),
    ];
    let numbers = Sampling::NUMBERS.iter().map(|number| {
        // Four fifths of the way from its value to the farther of its bounds.
        let (value, limit) = (number.get(&spec().sampling), &number.limit);
        let bound = if value - limit.min > limit.max - value { limit.min } else { limit.max };
        (number.name(), with_sampling(|sampling| number.set(sampling, value + 0.8 * (bound - value))))
    });
    for (field, spec) in changed.into_iter().chain(numbers) {
        assert!(difference(&base[0], &draw(&pipeline, &spec)[0]) > 1, "{field} changes nothing");
    }
}

#[test]
fn watching_changes_nothing() {
    let pipeline = pipeline();
    let spec = with_sampling(|sampling| {
        (sampling.solver, sampling.guidance.until) = (Solver::Midpoint, 0.2);
    });
    let spec = GenerationSpec { images: 2, ..spec };
    let (mut steps, mut stages, mut guided) = (Vec::new(), Vec::new(), Vec::new());
    let outcome = pipeline.generate(&spec, &mut |progress| {
        match progress {
            Progress::Stage(stage) => stages.push(stage),
            Progress::TextEncoded(counts) => {
                assert_eq!(counts[0].encoder, "gemma3");
                assert!(counts.iter().all(|count| count.tokens > 1 && !count.is_truncated()));
            }
            Progress::Step(step) => {
                let report = step.report;
                assert_eq!((report.total, report.evaluations, report.pass), (6, 2 * report.index, 1));
                assert!((report.t + report.sigma - 1.0).abs() < 1e-12 && !report.duration.is_zero());
                let linear = step.previews(PreviewMethod::Linear);
                assert_eq!(
                    linear.iter().map(|image| (image.width_px, image.height_px)).collect::<Vec<_>>(),
                    [(8, 12); 2]
                );
                assert_eq!(step.previews(PreviewMethod::Decoder)[1].height_px, 96);
                steps.push(report.index);
                guided.push(report.guidance_active);
            }
            Progress::Profile(profile) => panic!("nobody asked for {profile:?}"),
            Progress::Pass(pass) => panic!("nobody asked for pass {pass}"),
            Progress::StepAgain => panic!("no device was lost"),
        }
        ControlFlow::Continue(())
    });
    let Ok(Outcome::Finished { images, timings, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(stages, [Stage::TextEncode, Stage::Denoise, Stage::Decode]);
    assert_eq!(steps, [1, 2, 3, 4, 5, 6]);
    assert!(guided[0] && !guided[5]);
    assert_eq!(timings.steps.len(), 6);
    assert!(timings.total >= timings.denoise() + timings.decode);
    assert_eq!(images, draw(&pipeline, &spec));
}

#[test]
fn measuring_changes_no_picture_and_tells_of_every_part() {
    let pipeline = pipeline();
    let mut profiles = Vec::new();
    let outcome = pipeline.generate(&GenerationSpec { profile: true, ..spec() }, &mut |progress| {
        if let Progress::Profile(profile) = progress {
            profiles.push(profile);
        }
        ControlFlow::Continue(())
    });
    let Ok(Outcome::Finished { images, timings, .. }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(images, draw(&pipeline, &spec()));
    let stages: Vec<Stage> = profiles.iter().map(|profile| profile.stage).collect();
    assert_eq!(stages, [Stage::TextEncode, Stage::Denoise, Stage::Decode]);
    assert!(profiles[1].wall_ms >= 1e3 * timings.steps.iter().sum::<Duration>().as_secs_f64());
    // A CPU does not time single operations.
    assert!(profiles.iter().all(|profile| profile.spans.is_empty() && profile.peaks.is_none()));
}

#[test]
fn warming_up_draws_every_size_and_refuses_what_is_out_of_bounds() {
    let pipeline = pipeline();
    let before = draw(&pipeline, &spec());
    let size = |width_px, images| WarmUpSize { width_px, height_px: 32, images, every_length: images > 1 };
    pipeline.warm_up(&[size(64, 2), size(32, 1)]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(draw(&pipeline, &spec()), before);
    let error = pipeline.warm_up(&[size(33, 1)]).expect_err("no multiple of 16").to_string();
    assert!(error.contains("width_px is 33"), "{error}");
}

#[test]
fn the_observer_stops_at_a_step() {
    let outcome = pipeline().generate(&spec(), &mut |progress| match progress {
        Progress::Step(step) if step.report.index == 2 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert!(matches!(outcome, Ok(Outcome::Stopped { after_step: 2 })), "{outcome:?}");
}

#[test]
fn requests_out_of_bounds_are_refused_before_anything_is_computed() {
    let pipeline = pipeline();
    let broken = [
        GenerationSpec { width_px: 100, ..spec() },
        GenerationSpec { height_px: 0, ..spec() },
        GenerationSpec { width_px: u32::MAX, ..spec() },
        with_sampling(|sampling| sampling.steps = 0),
        GenerationSpec { images: u32::MAX, ..spec() },
        with_sampling(|sampling| sampling.shift = f32::NAN),
    ];
    for spec in broken {
        let mut called = false;
        let outcome = pipeline.generate(&spec, &mut |_| {
            called = true;
            ControlFlow::Continue(())
        });
        assert!(matches!(outcome, Err(EngineError::Spec(_))) && !called, "{spec:?}: {outcome:?}");
    }
}

#[test]
fn the_checkpoint_says_what_it_is() {
    let pipeline = pipeline();
    let info = pipeline.info();
    assert_eq!((info.name.as_str(), info.default_size_px, info.size.multiple_px), ("random-tiny", 256, 16));
    assert!(info.notice.contains("random weights"));
    assert_eq!(info.fingerprint.len(), 64);
    assert_eq!(info.parameters.keys().collect::<Vec<_>>(), ["autoencoder_kl", "gemma3", "jina_clip", "next_dit"]);
    let counts = pipeline.text().count(&info.default_system_prompt, "1girl");
    assert!(counts[0].tokens > counts[1].tokens);
    let long = "silver hair, ".repeat(2000);
    let counts = pipeline.text().count("", &long);
    assert!(counts[0].is_truncated() && counts[0].first_lost.is_some());
    let cut = GenerationSpec { text: long, ..with_sampling(|sampling| sampling.steps = 1) };
    assert_eq!(draw(&pipeline, &cut).len(), 1);
}

#[test]
fn tokenizers_and_pipelines_can_change_threads() {
    fn sendable<T: Send>() {}
    fn shareable<T: Send + Sync>() {}
    sendable::<Pipeline>();
    shareable::<sakuga_model::families::newbie::text::Tokenizers>();
}
