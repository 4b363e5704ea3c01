//! The same request gives the same picture: twice, in any batch, and whatever else is asked for beside it.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;

use sakuga_model::checkpoint::synthetic::{self, Preset};
use sakuga_model::device::OpenDevice;
use sakuga_model::pipeline::{LoadOptions, Pipeline, PipelineError, WarmUpSize};
use sakuga_model::progress::{Outcome, PreviewMethod, Progress, Rgb8, Stage};
use sakuga_model::sampler::Solver;
use sakuga_model::spec::GenerateSpec;
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

fn spec() -> GenerateSpec {
    let mut spec = GenerateSpec::new("1girl, silver hair", 64, 96);
    spec.steps = 6;
    spec.seed = 7;
    spec.guidance_renorm = 1.0;
    spec
}

fn draw(pipeline: &Pipeline, spec: &GenerateSpec) -> Vec<Rgb8> {
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
    let together = draw(&pipeline, &GenerateSpec { images: 3, ..spec() });
    let in_turn = draw(&pipeline, &GenerateSpec { images: 3, max_batch: 1, ..spec() });
    let in_pairs = draw(&pipeline, &GenerateSpec { images: 3, max_batch: 2, ..spec() });
    let alone = draw(&pipeline, &spec());
    assert_eq!(alone[0], in_turn[0]);
    for i in 0..3 {
        assert!(difference(&together[i], &in_turn[i]) <= 1, "image {i}");
        assert!(difference(&in_pairs[i], &in_turn[i]) <= 1, "image {i}");
    }
    assert!(difference(&together[0], &together[1]) > 20, "other noise, other picture");
}

#[test]
fn every_field_of_a_request_matters() {
    let pipeline = pipeline();
    let base = draw(&pipeline, &spec());
    let changed = [
        ("text", GenerateSpec { text: "1boy, red eyes".into(), ..spec() }),
        ("system_prompt", GenerateSpec { system_prompt: "You draw. ".into(), ..spec() }),
        ("negative", GenerateSpec { negative: "lowres".into(), ..spec() }),
        ("seed", GenerateSpec { seed: 8, ..spec() }),
        ("solver", GenerateSpec { solver: Solver::Dpm, ..spec() }),
        ("steps", GenerateSpec { steps: 7, ..spec() }),
        ("guidance_scale", GenerateSpec { guidance_scale: 2.0, ..spec() }),
        ("guidance_until", GenerateSpec { guidance_until: 0.2, ..spec() }),
        ("guidance_renorm", GenerateSpec { guidance_renorm: 0.0, ..spec() }),
        ("shift", GenerateSpec { shift: 3.0, ..spec() }),
    ];
    for (field, spec) in changed {
        assert!(difference(&base[0], &draw(&pipeline, &spec)[0]) > 1, "{field} changes nothing");
    }
}

#[test]
fn watching_changes_nothing() {
    let pipeline = pipeline();
    let spec = GenerateSpec { images: 2, solver: Solver::Midpoint, guidance_until: 0.2, ..spec() };
    let (mut steps, mut stages, mut guided) = (Vec::new(), Vec::new(), Vec::new());
    let outcome = pipeline.generate(&spec, &mut |progress| {
        match progress {
            Progress::Stage(stage) => stages.push(stage),
            Progress::TextEncoded(counts) => {
                assert_eq!(counts[0].encoder, "gemma3");
                assert!(counts.iter().all(|count| count.total > 1 && !count.is_truncated()));
            }
            Progress::Step(step) => {
                assert_eq!((step.total, step.evaluations), (6, 2 * step.index));
                assert!((step.t + step.sigma - 1.0).abs() < 1e-12 && step.step_ms > 0.0);
                let linear = step.preview(PreviewMethod::Linear);
                assert_eq!(
                    linear.iter().map(|image| (image.width_px, image.height_px)).collect::<Vec<_>>(),
                    [(8, 12); 2]
                );
                assert_eq!(step.preview(PreviewMethod::Decoder)[1].height_px, 96);
                steps.push(step.index);
                guided.push(step.guidance_active);
            }
            Progress::Profile(profile) => panic!("nobody asked for {profile:?}"),
        }
        ControlFlow::Continue(())
    });
    let Ok(Outcome::Finished { images, timings }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(stages, [Stage::TextEncode, Stage::Denoise, Stage::Decode]);
    assert_eq!(steps, [1, 2, 3, 4, 5, 6]);
    assert!(guided[0] && !guided[5]);
    assert_eq!(timings.step_ms.len(), 6);
    assert!(timings.total_ms >= timings.denoise_ms() + timings.decode_ms);
    assert_eq!(images, draw(&pipeline, &spec));
}

#[test]
fn measuring_changes_no_picture_and_tells_of_every_part() {
    let pipeline = pipeline();
    let mut profiles = Vec::new();
    let outcome = pipeline.generate(&GenerateSpec { profile: true, ..spec() }, &mut |progress| {
        if let Progress::Profile(profile) = progress {
            profiles.push(profile);
        }
        ControlFlow::Continue(())
    });
    let Ok(Outcome::Finished { images, timings }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(images, draw(&pipeline, &spec()));
    let stages: Vec<Stage> = profiles.iter().map(|profile| profile.stage).collect();
    assert_eq!(stages, [Stage::TextEncode, Stage::Denoise, Stage::Decode]);
    assert!(profiles[1].wall_ms >= timings.step_ms.iter().sum());
    // A CPU tells nothing of single operations.
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
        Progress::Step(step) if step.index == 2 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert!(matches!(outcome, Ok(Outcome::Stopped { after_step: 2 })), "{outcome:?}");
}

#[test]
fn requests_out_of_bounds_are_refused_before_anything_is_computed() {
    let pipeline = pipeline();
    let broken = [
        GenerateSpec { width_px: 100, ..spec() },
        GenerateSpec { height_px: 0, ..spec() },
        GenerateSpec { width_px: u32::MAX, ..spec() },
        GenerateSpec { steps: 0, ..spec() },
        GenerateSpec { images: usize::MAX, ..spec() },
        GenerateSpec { shift: f32::NAN, ..spec() },
    ];
    for spec in broken {
        let mut called = false;
        let outcome = pipeline.generate(&spec, &mut |_| {
            called = true;
            ControlFlow::Continue(())
        });
        assert!(matches!(outcome, Err(PipelineError::Spec(_))) && !called, "{spec:?}: {outcome:?}");
    }
}

#[test]
fn the_checkpoint_says_what_it_is() {
    let pipeline = pipeline();
    let info = pipeline.info();
    assert_eq!((info.name.as_str(), info.default_size_px, info.limits.size_multiple_px), ("random-tiny", 256, 16));
    assert!(info.notice.contains("random weights"));
    assert_eq!(info.fingerprint.len(), 64);
    assert_eq!(info.parameters.keys().collect::<Vec<_>>(), ["autoencoder_kl", "gemma3", "jina_clip", "next_dit"]);
    let counts = pipeline.text().count(&info.default_system_prompt, "1girl");
    assert!(counts[0].total > counts[1].total);
    let long = "silver hair, ".repeat(2000);
    let counts = pipeline.text().count("", &long);
    assert!(counts[0].is_truncated() && counts[0].first_lost.is_some());
    let cut = GenerateSpec { text: long, steps: 1, ..spec() };
    assert_eq!(draw(&pipeline, &cut).len(), 1);
}

#[test]
fn tokenizers_and_pipelines_can_change_threads() {
    fn sendable<T: Send>() {}
    fn shareable<T: Send + Sync>() {}
    sendable::<Pipeline>();
    shareable::<sakuga_model::text::Tokenizers>();
}
