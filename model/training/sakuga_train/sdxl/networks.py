"""The three networks that are trained together, in one flat dictionary: `unet/...`, `clip_l/...`, `clip_g/...`."""

import jax.numpy as jnp
import numpy as np

from ..layers import F32, stored
from . import clip_text, noise, unet

NAMES = ("unet", "clip_l", "clip_g")
TOKENS = 77


def completed(config):
    """The configuration with what follows from it."""
    for name in ("clip_l", "clip_g"):
        config[name] |= {"vocab": config["vocab"], "tokens": TOKENS}
    # The tokenizer's last two entries.
    config |= {"start": config["vocab"] - 2, "end": config["vocab"] - 1}
    return config


def init(config, seed):
    keys = np.random.default_rng(seed).spawn(len(NAMES))
    parts = {
        "unet": unet.init(config, keys[0]),
        "clip_l": clip_text.init(config["clip_l"], keys[1]),
        "clip_g": clip_text.init(config["clip_g"], keys[2]),
    }
    return {f"{part}/{name}": value for part, weights in parts.items() for name, value in weights.items()}


def by_network(params, dtype=None):
    """Weights of each network by their names within it."""
    parts = {name: {} for name in NAMES}
    for name, value in params.items():
        part, rest = name.split("/", 1)
        parts[part][rest] = value if dtype is None else value.astype(dtype)
    return parts


def read_texts(config, parts, body, lengths):
    return clip_text.read(config, parts["clip_l"], parts["clip_g"], body, lengths)


def sizes(count, height, width):
    """What the service gives the network for a picture of this size in pixels, `[count, 6]`."""
    return jnp.broadcast_to(jnp.asarray([height, width, 0, 0, height, width], F32), (count, unet.SIZES))


def loss(config, params, data, body, lengths, times, draw, dropped, dtype):
    """Mean squared error of the velocity. data and draw are `[B, h, w, 4]` in f32; dropped rows have no prompt: zeros."""
    parts = by_network(stored(params, config.get("weights")), dtype)
    context, pooled = read_texts(config, parts, body, lengths)
    context = jnp.where(dropped[:, None, None], 0, context)
    pooled = jnp.where(dropped[:, None], 0, pooled)
    share = jnp.asarray(noise.alphas_cumprod())[times][:, None, None, None]
    noisy, velocity = noise.mixed(data, draw, share)
    shape = sizes(len(data), 8 * data.shape[1], 8 * data.shape[2])
    found = unet.predict(config, parts["unet"], noisy, times, context, pooled, shape)
    return jnp.square(found - velocity).mean()


def sample(config, parts, body, lengths, draw, steps, guidance):
    """Latents of texts from noise `[B, h, w, 4]`."""
    context, pooled = read_texts(config, parts, body, lengths)
    both = (jnp.concatenate([context, jnp.zeros_like(context)]), jnp.concatenate([pooled, jnp.zeros_like(pooled)]))
    shape = sizes(2 * len(draw), 8 * draw.shape[1], 8 * draw.shape[2])

    def predict(x, t):
        times = jnp.full((2 * len(x),), t)
        return jnp.split(unet.predict(config, parts["unet"], jnp.concatenate([x, x]), times, *both, shape), 2)

    return noise.sample(predict, draw, steps, guidance)
