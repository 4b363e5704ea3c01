//! The article's figures of one system, from a run or from its claims.

use super::claims::{Claimed, GB};
use super::record::{FormText, Load, Measured};
use crate::case::CASES;
use crate::figures::{Figures, Part, loading_ms, text_ms};
use crate::record::{JobRecord, Record, StatsSample, TextKind};
use crate::stats::{Spread, bytes_f64};
use crate::summary::part_of;

/// The source of samples of the host.
const HOST: &str = "host";

/// A mean with its deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mean {
    pub value: f64,
    pub deviation: f64,
}

impl Mean {
    fn of(spread: Option<Spread>) -> Option<Self> {
        spread.map(|spread| Self { value: spread.mean, deviation: spread.deviation })
    }
}

/// The figures of one system from one source. What was neither measured nor claimed is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ArticleFigures {
    /// From the program's start, or from the call, to readiness.
    pub loading_s: Option<f64>,
    /// Memory when it is loaded.
    pub loaded_gb: Option<f64>,
    /// The most memory while loading and drawing.
    pub memory_peak_gb: Option<f64>,
    /// Median memory while pictures are drawn, after the warm-up.
    pub memory_gb: Option<f64>,
    /// Largest minus smallest of it.
    pub memory_range_gb: Option<f64>,
    /// Busy share while steps are computed, in percent.
    pub utilization: Option<Mean>,
    /// The same by thirds of the steps.
    pub thirds: [Option<Mean>; 3],
    /// Its lowest and highest value by thirds, where a range is all that is known.
    pub third_ranges: Option<[[f64; 2]; 3]>,
    /// Median time of a picture.
    pub picture_s: Option<f64>,
    /// The shortest and the longest.
    pub picture_range_s: Option<[f64; 2]>,
    /// Bytes that operations read and write, over the time of the steps.
    pub bandwidth_gb_s: Option<f64>,
    /// Busy share of the memory's interface, in percent.
    pub bus_percent: Option<f64>,
    /// Of each case of `sakuga bench`, in its order.
    pub forms: [FormFigures; 4],
}

/// The figures of a prompt in one form.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct FormFigures {
    /// Time of the text encoders for a text that they have not read, in milliseconds.
    pub text_ms: Option<f64>,
    /// Median time of a picture.
    pub picture_s: Option<f64>,
    /// Deviation of the busy share, in points.
    pub utilization_deviation: Option<f64>,
}

impl ArticleFigures {
    /// What the article claims.
    pub(super) fn of_claims(claimed: &Claimed) -> Self {
        let forms = CASES.map(|case| {
            let form = claimed.form(case.name);
            FormFigures {
                text_ms: form.and_then(|form| form.text_ms),
                picture_s: form.map(|form| form.picture_s),
                utilization_deviation: form.and_then(|form| form.utilization_deviation),
            }
        });
        let last = claimed.loading.last();
        Self {
            loading_s: last.map(|phase| phase.until_s),
            loaded_gb: last.map(|phase| phase.memory_gb),
            memory_peak_gb: claimed.memory_peak_gb.or(last.map(|phase| phase.memory_gb)),
            memory_gb: Some(claimed.memory_gb),
            memory_range_gb: Some(claimed.memory_range_gb),
            utilization: Some(Mean { value: claimed.utilization_percent, deviation: claimed.utilization_deviation }),
            third_ranges: claimed.thirds_percent,
            picture_s: Some(claimed.picture_s),
            bandwidth_gb_s: Some(claimed.bandwidth_gb_s),
            forms,
            ..Self::default()
        }
    }

    /// What was measured.
    pub(super) fn of_measured(measured: &Measured) -> Self {
        let mut figures = Self::of_record(&measured.record);
        if let Some(load) = &measured.load {
            figures.loading_s = Some(load.ms / 1e3);
            figures.loaded_gb = load.stats.iter().rev().find_map(memory_gb);
            figures.memory_peak_gb = peak_of(load).into_iter().chain(figures.memory_peak_gb).reduce(f64::max);
        }
        for (form, case) in figures.forms.iter_mut().zip(CASES) {
            form.text_ms = median_text_ms(&measured.texts, case.name).or(form.text_ms);
        }
        figures
    }

    /// What a record of `sakuga bench` holds, such as one of PyTorch.
    pub(super) fn of_record(record: &Record) -> Self {
        let all = Figures::of_run(record);
        let memory = Spread::of(record.jobs().flat_map(|job| &job.stats).filter_map(memory_gb));
        let ever = record.cases.iter().flat_map(|case| case.warmup.iter().chain(&case.repeats));
        let peak = Spread::of(ever.flat_map(|job| &job.stats).filter_map(memory_gb));
        let forms = CASES.map(|case| {
            let Some(record_of_case) = record.cases.iter().find(|other| other.name == case.name) else {
                return FormFigures::default();
            };
            let figures = Figures::of_case(record_of_case);
            // A program that caches no texts encodes every text as a new one. Its cached texts are not faster.
            let keeps_none = text_ms(record, TextKind::Cached).is_some_and(|cached| {
                text_ms(record, TextKind::Cold).is_some_and(|cold| cached.median > cold.median / 2.0)
            });
            FormFigures {
                text_ms: part_of(&figures, Part::TextEncode).filter(|_| keeps_none).map(|spread| spread.median),
                picture_s: figures.picture_ms.map(|spread| spread.median / 1e3),
                utilization_deviation: figures.utilization_percent.map(|spread| spread.deviation),
            }
        });
        Self {
            loading_s: loading_ms(record).map(|ms| ms / 1e3),
            loaded_gb: None,
            memory_peak_gb: peak.map(|spread| spread.max),
            memory_gb: memory.map(|spread| spread.median),
            memory_range_gb: memory.map(|spread| spread.max - spread.min),
            utilization: Mean::of(all.utilization_percent),
            thirds: [0, 1, 2].map(|third| Mean::of(Spread::of(record.jobs().flat_map(|job| in_third(job, third))))),
            third_ranges: None,
            picture_s: all.picture_ms.map(|spread| spread.median / 1e3),
            picture_range_s: all.picture_ms.map(|spread| [spread.min / 1e3, spread.max / 1e3]),
            bandwidth_gb_s: bandwidth(record),
            bus_percent: all.memory_utilization_percent.map(|spread| spread.mean),
            forms,
        }
    }
}

/// Memory in use in GB: of the device; of the server where the samples are of its host, whose memory other programs share.
pub(super) fn memory_gb(sample: &StatsSample) -> Option<f64> {
    let bytes = match sample.source.as_str() {
        HOST => sample.process_memory_bytes.or(sample.memory_used_bytes),
        _ => sample.memory_used_bytes.or(sample.process_memory_bytes),
    };
    bytes.map(|bytes| bytes_f64(bytes) / GB)
}

/// Whether the samples of a run are of the host, for a device that has none of its own.
pub(super) fn is_of_host(record: &Record) -> bool {
    record.jobs().flat_map(|job| &job.stats).any(|sample| sample.source == HOST)
}

fn peak_of(load: &Load) -> Option<f64> {
    load.stats.iter().filter_map(memory_gb).reduce(f64::max)
}

fn median_text_ms(texts: &[FormText], case: &str) -> Option<f64> {
    Spread::of(texts.iter().filter(|text| text.case == case && text.ms > 0.0).map(|text| text.ms))
        .map(|spread| spread.median)
}

/// The busy share of the samples within a third of the steps, 0 to 2, in percent.
fn in_third(job: &JobRecord, third: usize) -> Vec<f64> {
    let begin = job.stages.iter().find(|stage| stage.name == "denoise").map(|stage| stage.at_ms);
    let first = job.steps.first().map(|step| step.at_ms - step.ms);
    let Some(begin) = begin.or(first) else { return Vec::new() };
    // When a part of the steps was done.
    let end = |thirds: usize| match (job.steps.len() * thirds).div_ceil(3) {
        0 => Some(begin),
        steps => job.steps.get(steps - 1).map(|step| step.at_ms),
    };
    let (Some(from), Some(to)) = (end(third), end(third + 1)) else { return Vec::new() };
    // A sample is of the period before it, so one at the border counts to the third that ends there.
    let within = job.stats.iter().filter(|sample| sample.at_ms > from && sample.at_ms <= to);
    within.filter_map(|sample| sample.utilization_percent).collect()
}

/// Bytes that the operations of the steps must at least read and write, over the time of the same steps without a profile.
/// Products that are bound by arithmetic count no bytes, so the true rate is higher.
fn bandwidth(record: &Record) -> Option<f64> {
    let job = record.profiled.as_ref()?;
    let profiles = job.profile.iter().filter(|profile| profile.stage == "denoise");
    let bytes: f64 = profiles.flat_map(|profile| &profile.spans).map(|span| span.bytes).sum();
    let seconds = part_of(&Figures::of_run(record), Part::Denoise)?.median / 1e3;
    (bytes > 0.0).then(|| bytes / seconds / GB)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{StageBegin, StepSample};

    fn sample(at_ms: f64, percent: f64) -> StatsSample {
        StatsSample { at_ms, utilization_percent: Some(percent), ..StatsSample::default() }
    }

    #[test]
    fn thirds_end_with_their_last_step() {
        let step = |index: u32, at_ms| StepSample { index, ms: 100.0, at_ms, guided: true };
        let job = JobRecord {
            stages: vec![StageBegin { name: "denoise".to_owned(), at_ms: 50.0 }],
            // Four steps: two, one and one.
            steps: vec![step(1, 150.0), step(2, 250.0), step(3, 350.0), step(4, 450.0)],
            stats: [(40.0, 1.0), (60.0, 2.0), (250.0, 3.0), (260.0, 4.0), (350.0, 5.0), (450.0, 6.0), (460.0, 7.0)]
                .map(|(at_ms, percent)| sample(at_ms, percent))
                .to_vec(),
            ..JobRecord::default()
        };
        assert_eq!([0, 1, 2].map(|third| in_third(&job, third)), [vec![2.0, 3.0], vec![4.0, 5.0], vec![6.0]]);
        assert_eq!(in_third(&JobRecord::default(), 0), [0.0; 0]);
        let one_step = JobRecord { steps: vec![step(1, 150.0)], stages: job.stages, stats: job.stats, ..job };
        assert_eq!([0, 1, 2].map(|third| in_third(&one_step, third).len()), [1, 0, 0]);
    }

    #[test]
    fn memory_is_that_of_the_device_or_of_the_server_on_a_host() {
        let mut sample = StatsSample { process_memory_bytes: Some(2_000_000_000), ..StatsSample::default() };
        assert_eq!(memory_gb(&sample), Some(2.0));
        sample.memory_used_bytes = Some(3_000_000_000);
        assert_eq!(memory_gb(&sample), Some(3.0));
        sample.source = HOST.to_owned();
        assert_eq!(memory_gb(&sample), Some(2.0));
    }

    #[test]
    fn claims_have_no_more_than_the_article() {
        let claims = super::super::Claims::of_article();
        let newbie = ArticleFigures::of_claims(claims.of(super::super::System::Newbie));
        assert_eq!((newbie.picture_s, newbie.loading_s, newbie.bus_percent), (Some(3.42), Some(2.8), None));
        assert_eq!(
            (newbie.forms[0].text_ms, newbie.forms[1].text_ms, newbie.forms[2].text_ms),
            (Some(93.0), Some(187.0), None)
        );
        let sd = ArticleFigures::of_claims(claims.of(super::super::System::Sd));
        assert_eq!((sd.loading_s, sd.memory_peak_gb, sd.forms[0]), (None, Some(22.4), FormFigures::default()));
    }
}
