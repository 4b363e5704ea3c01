//! The tower layer of every call: authentication, authorisation, the quota of its token, the limits of its message, and metrics.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::compression;
use super::connection::{CallGuard, Peer};
use super::credentials::Credentials;
use super::cutoff::Cutoff;
use super::large_answer;
use super::message::Messages;
use super::open_calls::OpenCalls;
use super::outgoing::Outgoing;
use super::raw_answer::RawAnswer;
use super::refusal::with_reason;
use super::refusal_log::RefusalLog;
use super::revocation::Revoked;
use crate::auth::access::{Access, access, is_public};
use crate::auth::bearer::take_bearer;
use crate::auth::identity::CertificateScopes;
use crate::auth::refusal::Refusal;
use crate::auth::tokens::Tokens;
use crate::metrics::{CallMetrics, MethodName};
use crate::trace::{CallObserver, Observer};

/// How long a health check or a reflection may be open. Clients that watch the health call again.
const OPEN_CALL_TIMEOUT: Duration = Duration::from_secs(600);

/// Authenticates, authorises, bounds and counts the calls of a service.
#[derive(Clone)]
pub(crate) struct CallLayer {
    tokens: Option<Arc<Tokens>>,
    certificates: CertificateScopes,
    /// The certificates that are revoked, if there are lists of them.
    revoked: Option<watch::Receiver<Revoked>>,
    /// Whether a call without token and certificate is refused.
    needs_identity: bool,
    messages: Messages,
    open_calls: Arc<OpenCalls>,
    outgoing: Outgoing,
    refusals: Arc<RefusalLog>,
    metrics: CallMetrics,
    observer: Option<Arc<dyn Observer>>,
}

/// A call that was authorised.
#[derive(Default)]
struct Admitted {
    permit: Option<OwnedSemaphorePermit>,
    cutoff: Cutoff,
    has_identity: bool,
}

impl CallLayer {
    /// The layer over these credentials, for the methods of `messages`.
    pub(crate) fn new(
        credentials: &Credentials,
        messages: Messages,
        outgoing: Outgoing,
        metrics: CallMetrics,
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        Self {
            tokens: credentials.tokens.clone(),
            certificates: credentials.certificates.clone(),
            revoked: credentials.tls.as_ref().and_then(|tls| tls.revoked()),
            needs_identity: credentials.requires_identity(),
            messages,
            open_calls: Arc::default(),
            outgoing,
            refusals: Arc::default(),
            metrics,
            observer,
        }
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
    fn admit<B>(&self, request: &mut Request<B>) -> Result<Admitted, Refusal> {
        let needed = access(request.uri().path());
        let secret = take_bearer(request.headers_mut());
        let mut admitted = Admitted::default();
        if is_public(request.uri().path()) {
            let address = request.extensions().get::<Peer>().map(|peer| peer.address.ip());
            admitted.cutoff = Cutoff::default().open_call(self.open_calls.begin(address), OPEN_CALL_TIMEOUT);
        }
        if !self.needs_identity || needed == Access::Open {
            // On a server without tokens and certificates every call counts as identified.
            admitted.has_identity = !self.needs_identity;
            return Ok(admitted);
        }
        let certificate = request.extensions().get::<Peer>().and_then(|peer| peer.certificate.clone());
        if let Some(certificate) = &certificate {
            let left =
                certificate.expires.duration_since(SystemTime::now()).map_err(|_| Refusal::ExpiredCertificate)?;
            admitted.cutoff = admitted.cutoff.certificate_expires(left);
            if let Some(revoked) = &self.revoked {
                if revoked.borrow().contains(&certificate.id) {
                    return Err(Refusal::RevokedCertificate);
                }
                admitted.cutoff = admitted.cutoff.certificate_revoked(revoked.clone(), certificate.id.clone());
            }
        }
        let (identity, quota) = match &self.tokens {
            None => (certificate.map(|one| self.certificates.identity(&one)).ok_or(Refusal::NoToken)?, None),
            Some(tokens) => {
                let holder = tokens.find(&secret?, SystemTime::now())?;
                admitted.cutoff = admitted.cutoff.revoked(holder.revoked);
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
        admitted.permit = quota.map(|quota| quota.take().map_err(Refusal::OverQuota)).transpose()?;
        admitted.has_identity = true;
        request.extensions_mut().insert(identity);
        Ok(admitted)
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = CallService<S>;

    fn layer(&self, inner: S) -> CallService<S> {
        CallService { inner, layer: self.clone() }
    }
}

/// A service whose calls are authenticated, bounded and counted.
#[derive(Clone)]
pub(crate) struct CallService<S> {
    inner: S,
    layer: CallLayer,
}

impl<S> Service<Request<Body>> for CallService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let layer = self.layer.clone();
        let name = request.extensions().get().map_or(request.uri().path(), |MethodName(name)| name);
        let method = layer.metrics.method(name);
        let observed = layer.observe(&mut request, &method);
        let span = call_span(request.uri().path(), observed.as_deref());
        let peer = request.extensions().get::<Peer>().cloned();
        let mut call = Call {
            method,
            observed,
            metrics: layer.metrics.clone(),
            // A call that is dropped before its end was cancelled by the client.
            code: Code::Cancelled,
            connection: peer.as_ref().map(|peer| peer.activity.begin_call()),
            _quota: None,
        };
        call.metrics.open.inc();
        let admitted = span.in_scope(|| layer.admit(&mut request));
        let Admitted { permit, cutoff, has_identity } = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => {
                span.in_scope(|| layer.refusals.note(refusal.reason(), peer.as_ref().map(|peer| peer.address)));
                let status = refusal.to_status();
                return Box::pin(std::future::ready(Ok(call.refused(refusal.reason(), &status))));
            }
        };
        call._quota = permit;
        if has_identity && let Some(connection) = &mut call.connection {
            connection.identify();
        }
        // `poll_ready` was called on the original, not on the clone.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let answer = async move {
            let mut cutoff = Box::pin(cutoff);
            let (mut parts, body) = request.into_parts();
            let body = tokio::select! {
                status = &mut cutoff => return Ok(call.ended(&status)),
                read = layer.messages.read(parts.uri.path(), &mut parts.headers, body) => read,
            };
            let body = match body {
                Ok(body) => body,
                Err(refusal) => {
                    layer.refusals.note(refusal.reason(), peer.map(|peer| peer.address));
                    return Ok(call.refused(refusal.reason(), &refusal.to_status()));
                }
            };
            let answer = tokio::select! {
                status = &mut cutoff => return Ok(call.ended(&status)),
                answer = inner.call(Request::from_parts(parts, body)) => large_answer::encode(answer?).await,
            };
            Ok(watch(call, cutoff, answer, &layer.outgoing))
        };
        Box::pin(answer.instrument(span))
    }
}

/// The span of a call in the log, with the id of its trace. `client` is recorded after authentication.
fn call_span(path: &str, observed: Option<&dyn CallObserver>) -> tracing::Span {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let call_id = NEXT.fetch_add(1, Ordering::Relaxed);
    let trace_id = observed.map(|observed| tracing::field::display(format!("{:032x}", observed.parent().trace_id)));
    tracing::info_span!("call", path, call_id, trace_id, client = tracing::field::Empty)
}

/// Wraps an answer: it ends at the cutoff, its unread bytes are bounded, and its end is counted.
fn watch(mut call: Call, cutoff: Pin<Box<Cutoff>>, answer: Response<Body>, outgoing: &Outgoing) -> Response<Body> {
    let (mut parts, body) = answer.into_parts();
    compression::offer(&mut parts.headers);
    // The status of an answer without a body is in its headers.
    call.note(&parts.headers);
    if let Some(status) = Status::from_header_map(&parts.headers).as_ref().and_then(with_reason) {
        return call.ended(&status);
    }
    let body = match RawAnswer::take(&mut parts.extensions) {
        Some(bounded) => bounded,
        None => Body::new(outgoing.bound(body)),
    };
    Response::from_parts(parts, Body::new(WatchedBody { inner: Some(body), call, cutoff }))
}

/// A call until its answer has ended or was dropped.
struct Call {
    method: Arc<str>,
    metrics: CallMetrics,
    observed: Option<Box<dyn CallObserver>>,
    code: Code,
    connection: Option<CallGuard>,
    _quota: Option<OwnedSemaphorePermit>,
}

impl Call {
    fn note(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get("grpc-status") {
            self.code = Code::from_bytes(status.as_bytes());
        }
    }

    /// The answer to a call that a limit refuses.
    fn refused(self, reason: &'static str, status: &Status) -> Response<Body> {
        self.metrics.refused(reason);
        self.ended(status)
    }

    /// The answer to a call that ends with this status.
    fn ended(mut self, status: &Status) -> Response<Body> {
        self.code = status.code();
        let mut answer = status.clone().into_http();
        compression::offer(answer.headers_mut());
        answer
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
    /// Dropped at the cutoff, which cancels its work.
    inner: Option<Body>,
    call: Call,
    cutoff: Pin<Box<Cutoff>>,
}

impl http_body::Body for WatchedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        if let Poll::Ready(status) = this.cutoff.as_mut().poll(context) {
            this.call.code = status.code();
            this.inner = None;
            let mut trailers = HeaderMap::new();
            return Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))));
        }
        let mut polled = Pin::new(inner).poll_frame(context);
        match &mut polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    this.call.note(trailers);
                    if let Some(status) = Status::from_header_map(trailers).as_ref().and_then(with_reason) {
                        this.call.code = status.code();
                        // A status that was read from headers has valid headers.
                        let _ = status.add_header(trailers);
                    }
                }
            }
            Poll::Ready(Some(Err(status))) => this.call.code = status.code(),
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}
