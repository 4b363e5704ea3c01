"""Training of the U-Net together with both text encoders, in the latents of a finished autoencoder.

There is a program for the gradients of each size and number of chunks, compiled by threads of their own, and one for the
optimiser. A batch is of one of those that are ready. The learning rate follows the time that was spent on training.
"""

import csv
import json
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from .. import autoencoder, optimiser, shards
from ..checkpoint import read_vae
from ..layers import F32
from ..train_vae import Static
from . import checkpoint, networks, noise
from .pool import Pool
from .tokenizer import Clip

# The learning rate stays at its peak for this share of the time, then falls to 0.
FALL_FROM = 0.3
SEED = 3


def compute_dtype():
    return jnp.bfloat16 if jax.default_backend() == "gpu" else F32


@partial(jax.jit, static_argnames=("config",))
def gradients(config, params, latents, rows, body, lengths, key):
    """The loss of a batch and its gradients. Times are spread evenly over the batch."""
    c = config.value
    batch = len(rows)
    drop, times, draw = jax.random.split(key, 3)
    data = latents[rows].astype(F32)
    dropped = jax.random.uniform(drop, (batch,)) < c["empty_prompts"]
    share = (jnp.arange(batch) + jax.random.uniform(times, (batch,))) / batch
    at = jnp.minimum((share * noise.TIMES).astype(jnp.int32), noise.TIMES - 1)
    noises = jax.random.normal(draw, data.shape)
    return jax.value_and_grad(
        lambda params: networks.loss(c, params, data, body, lengths, at, noises, dropped, compute_dtype())
    )(params)


@partial(jax.jit, static_argnames=("decay",), donate_argnames=("state",))
def update(state, grads, rate, decay):
    return optimiser.update(state, grads, rate, decay)


def shaped(shape, dtype=jnp.int32):
    return jax.ShapeDtypeStruct(shape, dtype)


class Programs:
    """The optimiser, and the gradients for each kind of batch in the order of the sizes, compiled by threads of their own."""

    def __init__(self, config, state, pool, inside, log):
        self.ready, self.log, self.pool, self.inside = {}, log, pool, inside
        state = jax.tree.map(lambda value: shaped(value.shape, value.dtype), state)
        workers = ThreadPoolExecutor(config.value.get("compilers", 1))
        self.optimiser = workers.submit(self._compile_update, config, state)
        self.pending = [workers.submit(self._compile, config, state["params"], kind) for kind in pool.kinds]

    def update(self, state, grads, rate):
        """A step of the optimiser. Waits until it is compiled."""
        return self.optimiser.result()(state, grads, rate)

    def _compile_update(self, config, state):
        begun = time.time()
        compiled = update.lower(state, state["params"], shaped((), F32), config.value["weight_decay"]).compile()
        self.log(f"compiled the optimiser in {time.time() - begun:.0f} s")
        return compiled

    def _compile(self, config, params, kind):
        (size, chunks), begun, batch = kind, time.time(), config.value["batch"]
        latents, key = self.pool.latents[size], jax.random.key(0)
        self.ready[kind] = gradients.lower(
            config,
            params,
            shaped(latents.shape, latents.dtype),
            shaped((batch,)),
            shaped((batch, chunks, self.inside)),
            shaped((batch, chunks)),
            shaped(key.shape, key.dtype),
        ).compile()
        self.log(f"compiled {size[0]} x {size[1]} latents with {chunks} chunks in {time.time() - begun:.0f} s")

    def check(self):
        """Raises what a compilation raised."""
        for future in self.pending:
            if future.done():
                future.result()


def encoder(config, vae, scale, shift):
    """Encodes the pictures of a shard to latents `[N, h, w, 4]`."""

    @jax.jit
    def encode(images):
        def some(part):
            mean, _ = autoencoder.encode(config["vae"], vae, part.astype(F32) / 127.5 - 1)
            return ((mean - shift) * scale).astype(compute_dtype())

        group = next(size for size in (64, 32, 16, 8, 4, 2, 1) if len(images) % size == 0)
        latents = jax.lax.map(some, images.reshape(-1, group, *images.shape[1:]))
        return latents.reshape(len(images), *latents.shape[2:])

    return encode


class Stream:
    """Shards of a folder and of those in it, each deleted after it was read: latents and the tokens of their texts."""

    def __init__(self, folder: Path, clip, inside, chunks, prepare, ahead=3):
        self.folder, self.clip, self.inside, self.chunks, self.prepare = folder, clip, inside, chunks, prepare
        self.ready, self.is_open = queue.Queue(ahead), True
        threading.Thread(target=self._read, daemon=True).start()

    def close(self):
        """Reads no further shard: encoding what nobody keeps would slow the training down."""
        self.is_open = False

    def _read(self):
        while self.is_open:
            complete = sorted(self.folder.rglob("*.jsonl"))
            if not complete:
                time.sleep(0.02)
                continue
            rgb = complete[0].with_suffix(".rgb")
            images, lines = shards.read(rgb)
            rgb.unlink()
            complete[0].unlink()
            texts = [text for line in lines for text in [line["flat-tags"], *line["flat-texts"]]]
            tokens = self.clip.bodies(texts, self.inside, self.chunks)
            tokens = [values.reshape(len(lines), -1, *values.shape[1:]) for values in tokens]
            self.ready.put((self.prepare(images), *tokens))

    def next(self, wait):
        try:
            return self.ready.get(block=wait)
        except queue.Empty:
            return None


def latent_size(text):
    """`320x192` in pixels as (height, width) of latents."""
    width, height = (int(edge) // 8 for edge in text.split("x"))
    return height, width


def capacities(config, pictures):
    """How many pictures of each size of latents are kept."""
    return {latent_size(size): int(pictures * share) for size, share in config["sizes_px"].items()}


def compile_all(config, pictures, log):
    """Compiles every program of a training, so that a compilation cache has them."""
    pool = Pool(capacities(config, pictures), config["chunks"], compute_dtype(), shaped)
    state = jax.eval_shape(optimiser.init, networks.init(config, SEED))
    programs = Programs(Static(config), state, pool, networks.TOKENS - 2, log)
    for future in [programs.optimiser, *programs.pending]:
        future.result()


def train(
    config, folder: Path, out: Path, state_folder, pool_folder, seconds, total, capacity, log, steps, most, begun_call
):
    """Trains until `total` seconds of training are spent over all calls, or this call has lasted `seconds`.

    `out` holds the autoencoder and the tokenizers and gets the networks; `state_folder` holds what the next call continues
    from, `pool_folder` the pictures that it begins with, if it is on the same machine. Rows of the table are `steps` apart.
    """
    c = Static(config)
    inside = networks.TOKENS - 2
    vae, scale, shift = read_vae(out)
    vae = {name: jnp.asarray(value, compute_dtype()) for name, value in vae.items()}
    pool = Pool(capacities(config, capacity), config["chunks"], compute_dtype())
    if pool_folder is not None:
        pool.load(pool_folder)
    stream = Stream(folder, Clip(out), inside, config["chunks"], encoder(config, vae, scale, shift))
    earlier = None if state_folder is None else checkpoint.read_state(state_folder)
    if earlier is None:
        state, before = jax.jit(optimiser.init)(networks.init(config, SEED)), {}
    else:
        state, before = jax.tree.map(jnp.asarray, earlier[0]), earlier[1]
    sizes = {
        part: int(sum(v.size for name, v in state["params"].items() if name.startswith(part + "/")))
        for part in networks.NAMES
    }
    log(f"parameters {sizes}, autoencoder {sum(v.size for v in vae.values())}, {before or 'from the start'}")
    programs = Programs(c, state, pool, inside, log)
    begun, saved, step, smooth = None, time.time(), 0, before.get("loss")
    rng, key = np.random.default_rng([SEED, before.get("steps", 0)]), jax.random.key(SEED)
    losses, pending = [], None

    def spent():
        return before.get("seconds", 0.0) + (time.time() - begun if begun else 0.0)

    def save():
        share = min(1.0, spent() / total)
        summary = {"steps": before.get("steps", 0) + step}
        summary |= {"samples": before.get("samples", 0) + step * config["batch"], "seconds": round(spent(), 1)}
        summary |= {"pictures": pool.pictures, "loss": smooth, "share": share}
        summary["parameters"] = sizes
        checkpoint.write_networks(out, config, state["average"], summary)
        if state_folder is not None:
            checkpoint.write_state(state_folder, state, summary)
        return summary

    is_new = not (out / "training.csv").exists()
    with (out / "training.csv").open("a", newline="") as file:
        table = csv.writer(file)
        if is_new:
            table.writerow(["step", "samples", "seconds", "learning_rate", "loss", "gradient_norm", "pictures"])
        while True:
            share = spent() / total
            if share >= 1 or step >= most or time.time() - begun_call > seconds:
                break
            while (shard := stream.next(wait=pool.pictures == 0)) is not None:
                if pool.has_room(shard[0].shape[1:3], len(shard[0])):
                    pool.add(*shard)
                if pool.is_full(len(shard[0])):
                    stream.close()
            programs.check()
            kind = pool.choose(rng, programs.ready)
            if kind is None:
                time.sleep(0.05)
                continue
            if step == 0:
                log(f"begins with {pool.pictures} pictures")
            peak = config["learning_rate"] * min(1.0, (1.0 - share) / (1 - FALL_FROM))
            rate = peak * min(1.0, (before.get("steps", 0) + step + 1) / config["warm_up"])
            rows, body, lengths = pool.texts[kind].batch(rng, config["batch"])
            now = jax.random.fold_in(key, before.get("steps", 0) + step)
            loss, grads = programs.ready[kind](state["params"], pool.latents[kind[0]], rows, body, lengths, now)
            state, norm = programs.update(state, grads, np.float32(rate))
            losses.append(loss)
            step += 1
            # The host runs one step ahead of the device, not more: what it reads next is an older step's.
            if pending is not None:
                pending.block_until_ready()
                # The clock starts with the first result: what comes before it is compiling.
                if begun is None:
                    begun = saved = time.time()
                    log("the first step is done")
            pending = loss
            if step % steps == 0:
                mean = float(np.mean([float(loss) for loss in losses]))
                losses = []
                smooth = mean if smooth is None else 0.9 * smooth + 0.1 * mean
                at = before.get("steps", 0) + step
                samples = before.get("samples", 0) + step * config["batch"]
                row = [at, samples, round(spent(), 1), rate, round(mean, 5), round(float(norm), 4)]
                table.writerow([*row, pool.pictures])
                if (step // steps) % 10 == 0:
                    file.flush()
                    speed = step / max(time.time() - (begun or begun_call), 1e-3)
                    log(
                        f"step {at} share {share:.3f} loss {smooth:.4f} pictures {pool.pictures} "
                        f"texts left out {pool.dropped} steps/s {speed:.1f} programs {len(programs.ready)}"
                    )
            if begun and time.time() - saved > config["save_every"]:
                saved = time.time()
                save()
                log(f"saved at share {share:.3f} in {time.time() - saved:.1f} s")
    if step == 0:
        raise SystemExit("nothing was left to train")
    summary = save()
    if pool_folder is not None:
        pool.save(pool_folder)
    log(f"{step} steps, {json.dumps(summary)}")
    return summary
