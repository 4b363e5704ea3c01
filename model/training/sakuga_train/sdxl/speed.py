"""How long the training step takes to compile and to run, on noise."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from .. import optimiser
from ..train_vae import Static
from . import networks
from .train import SEED, capacities, compute_dtype, gradients, latent_size, update


def measure(config, size, chunks, steps, capacity, log):
    """Compiles the gradients of one size of pictures and the optimiser, and runs `steps` steps."""
    c, batch, inside = Static(config), config["batch"], networks.TOKENS - 2
    log(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, batch {batch}, {size} px, {chunks} chunks")
    state = jax.jit(optimiser.init)(networks.init(config, SEED))
    # The shape of the pool in `train`, so that a compilation cache serves both.
    count = capacities(config, capacity)[latent_size(size)]
    latents = jnp.zeros((count, *latent_size(size), 4), compute_dtype())
    rng = np.random.default_rng(1)
    begun = time.time()
    value = None
    for step in range(steps + 2):
        rows = rng.integers(0, count, batch).astype(np.int32)
        body = rng.integers(0, config["vocab"], (batch, chunks, inside)).astype(np.int32)
        lengths = np.full((batch, chunks), inside - 5, np.int32)
        value, grads = gradients(c, state["params"], latents, rows, body, lengths, jax.random.key(step))
        if step == 0:
            value.block_until_ready()
            log(f"gradients compiled and run once after {time.time() - begun:.1f} s")
        state, _ = update(state, grads, jnp.float32(1e-3), config["weight_decay"])
        if step == 1:
            jax.block_until_ready(state["params"])
            log(f"optimiser compiled and run after {time.time() - begun:.1f} s")
            begun = time.time()
    jax.block_until_ready(state["params"])
    spent = time.time() - begun
    log(f"{steps / spent:.2f} steps a second, {1e3 * spent / steps:.1f} ms a step, loss {float(value):.4f}")
