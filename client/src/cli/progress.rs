//! The progress of a job: a bar on a terminal, a few lines elsewhere.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sakuga_client::proto::generation::v1::{Stage, Step};
use sakuga_client::proto::system::v1::{GpuStats, StatsSource};

use super::output::say;
use super::terminal::Terminal;
use super::units;
use sakuga_client::proto::text::one_line;
use sakuga_client::proto::time;
use sakuga_client::{Event, EventKind, stage_name};

/// Lines for all steps of a job without a bar.
const STEP_LINES: u32 = 8;

/// Shows a job while it runs.
pub(crate) struct Progress {
    display: Display,
}

enum Display {
    Bars { group: MultiProgress, bar: ProgressBar, device: ProgressBar, columns: usize },
    Lines { tenth: Option<u32>, queue_position: Option<u32> },
    Nothing,
}

impl Progress {
    /// A display that suits the terminal.
    pub(crate) fn new(is_quiet: bool, terminal: &Terminal) -> Self {
        if is_quiet {
            return Self { display: Display::Nothing };
        }
        if !terminal.stderr_is_watched {
            return Self { display: Display::Lines { tenth: None, queue_position: None } };
        }
        let group = MultiProgress::new();
        let bar = group.add(ProgressBar::new(0));
        let template = |template: &str| {
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            if terminal.is_unicode {
                style.progress_chars("━╸ ")
            } else {
                style.progress_chars("=> ").tick_chars("-\\|/ ")
            }
        };
        // Messages are truncated here: `wide_msg` would fill the line, so that the `^C` of a terminal starts a new one.
        bar.set_style(template("{spinner} {prefix}  {msg}"));
        bar.set_prefix("connecting");
        bar.enable_steady_tick(Duration::from_millis(120));
        let device = group.add(ProgressBar::no_length());
        device.set_style(template("  {msg:.dim}"));
        Self { display: Display::Bars { group, bar, device, columns: terminal.width } }
    }

    /// Prints a line that stays, above the bar.
    pub(crate) fn note(&self, line: &str) {
        match &self.display {
            Display::Bars { group, .. } => {
                let _ = group.println(line);
            }
            Display::Lines { .. } => say(line),
            Display::Nothing => {}
        }
    }

    /// Runs `print`, which writes to the terminal, while the bar is hidden.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.display {
            Display::Bars { group, .. } => group.suspend(print),
            Display::Lines { .. } | Display::Nothing => print(),
        }
    }

    /// Removes the bar.
    pub(crate) fn close(&self) {
        if let Display::Bars { group, bar, device, .. } = &self.display {
            bar.finish_and_clear();
            device.finish_and_clear();
            let _ = group.clear();
        }
    }

    pub(crate) fn show(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Accepted(_) => self.phase("accepted", ""),
            EventKind::Queued(queued) => self.queued(queued.position, queued.eta.and_then(time::duration)),
            EventKind::Started(started) => {
                self.note(&format!("drawing on {}", one_line(&started.device)));
                if !started.model_notice.is_empty() {
                    self.note(&format!("notice: {}", one_line(&started.model_notice)));
                }
            }
            EventKind::Requeued(requeued) => {
                let attempt = requeued.attempt;
                self.note(&format!("the server was restarted; the job is drawn again, attempt {attempt}"));
            }
            EventKind::Stage(begun) => self.stage(begun.stage()),
            EventKind::Step(step) => self.step(step),
            EventKind::GpuStats(stats) => {
                if let Display::Bars { device, columns, .. } = &self.display {
                    device.set_message(cut(&device_line(stats), columns.saturating_sub(6)));
                }
            }
            EventKind::Receiving { image_index, received_bytes, total_bytes } => {
                if let Display::Bars { .. } = &self.display {
                    let message = format!("{} of {}", units::bytes(*received_bytes), units::bytes(*total_bytes));
                    self.phase(&format!("receiving picture {}", u64::from(*image_index) + 1), &message);
                }
            }
            _ => {}
        }
    }

    fn phase(&self, name: &str, message: &str) {
        if let Display::Bars { bar, columns, .. } = &self.display {
            bar.set_prefix(name.to_owned());
            bar.set_message(cut(message, columns.saturating_sub(name.len() + 8)));
        }
    }

    fn queued(&mut self, jobs_before: u32, eta: Option<Duration>) {
        let start = eta.map(|eta| format!(", starts in about {}", units::duration(eta))).unwrap_or_default();
        let message = format!("{} before this one{start}", units::count(jobs_before as usize, "job"));
        match &mut self.display {
            Display::Bars { .. } => self.phase("queued", &message),
            Display::Lines { queue_position, .. } if *queue_position != Some(jobs_before) => {
                *queue_position = Some(jobs_before);
                say(format_args!("queued: {message}"));
            }
            Display::Lines { .. } | Display::Nothing => {}
        }
    }

    fn stage(&mut self, stage: Stage) {
        match &self.display {
            Display::Bars { bar, .. } => {
                let template = match stage {
                    Stage::Denoise => "{spinner} {prefix}  {bar:24.green/black.bright} {pos}/{len}  {msg}",
                    _ => "{spinner} {prefix}  {msg}",
                };
                if let Ok(style) = bar.style().template(template) {
                    bar.set_style(style);
                }
                bar.set_prefix(stage_name(stage));
                bar.set_message("");
            }
            Display::Lines { .. } => say(stage_name(stage)),
            Display::Nothing => {}
        }
    }

    fn step(&mut self, step: &Step) {
        match &mut self.display {
            Display::Bars { bar, columns, .. } => {
                bar.set_length(step.total.into());
                bar.set_position(step.index.into());
                bar.set_message(cut(&step_line(step), columns.saturating_sub(50)));
            }
            Display::Lines { tenth, .. } => {
                let now = u64::from(step.index) * u64::from(STEP_LINES) / u64::from(step.total.max(1));
                let now = u32::try_from(now).unwrap_or(u32::MAX);
                if *tenth != Some(now) || step.index >= step.total {
                    *tenth = Some(now);
                    say(format_args!("step {}/{}: {}", step.index, step.total, step_line(step)));
                }
            }
            Display::Nothing => {}
        }
    }
}

/// `text`, cut to at most `columns` columns.
fn cut(text: &str, columns: usize) -> String {
    console::truncate_str(text, columns, "...").into_owned()
}

/// `143 ms/step, 2.3 s left, guided`.
pub(crate) fn step_line(step: &Step) -> String {
    let mut parts = vec![format!("{}/step", units::step_time(step.step_ms))];
    if let Some(eta) = step.eta.and_then(time::duration) {
        parts.push(format!("{} left", units::duration(eta)));
    }
    parts.push(if step.guidance_active { "guided".to_owned() } else { "unguided".to_owned() });
    if step.reused_share > 0.0 {
        parts.push(format!("{:.0} % reused", 100.0 * step.reused_share));
    }
    if step.pass_number > 1 {
        parts.push("second pass".to_owned());
    }
    parts.join(", ")
}

/// `NVIDIA H100: 98 % busy, 21.3 of 79.6 GiB, 512 W, 61 °C, 1980 MHz`.
pub(crate) fn device_line(stats: &GpuStats) -> String {
    let mut parts = Vec::new();
    let is_host = stats.source() == StatsSource::Host;
    if let Some(percent) = stats.utilization_percent {
        parts.push(format!("{percent:.0} % {}", if is_host { "load" } else { "busy" }));
    }
    match (stats.memory_used_bytes, stats.memory_total_bytes) {
        (Some(used), Some(total)) => parts.push(format!("{} of {}", units::bytes(used), units::bytes(total))),
        (Some(used), None) => parts.push(format!("{} used", units::bytes(used))),
        _ => {}
    }
    if let Some(bytes) = stats.process_memory_bytes {
        parts.push(format!("server {}", units::bytes(bytes)));
    }
    if let Some(watts) = stats.power_watts {
        parts.push(format!("{watts:.0} W"));
    }
    if let Some(celsius) = stats.temperature_celsius {
        parts.push(format!("{celsius:.0} °C"));
    }
    if let Some(mhz) = stats.sm_clock_mhz {
        parts.push(format!("{mhz} MHz"));
    }
    if !stats.throttle_reasons.is_empty() {
        parts.push(format!("throttled by {}", stats.throttle_reasons.join(", ")));
    }
    // One of several engines on the CPU is named.
    let host = if stats.device.contains(':') { stats.device.as_str() } else { "host" };
    let name = match (stats.name.as_str(), is_host) {
        ("", true) => host.to_owned(),
        (name, true) => format!("{host} {name}"),
        (name, false) => format!("GPU {} {name}", stats.device_index),
    };
    one_line(&format!("{name}: {}", if parts.is_empty() { "no figures".to_owned() } else { parts.join(", ") }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_one_line() {
        let stats = GpuStats {
            source: StatsSource::Nvml.into(),
            name: "NVIDIA H100".to_owned(),
            utilization_percent: Some(97.6),
            memory_used_bytes: Some(22_870_000_000),
            memory_total_bytes: Some(85_520_809_984),
            power_watts: Some(512.4),
            temperature_celsius: Some(61.0),
            ..GpuStats::default()
        };
        assert_eq!(device_line(&stats), "GPU 0 NVIDIA H100: 98 % busy, 21.3 GiB of 79.6 GiB, 512 W, 61 °C");
        let host =
            GpuStats { source: StatsSource::Host.into(), utilization_percent: Some(50.0), ..GpuStats::default() };
        assert_eq!(device_line(&host), "host: 50 % load");
        assert_eq!(device_line(&GpuStats::default()), "GPU 0 : no figures");
    }

    #[test]
    fn a_step_is_one_line() {
        let step = Step {
            index: 3,
            total: 28,
            t: 0.1,
            sigma: 0.9,
            step_ms: 143.2,
            eta: Some(prost_types::Duration { seconds: 2, nanos: 300_000_000 }),
            guidance_active: true,
            evaluations: 3,
            pass_number: 1,
            reused_share: 0.0,
        };
        assert_eq!(step_line(&step), "143 ms/step, 2.3 s left, guided");
        assert_eq!(step_line(&Step { pass_number: 2, ..step }), "143 ms/step, 2.3 s left, guided, second pass");
        let reused = Step { reused_share: 0.5, ..step };
        assert_eq!(step_line(&reused), "143 ms/step, 2.3 s left, guided, 50 % reused");
    }
}
