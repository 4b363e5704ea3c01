//! Solver, schedule and prediction of a checkpoint: diffusers' `scheduler_config.json`.

use serde_json::Value;

use crate::checkpoint::ConfigFields;
use crate::error::ConfigError;
use crate::sampler::Prediction;
use crate::sampler::diffusion::{
    Curve, Ending, Grid, Growth, Midway, NoiseTable, SMALLEST_ALPHA, Sampler, Scale, Solver, Spacing, levels,
};

/// How a model is sampled.
#[derive(Debug, Clone, PartialEq)]
pub struct SchedulerConfig {
    /// The solver that `_class_name` stands for.
    pub solver: Solver,
    /// The noise of each training time.
    pub table: NoiseTable,
    /// What the network predicts.
    pub prediction: Prediction,
    /// How training times are chosen.
    pub spacing: Spacing,
    /// How levels lie between the first and the last one.
    pub curve: Curve,
    /// The noise level after the last step.
    pub ending: Ending,
}

impl SchedulerConfig {
    /// Reads `scheduler_config.json`, whose `_class_name` names the solver.
    ///
    /// # Errors
    /// One error with every invalid field, or a feature that is not supported.
    pub fn from_json(config: &Value) -> Result<Self, ConfigError> {
        let fields = ConfigFields::new(config);
        let class = fields.text_or("_class_name", "EulerDiscreteScheduler");
        let solver = solver(&fields, &class);
        let is_ddim = matches!(solver, Solver::Ddim { .. });
        let prediction = match fields.text_or("prediction_type", "epsilon").as_str() {
            "epsilon" => Prediction::Epsilon,
            "v_prediction" => Prediction::V,
            other => {
                fields.reject(format!("`prediction_type` is `{other}`; supported are epsilon and v_prediction"));
                Prediction::Epsilon
            }
        };
        let spacing = match fields.text_or("timestep_spacing", if is_ddim { "leading" } else { "linspace" }).as_str() {
            "leading" => Spacing::Leading { offset: fields.count_or("steps_offset", 0, 0..=1000) },
            "trailing" => Spacing::Trailing,
            "linspace" => Spacing::Linspace,
            other => {
                fields.reject(format!("`timestep_spacing` is `{other}`; supported are leading, trailing and linspace"));
                Spacing::Linspace
            }
        };
        let curve = match ["use_karras_sigmas", "use_exponential_sigmas"].map(|name| fields.flag_or(name, false)) {
            [false, false] => Curve::Times,
            [true, false] => Curve::Karras,
            [false, true] => Curve::Exponential,
            [true, true] => {
                fields.reject("`use_karras_sigmas` and `use_exponential_sigmas` exclude each other");
                Curve::Times
            }
        };
        // DDIM has a key of its own for the ending.
        let is_smallest = if is_ddim {
            !fields.flag_or("set_alpha_to_one", true)
        } else {
            match fields.text_or("final_sigmas_type", "zero").as_str() {
                "zero" => false,
                "sigma_min" => true,
                other => {
                    fields.reject(format!("`final_sigmas_type` is `{other}`; supported are zero and sigma_min"));
                    false
                }
            }
        };
        for name in ["use_beta_sigmas", "use_flow_sigmas", "use_lu_lambdas", "thresholding"] {
            if fields.flag_or(name, false) {
                fields.reject(format!("`{name}` is set, which is not supported"));
            }
        }
        if fields.flag_or("clip_sample", is_ddim) && is_ddim {
            fields.reject("`clip_sample` is set, which is not for latents");
        }
        let table = table(&fields, is_ddim);
        let ending = if is_smallest { Ending::SmallestLevel } else { Ending::Zero };
        fields.finish().map(|()| Self { solver, table, prediction, spacing, curve, ending })
    }

    /// The sampler for `steps` steps, at least one.
    pub fn sampler(&self, steps: usize) -> Sampler {
        let grid = match self.solver {
            Solver::Euler | Solver::EulerAncestral => Grid::Euler,
            Solver::Ddim { .. } => Grid::Ddim,
            Solver::DpmPp { .. } | Solver::UniPc { .. } => Grid::Multistep,
        };
        let rules = (self.spacing, self.curve, self.ending);
        Sampler {
            solver: self.solver,
            steps: levels::library_steps(&self.table, grid, rules, steps.max(1)),
            scale: self.solver.scale(),
            prediction: self.prediction,
        }
    }

    /// How many steps the base model runs before the refiner, if the base model has this share of the time: those at times of at
    /// least `count - share * count`. With curves other than the times' this is not the same share of the steps.
    pub fn split(&self, sampler: &Sampler, share: f64) -> usize {
        let count = self.table.len() as f64;
        let cut = (count - share * count).round();
        sampler.steps.iter().take_while(|step| step.time >= cut).count()
    }

    /// Factor from standard normal noise to the state at which sampling begins.
    ///
    /// Euler after leading times begins at `sqrt(sigma² + 1)`, as if the first level had been reached from data of deviation 1.
    pub fn initial_factor(&self, sampler: &Sampler) -> f64 {
        let Some(first) = sampler.steps.first() else { return 1.0 };
        let ratio = first.from.ratio();
        match (self.solver.scale(), self.spacing) {
            (Scale::ConstantVariance, _) => 1.0,
            (_, Spacing::Leading { .. }) => (ratio * ratio + 1.0).sqrt(),
            (_, Spacing::Trailing | Spacing::Linspace) => ratio,
        }
    }
}

fn solver(fields: &ConfigFields<'_>, class: &str) -> Solver {
    let order = fields.count_or("solver_order", 2, 1..=3);
    let kind = |default: &str| fields.text_or("solver_type", default);
    let lower_order_final = fields.flag_or("lower_order_final", true);
    match class {
        "DPMSolverMultistepScheduler" => {
            let algorithm = fields.text_or("algorithm_type", "dpmsolver++");
            if algorithm != "dpmsolver++" {
                fields.reject(format!("`algorithm_type` is `{algorithm}`; only dpmsolver++ is supported"));
            }
            let midway = match kind("midpoint").as_str() {
                "midpoint" => Midway::Midpoint,
                "heun" => Midway::Heun,
                other => {
                    fields.reject(format!("`solver_type` is `{other}`; supported are midpoint and heun"));
                    Midway::Midpoint
                }
            };
            let euler_at_final = fields.flag_or("euler_at_final", false);
            Solver::DpmPp { order, midway, lower_order_final, euler_at_final }
        }
        "UniPCMultistepScheduler" => {
            let growth = match kind("bh2").as_str() {
                "bh1" => Growth::Bh1,
                "bh2" => Growth::Bh2,
                other => {
                    fields.reject(format!("`solver_type` is `{other}`; supported are bh1 and bh2"));
                    Growth::Bh2
                }
            };
            if !fields.flag_or("predict_x0", true) {
                fields.reject("`predict_x0` must be true");
            }
            Solver::UniPc { order, growth, lower_order_final }
        }
        "EulerDiscreteScheduler" => Solver::Euler,
        "EulerAncestralDiscreteScheduler" => Solver::EulerAncestral,
        "DDIMScheduler" => Solver::Ddim { eta: 0.0 },
        other => {
            fields.reject(format!(
                "`_class_name` is `{other}`; supported are EulerDiscreteScheduler, EulerAncestralDiscreteScheduler, \
                 DPMSolverMultistepScheduler, UniPCMultistepScheduler and DDIMScheduler"
            ));
            Solver::Euler
        }
    }
}

fn table(fields: &ConfigFields<'_>, is_ddim: bool) -> NoiseTable {
    let schedule = fields.text_or("beta_schedule", "scaled_linear");
    if schedule != "scaled_linear" {
        fields.reject(format!("`beta_schedule` is `{schedule}`; only scaled_linear is supported"));
    }
    if fields.has("trained_betas") {
        fields.reject("`trained_betas` is not supported");
    }
    let table = NoiseTable::scaled_linear(
        fields.number_or("beta_start", 0.00085, 1e-9..=0.5),
        fields.number_or("beta_end", 0.012, 1e-9..=0.5),
        fields.count_or("num_train_timesteps", 1000, 2..=1 << 20),
    );
    match (fields.flag_or("rescale_betas_zero_snr", false), is_ddim) {
        (false, _) => table,
        // DDIM does not divide by the ratio, so the last time may be pure noise.
        (true, true) => table.with_zero_terminal_snr(),
        (true, false) => table.with_zero_terminal_snr().with_smallest(SMALLEST_ALPHA),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_the_published_configuration() {
        let config = SchedulerConfig::from_json(&json!({"_class_name": "EulerDiscreteScheduler", "beta_end": 0.012,
            "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": false, "steps_offset": 1,
            "interpolation_type": "linear", "timestep_spacing": "leading", "trained_betas": null}))
        .unwrap();
        assert_eq!((config.solver, config.prediction), (Solver::Euler, Prediction::Epsilon));
        let sampler = config.sampler(20);
        assert!((config.initial_factor(&sampler) - 11.07358).abs() < 1e-3);
        assert_eq!(sampler.steps[19].to.sigma, 0.0);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let error = SchedulerConfig::from_json(&json!({"_class_name": "PNDMScheduler", "prediction_type": "sample",
            "beta_schedule": "linear", "timestep_spacing": "even", "use_karras_sigmas": true,
            "use_exponential_sigmas": true, "thresholding": true}))
        .unwrap_err();
        assert_eq!(error.problems.len(), 6, "{error}");
    }
}
