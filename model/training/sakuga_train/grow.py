"""A deeper network with thinner feed-forward layers from a trained one, as the start of a training.

Each joint block becomes two. The hidden units of its feed-forward layer that contribute most are dealt out to both, with
their output matrices fitted again by least squares; the second block's attention begins as a copy with its gate nearly shut.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from . import checkpoint, flow, next_dit
from .layers import F32, linear, rms_norm
from .shards import read, tokens
from .tokenizer import body
from .train_dit import encoder

GATE = 0.02


def grow(config, old: Path, shards: Path, out: Path, log, pictures=48):
    """Reads the checkpoint `old` and the pictures of one square shard, and writes the networks to `out`, where the VAE is."""
    old_config = json.loads((old / "transformer/config.json").read_text(encoding="utf-8"))
    old_config = config["dit"] | {name: old_config[name] for name in ("n_layers", "n_refiner_layers")}
    new_config = config["dit"]
    assert new_config["n_layers"] == 2 * old_config["n_layers"], "a block becomes two"
    networks = {part: {n: jnp.asarray(v) for n, v in w.items()} for part, w in checkpoint.read_networks(old).items()}
    vae, scale, shift = checkpoint.read_vae(old)
    images, lines = read(sorted(shards.glob("*.rgb"))[0])

    data = encoder(config, vae, scale, shift, lambda patches: patches)(images[:pictures]).astype(F32)
    edge = images.shape[1] // 8 // new_config["patch_size"]
    ids, lengths = tokens(body(old), [line["texts"][0] for line in lines[:pictures]], 254)
    lengths = jnp.asarray(np.minimum(lengths, 254))
    t = (jnp.arange(pictures) + 0.5) / pictures
    noise = jax.random.normal(jax.random.key(1), data.shape)
    sample = (data, jnp.asarray(ids), lengths, t, noise, (edge, edge))

    seen = observe(config, old_config, networks, *sample)
    new = {n: v for n, v in networks["dit"].items() if not n.startswith(("layers.", "noise_", "context_"))}
    width = new_config["ffn_dim"]
    for name, y in seen.items():
        block = next_dit.of_block(networks["dit"], name)
        for target, values in split(block, y, width, 2 if name.startswith("layers.") else 1).items():
            if name.startswith("layers."):
                place = f"layers.{2 * int(name.split('.')[1]) + target}"
            else:
                place = name
            new |= {f"{place}.{rest}": value for rest, value in values.items()}
    grown = networks | {"dit": new}
    one = jax.jit(lambda parts, c=old_config: flow.loss(config | {"dit": c}, parts, *sample))
    two = jax.jit(lambda parts: flow.loss(config, parts, *sample))
    log(f"velocity error before {float(one(networks)):.4f}, grown {float(two(grown)):.4f}")
    checkpoint.write_networks(out, config, {p: {n: np.asarray(v) for n, v in w.items()} for p, w in grown.items()})


def observe(whole, config, networks, data, ids, lengths, t, noise, grid):
    """Inputs of every feed-forward layer at tokens that count, `[tokens, dim]`, by the block's name."""
    w = networks["dit"]
    caption, caption_lengths, pooled = flow.read_texts(whole, networks, ids, lengths)
    x = t[:, None, None] * data + (1 - t)[:, None, None] * noise
    seen, inner = {}, next_dit.feed_forward
    current = {}

    def watched(weights, y):
        counts = current["lengths"]
        visible = jnp.arange(y.shape[1]) < counts[:, None]
        seen[current["name"]] = y[visible]
        return inner(weights, y)

    next_dit.feed_forward = watched
    try:
        adaln = next_dit.conditioning(w, t, pooled)
        room, count = x.shape[1], grid[0] * grid[1]
        turn_image, turn_caption, turn = next_dit.rotary(config, caption_lengths, caption.shape[1], room, grid)
        text = linear(w, "cap_embedder.1", rms_norm(caption, w["cap_embedder.0.weight"], next_dit.NORM_EPS))
        image = linear(w, "x_embedder", x)
        counts = jnp.full_like(caption_lengths, count)

        def run(name, *arguments, lengths):
            current.update(name=name, lengths=lengths)
            return next_dit.block(config, next_dit.of_block(w, name), *arguments)

        for i in range(config["n_refiner_layers"]):
            text = run(f"context_refiner.{i}", text, turn_caption, caption_lengths, lengths=caption_lengths)
            image = run(f"noise_refiner.{i}", image, turn_image, counts, adaln, lengths=counts)
        joint = jnp.concatenate([image, text], 1)
        for i in range(config["n_layers"]):
            both = caption_lengths + count
            joint = run(f"layers.{i}", joint, turn, both, adaln, lengths=both)
    finally:
        next_dit.feed_forward = inner
    return seen


def split(block, y, width, parts):
    """The block as `parts` blocks of `width` hidden units each, fitted to the inputs `y` of its feed-forward layer."""
    w1, w2, w3 = (block[f"feed_forward.w{i}.weight"] for i in (1, 2, 3))
    hidden = jax.nn.silu(y @ w1.T) * (y @ w3.T)
    output = hidden @ w2.T
    gram = np.asarray(hidden.T @ hidden, np.float64)
    energy = np.diag(gram) * np.square(np.asarray(w2, np.float64)).sum(0)
    best = np.argsort(-energy)[: width * parts]
    inner = gram[np.ix_(best, best)] + 1e-4 * gram.trace() / len(gram) * np.eye(len(best))
    fitted = np.linalg.solve(inner, gram[best] @ np.asarray(w2, np.float64).T).T.astype(np.float32)
    dealt = [np.arange(part, len(best), parts) for part in range(parts)]
    unit = [_unit(np.asarray(hidden[:, best[d]] @ fitted[:, d].T)) for d in dealt]
    wanted = _unit(np.asarray(output)) * np.asarray(block["ffn_norm2.weight"])
    stacked = np.stack(unit)
    left = np.einsum("pnc,qnc->cpq", stacked, stacked) + 1e-6 * len(wanted) * np.eye(parts)
    right = np.einsum("pnc,nc->cp", stacked, wanted)
    norms = np.linalg.solve(left, right[..., None])[..., 0].T
    made = {}
    for part, units in enumerate(dealt):
        one = dict(block)
        one["feed_forward.w1.weight"], one["feed_forward.w3.weight"] = w1[best[units]], w3[best[units]]
        one["feed_forward.w2.weight"] = jnp.asarray(fitted[:, units])
        one["ffn_norm2.weight"] = jnp.asarray(norms[part], F32)
        if part > 0:
            dim = len(one["ffn_norm2.weight"])
            gate = slice(dim, 2 * dim)
            name = "adaLN_modulation.1"
            one[f"{name}.weight"] = one[f"{name}.weight"].at[gate].set(0.0)
            one[f"{name}.bias"] = one[f"{name}.bias"].at[gate].set(GATE)
        made[part] = one
    return made


def _unit(x):
    return x / np.sqrt(np.square(x).mean(-1, keepdims=True) + next_dit.NORM_EPS)
