//! Requests over HTTP: redirects one by one, the token for one host, proxies of the environment, limits of time and size.

use std::error::Error;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, ETAG, HeaderMap, HeaderValue, IF_RANGE, LOCATION, RANGE, RETRY_AFTER,
};
use reqwest::{Client, Response, Url};
use tokio_rustls::rustls::crypto::ring;

use super::error::{HttpError, PullError, Refusal};
use super::source::is_loopback;

/// The most redirects of one request.
const REDIRECTS_MAX: usize = 5;
/// The most bytes that are read of an error answer.
const REFUSAL_BYTES_MAX: u64 = 64 << 10;
/// The longest wait that is accepted from a server (`Retry-After`).
const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);

/// The longest wait between two attempts if the server names no time.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Limits of time.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For making a connection.
    pub connect: Duration,
    /// Between two bytes that arrive.
    pub silence: Duration,
    /// The first wait before a request is repeated; each one is twice as long, up to 30 s.
    pub first_wait: Duration,
    /// The most repetitions in a row without progress.
    pub repeats: usize,
}

impl Default for Timing {
    fn default() -> Self {
        let (connect, silence) = (Duration::from_secs(20), Duration::from_secs(60));
        Self { connect, silence, first_wait: Duration::from_secs(1), repeats: 6 }
    }
}

impl Timing {
    /// Waits between attempts.
    pub(super) fn waits(self) -> impl Iterator<Item = Duration> + Send {
        let builder = ExponentialBuilder::default().with_min_delay(self.first_wait).with_max_delay(WAIT_MAX);
        builder.with_max_times(self.repeats).build()
    }
}

/// A token, and the server that it is for.
#[derive(Clone)]
pub struct Credentials {
    server: Url,
    header: HeaderValue,
}

impl Credentials {
    /// A token for a server.
    ///
    /// # Errors
    ///
    /// It cannot be sent in a header, or would go unencrypted to another machine.
    pub fn new(token: &str, server: &Url) -> Result<Self, PullError> {
        if server.scheme() != "https" && !is_loopback(server) {
            let text = "the endpoint of the hub is not https://, and a token never goes out unencrypted; unset HF_TOKEN or \
                        name another HF_ENDPOINT";
            return Err(PullError::Setup(text.to_owned()));
        }
        let header = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
        let mut header =
            header.map_err(|_| PullError::Setup("HF_TOKEN has characters that no token has".to_owned()))?;
        header.set_sensitive(true);
        Ok(Self { server: server.clone(), header })
    }

    fn header_for(&self, url: &Url) -> Option<HeaderValue> {
        (url.origin() == self.server.origin()).then(|| self.header.clone())
    }
}

/// Sends requests.
pub(super) struct Http {
    proxied: Client,
    /// For addresses of this machine, which are reached without a proxy.
    direct: Client,
    credentials: Option<Credentials>,
    timing: Timing,
}

/// Where a download continues.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Resume<'v> {
    /// Bytes that were received before.
    pub(super) offset: u64,
    /// The entity tag of the file that they are from.
    pub(super) validator: Option<&'v str>,
}

/// A successful answer, and what the first server said before it redirected.
pub(super) struct Answer {
    pub(super) response: Response,
    /// `X-Linked-ETag` or the entity tag of the first server, without quotes.
    pub(super) linked_etag: Option<String>,
    /// `X-Linked-Size` of the first server.
    pub(super) linked_size: Option<u64>,
}

impl Answer {
    /// The strong entity tag of the server that sends the content.
    pub(super) fn validator(&self) -> Option<String> {
        let tag = text(self.response.headers(), ETAG.as_str())?;
        (tag.starts_with('"') && tag.len() <= 256).then_some(tag)
    }

    /// The whole content of at most `bytes_max` bytes.
    pub(super) async fn bytes(mut self, bytes_max: u64) -> Result<Vec<u8>, HttpError> {
        bounded(&mut self.response, bytes_max).await
    }
}

impl Http {
    pub(super) fn new(timing: Timing, credentials: Option<Credentials>) -> Result<Self, PullError> {
        // An error says that a default provider is installed already.
        let _ = ring::default_provider().install_default();
        let builder = || {
            let agent = concat!("sakuga-server/", env!("CARGO_PKG_VERSION"));
            let builder = Client::builder().user_agent(agent).redirect(reqwest::redirect::Policy::none());
            builder.connect_timeout(timing.connect).read_timeout(timing.silence)
        };
        let made = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|error| PullError::Setup(format!("no connection can be made: {}", chain(&error))))
        };
        Ok(Self { proxied: made(builder())?, direct: made(builder().no_proxy())?, credentials, timing })
    }

    pub(super) fn timing(&self) -> Timing {
        self.timing
    }

    /// Gets a URL, following redirects.
    pub(super) async fn get(&self, url: &Url, resume: Resume<'_>) -> Result<Answer, HttpError> {
        let mut url = url.clone();
        let first = url.origin();
        let (mut linked_etag, mut linked_size) = (None, None);
        for _ in 0..=REDIRECTS_MAX {
            let mut response = self.send(&url, resume).await?;
            let headers = response.headers();
            if url.origin() == first {
                linked_etag = tag(headers, "x-linked-etag").or(linked_etag);
                linked_size = text(headers, "x-linked-size").and_then(|size| size.parse().ok()).or(linked_size);
            }
            if response.status().is_redirection() {
                let next = text(headers, LOCATION.as_str()).ok_or(HttpError::Redirect("without saying where"))?;
                let next = url.join(&next).map_err(|_| HttpError::Redirect("to something that is not a URL"))?;
                if next.scheme() != url.scheme() && next.scheme() != "https" {
                    return Err(HttpError::Redirect("to a place without encryption"));
                }
                url = next;
                continue;
            }
            if !response.status().is_success() {
                return Err(HttpError::Refused(refusal(&mut response).await));
            }
            return Ok(Answer { response, linked_etag, linked_size });
        }
        Err(HttpError::Redirect("too often"))
    }

    async fn send(&self, url: &Url, resume: Resume<'_>) -> Result<Response, HttpError> {
        let client = if is_loopback(url) { &self.direct } else { &self.proxied };
        let mut request = client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(token) = self.credentials.as_ref().and_then(|credentials| credentials.header_for(url)) {
            request = request.header(AUTHORIZATION, token);
        }
        if resume.offset > 0 {
            request = request.header(RANGE, format!("bytes={}-", resume.offset));
            if let Some(validator) = resume.validator {
                request = request.header(IF_RANGE, validator);
            }
        }
        request.send().await.map_err(broken)
    }
}

/// A header's text, if it is plain.
fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// An entity tag without its quotes.
fn tag(headers: &HeaderMap, name: &str) -> Option<String> {
    text(headers, name).map(|tag| tag.trim_start_matches("W/").trim_matches('"').to_owned())
}

async fn refusal(response: &mut Response) -> Refusal {
    let headers = response.headers();
    let wait = text(headers, RETRY_AFTER.as_str()).and_then(|seconds| seconds.trim().parse().ok());
    let retry_after = wait.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    let (code, said) = (text(headers, "x-error-code"), text(headers, "x-error-message"));
    let status = response.status().as_u16();
    let message = match said {
        Some(said) => Some(said),
        None => {
            let body = bounded(response, REFUSAL_BYTES_MAX).await.unwrap_or_default();
            // A page for browsers says nothing useful in one line.
            let value: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
            value.and_then(|value| value["error"].as_str().map(str::to_owned))
        }
    };
    Refusal { status, code, message, retry_after }
}

async fn bounded(response: &mut Response, bytes_max: u64) -> Result<Vec<u8>, HttpError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if (bytes.len() + chunk.len()) as u64 > bytes_max {
            return Err(HttpError::TooLong(bytes_max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// An error of the connection, without the URL: that of a redirect may be a secret.
pub(super) fn broken(error: reqwest::Error) -> HttpError {
    let is_silent = error.is_timeout();
    let text = chain(&error.without_url());
    HttpError::Broken(if is_silent { format!("there was no answer in time ({text})") } else { text })
}

/// An error and its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound() {
        let timing = Timing { first_wait: Duration::from_secs(10), repeats: 4, ..Timing::default() };
        let seconds: Vec<u64> = timing.waits().map(|wait| wait.as_secs()).collect();
        assert_eq!(seconds, [10, 20, 30, 30]);
    }

    #[test]
    fn a_token_is_for_one_server_and_never_unencrypted() {
        let url = |text: &str| Url::parse(text).expect("a URL");
        let credentials = Credentials::new("hf_secret\n", &url("https://hub.org")).expect("a token");
        assert!(credentials.header_for(&url("https://hub.org/a")).is_some_and(|header| header.is_sensitive()));
        for other in ["https://cdn.hub.org/a", "https://hub.org:444/a", "http://hub.org/a"] {
            assert!(credentials.header_for(&url(other)).is_none(), "{other}");
        }
        assert!(Credentials::new("hf_secret", &url("http://127.0.0.1:1")).is_ok());
        for (token, server) in [("hf_secret", "http://hub.org"), ("hf_\u{1}secret", "https://hub.org")] {
            let Err(error) = Credentials::new(token, &url(server)) else { panic!("{server}: accepted") };
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
