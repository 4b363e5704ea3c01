"""Training of the Next-DiT together with both text encoders, in the latents of a finished autoencoder.

Pictures are drawn while training runs: each shard is encoded as it arrives and stays on the device as latents. The
learning rate follows the clock, so that training ends when its time does.
"""

import csv
import json
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from . import autoencoder, checkpoint, encoders, flow, next_dit, optimiser, tokenizer
from .layers import F32
from .shards import Stream
from .train_vae import Static

# The rate stays at its height until so much of the time is over, then falls to nothing.
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
def _steps(config, state, pool, filled, key, rates):
    c = config.value
    batch = c["batch"]

    def body(state, inputs):
        key, rate = inputs
        pick, which, drop, times, draw = jax.random.split(key, 5)
        rows = jax.random.randint(pick, (batch,), 0, filled)
        text = jax.random.randint(which, (batch,), 0, pool["ids"].shape[1])
        data = pool["latents"][rows].astype(F32)
        ids, lengths = pool["ids"][rows, text], pool["lengths"][rows, text]
        lengths = jnp.where(jax.random.uniform(drop, (batch,)) < c["empty_prompts"], 0, lengths)
        t, noise = flow.training_times(times, batch), jax.random.normal(draw, data.shape)

        def loss(params):
            return flow.loss(c, by_network(params, compute_dtype()), data, ids, lengths, t, noise)

        value, grads = jax.value_and_grad(loss)(state["params"])
        state, norm = optimiser.update(state, grads, rate, c["weight_decay"])
        return state, (value, norm)

    return jax.lax.scan(body, state, (jax.random.split(key, len(rates)), rates))


@partial(jax.jit, static_argnames=("config", "scale", "shift"), donate_argnames=("pool",))
def _add(config, vae, scale, shift, pool, images, ids, lengths, at):
    c = config.value

    def encode(part):
        mean, _ = autoencoder.encode(c["vae"], vae, part.astype(F32) / 127.5 - 1)
        return next_dit.patchify(((mean - shift) * scale).transpose(0, 3, 1, 2), c["dit"]["patch_size"])

    group = min(64, len(images))
    latents = jax.lax.map(encode, images.reshape(-1, group, *images.shape[1:]))
    latents = latents.reshape(len(images), *latents.shape[2:]).astype(pool["latents"].dtype)
    new = {"latents": latents, "ids": ids, "lengths": lengths}
    return {
        name: jax.lax.dynamic_update_slice(pool[name], value.astype(pool[name].dtype), (at,) + (0,) * (value.ndim - 1))
        for name, value in new.items()
    }


def train(config, shards: Path, out: Path, seconds, capacity, resume, log, steps, most, seed=3):
    """Trains for about `seconds` or `most` steps with at most `capacity` pictures.

    `out` holds the autoencoder and the tokenizers, and gets the networks. `resume` is a folder with
    `state-*.safetensors` of an earlier call. `steps` are made between two looks at the clock. A file `save` in `out` asks
    for the state while training runs.
    """
    c = Static(config)
    patch = config["dit"]["patch_size"]
    vae, scale, shift = checkpoint.read_vae(out)
    vae = {name: jnp.asarray(value, compute_dtype()) for name, value in vae.items()}
    stream = Stream(shards, config["edge_px"], tokenizer.body(out), config["tokens"] - 2)
    tokens = (config["edge_px"] // 8 // patch) ** 2
    images, ids, lengths = stream.next()
    pool = {
        "latents": jnp.zeros((capacity, tokens, patch**2 * config["vae"]["latent_channels"]), compute_dtype()),
        "ids": jnp.zeros((capacity, *ids.shape[1:]), jnp.int16),
        "lengths": jnp.zeros((capacity, *lengths.shape[1:]), jnp.int32),
    }
    add = partial(_add, c, vae, scale, shift)
    pool, filled = add(pool, images, ids, lengths, 0), len(images)
    state = optimiser.init(init(config, seed))
    if resume is not None:
        state = read_state(resume, state)
    names = ("dit", "gemma", "jina")
    sizes = {part: sum(v.size for n, v in state["params"].items() if n.startswith(part + "/")) for part in names}
    log(f"parameters {sizes}, autoencoder {sum(v.size for v in vae.values())}; text lengths to {int(lengths.max())}")

    key, start, begun, step = jax.random.key(seed + 1), time.time(), None, int(state["step"])
    first_step, smooth = step, None
    out.mkdir(parents=True, exist_ok=True)
    with (out / "training.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["step", "seconds", "learning_rate", "loss", "gradient_norm", "pictures"])
        while True:
            share = 0.0 if begun is None else (time.time() - start) / seconds
            if share >= 1 or step - first_step >= most:
                break
            while filled + len(images) <= capacity and (shard := stream.next(wait=False)) is not None:
                pool = add(pool, *shard, filled)
                filled += len(shard[0])
            key, now = jax.random.split(key)
            height = config["learning_rate"] * min(1.0, (1.0 - share) / (1 - FALL_FROM))
            rates = jnp.asarray(
                [height * min(1.0, (step - first_step + i + 1) / config["warm_up"]) for i in range(steps)], F32
            )
            state, (loss, norm) = _steps(c, state, pool, filled, now, rates)
            loss = float(loss.mean())
            if begun is None:
                begun = time.time()
                log(f"compiled in {begun - start:.0f} s")
            step += steps
            smooth = loss if smooth is None else 0.95 * smooth + 0.05 * loss
            row = [
                step,
                round(time.time() - start, 1),
                float(rates[-1]),
                round(loss, 5),
                round(float(norm.mean()), 4),
                filled,
            ]
            table.writerow(row)
            if (step // steps) % 20 == 0:
                file.flush()
                rate = (step - first_step - steps) * config["batch"] / (time.time() - begun)
                log(f"step {step} share {share:.3f} loss {smooth:.4f} pictures {filled} samples/s {rate:.0f}")
            if (out / "save").exists():
                (out / "save").unlink()
                write_state(out, state)
                log("state written")
    seconds_spent = time.time() - begun
    write_state(out, state)
    checkpoint.write_networks(out, config, by_network({n: np.asarray(v) for n, v in state["average"].items()}))
    samples = (step - first_step) * config["batch"]
    log(f"{step} steps, {samples} samples in {seconds_spent:.0f} s, {filled} pictures, loss {smooth:.4f}")
    summary = {"steps": step, "samples": samples, "seconds": round(seconds_spent), "pictures": filled, "loss": smooth}
    checkpoint.write_json(out / "training.json", summary | {"parameters": sizes})
    return summary


def write_state(folder: Path, state, limit=15_000_000):
    """Weights and their average in f16, in files of at most `limit` bytes; momenta restart from zero on resuming."""
    tensors = {f"params/{n}": np.asarray(v, np.float16) for n, v in state["params"].items()}
    tensors |= {f"average/{n}": np.asarray(v, np.float16) for n, v in state["average"].items()}
    files, size = [{}], 0
    for name, value in tensors.items():
        if size + value.nbytes > limit and files[-1]:
            files.append({})
            size = 0
        files[-1][name] = value
        size += value.nbytes
    for number, file in enumerate(files):
        save_file(file, folder / f"state-{number}.safetensors", metadata={"step": json.dumps(int(state["step"]))})


def read_state(folder: Path, state):
    """What `write_state` wrote, in a state with fresh momenta."""
    new = dict(state)
    for path in sorted(folder.glob("state-*.safetensors")):
        for name, value in load_file(path).items():
            kind, rest = name.split("/", 1)
            new[kind] = new[kind] | {rest: jnp.asarray(value, F32)}
        with safe_open(path, "np") as file:
            new["step"] = jnp.asarray(int(file.metadata()["step"]), jnp.int32)
    return new
