//! A server in this process, over stores of the test's.

use std::sync::Arc;

use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_server::config::{EngineChoice, JobsConfig};
use sakuga_server::engine::scripted::Script;
use sakuga_server::store::{ArtifactStore, JobStore};
use sakuga_server::{App, BackgroundServer, Config};
use tonic::transport::{Channel, Endpoint};

use crate::support::PATIENCE;

/// A running server.
pub(crate) struct Host {
    pub jobs: JobServiceClient<Channel>,
    background: BackgroundServer,
}

impl Host {
    /// Starts a server whose steps take so many milliseconds.
    pub(crate) async fn start(
        store: Arc<dyn JobStore>,
        artifacts: Arc<dyn ArtifactStore>,
        jobs: JobsConfig,
        step_ms: u64,
    ) -> Self {
        let script = Script { step_ms, text_encode_ms: 0, decode_ms: 0, ..Script::default() };
        let config = Config {
            models: EngineChoice::Scripted(script).into(),
            drain_timeout: std::time::Duration::ZERO,
            jobs,
            ..Config::default()
        };
        let app = App::build_over(config, store, artifacts).await.expect("the server starts");
        let background = app.spawn();
        let url = background.url().to_owned();
        let channel = Endpoint::from_shared(url).expect("a URL").connect().await.expect("it listens");
        Self { jobs: JobServiceClient::new(channel), background }
    }

    /// Goes down well and waits for the end.
    pub(crate) async fn end(self) {
        drop(self.jobs);
        tokio::time::timeout(PATIENCE, self.background.stop()).await.expect("it ends").expect("it ends well");
    }
}
