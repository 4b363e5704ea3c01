"""What several networks share: linears, norms, rotary positions, attention. Weights go by their checkpoint names."""

import math
import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

F32 = jnp.float32

# `product`: convolutions are matrix products, which XLA compiles in a fraction of the time and needs no trials for.
CONVOLUTION = os.environ.get("SAKUGA_CONVOLUTION", "library")


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


def conv2d(w, name, x, stride=1, padding=None):
    """`[B, H, W, in]` to `[B, H / stride, W / stride, out]`; weights are [out, in, k, k] as in PyTorch.

    `padding` is what is added before and after each edge; by default half a kernel.
    """
    kernel = w[name + ".weight"]
    pad = kernel.shape[-1] // 2
    padding = padding or [(pad, pad), (pad, pad)]
    if CONVOLUTION == "product":
        return _as_product(kernel, x, stride, padding) + w[name + ".bias"]
    y = jax.lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "OIHW", "NHWC"))
    return y + w[name + ".bias"]


def _as_product(kernel, x, stride, padding):
    """A convolution as one matrix product, whose rows are the neighbourhoods of the pixels."""
    outputs, inputs, size, _ = kernel.shape
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    height, width = ((edge - size) // stride + 1 for edge in x.shape[1:3])

    def shifted(row, column):
        rows = slice(row, row + stride * (height - 1) + 1, stride)
        return x[:, rows, column : column + stride * (width - 1) + 1 : stride]

    near = jnp.concatenate([shifted(row, column) for row in range(size) for column in range(size)], -1)
    return near @ kernel.transpose(2, 3, 1, 0).reshape(size * size * inputs, outputs)


def group_norm(w, name, x, groups, eps):
    """GroupNorm of `[B, H, W, C]` in f32."""
    b, h, width, c = x.shape
    y = x.astype(F32).reshape(b, h * width, groups, c // groups)
    mean = y.mean((1, 3), keepdims=True)
    variance = jnp.square(y - mean).mean((1, 3), keepdims=True)
    y = ((y - mean) * jax.lax.rsqrt(variance + eps)).reshape(x.shape)
    return (y * w[name + ".weight"].astype(F32) + w[name + ".bias"].astype(F32)).astype(x.dtype)


# Weights of fewer values are kept as they are.
ROUNDED_FROM = 4096
# The exponent of the smallest normal number and the largest number of 8-bit floats with 3 bits of mantissa (e4m3fn).
E4M3_EXPONENT_MIN, E4M3_MAX = -6, 448.0


def is_rounded(value):
    """Whether a weight is stored in 8-bit floats where a network is."""
    return value.ndim > 1 and value.size >= ROUNDED_FROM


def e4m3(value):
    """The nearest 8-bit float, in f32. Written out, because compilers may leave out a conversion there and back."""
    bits = jax.lax.bitcast_convert_type(value.astype(F32), jnp.int32)
    exponent = jnp.maximum(((bits >> 23) & 0xFF) - 127, E4M3_EXPONENT_MIN)
    step = jax.lax.bitcast_convert_type((exponent - 3 + 127) << 23, F32)
    return jnp.clip(jnp.round(value / step) * step, -E4M3_MAX, E4M3_MAX)


def stored(weights, kind):
    """Weights as the checkpoint will hold them, `e4m3` for 8-bit floats, with the gradient of the exact ones."""
    if kind != "e4m3":
        return weights

    def rounded(value):
        return value + jax.lax.stop_gradient(e4m3(value) - value) if is_rounded(value) else value

    return {name: rounded(value) for name, value in weights.items()}


class Init:
    """Draws initial weights by name from a key of JAX, or from a generator of NumPy, which compiles nothing."""

    def __init__(self, source):
        self.source, self.weights = source, {}

    def normal(self, name, shape, std):
        if isinstance(self.source, np.random.Generator):
            self.weights[name] = np.float32(std) * self.source.standard_normal(shape, np.float32)
            return
        self.source, key = jax.random.split(self.source)
        self.weights[name] = std * jax.random.normal(key, shape, F32)

    def constant(self, name, shape, value):
        make = np if isinstance(self.source, np.random.Generator) else jnp
        self.weights[name] = make.full(shape, value, F32)

    def linear(self, name, outputs, inputs, bias=True, gain=1.0):
        self.normal(name + ".weight", (outputs, inputs), gain / math.sqrt(inputs))
        if bias:
            self.constant(name + ".bias", (outputs,), 0.0)
