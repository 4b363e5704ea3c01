//! The server with a checkpoint of Stable Diffusion XL, of random weights, on the CPU.
#![cfg(feature = "burn")]

use sakuga_model_core::{DeviceChoice, ModelOptions};
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::generate_request::Prompt;
use sakuga_proto::generation::v1::generation_service_client::GenerationServiceClient;
use sakuga_proto::generation::v1::{GenerateEvent, GenerateRequest, NoiseSchedule, Sampling, Solver};
use sakuga_proto::system::v1::ListModelsRequest;
use sakuga_proto::system::v1::system_service_client::SystemServiceClient;
use sakuga_server::config::EngineChoice;
use sakuga_server::{App, Config};
use tonic::transport::Channel;
use tonic_types::StatusExt;

fn request(solver: Solver, schedule: NoiseSchedule) -> GenerateRequest {
    GenerateRequest {
        prompt: Some(Prompt::Xml("1girl, (red hat:1.2), [night sky]".into())),
        sampling: Some(Sampling { steps: 2, solver: solver.into(), schedule: schedule.into(), ..Sampling::default() }),
        width: 32,
        height: 48,
        seed: Some(5),
        ..GenerateRequest::default()
    }
}

async fn events(client: &mut GenerationServiceClient<Channel>, request: GenerateRequest) -> Vec<GenerateEvent> {
    let mut stream = client.generate(request).await.expect("accepted").into_inner();
    let mut events = Vec::new();
    while let Some(response) = stream.message().await.expect("the stream does not break") {
        events.push(response.event.expect("every message has an event"));
    }
    events
}

#[tokio::test]
async fn a_folder_draws_through_the_server() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    sakuga_model::families::sdxl::synthetic::write(dir.path(), 1).expect("writable");
    let model = Some(dir.path().to_owned());
    let burn = ModelOptions { device: DeviceChoice::Cpu, model, ..ModelOptions::default() };
    let config = Config { models: EngineChoice::Burn(burn).into(), ..Config::default() };
    let server = App::build(config).await.unwrap_or_else(|error| panic!("{error}")).spawn();
    let channel = Channel::from_shared(server.url().to_owned()).expect("a URL").connect().await.expect("it listens");
    let mut system = SystemServiceClient::new(channel.clone());
    let models = system.list_models(ListModelsRequest {}).await.expect("an answer").into_inner().models;
    assert_eq!(models[0].name, "random-sdxl");
    assert!(models[0].parameters.contains_key("unet"), "{:?}", models[0].parameters);

    let mut client = GenerationServiceClient::new(channel);
    let mut drawn = Vec::new();
    let mut schedules = Vec::new();
    let choices = [
        (Solver::Unspecified, NoiseSchedule::Unspecified),
        (Solver::Dpm, NoiseSchedule::Unspecified),
        (Solver::Dpm, NoiseSchedule::Native),
        (Solver::EulerAncestral, NoiseSchedule::Karras),
        (Solver::Unipc, NoiseSchedule::Exponential),
        (Solver::Ddim, NoiseSchedule::Native),
    ];
    for (solver, schedule) in choices {
        let events = events(&mut client, request(solver, schedule)).await;
        let resolved = events.iter().find_map(|event| match &event.event {
            Some(Event::Started(started)) => started.resolved.as_ref()?.sampling,
            _ => None,
        });
        schedules.push(resolved.expect("a job starts with its resolved request").schedule());
        let Some(Event::Completed(completed)) = events.last().and_then(|event| event.event.clone()) else {
            panic!("not completed: {events:?}");
        };
        assert_eq!((completed.images[0].width, completed.images[0].height), (32, 48));
        drawn.push(completed.images[0].pixels_sha256.clone());
    }
    assert_ne!(drawn[0], drawn[1]);
    // DPM++ 2M has Karras' schedule unless another one is chosen; other solvers have the model's.
    assert_eq!(schedules[..3], [NoiseSchedule::Native, NoiseSchedule::Karras, NoiseSchedule::Native]);
    let refused = client
        .generate(request(Solver::Rk4, NoiseSchedule::Unspecified))
        .await
        .expect_err("a solver that the model does not have");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    let violations = refused.get_details_bad_request().expect("what is wrong").field_violations;
    assert_eq!((violations.len(), violations[0].field.as_str()), (1, "sampling.solver"));
    assert!(violations[0].description.contains("euler or dpm or euler_ancestral"), "{violations:?}");
    drop((client, system));
    server.stop().await.expect("a clean end");
}
