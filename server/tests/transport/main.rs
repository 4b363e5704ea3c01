//! Connections and credentials from outside: TLS, tokens, limits, metrics, and the files for operators.

mod browsers;
mod certificates;
mod compression;
mod devices;
mod ending;
mod example;
mod floods;
mod metrics;
mod named_files;
mod openai;
mod owners;
#[path = "../shared/process.rs"]
mod process;
mod program;
#[path = "../hostile/raw.rs"]
mod raw;
#[path = "../shared/server.rs"]
mod server;
mod strangers;
mod studio;
mod support;
mod tokens;
#[path = "../service/uploads.rs"]
mod uploads;
