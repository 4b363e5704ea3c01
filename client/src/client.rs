//! The client: a connection and everything that can be done over it.

use sakuga_proto::asset::v1::asset_service_client::AssetServiceClient;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::{Estimate, EstimateRequest, GenerateRequest, JobOptions};
use sakuga_proto::model::v1::model_service_client::ModelServiceClient;
use sakuga_proto::prompt::v1::prompt_service_client::PromptServiceClient;
use sakuga_proto::system::v1::system_service_client::SystemServiceClient;

use crate::connection::{ConnectOptions, Connection, Transport};
use crate::error::ClientError;
use crate::follow::Resume;
use crate::generation::Generation;
use crate::request::GenerationBuilder;

/// A client of one server. Clones are cheap and share the connection.
#[derive(Clone, Debug)]
pub struct Client {
    connection: Connection,
}

impl Client {
    /// Connects to the server at `address`: `http://host:port`, `host:port`, or `host` for port 50051; with `https://` the
    /// connection uses TLS.
    ///
    /// # Errors
    ///
    /// [`ClientError::Address`], [`ClientError::NothingListens`] or [`ClientError::Unreachable`].
    pub async fn connect(address: &str) -> Result<Self, ClientError> {
        Self::connect_with(address, ConnectOptions::default()).await
    }

    /// Connects with these options.
    ///
    /// # Errors
    ///
    /// Those of [`Client::connect`].
    pub async fn connect_with(address: &str, options: ConnectOptions) -> Result<Self, ClientError> {
        Ok(Self { connection: Connection::open(address, options).await? })
    }

    /// A request for pictures, to be filled in and started.
    pub fn generation(&self) -> GenerationBuilder {
        GenerationBuilder::new(self.connection.clone())
    }

    /// Estimates the time, memory and energy of a job and when it would start, without creating it. The request is
    /// checked as for a job.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if the request is not valid or the server takes no jobs, and those of a lost connection.
    pub async fn estimate(&self, request: GenerateRequest, options: JobOptions) -> Result<Estimate, ClientError> {
        let message = EstimateRequest { request: Some(request), options: Some(options) };
        let answer = self.connection.generations().estimate(message).await;
        let answer = answer.map_err(|status| self.explain(&status))?;
        Ok(answer.into_inner().estimate.unwrap_or_default())
    }

    /// Follows an existing job from its first event, or after `after_sequence`, across lost connections. Dropping the
    /// stream does not cancel the job.
    pub fn watch(&self, job_id: impl Into<String>, after_sequence: Option<u64>) -> Generation {
        Generation::watch(&self.connection, job_id.into(), after_sequence, Resume::default())
    }

    /// The server's address.
    pub fn address(&self) -> &str {
        self.connection.address()
    }

    /// The options of the connection.
    pub fn options(&self) -> &ConnectOptions {
        self.connection.options()
    }

    /// `sakuga.prompt.v1.PromptService`, as generated.
    pub fn prompts(&self) -> PromptServiceClient<Transport> {
        self.connection.prompts()
    }

    /// `sakuga.system.v1.SystemService`, as generated.
    pub fn system(&self) -> SystemServiceClient<Transport> {
        self.connection.system()
    }

    /// `sakuga.model.v1.ModelService`, as generated.
    pub fn models(&self) -> ModelServiceClient<Transport> {
        self.connection.models()
    }

    /// `sakuga.asset.v1.AssetService`, as generated.
    pub fn assets(&self) -> AssetServiceClient<Transport> {
        self.connection.assets()
    }

    /// `sakuga.generation.v1.JobService`, as generated.
    pub fn jobs(&self) -> JobServiceClient<Transport> {
        self.connection.jobs()
    }

    /// The error that a status of the generated stubs stands for.
    pub fn explain(&self, status: &tonic::Status) -> ClientError {
        self.connection.explain(status, None)
    }
}
