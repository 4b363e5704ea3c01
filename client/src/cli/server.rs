//! Which server to ask, what to show at its door, and the runtime to ask it with.

use std::path::{Path, PathBuf};

use clap::Args;
use sakuga_client::{Client, ConnectOptions, DEFAULT_ADDRESS, TlsOptions, Token};
use tokio::runtime::Runtime;

use super::exit::Exit;
use super::failure::Failure;

/// Which server to ask.
#[derive(Debug, Args)]
pub struct ServerArguments {
    /// The server: `https://host:port`, `http://host:port`, `host:port`, or `host` for port 50051
    #[arg(long, value_name = "URL", env = "SAKUGA_SERVER", default_value = DEFAULT_ADDRESS)]
    server: String,

    /// Trust servers whose certificate one of these CAs signed, in PEM, instead of those that the system trusts
    #[arg(long, value_name = "FILE", env = "SAKUGA_CA")]
    ca: Option<PathBuf>,

    /// The certificate to show to a server that asks for one, in PEM
    #[arg(long, value_name = "FILE", env = "SAKUGA_CERT", requires = "key")]
    cert: Option<PathBuf>,

    /// The private key of --cert, in PEM
    #[arg(long, value_name = "FILE", env = "SAKUGA_KEY", requires = "cert")]
    key: Option<PathBuf>,

    /// A file with the token for a server that asks for one; the token itself can stand in SAKUGA_TOKEN, and never on a
    /// command line, which every user of the machine can read
    #[arg(long, value_name = "FILE", env = "SAKUGA_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl ServerArguments {
    /// Connects as the arguments and the environment say.
    pub async fn connect(&self) -> Result<Client, Failure> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|error| Failure::unreadable(path, error));
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some((read(cert)?, read(key)?)),
            _ => None,
        };
        let tls = TlsOptions { ca: self.ca.as_ref().map(read).transpose()?, identity };
        let options = ConnectOptions { tls, token: self.token()?, ..ConnectOptions::default() };
        Ok(Client::connect_with(&self.server, options).await?)
    }

    fn token(&self) -> Result<Option<Token>, Failure> {
        const VARIABLE: &str = "SAKUGA_TOKEN";
        let (text, origin) = match &self.token_file {
            Some(path) => {
                (std::fs::read_to_string(path).map_err(|error| Failure::unreadable(path, error))?, path.as_path())
            }
            None => match std::env::var(VARIABLE) {
                Ok(text) if !text.is_empty() => (text, Path::new(VARIABLE)),
                _ => return Ok(None),
            },
        };
        Token::new(&text).map(Some).map_err(|error| Failure::unreadable(origin, error))
    }
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
