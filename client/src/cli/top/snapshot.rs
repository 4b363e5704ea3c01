//! One snapshot as plain text, for scripts and streams that are not a terminal.

use sakuga_client::proto::system::v1::{Activity, GpuStats};

use super::model::{Device, Model};
use super::view::{place, pool_line, processes_line};
use crate::cli::jobs::text as jobs_text;
use crate::cli::progress::device_line;
use crate::cli::units;
use sakuga_client::proto::text::one_line;

/// The state, a fact a line.
pub(crate) fn text(model: &Model) -> String {
    let mut lines = vec![one_line(&model.address)];
    if let Some(server) = &model.server {
        let text = format!("{} {}, {}, {}", server.version, server.engine, server.device, server.precision);
        lines.push(one_line(&text));
    }
    let device = |device: &Device| device_text(&device.newest) + &model.of_device(&device.newest);
    lines.extend(model.devices.values().map(device));
    if let Some(now) = model.now() {
        lines.extend(activity_lines(now));
    }
    lines.push(String::new());
    lines.join("\n") + &jobs_text::table(&model.jobs)
}

fn device_text(stats: &GpuStats) -> String {
    let mut text = device_line(stats);
    let rates = stats.pcie_receive_bytes_per_second.zip(stats.pcie_send_bytes_per_second);
    if let Some((received, sent)) = rates {
        text += &format!(", PCIe {}/s in, {}/s out", units::bytes(received), units::bytes(sent));
    }
    text
}

fn activity_lines(now: &Activity) -> Vec<String> {
    let mut lines: Vec<String> =
        now.pools.iter().map(|pool| pool_line(&pool.name, pool.used_bytes, pool.held_bytes)).collect();
    lines.push(processes_line(now));
    lines.push(if now.job_id.is_empty() { "idle".to_owned() } else { place(now) });
    lines.push(format!("{} waiting", units::count(now.queued as usize, "job")));
    lines
}
