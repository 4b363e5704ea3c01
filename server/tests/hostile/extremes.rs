//! Extreme values that protobuf allows: they are refused, and never reach other clients through a list.

use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::{
    CreateJobRequest, GenerateRequest, JobOptions, ListJobsRequest, Sampling, generate_request,
};
use sakuga_server::config::EngineChoice;
use sakuga_server::engine::scripted::Script;
use sakuga_server::{App, Config};
use tokio::sync::oneshot;
use tonic::transport::Endpoint;
use tonic::{Code, Request};

/// 9999-12-31T23:59:59Z, the last moment that JSON can write.
const LAST_S: i64 = 253_402_300_799;

fn create(options: JobOptions) -> CreateJobRequest {
    let request = GenerateRequest {
        prompt: Some(generate_request::Prompt::Xml("<caption>The sea.</caption>".into())),
        sampling: Some(Sampling { steps: 1, ..Sampling::default() }),
        width: 64,
        height: 64,
        ..GenerateRequest::default()
    };
    CreateJobRequest { request: Some(request), options: Some(options) }
}

#[tokio::test]
async fn times_behind_the_last_moment_are_refused() {
    let script = Script { step_ms: 0, text_encode_ms: 0, decode_ms: 0, default_size_px: 64, ..Script::default() };
    let app = App::build(Config { models: EngineChoice::Scripted(script).into(), ..Config::default() })
        .await
        .expect("it starts");
    let url = app.url();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(app.run_until(async { _ = stopped.await }));
    let mut jobs =
        JobServiceClient::new(Endpoint::from_shared(url).expect("a URL").connect().await.expect("it listens"));

    // protobuf's longest, and longer than protobuf allows.
    for seconds in [315_576_000_000, i64::MAX] {
        let time = Some(prost_types::Duration { seconds, nanos: 0 });
        for options in [
            JobOptions { timeout: time, ..JobOptions::default() },
            JobOptions { disconnect_grace: time, ..JobOptions::default() },
        ] {
            let refused = jobs.create_job(create(options)).await.expect_err("no one can mean it");
            assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
        }
    }
    let mut patient = Request::new(create(JobOptions::default()));
    // 11 000 years.
    patient.metadata_mut().insert("grpc-timeout", "99999999H".parse().expect("a header"));
    jobs.create_job(patient).await.expect("a caller with patience");
    let listed = jobs.list_jobs(ListJobsRequest::default()).await.expect("a list").into_inner().jobs;
    assert_eq!(listed.len(), 1);
    assert!(listed.iter().all(|job| job.deadline.is_none_or(|deadline| deadline.seconds <= LAST_S)), "{listed:?}");
    drop(jobs);
    let _ = stop.send(());
    served.await.expect("no panic").expect("it ends well");
}
