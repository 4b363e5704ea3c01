//! The figures of a run, for the report, the comparison and the terminal.

use super::record::{CaseRecord, JobRecord, Record, StatsSample, TextKind};
use super::stats::{Spread, movement};

/// The figures of some pictures. A figure that was not reported is absent.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Time of a step, in milliseconds, over all steps of all pictures.
    pub step_ms: Option<Spread>,
    /// Time of a picture from the request's acceptance to the end, less its time in the queue, in milliseconds.
    pub picture_ms: Option<Spread>,
    /// Time from the text to pixels: text encoders, steps and decoder, in milliseconds.
    pub pixels_ms: Option<Spread>,
    /// Time of each part of a picture, in milliseconds.
    pub parts: [(Part, Option<Spread>); 4],
    /// Busy share of the device while steps are computed, in percent.
    pub utilization_percent: Option<Spread>,
    /// Busy share of the memory interface while steps are computed, in percent.
    pub memory_utilization_percent: Option<Spread>,
    /// How far the device's memory in use moved, in bytes.
    pub memory_movement_bytes: Option<u64>,
    /// How far the program's own memory moved, in bytes.
    pub process_memory_movement_bytes: Option<u64>,
    /// The most of the device's memory in use, in bytes.
    pub memory_max_bytes: Option<u64>,
    /// Power while steps are computed, in watts.
    pub power_watts: Option<Spread>,
    /// Energy of a picture, in joules.
    pub energy_joules: Option<Spread>,
    /// Rate into the device over PCIe, in bytes a second.
    pub pcie_receive: Option<Spread>,
    /// Rate out of the device over PCIe, in bytes a second.
    pub pcie_send: Option<Spread>,
}

/// A part of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The text encoders.
    TextEncode,
    /// The steps.
    Denoise,
    /// Latents to pixels.
    Decode,
    /// Pixels to a file.
    EncodeImage,
}

impl Part {
    /// Every part, in the order of the pipeline.
    pub const ALL: [Self; 4] = [Self::TextEncode, Self::Denoise, Self::Decode, Self::EncodeImage];

    /// The name of the part in tables and charts.
    pub fn title(self) -> &'static str {
        match self {
            Self::TextEncode => "text encoders",
            Self::Denoise => "steps",
            Self::Decode => "decoder",
            Self::EncodeImage => "PNG",
        }
    }

    fn of(self, job: &JobRecord) -> f64 {
        match self {
            Self::TextEncode => job.timings.text_encode_ms,
            Self::Denoise => job.timings.denoise_ms,
            Self::Decode => job.timings.decode_ms,
            Self::EncodeImage => job.timings.encode_image_ms,
        }
    }
}

impl Figures {
    /// The figures of all pictures that count.
    pub fn of_run(record: &Record) -> Self {
        Self::of(&record.jobs().collect::<Vec<_>>())
    }

    /// The figures of all repeats of a case.
    pub fn of_case(case: &CaseRecord) -> Self {
        Self::of(&case.repeats.iter().collect::<Vec<_>>())
    }

    fn of(jobs: &[&JobRecord]) -> Self {
        let of_jobs = |value: &dyn Fn(&JobRecord) -> Option<f64>| Spread::of(jobs.iter().filter_map(|job| value(job)));
        let busy = |value: &dyn Fn(&StatsSample) -> Option<f64>| {
            Spread::of(jobs.iter().flat_map(|job| while_denoising(job)).filter_map(value))
        };
        let all = |value: &dyn Fn(&StatsSample) -> Option<u64>| -> Vec<u64> {
            jobs.iter().flat_map(|job| &job.stats).filter_map(value).collect()
        };
        let memory = all(&|sample| sample.memory_used_bytes);
        let as_f64 = |bytes: Option<u64>| bytes.map(super::stats::bytes_f64);
        Self {
            step_ms: Spread::of(jobs.iter().flat_map(|job| &job.steps).map(|step| step.ms)),
            picture_ms: of_jobs(&picture_ms),
            pixels_ms: of_jobs(&pixels_ms),
            parts: Part::ALL.map(|part| (part, of_jobs(&|job| reported(part.of(job))))),
            utilization_percent: busy(&|sample| sample.utilization_percent),
            memory_utilization_percent: busy(&|sample| sample.memory_utilization_percent),
            memory_movement_bytes: movement(memory.iter().copied()),
            process_memory_movement_bytes: movement(all(&|sample| sample.process_memory_bytes)),
            memory_max_bytes: memory.iter().copied().max(),
            power_watts: busy(&|sample| sample.power_watts),
            energy_joules: of_jobs(&energy_joules),
            pcie_receive: busy(&|sample| as_f64(sample.pcie_receive_bytes_per_second)),
            pcie_send: busy(&|sample| as_f64(sample.pcie_send_bytes_per_second)),
        }
    }
}

/// Times of the text encoders for texts of one kind, in milliseconds.
pub(crate) fn text_ms(record: &Record, kind: TextKind) -> Option<Spread> {
    Spread::of(record.texts.iter().filter(|text| text.kind == kind).filter_map(|text| reported(text.ms)))
}

/// The time from the start of the program to its readiness, in milliseconds.
pub(crate) fn loading_ms(record: &Record) -> Option<f64> {
    let begin = record.loading.iter().map(|phase| phase.begin_ms).reduce(f64::min)?;
    let end = record.loading.iter().map(|phase| phase.begin_ms + phase.duration_ms).reduce(f64::max)?;
    Some(end - begin)
}

/// A time that was reported; the server sends 0 for one that it leaves out.
fn reported(milliseconds: f64) -> Option<f64> {
    (milliseconds > 0.0).then_some(milliseconds)
}

fn picture_ms(job: &JobRecord) -> Option<f64> {
    reported(job.timings.total_ms - job.timings.queued_ms)
}

fn pixels_ms(job: &JobRecord) -> Option<f64> {
    reported(job.timings.text_encode_ms + job.timings.denoise_ms + job.timings.decode_ms)
}

/// The samples from the start of the steps to the last step. Without a stage event, from the first step.
fn while_denoising(job: &JobRecord) -> Vec<&StatsSample> {
    let begin = job.stages.iter().find(|stage| stage.name == "denoise").map(|stage| stage.at_ms);
    let first = job.steps.first().map(|step| step.at_ms);
    let (Some(begin), Some(last)) = (begin.or(first), job.steps.last()) else { return Vec::new() };
    job.stats.iter().filter(|sample| (begin..=last.at_ms).contains(&sample.at_ms)).collect()
}

/// Energy of a picture: the mean power over its samples times its time. From the energy counter where there is one, else
/// from the samples of power.
fn energy_joules(job: &JobRecord) -> Option<f64> {
    let seconds = picture_ms(job)? / 1e3;
    let counted: Vec<(f64, f64)> =
        job.stats.iter().filter_map(|sample| Some((sample.at_ms / 1e3, sample.energy_joules?))).collect();
    let by_counter = || {
        let ((begin, before), (end, after)) = (*counted.first()?, *counted.last()?);
        (end > begin && after >= before).then(|| (after - before) / (end - begin))
    };
    let by_power = || Spread::of(job.stats.iter().filter_map(|sample| sample.power_watts)).map(|watts| watts.mean);
    by_counter().or_else(by_power).map(|watts| watts * seconds)
}

#[cfg(test)]
mod tests {
    use super::super::record::{StageBegin, StepSample, Timings};
    use super::*;

    fn sample(at_ms: f64, percent: f64, used: u64, joules: Option<f64>) -> StatsSample {
        StatsSample {
            at_ms,
            utilization_percent: Some(percent),
            memory_used_bytes: Some(used),
            power_watts: Some(300.0),
            energy_joules: joules,
            ..StatsSample::default()
        }
    }

    fn job() -> JobRecord {
        let step = |index: u32, ms, at_ms| StepSample { index, ms, at_ms, guided: true };
        JobRecord {
            steps: vec![step(1, 100.0, 300.0), step(2, 140.0, 440.0)],
            stages: vec![StageBegin { name: "denoise".to_owned(), at_ms: 200.0 }],
            timings: Timings { queued_ms: 50.0, denoise_ms: 240.0, total_ms: 2050.0, ..Timings::default() },
            stats: vec![
                sample(100.0, 3.0, 1000, None),
                sample(250.0, 90.0, 1000, None),
                sample(440.0, 100.0, 1500, None),
                sample(900.0, 5.0, 900, None),
            ],
            ..JobRecord::default()
        }
    }

    #[test]
    fn only_samples_during_the_steps_count_as_busy() {
        let figures = Figures::of(&[&job()]);
        let busy = figures.utilization_percent.unwrap();
        assert_eq!((busy.count, busy.mean), (2, 95.0));
        assert_eq!((figures.memory_movement_bytes, figures.memory_max_bytes), (Some(600), Some(1500)));
        assert_eq!(figures.step_ms.unwrap().median, 120.0);
        assert_eq!(figures.picture_ms.unwrap().median, 2000.0);
        assert_eq!(figures.pixels_ms.unwrap().median, 240.0);
        let parts: Vec<_> = figures.parts.iter().map(|(_, spread)| spread.map(|spread| spread.median)).collect();
        assert_eq!(parts, [None, Some(240.0), None, None], "a time that was not reported is absent and not 0");
        assert_eq!(figures.process_memory_movement_bytes, None);
    }

    #[test]
    fn energy_is_counted_or_else_power_times_time() {
        assert_eq!(energy_joules(&job()), Some(600.0));
        let mut counted = job();
        counted.stats = vec![sample(100.0, 0.0, 0, Some(1000.0)), sample(600.0, 0.0, 0, Some(1100.0))];
        assert_eq!(energy_joules(&counted), Some(400.0), "200 W for two seconds");
        counted.stats.pop();
        assert_eq!(energy_joules(&counted), Some(600.0), "one reading of a counter is not a difference");
    }

    #[test]
    fn a_run_without_pictures_has_no_figures() {
        let figures = Figures::of(&[]);
        assert!(figures.step_ms.is_none() && figures.memory_movement_bytes.is_none());
    }
}
