//! Figures of the device: a thread that samples as often as its fastest subscriber wants, and not at all without one.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crate::limits::Limits;
use crate::sync::lock;

mod host;
mod nvml;

/// One sample. What the source cannot tell is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceSample {
    /// When it was taken.
    pub time: SystemTime,
    /// Where it comes from.
    pub source: StatsSource,
    /// The device's index; 0 for the host.
    pub device_index: u32,
    /// The device's name.
    pub name: String,
    /// Busy share, in percent.
    pub utilization_percent: Option<f32>,
    /// Busy share of the memory interface, in percent.
    pub memory_utilization_percent: Option<f32>,
    /// Bytes in use.
    pub memory_used_bytes: Option<u64>,
    /// Bytes in all.
    pub memory_total_bytes: Option<u64>,
    /// Bytes that this process holds.
    pub process_memory_bytes: Option<u64>,
    /// Clock of the multiprocessors, in MHz.
    pub sm_clock_mhz: Option<u32>,
    /// Clock of the memory, in MHz.
    pub memory_clock_mhz: Option<u32>,
    /// Power, in watts.
    pub power_watts: Option<f32>,
    /// Temperature, in degrees Celsius.
    pub temperature_celsius: Option<f32>,
    /// Why the clocks are held down.
    pub throttle_reasons: Vec<&'static str>,
}

impl Default for DeviceSample {
    fn default() -> Self {
        Self {
            time: SystemTime::now(),
            source: StatsSource::Host,
            device_index: 0,
            name: String::new(),
            utilization_percent: None,
            memory_utilization_percent: None,
            memory_used_bytes: None,
            memory_total_bytes: None,
            process_memory_bytes: None,
            sm_clock_mhz: None,
            memory_clock_mhz: None,
            power_watts: None,
            temperature_celsius: None,
            throttle_reasons: Vec::new(),
        }
    }
}

/// Where a sample comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatsSource {
    /// NVIDIA's management library.
    Nvml,
    /// The operating system.
    Host,
}

/// Takes samples.
pub trait Probe: Send {
    /// A sample of now.
    fn sample(&mut self) -> DeviceSample;
}

/// The probe for an engine's device: NVML for `cuda:N` where the library is there, else the host.
pub fn probe(device: &str) -> Box<dyn Probe> {
    let index = device.strip_prefix("cuda:").and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    if let Some(index) = index {
        match nvml::NvmlProbe::open(index) {
            Ok(probe) => return Box::new(probe),
            Err(error) => tracing::warn!(%error, "no NVML; statistics are the host's"),
        }
    }
    Box::new(host::HostProbe::new())
}

/// The device with its make, where a sample of it tells: `cuda:0 NVIDIA H100 80GB HBM3`.
pub fn full_name(device: &str, sample: &DeviceSample) -> String {
    match sample.source {
        StatsSource::Nvml => format!("{device} {}", sample.name),
        StatsSource::Host => device.to_owned(),
    }
}

/// The thread that samples. Dropping it ends the thread.
pub struct Sampler {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Keeps samples coming until it is dropped.
pub struct Subscription {
    shared: Arc<Shared>,
    id: u64,
}

type Deliver = Box<dyn FnMut(&DeviceSample) + Send>;

struct Subscriber {
    id: u64,
    interval: Duration,
    due: Instant,
    deliver: Deliver,
}

#[derive(Default)]
struct Subscribers {
    next_id: u64,
    list: Vec<Subscriber>,
    is_closing: bool,
}

#[derive(Default)]
struct Shared {
    subscribers: Mutex<Subscribers>,
    changed: Condvar,
}

impl Sampler {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// What the system says if there can be no thread.
    pub fn start(probe: Box<dyn Probe>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        let thread =
            thread::Builder::new().name("sakuga-stats".into()).spawn(move || sample_until_closed(&own, probe))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Hands `deliver` a sample at once and then every `interval`, on the sampler's thread: it must not wait.
    pub fn subscribe(&self, interval: Duration, deliver: impl FnMut(&DeviceSample) + Send + 'static) -> Subscription {
        let interval = interval.max(Limits::STATS_INTERVAL_MIN);
        let mut subscribers = lock(&self.shared.subscribers);
        let id = subscribers.next_id;
        subscribers.next_id += 1;
        subscribers.list.push(Subscriber { id, interval, due: Instant::now(), deliver: Box::new(deliver) });
        drop(subscribers);
        self.shared.changed.notify_one();
        Subscription { shared: self.shared.clone(), id }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        lock(&self.shared.subscribers).list.retain(|subscriber| subscriber.id != self.id);
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        lock(&self.shared.subscribers).is_closing = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A sample takes milliseconds; a panic in the probe has already been printed.
            let _ = thread.join();
        }
    }
}

fn sample_until_closed(shared: &Shared, mut probe: Box<dyn Probe>) {
    loop {
        let mut subscribers = lock(&shared.subscribers);
        loop {
            if subscribers.is_closing {
                return;
            }
            let now = Instant::now();
            let next = subscribers.list.iter().map(|subscriber| subscriber.due).min();
            subscribers = match next {
                None => shared.changed.wait(subscribers).unwrap_or_else(PoisonError::into_inner),
                Some(due) if due > now => {
                    let waited = shared.changed.wait_timeout(subscribers, due - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Some(_) => break,
            };
        }
        drop(subscribers);
        let sample = probe.sample();
        let now = Instant::now();
        for subscriber in lock(&shared.subscribers).list.iter_mut().filter(|subscriber| subscriber.due <= now) {
            (subscriber.deliver)(&sample);
            subscriber.due = now + subscriber.interval;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Counting(u32);

    impl Probe for Counting {
        fn sample(&mut self) -> DeviceSample {
            self.0 += 1;
            DeviceSample { device_index: self.0, ..DeviceSample::default() }
        }
    }

    #[test]
    fn subscribers_hear_at_their_own_rate_until_they_leave() {
        let sampler = Sampler::start(Box::new(Counting(0))).expect("a thread");
        let (fast, heard_fast) = mpsc::channel();
        let (slow, heard_slow) = mpsc::channel();
        let begun = Instant::now();
        let _slow = sampler.subscribe(Duration::from_secs(3600), move |sample| slow.send(sample.device_index).unwrap());
        let subscription = sampler.subscribe(Duration::ZERO, move |_| fast.send(()).unwrap());
        for _ in 0..3 {
            heard_fast.recv_timeout(Duration::from_secs(10)).expect("a sample");
        }
        assert!(begun.elapsed() >= 2 * Limits::STATS_INTERVAL_MIN, "the floor of the interval holds");
        drop(subscription);
        assert!(heard_fast.iter().count() <= 1, "the sender goes with the subscription");
        assert_eq!(heard_slow.try_iter().count(), 1);
    }

    #[test]
    fn the_host_tells_memory() {
        let sample = probe("cpu").sample();
        assert_eq!(sample.source, StatsSource::Host);
        let (used, total) = (sample.memory_used_bytes.expect("known"), sample.memory_total_bytes.expect("known"));
        assert!(0 < used && used <= total);
        assert!(sample.process_memory_bytes.is_some_and(|bytes| bytes > 0));
        assert!(!sample.name.is_empty());
    }

    #[test]
    fn a_gpu_is_named_by_its_make() {
        let sample = DeviceSample { source: StatsSource::Nvml, name: "NVIDIA X".into(), ..DeviceSample::default() };
        assert_eq!(full_name("cuda:1", &sample), "cuda:1 NVIDIA X");
        assert_eq!(full_name("cpu", &DeviceSample::default()), "cpu");
    }

    #[test]
    fn a_missing_gpu_falls_back_to_the_host() {
        assert_eq!(probe("cuda:4095 none").sample().source, StatsSource::Host);
    }
}
