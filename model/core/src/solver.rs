//! The solvers that integrate from noise to latents.

use std::fmt;
use std::str::FromStr;

/// The method that integrates the latents from one time to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Solver {
    /// Explicit Euler: one evaluation a step.
    #[default]
    Euler,
    /// The explicit midpoint rule: two evaluations a step. The middle lies halfway in shifted time.
    Midpoint,
    /// The 3/8 rule of Runge and Kutta, `rk4` of `torchdiffeq`: four evaluations a step.
    Rk4,
    /// DPM-Solver++ in its multistep form of order 2, with first and last step of order 1 (Lu et al. 2022,
    /// arXiv:2211.01095, algorithm 2): one evaluation a step. Flow models are sampled on uniform flow times.
    Dpm,
    /// Euler steps below the next noise level, each followed by new noise up to that level (k-diffusion's
    /// `sample_euler_ancestral` with `eta` 1): one evaluation a step. Images do not converge as steps are added.
    EulerAncestral,
    /// Denoising diffusion implicit models (Song et al. 2020, arXiv:2010.02502, equation 12 with sigma 0): one evaluation a step.
    Ddim,
    /// UniPC of order 2, a predictor with a corrector (Zhao et al. 2023, arXiv:2302.04867): one evaluation a step.
    UniPc,
}

impl Solver {
    /// Every solver, in the order of the documentation.
    pub const ALL: [Solver; 7] = [
        Solver::Euler,
        Solver::Midpoint,
        Solver::Rk4,
        Solver::Dpm,
        Solver::EulerAncestral,
        Solver::Ddim,
        Solver::UniPc,
    ];

    /// How often a step evaluates the denoiser.
    pub const fn evaluations_per_step(self) -> u32 {
        match self {
            Solver::Euler | Solver::Dpm | Solver::EulerAncestral | Solver::Ddim | Solver::UniPc => 1,
            Solver::Midpoint => 2,
            Solver::Rk4 => 4,
        }
    }

    /// The lower-case name, as command lines and `model_index.json` have it.
    pub const fn name(self) -> &'static str {
        match self {
            Solver::Euler => "euler",
            Solver::Midpoint => "midpoint",
            Solver::Rk4 => "rk4",
            Solver::Dpm => "dpm",
            Solver::EulerAncestral => "euler_ancestral",
            Solver::Ddim => "ddim",
            Solver::UniPc => "unipc",
        }
    }

    /// The name in texts for people, such as `DPM-Solver++`.
    pub const fn title(self) -> &'static str {
        match self {
            Solver::Euler => "Euler",
            Solver::Midpoint => "midpoint",
            Solver::Rk4 => "RK4",
            Solver::Dpm => "DPM-Solver++",
            Solver::EulerAncestral => "Euler a",
            Solver::Ddim => "DDIM",
            Solver::UniPc => "UniPC",
        }
    }
}

impl fmt::Display for Solver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Other names of solvers, in diffusers and elsewhere.
const ALIASES: [(&str, Solver); 3] =
    [("dpmpp", Solver::Dpm), ("dpmpp_2m", Solver::Dpm), ("euler_a", Solver::EulerAncestral)];

/// The text names none of the solvers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown solver `{0}`: use {names}", names = Solver::ALL.map(Solver::name).join(", "))]
pub struct UnknownSolver(String);

impl FromStr for Solver {
    type Err = UnknownSolver;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Solver::ALL.map(|solver| (solver.name(), solver));
        let found = named.into_iter().chain(ALIASES).find(|(name, _)| *name == text);
        found.map(|(_, solver)| solver).ok_or_else(|| UnknownSolver(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for solver in Solver::ALL {
            assert_eq!(solver.to_string().parse(), Ok(solver));
        }
        assert_eq!("dpmpp_2m".parse(), Ok(Solver::Dpm));
        assert_eq!("euler_a".parse(), Ok(Solver::EulerAncestral));
        let error = "heun".parse::<Solver>().expect_err("unknown").to_string();
        assert!(error.ends_with("use euler, midpoint, rk4, dpm, euler_ancestral, ddim, unipc"), "{error}");
    }
}
