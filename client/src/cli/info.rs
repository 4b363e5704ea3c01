//! `sakuga info`: version, limits, models and devices of a server.

use std::time::Duration;

use clap::Args;
use sakuga_client::Client;
use sakuga_client::proto::generation::v1::Sampling;
use sakuga_client::proto::json;
use sakuga_client::proto::model::v1 as model;
use sakuga_client::proto::system::v1::{
    ControlNetwork, GetServerInfoRequest, GetServerInfoResponse, GpuStats, ListDevicesRequest, ListDevicesResponse,
    ListModelsRequest, ListModelsResponse, LoadingPhase, Model, SamplingDefaults, WatchGpuStatsRequest,
};
use serde_json::json;

use super::devices;
use super::exit::{self, Exit};
use super::failure::Failure;
use super::models;
use super::output;
use super::progress::device_line;
use super::server::{self, ServerArguments};
use super::terminal::Terminal;
use super::units;
use sakuga_client::proto::text::one_line;

/// How long to wait for a sample of the device.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(3);

/// Show a server
///
/// Prints version, devices, limits, queue, loading times, compute paths, models, and one sample of the first device.
#[derive(Debug, Args)]
#[command(after_long_help = exit::MANUAL)]
pub(crate) struct InfoArguments {
    #[command(flatten)]
    server: ServerArguments,

    /// Print one JSON object: {"address", "server", "models", "states", "device", "devices"}, each part as protobuf JSON; "states"
    /// says where the weights of the models are; it and "devices" are null if the server does not say that, and "device" if it
    /// has no sample
    #[arg(long)]
    json: bool,
}

struct Info {
    address: String,
    server: GetServerInfoResponse,
    models: ListModelsResponse,
    /// `None`: the server has no ModelService.
    states: Option<model::ListModelsResponse>,
    device: Option<GpuStats>,
    /// `None`: the server does not list its devices.
    devices: Option<ListDevicesResponse>,
}

/// Runs the command.
pub(crate) fn run(arguments: &InfoArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let info = server::runtime()?.block_on(ask(&arguments.server))?;
    if arguments.json {
        let unreadable = |error: json::JsonError| Failure::not_json(error);
        let device = info.device.as_ref().map(json::dynamic).transpose().map_err(unreadable)?;
        let devices = info.devices.as_ref().map(json::dynamic).transpose().map_err(unreadable)?;
        let states = info.states.as_ref().map(json::dynamic).transpose().map_err(unreadable)?;
        output::print_json(&json!({
            "address": info.address,
            "server": json::dynamic(&info.server).map_err(unreadable)?,
            "models": json::dynamic(&info.models).map_err(unreadable)?,
            "states": states,
            "device": device,
            "devices": devices,
        }))?;
    } else {
        output::print(describe(&info, terminal))?;
    }
    Ok(Exit::Ok)
}

async fn ask(server: &ServerArguments) -> Result<Info, Failure> {
    let client = server.connect().await?;
    let server = server::answer(&client, client.system().get_server_info(GetServerInfoRequest {})).await?;
    let models = server::answer(&client, client.system().list_models(ListModelsRequest {})).await?;
    // An older server has no ModelService.
    let states = server::answer(&client, client.models().list_models(model::ListModelsRequest {})).await.ok();
    // A server without statistics is described without them.
    let device = tokio::time::timeout(SAMPLE_TIMEOUT, sample(&client)).await.ok().flatten();
    // An older server has one device.
    let devices = server::answer(&client, client.system().list_devices(ListDevicesRequest {})).await.ok();
    Ok(Info { address: client.address().to_owned(), server, models, states, device, devices })
}

async fn sample(client: &Client) -> Option<GpuStats> {
    let request = WatchGpuStatsRequest { interval_ms: 100, ..WatchGpuStatsRequest::default() };
    let samples = client.system().watch_gpu_stats(request).await.ok()?;
    samples.into_inner().message().await.ok()??.stats
}

fn describe(info: &Info, terminal: &Terminal) -> String {
    let bold = terminal.style().bold();
    let server = &info.server;
    let mut lines = vec![format!("{}", bold.apply_to(&info.address))];
    let mut fact = |name: &str, value: String| lines.push(format!("  {:<14} {}", one_line(name), one_line(&value)));
    fact("version", server.version.clone());
    fact("engine", format!("{}, {}", server.engine, server.precision));
    match info.devices.as_ref().map(|listed| listed.devices.as_slice()) {
        Some(devices @ [_, _, ..]) => devices.iter().for_each(|device| fact("device", devices::line(device))),
        _ => fact("device", server.device.clone()),
    }
    if let Some(device) = &info.device {
        fact("now", device_line(device));
    }
    let step_time = server.step_time.and_then(|time| Duration::try_from(time).ok());
    let step_time = step_time.map(|time| format!(", a step takes {}", units::duration(time))).unwrap_or_default();
    fact("jobs", format!("{}{step_time}", server.jobs));
    if let Some(limits) = &server.limits {
        fact(
            "limits",
            format!(
                "{:.1} megapixels in multiples of {} px, {} of {}, {} waiting, prompts up to {}",
                precise(limits.max_pixels) / 1e6,
                limits.size_multiple,
                units::count(limits.max_images as usize, "picture"),
                units::count(limits.max_steps as usize, "step"),
                units::count(limits.max_queued as usize, "job"),
                units::bytes(limits.max_prompt_bytes.into()),
            ),
        );
    }
    let loading = loading(&server.loading);
    if !loading.is_empty() {
        fact("loading", loading);
    }
    for path in &server.compute_paths {
        let reason = if path.reason.is_empty() { String::new() } else { format!(" ({})", path.reason) };
        fact(&path.operation, format!("{}{reason}", path.implementation));
    }
    for (index, model) in info.models.models.iter().enumerate() {
        let default = if index == 0 { " (default)" } else { "" };
        lines.push(format!("\n{}{default}", bold.apply_to(one_line(&model.name))));
        let mut fact = |name: &str, value: String| lines.push(format!("  {:<14} {}", one_line(name), one_line(&value)));
        if !model.notice.is_empty() {
            fact("notice", model.notice.clone());
        }
        if let Some(status) =
            info.states.iter().flat_map(|listed| &listed.models).find(|status| status.name == model.name)
        {
            fact("weights", format!("{}, {}", units::bytes(status.weight_bytes), models::state(status.state())));
        }
        let mut parts: Vec<_> = model.parameters.iter().collect();
        parts.sort();
        for (part, parameters) in parts {
            fact(part, format!("{:.1} million parameters", precise(*parameters) / 1e6));
        }
        for encoder in &model.text_encoders {
            fact(&encoder.name, format!("reads {}", units::count(encoder.max_tokens as usize, "token")));
        }
        fact("size", size(model));
        if let Some(vocabulary) = &model.vocabulary {
            fact("trained with", models::trained_with(vocabulary));
        }
        if let Some(sampling) = &model.default_sampling {
            fact("sampling", default_sampling(sampling));
        }
        if !model.solvers.is_empty() {
            fact("solvers", model.solvers.join(", "));
        }
        if model.schedules.len() > 1 {
            fact("schedules", model.schedules.join(", "));
        }
        fact(
            "previews",
            if model.has_preview_decoder { "linear, decoder (tiny)" } else { "linear, decoder (full)" }.into(),
        );
        fact("images", if model.encodes_images { "to begin from, masks, second pass" } else { "none" }.into());
        if !model.control_networks.is_empty() {
            let name = |network: &ControlNetwork| match network.problem.is_empty() {
                true => network.name.clone(),
                false => format!("{} (unusable: {})", network.name, network.problem),
            };
            fact("control", model.control_networks.iter().map(name).collect::<Vec<_>>().join(", "));
        }
        if let Some((name, _)) = model.refiner.split_once('@') {
            fact("refiner", name.to_owned());
        }
        if !model.fingerprint.is_empty() {
            fact("hash", model.fingerprint.clone());
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// `1024x1024, up to 16.8 megapixels in multiples of 16 px`. An older server states the default alone.
fn size(model: &Model) -> String {
    let default = format!("{0}x{0}", model.default_size);
    match model.size_multiple {
        0 => default,
        multiple => {
            format!("{default}, up to {:.1} megapixels in multiples of {multiple} px", precise(model.max_pixels) / 1e6)
        }
    }
}

/// `device 0.1 s, next_dit 2.1 s (6.5 GiB, 3.1 GiB/s)`.
fn loading(phases: &[LoadingPhase]) -> String {
    let phases = phases.iter().map(|phase| {
        let took = phase.duration.and_then(|took| Duration::try_from(took).ok()).unwrap_or_default();
        let read = match (phase.bytes, took.as_secs_f64()) {
            (0, _) => String::new(),
            (bytes, 0.0) => format!(" ({})", units::bytes(bytes)),
            (bytes, seconds) => {
                format!(" ({}, {}/s)", units::bytes(bytes), units::bytes(whole(precise(bytes) / seconds)))
            }
        };
        format!("{} {}{read}", phase.name, units::duration(took))
    });
    phases.collect::<Vec<_>>().join(", ")
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is never negative")]
fn whole(figure: f64) -> u64 {
    figure as u64
}

/// `euler, 28 steps, guidance 5, shift 6`.
fn default_sampling(defaults: &SamplingDefaults) -> String {
    let steps = units::count(defaults.steps as usize, "step");
    // The solver's name as the server wrote it: this version may not know it.
    let schedule = match defaults.schedule.as_str() {
        "" | "native" => String::new(),
        schedule => format!(" {schedule}"),
    };
    format!("{}{schedule}, {steps}, {}", defaults.solver, Sampling::from(defaults).numbers())
}

#[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
fn precise(figure: u64) -> f64 {
    figure as f64
}
