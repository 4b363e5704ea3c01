//! A server in this process, over stores of the test's.

use std::sync::Arc;

use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_server::config::{EngineChoice, JobsConfig};
use sakuga_server::engine::scripted::Script;
use sakuga_server::store::{ArtifactStore, JobStore};
use sakuga_server::{App, Config};
use tonic::transport::Channel;

use crate::server::TestServer;

/// A running server.
pub(crate) struct Host {
    pub jobs: JobServiceClient<Channel>,
    server: TestServer,
}

impl Host {
    /// Starts a server whose steps take `step_ms` milliseconds.
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
        let server = TestServer::of(App::build_over(config, store, artifacts).await.expect("the server starts"));
        Self { jobs: server.jobs(), server }
    }

    /// Shuts down and waits for the end.
    pub(crate) async fn end(self) {
        drop(self.jobs);
        self.server.stop().await;
    }
}
