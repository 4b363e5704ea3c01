"""Random weights and the arithmetic that the networks share, in float64, one row at a time."""

import math

import numpy as np

rng = np.random.default_rng(1)
f64 = np.float64


def draw(*shape, std=1.0, mean=0.0):
    return (mean + std * rng.standard_normal(shape)).astype(np.float32)


def matrix(outputs, inputs, gain=1.0):
    return draw(outputs, inputs, std=gain / math.sqrt(inputs))


def wide(weights):
    return {name: value.astype(f64) for name, value in weights.items()}


def linear(w, name, x):
    y = x @ w[name + ".weight"].T
    return y + w[name + ".bias"] if name + ".bias" in w else y


def rms(x, weight, eps):
    return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + eps) * weight


def layer_norm(x, eps, weight=1.0, bias=0.0):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + eps) * weight + bias


def silu(x):
    return x / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attend(q, k, v, scale, allowed=None):
    """q [S, H, D], k and v [S, G, D]; head h reads group h // (H / G)."""
    groups = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, groups, 1), np.repeat(v, groups, 1)
    scores = np.einsum("shd,thd->hst", q, k) * scale
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    return np.einsum("hst,thd->shd", softmax(scores), v)


def rotate_half(x, base, factor=1.0):
    """Pairs (i, i + D/2) of x [S, H, D], positions from 0."""
    half = x.shape[-1] // 2
    angle = np.outer(np.arange(len(x)), base ** (-np.arange(half) / half) / factor)[:, None]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], -1)


def pad(rows, width):
    out = np.zeros((len(rows), width) + rows[0].shape[1:], rows[0].dtype)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out
