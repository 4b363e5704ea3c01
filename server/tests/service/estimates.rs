//! Estimates: what a job would take and when it would start, without creating it.

use std::time::Duration;

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{
    Estimate, EstimateRequest, EstimatedPartKind, GenerateEvent, GenerateRequest, ImageSource, InitImage, JobFilter,
    JobOptions, ListJobsRequest, Mask, ObstacleKind, Quality, Sampling, SecondPass, Solver, image_source,
};
use sakuga_proto::model::v1::ListModelsRequest;
use sakuga_proto::model::v1::model_service_client::ModelServiceClient;
use sakuga_server::Config;
use sakuga_server::config::{DataPlace, Limits};
use sakuga_server::engine::scripted::{Fault, Script};

use tonic::{Code, Status};

use crate::bad_requests::violations;
use crate::jobs::{create, jobs};
use crate::models;
use crate::support::{Server, expect_event, fault, quick, request, run, scripted, steps_of_ms, until};

async fn ask(server: &Server, request: GenerateRequest, options: JobOptions) -> Result<Estimate, Status> {
    let message = EstimateRequest { request: Some(request), options: Some(options) };
    Ok(server.generation().estimate(message).await?.into_inner().estimate.expect("an estimate"))
}

async fn estimate(server: &Server, request: GenerateRequest) -> Estimate {
    ask(server, request, JobOptions::default()).await.expect("the request is valid")
}

fn seconds(time: Option<prost_types::Duration>) -> f64 {
    Duration::try_from(time.expect("a time")).expect("no negative one").as_secs_f64()
}

fn expected(estimate: &Estimate) -> f64 {
    seconds(estimate.time.expect("a time").expected)
}

fn options(timeout_s: i64) -> JobOptions {
    let timeout = Some(prost_types::Duration { seconds: timeout_s, nanos: 0 });
    JobOptions { timeout, ..JobOptions::default() }
}

async fn job_count(server: &Server) -> usize {
    let message = ListJobsRequest { filter: Some(JobFilter::default()), ..ListJobsRequest::default() };
    jobs(server).list_jobs(message).await.expect("an answer").into_inner().jobs.len()
}

#[tokio::test]
async fn an_estimate_is_a_guess_before_the_first_job_and_learnt_after_it() {
    let server = Server::start(scripted(steps_of_ms(20))).await;
    let guess = estimate(&server, request(10)).await;
    assert_eq!((guess.learned_jobs, guess.fits, guess.queue_position), (0, true, 0));
    assert!(guess.parts.iter().all(|part| part.measurements == 0), "{guess:?}");
    assert_eq!((guess.steps, guess.evaluations, guess.guided_evaluations), (10, 10, 10));
    assert!(guess.tokens.iter().all(|count| count.tokens > 5) && guess.tokens.len() == guess.negative_tokens.len());
    assert!(guess.memory_needed_bytes > 0 && guess.memory_available_bytes.is_some());
    assert_eq!(guess.energy_joules, None, "a CPU does not measure it");
    assert_eq!(job_count(&server).await, 0, "nothing was created");

    for _ in 0..3 {
        run(&server, request(10)).await;
    }
    let learnt = estimate(&server, request(10)).await;
    let time = learnt.time.expect("a time");
    assert_eq!(learnt.learned_jobs, 3);
    // Ten steps sleep 20 ms each; how much longer they take is up to the machine.
    assert!(expected(&learnt) > 0.19, "{learnt:?}");
    assert!(seconds(time.low) < expected(&learnt) && expected(&learnt) < seconds(time.high));
    assert_eq!(seconds(learnt.eta), 0.0);
    assert!(learnt.start_time.is_some());
    let twice = estimate(&server, request(20)).await;
    let denoise = |estimate: &Estimate| {
        let part = estimate.parts.iter().find(|part| part.kind() == EstimatedPartKind::Denoise).expect("the steps");
        (seconds(part.time), part.measurements)
    };
    assert!((denoise(&twice).0 / denoise(&learnt).0 - 2.0).abs() < 1e-3 && denoise(&twice).1 >= 3, "{twice:?}");
    assert_eq!(job_count(&server).await, 3);

    let models = ModelServiceClient::new(server.channel.clone()).list_models(ListModelsRequest {}).await;
    let model = models.expect("an answer").into_inner().models.remove(0);
    assert!(model.learned_jobs == 3 && seconds(model.step_time) > 0.019, "{model:?}");
    server.stop().await;
}

#[tokio::test]
async fn solvers_passes_images_and_guidance_are_counted() {
    let server = Server::start(scripted(quick())).await;
    let sampling = Sampling { steps: 10, solver: Solver::Rk4.into(), ..Sampling::default() };
    let rk4 = estimate(&server, GenerateRequest { sampling: Some(sampling), ..request(10) }).await;
    assert_eq!((rk4.steps, rk4.evaluations, rk4.guided_evaluations), (10, 40, 40));
    let second_pass = Some(SecondPass { steps: 8, ..SecondPass::default() });
    let second = estimate(&server, GenerateRequest { second_pass, ..request(10) }).await;
    assert_eq!(second.steps, 10 + 4);
    let sampling = Sampling { steps: 10, guidance_scale: Some(1.0), ..Sampling::default() };
    let off = estimate(&server, GenerateRequest { sampling: Some(sampling), ..request(10) }).await;
    assert!(off.guided_evaluations == 0 && off.negative_tokens.is_empty(), "{off:?}");
    run(&server, GenerateRequest { second_pass, ..request(10) }).await;
    let learnt = estimate(&server, GenerateRequest { second_pass, ..request(10) }).await;
    let passes: Vec<u32> = learnt
        .parts
        .iter()
        .filter(|part| part.kind() == EstimatedPartKind::Denoise)
        .map(|part| part.pass_number)
        .collect();
    assert_eq!(passes, [1, 2], "both passes apart");
    server.stop().await;
}

#[tokio::test]
async fn the_promise_of_a_quality_is_that_of_the_job() {
    let server = Server::start(scripted(Script { has_quality_profile: true, ..quick() })).await;
    let asked = |quality: Quality| {
        let sampling = Sampling { steps: 4, quality: quality.into(), ..Sampling::default() };
        GenerateRequest { sampling: Some(sampling), ..request(4) }
    };
    for quality in [Quality::Exact, Quality::High, Quality::Fast] {
        let promised = estimate(&server, asked(quality)).await.quality;
        let events = run(&server, asked(quality)).await;
        let started = events.iter().find(|event| matches!(event.event, Some(Event::Started(_))));
        assert_eq!(promised, expect_event!(started.expect("it started"), Started).quality, "{quality:?}");
        // The profile has no settings for high, so that such a request is exact.
        assert_eq!(promised.map(|promise| promise.pictures), (quality == Quality::Fast).then_some(120));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_job_behind_another_starts_after_it() {
    let server = Server::start(scripted(steps_of_ms(50))).await;
    let mut running = server.generation().generate(request(200)).await.expect("accepted").into_inner();
    until(&mut running, "step").await;
    let next = estimate(&server, request(1)).await;
    assert_eq!(next.queue_position, 1);
    // 199 steps are left at most, and 100 at least unless this test is held up for five seconds.
    assert!(seconds(next.eta) > 1.0 && next.start_time.is_some(), "{next:?}");
    let waiting = server.generation().generate(request(100)).await.expect("accepted").into_inner();
    let after = estimate(&server, request(1)).await;
    assert_eq!(after.queue_position, 2);
    assert!(seconds(after.eta) > seconds(next.eta), "it also waits for 100 steps: {after:?}");
    // The deadline of CreateJob follows the same figures.
    let late = ask(&server, request(1), options(1)).await.expect("valid");
    assert_eq!((late.fits, late.obstacles[0].kind()), (false, ObstacleKind::Deadline));
    let message =
        sakuga_proto::generation::v1::CreateJobRequest { request: Some(request(1)), options: Some(options(1)) };
    let refused = jobs(&server).create_job(message).await.expect_err("it cannot end in a second");
    assert_eq!(refused.code(), Code::DeadlineExceeded);
    let changed = &late.obstacles[0].changes[0].fields[0];
    assert_eq!(changed.field, "options.timeout");
    let enough: i64 = changed.value.trim_end_matches('s').parse().expect("seconds");
    assert!(ask(&server, request(1), options(enough + 60)).await.expect("valid").fits);
    drop((running, waiting));
    server.stop().await;
}

#[tokio::test]
async fn a_request_over_the_memory_limit_gets_changes_each_of_which_makes_it_fit() {
    let needed = {
        let server = Server::start(scripted(quick())).await;
        let two = estimate(&server, GenerateRequest { images: 2, ..request(1) }).await.memory_needed_bytes;
        server.stop().await;
        two
    };
    let limits = Limits { job_memory_max: Some(needed), ..Limits::default() };
    let server = Server::start(Config { limits, ..scripted(quick()) }).await;
    let eight = GenerateRequest { images: 8, ..request(1) };
    let large = estimate(&server, eight.clone()).await;
    assert_eq!((large.fits, large.obstacles.len(), large.memory_available_bytes), (false, 1, Some(needed)));
    let obstacle = &large.obstacles[0];
    assert_eq!(obstacle.kind(), ObstacleKind::Memory);
    assert_eq!(server.generation().generate(eight.clone()).await.expect_err("refused").message(), obstacle.description);
    assert!(obstacle.changes.len() >= 2, "fewer images or smaller ones: {obstacle:?}");
    for change in &obstacle.changes {
        let mut request = eight.clone();
        for field in &change.fields {
            let value = field.value.parse().expect("a number");
            match field.field.as_str() {
                "images" => request.images = value,
                "width" => request.width = value,
                "height" => request.height = value,
                other => panic!("an unexpected change of {other}"),
            }
        }
        assert!(estimate(&server, request).await.fits, "{change:?}");
    }
    assert_eq!(obstacle.changes[0].fields[0].value, "2", "the most that fit");

    let enlarged = |factor| {
        let second_pass = SecondPass { factor: Some(factor), steps: 4, ..SecondPass::default() };
        GenerateRequest { second_pass: Some(second_pass), ..request(1) }
    };
    let refused = server.generation().generate(enlarged(3.0)).await.expect_err("nine times as many pixels");
    let (reason, fix) = violations(&refused).remove("second_pass.factor").expect("the field to change");
    let obstacle = estimate(&server, enlarged(3.0)).await.obstacles.remove(0);
    let fields = obstacle.changes.iter().flat_map(|change| &change.fields);
    let fitting = fields.into_iter().find(|field| field.field == "second_pass.factor").expect("a change");
    assert_eq!((refused.code(), reason.as_str()), (Code::InvalidArgument, "out-of-range"));
    assert!(fix.ends_with(&format!("use at most {}", fitting.value)), "{fix}");
    let factor: f32 = fitting.value.parse().expect("a number");
    assert!(estimate(&server, enlarged(factor)).await.fits && !estimate(&server, enlarged(factor + 0.1)).await.fits);
    server.stop().await;
}

#[tokio::test]
async fn a_full_queue_is_an_obstacle_and_no_error() {
    let limits = Limits { queued_max: 1, ..Limits::default() };
    let server = Server::start(Config { limits, ..scripted(steps_of_ms(50)) }).await;
    let mut running = server.generation().generate(request(200)).await.expect("accepted").into_inner();
    until(&mut running, "step").await;
    let _waiting = create(&server, request(1), JobOptions::default()).await.expect("accepted");
    let full = estimate(&server, request(1)).await;
    let kinds: Vec<ObstacleKind> = full.obstacles.iter().map(|obstacle| obstacle.kind()).collect();
    assert_eq!((full.fits, kinds), (false, vec![ObstacleKind::Queue]));
    drop(running);
    server.stop().await;
}

#[tokio::test]
async fn wrong_requests_have_the_same_faults_as_when_they_are_submitted() {
    let server = Server::start(scripted(quick())).await;
    let image = |bytes: &[u8]| Some(ImageSource { source: Some(image_source::Source::Inline(bytes.to_vec().into())) });
    let init = || InitImage { image: image(b"not an image"), ..InitImage::default() };
    let table: [(GenerateRequest, &str); 8] = [
        (GenerateRequest { prompt: None, ..request(1) }, "prompt"),
        (request(201), "sampling.steps"),
        (GenerateRequest { width: 65, ..request(1) }, "width"),
        (GenerateRequest { images: 99, ..request(1) }, "images"),
        (GenerateRequest { mask: Some(Mask { image: image(b"x"), ..Mask::default() }), ..request(1) }, "init.image"),
        (GenerateRequest { init: Some(init()), ..request(1) }, "init.image.inline"),
        (GenerateRequest { image_indices: vec![3], ..request(1) }, "image_indices[0]"),
        (
            GenerateRequest {
                second_pass: Some(SecondPass { factor: Some(99.0), ..SecondPass::default() }),
                ..request(1)
            },
            "second_pass.factor",
        ),
    ];
    for (wrong, field) in table {
        let submitted = server.generation().generate(wrong.clone()).await.expect_err("it is wrong");
        let estimated = ask(&server, wrong, JobOptions::default()).await.expect_err("it is wrong");
        assert_eq!((estimated.code(), submitted.code()), (Code::InvalidArgument, Code::InvalidArgument));
        let found = violations(&estimated);
        assert_eq!(found, violations(&submitted));
        assert!(found.keys().any(|found| found.starts_with(field)), "{field} is not in {found:?}");
        assert!(found.values().all(|(reason, fix)| !reason.is_empty() && fix.len() > 10), "{found:?}");
    }
    let unknown = ask(&server, GenerateRequest { model: "other".into(), ..request(1) }, JobOptions::default()).await;
    assert_eq!(unknown.expect_err("no such model").code(), Code::NotFound);
    let never = JobOptions { priority: 99, ..JobOptions::default() };
    assert!(violations(&ask(&server, request(1), never).await.expect_err("wrong")).contains_key("options.priority"));
    server.stop().await;
}

#[tokio::test]
async fn the_load_of_a_model_counts() {
    let server = Server::start(models::config(vec![steps_of_ms(1), steps_of_ms(1)], Some(1), 0)).await;
    let of_model = |model: &str| GenerateRequest { model: model.into(), ..request(2) };
    run(&server, of_model("b")).await;
    run(&server, of_model("a")).await;
    let load = |estimate: &Estimate| {
        let load = estimate.parts.iter().find(|part| part.kind() == EstimatedPartKind::LoadModel);
        load.map(|part| part.measurements)
    };
    let (a, b) = (estimate(&server, of_model("a")).await, estimate(&server, of_model("b")).await);
    assert_eq!((a.model.as_str(), load(&a), a.learned_jobs), ("a", None, 1));
    assert_eq!((b.model.as_str(), load(&b), b.learned_jobs), ("b", Some(1), 1));
    server.stop().await;
}

#[tokio::test]
async fn the_record_has_both_times_and_a_restarted_server_knows_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = || {
        let mut config = scripted(steps_of_ms(10));
        config.jobs.place = DataPlace::Folder(folder.path().to_owned());
        Server::start(config)
    };
    let server = start().await;
    let first = create(&server, request(5), JobOptions::default()).await.expect("accepted");
    assert_eq!((first.estimated_time, first.actual_time), (None, None), "nothing was measured");
    crate::jobs::all(&server, &first.job_id, None).await;
    let second = create(&server, request(5), JobOptions::default()).await.expect("accepted");
    assert!(seconds(second.estimated_time) > 0.049, "{second:?}");
    crate::jobs::all(&server, &second.job_id, None).await;
    let ended = crate::jobs::get(&server, &second.job_id).await.expect("it is there");
    assert_eq!(ended.estimated_time, second.estimated_time);
    assert!(seconds(ended.actual_time) > 0.049);
    let before = estimate(&server, request(5)).await;
    assert_eq!(before.learned_jobs, 2);
    server.stop().await;

    let server = start().await;
    let after = estimate(&server, request(5)).await;
    assert_eq!(after.learned_jobs, 2);
    // Of the steps alone: what a device does for the first time is to be done again after a restart.
    let steps = |estimate: &Estimate| {
        let part = estimate.parts.iter().find(|part| part.kind() == EstimatedPartKind::Denoise);
        seconds(part.expect("its steps are estimated").time)
    };
    assert!((steps(&after) / steps(&before) - 1.0).abs() < 0.01, "{after:?} is not {before:?}");
    assert!(expected(&after) > 0.99 * expected(&before), "{after:?} is less than {before:?}");
    server.stop().await;
}

#[tokio::test]
async fn the_slow_first_step_of_a_server_is_not_taken_for_the_others() {
    const SLOW_MS: u64 = 1500;
    let script = Script { faults: vec![fault(1, 0, Fault::Hang(SLOW_MS))], ..steps_of_ms(20) };
    let server = Server::start(scripted(script)).await;
    let etas = |events: &[GenerateEvent]| -> Vec<Option<f64>> {
        let eta = |event: &GenerateEvent| match &event.event {
            Some(Event::Step(step)) => Some(step.eta.map(|eta| seconds(Some(eta)))),
            _ => None,
        };
        events.iter().filter_map(eta).collect()
    };
    let first = etas(&run(&server, request(30)).await);
    assert_eq!((first.len(), first[0]), (30, None), "nothing is known but the first step");
    // 28 steps of 20 ms are left; by the slow step they would be 40 s.
    let second = first[1].expect("a step was measured");
    assert!((0.4..6.0).contains(&second), "{second} s");
    assert!(first[2..].iter().all(|eta| eta.is_some_and(|eta| eta < 6.0)), "{first:?}");
    let next = etas(&run(&server, request(30)).await);
    assert!(next[0].is_some_and(|eta| eta < 6.0), "learnt from the job before: {next:?}");
    server.stop().await;
}
