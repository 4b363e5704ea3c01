//! Sampling options between the wire and the model: the only file that names both.

use sakuga_model_core::{PartialSampling, Sampling, Solver};
use sakuga_proto::generation::v1 as generation;
use sakuga_proto::system::v1 as system;

use super::enumeration::known;
use crate::error::Violation;

/// The options that a request gives; a solver that this server does not know is a fault.
pub fn from_proto(given: generation::Sampling, faults: &mut Vec<Violation>) -> PartialSampling {
    PartialSampling {
        solver: solver(given.solver, faults),
        steps: Some(given.steps).filter(|steps| *steps > 0),
        guidance_scale: given.guidance_scale,
        guidance_from: given.guidance_from,
        guidance_until: given.guidance_until,
        guidance_renorm: given.guidance_renorm,
        shift: given.shift,
    }
}

/// The options of a request with every default filled in.
pub fn to_proto(sampling: &Sampling) -> generation::Sampling {
    let Sampling { solver, steps, guidance, shift } = *sampling;
    generation::Sampling {
        solver: match solver {
            Solver::Euler => generation::Solver::Euler,
            Solver::Midpoint => generation::Solver::Midpoint,
            Solver::Rk4 => generation::Solver::Rk4,
            Solver::Dpm => generation::Solver::Dpm,
        }
        .into(),
        steps,
        guidance_scale: Some(guidance.scale),
        guidance_from: Some(guidance.from),
        guidance_until: Some(guidance.until),
        guidance_renorm: Some(guidance.renorm),
        shift: Some(shift),
    }
}

/// The defaults of a model.
pub fn defaults(sampling: &Sampling) -> system::SamplingDefaults {
    let Sampling { solver, steps, guidance, shift } = *sampling;
    system::SamplingDefaults {
        solver: solver.name().into(),
        steps,
        guidance_scale: guidance.scale,
        guidance_from: guidance.from,
        guidance_until: guidance.until,
        guidance_renorm: guidance.renorm,
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
    })
}

#[cfg(test)]
mod tests {
    use sakuga_model_core::Guidance;

    use super::*;

    #[test]
    fn every_option_comes_back_as_it_was_sent() {
        for solver in Solver::ALL {
            let mut sampling = Sampling { solver, steps: 7, guidance: Guidance::new(5.0), shift: 6.0 };
            for (place, number) in Sampling::NUMBERS.iter().enumerate() {
                number.set(&mut sampling, 0.5 + place as f32);
            }
            let mut faults = Vec::new();
            let given = from_proto(to_proto(&sampling), &mut faults);
            let other = Sampling { solver: Solver::Euler, steps: 1, ..sampling };
            assert_eq!((given.or(&other), faults.len()), (sampling, 0));
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
