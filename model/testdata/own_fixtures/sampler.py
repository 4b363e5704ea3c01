"""Time grids and solvers."""

import math

import numpy as np

from .files import OUT, write_json, write_tensors
from .numerics import draw, f64


def ode_grid(points, shift):
    t = np.linspace(0, 1, points)
    return t / (t + shift - shift * t)


def dpm_sigmas(steps, shift):
    sigma = np.linspace(0.999, 0, steps + 1)
    return shift * sigma / (1 + (shift - 1) * sigma)


def solve(method, count, shift, x, field):
    """States and the times at which `field` was asked. `count` is points, or steps for dpm."""
    states, times = [x], []

    def v(y, t):
        times.append(t)
        return field(y, t)

    if method == "dpm":
        sigmas, previous = dpm_sigmas(count, shift), None
        lam = lambda s: math.log(1 - s) - math.log(s)
        for i, (s, t) in enumerate(zip(sigmas[:-1], sigmas[1:])):
            data = x + s * v(x, 1 - s)
            slope = 0.0
            if i + 1 < count:
                h = lam(t) - lam(s)
                if previous is not None:
                    slope = (data - previous[0]) / (previous[1] / h)
                previous = (data, h)
            factor = 1 - t - (1 - s) * t / s
            x = t / s * x + factor * (data + slope / 2)
            states.append(x)
        return np.stack(states), times
    grid = ode_grid(count, shift)
    for t, u in zip(grid[:-1], grid[1:]):
        d, k1 = u - t, v(x, t)
        if method == "euler":
            x = x + d * k1
        elif method == "midpoint":
            x = x + d * v(x + d / 2 * k1, t + d / 2)
        else:
            k2 = v(x + d / 3 * k1, t + d / 3)
            k3 = v(x + d * (k2 - k1 / 3), t + 2 * d / 3)
            k4 = v(x + d * (k1 - k2 + k3), u)
            x = x + d / 8 * (k1 + 3 * k2 + 3 * k3 + k4)
        states.append(x)
    return np.stack(states), times


def make_sampler():
    grids = {}
    for shift in (1, 2.5, 6):
        grids |= {f"ode.n{n}.shift{shift}": ode_grid(n, shift) for n in (2, 5, 18)}
        grids |= {f"dpm.sigmas.n{n}.shift{shift}": dpm_sigmas(n, shift) for n in (1, 2, 9)}
    tensors = {f"a.{name}": draw(2, 2, 3, 4) for name in ("x0", "target", "bias")}
    x0, target, bias = (tensors[f"a.{name}"].astype(f64) for name in ("x0", "target", "bias"))
    field = lambda x, t: (target - x) * (0.5 + t) + 0.3 * math.sin(3 * t) * bias + 0.2 * np.tanh(x)
    runs = []
    for method, count, shift in (("euler", 6, 6), ("midpoint", 5, 2.5), ("rk4", 4, 6), ("dpm", 7, 6), ("dpm", 1, 1)):
        name = f"{method}_{count}"
        states, times = solve(method, count, shift, x0, field)
        tensors[f"{name}.states"], tensors[f"{name}.x1"] = states, states[-1]
        tensors[f"{name}.model_times"] = np.array(times)
        key, grid = ("sigmas", dpm_sigmas(count, shift)) if method == "dpm" else ("times", ode_grid(count, shift))
        tensors[f"{name}.{key}"] = grid
        runs.append({"name": name, "method": method, "num_steps": count, "shift": shift, "field": "a"})
    directory = OUT / "sampler"
    write_json(directory / "cases.json", {"trajectories": runs})
    write_tensors(directory / "grids.safetensors", grids)
    write_tensors(directory / "trajectories.safetensors", tensors)
