"""What training reads: latents on the device by their number of patches, texts on the host by their length."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np


@partial(jax.jit, donate_argnames=("pool",))
def _put(pool, latents, at):
    return jax.lax.dynamic_update_slice(pool, latents.astype(pool.dtype), (at, 0, 0))


class Texts:
    """Pairs of a picture and a text that run in the same program: one shape of picture, one room for tokens."""

    def __init__(self, width):
        self.ids, self.lengths, self.rows = np.zeros((0, width), np.int16), np.zeros(0, np.int32), np.zeros(0, np.int32)
        self.count = 0

    def add(self, ids, lengths, rows):
        end = self.count + len(rows)
        if end > len(self.rows):
            for name in ("ids", "lengths", "rows"):
                old = getattr(self, name)
                new = np.zeros((max(2 * len(old), end), *old.shape[1:]), old.dtype)
                new[: self.count] = old[: self.count]
                setattr(self, name, new)
        part = slice(self.count, end)
        self.ids[part], self.lengths[part], self.rows[part] = ids[:, : self.ids.shape[1]], lengths, rows
        self.count = end

    def batch(self, rng, size):
        chosen = rng.integers(0, self.count, size)
        return self.rows[chosen], self.ids[chosen].astype(np.int32), self.lengths[chosen]


class Pool:
    """Latents and texts. `rooms` are the numbers of patches, `widths` those of tokens, for which programs exist."""

    def __init__(self, capacities, widths, patch_width, dtype):
        self.widths = sorted(widths)
        self.capacities = {int(room): count for room, count in sorted(capacities.items())}
        self.latents = {room: jnp.zeros((n, room, patch_width), dtype) for room, n in self.capacities.items()}
        self.filled = dict.fromkeys(self.capacities, 0)
        self.texts = {}

    @property
    def pictures(self):
        return sum(self.filled.values())

    def room(self, patches):
        """The smallest capacity that holds `patches` patches."""
        return next(room for room in self.capacities if room >= patches)

    def add(self, latents, grid, ids, lengths):
        """Adds pictures of one shape if there is room for them, and their texts but those that are too long."""
        room = latents.shape[1]
        at, count = self.filled[room], len(latents)
        if at + count > self.capacities[room]:
            return
        self.latents[room] = _put(self.latents[room], latents, at)
        self.filled[room] = at + count
        least = 0
        rows = np.broadcast_to(np.arange(at, at + count, dtype=np.int32)[:, None], lengths.shape)
        for width in self.widths:
            fits = (lengths > least) & (lengths <= width)
            least = width
            if fits.any():
                texts = self.texts.setdefault((grid, room, width), Texts(width))
                texts.add(ids[fits], lengths[fits], rows[fits])

    def choose(self, rng, programs):
        """A kind of batch, (grid, room, width), as often as it has texts, among those with a program."""
        kinds = [kind for kind in self.texts if kind[1:] in programs]
        counts = np.array([self.texts[kind].count for kind in kinds], float)
        return kinds[rng.choice(len(kinds), p=counts / counts.sum())] if kinds else None
