//! The keys that this project adds to `model_index.json` for every family.

use std::path::Path;
use std::str::FromStr;

use sakuga_model_core::{NoiseSchedule, Sampling, Solver, limits};

use crate::checkpoint::ConfigFields;

/// The keys of every family; each may be absent.
pub(super) struct CommonKeys {
    /// `_sakuga_name`: what requests call the model. By default the name of its folder, or of its file without the ending.
    pub name: String,
    /// `_sakuga_notice`: what a user must know.
    pub notice: String,
    /// `_sakuga_default_size_px`: width and height of a request that names none, before it is rounded to what the networks
    /// take.
    pub default_size_px: usize,
    /// `_sakuga_default_*`: how the model is sampled unless a request says otherwise.
    pub sampling: Sampling,
}

/// What a family does without the keys, and what it allows.
pub(super) struct Defaults {
    /// Width and height in pixels.
    pub size_px: usize,
    /// The longest edge in pixels.
    pub edge_max_px: usize,
    /// The sampling options.
    pub sampling: Sampling,
    /// The solvers that it can be sampled with.
    pub solvers: &'static [Solver],
    /// The noise schedules that it can be sampled with.
    pub schedules: &'static [NoiseSchedule],
    /// Whether its times can be shifted.
    pub has_shift: bool,
}

impl CommonKeys {
    /// Reads the keys of the model at `path`. Values that are wrong are rejected in `fields`.
    pub(crate) fn read(fields: &ConfigFields<'_>, path: &Path, defaults: &Defaults) -> Self {
        let own_name = if path.is_file() { path.file_stem() } else { path.file_name() };
        let own_name = own_name.map(|name| name.to_string_lossy().into_owned());
        Self {
            name: fields.text_or("_sakuga_name", own_name.as_deref().unwrap_or("model")),
            notice: fields.text_or("_sakuga_notice", ""),
            default_size_px: fields.count_or("_sakuga_default_size_px", defaults.size_px, 1..=defaults.edge_max_px),
            sampling: sampling(fields, defaults),
        }
    }
}

/// The `_sakuga_default_*` keys of the sampler. Their bounds are those of a request.
fn sampling(fields: &ConfigFields<'_>, defaults: &Defaults) -> Sampling {
    let mut sampling = defaults.sampling;
    let solver = named(fields, "_sakuga_default_solver", sampling.solver, defaults.solvers, Solver::name);
    // The schedule that goes with the solver, unless the index names one.
    let usual = match solver == sampling.solver {
        true => sampling.schedule,
        false => NoiseSchedule::usual(solver, defaults.schedules),
    };
    sampling.schedule = named(fields, "_sakuga_default_schedule", usual, defaults.schedules, NoiseSchedule::name);
    sampling.solver = solver;
    let steps = limits::STEPS.min as usize..=limits::STEPS.max as usize;
    sampling.steps = fields.count_or("_sakuga_default_steps", sampling.steps as usize, steps) as u32;
    let key = |field: &str| format!("_sakuga_default_{}", field.rsplit('.').next().unwrap_or(field));
    for number in Sampling::NUMBERS {
        let range = decimal(number.limit.min)..=decimal(number.limit.max);
        let value = fields.number_or(&key(number.limit.field), decimal(number.get(&sampling)), range);
        number.set(&mut sampling, value as f32);
    }
    if !defaults.has_shift && sampling.shift != 1.0 {
        fields.reject(format!(
            "`_sakuga_default_shift` is {}, but the times of this family are not shifted",
            sampling.shift
        ));
        sampling.shift = 1.0;
    }
    // Each number is within its bounds here; the faults are numbers that do not go together.
    for fault in sampling.faults() {
        fields.reject(format!("`{}`: {}", key(fault.field), fault.text));
    }
    sampling
}

/// The value of a key that names one of those offered; `default` if the key is absent or wrong.
fn named<T: Copy + PartialEq + FromStr>(
    fields: &ConfigFields<'_>,
    key: &str,
    default: T,
    offered: &[T],
    name: impl Fn(T) -> &'static str,
) -> T {
    let text = fields.text_or(key, name(default));
    text.parse().ok().filter(|value| offered.contains(value)).unwrap_or_else(|| {
        let names: Vec<&str> = offered.iter().map(|value| name(*value)).collect();
        let names = names.join(" or ");
        fields.reject(format!("`{key}` is `{text}`, which this family does not have: use {names}"));
        default
    })
}

/// The number that is written like this one: 0.1 and not 0.10000000149.
fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::from(number))
}

#[cfg(test)]
mod tests {
    use sakuga_model_core::{Guidance, Quality};
    use serde_json::{Value, json};

    use super::*;

    const DEFAULTS: Defaults = Defaults {
        size_px: 1024,
        edge_max_px: 8192,
        sampling: Sampling {
            solver: Solver::Dpm,
            schedule: NoiseSchedule::Karras,
            steps: 30,
            guidance: Guidance::new(7.0),
            shift: 1.0,
            quality: Quality::Exact,
            step_cache: None,
        },
        solvers: &[Solver::Euler, Solver::Dpm],
        schedules: &NoiseSchedule::ALL,
        has_shift: false,
    };

    fn read(index: Value) -> Result<CommonKeys, String> {
        let fields = ConfigFields::new(&index);
        let keys = CommonKeys::read(&fields, Path::new("models/anime"), &DEFAULTS);
        fields.finish().map(|()| keys).map_err(|error| error.to_string())
    }

    #[test]
    fn absent_keys_leave_the_defaults_of_the_family() {
        let keys = read(json!({})).expect("every key may be absent");
        assert_eq!((keys.name.as_str(), keys.notice.as_str(), keys.default_size_px), ("anime", "", 1024));
        assert_eq!(keys.sampling, DEFAULTS.sampling);
    }

    #[test]
    fn keys_change_the_defaults() {
        let keys = read(json!({
            "_sakuga_name": "a", "_sakuga_notice": "b", "_sakuga_default_size_px": 512,
            "_sakuga_default_solver": "euler", "_sakuga_default_schedule": "karras",
            "_sakuga_default_steps": 20, "_sakuga_default_guidance_scale": 4.5,
        }))
        .expect("valid keys");
        assert_eq!((keys.name.as_str(), keys.notice.as_str(), keys.default_size_px), ("a", "b", 512));
        let expected = Sampling {
            solver: Solver::Euler,
            schedule: NoiseSchedule::Karras,
            steps: 20,
            guidance: Guidance::new(4.5),
            ..DEFAULTS.sampling
        };
        assert_eq!(keys.sampling, expected);
    }

    #[test]
    fn what_the_family_does_not_have_is_refused_by_key() {
        let error = read(json!({
            "_sakuga_default_solver": "rk4", "_sakuga_default_steps": 0, "_sakuga_default_shift": 6.0,
        }))
        .err()
        .expect("three faults");
        for key in ["_sakuga_default_solver", "use euler or dpm", "_sakuga_default_steps", "_sakuga_default_shift"] {
            assert!(error.contains(key), "{key}: {error}");
        }
    }
}
