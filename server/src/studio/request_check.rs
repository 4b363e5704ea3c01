//! Whether a request comes from the studio's own page.
//!
//! A page of another site can make a browser send requests to this machine. Two headers that pages cannot change reveal
//! it: `Origin` and `Sec-Fetch-Site`. With DNS rebinding the page's own name resolves to this machine, so that its
//! requests have the same origin; then `Host` has that name, which is not one of the server's.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderName, Method, Request, StatusCode};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The name that browsers give to the loopback.
const LOCALHOST: &str = "localhost";

/// Checks where requests come from.
#[derive(Clone, Debug)]
pub(super) struct RequestCheck {
    scheme: &'static str,
    hosts: Arc<[String]>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// It names no host, or several.
    #[error("the request must name its host, once")]
    NoHost,
    /// It came under a name that is not one of the server's.
    #[error("the studio is not served under this name; open it by its address, or allow the name with --studio-host")]
    ForeignHost,
    /// A page of another origin sent it.
    #[error("pages of other origins may not call the studio")]
    ForeignPage,
}

impl Refused {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::NoHost => StatusCode::BAD_REQUEST,
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::ForeignPage => StatusCode::FORBIDDEN,
        }
    }
}

impl RequestCheck {
    /// For a server under these names, and under every plain address: a browser that sends one was given it.
    pub(super) fn new(is_encrypted: bool, hosts: &[String]) -> Self {
        Self { scheme: if is_encrypted { "https" } else { "http" }, hosts: hosts.into() }
    }

    /// Refuses what does not come from the studio's page, from its address bar, or from a program that is not a browser.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Refused> {
        let host = host(request)?;
        if !self.is_ours(host.host()) {
            return Err(Refused::ForeignHost);
        }
        let own = format!("{}://{host}", self.scheme);
        let mut origins = request.headers().get_all(ORIGIN).iter();
        if !origins.all(|origin| origin.as_bytes().eq_ignore_ascii_case(own.as_bytes())) {
            return Err(Refused::ForeignPage);
        }
        // A link elsewhere may open the page, or a picture by its signed URL. Nothing else may be loaded from elsewhere.
        let path = request.uri().path();
        let is_opened = request.method() == Method::GET
            && (path == "/" || path.starts_with("/v1/pictures/"))
            && request.headers().get(FETCH_MODE).is_some_and(|mode| mode == "navigate");
        let mut sites = request.headers().get_all(FETCH_SITE).iter();
        if !is_opened && !sites.all(|site| site == "same-origin" || site == "none") {
            return Err(Refused::ForeignPage);
        }
        Ok(())
    }

    fn is_ours(&self, host: &str) -> bool {
        let address = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case(LOCALHOST)
            || address.parse::<IpAddr>().is_ok()
            || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }
}

/// The host of a request: that of its URI with HTTP/2, that of its header with HTTP/1.1. If both are there they agree.
fn host<B>(request: &Request<B>) -> Result<Authority, Refused> {
    let mut headers = request.headers().get_all(HOST).iter();
    let header = match (headers.next(), headers.next()) {
        (None, _) => None,
        (Some(value), None) => Some(Authority::try_from(value.as_bytes()).map_err(|_| Refused::NoHost)?),
        (Some(_), Some(_)) => return Err(Refused::NoHost),
    };
    let host = match (request.uri().authority(), header) {
        (Some(uri), Some(header)) if *uri != header => return Err(Refused::NoHost),
        (Some(uri), _) => uri.clone(),
        (None, Some(header)) => header,
        (None, None) => return Err(Refused::NoHost),
    };
    // `user@host` is a way to write one host and mean another.
    if host.as_str().contains('@') { Err(Refused::NoHost) } else { Ok(host) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<(), Refused> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        RequestCheck::new(false, &["studio.example".into()]).check(&request.body(()).expect("a request"))
    }

    const LOCAL: (&str, &str) = ("host", "127.0.0.1:50052");

    #[test]
    fn the_page_itself_and_programs_may_call() {
        let own = ("origin", "http://127.0.0.1:50052");
        assert_eq!(check("POST", "/a.B/C", &[LOCAL, own, ("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(check("POST", "/a.B/C", &[LOCAL]), Ok(()));
        assert_eq!(check("GET", "/", &[LOCAL, ("sec-fetch-site", "none")]), Ok(()));
        for host in
            ["localhost", "LOCALHOST:8080", "[::1]:50052", "192.168.0.7", "studio.example", "Studio.Example:443"]
        {
            assert_eq!(check("GET", "/", &[("host", host)]), Ok(()), "{host}");
        }
        assert_eq!(check("POST", "http://127.0.0.1:50052/a.B/C", &[own]), Ok(()), "HTTP/2");
    }

    #[test]
    fn another_name_is_refused_even_if_it_leads_here() {
        for host in
            ["evil.example", "evil.example:50052", "localhost.evil.example", "127.0.0.1.evil.example", "x", "1.2.3"]
        {
            assert_eq!(check("GET", "/", &[("host", host)]), Err(Refused::ForeignHost), "{host}");
        }
        let rebound = [("host", "evil.example:50052"), ("origin", "http://evil.example:50052")];
        assert_eq!(check("POST", "/a.B/C", &rebound), Err(Refused::ForeignHost));
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        for origin in [
            "http://evil.example",
            "null",
            "https://127.0.0.1:50052",
            "http://127.0.0.1:3000",
            "http://localhost:50052",
            "",
        ] {
            assert_eq!(check("POST", "/a.B/C", &[LOCAL, ("origin", origin)]), Err(Refused::ForeignPage), "{origin}");
        }
        let twice = [LOCAL, ("origin", "http://127.0.0.1:50052"), ("origin", "http://evil.example")];
        assert_eq!(check("POST", "/a.B/C", &twice), Err(Refused::ForeignPage));
    }

    #[test]
    fn another_page_may_link_to_the_studio_and_load_nothing_from_it() {
        let cross = ("sec-fetch-site", "cross-site");
        assert_eq!(check("GET", "/", &[LOCAL, cross, ("sec-fetch-mode", "navigate")]), Ok(()));
        assert_eq!(check("GET", "/", &[LOCAL, cross, ("sec-fetch-mode", "no-cors")]), Err(Refused::ForeignPage));
        assert_eq!(check("GET", "/v1/pictures/a/0.png", &[LOCAL, cross, ("sec-fetch-mode", "navigate")]), Ok(()));
        let embedded = [LOCAL, cross, ("sec-fetch-mode", "no-cors")];
        for path in ["/v1/pictures/a/0.png", "/v1/models"] {
            assert_eq!(check("GET", path, &embedded), Err(Refused::ForeignPage));
        }
        let script = [LOCAL, cross, ("sec-fetch-mode", "no-cors")];
        assert_eq!(check("GET", "/assets/a.js", &script), Err(Refused::ForeignPage));
        let form = [LOCAL, cross, ("sec-fetch-mode", "navigate")];
        assert_eq!(check("POST", "/", &form), Err(Refused::ForeignPage));
    }

    #[test]
    fn a_host_is_named_once_and_plainly() {
        assert_eq!(check("GET", "/", &[]), Err(Refused::NoHost));
        assert_eq!(check("GET", "/", &[LOCAL, ("host", "localhost")]), Err(Refused::NoHost));
        assert_eq!(check("GET", "http://localhost/", &[LOCAL]), Err(Refused::NoHost));
        assert_eq!(check("GET", "/", &[("host", "localhost@evil.example")]), Err(Refused::NoHost));
        assert_eq!(check("GET", "/", &[("host", "a b")]), Err(Refused::NoHost));
    }
}
