//! Conversions of sampling options.

use sakuga_model_core::{NoiseSchedule, PartialSampling, Quality, Sampling, Solver};
use sakuga_proto::generation::v1 as generation;
use sakuga_proto::system::v1 as system;

use super::enumeration::known;
use super::step_cache;
use crate::error::Violation;

/// The options that a request gives; a solver that this server does not know is a fault.
pub(crate) fn from_proto(given: generation::Sampling, faults: &mut Vec<Violation>) -> PartialSampling {
    PartialSampling {
        solver: solver(given.solver, faults),
        schedule: schedule(given.schedule, faults),
        steps: Some(given.steps).filter(|steps| *steps > 0),
        guidance_scale: given.guidance_scale,
        guidance_from: given.guidance_from,
        guidance_until: given.guidance_until,
        guidance_renorm: given.guidance_renorm,
        guidance_rescale: given.guidance_rescale,
        shift: given.shift,
        quality: quality(given.quality, faults),
        step_cache: given.step_cache.and_then(|given| step_cache::from_proto(&given, faults)),
    }
}

/// The options of a request with every default filled in.
pub(crate) fn to_proto(sampling: &Sampling) -> generation::Sampling {
    let Sampling { solver, schedule, steps, guidance, shift, quality, step_cache } = *sampling;
    generation::Sampling {
        solver: match solver {
            Solver::Euler => generation::Solver::Euler,
            Solver::Midpoint => generation::Solver::Midpoint,
            Solver::Rk4 => generation::Solver::Rk4,
            Solver::Dpm => generation::Solver::Dpm,
            Solver::EulerAncestral => generation::Solver::EulerAncestral,
            Solver::Ddim => generation::Solver::Ddim,
            Solver::UniPc => generation::Solver::Unipc,
        }
        .into(),
        schedule: match schedule {
            NoiseSchedule::Native => generation::NoiseSchedule::Native,
            NoiseSchedule::Karras => generation::NoiseSchedule::Karras,
            NoiseSchedule::Exponential => generation::NoiseSchedule::Exponential,
        }
        .into(),
        steps,
        guidance_scale: Some(guidance.scale),
        guidance_from: Some(guidance.from),
        guidance_until: Some(guidance.until),
        guidance_renorm: Some(guidance.renorm),
        guidance_rescale: Some(guidance.rescale),
        shift: Some(shift),
        quality: match quality {
            Quality::Exact => generation::Quality::Exact,
            Quality::High => generation::Quality::High,
            Quality::Fast => generation::Quality::Fast,
            Quality::Custom => generation::Quality::Custom,
        }
        .into(),
        step_cache: step_cache.as_ref().map(step_cache::to_proto),
    }
}

/// The defaults of a model.
pub(crate) fn defaults(sampling: &Sampling) -> system::SamplingDefaults {
    // Every model is exact by default.
    let Sampling { solver, schedule, steps, guidance, shift, quality: _, step_cache: _ } = *sampling;
    system::SamplingDefaults {
        solver: solver.name().into(),
        schedule: schedule.name().into(),
        steps,
        guidance_scale: guidance.scale,
        guidance_from: guidance.from,
        guidance_until: guidance.until,
        guidance_renorm: guidance.renorm,
        guidance_rescale: guidance.rescale,
        shift,
    }
}

fn solver(value: i32, faults: &mut Vec<Violation>) -> Option<Solver> {
    Some(match known(value, "sampling.solver", faults)? {
        generation::Solver::Unspecified => return None,
        generation::Solver::Euler => Solver::Euler,
        generation::Solver::Midpoint => Solver::Midpoint,
        generation::Solver::Rk4 => Solver::Rk4,
        generation::Solver::Dpm => Solver::Dpm,
        generation::Solver::EulerAncestral => Solver::EulerAncestral,
        generation::Solver::Ddim => Solver::Ddim,
        generation::Solver::Unipc => Solver::UniPc,
    })
}

fn schedule(value: i32, faults: &mut Vec<Violation>) -> Option<NoiseSchedule> {
    Some(match known(value, "sampling.schedule", faults)? {
        generation::NoiseSchedule::Unspecified => return None,
        generation::NoiseSchedule::Native => NoiseSchedule::Native,
        generation::NoiseSchedule::Karras => NoiseSchedule::Karras,
        generation::NoiseSchedule::Exponential => NoiseSchedule::Exponential,
    })
}

fn quality(value: i32, faults: &mut Vec<Violation>) -> Option<Quality> {
    Some(match known(value, "sampling.quality", faults)? {
        generation::Quality::Unspecified => return None,
        generation::Quality::Exact => Quality::Exact,
        generation::Quality::High => Quality::High,
        generation::Quality::Fast => Quality::Fast,
        generation::Quality::Custom => Quality::Custom,
    })
}

#[cfg(test)]
mod tests {
    use sakuga_model_core::{Guidance, ReuseRule, StepCache, StepSet};

    use super::*;

    #[test]
    fn every_option_comes_back_as_it_was_sent() {
        let rules = [
            ReuseRule::Change { threshold: 0.25, warmup_steps: 3, consecutive_max: 2 },
            ReuseRule::Steps(StepSet::of([2, 5, 7]).expect("few steps")),
        ];
        let caches = rules.map(|rule| StepCache { front_blocks: 2, back_blocks: 3, rule, taylor_order: 1 });
        let qualities = Quality::ALL.into_iter().cycle().zip(caches.into_iter().cycle());
        let others = NoiseSchedule::ALL.into_iter().cycle().zip(qualities);
        for (solver, (schedule, (quality, cache))) in Solver::ALL.into_iter().zip(others) {
            let (guidance, step_cache) = (Guidance::new(5.0), Some(cache));
            let mut sampling = Sampling { solver, schedule, steps: 7, guidance, shift: 6.0, quality, step_cache };
            for (place, number) in Sampling::NUMBERS.iter().enumerate() {
                number.set(&mut sampling, 0.5 + place as f32);
            }
            let mut faults = Vec::new();
            let given = from_proto(to_proto(&sampling), &mut faults);
            let expected = PartialSampling {
                solver: Some(solver),
                schedule: Some(schedule),
                steps: Some(7),
                guidance_scale: Some(sampling.guidance.scale),
                guidance_from: Some(sampling.guidance.from),
                guidance_until: Some(sampling.guidance.until),
                guidance_renorm: Some(sampling.guidance.renorm),
                guidance_rescale: Some(sampling.guidance.rescale),
                shift: Some(sampling.shift),
                quality: Some(quality),
                step_cache,
            };
            assert_eq!((given, faults.len()), (expected, 0));
        }
    }

    #[test]
    fn what_is_not_given_is_left_open() {
        let mut faults = Vec::new();
        assert_eq!(from_proto(generation::Sampling::default(), &mut faults), PartialSampling::default());
        assert!(faults.is_empty());
        from_proto(generation::Sampling { solver: 99, ..generation::Sampling::default() }, &mut faults);
        assert_eq!((faults[0].field.as_str(), faults[0].reason), ("sampling.solver", Violation::UNKNOWN_VALUE));
    }
}
