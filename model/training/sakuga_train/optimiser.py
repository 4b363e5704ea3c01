"""Muon for the matrices inside blocks, AdamW for everything else, and an average of the weights.

Muon: Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024); the scale that lets it share
AdamW's learning rate: Liu et al., "Muon is Scalable for LLM Training" (arXiv 2502.16982).
"""

import re

import jax.numpy as jnp

from .layers import F32

MOMENTUM = 0.95
BETAS = (0.9, 0.99)
EPS = 1e-8
AVERAGE = 0.999
CLIP = 1.0

_HIDDEN = re.compile(
    r"(attention\.(qkv|out)|feed_forward\.w[123]|self_attn\.([qkvo]|out)_proj|mlp\.\w+|mixer\.\w+)\.weight$"
    # Of the U-Net, whose kernels are matrices with a row for each output.
    r"|^unet/.*\.(to_([qkv]|out\.0)|ff\.net\.(0\.proj|2)|proj_(in|out)|conv[12]|conv_shortcut|samplers\.0\.conv)\.weight$"
)


def is_hidden(name):
    """Whether Muon moves this weight."""
    return _HIDDEN.search(name) is not None


def init(params):
    zeros = {name: jnp.zeros_like(value) for name, value in params.items()}
    second = {name: jnp.zeros_like(value) for name, value in params.items() if not is_hidden(name)}
    average = {name: value.copy() for name, value in params.items()}
    return {"params": params, "first": zeros, "second": second, "average": average, "step": jnp.zeros((), jnp.int32)}


def orthogonal(stack):
    """Nearest semi-orthogonal matrices of `[n, rows, columns]` by five Newton-Schulz steps."""
    x = stack.astype(jnp.bfloat16)
    is_tall = x.shape[1] > x.shape[2]
    x = x.mT if is_tall else x
    x = x / (jnp.linalg.norm(x.astype(F32), axis=(1, 2), keepdims=True) + 1e-7).astype(x.dtype)
    for _ in range(5):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if is_tall else x).astype(F32)


def update(state, grads, learning_rate, weight_decay):
    """One step. `state` is what `init` made."""
    params, first, second = state["params"], dict(state["first"]), dict(state["second"])
    step = state["step"] + 1
    norm = jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in grads.values()))
    factor = jnp.minimum(1.0, CLIP / (norm + 1e-9))
    new, by_shape = {}, {}
    for name, grad in grads.items():
        grad = grad * factor
        if is_hidden(name):
            first[name] = MOMENTUM * first[name] + grad
            move = (grad + MOMENTUM * first[name]).reshape(len(grad), -1)
            by_shape.setdefault(move.shape, []).append((name, move))
        else:
            first[name] = BETAS[0] * first[name] + (1 - BETAS[0]) * grad
            second[name] = BETAS[1] * second[name] + (1 - BETAS[1]) * jnp.square(grad)
            mean = first[name] / (1 - BETAS[0] ** step)
            spread = jnp.sqrt(second[name] / (1 - BETAS[1] ** step)) + EPS
            decay = weight_decay if grad.ndim > 1 else 0.0
            new[name] = params[name] - learning_rate * (mean / spread + decay * params[name])
    for shape, entries in by_shape.items():
        moves = orthogonal(jnp.stack([move for _, move in entries])) * (0.2 * max(shape) ** 0.5)
        for (name, _), move in zip(entries, moves, strict=True):
            move = move.reshape(params[name].shape)
            new[name] = params[name] - learning_rate * (move + weight_decay * params[name])
    keep = jnp.minimum(AVERAGE, (1 + step) / (10 + step))
    average = {name: keep * old + (1 - keep) * new[name] for name, old in state["average"].items()}
    return {"params": new, "first": first, "second": second, "average": average, "step": step}, norm
