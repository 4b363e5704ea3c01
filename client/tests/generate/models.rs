//! `sakuga models` and `sakuga adapters`, against a server of two models.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use sakuga_client::proto::model::v1::model_service_server::{ModelService, ModelServiceServer};
use sakuga_client::proto::model::v1::{
    AdapterFit, AdapterStatus, ListAdaptersRequest, ListAdaptersResponse, ListModelsRequest, ListModelsResponse,
    LoadModelRequest, LoadModelResponse, ModelState, ModelStatus, UnloadModelRequest, UnloadModelResponse,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::support::{Run, collect, command};

/// Its models: where their weights are, and the calls about them.
#[derive(Clone, Default)]
struct Two {
    calls: Arc<Mutex<Vec<String>>>,
}

fn model(name: &str, state: ModelState) -> ModelStatus {
    ModelStatus {
        name: name.to_owned(),
        is_default: name == "anime",
        state: state.into(),
        weight_bytes: 5 << 30,
        ..ModelStatus::default()
    }
}

#[tonic::async_trait]
impl ModelService for Two {
    async fn list_models(&self, _: Request<ListModelsRequest>) -> Result<Response<ListModelsResponse>, Status> {
        let failed = ModelStatus { failure: "no\u{1b}[2J file".to_owned(), ..model("photo", ModelState::Failed) };
        Ok(Response::new(ListModelsResponse {
            models: vec![model("anime", ModelState::Loaded), failed],
            memory_budget_bytes: Some(6 << 30),
            host_memory_budget_bytes: 8 << 30,
        }))
    }

    async fn load_model(&self, request: Request<LoadModelRequest>) -> Result<Response<LoadModelResponse>, Status> {
        let name = request.into_inner().name;
        self.calls.lock().unwrap().push(format!("load {name}"));
        Ok(Response::new(LoadModelResponse { model: Some(model(&name, ModelState::Loaded)) }))
    }

    async fn unload_model(
        &self,
        request: Request<UnloadModelRequest>,
    ) -> Result<Response<UnloadModelResponse>, Status> {
        let name = request.into_inner().name;
        self.calls.lock().unwrap().push(format!("unload {name}"));
        match name.as_str() {
            "photo" => Ok(Response::new(UnloadModelResponse { model: Some(model(&name, ModelState::Unloaded)) })),
            _ => Err(Status::not_found("there is no such model")),
        }
    }

    async fn list_adapters(&self, _: Request<ListAdaptersRequest>) -> Result<Response<ListAdaptersResponse>, Status> {
        let fits = vec![AdapterFit { model: "anime".into(), is_usable: true, modules: 5, ..AdapterFit::default() }];
        let adapter = AdapterStatus { name: "ink".into(), algorithm: "LoKr".into(), fits, ..AdapterStatus::default() };
        Ok(Response::new(ListAdaptersResponse { adapters: vec![adapter], unusable: Vec::new() }))
    }
}

async fn models(address: &str, arguments: &[&str]) -> Run {
    run(address, "models", arguments).await
}

async fn run(address: &str, name: &str, arguments: &[&str]) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let mut command = command(directory.path());
    command.arg(name).args(arguments).env("SAKUGA_SERVER", address).stdin(Stdio::null());
    collect(tokio::process::Command::from(command).output().await.unwrap())
}

#[tokio::test]
async fn models_are_listed_loaded_and_unloaded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let two = Two::default();
    let server = tonic::transport::Server::builder().add_service(ModelServiceServer::new(two.clone()));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    for arguments in [&[][..], &["list"]] {
        let run = models(&address, arguments).await;
        run.expect(0)
            .says("anime (default)  loaded  5.0 GiB\nphoto            failed  5.0 GiB  no")
            .says("weights may take 6.0 GiB on the device and 8.0 GiB in host memory");
        assert!(!run.stdout.contains('\u{1b}'), "{run:#?}");
    }
    let listed = models(&address, &["--json"]).await.expect(0).json();
    assert_eq!(listed["models"][0]["state"], "MODEL_STATE_LOADED");
    models(&address, &["load", "photo"]).await.expect(0).says("photo  loaded  5.0 GiB\n");
    let unloaded = models(&address, &["unload", "photo", "--json"]).await.expect(0).json();
    assert_eq!(unloaded["state"], "MODEL_STATE_UNLOADED");
    models(&address, &["unload", "poto"]).await.expect(3).says("there is no such model");
    assert_eq!(*two.calls.lock().unwrap(), ["load photo", "unload photo", "unload poto"]);
    models(&address, &["load"]).await.expect(2).says("<NAME>");

    run(&address, "adapters", &[]).await.expect(0).says("ink  LoKr, 0 B, fits anime\n");
    let listed = run(&address, "adapters", &["--json"]).await.expect(0).json();
    assert_eq!(listed["adapters"][0]["fits"][0]["isUsable"], true);
}
