"""The decoder of FLUX's autoencoder (AutoencoderKL). Modules are named as the published tensors below `decoder`."""

from dataclasses import dataclass, fields

import torch
from torch import nn
from torch.nn import functional

from . import checkpoint
from .layers import attend, unseen

EPS = 1e-6


@dataclass
class VaeConfig:
    """Sizes; the defaults are those of FLUX."""

    block_out_channels: tuple = (128, 256, 512, 512)
    layers_per_block: int = 2
    norm_num_groups: int = 32
    latent_channels: int = 16
    scaling_factor: float = 0.3611
    shift_factor: float = 0.1159

    @classmethod
    def of(cls, values):
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


def conv(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class Resnet(nn.Module):
    def __init__(self, groups, inputs, outputs):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs, EPS)
        self.conv1 = conv(inputs, outputs)
        self.norm2 = nn.GroupNorm(groups, outputs, EPS)
        self.conv2 = conv(outputs, outputs)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x):
        y = self.conv1(functional.silu(self.norm1(x)))
        y = self.conv2(functional.silu(self.norm2(y)))
        return (x if self.conv_shortcut is None else self.conv_shortcut(x)) + y


class Attention(nn.Module):
    """One head as wide as there are channels, over all positions."""

    def __init__(self, groups, channels):
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, EPS)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x):
        tokens = self.group_norm(x).flatten(2).transpose(1, 2)
        q, k, v = (layer(tokens).unsqueeze(2) for layer in (self.to_q, self.to_k, self.to_v))
        y = self.to_out[0](attend(q, k, v).flatten(2))
        return x + y.transpose(1, 2).unflatten(2, x.shape[2:])


class Middle(nn.Module):
    def __init__(self, groups, channels):
        super().__init__()
        self.resnets = nn.ModuleList(Resnet(groups, channels, channels) for _ in range(2))
        self.attentions = nn.ModuleList([Attention(groups, channels)])

    def forward(self, x, see):
        x = self.resnets[0](x)
        see("mid_block.resnets.0", x)
        x = self.attentions[0](x)
        see("mid_block.attentions.0", x)
        x = self.resnets[1](x)
        see("mid_block", x)
        return x


class Upsampler(nn.Module):
    """Doubles height and width by repeating pixels, then a convolution."""

    def __init__(self, channels):
        super().__init__()
        self.conv = conv(channels, channels)

    def forward(self, x):
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    def __init__(self, groups, count, inputs, outputs, is_last):
        super().__init__()
        self.resnets = nn.ModuleList(Resnet(groups, inputs if i == 0 else outputs, outputs) for i in range(count))
        self.upsamplers = nn.ModuleList([] if is_last else [Upsampler(outputs)])

    def forward(self, x):
        for layer in (*self.resnets, *self.upsamplers):
            x = layer(x)
        return x


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        groups, channels = config.norm_num_groups, list(reversed(config.block_out_channels))
        before = [channels[0], *channels]
        last = len(channels) - 1
        self.conv_in = conv(config.latent_channels, channels[0])
        self.mid_block = Middle(groups, channels[0])
        self.up_blocks = nn.ModuleList(
            Level(groups, config.layers_per_block + 1, before[i], width, i == last) for i, width in enumerate(channels)
        )
        self.conv_norm_out = nn.GroupNorm(groups, channels[last], EPS)
        self.conv_out = conv(channels[last], 3)

    def forward(self, model_latents, see=unseen):
        """Latents as the Next-DiT has them, [B, C, H, W], to RGB about -1..1, [B, 3, 8H, 8W]."""
        latents = model_latents / self.config.scaling_factor + self.config.shift_factor
        see("vae_latents", latents)
        x = self.conv_in(latents.to(self.conv_in.weight.dtype))
        see("conv_in", x)
        x = self.mid_block(x, see)
        for i, level in enumerate(self.up_blocks):
            x = level(x)
            see(f"up_blocks.{i}", x)
        return self.conv_out(functional.silu(self.conv_norm_out(x)))


def to_image(sample):
    """What the decoder gives to RGB in 0..1, in f32."""
    return ((sample.float() + 1) / 2).clamp(0, 1)


def load(folder, device, dtype):
    """The decoder of `vae/`."""
    tensors = checkpoint.read_tensors(checkpoint.weight_files(folder), device, dtype, ("decoder.",), ("encoder.*",))
    with torch.device("meta"):
        decoder = Decoder(VaeConfig.of(checkpoint.read_json(folder / "config.json")))
    return checkpoint.fill(decoder, tensors)


def random(device, dtype):
    """FLUX's sizes with random weights, for measuring time."""
    with torch.device("meta"):
        decoder = Decoder(VaeConfig())
    return checkpoint.randomise(decoder, device, dtype)
