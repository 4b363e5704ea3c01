//! How long a model takes to load, and the memory of the device meanwhile.

use std::time::{Duration, Instant};

use sakuga_bench::article::Load;
use sakuga_bench::recorder::{milliseconds, stats_sample};
use sakuga_client::Client;
use sakuga_client::proto::model::v1::{ListModelsRequest, LoadModelRequest, ModelState, UnloadModelRequest};
use sakuga_client::proto::system::v1::{Model, WatchGpuStatsRequest};
use tonic::Status;

/// Least time between two samples.
const INTERVAL_MS: u32 = 100;
/// How long to wait for a sample after the model is loaded.
const LAST_SAMPLE: Duration = Duration::from_millis(1000);

/// The models on the device; empty if the server does not list them.
pub(super) async fn loaded(client: &Client) -> Vec<String> {
    let listed = client.models().list_models(ListModelsRequest {}).await;
    let models = listed.map(|answer| answer.into_inner().models).unwrap_or_default();
    models.into_iter().filter(|model| model.state() == ModelState::Loaded).map(|model| model.name).collect()
}

/// Loads a model after all were unloaded, so that its files are read and no other one is on the device.
///
/// # Errors
///
/// What the server refuses, or that it failed.
pub(super) async fn load_alone(client: &Client, name: &str, models: &[Model]) -> Result<Load, String> {
    for model in models {
        let unloaded = client.models().unload_model(UnloadModelRequest { name: model.name.clone() }).await;
        unloaded.map_err(|status| explained(client, &status))?;
    }
    load(client, name).await
}

/// Loads a model while the device is sampled.
///
/// # Errors
///
/// As for [`load_alone`].
pub(super) async fn load(client: &Client, name: &str) -> Result<Load, String> {
    let request = WatchGpuStatsRequest { interval_ms: INTERVAL_MS, all_devices: false };
    let watched = client.system().watch_gpu_stats(request).await;
    let mut samples = watched.map_err(|status| explained(client, &status))?.into_inner();
    let begun = Instant::now();
    let mut models = client.models();
    let mut call = std::pin::pin!(models.load_model(LoadModelRequest { name: name.to_owned() }));
    let mut stats = Vec::new();
    let mut take = |sample: Option<sakuga_client::proto::system::v1::GpuStats>| {
        stats.extend(sample.map(|sample| stats_sample(&sample, milliseconds(begun.elapsed()))));
    };
    let mut is_watched = true;
    let answer = loop {
        tokio::select! {
            answer = &mut call => break answer,
            // A stream that has ended leaves the call.
            sample = samples.message(), if is_watched => match sample {
                Ok(Some(sample)) => take(sample.stats),
                Ok(None) | Err(_) => is_watched = false,
            },
        }
    };
    let ms = milliseconds(begun.elapsed());
    let model = answer.map_err(|status| explained(client, &status))?.into_inner().model.unwrap_or_default();
    if is_watched && let Ok(Ok(Some(sample))) = tokio::time::timeout(LAST_SAMPLE, samples.message()).await {
        take(sample.stats);
    }
    Ok(Load { ms, weight_bytes: model.weight_bytes, stats })
}

fn explained(client: &Client, status: &Status) -> String {
    client.explain(status).to_string()
}
