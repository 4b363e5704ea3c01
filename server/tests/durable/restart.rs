//! After a shutdown waiting jobs are resumed and ended ones are still there.

use std::path::Path;
use std::time::Duration;

use sakuga_proto::asset::v1::ListAssetsRequest;
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::watch_job_response::Message;
use sakuga_proto::generation::v1::{
    CancelJobRequest, CreateJobRequest, GenerateEvent, GetArtifactRequest, GetJobRequest, ImageSource, InitImage,
    JobFilter, JobState, ListJobsRequest, Mask, ResizeMode, Sampling, Scene, WatchJobRequest, image_source, scene,
};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::process;
use crate::program::{Program, store};
use crate::support::{PATIENCE, Seen, request};
use crate::uploads::picture;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_that_wait_are_kept_and_ended_ones_stay() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = ["--scripted-step-ms", "20", "--drain-timeout", "0"];
    let server = Program::start(folder.path(), &arguments);
    let mut jobs = server.jobs().await;
    let mut made = Vec::new();
    for (name, steps) in [("ended", 2), ("running", 100), ("waiting", 2)] {
        let job = jobs.create_job(request(name, steps)).await.expect("accepted").into_inner().job.expect("a job");
        made.push((job.job_id, Seen::default()));
    }
    let (job_id, seen) = &mut made[0];
    seen.follow(&mut jobs, job_id).await.expect("it lives");
    let watch = |job_id: &str| WatchJobRequest { job_id: job_id.into(), ..WatchJobRequest::default() };
    let mut stream = jobs.watch_job(watch(&made[1].0)).await.expect("there").into_inner();
    loop {
        let response = stream.message().await.expect("it lives").expect("it continues");
        if format!("{response:?}").contains("Step(") {
            break;
        }
    }
    assert_eq!(server.terminate(), Some(0));
    // Its readers learn that this is not the end of the job.
    let status = loop {
        match stream.message().await {
            Ok(Some(response)) => assert!(!format!("{response:?}").contains("Cancelled"), "{response:?}"),
            Ok(None) => panic!("the stream ends as if the job had"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(status.get_details_error_info().expect("ErrorInfo").reason, "SHUTTING_DOWN");

    let server = Program::start(folder.path(), &["--scripted-step-ms", "1"]);
    let mut jobs = server.jobs().await;
    made[0].1.assert_whole(&mut jobs, &made[0].0).await;
    let call = GetArtifactRequest { job_id: made[0].0.clone(), ..GetArtifactRequest::default() };
    assert!(jobs.get_artifact(call).await.expect("kept").into_inner().message().await.expect("bytes").is_some());
    for (job_id, seen) in &mut made[1..] {
        tokio::time::timeout(PATIENCE, seen.follow(&mut jobs, job_id)).await.expect("it ends").expect("it lives");
    }
    let requeued = |seen: &Seen| seen.events.iter().any(|event| matches!(event.event, Some(Event::Requeued(_))));
    assert!(requeued(&made[1].1) && !requeued(&made[2].1));
    let job = jobs.get_job(GetJobRequest { job_id: made[1].0.clone() }).await.expect("there").into_inner().job;
    let job = job.expect("a job");
    assert_eq!((job.state(), job.attempt), (JobState::Completed, 2));
}

/// The names of the files in the folder of assets.
fn asset_files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("assets")).into_iter().flatten().filter_map(Result::ok);
    entries.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name().to_string_lossy().into()).collect()
}

/// A job with a picture and a mask within its request.
fn with_files(name: &str, steps: u32) -> CreateJobRequest {
    let inline = |shade| Some(ImageSource { source: Some(image_source::Source::Inline(picture(shade).into())) });
    let mut message = request(name, steps);
    let request = message.request.get_or_insert_default();
    request.init = Some(InitImage {
        image: inline(90),
        strength: Some(1.0),
        resize: ResizeMode::Stretch.into(),
        ..InitImage::default()
    });
    request.mask = Some(Mask { image: inline(255), ..Mask::default() });
    message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_within_a_request_are_there_after_a_kill_until_the_job_ends() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // A step takes longer than the test, so the jobs have not ended when the server is killed.
    let server = Program::start(folder.path(), &["--scripted-step-ms", "60000"]);
    let mut jobs = server.jobs().await;
    let mut made = Vec::new();
    for name in ["running", "waiting"] {
        let job = jobs.create_job(with_files(name, 2)).await.expect("accepted").into_inner().job.expect("a job");
        made.push((job.job_id, Seen::default()));
    }
    let cancelled = jobs.create_job(with_files("cancelled", 2)).await.expect("accepted").into_inner().job;
    let job_id = cancelled.expect("a job").job_id;
    jobs.cancel_job(CancelJobRequest { job_id }).await.expect("it waits");
    assert_eq!(asset_files(folder.path()).len(), 2, "a picture and a mask, once for both jobs");
    let listed = server.assets().await.list_assets(ListAssetsRequest::default()).await.expect("an answer").into_inner();
    assert!(listed.assets.is_empty() && listed.used_bytes == 0, "{listed:?}");
    server.kill();
    let (status, said) = store("check", folder.path(), &[]);
    assert_eq!(status, 0, "{said}");

    let server = Program::start(folder.path(), &["--scripted-step-ms", "1"]);
    let mut jobs = server.jobs().await;
    for (job_id, seen) in &mut made {
        tokio::time::timeout(PATIENCE, seen.follow(&mut jobs, job_id)).await.expect("it ends").expect("it lives");
    }
    let fresh = jobs.create_job(with_files("fresh", 2)).await.expect("accepted").into_inner().job.expect("a job");
    let mut seen = Seen::default();
    tokio::time::timeout(PATIENCE, seen.follow(&mut jobs, &fresh.job_id)).await.expect("it ends").expect("it lives");
    for (job_id, after) in &made {
        assert_eq!(after.pixels(), seen.pixels(), "job {job_id}");
    }
    let released = async {
        while !asset_files(folder.path()).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, released).await.expect("nobody needs them any more");
    assert_eq!(server.terminate(), Some(0));
}

/// A job of model `a` whose scene is drawn by model `b`.
fn with_scene(name: &str) -> CreateJobRequest {
    let mut message = request(name, 1);
    let request = message.request.get_or_insert_default();
    request.model = "a".into();
    request.scene = Some(Scene {
        prompt: Some(scene::Prompt::Xml("<caption>Rain over hills.</caption>".into())),
        model: "b".into(),
        sampling: Some(Sampling { steps: 200, ..Sampling::default() }),
        strength: Some(1.0),
        ..Scene::default()
    });
    message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scene_goes_on_as_the_same_job_after_a_kill_in_its_second_pass() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = |step_ms| ["--model", "a=embedded", "--model", "b=embedded", "--scripted-step-ms", step_ms];
    // The second pass takes 100 s, which is longer than the test.
    let server = Program::start(folder.path(), &arguments("500"));
    let mut jobs = server.jobs().await;
    let mut made = Vec::new();
    for name in ["running", "waiting"] {
        let job = jobs.create_job(with_scene(name)).await.expect("accepted").into_inner().job.expect("a job");
        made.push((job.job_id, Seen::default()));
    }
    let watch = WatchJobRequest { job_id: made[0].0.clone(), ..WatchJobRequest::default() };
    let mut stream = jobs.watch_job(watch).await.expect("there").into_inner();
    let is_second_pass =
        |event: &GenerateEvent| matches!(&event.event, Some(Event::Stage(stage)) if stage.pass_number == 2);
    loop {
        let response = stream.message().await.expect("it lives").expect("it continues");
        let Some(Message::Event(event)) = response.message else { continue };
        let is_over = is_second_pass(&event);
        made[0].1.events.push(event);
        if is_over {
            break;
        }
    }
    server.kill();

    let server = Program::start(folder.path(), &arguments("1"));
    let mut jobs = server.jobs().await;
    for (job_id, seen) in &mut made {
        tokio::time::timeout(PATIENCE, seen.follow(&mut jobs, job_id)).await.expect("it ends").expect("it lives");
        let Some(Event::Completed(completed)) = seen.events.last().and_then(|event| event.event.as_ref()) else {
            panic!("{seen:?}")
        };
        assert_eq!(completed.images.len(), 1);
        let metadata = completed.images[0].metadata.as_ref().expect("metadata");
        assert!(metadata.scene.as_ref().is_some_and(|scene| scene.model.starts_with("b@")), "{metadata:?}");
        let pictures = std::fs::read_dir(folder.path().join("pictures").join(&*job_id)).expect("its pictures").count();
        assert_eq!(pictures, 1, "job {job_id}");
    }
    assert_eq!(made[0].1.pixels(), made[1].1.pixels(), "the same seed draws the same picture");
    // The words are those of the scene, and its model draws both.
    let filter = JobFilter { text: "rain hills".into(), model: "b".into(), ..JobFilter::default() };
    let listed = jobs.list_jobs(ListJobsRequest { filter: Some(filter), ..ListJobsRequest::default() }).await;
    let listed = listed.expect("it listens").into_inner().jobs;
    let attempts: Vec<_> = listed.iter().map(|job| (job.job_id.as_str(), job.attempt)).collect();
    assert_eq!(attempts, [(made[1].0.as_str(), 1), (made[0].0.as_str(), 2)], "the newest first");
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_resumed_by_a_server_with_another_number_of_devices() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = ["--device", "cpu,cpu,cpu", "--scripted-step-ms", "50", "--drain-timeout", "0"];
    let server = Program::start(folder.path(), &arguments);
    let mut jobs = server.jobs().await;
    let mut made = Vec::new();
    for number in 0..6 {
        let call = request(&format!("job {number}"), 100);
        made.push(jobs.create_job(call).await.expect("accepted").into_inner().job.expect("a job").job_id);
    }
    assert_eq!(server.terminate(), Some(0));
    for (devices, rest) in [("cpu,cpu", &made[..4]), ("cpu", &made[..])] {
        let server = Program::start(folder.path(), &["--device", devices, "--scripted-step-ms", "1"]);
        let mut jobs = server.jobs().await;
        for job_id in rest {
            let mut seen = Seen::default();
            let end = seen.follow(&mut jobs, job_id);
            tokio::time::timeout(PATIENCE, end).await.expect("it ends").expect("it lives");
            let job = jobs.get_job(GetJobRequest { job_id: job_id.clone() }).await.expect("there").into_inner().job;
            let job = job.expect("a job");
            assert!(job.state() == JobState::Completed && job.device.starts_with("cpu"), "{job:?}");
        }
        assert_eq!(server.terminate(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_stops_the_server_too_often_is_not_begun_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // A step takes longer than the test, so the job runs when the server is killed, however busy the machine is.
    let arguments = ["--scripted-step-ms", "60000", "--max-attempts", "2"];
    let mut job_id = String::new();
    for attempt in 1..=2 {
        let server = Program::start(folder.path(), &arguments);
        let mut jobs = server.jobs().await;
        let job = jobs.create_job(request("poison", 1)).await.expect("accepted").into_inner().job.expect("a job");
        job_id = job.job_id;
        let started = async {
            loop {
                let job = jobs.get_job(GetJobRequest { job_id: job_id.clone() }).await.expect("there").into_inner().job;
                let job = job.expect("a job");
                assert_eq!(job.attempt, attempt, "its state is that after the restart");
                if job.state() == JobState::Running {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, started).await.expect("it starts");
        server.kill();
    }
    let server = Program::start(folder.path(), &arguments);
    let mut jobs = server.jobs().await;
    let mut seen = Seen::default();
    seen.follow(&mut jobs, &job_id).await.expect("it lives");
    let Some(Event::Failed(status)) = seen.events.pop().and_then(|event| event.event) else { panic!("it fails") };
    assert!(status.message.contains("stopped 2 times"), "{}", status.message);
}

#[test]
fn a_folder_belongs_to_one_server() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let _first = Program::start(folder.path(), &[]);
    let path = folder.path().to_str().expect("a plain path");
    let (code, _, said) = process::run(&["--engine", "scripted", "--listen", "127.0.0.1:0", "--data-dir", path]);
    assert_eq!(code, Some(1));
    assert!(said.contains("in use by another server"), "{said}");
}
