"""What several networks share: linears, norms, rotary positions, attention. Weights go by their checkpoint names."""

import math
from functools import partial

import jax
import jax.numpy as jnp

F32 = jnp.float32


def linear(w, name, x):
    """`[..., in]` to `[..., out]`; weights are [out, in] as in PyTorch."""
    y = x @ w[name + ".weight"].T
    bias = w.get(name + ".bias")
    return y if bias is None else y + bias


@partial(jax.checkpoint, static_argnums=2, prevent_cse=False)
def rms_norm(x, weight, eps):
    """RMSNorm in f32, rounded, then weighted: the Next-DiT's order of operations."""
    wide = x.astype(F32)
    wide = wide * jax.lax.rsqrt(jnp.mean(wide * wide, -1, keepdims=True) + eps)
    return wide.astype(x.dtype) * weight


def layer_norm(x, eps, weight=None, bias=None):
    """LayerNorm in f32, with or without weights."""
    wide = x.astype(F32)
    wide = wide - wide.mean(-1, keepdims=True)
    wide = wide * jax.lax.rsqrt(jnp.mean(wide * wide, -1, keepdims=True) + eps)
    if weight is not None:
        wide = wide * weight.astype(F32) + bias.astype(F32)
    return wide.astype(x.dtype)


def rotate_half(x, base):
    """Rotary positions 0, 1, ... with pairs (i, i + D/2); x is [B, S, H, D]."""
    half = x.shape[-1] // 2
    angle = jnp.arange(x.shape[1])[:, None] * (base ** (-jnp.arange(half) / half))[None]
    cos, sin = jnp.cos(angle)[None, :, None], jnp.sin(angle)[None, :, None]
    a, b = x[..., :half].astype(F32), x[..., half:].astype(F32)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], -1).astype(x.dtype)


def rotate_pairs(x, cos, sin):
    """Rotary positions with pairs (2i, 2i + 1); x is [B, S, H, D], cos and sin [B, S, 1, D/2]."""
    pairs = x.astype(F32).reshape(*x.shape[:-1], -1, 2)
    a, b = pairs[..., 0], pairs[..., 1]
    return jnp.stack([a * cos - b * sin, b * cos + a * sin], -1).reshape(x.shape).astype(x.dtype)


def attend(q, k, v, lengths=None, causal=False):
    """Softmax attention; q [B, S, H, D], k and v [B, S, G, D]. Keys from `lengths` on are hidden."""
    on_gpu = jax.default_backend() == "gpu" and q.dtype == jnp.bfloat16
    return jax.nn.dot_product_attention(
        q,
        k,
        v,
        is_causal=causal,
        key_value_seq_lengths=lengths,
        query_seq_lengths=None if lengths is None else jnp.full_like(lengths, q.shape[1]),
        implementation="cudnn" if on_gpu else "xla",
    )


class Init:
    """Draws initial weights by name."""

    def __init__(self, key):
        self.key, self.weights = key, {}

    def normal(self, name, shape, std):
        self.key, key = jax.random.split(self.key)
        self.weights[name] = std * jax.random.normal(key, shape, F32)

    def constant(self, name, shape, value):
        self.weights[name] = jnp.full(shape, value, F32)

    def linear(self, name, outputs, inputs, bias=True, gain=1.0):
        self.normal(name + ".weight", (outputs, inputs), gain / math.sqrt(inputs))
        if bias:
            self.constant(name + ".bias", (outputs,), 0.0)
