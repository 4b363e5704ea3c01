//! The door: who may come in, how many at once, and through what.
//!
//! A connection passes [`listener`] (a cap, TLS, limits of time; its life is in [`connection`]), and each of its calls
//! passes [`layer`]: which [`access`] the method asks for, whether the bearer token is one of [`tokens`], whether its
//! share is used up. What was let in carries a [`ClientIdentity`](identity::ClientIdentity). Certificates and tokens are
//! files that [`reload`] reads again when they change, without a restart.
//!
//! Nothing here knows what a call is about, and no secret is logged: a token is known by its name, and its text is taken
//! off the request before anything else sees it.

pub mod access;
pub mod connection;
pub mod identity;
pub mod layer;
pub mod listener;
pub mod refusal;
pub mod reload;
pub mod serve;
pub mod settings;
pub mod share;
pub mod tls;
pub mod token_command;
pub mod token_file;
pub mod tokens;

use std::path::PathBuf;
use std::sync::Arc;

pub use settings::DoorConfig;

use crate::metrics::Metrics;
use connection::Connections;
use reload::Reloader;
use tls::Tls;
use tokens::Tokens;

/// Why the door cannot be built: a file that cannot be read or does not hold what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}", .path.display())]
pub struct DoorError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

impl DoorError {
    pub(crate) fn new(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

/// What every connection and every call passes.
pub struct Door {
    /// Keys and certificates, if connections are encrypted.
    pub tls: Option<Arc<Tls>>,
    /// Bearer tokens, if calls need one.
    pub tokens: Option<Arc<Tokens>>,
    /// The connections that are open.
    pub connections: Arc<Connections>,
    config: DoorConfig,
}

impl Door {
    /// Reads keys, certificates and tokens.
    ///
    /// # Errors
    ///
    /// [`DoorError`] names the file that cannot be used.
    pub fn open(config: &DoorConfig, metrics: &Metrics) -> Result<Self, DoorError> {
        let tls = config.tls.as_ref().map(|files| Tls::load(files, config.grpc_web()).map(Arc::new)).transpose()?;
        let tokens = config.tokens.as_ref().map(|path| Tokens::load(path).map(Arc::new)).transpose()?;
        let connections = Arc::new(Connections::new(config, metrics.connections.clone()));
        Ok(Self { tls, tokens, connections, config: config.clone() })
    }

    /// Reads the files again whenever they change or the program is told to, until the handle is dropped.
    pub fn keep_fresh(&self) -> Reloader {
        Reloader::start(self.tls.clone(), self.tokens.clone(), self.config.reload_interval)
    }

    /// Whether calls have to say who they are: by a token, a certificate, or both.
    pub fn asks_who(&self) -> bool {
        self.tokens.is_some() || self.config.tls.as_ref().is_some_and(|files| files.client_ca.is_some())
    }
}
