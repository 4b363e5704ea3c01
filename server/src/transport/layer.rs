//! What every call passes: authentication, authorisation, the quota of its token; and its end is counted.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::connection::{CallGuard, Peer};
use super::credentials::Credentials;
use crate::auth::access::{Access, access};
use crate::auth::bearer::take_bearer;
use crate::auth::identity::ClientIdentity;
use crate::auth::quota::OverQuota;
use crate::auth::refusal::Refusal;
use crate::auth::tokens::Tokens;
use crate::metrics::CallMetrics;
use crate::trace::{CallObserver, Observer};

/// Authenticates, authorises and counts the calls of a service.
#[derive(Clone)]
pub struct CallLayer {
    tokens: Option<Arc<Tokens>>,
    /// Whether a call without token and certificate is refused.
    needs_identity: bool,
    metrics: CallMetrics,
    observer: Option<Arc<dyn Observer>>,
}

impl CallLayer {
    /// The layer over these credentials.
    pub fn new(credentials: &Credentials, metrics: CallMetrics, observer: Option<Arc<dyn Observer>>) -> Self {
        Self { tokens: credentials.tokens.clone(), needs_identity: credentials.requires_identity(), metrics, observer }
    }

    /// Begins the span of a call and attaches it to the request.
    fn observe<B>(&self, request: &mut Request<B>, method: &str) -> Option<Box<dyn CallObserver>> {
        let observer = self.observer.as_ref()?;
        let known = (request.uri().path().trim_start_matches('/') == method).then_some(method);
        let peer = request.extensions().get::<Peer>().map(|peer| peer.address);
        let observed = observer.call_begins(known, request.headers(), peer);
        request.extensions_mut().insert(observed.parent());
        Some(observed)
    }

    /// Authenticates and authorises a call, removes its secret, and attaches its identity.
    fn admit<B>(&self, request: &mut Request<B>) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        let needed = access(request.uri().path());
        let secret = take_bearer(request.headers_mut());
        if !self.needs_identity || needed == Access::Open {
            return Ok(None);
        }
        let certificate = request.extensions().get::<Peer>().and_then(|peer| peer.certificate.clone());
        let (identity, quota) = match &self.tokens {
            None => (certificate.as_ref().map(ClientIdentity::of_certificate).ok_or(Refusal::NoToken)?, None),
            Some(tokens) => {
                let holder = tokens.find(&secret?, SystemTime::now())?;
                (holder.identity, Some(holder.quota))
            }
        };
        // Before the checks that follow, so that the log names the client of a refused call too.
        tracing::Span::current().record("client", &*identity.name);
        if let Access::Scoped(scopes) = needed
            && !identity.scopes.allow(scopes)
        {
            return Err(Refusal::WrongScope { held: identity.scopes, needed: scopes });
        }
        let permit = quota.map(|quota| quota.take(Instant::now()).map_err(Refusal::OverQuota)).transpose()?;
        request.extensions_mut().insert(identity);
        Ok(permit)
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = CallService<S>;

    fn layer(&self, inner: S) -> CallService<S> {
        CallService { inner, layer: self.clone() }
    }
}

/// A service whose calls are authenticated and counted.
#[derive(Clone)]
pub struct CallService<S> {
    inner: S,
    layer: CallLayer,
}

impl<S, B> Service<Request<B>> for CallService<S>
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
        let method = self.layer.metrics.method(request.uri().path());
        let observed = self.layer.observe(&mut request, &method);
        let span = call_span(request.uri().path(), observed.as_deref());
        let mut call = Call {
            method,
            observed,
            metrics: self.layer.metrics.clone(),
            // A call that is dropped before its end was cancelled by the client.
            code: Code::Cancelled,
            _connection: request.extensions().get::<Peer>().map(|peer| peer.activity.begin_call()),
            _quota: None,
        };
        call.metrics.open.inc();
        let entered = span.enter();
        match self.layer.admit(&mut request) {
            Ok(permit) => call._quota = permit,
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

/// The span of a call in the log, with the id of its trace. `client` is recorded after authentication.
fn call_span(path: &str, observed: Option<&dyn CallObserver>) -> tracing::Span {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let call_id = NEXT.fetch_add(1, Ordering::Relaxed);
    let trace_id = observed.map(|observed| tracing::field::display(format!("{:032x}", observed.parent().trace_id)));
    tracing::info_span!("call", path, call_id, trace_id, client = tracing::field::Empty)
}

fn log(refusal: &Refusal, peer: Option<&Peer>) {
    let peer = peer.map(|peer| peer.address);
    match refusal {
        // May come often, and concerns only the client.
        Refusal::OverQuota(OverQuota::Rate { .. } | OverQuota::Concurrent { .. }) => {
            tracing::debug!(reason = refusal.reason(), ?peer, "call refused");
        }
        _ => tracing::info!(reason = refusal.reason(), ?peer, "call refused"),
    }
}

/// Follows an answer to its end.
fn watch(mut call: Call, answer: Response<Body>) -> Response<Body> {
    let (parts, body) = answer.into_parts();
    // The status of an answer without a body is in its headers.
    call.note(&parts.headers);
    Response::from_parts(parts, Body::new(WatchedBody { inner: body, call }))
}

/// A call until its answer has ended or was dropped.
struct Call {
    method: Arc<str>,
    metrics: CallMetrics,
    observed: Option<Box<dyn CallObserver>>,
    code: Code,
    _connection: Option<CallGuard>,
    _quota: Option<OwnedSemaphorePermit>,
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
