//! Which server to ask, and the runtime to ask it with.

use clap::Args;
use sakuga_client::DEFAULT_ADDRESS;
use tokio::runtime::Runtime;

use super::exit::Exit;
use super::failure::Failure;

/// Which server to ask.
#[derive(Debug, Args)]
pub struct ServerArguments {
    /// The server: `http://host:port`, `host:port`, or `host` for port 50051
    #[arg(long, value_name = "URL", env = "SAKUGA_SERVER", default_value = DEFAULT_ADDRESS)]
    pub server: String,
}

/// A runtime for one command. Two threads: pictures that are being written must not keep the connection from being
/// served.
pub fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Unreadable, format_args!("cannot start: {error}")))
}
