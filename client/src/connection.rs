//! The connection to a server: its address, its limits, its generated stubs, and why it cannot be made.

use std::sync::Arc;
use std::time::Duration;

use sakuga_proto::asset::v1::asset_service_client::AssetServiceClient;
use sakuga_proto::generation::v1::generation_service_client::GenerationServiceClient;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::model::v1::model_service_client::ModelServiceClient;
use sakuga_proto::prompt::v1::prompt_service_client::PromptServiceClient;
use sakuga_proto::system::v1::system_service_client::SystemServiceClient;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::credentials::{Authorization, TlsOptions, Token};
use crate::error::{ClientError, innermost};

/// Where a server listens by default.
pub const DEFAULT_ADDRESS: &str = "http://127.0.0.1:50051";

/// The port of an address that names none.
const DEFAULT_PORT: u16 = 50051;

/// The transport of calls: the channel, with the token added to each call.
pub type Transport = InterceptedService<Channel, Authorization>;

/// TLS, credentials and time limits of a connection.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// How long the connection may take.
    pub connect_timeout: Duration,
    /// How long the connection may be idle before a keepalive ping.
    pub keepalive_interval: Duration,
    /// How long the answer to a ping may take before the connection counts as lost.
    pub keepalive_timeout: Duration,
    /// The largest message that is accepted. A preview is one message: 2048 by 2048 pixels of noise as PNG are 12 MiB.
    pub max_message_bytes: usize,
    /// The largest total size of the pictures of one request.
    pub max_pictures_bytes: u64,
    /// Trusted CAs and the client's own certificate, for `https://`.
    pub tls: TlsOptions,
    /// The bearer token, for a server that requires one. It is sent over TLS or to the loopback only.
    pub token: Option<Token>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(20),
            max_message_bytes: 32 * 1024 * 1024,
            max_pictures_bytes: 1024 * 1024 * 1024,
            tls: TlsOptions::default(),
            token: None,
        }
    }
}

/// A connection to a server, with a stub for each service. Clones share the connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    channel: Channel,
    address: String,
    options: Arc<ConnectOptions>,
}

impl Connection {
    pub(crate) async fn open(address: &str, options: ConnectOptions) -> Result<Self, ClientError> {
        let address = normalise(address)?;
        let wrong = |reason: String| ClientError::Address { address: display(&address), reason };
        let is_encrypted = address.scheme_str() == Some("https");
        if options.token.is_some() && !is_encrypted && !is_this_machine(&address) {
            return Err(wrong(
                "a token is not sent unencrypted over the network; write `https://host:port`".to_owned(),
            ));
        }
        let mut endpoint = Endpoint::from(address.clone());
        if is_encrypted {
            endpoint = endpoint.tls_config(options.tls.config()).map_err(|error| ClientError::Unreachable {
                address: display(&address),
                reason: format!("the certificates cannot be used: {}", innermost(&error)),
            })?;
        }
        let channel = endpoint
            .user_agent(concat!("sakuga/", env!("CARGO_PKG_VERSION")))
            .map_err(|error| wrong(error.to_string()))?
            .connect_timeout(options.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(options.keepalive_interval)
            .keep_alive_timeout(options.keepalive_timeout)
            .keep_alive_while_idle(true)
            .connect()
            .await
            .map_err(|error| ClientError::unreachable(&error, &display(&address)))?;
        Ok(Self { channel, address: display(&address), options: Arc::new(options) })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn options(&self) -> &ConnectOptions {
        &self.options
    }

    pub(crate) fn prompts(&self) -> PromptServiceClient<Transport> {
        PromptServiceClient::new(self.transport()).max_decoding_message_size(self.options.max_message_bytes)
    }

    pub(crate) fn system(&self) -> SystemServiceClient<Transport> {
        SystemServiceClient::new(self.transport()).max_decoding_message_size(self.options.max_message_bytes)
    }

    pub(crate) fn models(&self) -> ModelServiceClient<Transport> {
        ModelServiceClient::new(self.transport()).max_decoding_message_size(self.options.max_message_bytes)
    }

    pub(crate) fn assets(&self) -> AssetServiceClient<Transport> {
        AssetServiceClient::new(self.transport()).max_decoding_message_size(self.options.max_message_bytes)
    }

    pub(crate) fn jobs(&self) -> JobServiceClient<Transport> {
        JobServiceClient::new(self.transport()).max_decoding_message_size(self.options.max_message_bytes)
    }

    pub(crate) fn generations(&self) -> GenerationServiceClient<Transport> {
        GenerationServiceClient::new(self.transport()).max_decoding_message_size(self.options.max_message_bytes)
    }

    /// The error that a status stands for, of a call with this deadline.
    pub(crate) fn explain(&self, status: &tonic::Status, deadline: Option<Duration>) -> ClientError {
        ClientError::from_status(status, &self.address, deadline)
    }

    fn transport(&self) -> Transport {
        InterceptedService::new(self.channel.clone(), Authorization(self.options.token.clone()))
    }
}

/// The address without the slash that `Uri` appends.
fn display(address: &Uri) -> String {
    address.to_string().trim_end_matches('/').to_owned()
}

/// Whether the address is a loopback one, so that nothing sent there leaves this machine.
fn is_this_machine(address: &Uri) -> bool {
    let host = address.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// Adds the scheme and port that an address may omit, and refuses an address that no connection can be made to.
fn normalise(address: &str) -> Result<Uri, ClientError> {
    let wrong = |reason: &str| ClientError::Address { address: address.to_owned(), reason: reason.to_owned() };
    let trimmed = address.trim();
    if trimmed.is_empty() {
        return Err(wrong("it is empty; write `http://host:port`"));
    }
    let with_scheme = if trimmed.contains("://") { trimmed.to_owned() } else { format!("http://{trimmed}") };
    let uri: Uri = with_scheme.parse().map_err(|error| wrong(&format!("{error}; write `http://host:port`")))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(other) => return Err(wrong(&format!("`{other}://` is not known; write `http://host:port`"))),
        None => return Err(wrong("it has no host; write `http://host:port`")),
    }
    let Some(authority) = uri.authority() else { return Err(wrong("it has no host; write `http://host:port`")) };
    if authority.as_str().contains('@') {
        return Err(wrong("a server address has no user name; remove everything before `@`"));
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(wrong("it has no host; write `http://host:port`"));
    }
    if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
        return Err(wrong("a path means nothing to a gRPC server; write only `http://host:port`"));
    }
    if uri.port_u16().is_some() {
        return Ok(uri);
    }
    if authority.as_str().len() > uri.host().unwrap_or_default().len() {
        return Err(wrong("its port is not a number from 0 to 65535"));
    }
    let scheme = uri.scheme_str().unwrap_or("http");
    format!("{scheme}://{authority}:{DEFAULT_PORT}").parse().map_err(|error| wrong(&format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn accepts(address: &str, expected: &str) {
        assert_eq!(display(&normalise(address).unwrap()), expected);
    }

    #[track_caller]
    fn refuses(address: &str, part: &str) {
        let message = normalise(address).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn addresses_may_leave_out_scheme_and_port() {
        accepts("http://127.0.0.1:7", "http://127.0.0.1:7");
        accepts(" gpu-box:50051 ", "http://gpu-box:50051");
        accepts("gpu-box", "http://gpu-box:50051");
        accepts("http://[::1]", "http://[::1]:50051");
        accepts("http://[::1]:8/", "http://[::1]:8");
        accepts("https://gpu-box", "https://gpu-box:50051");
        accepts("https://gpu-box:443", "https://gpu-box:443");
    }

    #[test]
    fn wrong_addresses_say_what_to_write() {
        refuses("", "write `http://host:port`");
        refuses("ftp://gpu-box", "`ftp://`");
        refuses("http://gpu-box/v1", "path");
        refuses("http://me:secret@gpu-box", "user name");
        refuses("http://gpu-box:70000", "port");
        refuses("http://gpu box", "write `http://host:port`");
        refuses("http://", "http://host:port");
    }

    #[tokio::test]
    async fn a_token_is_not_sent_unencrypted() {
        let options = ConnectOptions { token: Token::new("secret").ok(), ..ConnectOptions::default() };
        let error = Connection::open("gpu-box", options).await.unwrap_err().to_string();
        assert!(error.contains("https://") && !error.contains("secret"), "{error}");
        for (address, is_this) in [
            ("http://localhost:1", true),
            ("http://127.0.0.2:1", true),
            ("http://[::1]:1", true),
            ("http://127.0.0.1.example:1", false),
            ("http://localhost.example:1", false),
        ] {
            assert_eq!(is_this_machine(&address.parse().unwrap()), is_this, "{address}");
        }
    }

    #[tokio::test]
    async fn a_port_without_a_server_is_named() {
        // Bound and dropped: nothing listens there now.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = Connection::open(&format!("127.0.0.1:{port}"), ConnectOptions::default()).await.unwrap_err();
        assert!(matches!(error, ClientError::NothingListens { .. }), "{error:?}");
        assert_eq!(error.to_string(), format!("nothing listens at http://127.0.0.1:{port}"));
    }
}
