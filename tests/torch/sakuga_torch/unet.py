"""The U-Net of Stable Diffusion XL. Modules are named as the tensors of diffusers' folders.

A configuration says the sizes of base model and refiner alike: `attention_head_dim` holds the number of heads of each level, and
`transformer_layers_per_block` is a list, or one number for all levels.
"""

import math

import torch
from torch import nn
from torch.nn import functional

from . import checkpoint
from .layers import attend

NORM_EPS, TRANSFORMER_NORM_EPS = 1e-5, 1e-6

BASE = {
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": [320, 640, 1280],
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": [1, 2, 10],
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
REFINER = BASE | {
    "block_out_channels": [384, 768, 1536, 1536],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": 4,
    "attention_head_dim": [6, 12, 24, 24],
    "cross_attention_dim": 1280,
    "projection_class_embeddings_input_dim": 2560,
}


def waves(values, width):
    """Cosines and sines of values [N] at `width / 2` frequencies: [N, width], f32."""
    half = width // 2
    rates = torch.exp(-math.log(10000) / half * torch.arange(half, device=values.device, dtype=torch.float32))
    turns = values.float()[:, None] * rates
    return torch.cat([turns.cos(), turns.sin()], -1)


class Embedding(nn.Module):
    def __init__(self, inputs, width):
        super().__init__()
        self.linear_1 = nn.Linear(inputs, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, x):
        return self.linear_2(functional.silu(self.linear_1(x)))


class Resnet(nn.Module):
    def __init__(self, groups, inputs, outputs, time_width):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs, NORM_EPS)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time_emb_proj = nn.Linear(time_width, outputs)
        self.norm2 = nn.GroupNorm(groups, outputs, NORM_EPS)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x, time):
        y = self.conv1(functional.silu(self.norm1(x)))
        y = y + self.time_emb_proj(functional.silu(time))[:, :, None, None]
        y = self.conv2(functional.silu(self.norm2(y)))
        return (x if self.conv_shortcut is None else self.conv_shortcut(x)) + y


class Attention(nn.Module):
    def __init__(self, width, heads, context_width):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width, width, bias=False)
        self.to_v = nn.Linear(context_width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x, context):
        q, k, v = (
            layer(rows).unflatten(-1, (self.heads, -1))
            for layer, rows in ((self.to_q, x), (self.to_k, context), (self.to_v, context))
        )
        return self.to_out[0](attend(q, k, v).flatten(2))


class Gated(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.proj = nn.Linear(width, 8 * width)

    def forward(self, x):
        value, gate = self.proj(x).chunk(2, -1)
        return value * functional.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.ModuleList([Gated(width), nn.Identity(), nn.Linear(4 * width, width)])

    def forward(self, x):
        return self.net[2](self.net[0](x))


class Block(nn.Module):
    def __init__(self, width, heads, context_width):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(width, heads, width)
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = Attention(width, heads, context_width)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(self, x, context):
        own = self.norm1(x)
        x = x + self.attn1(own, own)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class Transformer(nn.Module):
    def __init__(self, groups, width, heads, context_width, depth):
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, TRANSFORMER_NORM_EPS)
        self.proj_in = nn.Linear(width, width)
        self.transformer_blocks = nn.ModuleList(Block(width, heads, context_width) for _ in range(depth))
        self.proj_out = nn.Linear(width, width)

    def forward(self, x, context):
        rows = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        for block in self.transformer_blocks:
            rows = block(rows, context)
        return x + self.proj_out(rows).transpose(1, 2).unflatten(2, x.shape[2:])


class Resample(nn.Module):
    def __init__(self, width, stride):
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(width, width, 3, padding=1, stride=stride)

    def forward(self, x, size=None):
        if self.stride == 1:
            x = functional.interpolate(x, size=size, mode="nearest")
        return self.conv(x)


class Level(nn.Module):
    """Residual blocks of one resolution, each with a transformer where the level has them."""

    def __init__(self, sizes, inputs, width, heads, depth):
        super().__init__()
        groups, time_width, context_width = sizes
        self.resnets = nn.ModuleList(Resnet(groups, channels, width, time_width) for channels in inputs)
        count = len(inputs) if depth else 0
        self.attentions = nn.ModuleList(Transformer(groups, width, heads, context_width, depth) for _ in range(count))

    def layer(self, i, x, time, context):
        x = self.resnets[i](x, time)
        return self.attentions[i](x, context) if self.attentions else x


class Middle(nn.Module):
    def __init__(self, sizes, width, heads, depth):
        super().__init__()
        groups, time_width, context_width = sizes
        self.resnets = nn.ModuleList(Resnet(groups, width, width, time_width) for _ in range(2))
        self.attentions = nn.ModuleList([Transformer(groups, width, heads, context_width, depth)])

    def forward(self, x, time, context):
        return self.resnets[1](self.attentions[0](self.resnets[0](x, time), context), time)


class Unet(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        widths, layers, groups = (config[key] for key in ("block_out_channels", "layers_per_block", "norm_num_groups"))
        heads, depths = config["attention_head_dim"], config["transformer_layers_per_block"]
        depths = depths if isinstance(depths, list) else [depths] * len(widths)
        time_width = 4 * widths[0]
        sizes = groups, time_width, config["cross_attention_dim"]
        self.conv_in = nn.Conv2d(config["in_channels"], widths[0], 3, padding=1)
        self.time_embedding = Embedding(widths[0], time_width)
        self.add_embedding = Embedding(config["projection_class_embeddings_input_dim"], time_width)
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        # Channels of what the way down leaves for the way up, in order.
        kept, before = [widths[0]], widths[0]
        for i, width in enumerate(widths):
            has_text = "CrossAttn" in config["down_block_types"][i]
            inputs = [before] + [width] * (layers - 1)
            level = Level(sizes, inputs, width, heads[i], depths[i] if has_text else 0)
            is_last = i == len(widths) - 1
            level.downsamplers = nn.ModuleList([] if is_last else [Resample(width, 2)])
            self.down_blocks.append(level)
            kept += [width] * (layers if is_last else layers + 1)
            before = width
        self.mid_block = Middle(sizes, before, heads[-1], depths[-1])
        for i, width in enumerate(reversed(widths)):
            place = len(widths) - 1 - i
            has_text = "CrossAttn" in config["up_block_types"][i]
            inputs = []
            for _ in range(layers + 1):
                inputs.append(before + kept.pop())
                before = width
            level = Level(sizes, inputs, width, heads[place], depths[place] if has_text else 0)
            level.upsamplers = nn.ModuleList([] if place == 0 else [Resample(width, 1)])
            self.up_blocks.append(level)
        self.conv_norm_out = nn.GroupNorm(groups, before, NORM_EPS)
        self.conv_out = nn.Conv2d(before, config["out_channels"], 3, padding=1)

    def forward(self, x, time, context, pooled, sizes):
        """Latents [B, C, H, W] at a time, text [B, L, width], pooled text [B, P] and sizes [B, 5 or 6] to the prediction."""
        dtype = self.conv_in.weight.dtype
        times = torch.as_tensor(time, device=x.device, dtype=torch.float32).expand(x.shape[0])
        numbers = waves(sizes.flatten(), self.config["addition_time_embed_dim"]).unflatten(0, sizes.shape).flatten(1)
        added = self.add_embedding(torch.cat([pooled, numbers.to(dtype)], -1))
        time = self.time_embedding(waves(times, self.config["block_out_channels"][0]).to(dtype)) + added
        x = self.conv_in(x.to(dtype))
        kept = [x]
        for level in self.down_blocks:
            for i in range(len(level.resnets)):
                x = level.layer(i, x, time, context)
                kept.append(x)
            for resample in level.downsamplers:
                x = resample(x)
                kept.append(x)
        x = self.mid_block(x, time, context)
        for level in self.up_blocks:
            for i in range(len(level.resnets)):
                x = level.layer(i, torch.cat([x, kept.pop()], 1), time, context)
            for resample in level.upsamplers:
                # An odd edge was rounded up on the way down.
                x = resample(x, kept[-1].shape[2:])
        return self.conv_out(functional.silu(self.conv_norm_out(x)))


def load(folder, device, dtype):
    """The U-Net of `unet/`."""
    with torch.device("meta"):
        network = Unet(checkpoint.read_json(folder / "config.json"))
    return checkpoint.fill(network, checkpoint.read_tensors(checkpoint.weight_files(folder), device, dtype))


def random(config, device, dtype):
    """These sizes with random weights, for measuring time."""
    with torch.device("meta"):
        network = Unet(config)
    return checkpoint.randomise(network, device, dtype)
