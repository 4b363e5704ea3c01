//! What every call passes: who makes it, whether the method is theirs, whether their share is used up; and its end is
//! counted.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::access::{Access, access};
use super::connection::{CallGuard, Peer};
use super::identity::ClientIdentity;
use super::refusal::Refusal;
use super::share::OverShare;
use super::tokens::Tokens;
use crate::metrics::CallMetrics;
use crate::trace::{CallObserver, Observer};

/// Puts the door before a service.
#[derive(Clone)]
pub struct DoorLayer {
    tokens: Option<Arc<Tokens>>,
    /// Whether a connection without a certificate is anybody's.
    needs_identity: bool,
    metrics: CallMetrics,
    observer: Option<Arc<dyn Observer>>,
}

impl DoorLayer {
    /// The layer of a door.
    pub fn new(door: &super::Door, metrics: CallMetrics, observer: Option<Arc<dyn Observer>>) -> Self {
        Self { tokens: door.tokens.clone(), needs_identity: door.asks_who(), metrics, observer }
    }

    /// Tells of a call, and notes on it which span it is.
    fn observe<B>(&self, request: &mut Request<B>, method: &str) -> Option<Box<dyn CallObserver>> {
        let observer = self.observer.as_ref()?;
        let known = (request.uri().path().trim_start_matches('/') == method).then_some(method);
        let peer = request.extensions().get::<Peer>().map(|peer| peer.address);
        let observed = observer.call_begins(known, request.headers(), peer);
        request.extensions_mut().insert(observed.parent());
        Some(observed)
    }

    /// Decides on a call, takes its secret off it, and notes on it who makes it.
    fn admit<B>(&self, request: &mut Request<B>) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        let needed = access(request.uri().path());
        let secret = take_bearer(request.headers_mut());
        if !self.needs_identity || needed == Access::Open {
            return Ok(None);
        }
        let certificate = request.extensions().get::<Peer>().and_then(|peer| peer.certificate.clone());
        let (identity, share) = match &self.tokens {
            None => (certificate.as_ref().map(ClientIdentity::of_certificate).ok_or(Refusal::NoToken)?, None),
            Some(tokens) => {
                let holder = tokens.find(&secret?, SystemTime::now())?;
                (holder.identity, Some(holder.share))
            }
        };
        // Also that of a call which is refused below.
        tracing::Span::current().record("client", &*identity.name);
        if let Access::Scoped(scopes) = needed
            && !identity.scopes.allow(scopes)
        {
            return Err(Refusal::WrongScope { held: identity.scopes, needed: scopes });
        }
        let permit = share.map(|share| share.take(Instant::now()).map_err(Refusal::OverShare)).transpose()?;
        request.extensions_mut().insert(identity);
        Ok(permit)
    }
}

/// The token of a call's only authorization header.
///
/// # Errors
///
/// [`Refusal::NoToken`] or [`Refusal::MalformedToken`].
pub fn bearer(headers: &HeaderMap) -> Result<&[u8], Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::NoToken)?.as_bytes();
    if values.next().is_some() {
        return Err(Refusal::MalformedToken);
    }
    let (scheme, token) = value.split_at_checked(7).ok_or(Refusal::MalformedToken)?;
    let token = token.trim_ascii();
    if !scheme.eq_ignore_ascii_case(b"bearer ") || token.is_empty() {
        return Err(Refusal::MalformedToken);
    }
    Ok(token)
}

/// Takes the secret off the request, so that nothing behind the door can write it anywhere.
fn take_bearer(headers: &mut HeaderMap) -> Result<Vec<u8>, Refusal> {
    let token = bearer(headers).map(<[u8]>::to_vec);
    headers.remove(AUTHORIZATION);
    token
}

impl<S> Layer<S> for DoorLayer {
    type Service = DoorService<S>;

    fn layer(&self, inner: S) -> DoorService<S> {
        DoorService { inner, door: self.clone() }
    }
}

/// A service behind the door.
#[derive(Clone)]
pub struct DoorService<S> {
    inner: S,
    door: DoorLayer,
}

impl<S, B> Service<Request<B>> for DoorService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let method = self.door.metrics.method(request.uri().path());
        let observed = self.door.observe(&mut request, &method);
        let span = call_span(request.uri().path(), observed.as_deref());
        let mut call = Call {
            method,
            observed,
            metrics: self.door.metrics.clone(),
            // A call whose end never comes was given up by the client.
            code: Code::Cancelled,
            _connection: request.extensions().get::<Peer>().map(|peer| peer.activity.begin_call()),
            _share: None,
        };
        call.metrics.open.inc();
        let entered = span.enter();
        match self.door.admit(&mut request) {
            Ok(share) => call._share = share,
            Err(refusal) => {
                call.metrics.refused(refusal.reason());
                log(&refusal, request.extensions().get::<Peer>());
                let status = refusal.to_status();
                call.code = status.code();
                return Box::pin(async move { Ok(status.into_http()) });
            }
        }
        let answer = self.inner.call(request);
        drop(entered);
        Box::pin(async move { Ok(watch(call, answer.await?)) }.instrument(span))
    }
}

/// Tells calls apart in the log, and finds their traces. Who makes it is filled in when it is known.
fn call_span(path: &str, observed: Option<&dyn CallObserver>) -> tracing::Span {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let call_id = NEXT.fetch_add(1, Ordering::Relaxed);
    let trace_id = observed.map(|observed| tracing::field::display(format!("{:032x}", observed.parent().trace_id)));
    tracing::info_span!("call", path, call_id, trace_id, client = tracing::field::Empty)
}

fn log(refusal: &Refusal, peer: Option<&Peer>) {
    let peer = peer.map(|peer| peer.address);
    match refusal {
        // A client's own affair, and it may come often.
        Refusal::OverShare(OverShare::Rate { .. } | OverShare::Concurrent { .. }) => {
            tracing::debug!(reason = refusal.reason(), ?peer, "not let in");
        }
        _ => tracing::info!(reason = refusal.reason(), ?peer, "not let in"),
    }
}

/// Follows an answer to its end.
fn watch(mut call: Call, answer: Response<Body>) -> Response<Body> {
    let (parts, body) = answer.into_parts();
    // An error without a body stands in the headers.
    call.note(&parts.headers);
    Response::from_parts(parts, Body::new(WatchedBody { inner: body, call }))
}

/// A call until its answer has ended, or was dropped.
struct Call {
    method: Arc<str>,
    metrics: CallMetrics,
    observed: Option<Box<dyn CallObserver>>,
    code: Code,
    _connection: Option<CallGuard>,
    _share: Option<OwnedSemaphorePermit>,
}

impl Call {
    fn note(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get("grpc-status") {
            self.code = Code::from_bytes(status.as_bytes());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(observed) = &mut self.observed {
            observed.ends(self.code);
        }
        self.metrics.open.dec();
        self.metrics.ended(&self.method, self.code);
    }
}

struct WatchedBody {
    inner: Body,
    call: Call,
}

impl http_body::Body for WatchedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.call.note(trailers);
                }
            }
            Poll::Ready(Some(Err(status))) => self.call.code = status.code(),
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::super::access::Scopes;
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_str(value).expect("a header"))).collect()
    }

    #[test]
    fn one_bearer_token_is_read_however_its_scheme_is_written() {
        for value in ["Bearer abc", "bearer abc", "BEARER   abc "] {
            assert_eq!(bearer(&headers(&[value])), Ok(&b"abc"[..]), "{value}");
        }
        assert_eq!(bearer(&headers(&[])), Err(Refusal::NoToken));
        for values in [&["abc"][..], &["Bearer"], &["Bearer "], &["Basic abc"], &["Bearer a", "Bearer b"], &["é"]] {
            assert_eq!(bearer(&headers(values)), Err(Refusal::MalformedToken), "{values:?}");
        }
    }

    #[test]
    fn the_secret_is_taken_off() {
        let mut headers = headers(&["Bearer a", "Bearer b"]);
        assert_eq!(take_bearer(&mut headers), Err(Refusal::MalformedToken));
        assert!(headers.is_empty());
    }

    #[test]
    fn scopes_are_told_to_those_who_lack_them() {
        let refusal = Refusal::WrongScope { held: Scopes::default(), needed: Scopes::ALL };
        assert_eq!(refusal.to_status().code(), Code::PermissionDenied);
    }
}
