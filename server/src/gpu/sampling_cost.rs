//! CPU time of the samples that are taken while a job runs, by the clock of their thread.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::devices::DeviceId;
use crate::gpu::{self, DeviceSample, Sampler, StatsSource};

/// Samples over which the cost is measured: three seconds.
const SAMPLES: u32 = 30;

/// CPU time of the calling thread; `None` where the system does not report it.
fn cpu_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split_whitespace().next()?.parse().ok()?))
}

/// The sampler's share of a core at ten samples a second, if the system reports it, and the last sample.
fn share_of_a_core(device: &str) -> (Option<f64>, DeviceSample) {
    let sampler = Sampler::start(vec![(device.into(), gpu::probe(device))]).expect("a thread");
    let (sender, times) = mpsc::channel();
    let subscription = sampler.subscribe(DeviceId::FIRST, Duration::from_millis(100), move |sample| {
        // The receiver is gone once the test has ended.
        _ = sender.send((Instant::now(), cpu_time(), sample.clone()));
    });
    let hear = || times.recv_timeout(Duration::from_secs(20)).expect("a sample");
    let (begin, before, _) = hear();
    for _ in 1..SAMPLES {
        hear();
    }
    let (end, after, sample) = hear();
    drop(subscription);
    let share = before.zip(after).map(|(before, after)| (after - before).as_secs_f64() / (end - begin).as_secs_f64());
    if let Some(share) = share {
        println!("{device}: {:.3} % of a core, {:.0} us a sample", share * 100.0, share * 1e5);
    }
    (share, sample)
}

#[test]
fn ten_samples_a_second_of_the_host_cost_next_to_nothing() {
    let (share, _) = share_of_a_core("cpu");
    // The goal is 0.5 %; a build without optimisation on a busy machine gets some room.
    assert!(share.is_none_or(|share| share < 0.02), "{share:?}");
}

/// Where there is no GPU this measures the host again.
#[test]
fn ten_samples_a_second_of_a_gpu_cost_little_and_know_what_the_driver_tells() {
    let (share, sample) = share_of_a_core("cuda:0");
    assert!(share.is_none_or(|share| share < 0.05), "{share:?}");
    if sample.source == StatsSource::Nvml {
        println!("{sample:?}");
        assert!(sample.memory_total_bytes.is_some() && sample.energy_joules.is_some() && sample.pcie.is_some());
    }
}
