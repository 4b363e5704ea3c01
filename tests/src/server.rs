//! A server in the test's process, on a port that the system chooses.

use std::time::Duration;

use sakuga_client::Client;
use sakuga_server::config::EngineChoice;
use sakuga_server::engine::scripted::{Script, ScriptedFault};
use sakuga_server::{App, BackgroundServer, Config};
use tempfile::TempDir;

/// Longer than any server may take to end after a test.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A running server.
#[derive(Debug)]
pub struct TestServer {
    background: BackgroundServer,
    /// Where the embedded model is unpacked; removed with the server.
    _cache: Option<TempDir>,
}

impl TestServer {
    /// A server that draws gradients, a step a millisecond.
    pub async fn scripted() -> Self {
        Self::start(scripted_config(1)).await
    }

    /// A server that draws with the embedded model, on the CPU.
    ///
    /// # Panics
    ///
    /// There is no room for temporary files, or the server does not start.
    #[cfg(feature = "burn")]
    pub async fn burn() -> Self {
        use sakuga_model_core::{DeviceChoice, ModelOptions};
        let cache = tempfile::tempdir().expect("a temporary folder");
        let burn = ModelOptions {
            device: DeviceChoice::Cpu,
            cache_dir: Some(cache.path().to_owned()),
            ..ModelOptions::default()
        };
        let mut server = Self::start(Config { models: EngineChoice::Burn(burn).into(), ..Config::default() }).await;
        server._cache = Some(cache);
        server
    }

    /// A server of this configuration.
    ///
    /// # Panics
    ///
    /// It does not start.
    pub async fn start(config: Config) -> Self {
        Self { background: App::build(config).await.expect("the server starts").spawn(), _cache: None }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        self.background.url()
    }

    /// A new connection to it.
    ///
    /// # Panics
    ///
    /// It cannot be reached.
    pub async fn client(&self) -> Client {
        Client::connect(self.address()).await.expect("the server can be reached")
    }

    /// Stops it and waits for its end.
    ///
    /// # Panics
    ///
    /// It does not end, or it failed.
    pub async fn stop(self) {
        let Self { background, _cache } = self;
        let ended = tokio::time::timeout(STOP_LIMIT, background.stop()).await;
        ended.expect("the server ends when it is asked to").expect("the server did not fail");
    }
}

/// A configuration of the scripted engine with small pictures and this many milliseconds a step.
pub fn scripted_config(step_ms: u64) -> Config {
    faulty_config(step_ms, Vec::new())
}

/// As the configuration without faults, with a script that makes them.
pub fn faulty_config(step_ms: u64, faults: Vec<ScriptedFault>) -> Config {
    let script = Script { step_ms, text_encode_ms: 1, decode_ms: 1, default_size_px: 64, faults, ..Script::default() };
    Config { models: EngineChoice::Scripted(script).into(), ..Config::default() }
}
