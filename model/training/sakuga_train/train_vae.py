"""Training of the autoencoder: L1 of pixels and of their gradients, and a weak pull of the posterior to a normal one."""

import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from . import autoencoder, checkpoint, optimiser
from .layers import F32, stored
from .shards import Stream

KL_WEIGHT = 2e-4
PEAK_RATE = 3e-3
# Crops are small for this share of the time, then large.
SMALL_UNTIL = 0.8


def _loss(config, weights, images, key):
    small = {name: value.astype(_dtype()) for name, value in stored(weights, config.get("weights")).items()}
    mean, logvar = autoencoder.encode(config, small, images)
    latents = mean + jnp.exp(0.5 * logvar) * jax.random.normal(key, mean.shape)
    drawn = autoencoder.decode(config, small, latents)
    error = drawn - images
    edges = jnp.abs(jnp.diff(error, axis=1)).mean() + jnp.abs(jnp.diff(error, axis=2)).mean()
    kl = 0.5 * (jnp.square(mean) + jnp.exp(logvar) - 1 - logvar).mean()
    return jnp.abs(error).mean() + 0.5 * edges + KL_WEIGHT * kl, jnp.square(error).mean()


def _dtype():
    return jnp.bfloat16 if jax.default_backend() == "gpu" else F32


@partial(jax.jit, static_argnames=("config", "crop", "batch", "steps"), donate_argnames="state")
def _steps(config, state, pool, key, rates, crop, batch, steps):
    def body(state, inputs):
        key, rate = inputs
        pick, place, noise = jax.random.split(key, 3)
        rows = jax.random.randint(pick, (batch,), 0, pool.shape[0])
        corners = jax.random.randint(place, (batch, 2), 0, pool.shape[1] - crop + 1)

        def cut(row, corner):
            return jax.lax.dynamic_slice(pool, (row, corner[0], corner[1], 0), (1, crop, crop, 3))[0]

        images = jax.vmap(cut)(rows, corners).astype(F32) / 127.5 - 1
        (loss, squared), grads = jax.value_and_grad(partial(_loss, config.value), has_aux=True)(
            state["params"], images, noise
        )
        state, _ = optimiser.update(state, grads, rate, 0.0)
        return state, (loss, squared)

    return jax.lax.scan(body, state, (jax.random.split(key, steps), rates))


class Static:
    """A configuration that `jit` may compare."""

    def __init__(self, value):
        self.value, self.text = value, repr(value)

    def __hash__(self):
        return hash(self.text)

    def __eq__(self, other):
        return self.text == other.text


def train(config, shards: Path, out: Path, seconds, pictures, log, steps, most):
    """Trains for about `seconds` or `most` steps, and writes `out/vae` and `out/preview_decoder`.

    `steps` are made between two looks at the clock.
    """
    stream = Stream(shards)
    images = [stream.next()]
    while sum(map(len, images)) < pictures:
        images.append(stream.next())
    images = np.concatenate(images)[:pictures]
    held_back, pool = jnp.asarray(images[:16]), jnp.asarray(images[16:])
    log(f"{len(pool)} pictures to learn from")

    c = Static(config["vae"])
    weights = autoencoder.init(config["vae"], np.random.default_rng(1))
    state = jax.jit(optimiser.init)(weights)
    key, begun, step, is_first = jax.random.key(2), time.time(), 0, True
    while True:
        share = (time.time() - begun) / seconds
        if share >= 1 or step >= most:
            break
        size = 0 if share < SMALL_UNTIL else 1
        crop, batch = config["vae_crops_px"][size], config["vae_batches"][size]
        key, now = jax.random.split(key)
        rate = PEAK_RATE * min(1.0, (step + 1) / 200) * min(1.0, (1.02 - share) / 0.7)
        rates = jnp.full((steps,), rate, F32)
        state, (loss, squared) = _steps(c, state, pool, now, rates, crop=crop, batch=batch, steps=steps)
        loss = float(loss.mean())
        if is_first:
            # Compiling is not training.
            is_first, begun = False, time.time()
        step += steps
        if (step // steps) % 20 == 1:
            psnr = -10 * np.log10(float(squared.mean()) / 4)
            log(f"step {step} share {share:.2f} crop {crop} rate {rate:.2e} loss {loss:.4f} psnr {psnr:.2f} dB")

    weights = checkpoint.rounded(state["average"], config["vae"].get("weights"))
    some = pool[:512]
    latents, scale, shift = statistics(config["vae"], weights, some)
    preview = linear_preview(config["vae"], (latents - shift) * scale, some)
    checkpoint.write_vae(out, config, weights, scale, shift, preview)
    drawn = jax.jit(partial(autoencoder.decode, config["vae"]))(
        weights, jax.jit(partial(autoencoder.encode, config["vae"]))(weights, held_back / 127.5 - 1)[0]
    )
    error = jnp.square(jnp.clip(drawn, -1, 1) - (held_back / 127.5 - 1)).mean((1, 2, 3)) / 4
    psnr = float((-10 * jnp.log10(error)).mean())
    log(
        f"{step} steps; round trip of {len(held_back)} pictures held back: {psnr:.2f} dB; scale {scale:.4f} shift {shift:.4f}"
    )
    return {"steps": step, "psnr_db": psnr, "pictures": len(pool)}


def statistics(config, weights, images):
    """Latents of pictures, and the scale and shift that give them mean 0 and deviation 1."""
    encode = jax.jit(lambda batch: autoencoder.encode(config, weights, batch.astype(F32) / 127.5 - 1)[0])
    latents = np.concatenate([np.asarray(encode(images[i : i + 16])) for i in range(0, len(images) // 16 * 16, 16)])
    return latents, float(1 / latents.std()), float(latents.mean())


def linear_preview(config, latents, images):
    """Ridge regression of the mean colour of each block of pixels on its latent vector."""
    factor = 2 ** (len(config["channels"]) - 1)
    n, h, w, _ = latents.shape
    colours = np.asarray(images[:n], np.float32).reshape(n, h, factor, w, factor, 3).mean((2, 4)).reshape(-1, 3) / 255
    rows = np.concatenate([latents.reshape(n * h * w, -1), np.ones((n * h * w, 1))], 1)
    gram = rows.T @ rows + 1e-3 * np.eye(rows.shape[1])
    solution = np.linalg.solve(gram, rows.T @ colours)
    return {"weights": np.round(solution[:-1], 5).tolist(), "bias": np.round(solution[-1], 5).tolist()}
