//! Energy of a GPU between two readings of its energy counter.
//!
//! NVML takes 4 to 5 ms of a core to read the counter of an H100, and a few microseconds for everything else. Reading it with every
//! sample would cost twenty times as much as all other values, so it is read less often and extrapolated with the power.

use std::time::{Duration, Instant};

/// How often the counter is read.
const PERIOD: Duration = Duration::from_secs(5);

/// Measures the energy since the counter began to count, in joules.
#[derive(Debug, Default)]
pub(crate) struct EnergyMeter {
    read_at: Option<Instant>,
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    at: Instant,
    joules: f64,
    watts: Option<f64>,
}

impl EnergyMeter {
    /// The energy now: a new `read` of the counter if one is due, otherwise the last reading plus the integral of the power since
    /// then. Never decreases. `None` if the counter cannot be read.
    pub(crate) fn sample(
        &mut self,
        now: Instant,
        watts: Option<f64>,
        read: impl FnOnce() -> Option<f64>,
    ) -> Option<f64> {
        let elapsed = |since: Instant| now.saturating_duration_since(since);
        let reckoned = self.last.map(|last| {
            let mean = match (last.watts, watts) {
                (Some(before), Some(after)) => f64::midpoint(before, after),
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => 0.0,
            };
            last.joules + mean * elapsed(last.at).as_secs_f64()
        });
        let joules = if self.read_at.is_none_or(|at| elapsed(at) >= PERIOD) {
            self.read_at = Some(now);
            // An estimate that was too high is kept until the counter has reached it.
            read().map(|counter| self.last.map_or(counter, |last| counter.max(last.joules)))
        } else {
            reckoned
        };
        self.last = joules.map(|joules| Last { at: now, joules, watts });
        joules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(100);

    #[test]
    fn the_counter_is_read_seldom_and_power_fills_the_gaps() {
        let mut meter = EnergyMeter::default();
        let begin = Instant::now();
        let mut reads = 0;
        let mut energies = Vec::new();
        for sample in 0..=100_u32 {
            // 300 W, of which the counter reports 2 % more.
            let counter = 1000.0 + f64::from(sample) * 30.6;
            let energy = meter.sample(begin + sample * STEP, Some(300.0), || {
                reads += 1;
                Some(counter)
            });
            energies.push(energy.unwrap());
        }
        assert_eq!(reads, 3, "at 0, 5 and 10 s");
        assert_eq!(energies[0], 1000.0);
        assert!((energies[1] - 1030.0).abs() < 1e-6 && (energies[49] - 2470.0).abs() < 1e-6, "{energies:?}");
        assert!((energies[50] - 2530.0).abs() < 1e-6, "the counter again: {}", energies[50]);
        assert!(energies.is_sorted());
    }

    #[test]
    fn energy_never_falls_and_needs_a_counter() {
        let mut meter = EnergyMeter::default();
        let begin = Instant::now();
        assert_eq!(meter.sample(begin, Some(500.0), || Some(10.0)), Some(10.0));
        let reckoned = meter.sample(begin + 49 * STEP, Some(500.0), || unreachable!("it was just read")).unwrap();
        assert_eq!(meter.sample(begin + 50 * STEP, Some(500.0), || Some(600.0)), Some(reckoned));
        let mut mute = EnergyMeter::default();
        assert_eq!(mute.sample(begin, Some(500.0), || None), None);
        assert_eq!(mute.sample(begin + STEP, Some(500.0), || unreachable!("it was just asked")), None);
    }
}
