//! Scenes: one model draws the pictures, and another one draws over them, in one job.

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{
    Adapter, Box as MaskBox, CancelJobRequest, CancelReason, EstimateRequest, EstimatedPartKind, GenerateEvent,
    GenerateRequest, ImageFormat, ImageSource, JobOptions, PreviewMethod, PreviewOptions, Protection, Refiner,
    ResizeMode, Sampling, Scene, Stage, image_source, scene,
};
use sakuga_proto::json;
use sakuga_proto::model::v1::ModelState;
use sakuga_server::engine::scripted::{Fault, Script};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::bad_requests::violations;
use crate::images::{inline, pixels, png};
use crate::models::{config, of_model, states};
use crate::support::{Server, expect_event, fault, files, name, quick, rest, run, steps_of_ms, until};

/// A request of model `a` for a scene of model `b`.
fn scene_of(steps: u32, scene_steps: u32) -> GenerateRequest {
    let scene = Scene {
        prompt: Some(scene::Prompt::Xml("<caption>A forest in the rain.</caption>".into())),
        model: "b".into(),
        sampling: Some(Sampling { steps: scene_steps, ..Sampling::default() }),
        strength: Some(0.5),
        ..Scene::default()
    };
    GenerateRequest { scene: Some(scene), seed: Some(5), ..of_model("a", steps) }
}

fn edited(request: &GenerateRequest, edit: impl FnOnce(&mut Scene)) -> GenerateRequest {
    let mut request = request.clone();
    edit(request.scene.as_mut().expect("a scene"));
    request
}

/// The stages with their passes.
fn stages(events: &[GenerateEvent]) -> Vec<(Stage, u32)> {
    let stage = |event: &GenerateEvent| match event.event.as_ref() {
        Some(Event::Stage(begun)) => Some((begun.stage(), begun.pass_number)),
        _ => None,
    };
    events.iter().filter_map(stage).collect()
}

fn sha256(events: &[GenerateEvent]) -> Vec<String> {
    let completed = expect_event!(events.last().expect("events"), Completed);
    completed.images.iter().map(|image| image.sha256.clone()).collect()
}

#[tokio::test]
async fn both_passes_are_one_job_whose_record_draws_it_again() {
    let server = Server::start(config(vec![quick(), quick()], None, 0)).await;
    let preview = PreviewOptions {
        method: PreviewMethod::Linear.into(),
        format: ImageFormat::Png.into(),
        ..PreviewOptions::default()
    };
    let asked = GenerateRequest { preview: Some(preview), images: 2, ..scene_of(3, 4) };
    let events = run(&server, asked.clone()).await;
    let over = [Stage::TextEncode, Stage::VaeEncode, Stage::Denoise, Stage::Decode].map(|stage| (stage, 2));
    let first = [Stage::TextEncode, Stage::Denoise, Stage::Decode].map(|stage| (stage, 1));
    assert_eq!(stages(&events), [&first[..], &over, &over, &[(Stage::EncodeImage, 2)]].concat());
    let steps: Vec<_> =
        events.iter().filter(|event| name(event) == "step").map(|event| expect_event!(event, Step)).collect();
    let places: Vec<_> =
        steps.iter().map(|step| (step.index, step.total, step.pass_number, step.evaluations)).collect();
    let expected =
        [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2), (7, 2)].map(|(index, pass)| (index, 7, pass, index));
    assert_eq!(places, expected);
    let previewed: Vec<(u32, u32)> = events
        .iter()
        .filter(|event| name(event) == "preview")
        .map(|event| expect_event!(event, Preview))
        .map(|preview| (preview.step, preview.image_index))
        .collect();
    assert!(previewed.contains(&(7, 1)) && previewed.iter().all(|(step, _)| *step <= 7), "{previewed:?}");

    let completed = expect_event!(events.last().expect("events"), Completed);
    assert!(completed.timings.expect("timings").vae_encode.is_some());
    let metadata = completed.images[1].metadata.clone().expect("metadata");
    let applied = metadata.scene.clone().expect("what drew the scene");
    assert!(metadata.model.starts_with("a@") && applied.model.starts_with("b@"), "{metadata:?}");
    assert_eq!(applied.model_text.trim(), "A forest in the rain.");
    let again = json::from_str::<GenerateRequest>(
        &json::to_string(&metadata.request.clone().expect("the request")).expect("JSON"),
        json::UnknownFields::Refuse,
    );
    let again = again.expect("the request");
    let resolved = again.scene.clone().expect("the scene");
    assert_eq!((resolved.seed, resolved.strength, resolved.width, resolved.height), (Some(6), Some(0.5), 64, 64));
    let redrawn = run(&server, again.clone()).await;
    assert_eq!(sha256(&redrawn), sha256(&events), "the record draws the same files");
    let alone = run(&server, GenerateRequest { image_indices: vec![1], ..again }).await;
    assert_eq!(sha256(&alone), [sha256(&events)[1].clone()], "and each picture alone");
    let other = run(&server, edited(&asked, |scene| scene.seed = Some(99))).await;
    assert_ne!(sha256(&other), sha256(&events));
    server.stop().await;
}

#[tokio::test]
async fn protected_pixels_are_those_of_the_first_pass() {
    let server = Server::start(config(vec![quick(), quick()], None, 0)).await;
    let first = pixels(&files(&run(&server, GenerateRequest { scene: None, ..scene_of(2, 4) }).await)[0]);
    let protects = |protection: Protection| edited(&scene_of(2, 4), |scene| scene.protection = Some(protection));
    let boxes = vec![MaskBox { left: 8, top: 16, width: 24, height: 40 }];
    let in_box = |x: u32, y: u32| (8..32).contains(&x) && (16..56).contains(&y);
    let white = png(64, 64, |x, y| if in_box(x, y) { [255; 3] } else { [0; 3] });
    let by_image = Protection { image: inline(&white), feather: 6, ..Protection::default() };
    let mut drawn = Vec::new();
    for protection in [Protection { boxes, feather: 6, ..Protection::default() }, by_image] {
        let picture = pixels(&files(&run(&server, protects(protection)).await)[0]);
        let mut changed = 0;
        for (x, y, pixel) in picture.enumerate_pixels() {
            let is_kept = pixel == first.get_pixel(x, y);
            assert!(is_kept || !in_box(x, y), "{x}, {y} is protected");
            changed += u32::from(!is_kept);
        }
        assert!(changed > 1000, "the rest is drawn again: {changed}");
        drawn.push(picture);
    }
    assert_eq!(drawn[0], drawn[1], "boxes and their mask are the same");
    server.stop().await;
}

#[tokio::test]
async fn a_budget_for_one_model_switches_between_them_within_the_job() {
    let server = Server::start(config(vec![quick(), quick()], Some(1), 0)).await;
    assert_eq!(states(&server).await, [ModelState::Loaded, ModelState::Unloaded]);
    let loads = |events: &[GenerateEvent]| -> Vec<u32> {
        stages(events).into_iter().filter(|(stage, _)| *stage == Stage::LoadModel).map(|(_, pass)| pass).collect()
    };
    let asked = GenerateRequest { images: 2, ..scene_of(2, 4) };
    let events = run(&server, asked.clone()).await;
    assert_eq!(loads(&events), [2], "once for all pictures");
    assert_eq!(states(&server).await, [ModelState::Unloaded, ModelState::Loaded]);
    let again = run(&server, asked).await;
    assert_eq!((loads(&again), sha256(&again)), (vec![1, 2], sha256(&events)));
    server.stop().await;
    let both = Server::start(config(vec![quick(), quick()], Some(2), 0)).await;
    let resident = run(&both, scene_of(2, 4)).await;
    assert!(loads(&resident).is_empty());
    both.stop().await;
}

#[tokio::test]
async fn one_cancellation_and_one_deadline_end_either_pass() {
    let server = Server::start(config(vec![quick(), steps_of_ms(100)], None, 0)).await;
    let mut stream = server.generation().generate(scene_of(2, 200)).await.expect("accepted").into_inner();
    let job_id = until(&mut stream, "step").await.job_id;
    while expect_event!(until(&mut stream, "step").await, Step).pass_number < 2 {}
    server.jobs().cancel_job(CancelJobRequest { job_id }).await.expect("it runs");
    let events = rest(&mut stream).await;
    let cancelled = expect_event!(events.last().expect("an end"), Cancelled);
    assert_eq!(cancelled.reason(), CancelReason::Requested);
    assert!(cancelled.at_step > 2 && cancelled.at_step < 102, "{cancelled:?}");

    let timeout = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let slow = edited(&scene_of(2, 200), |scene| scene.strength = Some(1.0));
    // A new server: by measured times this one refuses the job.
    server.stop().await;
    let server = Server::start(config(vec![quick(), steps_of_ms(100)], None, 0)).await;
    let options = JobOptions { timeout, ..JobOptions::default() };
    let job_id = crate::jobs::create(&server, slow, options).await.expect("accepted").job_id;
    let events = crate::jobs::all(&server, &job_id, None).await;
    assert_eq!(expect_event!(events.last().expect("an end"), Cancelled).reason(), CancelReason::Deadline);
    server.stop().await;
}

#[tokio::test]
async fn a_scene_is_checked_as_a_request_of_its_model() {
    let server = Server::start(config(vec![quick(), quick()], None, 0)).await;
    let refuse = async |request: GenerateRequest| server.generation().generate(request).await.expect_err("refused");
    let good = scene_of(2, 4);
    let steps = |steps| Some(Sampling { steps, ..Sampling::default() });
    let all = edited(&good, |scene| {
        scene.prompt = Some(scene::Prompt::Xml("<caption>A forest".into()));
        scene.strictness = 2;
        (scene.sampling, scene.strength, scene.resize) = (steps(201), Some(2.0), 99);
        scene.negative = Some(scene::Negative::NegativeText("<caption>rain</caption".into()));
    });
    let found = violations(&refuse(GenerateRequest { width: 1000, ..all }).await);
    let fields: Vec<&str> = found.keys().map(String::as_str).collect();
    for field in ["width", "scene.strength", "scene.sampling.steps", "scene.resize"] {
        assert!(fields.contains(&field), "{field} is not among {fields:?}");
    }
    for text in [&["scene.prompt", "scene.caption"][..], &["scene.negative"]] {
        let is_named = |field: &&str| text.iter().any(|text| field.starts_with(text));
        assert!(fields.iter().any(is_named), "none of {text:?} is among {fields:?}");
    }
    let crop = i32::from(ResizeMode::Crop);
    let outside = MaskBox { left: 60, top: 0, width: 16, height: 16 };
    let protects = |boxes: Vec<MaskBox>| Some(Protection { boxes, ..Protection::default() });
    let missing = Some(ImageSource { source: Some(image_source::Source::Asset("ab".repeat(32))) });
    for (edit, field, reason) in [
        (edited(&good, |scene| scene.prompt = None), "scene.prompt", "required"),
        (edited(&good, |scene| scene.strength = Some(1.5)), "scene.strength", "out-of-range"),
        (edited(&good, |scene| scene.strength = Some(0.1)), "scene.strength", "out-of-range"),
        (edited(&good, |scene| scene.width = 128), "scene.resize", "required"),
        (edited(&good, |scene| (scene.height, scene.resize) = (100, crop)), "scene.height", "not-a-multiple"),
        (
            edited(&good, |scene| scene.protection = protects(vec![outside])),
            "scene.protection.boxes[0]",
            "out-of-range",
        ),
        (edited(&good, |scene| scene.protection = protects(Vec::new())), "scene.protection", "required"),
        (
            edited(&good, |scene| scene.protection = Some(Protection { image: missing, ..Protection::default() })),
            "scene.protection.image.asset",
            "required",
        ),
        (edited(&good, |scene| scene.adapters = vec![Adapter::default()]), "scene.adapters[0]", "required"),
        (edited(&good, |scene| scene.refiner = Some(Refiner::default())), "scene.refiner", "unsupported"),
    ] {
        let status = refuse(edit).await;
        let found: Vec<_> = violations(&status).into_iter().map(|(field, (reason, _))| (field, reason)).collect();
        assert_eq!(found, [(field.to_owned(), reason.to_owned())]);
    }
    let unknown = refuse(edited(&good, |scene| scene.model = "c".into())).await;
    assert_eq!(unknown.code(), Code::NotFound);
    assert!(unknown.message().starts_with("scene.model: there is no model `c`"), "{unknown:?}");
    assert_eq!(unknown.get_details_error_info().expect("ErrorInfo").metadata["field"], "scene.model");
    let unknown = refuse(GenerateRequest { model: "c".into(), ..good.clone() }).await;
    assert!(unknown.message().starts_with("model: there is no model `c`"), "{unknown:?}");
    assert_eq!(unknown.get_details_error_info().expect("ErrorInfo").metadata["field"], "model");
    // Findings that are no faults name the scene as well.
    let repaired = edited(&good, |scene| scene.prompt = Some(scene::Prompt::Xml("<caption>A forest".into())));
    let events = run(&server, repaired).await;
    let accepted = expect_event!(events[0], Accepted);
    assert!(accepted.diagnostics.iter().any(|finding| finding.path.starts_with("scene.")), "{accepted:?}");
    let resized = edited(&good, |scene| (scene.width, scene.resize) = (128, crop));
    let picture = pixels(&files(&run(&server, resized).await)[0]);
    assert_eq!((picture.width(), picture.height()), (128, 64));
    server.stop().await;
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_or_fails_ends_the_job() {
    let broken = Script { failing_openings: vec![1], ..quick() };
    let server = Server::start(config(vec![quick(), broken], Some(1), 0)).await;
    let events = run(&server, scene_of(2, 4)).await;
    assert_eq!(expect_event!(events.last().expect("an end"), Failed).code, Code::FailedPrecondition as i32);
    let refused = server.generation().generate(scene_of(2, 4)).await.expect_err("it is known by now");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    expect_event!(run(&server, of_model("a", 2)).await.last().expect("an end"), Completed);
    server.stop().await;

    let fails = Script { faults: vec![fault(1, 1, Fault::Fail)], ..quick() };
    let server = Server::start(config(vec![quick(), fails], None, 0)).await;
    let events = run(&server, scene_of(2, 4)).await;
    expect_event!(events.last().expect("an end"), Failed);
    expect_event!(run(&server, scene_of(2, 4)).await.last().expect("an end"), Completed);
    server.stop().await;
}

#[tokio::test]
async fn an_estimate_counts_both_passes() {
    let server = Server::start(config(vec![steps_of_ms(5), steps_of_ms(20)], None, 0)).await;
    let estimate = async |request: GenerateRequest| {
        let message = EstimateRequest { request: Some(request), options: None };
        let answer = server.generation().estimate(message).await.expect("valid").into_inner();
        answer.estimate.expect("an estimate")
    };
    let asked = GenerateRequest { images: 2, ..scene_of(3, 4) };
    let guess = estimate(asked.clone()).await;
    assert_eq!((guess.steps, guess.evaluations, guess.fits), (7, 7, true));
    for _ in 0..3 {
        run(&server, asked.clone()).await;
    }
    let learnt = estimate(asked.clone()).await;
    let denoise = |pass: u32| {
        let wanted = |kind, number| kind == EstimatedPartKind::Denoise && number == pass;
        let part = learnt.parts.iter().find(|part| wanted(part.kind(), part.pass_number)).expect("the steps");
        (std::time::Duration::try_from(part.time.expect("a time")).expect("no negative one"), part.measurements)
    };
    assert_eq!(learnt.learned_jobs, 3, "the first pass of each job");
    assert_eq!(estimate(of_model("b", 4)).await.learned_jobs, 6, "the second pass over both pictures of each");
    // Four steps of 20 ms, which are measured.
    assert!(denoise(2).0.as_millis() >= 75 && denoise(2).1 >= 3, "{learnt:?}");
    let timeout = Some(prost_types::Duration { seconds: 0, nanos: 60_000_000 });
    let options = JobOptions { timeout, ..JobOptions::default() };
    let refused = crate::jobs::create(&server, asked, options).await.expect_err("the scene alone takes longer");
    assert_eq!(refused.code(), Code::DeadlineExceeded);
    server.stop().await;
}
