"""DPM++ 2M (Lu et al. 2022) with Karras' schedule (Karras et al. 2022) for networks that predict noise, as Stable Diffusion XL's."""

import math

import torch

BETA_START, BETA_END, TIMES, RHO = 0.00085, 0.012, 1000, 7.0


def karras(steps):
    """`steps` noise levels from the largest to the smallest and then 0, and the training time of each but the last."""
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, TIMES, dtype=torch.float64) ** 2
    kept = torch.cumprod(1 - betas, 0)
    levels = ((1 - kept) / kept).sqrt()
    ends = [float(level) ** (1 / RHO) for level in (levels[-1], levels[0])]
    share = torch.linspace(0, 1, steps, dtype=torch.float64)
    sigmas = (ends[0] + share * (ends[1] - ends[0])) ** RHO
    logs = levels.log()
    times = []
    for sigma in sigmas:
        after = int(torch.searchsorted(logs, sigma.log()).clamp(1, TIMES - 1))
        low, high = logs[after - 1], logs[after]
        times.append(round(float(after - 1 + ((sigma.log() - low) / (high - low)).clamp(0, 1))))
    return [*map(float, sigmas), 0.0], times


def dpmpp_2m(predict, noise, sigmas, times, see=lambda state: None):
    """Carries noise to data. `predict(state, time, place)` is the noise in a state scaled to a variance of 1; states are f32."""

    def alpha_of(sigma):
        return 1 / math.sqrt(1 + sigma * sigma)

    x, before = noise, None
    for place, time in enumerate(times):
        sigma, after = sigmas[place], sigmas[place + 1]
        alpha, next_alpha = alpha_of(sigma), alpha_of(after)
        # `x` is alpha times data plus alpha sigma times noise.
        data = (x - alpha * sigma * predict(x, time, place).float()) / alpha
        if after == 0:
            x = data
        else:
            step = math.log(sigma / after)
            guess = data
            if before is not None:
                ratio = math.log(sigmas[place - 1] / sigma) / step
                guess = data + (data - before) / (2 * ratio)
            x = (next_alpha * after) / (alpha * sigma) * x - next_alpha * math.expm1(-step) * guess
        before = data
        see(x)
    return x
