//! The gRPC server: the limits of HTTP/2, gRPC-Web and CORS for browsers, and the layer that every call passes.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, Request, Response};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_web::GrpcWebLayer;
use tower::Service;
use tower::util::option_layer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::config::TransportConfig;
use super::layer::CallLayer;
use super::listener::Incoming;
use crate::studio::api::ApiLayer;
use crate::studio::layer::StudioLayer;

/// What a page may read of an answer: where gRPC-Web puts the status of a call without a body.
const EXPOSED: [HeaderName; 3] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
];
/// How long a browser may cache the answer to a preflight request.
const CORS_MAX_AGE: Duration = Duration::from_secs(3600);

/// Serves until it is cancelled; then sends GOAWAY on every connection and ends when the last call has ended.
pub(crate) type Serving = Pin<Box<dyn Future<Output = Result<(), tonic::transport::Error>> + Send>>;

/// Builds the server: CORS, gRPC-Web, then `layer`, then the services.
pub(crate) fn serve(
    config: &TransportConfig,
    layer: CallLayer,
    routes: Routes,
    incoming: Incoming,
    stop: CancellationToken,
) -> Serving {
    let is_web = config.grpc_web();
    let router = within_limits(config)
        .accept_http1(is_web)
        .layer(option_layer(is_web.then(|| cors(&config.cors_origins))))
        .layer(option_layer(is_web.then(GrpcWebLayer::new)))
        .layer(layer)
        .add_routes(routes);
    Box::pin(router.serve_with_incoming_shutdown(incoming, stop.cancelled_owned()))
}

/// Builds the server of the studio: its page, OpenAI's API, gRPC-Web, then `layer`, then the services, within the same limits.
pub(crate) fn serve_studio<A>(
    config: &TransportConfig,
    (page, api): (StudioLayer, ApiLayer<A>),
    layer: CallLayer,
    routes: Routes,
    incoming: Incoming,
    stop: CancellationToken,
) -> Serving
where
    A: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    A::Future: Send + 'static,
{
    let router = within_limits(config)
        .accept_http1(true)
        .layer(page)
        .layer(api)
        .layer(GrpcWebLayer::new())
        .layer(layer)
        .add_routes(routes);
    Box::pin(router.serve_with_incoming_shutdown(incoming, stop.cancelled_owned()))
}

/// Serves both until both have ended, or one has failed.
pub(crate) fn both(api: Serving, studio: Option<Serving>) -> Serving {
    match studio {
        Some(studio) => Box::pin(async move { tokio::try_join!(api, studio).map(|_| ()) }),
        None => api,
    }
}

/// A server with the limits of HTTP/2.
fn within_limits(config: &TransportConfig) -> Server {
    Server::builder()
        .max_concurrent_streams(config.connection_streams_max)
        .http2_max_header_list_size(config.header_bytes_max)
        .http2_keepalive_interval(Some(config.keepalive_interval))
        .http2_keepalive_timeout(Some(config.keepalive_timeout))
        .http2_max_pending_accept_reset_streams(Some(config.pending_resets_max))
        .http2_max_local_error_reset_streams(Some(config.fault_resets_max))
}

fn cors(origins: &[String]) -> CorsLayer {
    let origin = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::POST])
        // A wildcard would not cover `authorization`.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(EXPOSED)
        .max_age(CORS_MAX_AGE)
}
