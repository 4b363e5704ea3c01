//! Sampling options as text for people.

use std::fmt;

use crate::generation::v1::{NoiseSchedule, Quality, Sampling, Solver};
use crate::system::v1::SamplingDefaults;

/// What the names of [`Solver`] begin with.
const SOLVER_PREFIX: &str = "SOLVER_";
/// What the names of [`Quality`] begin with.
const QUALITY_PREFIX: &str = "QUALITY_";
/// What the names of [`NoiseSchedule`] begin with.
const SCHEDULE_PREFIX: &str = "NOISE_SCHEDULE_";

impl Sampling {
    /// The solver's name as commands write it, such as `dpm`; empty if none is given.
    pub fn solver_name(&self) -> String {
        match self.solver() {
            Solver::Unspecified => String::new(),
            solver => solver.as_str_name().trim_start_matches(SOLVER_PREFIX).to_lowercase(),
        }
    }

    /// The noise schedule's name as commands write it, such as `karras`; empty if none is given.
    fn schedule_name(&self) -> String {
        match self.schedule() {
            NoiseSchedule::Unspecified => String::new(),
            schedule => schedule.as_str_name().trim_start_matches(SCHEDULE_PREFIX).to_lowercase(),
        }
    }

    /// The quality's name as commands write it, such as `fast`; empty for exact, which goes without saying.
    pub fn quality_name(&self) -> String {
        match self.quality() {
            Quality::Unspecified | Quality::Exact => String::new(),
            quality => quality.as_str_name().trim_start_matches(QUALITY_PREFIX).to_lowercase(),
        }
    }

    /// Guidance and shift, such as `guidance 5 while t < 0.25, renorm 1, shift 6`, without what is absent or off.
    pub fn numbers(&self) -> String {
        let mut parts = Vec::new();
        if let Some(scale) = self.guidance_scale {
            let from = self.guidance_from.filter(|from| *from > 0.0);
            let until = self.guidance_until.filter(|until| *until < 1.0);
            let interval = match (from, until) {
                (None, None) => String::new(),
                (Some(from), None) => format!(" while {from} <= t"),
                (None, Some(until)) => format!(" while t < {until}"),
                (Some(from), Some(until)) => format!(" while {from} <= t < {until}"),
            };
            parts.push(format!("guidance {scale}{interval}"));
        }
        if let Some(factor) = self.guidance_renorm.filter(|factor| *factor > 0.0) {
            parts.push(format!("renorm {factor}"));
        }
        if let Some(share) = self.guidance_rescale.filter(|share| *share > 0.0) {
            parts.push(format!("rescale {share}"));
        }
        if let Some(shift) = self.shift {
            parts.push(format!("shift {shift}"));
        }
        parts.join(", ")
    }
}

/// `euler, 28 steps, guidance 5 while t < 0.25, shift 6`, without what is absent or off.
impl fmt::Display for Sampling {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = match self.steps {
            0 => String::new(),
            1 => "1 step".to_owned(),
            steps => format!("{steps} steps"),
        };
        // The model's own schedule goes without saying.
        let schedule = match self.schedule() {
            NoiseSchedule::Native => String::new(),
            _ => self.schedule_name(),
        };
        let solver = [self.solver_name(), schedule].join(" ").trim().to_owned();
        let quality = match self.quality_name() {
            name if name.is_empty() => name,
            name => format!("quality {name}"),
        };
        let parts = [solver, steps, self.numbers(), quality];
        formatter.write_str(&parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", "))
    }
}

/// The options of a request that gives each default of a model. A solver or schedule with an unknown name is left out.
impl From<&SamplingDefaults> for Sampling {
    fn from(defaults: &SamplingDefaults) -> Self {
        let solver = Solver::from_str_name(&format!("{SOLVER_PREFIX}{}", defaults.solver.to_uppercase()));
        let schedule = NoiseSchedule::from_str_name(&format!("{SCHEDULE_PREFIX}{}", defaults.schedule.to_uppercase()));
        Self {
            solver: solver.unwrap_or_default().into(),
            steps: defaults.steps,
            guidance_scale: Some(defaults.guidance_scale),
            guidance_from: Some(defaults.guidance_from),
            guidance_until: Some(defaults.guidance_until),
            guidance_renorm: Some(defaults.guidance_renorm),
            guidance_rescale: Some(defaults.guidance_rescale),
            shift: Some(defaults.shift),
            schedule: schedule.unwrap_or_default().into(),
            quality: Quality::Exact.into(),
            step_cache: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_one_line_without_what_is_off() {
        let mut sampling = Sampling { guidance_scale: Some(3.5), shift: Some(6.0), ..Sampling::default() };
        (sampling.solver, sampling.steps) = (Solver::Dpm.into(), 20);
        assert_eq!(sampling.to_string(), "dpm, 20 steps, guidance 3.5, shift 6");
        (sampling.guidance_until, sampling.guidance_renorm) = (Some(1.0), Some(0.0));
        assert_eq!(sampling.to_string(), "dpm, 20 steps, guidance 3.5, shift 6");
        (sampling.guidance_until, sampling.guidance_renorm) = (Some(0.5), Some(1.0));
        assert_eq!(sampling.to_string(), "dpm, 20 steps, guidance 3.5 while t < 0.5, renorm 1, shift 6");
        sampling.guidance_from = Some(0.25);
        assert_eq!(sampling.numbers(), "guidance 3.5 while 0.25 <= t < 0.5, renorm 1, shift 6");
        (sampling.guidance_until, sampling.guidance_renorm) = (Some(1.0), None);
        sampling.schedule = NoiseSchedule::Karras.into();
        assert!(sampling.to_string().starts_with("dpm karras, 20 steps"), "{sampling}");
        sampling.schedule = NoiseSchedule::Native.into();
        assert!(sampling.to_string().starts_with("dpm, 20 steps"), "{sampling}");
        assert_eq!(sampling.numbers(), "guidance 3.5 while 0.25 <= t, shift 6");
        assert_eq!(Sampling { steps: 1, ..Sampling::default() }.to_string(), "1 step");
        let fast = Sampling { steps: 2, quality: Quality::Fast.into(), ..Sampling::default() };
        assert_eq!(fast.to_string(), "2 steps, quality fast");
        assert_eq!(Sampling::default().to_string(), "");
    }

    #[test]
    fn the_defaults_of_a_model_read_like_a_request() {
        let mut defaults = SamplingDefaults {
            solver: "rk4".to_owned(),
            steps: 28,
            guidance_scale: 5.0,
            guidance_until: 1.0,
            shift: 6.0,
            ..SamplingDefaults::default()
        };
        assert_eq!(Sampling::from(&defaults).to_string(), "rk4, 28 steps, guidance 5, shift 6");
        defaults.solver = "later".to_owned();
        assert_eq!(Sampling::from(&defaults).to_string(), "28 steps, guidance 5, shift 6");
    }
}
