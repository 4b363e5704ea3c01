"""Pictures of a checkpoint for the texts of a data set, as packed RGB for `sakuga-figures judge`."""

import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from . import autoencoder, checkpoint, flow, next_dit
from .layers import F32
from .shards import tokens
from .tokenizer import body
from .train_dit import compute_dtype


class Artist:
    """A checkpoint ready to draw batches of one size."""

    def __init__(self, config, folder: Path, steps, batch=64):
        self.config, self.batch = config, batch
        self.tokenizer = body(folder)
        vae, scale, shift_of_latents = checkpoint.read_vae(folder)
        dtype = compute_dtype()
        networks = checkpoint.read_networks(folder)
        networks = jax.tree.map(lambda value: jnp.asarray(value, dtype), networks)
        vae = jax.tree.map(lambda value: jnp.asarray(value, dtype), vae)
        patch = config["dit"]["patch_size"]

        @partial(jax.jit, static_argnames="grid")
        def draw(ids, lengths, key, shift, guidance, grid):
            shape = (batch, grid[0] * grid[1], patch**2 * config["vae"]["latent_channels"])
            noise = jax.random.normal(key, shape, F32)
            x = flow.sample(config, networks, ids, lengths, noise, steps, shift, guidance, grid)
            x = next_dit.unpatchify(x, *grid, patch).transpose(0, 2, 3, 1)
            image = jax.lax.map(
                partial(autoencoder.decode, config["vae"], vae), (x / scale + shift_of_latents)[:, None]
            )
            return jnp.round(jnp.clip(image[:, 0] / 2 + 0.5, 0, 1) * 255).astype(jnp.uint8)

        self._draw = draw

    def draw(self, texts, size, shift, guidance, seed=0):
        """`[N, height, width, 3]` bytes for N texts, `size` being (height, width) in pixels."""
        ids, lengths = tokens(self.tokenizer, texts, max(self.config["tokens"]) - 2)
        lengths = np.minimum(lengths, ids.shape[1])
        cell = 8 * self.config["dit"]["patch_size"]
        grid = (size[0] // cell, size[1] // cell)
        images = []
        for i in range(0, len(texts), self.batch):
            part = [np.resize(values[i : i + self.batch], (self.batch, *values.shape[1:])) for values in (ids, lengths)]
            images.append(np.asarray(self._draw(*part, jax.random.key(seed + i), shift, guidance, grid)))
        return np.concatenate(images)[: len(texts)]


def draw_dataset(config, folder: Path, dataset: Path, form, out: Path, steps, shift, guidance, batch=64):
    """Draws every text of a data set's shards in one form (such as `xml`) into the file `out`; all have one size."""
    lines = [json.loads(line) for path in sorted(dataset.glob("*.jsonl")) for line in path.read_text().splitlines()]
    artist = Artist(config, folder, steps, batch)
    size = (lines[0]["height"], lines[0]["width"])
    artist.draw([line[form] for line in lines], size, shift, guidance).tofile(out)
