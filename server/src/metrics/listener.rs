//! The page of figures over HTTP, on a listener of its own.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use super::{Metrics, QueueFigures};
use crate::auth::access::{Scope, Scopes};
use crate::auth::bearer::bearer;
use crate::auth::refusal::Refusal;
use crate::auth::tokens::Tokens;
use crate::gpu::{DeviceSample, Sampler};
use crate::telemetry::Observer;

/// The media type of the page.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long a page waits for a sample of the device.
const SAMPLE_PATIENCE: Duration = Duration::from_secs(1);

/// What the page is made of.
pub struct Page {
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// The queue at the moment.
    pub queue: Box<dyn Fn() -> QueueFigures + Send + Sync>,
    /// Looks at the engine's memory.
    pub observer: Observer,
    /// Samples of the device.
    pub sampler: Arc<Sampler>,
    /// Who may read it; `None`: whoever reaches the listener.
    pub tokens: Option<Arc<Tokens>>,
}

/// Serves the page until the handle is dropped.
pub fn serve(listener: TcpListener, page: Page) -> AbortOnDropHandle<()> {
    let router = Router::new().route("/metrics", get(read)).with_state(Arc::new(page));
    AbortOnDropHandle::new(tokio::spawn(async move {
        let served: io::Result<()> = axum::serve(listener, router).await;
        if let Err(error) = served {
            tracing::error!(%error, "the figures are served no more");
        }
    }))
}

async fn read(State(page): State<Arc<Page>>, headers: HeaderMap) -> Response {
    if let Some(tokens) = &page.tokens
        && let Err(refused) = may_read(tokens, &headers)
    {
        return refused;
    }
    let sample = tokio::time::timeout(SAMPLE_PATIENCE, sample(&page.sampler)).await.ok().flatten();
    let text = page.metrics.page((page.queue)(), &page.observer.pools(), sample.as_ref());
    ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response()
}

#[expect(clippy::result_large_err, reason = "an answer is what it is, and it is rare")]
fn may_read(tokens: &Tokens, headers: &HeaderMap) -> Result<(), Response> {
    let token = bearer(headers).map_err(|refusal| refuse(StatusCode::UNAUTHORIZED, &refusal))?;
    let holder =
        tokens.find(token, SystemTime::now()).map_err(|bad| refuse(StatusCode::UNAUTHORIZED, &Refusal::from(bad)))?;
    if holder.identity.scopes.allow(Scopes::one(Scope::Metrics)) {
        return Ok(());
    }
    Err((StatusCode::FORBIDDEN, "the token lacks the scope `metrics`\n").into_response())
}

fn refuse(code: StatusCode, refusal: &Refusal) -> Response {
    (code, [(header::WWW_AUTHENTICATE, "Bearer")], format!("{refusal}\n")).into_response()
}

/// One sample of the device.
async fn sample(sampler: &Sampler) -> Option<DeviceSample> {
    let (sender, receiver) = oneshot::channel();
    let mut sender = Some(sender);
    let _subscription = sampler.subscribe(Duration::from_secs(3600), move |sample| {
        if let Some(sender) = sender.take() {
            // Nobody waits for it any more if it was late.
            let _ = sender.send(sample.clone());
        }
    });
    receiver.await.ok()
}
