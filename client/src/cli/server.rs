//! The server: its address, TLS and token on the command line, and the runtime for its calls.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use sakuga_client::{Client, ConnectOptions, DEFAULT_ADDRESS, TlsOptions, Token};
use tokio::runtime::Runtime;

use super::exit::Exit;
use super::failure::Failure;
use super::input;

/// The largest certificate, key or list of CAs that is read.
const MAX_PEM_BYTES: u64 = 4 << 20;
/// The largest token file that is read.
const MAX_TOKEN_BYTES: u64 = 64 << 10;
/// How long a call with one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The server of a command.
#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// The server: `https://host:port`, `http://host:port`, `host:port`, or `host` for port 50051
    #[arg(long, value_name = "URL", env = "SAKUGA_SERVER", default_value = DEFAULT_ADDRESS)]
    server: String,

    /// CAs in PEM that the server's certificate must be signed by, instead of those that the system trusts
    #[arg(long, value_name = "FILE", env = "SAKUGA_CA")]
    ca: Option<PathBuf>,

    /// The client certificate in PEM, for a server that requires one
    #[arg(long, value_name = "FILE", env = "SAKUGA_CERT", requires = "key")]
    cert: Option<PathBuf>,

    /// The private key of --cert in PEM
    #[arg(long, value_name = "FILE", env = "SAKUGA_KEY", requires = "cert")]
    key: Option<PathBuf>,

    /// A file with the token, for a server that requires one. The token itself can be in SAKUGA_TOKEN; there is no option
    /// for it, since every user of the machine can read the command line
    #[arg(long, value_name = "FILE", env = "SAKUGA_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl ServerArguments {
    /// Connects as the arguments and the environment say.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        let read = |path: &PathBuf| input::read_file(path, MAX_PEM_BYTES);
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
                let bytes = input::read_file(path, MAX_TOKEN_BYTES)?;
                // Text that is not UTF-8 is not a token, which `Token::new` reports.
                (String::from_utf8_lossy(&bytes).into_owned(), path.as_path())
            }
            None => match std::env::var(VARIABLE) {
                Ok(text) if !text.is_empty() => (text, Path::new(VARIABLE)),
                _ => return Ok(None),
            },
        };
        Token::new(&text).map(Some).map_err(|error| Failure::unreadable(origin, error))
    }
}

/// The answer of a call, within a time limit.
pub(crate) async fn answer<T>(
    client: &Client,
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(ANSWER_TIMEOUT, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner).map_err(|status| client.explain(&status).into()),
        Err(_) => Err(Failure::no_answer(client.address(), ANSWER_TIMEOUT)),
    }
}

/// The answer of a call that may take as long as it needs. A connection that is lost ends it.
pub(crate) async fn answer_without_limit<T>(
    client: &Client,
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, Failure> {
    call.await.map(tonic::Response::into_inner).map_err(|status| client.explain(&status).into())
}

/// A runtime for one command, with two threads, so that the connection is served while pictures are written.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Unreadable, format_args!("cannot start: {error}")))
}
