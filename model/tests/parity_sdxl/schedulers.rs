//! Noise tables, schedules, solvers, and the arithmetic around them.

use std::ops::ControlFlow;

use burn::tensor::Tensor;
use sakuga_model::families::sdxl::scheduler::SchedulerConfig;
use sakuga_model::sampler::diffusion::levels::steps_of_ratios;
use sakuga_model::sampler::diffusion::{Named, Sampler, Scale, Solver, steps_to_run};
use sakuga_model::sampler::{Prediction, guidance};
use sakuga_model_core::Guidance;
use serde_json::Value;

use crate::harness::{Part, Tensors, for_each_set};

/// The last entry of ComfyUI's table with zero terminal SNR.
const COMFYUI_SMALLEST_ALPHA: f64 = 4.897_345_189_085_343_5e-8;

#[test]
fn tables_and_solvers_match_their_references() {
    for_each_set("schedulers", check);
}

fn check(part: &mut Part) {
    let open = |name: &str| Tensors::open(&part.dir.join(format!("{name}.safetensors")));
    let [tables, trajectories, functions, named] = ["tables", "trajectories", "functions", "comfyui_tables"].map(open);
    check_tables(part, &tables);
    check_trajectories(part, &trajectories);
    check_k_diffusion(part, &trajectories);
    check_functions(part, &functions);
    check_named(part, &named);
    for row in part.description["strength"].as_array().cloned().unwrap_or_default() {
        let number = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("a row has {key}"));
        let (steps, expected) = (number("steps") as usize, number("steps_run") as usize);
        let run = steps_to_run(steps, number("strength"));
        if run != expected || steps - run != number("first_step") as usize {
            part.fail(format!("{row} runs {run} steps"));
        }
    }
    for (file, tensors) in
        [("tables", &tables), ("trajectories", &trajectories), ("functions", &functions), ("comfyui_tables", &named)]
    {
        for name in tensors.untouched() {
            part.fail(format!("{name} of {file} was neither used nor compared"));
        }
    }
}

/// The configuration of a case with what all cases share.
pub(crate) fn scheduler(case: &Value, base: &Value) -> SchedulerConfig {
    let mut config = base.as_object().cloned().unwrap_or_default();
    config.extend(case["config"].as_object().cloned().unwrap_or_default());
    config.insert("_class_name".into(), case["class"].clone());
    SchedulerConfig::from_json(&Value::Object(config)).unwrap_or_else(|error| panic!("{case}: {error}"))
}

fn relative(part: &mut Part, label: &str, found: &[f64], expected: &[f32], limit: f64) {
    if found.len() != expected.len() {
        part.fail(format!("{label} has {} values, the reference {}", found.len(), expected.len()));
        return;
    }
    part.count();
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let expected = f64::from(*expected);
        if (found - expected).abs() > limit * expected.abs() {
            part.fail(format!("{label}[{i}] is {found}, the reference {expected}"));
        }
    }
}

fn check_tables(part: &mut Part, tables: &Tensors) {
    let rel = |kind: &str| part.number(&format!("/{kind}/rel"));
    let (plain_limit, zero_limit, sigma_limit) = (rel("alphas_cumprod"), rel("alphas_cumprod_zero_snr"), rel("sigmas"));
    let base = part.description["base_config"].clone();
    let plain = scheduler(&serde_json::json!({"class": "EulerDiscreteScheduler"}), &base).table;
    relative(part, "alphas_cumprod", plain.alphas(), &tables.f32s("alphas_cumprod"), plain_limit);
    for (name, class) in [("dpm", "DPMSolverMultistepScheduler"), ("euler", "EulerDiscreteScheduler")] {
        let case = serde_json::json!({"class": class, "config": {"rescale_betas_zero_snr": true}});
        let table = scheduler(&case, &base).table;
        let name = format!("alphas_cumprod_zero_snr_{name}");
        relative(part, &name, table.alphas(), &tables.f32s(&name), zero_limit);
    }
    for case in part.description["tables"].as_array().cloned().unwrap_or_default() {
        let name = case["name"].as_str().expect("a table has a name");
        let config = scheduler(&case, &base);
        let sampler = config.sampler(case["steps"].as_u64().expect("a table has steps") as usize);
        let times: Vec<f64> = sampler.steps.iter().map(|step| step.time).collect();
        let expected = tables.f32s(&format!("{name}.timesteps"));
        part.count();
        let whole = expected.iter().all(|time| time.fract() == 0.0);
        let near = |(found, expected): (&f64, &f32)| {
            let difference = (found - f64::from(*expected)).abs();
            if whole { difference == 0.0 } else { difference <= 2e-3 }
        };
        if times.len() != expected.len() || !times.iter().zip(&expected).all(near) {
            part.fail(format!("{name}.timesteps are {times:?}, the reference {expected:?}"));
        }
        let sigmas = format!("{name}.sigmas");
        if tables.has(&sigmas) {
            let mut ratios: Vec<f64> = sampler.steps.iter().map(|step| step.from.ratio()).collect();
            ratios.push(sampler.steps[sampler.steps.len() - 1].to.ratio());
            relative(part, &sigmas, &ratios, &tables.f32s(&sigmas), sigma_limit);
        }
        let initial = tables.f32s(&format!("{name}.init_noise_sigma"));
        relative(part, &format!("{name}.init_noise_sigma"), &[config.initial_factor(&sampler)], &initial, sigma_limit);
    }
}

fn check_named(part: &mut Part, named: &Tensors) {
    let limit = part.number("/sigmas/rel");
    let base = part.description["base_config"].clone();
    let plain = scheduler(&serde_json::json!({"class": "EulerDiscreteScheduler"}), &base).table;
    let zero = plain.clone().with_zero_terminal_snr().with_smallest(COMFYUI_SMALLEST_ALPHA);
    for steps in part.description["comfyui_table_steps"].as_array().cloned().unwrap_or_default() {
        let steps = steps.as_u64().expect("a number of steps") as usize;
        for (name, schedule) in Named::ALL {
            for (table, kind) in [(&plain, ""), (&zero, "_zero_snr")] {
                let tensor = format!("{name}{kind}_{steps}");
                relative(part, &tensor, &schedule.ratios(table, steps), &named.f32s(&tensor), limit);
            }
        }
    }
}

/// The formula that replaces the network: `0.8 tanh(x a + b) + 0.3 x / (1 + |x|) + c cos(3 t / 1000)`.
struct Formula {
    a: Tensor<4>,
    b: Tensor<4>,
    c: Tensor<4>,
}

impl Formula {
    fn open(tensors: &Tensors) -> Self {
        let tensor = |name: &str| tensors.tensor(&format!("inputs.{name}"));
        Self { a: tensor("a"), b: tensor("b"), c: tensor("c") }
    }

    fn apply(&self, x: &Tensor<4>, time: f64) -> Tensor<4> {
        let bent = (x.clone() * self.a.clone() + self.b.clone()).tanh().mul_scalar(0.8);
        let squashed = x.clone().mul_scalar(0.3) / x.clone().abs().add_scalar(1.0);
        bent + squashed + self.c.clone().mul_scalar((3.0 * time / 1000.0).cos())
    }
}

/// Walks a case and compares every state and every time.
fn walk(part: &mut Part, tensors: &Tensors, name: &str, sampler: &Sampler, first: usize, start: Tensor<4>) {
    let formula = Formula::open(tensors);
    let noises = tensors.tensor::<5>("inputs.noises");
    let mut times = Vec::new();
    let mut states = vec![start.clone()];
    let steps = first..sampler.steps.len();
    let finished = sampler.run(
        steps,
        start,
        &mut |x, time, _| {
            times.push(time as f32);
            formula.apply(x, time)
        },
        &mut |index| noises.clone().narrow(0, index - first, 1).squeeze_dim::<4>(0),
        &mut |finished| {
            states.push(finished.state.clone());
            ControlFlow::Continue(None)
        },
    );
    assert!(finished.is_continue());
    let expected = tensors.f32s(&format!("{name}.model_times"));
    let whole = expected.iter().all(|time| time.fract() == 0.0);
    let near =
        |(found, expected): (&f32, &f32)| if whole { found == expected } else { (found - expected).abs() <= 2e-3 };
    if times.len() != expected.len() || !times.iter().zip(&expected).all(near) {
        part.fail(format!("{name} asks at {times:?}, the reference at {expected:?}"));
    }
    let has_zero_snr = sampler.steps[0].from.ratio() > 1000.0;
    let kind = if has_zero_snr { "states_zero_snr" } else { "states" };
    compare_states(part, name, &states, &tensors.tensor(&format!("{name}.states")), kind);
}

/// Compares each state with its own tolerance, `abs + factor * largest value of that state`.
pub(crate) fn compare_states(part: &mut Part, label: &str, found: &[Tensor<4>], expected: &Tensor<5>, kind: &str) {
    let (abs, factor) =
        (part.number(&format!("/{kind}/abs")), part.number(&format!("/{kind}/plus_times_largest_value_of_that_state")));
    if found.len() != expected.dims()[0] {
        part.fail(format!("{label} has {} states, the reference {}", found.len(), expected.dims()[0]));
        return;
    }
    for (i, state) in found.iter().enumerate() {
        let expected: Vec<f32> =
            expected.clone().narrow(0, i, 1).squeeze_dim::<4>(0).try_into_vec_as().expect("f32 on the CPU");
        let state: Vec<f32> = state.clone().try_into_vec_as().expect("f32 on the CPU");
        let largest = expected.iter().fold(0.0_f64, |largest, value| largest.max(f64::from(value.abs())));
        let tolerance = crate::harness::Tolerance { max_abs: Some(abs + factor * largest), rel_l2: None };
        part.compare_values(&format!("{label}.states[{i}]"), &state, &expected, None, tolerance);
    }
}

fn check_trajectories(part: &mut Part, tensors: &Tensors) {
    let base = part.description["base_config"].clone();
    for case in part.description["trajectories"].as_array().cloned().unwrap_or_default() {
        let name = case["name"].as_str().expect("a case has a name");
        let steps = case["steps"].as_u64().expect("a case has steps") as usize;
        let mut config = scheduler(&case, &base);
        if let Some(eta) = case["eta"].as_f64() {
            config.solver = Solver::Ddim { eta };
        }
        let sampler = config.sampler(steps);
        let (image, noise) = (tensors.tensor::<4>("inputs.image"), tensors.tensor::<4>("inputs.x"));
        let (first, start) = match case["strength"].as_f64() {
            Some(strength) => {
                let first = steps - steps_to_run(steps, strength);
                (first, sampler.add_noise(&image, &noise, first))
            }
            None => (0, noise.mul_scalar(config.initial_factor(&sampler))),
        };
        walk(part, tensors, name, &sampler, first, start);
    }
}

fn check_k_diffusion(part: &mut Part, tensors: &Tensors) {
    let base = part.description["base_config"].clone();
    let table = scheduler(&serde_json::json!({"class": "EulerDiscreteScheduler"}), &base).table;
    let limit = part.number("/sigmas/rel");
    for case in part.description["k_diffusion"].as_array().cloned().unwrap_or_default() {
        let text = |key: &str| case[key].as_str().unwrap_or_else(|| panic!("{case} has {key}"));
        let name = text("name");
        let schedule = Named::ALL.into_iter().find(|(name, _)| *name == text("sigmas")).expect("a known schedule").1;
        let ratios = schedule.ratios(&table, case["steps"].as_u64().expect("steps") as usize);
        relative(part, &format!("{name}.sigmas"), &ratios, &tensors.f32s(&format!("{name}.sigmas")), limit);
        let is_whole = case["quantize"].as_bool() == Some(true);
        let time = |ratio: f64| if is_whole { table.nearest_time(ratio) as f64 } else { table.time(ratio) };
        let sampler = Sampler {
            solver: match text("sampler") {
                "sample_dpmpp_2m" => Solver::DPM_PP_2M,
                "sample_euler" => Solver::Euler,
                "sample_euler_ancestral" => Solver::EulerAncestral,
                other => panic!("{name}: unknown sampler {other}"),
            },
            steps: steps_of_ratios(&ratios, time),
            scale: Scale::GrowingVariance,
            prediction: match text("prediction") {
                "epsilon" => Prediction::Epsilon,
                "v_prediction" => Prediction::V,
                other => panic!("{name}: unknown prediction {other}"),
            },
        };
        let factor = match text("start") {
            "sigma" => ratios[0],
            "sqrt_1_plus_sigma2" => (1.0 + ratios[0] * ratios[0]).sqrt(),
            other => panic!("{name}: unknown start {other}"),
        };
        let start = tensors.tensor::<4>("inputs.x").mul_scalar(factor);
        walk(part, tensors, name, &sampler, 0, start);
    }
}

fn check_functions(part: &mut Part, tensors: &Tensors) {
    let (rel, abs) = (part.number("/functions/rel"), part.number("/functions/abs"));
    let compare = |part: &mut Part, name: &str, found: Tensor<4>| {
        let found: Vec<f32> = found.try_into_vec_as().expect("f32 on the CPU");
        let expected = tensors.f32s(name);
        part.count();
        let worst = found
            .iter()
            .zip(&expected)
            .find(|(found, expected)| f64::from((**found - **expected).abs()) > abs + rel * f64::from(expected.abs()));
        if let Some((found, expected)) = worst {
            part.fail(format!("{name}: {found} instead of {expected}"));
        }
    };
    let (conditional, unconditional) = (tensors.tensor::<4>("guidance.cond"), tensors.tensor::<4>("guidance.uncond"));
    let spec = part.description["spec"]["schedulers"].clone();
    let number = |value: &Value| value.as_f64().expect("a number");
    for scale in spec["guidance"]["scales"].as_array().expect("scales") {
        for share in spec["guidance"]["rescales"].as_array().expect("rescales") {
            let (scale, share) = (number(scale), number(share));
            let guided = guidance::combine(&Guidance::new(scale as f32), conditional.clone(), unconditional.clone());
            let found = if share > 0.0 { guidance::rescale(guided, &conditional, share) } else { guided };
            let name = format!("guidance.scale_{scale}_rescale_{share}").replace('.', "p").replacen('p', ".", 1);
            compare(part, &name, found);
        }
    }
    let base = part.description["base_config"].clone();
    let (image, noise) = (tensors.tensor::<4>("add_noise.image"), tensors.tensor::<4>("add_noise.noise"));
    for (name, case) in spec["add_noise"].as_object().expect("cases") {
        let sampler = scheduler(case, &base).sampler(case["steps"].as_u64().expect("steps") as usize);
        for start in case["starts"].as_array().expect("starts") {
            let start = start.as_u64().expect("a step") as usize;
            let noisy = sampler.add_noise(&image, &noise, start);
            compare(part, &format!("add_noise.{name}_start_{start}"), noisy);
        }
    }
}
