//! Measurements of completed jobs, which are stored with the job and used for estimates after a restart.

use std::collections::HashMap;

use sakuga_model_core::EngineInfo;
use sakuga_proto::internal::store::v1 as stored;

use super::registry::Jobs;
use crate::devices;
use crate::estimate::{CAPACITY, FIRST_USES, JobMeasurements, Measurement, Work};
use crate::models::{ModelId, ServedModel};
use crate::wire::to_proto::{part, part_kind};

/// Precision and model of measurements. They also apply to devices of one kind only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Setup {
    precision: String,
    fingerprint: String,
}

impl Setup {
    pub(super) fn of(info: &EngineInfo) -> Self {
        Self { precision: info.precision.clone(), fingerprint: info.model.fingerprint.clone() }
    }
}

/// The measurements as they are stored. `device` is the full name of the device that ran the job.
pub(super) fn to_stored(job: &JobMeasurements, setup: &Setup, device: &str) -> stored::JobMeasurements {
    let part = |part: &Measurement| stored::PartMeasurement {
        kind: part_kind(part.part).into(),
        work: part.work.iter().flat_map(|work| [work.count, work.main, work.extra, work.length]).collect(),
        seconds: part.seconds,
        scale_seconds: part.scale,
        first_uses: part.work.iter().flat_map(|work| work.first).collect(),
    };
    stored::JobMeasurements {
        device: device.to_owned(),
        precision: setup.precision.clone(),
        fingerprint: setup.fingerprint.clone(),
        parts: job.parts.iter().map(part).collect(),
        expected_seconds: job.expected.map(|[raw, _]| raw),
        corrected_seconds: job.expected.map(|[_, corrected]| corrected),
        seconds: job.seconds,
        joules: job.joules,
        tokens: job.tokens,
    }
}

/// Stored measurements; parts that this version does not know are left out.
fn from_stored(job: &stored::JobMeasurements) -> JobMeasurements {
    let work = |(values, first): (&[f64; 4], [f64; FIRST_USES])| {
        let [count, main, extra, length] = *values;
        Work { count, main, extra, length, first }
    };
    let measurement = |found: &stored::PartMeasurement| {
        let (amounts, _) = found.work.as_chunks::<4>();
        // Measurements of an older version have none.
        let first =
            found.first_uses.as_chunks::<FIRST_USES>().0.iter().copied().chain(std::iter::repeat([0.0; FIRST_USES]));
        Some(Measurement {
            part: part(found.kind())?,
            work: amounts.iter().zip(first).map(work).collect(),
            seconds: found.seconds,
            scale: found.scale_seconds,
        })
    };
    JobMeasurements {
        parts: job.parts.iter().filter_map(measurement).collect(),
        expected: job.expected_seconds.zip(job.corrected_seconds).map(|(raw, corrected)| [raw, corrected]),
        seconds: job.seconds,
        joules: job.joules,
        tokens: job.tokens,
    }
}

/// The measurements of the newest jobs of each model on each kind of device.
#[derive(Debug)]
pub(super) struct Measured {
    /// The kinds of devices, by name.
    kinds: Vec<String>,
    setups: Vec<(ModelId, Setup)>,
    /// By the number of the kind and the model; the newest job first.
    jobs: HashMap<(usize, ModelId), Vec<JobMeasurements>>,
}

impl Measured {
    pub(super) fn new<'a>(kinds: Vec<String>, models: impl Iterator<Item = &'a ServedModel>) -> Self {
        let setups = models.map(|model| (model.id, Setup::of(&model.info))).collect();
        Self { kinds, setups, jobs: HashMap::new() }
    }

    /// Adds a job that is older than those before, if it is of one of the models and there is room for it.
    pub(super) fn add_older(&mut self, job: &stored::JobMeasurements) {
        let is_same = |setup: &Setup| setup.precision == job.precision && setup.fingerprint == job.fingerprint;
        let Some((model, _)) = self.setups.iter().find(|(_, setup)| is_same(setup)) else { return };
        let kind = devices::kind(&job.device);
        let Some(kind) = self.kinds.iter().position(|known| known == kind) else { return };
        let jobs = self.jobs.entry((kind, *model)).or_default();
        if jobs.len() < CAPACITY {
            jobs.push(from_stored(job));
        }
    }
}

impl Jobs {
    /// Learns from the jobs of earlier runs.
    pub(super) fn restore(&self, measured: Measured) {
        for ((kind, model), mut jobs) in measured.jobs {
            jobs.reverse();
            self.dependencies.scheduler.restore_measurements(kind, model, &jobs);
            let name = self.dependencies.models.get(model).name();
            tracing::info!(
                model = name,
                device = measured.kinds[kind],
                jobs = jobs.len(),
                "times are estimated from jobs of earlier runs"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::Part;

    #[test]
    fn measurements_are_read_as_they_were_written() {
        let parts = Part::ALL.map(|part| Measurement {
            part,
            work: vec![
                Work::each(2.0, 3.0),
                Work { count: 1.0, main: 4.0, extra: 5.0, length: 6.0, first: [0.0, 1.0, 2.0, 3.0] },
            ],
            seconds: 7.0,
            scale: 8.0,
        });
        let job = JobMeasurements {
            parts: parts.into(),
            expected: Some([9.0, 10.0]),
            seconds: 11.0,
            joules: Some(12.0),
            tokens: 13.0,
        };
        let setup = Setup { precision: "f32".into(), fingerprint: "1".into() };
        let mut stored = to_stored(&job, &setup, "cpu");
        assert_eq!(from_stored(&stored), job);
        stored.parts[0].kind = 999;
        assert_eq!(from_stored(&stored).parts.len(), Part::ALL.len() - 1, "a newer server wrote it");

        let kinds = vec!["NVIDIA X".to_owned(), "cpu".to_owned()];
        let mut measured = Measured { kinds, setups: vec![(ModelId::DEFAULT, setup)], jobs: HashMap::new() };
        for _ in 0..2 * CAPACITY {
            measured.add_older(&stored);
        }
        measured.add_older(&stored::JobMeasurements { device: "cuda:0".into(), ..stored.clone() });
        assert_eq!(measured.jobs.len(), 1);
        assert_eq!(measured.jobs[&(1, ModelId::DEFAULT)].len(), CAPACITY, "bounded");
        measured.add_older(&stored::JobMeasurements { device: "cuda:7 NVIDIA X".into(), ..stored });
        assert_eq!(measured.jobs[&(0, ModelId::DEFAULT)].len(), 1, "the number of the device does not matter");
    }
}
