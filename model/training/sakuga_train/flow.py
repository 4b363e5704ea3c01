"""Rectified flow: t from 0 (noise) to 1 (data), velocity = data - noise, and sampling along it with guidance."""

from functools import partial

import jax
import jax.numpy as jnp

from . import encoders, next_dit
from .layers import F32


def read_texts(config, networks, body, lengths):
    """Caption features, their lengths and the pooled vectors of token ids without anything around them."""
    gemma_ids = encoders.gemma_ids(body, lengths)
    caption = encoders.gemma(config["gemma"], networks["gemma"], gemma_ids)
    pooled = encoders.jina(config["jina"], networks["jina"], encoders.jina_ids(body, lengths))
    return caption, lengths + 1, pooled


def shifted(t, shift):
    """The time grid of the samplers: a shift above 1 spends more of it near the noise."""
    return t / (t + shift - shift * t)


def training_times(key, batch):
    """Times to train at, spread evenly over the batch: half uniform, half around the noisier middle."""
    first, second = jax.random.split(key)
    u = (jnp.arange(batch) + jax.random.uniform(first, (batch,))) / batch
    u = jax.random.permutation(second, u)
    middle = shifted(jax.nn.sigmoid(jax.scipy.special.ndtri(jnp.clip(u, 1e-4, 1 - 1e-4))), 2.0)
    return jnp.where(jnp.arange(batch) % 2 == 0, u, middle)


def loss(config, networks, data, body, lengths, t, noise, grid):
    """Mean squared error of the velocity; data and noise are patches `[B, N, ppC]` in f32, those of the grid count."""
    d = config["dit"]
    caption, caption_lengths, pooled = read_texts(config, networks, body, lengths)
    x = t[:, None, None] * data + (1 - t)[:, None, None] * noise
    found = next_dit.velocity(d, networks["dit"], x, t, caption, caption_lengths, pooled, grid)
    count = grid[0] * grid[1]
    squared = jnp.square(found - (data - noise)).mean(-1)
    return jnp.where(jnp.arange(squared.shape[1]) < count, squared, 0).sum() / (count * len(squared))


def sample(config, networks, body, lengths, noise, steps, shift, guidance, grid):
    """Euler over `steps` intervals from noise patches to data patches, guidance on every step."""
    d = config["dit"]
    both = jnp.concatenate([body, jnp.zeros_like(body)]), jnp.concatenate([lengths, jnp.zeros_like(lengths)])
    caption, caption_lengths, pooled = read_texts(config, networks, *both)
    times = shifted(jnp.linspace(0.0, 1.0, steps + 1), shift)
    speed = partial(next_dit.velocity, d, networks["dit"])

    def step(x, interval):
        t, after = interval
        time = jnp.full((2 * len(x),), t, F32)
        v = speed(jnp.concatenate([x, x]), time, caption, caption_lengths, pooled, grid)
        conditional, unconditional = jnp.split(v, 2)
        return x + (after - t) * (unconditional + guidance * (conditional - unconditional)), None

    return jax.lax.scan(step, noise, (times[:-1], times[1:]))[0]
