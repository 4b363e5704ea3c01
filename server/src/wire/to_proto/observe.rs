//! Activity, profiles, loading phases and compute paths.

use sakuga_model_core::{ComputePath, LoadingPhase, StageProfile};
use sakuga_proto::generation::v1 as generation;
use sakuga_proto::system::v1 as system;

use super::device_state::device_state;
use super::{duration, saturate, stage, timestamp};
use crate::telemetry::{Activity, DeviceActivity};

/// The message of an activity.
pub(crate) fn activity(seen: &Activity) -> system::Activity {
    let devices: Vec<system::DeviceActivity> = seen.devices.iter().map(device_activity).collect();
    let first = devices.first().cloned().unwrap_or_default();
    system::Activity {
        time: Some(timestamp(seen.time)),
        pools: first.pools,
        processes: first.processes,
        queued: saturate(seen.queued),
        job_id: first.job_id,
        stage: first.stage,
        step: first.step,
        steps: first.steps,
        devices,
    }
}

fn device_activity(seen: &DeviceActivity) -> system::DeviceActivity {
    let running = seen.running.as_ref();
    system::DeviceActivity {
        name: seen.name.to_string(),
        state: device_state(&seen.state).into(),
        pools: seen.pools.iter().map(memory_pool).collect(),
        processes: seen.processes.iter().map(process_memory).collect(),
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

/// The message of a profile.
pub(crate) fn profile(measured: StageProfile) -> generation::Profile {
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

/// A phase of loading, before the server is ready.
pub(crate) fn loading_phase(phase: &LoadingPhase) -> system::LoadingPhase {
    system::LoadingPhase {
        name: phase.name.clone(),
        begin: duration(phase.begin),
        duration: duration(phase.duration),
        bytes: phase.bytes,
    }
}

/// How an operation is computed.
pub(crate) fn compute_path(path: &ComputePath) -> system::ComputePath {
    system::ComputePath {
        operation: path.network.to_owned(),
        implementation: path.implementation.clone(),
        reason: path.reason.clone(),
    }
}
