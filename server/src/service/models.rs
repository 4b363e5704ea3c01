//! `sakuga.model.v1.ModelService`: where the weights of the models are, calls that move them, and the adapters.

use std::sync::Arc;

use sakuga_proto::model::v1::model_service_server::ModelService;
use sakuga_proto::model::v1::{
    ListAdaptersRequest, ListAdaptersResponse, ListModelsRequest, ListModelsResponse, LoadModelRequest,
    LoadModelResponse, ModelStatus, UnloadModelRequest, UnloadModelResponse,
};
use tonic::{Request, Response, Status};

use super::{Context, refuse};
use crate::error::{ServerError, Violation};
use crate::models::ServedModel;
use crate::scheduler::ModelChange;
use crate::wire::to_proto;

/// Lists models, loads and unloads them.
pub(crate) struct Models {
    context: Arc<Context>,
}

impl Models {
    /// The service.
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    /// Every model as it is now.
    fn statuses(&self) -> Vec<ModelStatus> {
        // Copied: the scheduler sends to these channels under the lock that its calls below take.
        let statuses = self.context.scheduler.model_statuses().borrow().clone();
        let devices = self.context.scheduler.device_statuses().borrow().clone();
        self.context
            .models
            .iter()
            .zip(statuses.iter())
            .map(|(served, status)| {
                let scheduler = &self.context.scheduler;
                let learned = (scheduler.step_time(served.id), scheduler.learned_jobs(served.id));
                to_proto::model_status(served, status, learned, &devices)
            })
            .collect()
    }

    /// Loads or unloads a model on the devices, and returns its new state.
    async fn change(&self, name: &str, change: ModelChange) -> Result<ModelStatus, ServerError> {
        if name.is_empty() {
            let text = "name the model; ListModels has the names";
            return Err(ServerError::invalid("name", Violation::REQUIRED, text));
        }
        let model: &ServedModel = self.context.models.find("name", name)?;
        self.context.scheduler.change_model(model.id, change)?.done().await?;
        Ok(self.statuses().swap_remove(model.id.index()))
    }
}

#[tonic::async_trait]
impl ModelService for Models {
    async fn list_models(&self, _: Request<ListModelsRequest>) -> Result<Response<ListModelsResponse>, Status> {
        let budget = self.context.memory_budget;
        Ok(Response::new(ListModelsResponse {
            models: self.statuses(),
            memory_budget_bytes: budget.device_bytes,
            host_memory_budget_bytes: budget.host_bytes,
        }))
    }

    async fn load_model(&self, request: Request<LoadModelRequest>) -> Result<Response<LoadModelResponse>, Status> {
        let changed = self.change(&request.into_inner().name, ModelChange::Load).await;
        let model = changed.map_err(|error| refuse(&error))?;
        Ok(Response::new(LoadModelResponse { model: Some(model) }))
    }

    async fn unload_model(
        &self,
        request: Request<UnloadModelRequest>,
    ) -> Result<Response<UnloadModelResponse>, Status> {
        let changed = self.change(&request.into_inner().name, ModelChange::Unload).await;
        let model = changed.map_err(|error| refuse(&error))?;
        Ok(Response::new(UnloadModelResponse { model: Some(model) }))
    }

    async fn list_adapters(&self, _: Request<ListAdaptersRequest>) -> Result<Response<ListAdaptersResponse>, Status> {
        let listing = self.context.adapters.listing();
        let models = &self.context.models;
        let adapters = listing.adapters.iter().map(|adapter| to_proto::adapter_status(adapter, models.iter()));
        Ok(Response::new(to_proto::adapters(ListAdaptersResponse {
            adapters: adapters.collect(),
            unusable: listing.unusable.iter().map(to_proto::unusable_adapter).collect(),
        })))
    }
}
