//! Grids and trajectories of every solver, over the velocity field that the set describes.

use std::ops::ControlFlow;

use burn::tensor::Tensor;
use sakuga_model::sampler::schedule::{dpm_sigmas, ode_times};
use sakuga_model::sampler::{Schedule, integrate};
use sakuga_model_core::Solver;
use serde_json::Value;

use crate::harness::{Part, Tensors, Tolerance, for_each_set};

#[test]
fn the_samplers_match_their_references() {
    for_each_set("sampler", |part| {
        grids(part);
        trajectories(part);
    });
}

/// `ode.n<points>.shift<shift>`, `ode.n<points>.none` and `dpm.sigmas.n<steps>.shift<shift>`.
fn grids(part: &mut Part) {
    let tolerance = part.tolerance("grids");
    let file = Tensors::open(&part.dir.join("grids.safetensors"));
    for name in file.names() {
        let parsed = name.strip_prefix("ode.n").map(|rest| (true, rest));
        let parsed = parsed.or_else(|| name.strip_prefix("dpm.sigmas.n").map(|rest| (false, rest)));
        let grid = parsed.and_then(|(is_ode, rest)| {
            let (count, shift) = rest.split_once('.')?;
            let count: usize = count.parse().ok()?;
            let shift: f64 = if shift == "none" { 1.0 } else { shift.strip_prefix("shift")?.parse().ok()? };
            Some(if is_ode { ode_times(count - 1, shift) } else { dpm_sigmas(count, shift) })
        });
        match grid {
            Some(grid) => part.compare_values(&name, &to_f32(&grid), &file.f32s(&name), None, tolerance),
            None => part.fail(format!("grid of an unknown kind: {name}")),
        }
    }
}

fn trajectories(part: &mut Part) {
    let file = Tensors::open(&part.dir.join("trajectories.safetensors"));
    let cases = part.description["trajectories"].as_array().cloned().unwrap_or_default();
    assert!(!cases.is_empty(), "cases.json lists trajectories");
    for case in cases {
        trajectory(part, &file, &case);
    }
    for name in file.untouched() {
        part.fail(format!("{name} is in the fixture but was neither used nor compared"));
    }
}

fn trajectory(part: &mut Part, file: &Tensors, case: &Value) {
    let text = |key: &str| case[key].as_str().unwrap_or_else(|| panic!("a trajectory has `{key}`"));
    let (name, field) = (text("name"), text("field"));
    let solver: Solver = text("method").parse().unwrap_or_else(|error| panic!("{name}: {error}"));
    let number = |key: &str| case[key].as_f64().unwrap_or_else(|| panic!("{name} has `{key}`"));
    let count = number("num_steps") as usize;
    // The reference counts points for the solvers of differential equations and steps for the other.
    let intervals = if solver == Solver::Dpm { count } else { count - 1 };
    let schedule = Schedule::new(solver, intervals, number("shift"));

    let tensor = |tensor: &str| file.tensor::<4>(&format!("{field}.{tensor}"));
    let (noise, target, bias) = (tensor("x0"), tensor("target"), tensor("bias"));
    let mut model_times = Vec::new();
    let mut states = vec![noise.clone()];
    let end = integrate(
        &schedule,
        noise,
        &mut |x: &Tensor<4>, t| {
            model_times.push(t);
            let pull = target.clone().sub(x.clone()).mul_scalar(0.5 + t);
            pull.add(bias.clone().mul_scalar(0.3 * (3.0 * t).sin())).add(x.clone().tanh().mul_scalar(0.2))
        },
        &mut |interval| {
            states.push(interval.state.clone());
            ControlFlow::Continue(())
        },
    );
    let ControlFlow::Continue(end) = end else { unreachable!("nothing stops the walk") };

    let on_grid = part.tolerance("grids");
    let on_path = part.tolerance(if solver == Solver::Dpm { "dpm_states" } else { "ode_states" });
    let mut compare = |tensor: &str, found: Vec<f32>, tolerance: Tolerance| {
        let name = format!("{name}.{tensor}");
        if file.has(&name) {
            part.compare_values(&name, &found, &file.f32s(&name), None, tolerance);
        }
    };
    compare("times", to_f32(schedule.times()), on_grid);
    compare("sigmas", to_f32(schedule.sigmas()), on_grid);
    compare("model_times", to_f32(&model_times), on_grid);
    compare("states", host(Tensor::stack::<5>(states, 0)), on_path);
    compare("x1", host(end), on_path);
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().expect("f32 on the CPU")
}

fn to_f32(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}
