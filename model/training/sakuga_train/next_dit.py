"""Next-DiT with pooled text in its adaLN path, as in NewBie-image-Exp0.1.

The joint sequence is image first, then caption, so that the padding of short captions lies at the end and attention can
hide it by length; positions are those of the original order, so the result is the same.
"""

import math

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


def rotary(config, lengths, width, rows, columns):
    """Cosines and sines of the image's tokens, then of `width` caption tokens: `[B, S, 1, head/2]` each."""
    freqs = [10000.0 ** (-jnp.arange(0, d, 2) / d) for d in config["axes_dims"]]
    batch, tokens = lengths.shape[0], rows * columns
    row, column = jnp.divmod(jnp.arange(tokens), columns)
    first = jnp.broadcast_to(lengths[:, None, None] * freqs[0], (batch, tokens, len(freqs[0])))
    others = jnp.concatenate([row[:, None] * freqs[1], column[:, None] * freqs[2]], -1)
    image = jnp.concatenate([first, jnp.broadcast_to(others, (batch, *others.shape))], -1)
    caption = jnp.arange(width)[:, None] * freqs[0]
    caption = jnp.concatenate([caption, jnp.zeros((width, others.shape[-1]))], -1)
    angle = jnp.concatenate([image, jnp.broadcast_to(caption, (batch, *caption.shape))], 1)[:, :, None]
    return jnp.cos(angle), jnp.sin(angle)


def block(config, w, name, x, turn, lengths, adaln=None):
    """One block over `[B, S, dim]`; `adaln` is SiLU of the modulating vector, or nothing."""
    batch, length, dim = x.shape
    heads, groups = config["n_heads"], config["n_kv_heads"]
    head = dim // heads
    cos, sin = turn

    def norm(part, y):
        return rms_norm(y, w[f"{name}.{part}.weight"], NORM_EPS)

    s1 = g1 = s2 = g2 = None
    if adaln is not None:
        mod = linear(w, f"{name}.adaLN_modulation.1", adaln)[:, None]
        s1, g1, s2, g2 = jnp.split(mod, 4, -1)
        s1, g1, s2, g2 = 1 + s1, jnp.tanh(g1), 1 + s2, jnp.tanh(g2)

    def times(y, factor):
        return y if factor is None else y * factor

    qkv = linear(w, f"{name}.attention.qkv", times(norm("attention_norm1", x), s1))
    qkv = qkv.reshape(batch, length, heads + 2 * groups, head)
    q, k, v = jnp.split(qkv, [heads, heads + groups], 2)
    q = rotate_pairs(rms_norm(q, w[f"{name}.attention.q_norm.weight"], QK_EPS), cos, sin)
    k = rotate_pairs(rms_norm(k, w[f"{name}.attention.k_norm.weight"], QK_EPS), cos, sin)
    out = attend(q, k, v, lengths).reshape(batch, length, dim)
    x = x + times(norm("attention_norm2", linear(w, f"{name}.attention.out", out)), g1)
    y = times(norm("ffn_norm1", x), s2)
    y = jax.nn.silu(linear(w, f"{name}.feed_forward.w1", y)) * linear(w, f"{name}.feed_forward.w3", y)
    return x + times(norm("ffn_norm2", linear(w, f"{name}.feed_forward.w2", y)), g2)


def velocity(config, w, patches, t, caption, lengths, pooled, grid):
    """Predicted velocity (data minus noise).

    patches [B, N, ppC], t [B] from 0 (noise) to 1 (data), caption [B, L, caption_width] of which `lengths` tokens count,
    pooled [B, pooled_width], grid (rows, columns) of patches; the result is as `patches`, in f32.
    """
    dtype = w["x_embedder.weight"].dtype
    rows, columns = grid
    tokens = rows * columns
    t_emb = time_embedding(w, t)
    pooled = rms_norm(pooled.astype(dtype), w["clip_text_pooled_proj.0.weight"], QK_EPS)
    pooled = linear(w, "clip_text_pooled_proj.1", pooled)
    adaln = jax.nn.silu(linear(w, "time_text_embed.1", jax.nn.silu(jnp.concatenate([t_emb, pooled], -1))))

    cos, sin = rotary(config, lengths, caption.shape[1], rows, columns)
    text = linear(w, "cap_embedder.1", rms_norm(caption.astype(dtype), w["cap_embedder.0.weight"], NORM_EPS))
    image = linear(w, "x_embedder", patches.astype(dtype))
    for i in range(config["n_refiner_layers"]):
        text = block(config, w, f"context_refiner.{i}", text, (cos[:, tokens:], sin[:, tokens:]), lengths)
        image = block(config, w, f"noise_refiner.{i}", image, (cos[:, :tokens], sin[:, :tokens]), None, adaln)
    x = jnp.concatenate([image, text], 1)
    for i in range(config["n_layers"]):
        x = block(config, w, f"layers.{i}", x, (cos, sin), lengths + tokens, adaln)
    scale = 1 + linear(w, "final_layer.adaLN_modulation.1", adaln)[:, None]
    return linear(w, "final_layer.linear", layer_norm(x[:, :tokens], 1e-6) * scale).astype(F32)
