//! `GET /v1/models` and `GET /v1/models/{model}`.

use std::time::UNIX_EPOCH;

use http::Response;
use serde_json::{Value, json};
use tonic::Status;
use tonic::body::Body;

use super::Api;
use crate::models::ServedModel;
use crate::service::refuse;
use crate::wire::http::json_response;

impl Api {
    /// The models of the server, the default first.
    pub(super) fn models(&self) -> Response<Body> {
        let models: Vec<Value> = self.context.models.iter().map(|model| self.description(model)).collect();
        json_response(&json!({ "object": "list", "data": models }))
    }

    /// The description of the model of this name.
    pub(super) fn model(&self, name: &str) -> Result<Response<Body>, Status> {
        let model = self.context.models.find("model", name).map_err(|error| refuse(&error))?;
        Ok(json_response(&self.description(model)))
    }

    /// `created` is when the server started: models have no time of their own.
    fn description(&self, model: &ServedModel) -> Value {
        let created = self.context.started.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let info = &model.info.model;
        json!({
            "id": model.name(),
            "object": "model",
            "created": created,
            "owned_by": "sakuga",
            "sakuga": {
                "is_default": model.is_default(),
                "family": info.family,
                "default_size": info.default_size_px,
                "notice": info.notice,
            },
        })
    }
}
