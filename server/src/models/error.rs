//! Why the models of the configuration cannot be served.

use sakuga_model_core::EngineError;

/// Why the models of the configuration cannot be served.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StartError {
    /// The configuration has no model.
    #[error("there is no model to serve; name one with --model")]
    NoModel,
    /// The only model cannot be opened.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// One of several models cannot be opened.
    #[error("--model number {number}: {source}")]
    OneOfSeveral {
        /// Its place in the configuration, from 1.
        number: usize,
        /// Why.
        source: EngineError,
    },
    /// The models cannot be opened on one of several devices.
    #[error("--device {device}: {source}")]
    OnDevice {
        /// The device as `--device` names it.
        device: String,
        /// Why.
        source: Box<StartError>,
    },
    /// Two models have the same name.
    #[error("two models have the name `{0}`; give each its own with --model NAME=PATH")]
    SameName(String),
    /// The weights of one model alone exceed the budget.
    #[error(
        "the weights of model `{name}` take {bytes} bytes and --memory-budget allows {budget}; allow more, or leave the \
         model out"
    )]
    TooLarge {
        /// The model.
        name: String,
        /// Bytes of its weights.
        bytes: u64,
        /// Bytes of the budget.
        budget: u64,
    },
}
