//! A server in the test's process, on a port that the system chooses. Every test program of this crate that needs one includes
//! this file; `sakuga-tests` has one for the Rust client, which this crate must not depend on.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::net::SocketAddr;
use std::time::Duration;

use sakuga_proto::generation::v1::generation_service_client::GenerationServiceClient;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_server::config::{EngineChoice, TransportConfig};
use sakuga_server::engine::scripted::Script;
use sakuga_server::{App, AppError, BackgroundServer, Config};
use tonic::transport::{Channel, Endpoint};

/// Longer than any step of any test; a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than a server takes to end.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A running server.
pub(crate) struct TestServer {
    /// A connection without TLS and credentials, which the first call makes.
    pub channel: Channel,
    pub url: String,
    pub address: SocketAddr,
    pub metrics: Option<SocketAddr>,
    pub studio: Option<SocketAddr>,
    background: BackgroundServer,
}

/// A value that a server can be started from.
pub(crate) trait IntoConfig {
    fn into_config(self) -> Config;
}

impl IntoConfig for Config {
    fn into_config(self) -> Config {
        self
    }
}

/// With the scripted engine, whose steps take a millisecond.
impl IntoConfig for TransportConfig {
    fn into_config(self) -> Config {
        Config { transport: self, ..scripted(steps_of_ms(1)) }
    }
}

impl TestServer {
    pub(crate) async fn start(config: impl IntoConfig) -> Self {
        Self::start_config(config.into_config()).await
    }

    /// A server whose steps take `step_ms` milliseconds.
    pub(crate) async fn start_with(transport: TransportConfig, step_ms: u64) -> Self {
        Self::start_config(Config { transport, ..scripted(steps_of_ms(step_ms)) }).await
    }

    pub(crate) async fn start_config(config: Config) -> Self {
        Self::of(App::build(config).await.unwrap_or_else(|error| panic!("the server does not start: {error}")))
    }

    pub(crate) fn of(app: App) -> Self {
        let background = app.spawn();
        let (url, address) = (background.url().to_owned(), background.local_addr());
        let (metrics, studio) = (background.metrics_addr(), background.studio_addr());
        let channel = Endpoint::from_shared(url.clone()).expect("a URL").connect_lazy();
        Self { channel, url, address, metrics, studio, background }
    }

    /// A new connection, without TLS.
    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(self.url.clone()).expect("a URL").connect().await.expect("the server listens")
    }

    pub(crate) fn generation(&self) -> GenerationServiceClient<Channel> {
        GenerationServiceClient::new(self.channel.clone())
    }

    pub(crate) fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel.clone())
    }

    /// Begins to shut down.
    pub(crate) fn begin_stop(&mut self) {
        self.background.begin_stop();
    }

    /// Waits until the server has ended.
    pub(crate) async fn stopped(self) -> Result<(), AppError> {
        let Self { channel, background, .. } = self;
        drop(channel);
        tokio::time::timeout(STOP_LIMIT, background.ended()).await.expect("the server stops in time")
    }

    /// Shuts down and waits for the end.
    pub(crate) async fn stop(mut self) {
        self.begin_stop();
        self.stopped().await.expect("the server stops well");
    }
}

/// A configuration with the scripted engine.
pub(crate) fn scripted(script: Script) -> Config {
    Config { models: EngineChoice::Scripted(script).into(), ..Config::default() }
}

/// A script without waiting, of small pictures.
pub(crate) fn quick() -> Script {
    Script { step_ms: 0, text_encode_ms: 0, decode_ms: 0, default_size_px: 64, ..Script::default() }
}

/// A script whose steps take `step_ms` milliseconds.
pub(crate) fn steps_of_ms(step_ms: u64) -> Script {
    Script { step_ms, ..quick() }
}
