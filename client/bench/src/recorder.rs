//! Builds the record of one picture from the events of its job.

use std::time::Duration;

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{self as wire, GenerateEvent, GenerateRequest};
use sakuga_proto::system::v1::{GpuStats, StatsSource};
use sakuga_proto::time::milliseconds as wire_milliseconds;

use super::record::{EventTime, JobRecord, Profile, ProfileSpan, StageBegin, StatsSample, StepSample, Timings};

/// One job so far.
#[derive(Debug, Default)]
pub struct Recorder {
    job: JobRecord,
    first_ms: Option<f64>,
    next_sequence: Option<u64>,
    /// The request with every default filled in.
    pub resolved: Option<GenerateRequest>,
    /// The device, as the server names it.
    pub device: String,
    /// The notice of the model.
    pub notice: String,
    /// Whether the job was completed.
    pub is_completed: bool,
}

impl Recorder {
    /// A job whose request was sent this long after the start of the run.
    pub fn begun(at: Duration) -> Self {
        Self { job: JobRecord { begun_ms: milliseconds(at), ..JobRecord::default() }, ..Self::default() }
    }

    /// Takes an event. `seen` is the time from the request to its arrival, if that was measured.
    pub fn take(&mut self, event: &GenerateEvent, seen: Option<Duration>) {
        let at_ms = self.time_of(event);
        if let Some(expected) = self.next_sequence {
            self.job.missed_events += event.sequence.saturating_sub(expected);
        }
        self.next_sequence = event.sequence.checked_add(1);
        let Some(kind) = &event.event else { return };
        let seen_ms = seen.map(milliseconds);
        self.job.events.push(EventTime { name: kind.kind_name().to_owned(), at_ms, seen_ms });
        match kind {
            Event::Started(started) => {
                self.resolved.clone_from(&started.resolved);
                self.device.clone_from(&started.device);
                self.notice.clone_from(&started.model_notice);
                self.job.seed = started.seeds.first().copied().unwrap_or_default();
            }
            // The job starts again, so earlier samples do not count.
            Event::Requeued(_) => {
                self.job.steps.clear();
                self.job.stages.clear();
                self.job.profile.clear();
            }
            Event::Stage(begun) => {
                self.job.stages.push(StageBegin { name: stage_name(begun.stage()).to_owned(), at_ms });
            }
            Event::Step(step) => self.job.steps.push(StepSample {
                index: step.index,
                ms: step.step_ms.into(),
                at_ms,
                guided: step.guidance_active,
            }),
            Event::GpuStats(stats) => self.job.stats.push(stats_sample(stats, at_ms)),
            Event::Profile(profile) => self.job.profile.push(profile_of(profile)),
            Event::Completed(completed) => {
                self.is_completed = true;
                self.job.timings = completed.timings.map(timings).unwrap_or_default();
                self.job.pixels_sha256 = completed.images.iter().map(|image| image.pixels_sha256.clone()).collect();
            }
            _ => {}
        }
    }

    /// The record of the events so far.
    pub fn finish(self) -> JobRecord {
        self.job
    }

    /// Milliseconds from the first event, by the server's clock; one without a time counts as the one before it.
    fn time_of(&mut self, event: &GenerateEvent) -> f64 {
        let before = self.job.events.last().map_or(0.0, |event| event.at_ms);
        let Some(time) = event.time else { return before };
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 have 31 bits; microseconds are kept")]
        let now_ms = time.seconds as f64 * 1e3 + f64::from(time.nanos) / 1e6;
        // Rounded to microseconds, near the precision of this sum.
        let at_ms = now_ms - *self.first_ms.get_or_insert(now_ms);
        (at_ms * 1e3).round() / 1e3
    }
}

/// A duration as `f64` milliseconds, the unit of every time in a record.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn stage_name(stage: wire::Stage) -> &'static str {
    match stage {
        wire::Stage::TextEncode => "text_encode",
        wire::Stage::VaeEncode => "vae_encode",
        wire::Stage::Denoise => "denoise",
        wire::Stage::Decode => "decode",
        wire::Stage::EncodeImage => "encode_image",
        wire::Stage::LoadModel => "load_model",
        wire::Stage::LoadAdapters => "load_adapters",
        wire::Stage::Unspecified => "other",
    }
}

fn timings(timings: wire::Timings) -> Timings {
    Timings {
        queued_ms: wire_milliseconds(timings.queued),
        text_encode_ms: wire_milliseconds(timings.text_encode),
        denoise_ms: wire_milliseconds(timings.denoise),
        decode_ms: wire_milliseconds(timings.decode),
        encode_image_ms: wire_milliseconds(timings.encode_image),
        total_ms: wire_milliseconds(timings.total),
    }
}

/// A sample of the device, taken at this time of its record.
pub fn stats_sample(stats: &GpuStats, at_ms: f64) -> StatsSample {
    let source = match stats.source() {
        StatsSource::Nvml => "nvml",
        StatsSource::Host => "host",
        StatsSource::Unspecified => "unknown",
    };
    StatsSample {
        at_ms,
        source: source.to_owned(),
        utilization_percent: stats.utilization_percent.map(f64::from),
        memory_utilization_percent: stats.memory_utilization_percent.map(f64::from),
        memory_used_bytes: stats.memory_used_bytes,
        memory_total_bytes: stats.memory_total_bytes,
        process_memory_bytes: stats.process_memory_bytes,
        sm_clock_mhz: stats.sm_clock_mhz,
        memory_clock_mhz: stats.memory_clock_mhz,
        power_watts: stats.power_watts.map(f64::from),
        temperature_celsius: stats.temperature_celsius.map(f64::from),
        energy_joules: stats.energy_joules,
        pcie_receive_bytes_per_second: stats.pcie_receive_bytes_per_second,
        pcie_send_bytes_per_second: stats.pcie_send_bytes_per_second,
        throttle_reasons: stats.throttle_reasons.clone(),
    }
}

fn profile_of(profile: &wire::Profile) -> Profile {
    Profile {
        stage: stage_name(profile.stage()).to_owned(),
        device_ms: profile.device_ms,
        wall_ms: profile.wall_ms,
        peak_flops_per_second: profile.peak_flops_per_second,
        peak_bytes_per_second: profile.peak_bytes_per_second,
        spans: profile
            .spans
            .iter()
            .map(|span| ProfileSpan {
                network: span.network.clone(),
                layer: span.layer,
                name: span.name.clone(),
                count: span.count,
                ms: span.ms,
                flops: span.flops,
                bytes: span.bytes,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(sequence: u64, milliseconds: i32, event: Event) -> GenerateEvent {
        GenerateEvent {
            sequence,
            time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: milliseconds * 1_000_000 }),
            job_id: "job-1".to_owned(),
            event: Some(event),
        }
    }

    fn step(index: u32) -> Event {
        Event::Step(wire::Step { index, step_ms: 20.0, guidance_active: true, ..wire::Step::default() })
    }

    #[test]
    fn events_become_one_record() {
        let mut recorder = Recorder::begun(Duration::from_millis(1500));
        let stats = GpuStats { source: StatsSource::Nvml.into(), energy_joules: Some(7.0), ..GpuStats::default() };
        let timings = wire::Timings {
            denoise: Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }),
            ..wire::Timings::default()
        };
        let begin = wire::StageBegun { stage: wire::Stage::Denoise.into(), pass_number: 1 };
        let completed = wire::Completed { timings: Some(timings), ..wire::Completed::default() };
        for (event, seen) in [
            (event(0, 100, Event::Accepted(wire::Accepted::default())), 1),
            (event(1, 110, Event::Started(wire::Started { seeds: vec![9], ..wire::Started::default() })), 2),
            (event(2, 120, Event::Stage(begin)), 3),
            (event(5, 140, step(1)), 4),
            (event(6, 145, Event::GpuStats(stats)), 5),
            (event(7, 160, Event::Completed(completed)), 6),
        ] {
            recorder.take(&event, Some(Duration::from_millis(seen)));
        }
        assert!(recorder.is_completed);
        let job = recorder.finish();
        assert_eq!((job.begun_ms, job.seed, job.missed_events), (1500.0, 9, 2));
        assert_eq!(job.stages, [StageBegin { name: "denoise".to_owned(), at_ms: 20.0 }]);
        assert_eq!(job.steps, [StepSample { index: 1, ms: 20.0, at_ms: 40.0, guided: true }]);
        assert_eq!((job.stats[0].source.as_str(), job.stats[0].energy_joules), ("nvml", Some(7.0)));
        assert_eq!((job.timings.denoise_ms, job.timings.decode_ms), (1500.0, 0.0));
        assert_eq!(job.events.len(), 6);
        assert_eq!(job.events[5], EventTime { name: "completed".to_owned(), at_ms: 60.0, seen_ms: Some(6.0) });
    }

    #[test]
    fn samples_before_a_restart_do_not_count() {
        let mut recorder = Recorder::default();
        recorder.take(&event(0, 0, step(1)), None);
        recorder.take(&event(1, 10, Event::Requeued(wire::Requeued { attempt: 2 })), None);
        recorder.take(&event(2, 20, step(1)), None);
        let untimed = GenerateEvent { time: None, ..event(3, 0, step(2)) };
        recorder.take(&untimed, None);
        let job = recorder.finish();
        assert_eq!(job.steps.iter().map(|step| (step.index, step.at_ms)).collect::<Vec<_>>(), [(1, 20.0), (2, 20.0)]);
    }
}
