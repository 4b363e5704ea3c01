"""Next-DiT with pooled text in its adaLN path, as in NewBie-image-Exp0.1. Modules are named as the published tensors.

In bf16 the roundings are those of the authors' code: norms, rotations and the softmax compute in f32 and are rounded at
their ends, everything else is rounded after every operation.
"""

import math
from dataclasses import dataclass, fields

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from . import checkpoint
from .layers import RmsNorm, attend, rotate_pairs, unseen

TIME_FEATURES = 256
FINAL_NORM_EPS = 1e-6
# In the authors' class and never used, and of a variant that reads pictures.
TOLERATED = ("norm_final.weight", "clip_img_pooled_embedder.*")


@dataclass
class NextDitConfig:
    """Sizes; the defaults are those of the published network."""

    dim: int = 2304
    n_layers: int = 36
    n_refiner_layers: int = 2
    n_heads: int = 24
    n_kv_heads: int = 8
    ffn_dim: int = 9216
    adaln_dim: int = 1024
    patch_size: int = 2
    in_channels: int = 16
    cap_feat_dim: int = 2560
    clip_text_dim: int = 1024
    axes_dims: tuple = (32, 32, 32)
    rope_theta: float = 1e4
    norm_eps: float = 1e-5
    qk_norm_eps: float = 1e-6

    @classmethod
    def of(cls, values, tensors):
        """From `config.json`; what it does not say, the shapes of the tensors do."""
        shapes = {
            "ffn_dim": ("layers.0.feed_forward.w1.weight", 0),
            "adaln_dim": ("t_embedder.mlp.0.weight", 0),
            "cap_feat_dim": ("cap_embedder.0.weight", 0),
            "clip_text_dim": ("clip_text_pooled_proj.0.weight", 0),
        }
        known = {name: tensors[tensor].shape[axis] for name, (tensor, axis) in shapes.items()}
        known |= {field.name: values[field.name] for field in fields(cls) if field.name in values}
        return cls(**known)

    @property
    def head_dim(self):
        return self.dim // self.n_heads

    @property
    def patch_dim(self):
        return self.patch_size**2 * self.in_channels


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads = [c.n_heads, c.n_kv_heads, c.n_kv_heads]
        self.head_dim = c.head_dim
        self.qkv = nn.Linear(c.dim, sum(self.heads) * c.head_dim, bias=False)
        self.out = nn.Linear(c.dim, c.dim, bias=False)
        self.q_norm = RmsNorm(c.head_dim, c.qk_norm_eps)
        self.k_norm = RmsNorm(c.head_dim, c.qk_norm_eps)

    def forward(self, x, turn, visible):
        q, k, v = self.qkv(x).unflatten(-1, (-1, self.head_dim)).split(self.heads, 2)
        q, k = rotate_pairs(self.q_norm(q), turn), rotate_pairs(self.k_norm(k), turn)
        return self.out(attend(q, k, v, visible).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.w1 = nn.Linear(c.dim, c.ffn_dim, bias=False)
        self.w2 = nn.Linear(c.ffn_dim, c.dim, bias=False)
        self.w3 = nn.Linear(c.dim, c.ffn_dim, bias=False)

    def forward(self, x):
        return self.w2(functional.silu(self.w1(x)) * self.w3(x))


class Block(nn.Module):
    """`x += tanh(gate) * norm2(f(norm1(x) * (1 + scale)))` for attention and for the feed-forward part."""

    def __init__(self, c, is_modulated):
        super().__init__()
        self.attention = Attention(c)
        self.feed_forward = FeedForward(c)
        self.attention_norm1 = RmsNorm(c.dim, c.norm_eps)
        self.attention_norm2 = RmsNorm(c.dim, c.norm_eps)
        self.ffn_norm1 = RmsNorm(c.dim, c.norm_eps)
        self.ffn_norm2 = RmsNorm(c.dim, c.norm_eps)
        if is_modulated:
            self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(c.adaln_dim, 4 * c.dim))

    def forward(self, x, turn, visible, adaln=None):
        """x [B, S, dim], `adaln` [B, adaln_dim] for a modulated block."""
        if adaln is None:
            x = x + self.attention_norm2(self.attention(self.attention_norm1(x), turn, visible))
            return x + self.ffn_norm2(self.feed_forward(self.ffn_norm1(x)))
        scale1, gate1, scale2, gate2 = self.adaLN_modulation(adaln).unsqueeze(1).chunk(4, -1)
        y = self.attention(self.attention_norm1(x) * (1 + scale1), turn, visible)
        x = x + gate1.tanh() * self.attention_norm2(y)
        y = self.feed_forward(self.ffn_norm1(x) * (1 + scale2))
        return x + gate2.tanh() * self.ffn_norm2(y)


class TimeEmbedder(nn.Module):
    """The time as it is, not times 1000: cosines, then sines, then an MLP."""

    def __init__(self, c):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(TIME_FEATURES, c.adaln_dim), nn.SiLU(), nn.Linear(c.adaln_dim, c.adaln_dim))

    def forward(self, times):
        half = TIME_FEATURES // 2
        steps = torch.arange(half, dtype=torch.float32, device=times.device)
        angle = times.float()[:, None] * torch.exp(-math.log(1e4) / half * steps)
        return self.mlp(torch.cat([angle.cos(), angle.sin()], -1).to(self.mlp[0].weight.dtype))


class FinalLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm = nn.LayerNorm(c.dim, FINAL_NORM_EPS, elementwise_affine=False)
        self.linear = nn.Linear(c.dim, c.patch_dim)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(c.adaln_dim, c.dim))

    def forward(self, x, adaln):
        return self.linear(self.norm(x) * (1 + self.adaLN_modulation(adaln).unsqueeze(1)))


@dataclass
class Conditions:
    """What all evaluations of a batch share. `turn_*` are rotary tables, `visible_*` masks (nothing: no padding)."""

    caption: torch.Tensor
    lengths: list
    grids: list
    pooled: torch.Tensor | None
    turn_image: tuple
    turn_joint: tuple
    visible_image: torch.Tensor | None
    visible_joint: torch.Tensor | None


class NextDit(nn.Module):
    def __init__(self, config):
        super().__init__()
        c = self.config = config
        self.x_embedder = nn.Linear(c.patch_dim, c.dim)
        self.t_embedder = TimeEmbedder(c)
        self.cap_embedder = nn.Sequential(RmsNorm(c.cap_feat_dim, c.norm_eps), nn.Linear(c.cap_feat_dim, c.dim))
        self.clip_text_pooled_proj = nn.Sequential(
            RmsNorm(c.clip_text_dim, c.qk_norm_eps), nn.Linear(c.clip_text_dim, c.clip_text_dim)
        )
        self.time_text_embed = nn.Sequential(nn.SiLU(), nn.Linear(c.adaln_dim + c.clip_text_dim, c.adaln_dim))
        self.context_refiner = nn.ModuleList(Block(c, False) for _ in range(c.n_refiner_layers))
        self.noise_refiner = nn.ModuleList(Block(c, True) for _ in range(c.n_refiner_layers))
        self.layers = nn.ModuleList(Block(c, True) for _ in range(c.n_layers))
        self.final_layer = FinalLayer(c)

    @property
    def blocks(self):
        return [*self.context_refiner, *self.noise_refiner, *self.layers]

    def prepare(self, caption, lengths, pooled, grids, see=unseen):
        """What does not depend on time and latents.

        caption [B, L, cap_feat_dim] of which each row's `lengths` first tokens count, pooled [B, clip_text_dim] or
        nothing, grids [(rows, columns) of patches] for each row.
        """
        dtype, device = self.x_embedder.weight.dtype, self.x_embedder.weight.device
        captions = [caption_positions(length) for length in lengths]
        images = [image_positions(length, grid) for length, grid in zip(lengths, grids, strict=True)]
        joint = [torch.cat(parts) for parts in zip(captions, images, strict=True)]

        x = self.cap_embedder(caption[:, : max(lengths)].to(device, dtype))
        see("cap_emb", x)
        turn, visible = self.rotary(captions), visibility(lengths, device)
        for i, block in enumerate(self.context_refiner):
            x = block(x, turn, visible)
            see(f"context_refiner.{i}", x)
        if pooled is not None:
            pooled = self.clip_text_pooled_proj(pooled.to(device, dtype))
            see("clip_emb", pooled)
        tables = self.rotary(joint)
        see("position_ids", pad_sequence(joint, batch_first=True))
        see("rope_cos", tables[0].squeeze(2))
        see("rope_sin", tables[1].squeeze(2))
        return Conditions(
            caption=x,
            lengths=list(lengths),
            grids=list(grids),
            pooled=pooled,
            turn_image=self.rotary(images),
            turn_joint=tables,
            visible_image=visibility([len(image) for image in images], device),
            visible_joint=visibility([len(row) for row in joint], device),
        )

    def forward(self, given, latents, times, see=unseen):
        """Velocity (data minus noise) in f32, as many and as large as `latents`.

        given: of `prepare`; latents [B, C, H, W] or a list of [C, H, W]; times [B] from 0 (noise) to 1 (data).
        """
        weight = self.x_embedder.weight
        adaln = self.t_embedder(times.to(weight.device))
        see("t_emb", adaln)
        if given.pooled is not None:
            # The joined vector takes the place of the time's.
            adaln = self.time_text_embed(torch.cat([adaln, given.pooled], -1))
        see("adaln_input", adaln)

        patch = self.config.patch_size
        image = pad_sequence([patchify(row, patch) for row in latents], batch_first=True)
        image = self.x_embedder(image.to(weight.device, weight.dtype))
        see("img_emb", image)
        for i, block in enumerate(self.noise_refiner):
            image = block(image, given.turn_image, given.visible_image, adaln)
            see(f"noise_refiner.{i}", image)

        parts = [(length, rows * columns) for length, (rows, columns) in zip(given.lengths, given.grids, strict=True)]
        rows = [
            torch.cat([given.caption[row, :length], image[row, :tokens]]) for row, (length, tokens) in enumerate(parts)
        ]
        x = pad_sequence(rows, batch_first=True)
        see("joint_in", x)
        for i, block in enumerate(self.layers):
            x = block(x, given.turn_joint, given.visible_joint, adaln)
            see(f"layers.{i}", x)
        x = self.final_layer(x, adaln)
        see("final_layer", x)

        found = [
            unpatchify(x[row, length : length + tokens].float(), given.grids[row], patch)
            for row, (length, tokens) in enumerate(parts)
        ]
        return torch.stack(found) if isinstance(latents, torch.Tensor) else found

    def rotary(self, rows):
        """Cosines and sines for rows of positions [S, 3], `[B, S, 1, head_dim / 2]` in f32; angles are made in f64."""
        frequencies = [
            self.config.rope_theta ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
            for width in self.config.axes_dims
        ]
        angles = []
        for positions in rows:
            turned = [positions[:, axis, None] * frequency for axis, frequency in enumerate(frequencies)]
            angles.append(torch.cat(turned, -1))
        angles = pad_sequence(angles, batch_first=True).unsqueeze(2)
        device = self.x_embedder.weight.device
        return angles.cos().to(device, torch.float32), angles.sin().to(device, torch.float32)


def caption_positions(length):
    """Token i stands at (i, 0, 0)."""
    positions = torch.zeros(length, 3, dtype=torch.int64)
    positions[:, 0] = torch.arange(length)
    return positions


def image_positions(caption_length, grid):
    """The token of (row, column) stands at (the length of its own caption, row, column)."""
    rows, columns = grid
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([torch.full_like(row, caption_length), row, column], -1).flatten(0, 1)


def visibility(lengths, device):
    """[B, longest], false for padding; nothing where nothing is padded."""
    if min(lengths) == max(lengths):
        return None
    return (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).to(device)


def patchify(x, patch):
    """[C, H, W] to [HW/pp, ppC]: patches row by row; in a patch row, column, channel."""
    channels, height, width = x.shape
    x = x.reshape(channels, height // patch, patch, width // patch, patch)
    return x.permute(1, 3, 2, 4, 0).reshape(-1, patch * patch * channels)


def unpatchify(tokens, grid, patch):
    """The inverse of `patchify`."""
    rows, columns = grid
    x = tokens.reshape(rows, columns, patch, patch, -1)
    return x.permute(4, 0, 2, 1, 3).reshape(-1, rows * patch, columns * patch)


def load(folder, device, dtype, files=None):
    """The network of `transformer/`."""
    tensors = checkpoint.read_tensors(files or checkpoint.weight_files(folder), device, dtype, tolerated=TOLERATED)
    config = NextDitConfig.of(checkpoint.read_json(folder / "config.json"), tensors)
    with torch.device("meta"):
        network = NextDit(config)
    return checkpoint.fill(network, tensors)


def random(device, dtype):
    """The published sizes with random weights, for measuring time."""
    with torch.device("meta"):
        network = NextDit(NextDitConfig())
    return checkpoint.randomise(network, device, dtype)
