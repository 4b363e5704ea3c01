//! [`NoiseSchedule`]: the noise levels between the steps of a solver.

use std::fmt;
use std::str::FromStr;

use crate::Solver;

/// How the noise levels are spaced between the first and the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NoiseSchedule {
    /// The model's own: shifted flow times, or the training times that its scheduler configuration selects.
    #[default]
    Native,
    /// Karras et al. 2022 (arXiv:2206.00364, equation 5, rho 7): more steps at low noise.
    Karras,
    /// The ratio of each level to the next is constant.
    Exponential,
}

impl NoiseSchedule {
    /// Every schedule, the default first.
    pub const ALL: [NoiseSchedule; 3] = [NoiseSchedule::Native, NoiseSchedule::Karras, NoiseSchedule::Exponential];

    /// The lower-case name, as command lines and `model_index.json` have it.
    pub const fn name(self) -> &'static str {
        match self {
            NoiseSchedule::Native => "native",
            NoiseSchedule::Karras => "karras",
            NoiseSchedule::Exponential => "exponential",
        }
    }

    /// The default schedule of a solver on a model that supports `offered`: Karras for DPM-Solver++ ("DPM++ 2M Karras" in other
    /// programs), otherwise the model's own.
    pub fn usual(solver: Solver, offered: &[NoiseSchedule]) -> Self {
        match solver {
            Solver::Dpm if offered.contains(&NoiseSchedule::Karras) => NoiseSchedule::Karras,
            _ => NoiseSchedule::Native,
        }
    }
}

impl fmt::Display for NoiseSchedule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The text names none of the schedules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown schedule `{0}`: use {names}", names = NoiseSchedule::ALL.map(NoiseSchedule::name).join(", "))]
pub struct UnknownNoiseSchedule(String);

impl FromStr for NoiseSchedule {
    type Err = UnknownNoiseSchedule;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = NoiseSchedule::ALL.into_iter().find(|schedule| schedule.name() == text);
        found.ok_or_else(|| UnknownNoiseSchedule(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for schedule in NoiseSchedule::ALL {
            assert_eq!(schedule.to_string().parse(), Ok(schedule));
        }
        let error = "beta".parse::<NoiseSchedule>().expect_err("unknown").to_string();
        assert!(error.ends_with("use native, karras, exponential"), "{error}");
    }

    #[test]
    fn karras_is_usual_only_where_it_is_offered() {
        assert_eq!(NoiseSchedule::usual(Solver::Dpm, &NoiseSchedule::ALL), NoiseSchedule::Karras);
        assert_eq!(NoiseSchedule::usual(Solver::Dpm, &[NoiseSchedule::Native]), NoiseSchedule::Native);
        assert_eq!(NoiseSchedule::usual(Solver::Euler, &NoiseSchedule::ALL), NoiseSchedule::Native);
    }
}
