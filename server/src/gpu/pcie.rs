//! PCIe rates. NVML measures each direction for about 20 ms and blocks, so a separate thread does it, at most once a second
//! and only while there is a subscriber.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::PcieUtilCounter;
use parking_lot::Mutex;

use super::PcieRate;

/// Least time between two measurements of a device.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a measurement counts as current.
const FRESH: Duration = Duration::from_millis(2500);
/// Devices that may wait to be measured.
const WAITING_MAX: usize = 64;

/// Measures on its own thread, which ends when the meter is dropped.
pub(super) struct PcieMeter {
    wanted: SyncSender<String>,
    devices: Arc<Mutex<HashMap<String, Measured>>>,
}

/// What is known of a device.
#[derive(Default)]
struct Measured {
    asked: Option<Instant>,
    rate: Option<(Instant, PcieRate)>,
}

impl PcieMeter {
    /// Starts the thread.
    pub(super) fn start(nvml: Arc<Nvml>) -> std::io::Result<Self> {
        Self::start_with(move |uuid| measure(&nvml, uuid))
    }

    fn start_with(measure: impl Fn(&str) -> Option<PcieRate> + Send + 'static) -> std::io::Result<Self> {
        let (wanted, asked) = mpsc::sync_channel::<String>(WAITING_MAX);
        let devices: Arc<Mutex<HashMap<String, Measured>>> = Arc::default();
        let known = devices.clone();
        thread::Builder::new().name("sakuga-pcie".into()).spawn(move || {
            while let Ok(uuid) = asked.recv() {
                let rate = measure(&uuid).map(|rate| (Instant::now(), rate));
                known.lock().entry(uuid).or_default().rate = rate;
            }
        })?;
        Ok(Self { wanted, devices })
    }

    /// The latest measured rate of the device, if there is one. Requests the next measurement without waiting for it.
    pub(super) fn rate(&self, uuid: &str) -> Option<PcieRate> {
        let now = Instant::now();
        let mut devices = self.devices.lock();
        let device = devices.entry(uuid.to_owned()).or_default();
        if device.asked.is_none_or(|asked| now.duration_since(asked) >= PERIOD) {
            device.asked = Some(now);
            // If the queue is full, the next sample requests the measurement again.
            _ = self.wanted.try_send(uuid.to_owned());
        }
        device.rate.filter(|(at, _)| now.duration_since(*at) < FRESH).map(|(_, rate)| rate)
    }
}

fn measure(nvml: &Nvml, uuid: &str) -> Option<PcieRate> {
    let device = nvml.device_by_uuid(uuid).ok()?;
    // NVML does not define its KB; it counts as 1000 bytes.
    let rate = |counter| Some(u64::from(device.pcie_throughput(counter).ok()?) * 1000);
    Some(PcieRate {
        receive_bytes_per_second: rate(PcieUtilCounter::Receive)?,
        send_bytes_per_second: rate(PcieUtilCounter::Send)?,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn measuring_delays_nobody_and_happens_once_a_second() {
        let measurements = Arc::new(AtomicU32::new(0));
        let count = measurements.clone();
        let (finish, may_finish) = mpsc::channel();
        let meter = PcieMeter::start_with(move |_| {
            // An error: the test has ended.
            let _ = may_finish.recv();
            count.fetch_add(1, Ordering::Relaxed);
            Some(PcieRate { receive_bytes_per_second: 1, send_bytes_per_second: 2 })
        });
        let meter = meter.expect("a thread");
        // Were a call to wait for the measurement, it would never return.
        assert_eq!([meter.rate("a"), meter.rate("a")], [None; 2], "nothing is known yet");
        finish.send(()).expect("it measures");
        let begun = Instant::now();
        let rate = loop {
            assert!(begun.elapsed() < Duration::from_secs(60), "it is never measured");
            if let Some(rate) = meter.rate("a") {
                break rate;
            }
            thread::sleep(Duration::from_millis(1));
        };
        assert_eq!(rate, PcieRate { receive_bytes_per_second: 1, send_bytes_per_second: 2 });
        assert_eq!(measurements.load(Ordering::Relaxed), 1);
    }
}
