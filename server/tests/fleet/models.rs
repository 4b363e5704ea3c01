//! Workers with different models.

use sakuga_proto::generation::v1::JobState;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::model::v1::ListModelsRequest;
use sakuga_proto::model::v1::model_service_client::ModelServiceClient;

use crate::calls::{create, reason, request, until};
use crate::place::{Fleet, connect};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_goes_to_a_worker_that_has_its_model() {
    let Some(mut fleet) = Fleet::start(1) else { return };
    let gateway = fleet.gateway(0, &[]);
    for name in ["one", "two"] {
        let worker = fleet.worker_with(&["--model", &format!("{name}=embedded"), "--worker-name", name]);
        fleet.workers.push(Some(worker));
    }
    let channel = connect(&gateway.url).await;
    let listed = ModelServiceClient::new(channel.clone()).list_models(ListModelsRequest {}).await.expect("an answer");
    let mut listed: Vec<_> =
        listed.into_inner().models.into_iter().map(|model| (model.name, model.is_default)).collect();
    listed.sort();
    assert_eq!(listed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(listed.iter().filter(|(_, is_default)| *is_default).count(), 1);
    let mut jobs = JobServiceClient::new(channel);
    let of = |model: &str| {
        let mut call = request(3);
        call.request.as_mut().expect("a request").model = model.into();
        call
    };
    for model in ["one", "two", "two", "one"] {
        let job = create(&mut jobs, of(model)).await;
        let done = until(&mut jobs, &job.job_id, JobState::Completed).await;
        assert_eq!(done.request.expect("resolved").model, model);
    }
    let refused = jobs.create_job(of("three")).await.expect_err("no worker has it");
    assert_eq!(reason(&refused), "MODEL_NOT_FOUND");
}
