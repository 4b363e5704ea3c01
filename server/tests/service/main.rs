//! The service over a real socket with the scripted engine: one file a behaviour.

mod adapters;
mod assets;
mod bad_requests;
mod cancellation;
mod devices;
mod drain;
mod engine_faults;
mod estimates;
mod happy_path;
mod images;
mod jobs;
mod labels;
mod limits;
mod models;
mod observe;
mod overload;
mod placement;
mod previews;
mod prompts;
mod quality;
mod reflection;
mod scene;
#[path = "../shared/server.rs"]
mod server;
mod slow_reader;
mod support;
mod system;
#[cfg(feature = "otlp")]
mod traces;
mod uploads;
