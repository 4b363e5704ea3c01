"""What training reads: latents on the device by their size, texts on the host by their number of chunks."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np


@partial(jax.jit, donate_argnames=("pool",))
def _put(pool, latents, at):
    return jax.lax.dynamic_update_slice(pool, latents.astype(pool.dtype), (at, 0, 0, 0))


class Texts:
    """Pairs of a picture and a text that run in the same program: rows of the latents, ids and lengths."""

    def __init__(self):
        self.count, self.arrays = 0, None

    def add(self, *values):
        """Appends rows, bodies and lengths. The arrays double when they are full, so that texts are seldom copied."""
        wanted = self.count + len(values[0])
        if self.arrays is None:
            self.arrays = [value.copy() for value in values]
        elif wanted > len(self.arrays[0]):
            size = max(wanted, 2 * len(self.arrays[0]))
            grown = [np.empty((size, *value.shape[1:]), value.dtype) for value in self.arrays]
            for new, old in zip(grown, self.arrays, strict=True):
                new[: self.count] = old[: self.count]
            self.arrays = grown
        for array, value in zip(self.arrays, values, strict=True):
            array[self.count : wanted] = value
        self.count = wanted

    def all(self):
        return tuple(array[: self.count] for array in self.arrays)

    def batch(self, rng, size):
        chosen = rng.integers(0, self.count, size)
        rows, bodies, lengths = (array[chosen] for array in self.arrays)
        return rows, bodies.astype(np.int32), lengths.astype(np.int32)


class Pool:
    """`capacities` are pictures of each size (height, width) of latents; texts have up to `chunks` chunks."""

    def __init__(self, capacities, chunks, dtype, make=jnp.zeros):
        self.chunks, self.capacities = chunks, capacities
        self.latents = {size: make((count, *size, 4), dtype) for size, count in capacities.items()}
        self.filled = dict.fromkeys(capacities, 0)
        self.texts, self.dropped = {}, 0

    @property
    def kinds(self):
        """The kinds of batches, (size, chunks)."""
        return [(size, chunks) for size in self.capacities for chunks in range(1, self.chunks + 1)]

    @property
    def pictures(self):
        return sum(self.filled.values())

    def is_full(self, count):
        """Whether no size has room for this number of pictures."""
        return not any(self.has_room(size, count) for size in self.capacities)

    def has_room(self, size, count):
        return size in self.capacities and self.filled[size] + count <= self.capacities[size]

    def add(self, latents, bodies, lengths, counts):
        """Adds pictures `[N, h, w, 4]` and the texts of each, `[N, T, ...]`; texts of too many chunks are left out."""
        size = latents.shape[1:3]
        at, count = self.filled[size], len(latents)
        self.latents[size] = _put(self.latents[size], latents, at)
        self.filled[size] = at + count
        rows = np.broadcast_to(np.arange(at, at + count, dtype=np.int32)[:, None], counts.shape)
        for chunks in range(1, self.chunks + 1):
            fits = counts == chunks
            if fits.any():
                texts = self.texts.setdefault((size, chunks), Texts())
                texts.add(rows[fits], bodies[fits][:, :chunks], lengths[fits][:, :chunks])
        self.dropped += int((counts > self.chunks).sum())

    def save(self, folder):
        """Writes everything to a folder, for `load`."""
        folder.mkdir(parents=True, exist_ok=True)
        for size, latents in self.latents.items():
            name = f"{size[0]}x{size[1]}"
            # Latents in bfloat16 as numbers of 16 bits, which NumPy can store.
            kept = np.asarray(latents[: self.filled[size]])
            np.save(folder / f"{name}.npy", kept.view(np.uint16) if kept.dtype.itemsize == 2 else kept)
            for chunks in range(1, self.chunks + 1):
                if (size, chunks) in self.texts:
                    rows, bodies, lengths = self.texts[(size, chunks)].all()
                    np.savez(folder / f"{name}.{chunks}.npz", rows=rows, bodies=bodies, lengths=lengths)

    def load(self, folder):
        """Reads what `save` wrote, if there is anything."""
        for size, capacity in self.capacities.items():
            name = f"{size[0]}x{size[1]}"
            if not (folder / f"{name}.npy").exists():
                continue
            latents = np.load(folder / f"{name}.npy")[:capacity]
            dtype = self.latents[size].dtype
            latents = latents.view(dtype) if latents.dtype == np.uint16 else latents
            self.filled[size] = len(latents)
            self.latents[size] = _put(self.latents[size], jnp.asarray(latents), 0)
            for chunks in range(1, self.chunks + 1):
                path = folder / f"{name}.{chunks}.npz"
                if path.exists():
                    with np.load(path) as file:
                        self.texts[(size, chunks)] = Texts()
                        self.texts[(size, chunks)].add(file["rows"], file["bodies"], file["lengths"])

    def choose(self, rng, programs):
        """A kind of batch as often as it has texts, among those with a program; None where there is none."""
        kinds = [kind for kind in self.texts if kind in programs]
        counts = np.array([self.texts[kind].count for kind in kinds], float)
        return kinds[rng.choice(len(kinds), p=counts / counts.sum())] if kinds else None
