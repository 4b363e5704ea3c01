//! [`GatewayApp`]: a gateway on its socket.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sakuga_fleet::Role;
use sakuga_proto::asset::v1::asset_service_server::AssetServiceServer;
use sakuga_proto::generation::v1::generation_service_server::GenerationServiceServer;
use sakuga_proto::generation::v1::job_service_server::JobServiceServer;
use sakuga_proto::model::v1::model_service_server::ModelServiceServer;
use sakuga_proto::prompt::v1::prompt_service_server::PromptServiceServer;
use sakuga_proto::system::v1::system_service_server::SystemServiceServer;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::codec::CompressionEncoding;
use tonic::server::NamedService as _;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::Gateway;
use super::forward::Forward;
use super::generation::Generation;
use super::jobs::JobCalls;
use super::leader::lead;
use crate::app::AppError;
use crate::app::listen::{Sockets, warn_about_exposure};
use crate::app::{methods, routes};
use crate::config::{Config, FleetConfig};
use crate::fleet::RoleError;
use crate::fleet::connect::connect;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::service;
use crate::transport::connection::Connections;
use crate::transport::credentials::Credentials;
use crate::transport::layer::CallLayer;
use crate::transport::listener::Incoming;
use crate::transport::outgoing::Outgoing;
use crate::transport::reload::Reloader;
use crate::transport::serve::{self, Serving};

/// How long the start waits for the records of all jobs.
const START: Duration = Duration::from_secs(60);
/// How often the connection to NATS is looked at.
const HEALTH: Duration = Duration::from_secs(1);
/// How long connections stay open after the streams were ended.
const FLUSH: Duration = Duration::from_secs(5);

/// A gateway whose socket is bound and that has joined its fleet.
pub struct GatewayApp {
    local_addr: SocketAddr,
    is_encrypted: bool,
    serving: Serving,
    stop_accepting: CancellationToken,
    connections: Arc<Connections>,
    gateway: Arc<Gateway>,
    health: HealthReporter,
    leader: AbortOnDropHandle<()>,
    _index: AbortOnDropHandle<()>,
    _reloader: Reloader,
}

impl GatewayApp {
    /// Binds the socket, joins the fleet, and reads the records of all jobs.
    ///
    /// # Errors
    ///
    /// [`RoleError`] says which part failed.
    pub async fn build(config: Config, fleet: FleetConfig) -> Result<Self, RoleError> {
        let sockets = Sockets::bind_api(&config).await?;
        let credentials = Credentials::load(&config.transport).map_err(AppError::from)?;
        warn_about_exposure(&config, &credentials);
        let (shared, objects) = connect(&fleet, Role::Gateway).await?;
        let gateway = Arc::new(Gateway::new(&config, shared.clone(), objects));
        let (current, read) = oneshot::channel();
        let index = AbortOnDropHandle::new(tokio::spawn(gateway.index.clone().follow(shared, current)));
        if tokio::time::timeout(START, read).await.is_err() {
            tracing::warn!("the records of jobs are not read yet; lists may lack some");
        }
        let (routes, health) = services(&gateway)?;
        let metrics = Metrics::new(methods::names());
        let connections = Connections::new(&config.transport.within_open_files(), metrics.connections.clone());
        let connections = Arc::new(connections);
        let (listener, local_addr) = sockets;
        let incoming = Incoming::start(listener, credentials.tls.clone(), connections.clone());
        let outgoing = Outgoing::new(config.transport.unsent_bytes_max);
        let messages = methods::messages(&config.transport);
        let layer = CallLayer::new(&credentials, messages, outgoing, metrics.calls.clone(), None);
        let stop_accepting = CancellationToken::new();
        let serving = serve::serve(&config.transport, layer, routes, incoming, stop_accepting.clone());
        let name = format!("{local_addr} {}", std::process::id());
        let leader = AbortOnDropHandle::new(tokio::spawn(lead(gateway.clone(), name)));
        let is_encrypted = credentials.tls.is_some();
        Ok(Self {
            local_addr,
            is_encrypted,
            serving,
            stop_accepting,
            connections,
            gateway,
            health,
            leader,
            _index: index,
            _reloader: credentials.watch(),
        })
    }

    /// The address as clients write it.
    pub fn url(&self) -> String {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        format!("{scheme}://{}", self.local_addr)
    }

    /// Serves until `shutdown` is ready, then ends the streams, whose clients continue at another gateway.
    ///
    /// # Errors
    ///
    /// [`RoleError`] if the socket fails.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), RoleError> {
        let Self { mut serving, stop_accepting, connections, gateway, health, leader, _index, _reloader, .. } = self;
        let transport = |error| RoleError::App(AppError::Transport(error));
        tokio::select! {
            served = &mut serving => return served.map_err(transport),
            never = follow_health(&gateway, &health) => match never {},
            () = shutdown => {}
        }
        report(&health, ServingStatus::NotServing).await;
        gateway.closing.cancel();
        // It releases the lease, if this gateway has it.
        let _ = tokio::time::timeout(FLUSH, leader).await;
        stop_accepting.cancel();
        tokio::select! {
            served = &mut serving => served.map_err(transport)?,
            () = tokio::time::sleep(FLUSH) => connections.close_all(),
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// The services of a gateway, each with its limits.
fn services(gateway: &Arc<Gateway>) -> Result<(Routes, HealthReporter), RoleError> {
    let generation = GenerationServiceServer::new(Generation::new(gateway.clone()))
        .max_decoding_message_size(Limits::IMAGES_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(Limits::ANSWER_BYTES_MAX);
    let jobs = JobServiceServer::new(JobCalls::new(gateway.clone()))
        .max_decoding_message_size(Limits::IMAGES_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(Limits::ANSWER_BYTES_MAX)
        .send_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip);
    let routes = Routes::new(generation)
        .add_service(jobs)
        .add_service(Forward::<AssetServiceServer<service::assets::AssetCalls>>::new(gateway.clone()))
        .add_service(Forward::<PromptServiceServer<service::prompt::Prompts>>::new(gateway.clone()))
        .add_service(Forward::<SystemServiceServer<service::system::System>>::new(gateway.clone()))
        .add_service(Forward::<ModelServiceServer<service::models::Models>>::new(gateway.clone()));
    Ok(routes::with_public(routes)?)
}

/// Reports whether the gateway has a connection to NATS, without end.
async fn follow_health(gateway: &Gateway, health: &HealthReporter) -> Infallible {
    let mut reported = None;
    loop {
        let is_connected = gateway.fleet.control().is_connected();
        if reported.replace(is_connected) != Some(is_connected) {
            report(health, if is_connected { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
        }
        tokio::time::sleep(HEALTH).await;
    }
}

/// Reports the health of the gateway and of its services.
async fn report(health: &HealthReporter, status: ServingStatus) {
    let names = [
        "",
        GenerationServiceServer::<Generation>::NAME,
        JobServiceServer::<JobCalls>::NAME,
        PromptServiceServer::<service::prompt::Prompts>::NAME,
        SystemServiceServer::<service::system::System>::NAME,
        ModelServiceServer::<service::models::Models>::NAME,
    ];
    for name in names {
        health.set_service_status(name, status).await;
    }
}
