"""Training of the Next-DiT together with both text encoders, in the latents of a finished autoencoder.

Pictures are drawn while training runs: each shard is encoded as it arrives and stays on the device as latents. The
learning rate follows the clock, so that training ends when its time does. There is a program for each room for patches and
for tokens; they are compiled by threads of their own, and a batch is of one of those that are ready.
"""

import csv
import json
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from . import autoencoder, checkpoint, encoders, flow, next_dit, optimiser, tokenizer
from .layers import F32
from .pool import Pool
from .shards import Stream
from .train_vae import Static

# The learning rate stays at its peak for this share of the time, then falls to 0.
FALL_FROM = 0.3


def init(config, seed):
    """Fresh weights of all three networks in one flat dictionary: `dit/...`, `gemma/...`, `jina/...`."""
    keys = jax.random.split(jax.random.key(seed), 3)
    dit = config["dit"] | {"in_channels": config["vae"]["latent_channels"]}
    parts = {
        "dit": next_dit.init(dit, keys[0], config["gemma"]["hidden"], config["jina"]["hidden"]),
        "gemma": encoders.init_gemma(config["gemma"], keys[1]),
        "jina": encoders.init_jina(config["jina"], keys[2]),
    }
    return {f"{part}/{name}": value for part, weights in parts.items() for name, value in weights.items()}


def by_network(flat, dtype=None):
    """The flat dictionary as one dictionary a network, cast if asked."""
    parts = {"dit": {}, "gemma": {}, "jina": {}}
    for name, value in flat.items():
        part, rest = name.split("/", 1)
        parts[part][rest] = value if dtype is None else value.astype(dtype)
    return parts


def compute_dtype():
    """bf16 on a GPU, f32 elsewhere."""
    return jnp.bfloat16 if jax.default_backend() == "gpu" else F32


@partial(jax.jit, static_argnames=("config",), donate_argnames=("state",))
def _step(config, state, latents, rows, ids, lengths, grid, key, rate):
    c = config.value
    batch = c["batch"]
    drop, times, draw = jax.random.split(key, 3)
    data = latents[rows].astype(F32)
    lengths = jnp.where(jax.random.uniform(drop, (batch,)) < c["empty_prompts"], 0, lengths)
    t, noise = flow.training_times(times, batch), jax.random.normal(draw, data.shape)

    def loss(params):
        parts = by_network(params, compute_dtype())
        return flow.loss(c, parts, data, ids, lengths, t, noise, (grid[0], grid[1]))

    value, grads = jax.value_and_grad(loss)(state["params"])
    state, norm = optimiser.update(state, grads, rate, c["weight_decay"])
    return state, value, norm


class Programs:
    """The training step compiled for each (room for patches, room for tokens), the first at once, the rest on the side."""

    def __init__(self, config, state, pool, log):
        self.ready, self.log, self.pool = {}, log, pool
        arguments = jax.tree.map(lambda value: jax.ShapeDtypeStruct(value.shape, value.dtype), state)
        kinds = [(room, width) for room in pool.capacities for width in pool.widths]
        workers = ThreadPoolExecutor(config.value.get("compilers", 1))
        self.pending = [workers.submit(self._compile, config, arguments, kind) for kind in kinds]

    def _compile(self, config, state, kind):
        room, width = kind
        begun, batch = time.time(), config.value["batch"]

        def shaped(shape, dtype=jnp.int32):
            return jax.ShapeDtypeStruct(shape, dtype)

        latents = self.pool.latents[room]
        key = jax.random.key(0)
        self.ready[kind] = _step.lower(
            config,
            state,
            shaped(latents.shape, latents.dtype),
            shaped((batch,)),
            shaped((batch, width)),
            shaped((batch,)),
            shaped((2,)),
            shaped(key.shape, key.dtype),
            shaped((), F32),
        ).compile()
        self.log(f"compiled {room} patches with {width} tokens in {time.time() - begun:.0f} s")

    def check(self):
        """Raises what a compilation raised."""
        for future in self.pending:
            if future.done():
                future.result()


def encoder(config, vae, scale, shift, room):
    """Encodes the pictures of a shard to patches of latents, padded to `room(patches)`."""
    patch = config["dit"]["patch_size"]

    @jax.jit
    def encode(images):
        def some(part):
            mean, _ = autoencoder.encode(config["vae"], vae, part.astype(F32) / 127.5 - 1)
            return next_dit.patchify(((mean - shift) * scale).transpose(0, 3, 1, 2), patch).astype(compute_dtype())

        group = next(size for size in (64, 32, 16, 8, 4, 2, 1) if len(images) % size == 0)
        latents = jax.lax.map(some, images.reshape(-1, group, *images.shape[1:]))
        latents = latents.reshape(len(images), *latents.shape[2:])
        return jnp.pad(latents, ((0, 0), (0, room(latents.shape[1]) - latents.shape[1]), (0, 0)))

    return encode


def train(config, shards: Path, out: Path, seconds, capacity, resume, log, steps, most, seed=3):
    """Trains for about `seconds` or `most` steps with at most `capacity` pictures.

    `out` holds the autoencoder and the tokenizers, and gets the networks, every `save_every` seconds and at the end.
    `resume` is a folder with the networks of an earlier call or of another checkpoint of the same shapes: its
    `training.json`, if there is one, says which share of the time is over. Rows of the table are `steps` apart.
    """
    c = Static(config)
    patch = config["dit"]["patch_size"]
    vae, scale, shift = checkpoint.read_vae(out)
    vae = {name: jnp.asarray(value, compute_dtype()) for name, value in vae.items()}
    latent_width = patch**2 * config["vae"]["latent_channels"]
    capacities = {room: int(capacity * share) for room, share in config["rooms"].items()}
    pool = Pool(capacities, [width - 2 for width in config["tokens"]], latent_width, compute_dtype())
    prepare = encoder(config, vae, scale, shift, pool.room)
    stream = Stream(shards, tokenizer.body(out), max(pool.widths), prepare)
    before, weights = {}, init(config, seed)
    if resume is not None:
        networks = checkpoint.read_networks(resume)
        weights = {name: jnp.asarray(networks[name.split("/", 1)[0]][name.split("/", 1)[1]], F32) for name in weights}
        if (resume / "training.json").exists():
            before = json.loads((resume / "training.json").read_text(encoding="utf-8"))
    state = optimiser.init(weights)
    names = ("dit", "gemma", "jina")
    sizes = {part: sum(v.size for n, v in state["params"].items() if n.startswith(part + "/")) for part in names}
    log(f"parameters {sizes}, autoencoder {sum(v.size for v in vae.values())}, {before or 'from the start'}")
    programs = Programs(c, state, pool, log)

    def add(shard):
        latents, (height, width), ids, lengths = shard
        pool.add(latents, (height // 8 // patch, width // 8 // patch), ids, lengths)

    start = time.time()
    begun, saved, step, smooth, rng, key = None, start, 0, None, np.random.default_rng(seed), jax.random.key(seed)
    past, done = before.get("share", 0.0), before.get("samples", 0)
    first_step = before.get("steps", 0)
    losses, pending = [], None
    out.mkdir(parents=True, exist_ok=True)

    def spent():
        return before.get("seconds", 0) + (time.time() - begun if begun else 0)

    def save(share):
        average = by_network({n: np.asarray(v) for n, v in state["average"].items()})
        checkpoint.write_networks(out, config, average, config.get("notice", ""))
        summary = {"steps": first_step + step, "samples": done + step * config["batch"], "seconds": round(spent())}
        summary |= {"pictures": pool.pictures, "loss": smooth, "share": min(1.0, share), "parameters": sizes}
        checkpoint.write_json(out / "training.json", summary)
        (out / "saved").write_text(f"{share}\n", encoding="utf-8")
        return summary

    is_new = not (out / "training.csv").exists()
    with (out / "training.csv").open("a", newline="") as file:
        table = csv.writer(file)
        if is_new:
            table.writerow(["step", "seconds", "learning_rate", "loss", "gradient_norm", "pictures"])
        while True:
            now = time.time()
            share = past + (0.0 if begun is None else (now - begun) / seconds)
            if share >= 1 or step >= most:
                break
            while (shard := stream.next(wait=pool.pictures == 0)) is not None:
                add(shard)
            programs.check()
            kind = pool.choose(rng, programs.ready)
            if kind is None:
                time.sleep(0.05)
                continue
            if step == 0:
                log(f"begins with {pool.pictures} pictures")
            grid, room, width = kind
            height = config["learning_rate"] * min(1.0, (1.0 - share) / (1 - FALL_FROM))
            rate = height * min(1.0, (step + 1) / config["warm_up"])
            rows, ids, lengths = pool.texts[kind].batch(rng, config["batch"])
            arguments = (rows, ids, lengths, np.array(grid, np.int32), jax.random.fold_in(key, first_step + step))
            state, loss, norm = programs.ready[(room, width)](state, pool.latents[room], *arguments, np.float32(rate))
            losses.append(loss)
            step += 1
            # The host runs one step ahead of the device, not more: what it reads next is an older step's.
            if pending is not None:
                pending.block_until_ready()
                # The clock starts with the first result: what comes before it is compiling.
                begun = begun or time.time()
                saved = max(saved, begun)
            pending = loss
            if step % steps == 0:
                mean = float(np.mean([float(loss) for loss in losses]))
                losses = []
                smooth = mean if smooth is None else 0.9 * smooth + 0.1 * mean
                row = [first_step + step, round(spent(), 1), rate, round(mean, 5), round(float(norm), 4), pool.pictures]
                table.writerow(row)
                if (step // steps) % 10 == 0:
                    file.flush()
                    speed = step * config["batch"] / max(time.time() - (begun or start), 1e-3)
                    log(
                        f"step {step} share {share:.3f} loss {smooth:.4f} pictures {pool.pictures} samples/s {speed:.0f}"
                    )
            if begun and time.time() - saved > config["save_every"]:
                saved = time.time()
                save(share)
                log(f"saved at share {share:.3f} in {time.time() - saved:.1f} s")
    if step == 0:
        raise SystemExit("nothing was left to train")
    summary = save(share)
    log(f"{step} steps, {summary}")
    return summary
