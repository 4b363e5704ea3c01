//! The plain data and the traits that image models and the programs that run them share.
//!
//! An [`ImageModel`] takes a [`GenerationSpec`], reports [`Progress`] while it works, and returns an [`Outcome`] or an
//! [`EngineError`]. A [`ModelSource`] opens one as an [`OpenModel`], whose [`EngineInfo`] says what it is. Nothing here
//! names a tensor, a runtime or a message of the wire, so the server needs no tensor library to be built and tested.
//!
//! Models and programs read the files that an operator names with [`open_regular_file`] and [`read_regular_file`].
//!
//! Bounds of a request that hold for every model are stated once, in [`limits`] and in [`Sampling::NUMBERS`].

#![forbid(unsafe_code)]

mod adapter;
mod adapter_choice;
mod control;
mod device;
mod engine;
mod error;
mod image;
mod init_image;
mod limit;
pub mod limits;
mod loading;
mod lora;
mod mask;
mod memory;
mod model_info;
mod noise_schedule;
mod opening;
mod options;
mod profile;
mod progress;
mod quality;
mod refiner;
mod regular_file;
mod resample;
mod sampling;
mod sampling_fault;
mod second_pass;
mod share;
mod share_link;
mod size_limits;
mod solver;
mod spec;
mod spec_error;
mod stage;
mod step_cache;
mod strength;
mod tokens;
mod truncate;
mod vocabulary;

pub use adapter::{AdapterDescription, AdapterInspector};
pub use adapter_choice::AdapterChoice;
pub use control::{ControlChoice, ControlNetwork};
pub use device::{DeviceChoice, Precision, UnknownDevice, UnknownPrecision};
pub use engine::{EngineInfo, ImageModel, Observer, OpenModel};
pub use error::{EngineError, MemoryShortage, panic_message};
pub use image::{Area, Rgb8};
pub use init_image::{InitImage, Region};
pub use limit::Limit;
pub use loading::{ComputePath, LoadingPhase};
pub use lora::{InvalidLora, LoraChoice};
pub use mask::Mask;
pub use memory::{MemoryNeed, MemoryPool, MemoryProbe, SmallerRequest};
pub use model_info::{EncoderInfo, ModelInfo, PromptText};
pub use noise_schedule::{NoiseSchedule, UnknownNoiseSchedule};
pub use opening::{ModelDescription, ModelSource, OpenOptions};
pub use options::{EmbeddedModel, InvalidSizes, ModelOptions, WarmUp};
pub use profile::{Cost, Peaks, ProfileSpan, StageProfile, sum_spans};
pub use progress::{Outcome, PreviewMethod, Progress, StepDone, StepReport, Timings};
pub use quality::{Quality, QualityBounds, QualityLevel, QualityProfile, QualityPromise, StepCacheSupport};
pub use refiner::Refiner;
pub use regular_file::{open_regular_file, read_regular_file};
pub use sampling::{Guidance, PartialSampling, Sampling, SamplingNumber};
pub use sampling_fault::SamplingFault;
pub use second_pass::{SecondPass, Upscaler};
pub use share::{Assistant, HalfPrediction, HalfTask, Leader, PeerLost};
pub use share_link::{AssistingLink, LeadingLink, link};
pub use size_limits::SizeLimits;
pub use solver::{Solver, UnknownSolver};
pub use spec::{GenerationSpec, Pass};
pub use spec_error::SpecError;
pub use stage::Stage;
pub use step_cache::{EvaluationReuse, ReuseRule, StepCache, StepSet};
pub use strength::{computed_steps, least_strength};
pub use tokens::{TokenCount, TokenCounter};
pub use truncate::truncated;
pub use vocabulary::ModelVocabulary;
