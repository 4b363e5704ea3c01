//! Asks the workers of the fleet.

use bytes::Bytes;
use prost::Message as _;
use sakuga_fleet::FleetError;
use tonic::{Code, Status};

use super::Gateway;
use crate::error::ServerError;
use crate::fleet::error::to_server;
use crate::fleet::question::{Answer, Question};
use crate::service::refuse;

impl Gateway {
    /// The answer of a worker that has `model`, or of any if that is empty or no worker has it: it knows how to refuse it.
    ///
    /// # Errors
    ///
    /// The refusal of the worker, or UNAVAILABLE if there is none.
    pub(super) async fn ask(&self, model: &str, question: &Question) -> Result<Bytes, Status> {
        let bytes = Bytes::from(question.encode_to_vec());
        let calls = &self.fleet.calls;
        let mut answer = match model.is_empty() {
            true => None,
            false => calls.ask(Some(model), bytes.clone()).await.map_err(|error| failed(&error))?,
        };
        if answer.is_none() {
            answer = calls.ask(None, bytes).await.map_err(|error| failed(&error))?;
        }
        let Some(answer) = answer else {
            let text = "the fleet has no worker at the moment, and requests are checked by one; start a worker, or wait for one";
            return Err(refuse(&ServerError::EngineUnavailable(text.into())));
        };
        let damaged =
            |error: prost::DecodeError| refuse(&ServerError::Internal(format!("the answer of a worker: {error}")));
        let answer = Answer::decode(answer).map_err(damaged)?;
        match answer.refusal {
            None => Ok(answer.message),
            Some(refusal) => {
                let details = refusal.encode_to_vec().into();
                Err(Status::with_details(Code::from_i32(refusal.code), refusal.message, details))
            }
        }
    }
}

fn failed(error: &FleetError) -> Status {
    refuse(&match error {
        FleetError::TooLarge { .. } => to_server(error.clone()),
        _ => ServerError::EngineUnavailable(error.to_string()),
    })
}
