"""From noise to latents: shifted times, guidance, Euler steps. States are f32 whatever the network computes in."""

import torch


def ode_times(intervals, shift):
    """`intervals + 1` times from 0 (noise) to 1 (data), moved towards noise by `shift`."""
    linear = [i / intervals for i in range(intervals + 1)]
    return [t / (t + shift - shift * t) for t in linear]


def guide(conditional, unconditional, scale, renorm=0.0):
    """`u + scale (c - u)`, at most `renorm` times as long as `c` for each sample; 0 means no bound."""
    guided = unconditional + scale * (conditional - unconditional)
    if renorm > 0:
        axes = (1, 2, 3)
        bound = renorm * torch.linalg.vector_norm(conditional, dim=axes, keepdim=True)
        guided = guided * (bound / torch.linalg.vector_norm(guided, dim=axes, keepdim=True)).clamp(max=1)
    return guided


def guided_velocity(network, caption, lengths, pooled, shape, scale, until=1.0, renorm=0.0):
    """A function of (x, t) for `shape` [images, C, H, W]: row 0 of the texts is the prompt, row 1 the negative.

    Both halves are one batch while `t < until`, the conditional one alone afterwards, or always if the scale is 1.
    """
    images, _, height, width = shape
    patch = network.config.patch_size

    def prepared(rows):
        grids = [(height // patch, width // patch)] * len(rows)
        return network.prepare(caption[rows], [lengths[row] for row in rows], pooled[rows], grids)

    alone = prepared([0] * images)
    both = prepared([0] * images + [1] * images) if scale != 1 else None

    def velocity(x, t):
        if both is None or t >= until:
            return network(alone, x, torch.full((images,), t))
        found = network(both, torch.cat([x, x]), torch.full((2 * images,), t))
        # The authors mix the halves in the network's type; here the network's rounding is the only one.
        return guide(*found.chunk(2), scale, renorm)

    return velocity


def euler(velocity, noise, times, see=lambda state: None):
    """Carries noise along the times."""
    x = noise
    for t, after in zip(times[:-1], times[1:], strict=True):
        x = x + (after - t) * velocity(x, t)
        see(x)
    return x
