//! Why the server could not start, or stopped.

use std::io;
use std::net::SocketAddr;

use crate::auth::error::CredentialError;
use crate::models::StartError;
use crate::store::place::OpenError;

/// Why the server could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// Another program has the port.
    #[error(
        "cannot listen on {address}: the port is taken, maybe by another server that runs; stop it, or choose another \
         port with {flag}"
    )]
    PortTaken {
        /// The address that cannot be used.
        address: SocketAddr,
        /// The flag that names it.
        flag: &'static str,
    },
    /// The system refuses to listen on the address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that cannot be used.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Keys, certificates or tokens cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// The models cannot be served.
    #[error(transparent)]
    Models(#[from] StartError),
    /// The store of jobs cannot be opened.
    #[error("the jobs of this server cannot be opened: {0}")]
    Open(#[from] OpenError),
    /// The jobs of an earlier run cannot be recovered.
    #[error("the jobs of an earlier run cannot be recovered: {0}")]
    Recover(OpenError),
    /// The store was found to be damaged while the server used it.
    #[error("the server stopped because its store is damaged: {0}")]
    Damaged(OpenError),
    /// The system cannot start a thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    /// There is no key to sign URLs with.
    #[error("cannot sign the URLs of pictures: {0}")]
    Signing(io::Error),
    /// The address of the collector is not valid.
    #[error("cannot send to the collector: {0}")]
    Collector(String),
    /// The descriptor set of the reflection service cannot be read.
    #[error("cannot serve reflection: {0}")]
    Reflection(#[from] prost_reflect::DescriptorError),
    /// The transport failed.
    #[error("the gRPC server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}
