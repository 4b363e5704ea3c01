//! Estimated times as text.

use std::time::Duration;

use sakuga_client::proto::generation::v1::{EstimatedTime, GenerateRequest, JobOptions};

use super::units;

/// One line for a job that is about to be drawn; `None` if nothing of its model was measured or the server does not say.
pub(crate) async fn hint(client: &sakuga_client::Client, request: &GenerateRequest) -> Option<String> {
    /// A job whose estimate takes longer than this is begun without one.
    const PATIENCE: Duration = Duration::from_secs(1);
    /// Nobody plans around less.
    const LEAST: Duration = Duration::from_secs(5);
    let asked = client.estimate(request.clone(), JobOptions::default());
    let estimate = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
    let time = estimate.time.filter(|_| estimate.learned_jobs > 0)?;
    let start = match estimate.eta.map(duration).filter(|eta| !eta.is_zero()) {
        Some(eta) => format!(", starts in {}", units::duration(eta)),
        None => String::new(),
    };
    let is_long = duration(time.expected?) + estimate.eta.map(duration).unwrap_or_default() >= LEAST;
    is_long.then(|| format!("takes about {}{start}", interval(&time)))
}

/// The time of the message; one that is out of range is 0.
pub(super) fn duration(time: prost_types::Duration) -> Duration {
    sakuga_client::proto::time::duration(time).unwrap_or_default()
}

/// `12 s (11 s to 14 s)`.
pub(super) fn interval(time: &EstimatedTime) -> String {
    let shown = |time: Option<prost_types::Duration>| units::duration(time.map(duration).unwrap_or_default());
    format!("{} ({} to {})", shown(time.expected), shown(time.low), shown(time.high))
}
