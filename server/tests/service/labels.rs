//! Jobs are found again: by their labels, by words of their prompts, by model and by time; and shown by thumbnails.

use prost_types::Timestamp;
use sakuga_proto::digest::sha256_hex;
use sakuga_proto::generation::v1::{
    CancelJobRequest, GenerateRequest, GetArtifactRequest, ImageFormat, Job, JobFilter, JobOptions, JobState,
    LabelJobRequest, ListJobsRequest, generate_request,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::jobs::{all, create, jobs};
use crate::support::{Server, quick, request, scripted, steps_of_ms};

async fn label(server: &Server, job_id: &str, add: &[&str], remove: &[&str]) -> Result<Job, Status> {
    let owned = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect();
    let message = LabelJobRequest { job_id: job_id.into(), add: owned(add), remove: owned(remove) };
    Ok(jobs(server).label_job(message).await?.into_inner().job.expect("a job"))
}

async fn draw(server: &Server, prompt: &str) -> Job {
    let prompt = Some(generate_request::Prompt::Xml(format!("<caption>{prompt}</caption>")));
    let job = create(server, GenerateRequest { prompt, ..request(1) }, JobOptions::default()).await.expect("accepted");
    all(server, &job.job_id, None).await;
    job
}

async fn find(server: &Server, filter: JobFilter) -> Result<Vec<String>, Status> {
    let message = ListJobsRequest { filter: Some(filter), ..ListJobsRequest::default() };
    let page = jobs(server).list_jobs(message).await?.into_inner();
    assert_eq!(page.next_page_token, "", "few jobs");
    Ok(page.jobs.into_iter().map(|job| job.job_id).collect())
}

fn fields(status: &Status) -> Vec<String> {
    let faults = status.get_details_bad_request().expect("BadRequest").field_violations;
    faults.into_iter().map(|fault| fault.field).collect()
}

#[tokio::test]
async fn jobs_are_found_by_words_labels_model_and_time() {
    let server = Server::start(scripted(quick())).await;
    let fox = draw(&server, "A red fox in the Snow.").await;
    let cat = draw(&server, "A cat in the snow.").await;
    label(&server, &fox.job_id, &["favourite"], &[]).await.expect("its own");
    let text = |text: &str| JobFilter { text: text.into(), ..JobFilter::default() };
    let (only_fox, both) = ([fox.job_id.clone()], [cat.job_id.clone(), fox.job_id.clone()]);
    for (words, found) in [("SNOW", &both[..]), ("snow_fox", &only_fox), ("favour", &only_fox), ("dog snow", &[])] {
        assert_eq!(find(&server, text(words)).await.expect("a list"), found, "{words}");
    }
    let labelled = JobFilter { labels: vec!["favourite".into()], ..JobFilter::default() };
    assert_eq!(find(&server, labelled).await.expect("a list"), only_fox);
    let model = |name: &str| JobFilter { model: name.into(), ..JobFilter::default() };
    let name = fox.request.as_ref().expect("a request").model.clone();
    assert_eq!(find(&server, model(&name)).await.expect("a list"), both);
    assert_eq!(find(&server, model("another")).await.expect("a list"), [""; 0]);
    let time = |job: &Job| job.create_time.expect("a time");
    let within = |from: Option<Timestamp>, before: Option<Timestamp>| JobFilter {
        created_from: from,
        created_before: before,
        ..JobFilter::default()
    };
    for (filter, found) in [
        (within(Some(time(&cat)), None), &both[..1]),
        (within(None, Some(time(&cat))), &both[1..]),
        (within(Some(time(&fox)), Some(time(&cat))), &both[1..]),
        (within(Some(Timestamp { seconds: time(&cat).seconds + 3600, nanos: 0 }), None), &[]),
        (within(None, Some(Timestamp { seconds: 0, nanos: 0 })), &[]),
    ] {
        assert_eq!(find(&server, filter.clone()).await.expect("a list"), found, "{filter:?}");
    }
    let wrong = JobFilter { text: "x".repeat(257), labels: vec!["".into()], ..JobFilter::default() };
    let refused = find(&server, wrong).await.expect_err("too long");
    assert_eq!(
        (refused.code(), fields(&refused)),
        (Code::InvalidArgument, vec!["filter.text".into(), "filter.labels[0]".into()])
    );
    server.stop().await;
}

#[tokio::test]
async fn labels_stay_with_a_job_that_runs_and_ends() {
    let server = Server::start(scripted(steps_of_ms(20))).await;
    let running = create(&server, request(200), JobOptions::default()).await.expect("accepted").job_id;
    let waiting = create(&server, request(2), JobOptions::default()).await.expect("accepted").job_id;
    for job_id in [&running, &waiting] {
        let labelled = label(&server, job_id, &["cover", "draft"], &[]).await.expect("its own");
        assert_eq!(labelled.labels, ["cover", "draft"]);
        let again = label(&server, job_id, &["cover"], &["draft", "never"]).await.expect("its own");
        assert_eq!(again.labels, ["cover"]);
    }
    jobs(&server).cancel_job(CancelJobRequest { job_id: running.clone() }).await.expect("it runs");
    for (job_id, state) in [(&running, JobState::Cancelled), (&waiting, JobState::Completed)] {
        all(&server, job_id, None).await;
        // Changed at once by several, each change is kept.
        let (one, two) =
            tokio::join!(label(&server, job_id, &["one"], &[]), label(&server, job_id, &["two"], &["cover"]));
        one.and(two).expect("its own");
        let ended = label(&server, job_id, &[], &[]).await.expect("its own");
        let mut labels = ended.labels.clone();
        labels.sort();
        assert_eq!((ended.state(), labels), (state, vec!["one".to_owned(), "two".to_owned()]));
    }
    let many: Vec<String> = (0..15).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (add, remove, field) in [(&many[..], &[][..], "add"), (&["a "], &[], "add[0]"), (&["a"], &["a"], "remove[0]")] {
        let refused = label(&server, &waiting, add, remove).await.expect_err("not valid");
        assert_eq!((refused.code(), fields(&refused)), (Code::InvalidArgument, vec![field.to_owned()]));
    }
    let unknown = label(&server, "0198c5a2-7d3e-7c41-9a55-2f1f3f2b6a10", &["a"], &[]).await.expect_err("never was");
    assert_eq!(unknown.code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn a_thumbnail_is_a_smaller_jpeg_and_is_fetched_in_parts_too() {
    let server = Server::start(scripted(quick())).await;
    let job_id = create(&server, GenerateRequest { width: 96, height: 64, ..request(1) }, JobOptions::default())
        .await
        .expect("accepted")
        .job_id;
    all(&server, &job_id, None).await;
    let fetch = async |max_edge, offset, limit| -> Result<Vec<u8>, Status> {
        let message = GetArtifactRequest { job_id: job_id.clone(), image_index: 0, offset, limit, max_edge };
        let mut stream = jobs(&server).get_artifact(message).await?.into_inner();
        let (mut bytes, mut sha256) = (Vec::new(), String::new());
        while let Some(piece) = stream.message().await? {
            let chunk = piece.chunk.expect("a piece");
            assert_eq!((chunk.format(), chunk.offset), (ImageFormat::Jpeg, offset + bytes.len() as u64));
            bytes.extend_from_slice(&chunk.data);
            sha256 = piece.sha256;
        }
        assert!(limit > 0 || sha256 == sha256_hex(&bytes));
        Ok(bytes)
    };
    let whole = fetch(48, 0, 0).await.expect("a thumbnail");
    let decoded = image::load_from_memory(&whole).expect("a JPEG");
    assert_eq!((decoded.width(), decoded.height()), (48, 32));
    assert_eq!(fetch(48, 0, 0).await.expect("the same"), whole);
    assert_eq!(fetch(48, 100, 50).await.expect("a part"), whole[100..150]);
    let large = image::load_from_memory(&fetch(2048, 0, 0).await.expect("a JPEG")).expect("a JPEG");
    assert_eq!((large.width(), large.height()), (96, 64), "never larger than the picture");
    for wrong in [1, 15, 2049] {
        assert_eq!(fields(&fetch(wrong, 0, 0).await.expect_err("out of range")), ["max_edge"]);
    }
    server.stop().await;
}
