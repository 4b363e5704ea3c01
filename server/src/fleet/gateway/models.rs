//! The lists of models: those of all workers together, since workers may have different ones.

use std::collections::BTreeSet;

use bytes::Bytes;
use prost::Message;
use sakuga_proto::model::v1 as model;
use sakuga_proto::system::v1 as system;
use tonic::Status;

use super::Gateway;
use crate::error::ServerError;
use crate::fleet::error::to_server;
use crate::fleet::question::Question;
use crate::service::refuse;

/// An answer that lists models.
pub(super) trait ModelList: Message + Default {
    /// One of its models.
    type Model;
    /// The models.
    fn models(&mut self) -> &mut Vec<Self::Model>;
    /// The name of a model.
    fn name(model: &Self::Model) -> &str;
    /// The model in the list of another worker.
    fn joined(model: Self::Model) -> Self::Model {
        model
    }
}

impl ModelList for model::ListModelsResponse {
    type Model = model::ModelStatus;

    fn models(&mut self) -> &mut Vec<Self::Model> {
        &mut self.models
    }

    fn name(model: &Self::Model) -> &str {
        &model.name
    }

    fn joined(model: Self::Model) -> Self::Model {
        Self::Model { is_default: false, ..model }
    }
}

impl ModelList for system::ListModelsResponse {
    type Model = system::Model;

    fn models(&mut self) -> &mut Vec<Self::Model> {
        &mut self.models
    }

    fn name(model: &Self::Model) -> &str {
        &model.name
    }
}

impl Gateway {
    /// The list of one worker, and the models that only others have. A model that several workers have is described by one of them.
    ///
    /// # Errors
    ///
    /// As of [`Gateway::ask`].
    pub(super) async fn list_models<L: ModelList>(&self, question: &Question) -> Result<Bytes, Status> {
        let damaged =
            |error: prost::DecodeError| refuse(&ServerError::Internal(format!("the answer of a worker: {error}")));
        let mut list = L::decode(self.ask("", question).await?).map_err(damaged)?;
        let mut known: BTreeSet<String> = list.models().iter().map(|model| L::name(model).to_owned()).collect();
        let workers = self.fleet.presence.workers().await.map_err(|error| refuse(&to_server(error)))?;
        let devices = workers.into_iter().flat_map(|worker| worker.devices);
        for name in devices.flat_map(|device| device.loadable) {
            if known.contains(&name) {
                continue;
            }
            let mut other = L::decode(self.ask(&name, question).await?).map_err(damaged)?;
            for model in std::mem::take(other.models()) {
                if known.insert(L::name(&model).to_owned()) {
                    list.models().push(L::joined(model));
                }
            }
            // The worker that has it may have gone meanwhile.
            known.insert(name);
        }
        Ok(list.encode_to_vec().into())
    }
}
