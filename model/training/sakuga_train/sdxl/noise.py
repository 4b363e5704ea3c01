"""The noise of Stable Diffusion with zero terminal SNR, v prediction, and sampling with guidance.

Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed" (arXiv 2305.08891); Salimans and Ho, "Progressive
Distillation for Fast Sampling of Diffusion Models" (arXiv 2202.00512).
"""

import jax
import jax.numpy as jnp
import numpy as np

TIMES = 1000
BETAS = (0.00085, 0.012)


def alphas_cumprod():
    """The share of the data's variance at each time, 0 at the last one."""
    betas = np.linspace(BETAS[0] ** 0.5, BETAS[1] ** 0.5, TIMES, dtype=np.float64) ** 2
    root = np.sqrt(np.cumprod(1 - betas))
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    return (root**2).astype(np.float32)


def mixed(data, noise, share):
    """Noisy latents and the velocity that the network is to predict; `share` broadcasts to them."""
    signal, spread = jnp.sqrt(share), jnp.sqrt(1 - share)
    return signal * data + spread * noise, signal * noise - spread * data


def trailing(steps):
    """The times of the steps, from the noisiest."""
    return np.round(np.arange(TIMES, 0, -TIMES / steps)).astype(np.int32) - 1


def sample(predict, noise, steps, guidance):
    """Euler over all steps, which is DDIM. `predict(x, t)` gives the conditional and the unconditional velocity."""
    shares = alphas_cumprod()
    times = trailing(steps)
    before = jnp.asarray(shares[times])
    after = jnp.asarray(np.append(shares[times[1:]], np.float32(1.0)))

    def step(x, interval):
        t, now, later = interval
        conditional, unconditional = predict(x, t)
        v = unconditional + guidance * (conditional - unconditional)
        data = jnp.sqrt(now) * x - jnp.sqrt(1 - now) * v
        noise = jnp.sqrt(1 - now) * x + jnp.sqrt(now) * v
        return jnp.sqrt(later) * data + jnp.sqrt(1 - later) * noise, None

    return jax.lax.scan(step, noise, (jnp.asarray(times), before, after))[0]
