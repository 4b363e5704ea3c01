"""What several networks share: the Next-DiT's norm, rotary positions, attention."""

import torch
from torch import nn
from torch.nn import functional


def unseen(_name, _value):
    """The default observer of values inside a network."""


class RmsNorm(nn.Module):
    """Normalises in f32, casts back, then multiplies by the weight: in bf16 that is two roundings, and their order counts."""

    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        wide = x.float()
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return wide.type_as(x) * self.weight


def rotate_pairs(x, turn):
    """Turns neighbouring pairs (2i, 2i + 1) in f32; x is [B, S, H, D], `turn` cosines and sines [B, S, 1, D/2]."""
    cos, sin = turn
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], -1).flatten(-2).type_as(x)


def rotate_halves(x, turn):
    """Turns the pairs (i, i + D/2) in f32; shapes as for `rotate_pairs`."""
    cos, sin = turn
    first, second = x.float().chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).type_as(x)


def attend(q, k, v, visible=None):
    """Softmax attention, query head h with key head h / (H / G): q [B, S, H, D], k and v [B, T, G, D] to [B, S, H, D].

    `visible` [B, T] is false for keys that are padding; nothing means that no key is padding.
    """
    heads, groups = q.shape[2], k.shape[2]
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    if visible is None and q.dtype == torch.bfloat16:
        # Flash attention groups heads itself.
        return functional.scaled_dot_product_attention(q, k, v, enable_gqa=heads != groups).transpose(1, 2)
    # The kernels that know masks or f32 do not: without the copies everything would fall back to plain products.
    k, v = (x.repeat_interleave(heads // groups, 1) for x in (k, v))
    mask = None if visible is None else visible[:, None, None]
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
