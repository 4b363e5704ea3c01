//! What a fleet does not have is refused by name.

use sakuga_proto::asset::v1::ListAssetsRequest;
use sakuga_proto::asset::v1::asset_service_client::AssetServiceClient;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::{ImageSource, InitImage, image_source};
use sakuga_proto::model::v1::UnloadModelRequest;
use sakuga_proto::model::v1::model_service_client::ModelServiceClient;
use sakuga_proto::system::v1::system_service_client::SystemServiceClient;
use sakuga_proto::system::v1::{ListDevicesRequest, WatchActivityRequest};
use tonic::Code;

use crate::calls::{reason, request};
use crate::place::{Fleet, connect};
use crate::process;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_a_gateway_does_not_have_are_refused_by_name() {
    let Some(fleet) = Fleet::start(1) else { return };
    let gateway = fleet.gateway(0, &[]);
    let channel = connect(&gateway.url).await;
    let mut jobs = JobServiceClient::new(channel.clone());
    let refused = jobs.create_job(request(1)).await.expect_err("no worker");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "ENGINE_UNAVAILABLE"));
    let mut with_image = request(1);
    let image = ImageSource { source: Some(image_source::Source::Inline("png".into())) };
    let init = InitImage { image: Some(image), ..InitImage::default() };
    with_image.request.as_mut().expect("a request").init = Some(init);
    let mut system = SystemServiceClient::new(channel.clone());
    let refusals = [
        jobs.create_job(with_image).await.map(drop),
        system.list_devices(ListDevicesRequest::default()).await.map(drop),
        system.watch_activity(WatchActivityRequest::default()).await.map(drop),
        ModelServiceClient::new(channel.clone()).unload_model(UnloadModelRequest::default()).await.map(drop),
        AssetServiceClient::new(channel).list_assets(ListAssetsRequest::default()).await.map(drop),
    ];
    for refused in refusals {
        let refused = refused.expect_err("a fleet does not have it");
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unimplemented, "NOT_IN_FLEET"), "{refused:?}");
        assert!(refused.message().contains("a single server"), "{refused:?}");
    }
}

#[test]
fn a_role_without_nats_says_what_to_do() {
    let nats = "nats://127.0.0.1:1";
    let (code, _, errors) =
        process::run(&["gateway", "--nats", nats, "--artifacts", "memory:", "--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("cannot connect to NATS at nats://127.0.0.1:1"), "{errors}");
    let (code, _, errors) = process::run(&["worker", "--artifacts", "memory:", "--studio", "off"]);
    assert!(code == Some(64) && errors.contains("--studio is for gateways"), "{errors}");
}
