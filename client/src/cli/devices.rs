//! `sakuga devices`: the devices of a server, and commands that take them out of service.

use clap::{Args, Subcommand};
use sakuga_client::proto::system::v1::{
    Device, DeviceState, DisableDeviceRequest, DrainDeviceRequest, EnableDeviceRequest, ListDevicesRequest,
    ListDevicesResponse,
};
use sakuga_client::proto::text::one_line;

use super::exit::{self, Exit};
use super::failure::Failure;
use super::server::{self, ServerArguments, answer, answer_without_limit};
use super::{output, units};

/// List the devices of a server, and take them out of service and back
///
/// All devices take jobs from one queue. One that is out of service takes none; the others go on. Changes need a token with the
/// scope `admin` where the server requires one.
#[derive(Debug, Args)]
#[command(after_long_help = exit::MANUAL, args_conflicts_with_subcommands = true)]
pub(crate) struct DevicesArguments {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    list: ListArguments,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the devices, and whether each takes jobs
    List(ListArguments),
    /// Give a device no more jobs, and wait until its running job has ended; its models stay in its memory
    Drain(OneArguments),
    /// Drain a device and free the memory of its models, so that it can be used otherwise or replaced
    Disable(OneArguments),
    /// Give a device jobs again, and wait until the models that were on it are loaded
    Enable(OneArguments),
}

#[derive(Debug, Args)]
struct ListArguments {
    #[command(flatten)]
    server: ServerArguments,

    /// Print protobuf JSON (sakuga.system.v1.ListDevicesResponse)
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct OneArguments {
    /// The device, as `sakuga devices` lists it, such as cuda:1
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    server: ServerArguments,

    /// Print the device as protobuf JSON (sakuga.system.v1.Device)
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &DevicesArguments) -> Result<Exit, Failure> {
    let runtime = server::runtime()?;
    match arguments.action.as_ref() {
        None => list(&runtime, &arguments.list),
        Some(Action::List(arguments)) => list(&runtime, arguments),
        Some(Action::Drain(arguments)) => show(arguments, runtime.block_on(drain(arguments))?),
        Some(Action::Disable(arguments)) => show(arguments, runtime.block_on(disable(arguments))?),
        Some(Action::Enable(arguments)) => show(arguments, runtime.block_on(enable(arguments))?),
    }
}

fn list(runtime: &tokio::runtime::Runtime, arguments: &ListArguments) -> Result<Exit, Failure> {
    let listed = runtime.block_on(async {
        let client = arguments.server.connect().await?;
        answer(&client, client.system().list_devices(ListDevicesRequest {})).await
    })?;
    output::print_answer(arguments.json, &listed, table)?;
    Ok(Exit::Ok)
}

async fn drain(arguments: &OneArguments) -> Result<Device, Failure> {
    let client = arguments.server.connect().await?;
    let request = DrainDeviceRequest { name: arguments.name.clone() };
    Ok(answer_without_limit(&client, client.system().drain_device(request)).await?.device.unwrap_or_default())
}

async fn disable(arguments: &OneArguments) -> Result<Device, Failure> {
    let client = arguments.server.connect().await?;
    let request = DisableDeviceRequest { name: arguments.name.clone() };
    Ok(answer_without_limit(&client, client.system().disable_device(request)).await?.device.unwrap_or_default())
}

async fn enable(arguments: &OneArguments) -> Result<Device, Failure> {
    let client = arguments.server.connect().await?;
    let request = EnableDeviceRequest { name: arguments.name.clone() };
    Ok(answer_without_limit(&client, client.system().enable_device(request)).await?.device.unwrap_or_default())
}

fn show(arguments: &OneArguments, device: Device) -> Result<Exit, Failure> {
    output::print_answer(arguments.json, &device, |device| {
        table(&ListDevicesResponse { devices: vec![device.clone()] })
    })?;
    Ok(Exit::Ok)
}

/// One device a line: name, state, jobs, losses, models, running job, reason of a failure.
fn table(listed: &ListDevicesResponse) -> String {
    let row = |device: &Device| [one_line(&device.full_name), state(device).to_owned(), rest(device)];
    output::columns(&listed.devices.iter().map(row).collect::<Vec<_>>(), &[])
}

/// `12 jobs, lost once, anime, draws 0198c5a2-…`.
fn rest(device: &Device) -> String {
    let mut parts = vec![units::count(usize::try_from(device.jobs).unwrap_or(usize::MAX), "job")];
    match device.losses {
        0 => {}
        1 => parts.push("lost once".into()),
        losses => parts.push(format!("lost {losses} times")),
    }
    parts.extend(device.models.iter().map(|model| one_line(model)));
    if !device.job_id.is_empty() {
        parts.push(format!("draws {}", one_line(&device.job_id)));
    }
    if !device.failure.is_empty() {
        parts.push(one_line(&device.failure));
    }
    parts.join(", ")
}

/// `cuda:1 NVIDIA H200: serving, 12 jobs`, for `sakuga info`.
pub(crate) fn line(device: &Device) -> String {
    format!("{}: {}, {}", device.full_name, state(device), rest(device))
}

/// Whether it takes jobs, in a word.
fn state(device: &Device) -> &'static str {
    word(device.state())
}

/// Whether a device takes jobs, in a word.
pub(crate) fn word(state: DeviceState) -> &'static str {
    match state {
        DeviceState::Unspecified => "unknown",
        DeviceState::Serving => "serving",
        DeviceState::Draining => "draining",
        DeviceState::Drained => "drained",
        DeviceState::Disabled => "disabled",
        DeviceState::Lost => "lost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_a_line() {
        let mut first =
            Device { full_name: "cuda:0 X".into(), jobs: 12, models: vec!["a".into()], ..Device::default() };
        first.set_state(DeviceState::Serving);
        first.job_id = "7".into();
        let mut second = Device { full_name: "cuda:10 X".into(), losses: 2, ..Device::default() };
        second.set_state(DeviceState::Lost);
        second.failure = "no\u{1b}[2J driver".into();
        let text = table(&ListDevicesResponse { devices: vec![first, second] });
        let lines = "cuda:0 X   serving  12 jobs, a, draws 7\ncuda:10 X  lost     0 jobs, lost 2 times, no";
        assert!(text.starts_with(lines), "{text}");
        assert!(!text.contains('\u{1b}'));
    }
}
