"""Next-DiT with pooled text in its adaLN path, as in NewBie-image-Exp0.1.

The joint sequence is image first, then caption, so that all padding lies at the end and attention can hide it by length;
positions are those of the original order, so the result is the same. Pictures of several shapes share one program: a
picture may have fewer patches than there is room for, and its caption follows its last one.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp

from .layers import F32, Init, attend, layer_norm, linear, rms_norm, rotate_pairs

TIME_FEATURES = 256
QK_EPS = 1e-6
NORM_EPS = 1e-5


def init(config, key, caption_width, pooled_width):
    """Weights such that every block is nearly the identity and the velocity nearly zero."""
    c = config
    dim, head = c["dim"], c["dim"] // c["n_heads"]
    patch = c["patch_size"] ** 2 * c["in_channels"]
    adaln = c["adaln_dim"]
    make = Init(key)

    def block(name, modulated):
        make.linear(f"{name}.attention.qkv", (c["n_heads"] + 2 * c["n_kv_heads"]) * head, dim, False)
        make.linear(f"{name}.attention.out", dim, dim, False)
        for norm in "qk":
            make.constant(f"{name}.attention.{norm}_norm.weight", (head,), 1.0)
        make.linear(f"{name}.feed_forward.w1", c["ffn_dim"], dim, False)
        make.linear(f"{name}.feed_forward.w2", dim, c["ffn_dim"], False)
        make.linear(f"{name}.feed_forward.w3", c["ffn_dim"], dim, False)
        for norm in ("attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2"):
            make.constant(f"{name}.{norm}.weight", (dim,), 1.0)
        if modulated:
            make.linear(f"{name}.adaLN_modulation.1", 4 * dim, adaln, gain=0.02)
            # Gates begin ajar: scale_msa, gate_msa, scale_mlp, gate_mlp.
            ajar = jnp.repeat(jnp.array([0.0, 0.3, 0.0, 0.3], F32), dim)
            make.weights[f"{name}.adaLN_modulation.1.bias"] = ajar

    make.linear("x_embedder", dim, patch)
    make.linear("t_embedder.mlp.0", adaln, TIME_FEATURES)
    make.linear("t_embedder.mlp.2", adaln, adaln)
    make.constant("cap_embedder.0.weight", (caption_width,), 1.0)
    make.linear("cap_embedder.1", dim, caption_width)
    make.constant("clip_text_pooled_proj.0.weight", (pooled_width,), 1.0)
    make.linear("clip_text_pooled_proj.1", pooled_width, pooled_width)
    make.linear("time_text_embed.1", adaln, adaln + pooled_width)
    for i in range(c["n_refiner_layers"]):
        block(f"context_refiner.{i}", False)
        block(f"noise_refiner.{i}", True)
    for i in range(c["n_layers"]):
        block(f"layers.{i}", True)
    make.linear("final_layer.adaLN_modulation.1", dim, adaln, gain=0.02)
    make.linear("final_layer.linear", patch, dim, gain=0.02)
    return make.weights


def patchify(x, p):
    """`[B, C, H, W]` to `[B, HW/pp, ppC]`, channels fastest."""
    b, c, h, w = x.shape
    return x.reshape(b, c, h // p, p, w // p, p).transpose(0, 2, 4, 3, 5, 1).reshape(b, -1, p * p * c)


def unpatchify(tokens, rows, columns, p):
    """The inverse of `patchify`."""
    b, _, width = tokens.shape
    x = tokens.reshape(b, rows, columns, p, p, width // (p * p))
    return x.transpose(0, 5, 1, 3, 2, 4).reshape(b, -1, rows * p, columns * p)


def time_embedding(w, t):
    """Sinusoid of the time (cosines first), then an MLP. `[B]` to `[B, adaln]`, the sinusoid in f32."""
    half = TIME_FEATURES // 2
    angle = t.astype(F32)[:, None] * jnp.exp(-math.log(10000) * jnp.arange(half) / half)
    features = jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], -1).astype(w["x_embedder.weight"].dtype)
    return linear(w, "t_embedder.mlp.2", jax.nn.silu(linear(w, "t_embedder.mlp.0", features)))


def turns(angles):
    """Cosines and sines, `[B, S, 1, head/2]` each, of a list of angles a axis."""
    angle = jnp.concatenate(angles, -1)[:, :, None]
    return jnp.cos(angle), jnp.sin(angle)


def rotary(config, lengths, width, room, grid):
    """Rotary positions of the image's tokens, of the caption's, and of the joint sequence.

    `grid` is (rows, columns), which may be traced; there is room for `room` patches and `width` caption tokens.
    """
    freqs = [10000.0 ** (-jnp.arange(0, d, 2) / d) for d in config["axes_dims"]]
    rows, columns = grid
    place = jnp.arange(room + width)[None, :, None]
    patches = rows * columns
    is_image = place < patches
    behind = lengths[:, None, None]
    row, column = place // columns, place % columns

    def joint(first, second, third):
        shape = (len(lengths), first.shape[1])
        values = [jnp.broadcast_to(v * f, (*shape, len(f))) for v, f in zip((first, second, third), freqs, strict=True)]
        return turns(values)

    zero = jnp.zeros_like(place)
    image = joint(jnp.broadcast_to(behind, (len(lengths), room, 1)), row[:, :room], column[:, :room])
    caption = joint(place[:, :width], zero[:, :width], zero[:, :width])
    both = joint(
        jnp.where(is_image, behind, place - patches), jnp.where(is_image, row, 0), jnp.where(is_image, column, 0)
    )
    return image, caption, both


@partial(jax.checkpoint, prevent_cse=False)
def _modulated(y, factor):
    return y if factor is None else y * factor


@partial(jax.checkpoint, prevent_cse=False)
def _gated(x, y, weight, gate):
    y = rms_norm(y, weight, NORM_EPS)
    return x + (y if gate is None else y * gate)


@partial(jax.checkpoint, prevent_cse=False)
def _swiglu(a, b):
    return jax.nn.silu(a) * b


def block(config, w, x, turn, lengths, adaln=None):
    """One block over `[B, S, dim]`; `adaln` is SiLU of the modulating vector, or nothing. Names in `w` are the block's own."""
    batch, length, dim = x.shape
    heads, groups = config["n_heads"], config["n_kv_heads"]
    head = dim // heads
    cos, sin = turn

    s1 = g1 = s2 = g2 = None
    if adaln is not None:
        mod = linear(w, "adaLN_modulation.1", adaln)[:, None]
        s1, g1, s2, g2 = jnp.split(mod, 4, -1)
        s1, g1, s2, g2 = 1 + s1, jnp.tanh(g1), 1 + s2, jnp.tanh(g2)

    y = _modulated(rms_norm(x, w["attention_norm1.weight"], NORM_EPS), s1)
    qkv = linear(w, "attention.qkv", y).reshape(batch, length, heads + 2 * groups, head)
    q, k, v = jnp.split(qkv, [heads, heads + groups], 2)
    q = rotate_pairs(rms_norm(q, w["attention.q_norm.weight"], QK_EPS), cos, sin)
    k = rotate_pairs(rms_norm(k, w["attention.k_norm.weight"], QK_EPS), cos, sin)
    out = attend(q, k, v, lengths).reshape(batch, length, dim)
    x = _gated(x, linear(w, "attention.out", out), w["attention_norm2.weight"], g1)
    y = _modulated(rms_norm(x, w["ffn_norm1.weight"], NORM_EPS), s2)
    return _gated(x, feed_forward(w, y), w["ffn_norm2.weight"], g2)


def feed_forward(w, y):
    """SwiGLU."""
    hidden = _swiglu(linear(w, "feed_forward.w1", y), linear(w, "feed_forward.w3", y))
    return linear(w, "feed_forward.w2", hidden)


def of_block(w, name):
    """The weights of one block by its own names."""
    return {rest.removeprefix(f"{name}."): value for rest, value in w.items() if rest.startswith(f"{name}.")}


def conditioning(w, t, pooled):
    """SiLU of what modulates the blocks, `[B, adaln]`."""
    dtype = w["x_embedder.weight"].dtype
    pooled = rms_norm(pooled.astype(dtype), w["clip_text_pooled_proj.0.weight"], QK_EPS)
    pooled = linear(w, "clip_text_pooled_proj.1", pooled)
    joined = jnp.concatenate([time_embedding(w, t), pooled], -1)
    return jax.nn.silu(linear(w, "time_text_embed.1", jax.nn.silu(joined)))


def embed(config, w, patches, adaln, caption, lengths, grid):
    """The joint sequence before the first joint block, its rotary positions and its lengths."""
    dtype = w["x_embedder.weight"].dtype
    room, width, count = patches.shape[1], caption.shape[1], grid[0] * grid[1]
    turn_image, turn_caption, turn = rotary(config, lengths, width, room, grid)
    text = linear(w, "cap_embedder.1", rms_norm(caption.astype(dtype), w["cap_embedder.0.weight"], NORM_EPS))
    image = linear(w, "x_embedder", patches.astype(dtype))
    counts = jnp.zeros_like(lengths) + count
    for i in range(config["n_refiner_layers"]):
        text = block(config, of_block(w, f"context_refiner.{i}"), text, turn_caption, lengths)
        image = block(config, of_block(w, f"noise_refiner.{i}"), image, turn_image, counts, adaln)
    x = jnp.concatenate([image, jnp.zeros_like(text)], 1)
    return jax.lax.dynamic_update_slice(x, text, (0, count, 0)), turn, lengths + count


def velocity(config, w, patches, t, caption, lengths, pooled, grid):
    """Predicted velocity (data minus noise).

    patches [B, N, ppC], t [B] from 0 (noise) to 1 (data), caption [B, L, caption_width] of which `lengths` tokens count,
    pooled [B, pooled_width], grid (rows, columns) of patches, at most N; the result is as `patches`, in f32, and without
    meaning beyond the grid.
    """
    adaln = conditioning(w, t, pooled)
    x, turn, joint_lengths = embed(config, w, patches, adaln, caption, lengths, grid)
    layers = [of_block(w, f"layers.{i}") for i in range(config["n_layers"])]
    # A loop over stacked weights compiles in the time of one block.
    stacked = {name: jnp.stack([layer[name] for layer in layers]) for name in layers[0]}
    x, _ = jax.lax.scan(lambda x, layer: (block(config, layer, x, turn, joint_lengths, adaln), None), x, stacked)
    scale = 1 + linear(w, "final_layer.adaLN_modulation.1", adaln)[:, None]
    return linear(w, "final_layer.linear", layer_norm(x[:, : patches.shape[1]], 1e-6) * scale).astype(F32)
