//! The telemetry of a job, cut to fit into a message.

use prost::Message;
use sakuga_proto::generation::v1 as generation;

use super::observe::activity;
use super::system::gpu_stats;
use crate::limits::Limits;
use crate::telemetry::Series;

/// The telemetry of a job. If it does not fit into a message, only the end is sent.
pub(crate) fn telemetry(series: &Series) -> generation::GetJobTelemetryResponse {
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

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::devices::DeviceState;
    use crate::gpu::{DeviceSample, ProcessMemory};
    use crate::telemetry::{Activity, DeviceActivity};

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
                    queued: usize::MAX,
                    devices: vec![DeviceActivity {
                        name: "cuda:0".into(),
                        state: DeviceState::Serving,
                        pools: Vec::new(),
                        processes: vec![process; 500],
                        running: None,
                    }],
                });
            }
        }
        let sent = telemetry(&series);
        let bytes = sent.encoded_len();
        assert!(sent.is_cut && bytes <= Limits::ANSWER_BYTES_MAX && bytes > Limits::CONTENT_BYTES_MAX / 2, "{bytes}");
        assert!(telemetry(&Series::default()).samples.is_empty());
    }
}
