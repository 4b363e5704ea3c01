"""Pictures of a checkpoint for the texts of a data set, as packed RGB for `sakuga-figures judge`, and a contact sheet."""

import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from .. import autoencoder
from ..checkpoint import read_vae
from ..layers import F32
from . import checkpoint, networks
from .tokenizer import Clip
from .train import compute_dtype


def draw(config, folder: Path, texts, size, steps, guidance, batch=64, seed=0):
    """`[N, height, width, 3]` bytes for N texts, `size` being (height, width) in pixels."""
    dtype = compute_dtype()
    parts = jax.tree.map(jnp.asarray, networks.by_network(checkpoint.read_networks(folder), dtype))
    vae, scale, shift = read_vae(folder)
    vae = {name: jnp.asarray(value, dtype) for name, value in vae.items()}
    bodies, lengths, counts = Clip(folder).bodies(texts, networks.TOKENS - 2, config["chunks"])

    @jax.jit
    def some(body, lengths, key):
        noise = jax.random.normal(key, (len(body), size[0] // 8, size[1] // 8, 4), F32)
        x = networks.sample(config, parts, body, lengths, noise, steps, guidance)
        image = jax.lax.map(partial(autoencoder.decode, config["vae"], vae), (x / scale + shift)[:, None])
        return jnp.round(jnp.clip(image[:, 0] / 2 + 0.5, 0, 1) * 255).astype(jnp.uint8)

    images = np.zeros((len(texts), *size, 3), np.uint8)
    counts = np.minimum(counts, config["chunks"])
    for chunks in range(1, config["chunks"] + 1):
        (which,) = np.nonzero(counts == chunks)
        for first in range(0, len(which), batch):
            rows = which[first : first + batch]
            filled = np.resize(rows, min(batch, len(which)))
            arguments = bodies[filled][:, :chunks].astype(np.int32), lengths[filled][:, :chunks].astype(np.int32)
            images[rows] = np.asarray(some(*arguments, jax.random.key(seed + 1000 * chunks + first)))[: len(rows)]
    return images


def draw_dataset(config, folder: Path, dataset: Path, out: Path, sheet: Path | None, steps, guidance, batch):
    """Draws the tags of every picture of a data set, which all have one size, into the file `out`."""
    lines = [
        json.loads(line) for path in sorted(dataset.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()
    ]
    size = (lines[0]["height"], lines[0]["width"])
    images = draw(config, folder, [line["flat-tags"] for line in lines], size, steps, guidance, batch)
    images.tofile(out)
    if sheet is not None:
        write_sheet(sheet, images[:24], 6)


def write_sheet(path: Path, images, columns):
    """Pictures side by side as a PNG."""
    import struct
    import zlib

    rows = -(-len(images) // columns)
    height, width = images.shape[1:3]
    canvas = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for place, image in enumerate(images):
        top, left = place // columns * height, place % columns * width
        canvas[top : top + height, left : left + width] = image

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = np.pad(canvas.reshape(len(canvas), -1), ((0, 0), (1, 0)))
    header = struct.pack(">IIBBBBB", canvas.shape[1], canvas.shape[0], 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
