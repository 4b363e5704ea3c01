//! What is seen of the engine and the device: activity, profiles, how it was opened and how it computes.

use prost::Message;
use sakuga_model_core::{ComputePath, LoadingPhase, StageProfile};
use sakuga_proto::generation::v1 as generation;
use sakuga_proto::system::v1 as system;

use super::{duration, gpu_stats, saturate, stage, timestamp};
use crate::limits::Limits;
use crate::telemetry::{Activity, Series};

/// What the server does.
pub fn activity(seen: &Activity) -> system::Activity {
    let running = seen.running.as_ref();
    system::Activity {
        time: Some(timestamp(seen.time)),
        pools: seen.pools.iter().map(memory_pool).collect(),
        processes: seen.processes.iter().map(process_memory).collect(),
        queued: saturate(seen.queued),
        job_id: running.map_or_else(String::new, |running| running.job_id.to_string()),
        stage: running.and_then(|running| running.stage).map_or("", |stage| stage.name()).to_owned(),
        step: running.map_or(0, |running| running.step),
        steps: running.map_or(0, |running| running.steps),
    }
}

fn memory_pool(pool: &sakuga_model_core::MemoryPool) -> system::MemoryPool {
    system::MemoryPool { name: pool.name.into(), used_bytes: pool.used_bytes, held_bytes: pool.held_bytes }
}

fn process_memory(process: &crate::gpu::ProcessMemory) -> system::ProcessMemory {
    system::ProcessMemory { pid: process.pid, bytes: process.bytes, is_server: process.is_server }
}

/// What was seen of the device during a job. If it does not fit into a message only the end is in it.
pub fn telemetry(series: &Series) -> generation::GetJobTelemetryResponse {
    let mut left = Limits::CONTENT_BYTES_MAX;
    let activity = newest(series.activity().rev().map(activity), &mut left);
    let samples = newest(series.samples().rev().map(gpu_stats), &mut left);
    let is_cut = series.is_cut() || activity.len() < series.activity().len() || samples.len() < series.samples().len();
    generation::GetJobTelemetryResponse { samples, activity, is_cut }
}

/// The newest messages that fit into `left` bytes, in order, from an iterator that begins with the newest.
fn newest<M: Message>(messages: impl Iterator<Item = M>, left: &mut usize) -> Vec<M> {
    let mut fitting = Vec::new();
    for message in messages {
        // Tag and length.
        let bytes = message.encoded_len() + 6;
        let Some(rest) = left.checked_sub(bytes) else { break };
        *left = rest;
        fitting.push(message);
    }
    fitting.reverse();
    fitting
}

/// Where the time of a part went.
pub fn profile(measured: StageProfile) -> generation::Profile {
    let device_ms = measured.device_ms();
    let spans = measured.spans.into_iter().map(|span| generation::ProfileSpan {
        network: span.network.to_owned(),
        layer: span.layer,
        name: span.name.to_owned(),
        count: span.count,
        ms: span.ms,
        flops: span.cost.flops,
        bytes: span.cost.bytes,
    });
    generation::Profile {
        stage: stage(measured.stage).into(),
        spans: spans.collect(),
        device_ms,
        wall_ms: measured.wall_ms,
        peak_flops_per_second: measured.peaks.map(|peaks| peaks.flops_per_second),
        peak_bytes_per_second: measured.peaks.map(|peaks| peaks.bytes_per_second),
    }
}

/// A part of the way to readiness.
pub fn loading_phase(phase: &LoadingPhase) -> system::LoadingPhase {
    system::LoadingPhase {
        name: phase.name.clone(),
        begin: duration(phase.begin),
        duration: duration(phase.duration),
        bytes: phase.bytes,
    }
}

/// How an operation is computed.
pub fn compute_path(path: &ComputePath) -> system::ComputePath {
    system::ComputePath {
        operation: path.network.to_owned(),
        implementation: path.implementation.clone(),
        reason: path.reason.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::gpu::{DeviceSample, ProcessMemory};

    #[test]
    fn the_telemetry_of_a_long_job_on_a_crowded_device_fits_into_a_message() {
        let process = ProcessMemory { pid: u32::MAX, bytes: u64::MAX, is_server: true };
        let mut series = Series::default();
        for number in 0..6000_u32 {
            let name = "a device with a name as long as none has had so far".into();
            let reasons = vec!["hardware_thermal_slowdown"; 9];
            let sample =
                DeviceSample { device_index: number, name, throttle_reasons: reasons, ..DeviceSample::default() };
            series.push_sample(sample);
            if number % 5 == 0 {
                series.push_activity(Activity {
                    time: SystemTime::now(),
                    pools: Vec::new(),
                    processes: vec![process; 500],
                    queued: usize::MAX,
                    running: None,
                });
            }
        }
        let sent = telemetry(&series);
        let bytes = sent.encoded_len();
        assert!(sent.is_cut && bytes <= Limits::ANSWER_BYTES_MAX && bytes > Limits::CONTENT_BYTES_MAX / 2, "{bytes}");
        assert!(telemetry(&Series::default()).samples.is_empty());
    }
}
