"""A small AutoencoderKL in diffusers' layout; pixels and latents are channels-last here."""

import jax
import jax.numpy as jnp

from .layers import F32, Init, conv2d, group_norm, linear

EPS = 1e-6


def init(c, key):
    make = Init(key)
    channels, groups = c["channels"], c["layers_per_block"]

    def conv(name, inputs, outputs, kernel, gain=1.0):
        make.normal(f"{name}.weight", (outputs, inputs, kernel, kernel), gain * (inputs * kernel * kernel) ** -0.5)
        make.constant(f"{name}.bias", (outputs,), 0.0)

    def norm(name, width):
        make.constant(f"{name}.weight", (width,), 1.0)
        make.constant(f"{name}.bias", (width,), 0.0)

    def resnet(name, inputs, outputs):
        norm(f"{name}.norm1", inputs)
        conv(f"{name}.conv1", inputs, outputs, 3)
        norm(f"{name}.norm2", outputs)
        conv(f"{name}.conv2", outputs, outputs, 3, 0.3)
        if inputs != outputs:
            conv(f"{name}.conv_shortcut", inputs, outputs, 1)

    def middle(name, width):
        resnet(f"{name}.resnets.0", width, width)
        norm(f"{name}.attentions.0.group_norm", width)
        for part, gain in (("to_q", 1.0), ("to_k", 1.0), ("to_v", 1.0), ("to_out.0", 0.3)):
            make.linear(f"{name}.attentions.0.{part}", width, width, gain=gain)
        resnet(f"{name}.resnets.1", width, width)

    last = len(channels) - 1
    conv("encoder.conv_in", 3, channels[0], 3)
    for level, width in enumerate(channels):
        for i in range(groups):
            resnet(f"encoder.down_blocks.{level}.resnets.{i}", channels[max(level - 1, 0)] if i == 0 else width, width)
        if level < last:
            conv(f"encoder.down_blocks.{level}.downsamplers.0.conv", width, width, 3)
    middle("encoder.mid_block", channels[last])
    norm("encoder.conv_norm_out", channels[last])
    conv("encoder.conv_out", channels[last], 2 * c["latent_channels"], 3)

    back = channels[::-1]
    conv("decoder.conv_in", c["latent_channels"], back[0], 3)
    middle("decoder.mid_block", back[0])
    for level, width in enumerate(back):
        for i in range(groups + 1):
            resnet(f"decoder.up_blocks.{level}.resnets.{i}", back[max(level - 1, 0)] if i == 0 else width, width)
        if level < last:
            conv(f"decoder.up_blocks.{level}.upsamplers.0.conv", width, width, 3)
    norm("decoder.conv_norm_out", back[last])
    conv("decoder.conv_out", back[last], 3, 3)
    return make.weights


def _norm(w, name, x, groups):
    return group_norm(w, name, x, groups, EPS)


def _resnet(w, name, x, groups):
    y = conv2d(w, f"{name}.conv1", jax.nn.silu(_norm(w, f"{name}.norm1", x, groups)))
    y = conv2d(w, f"{name}.conv2", jax.nn.silu(_norm(w, f"{name}.norm2", y, groups)))
    if f"{name}.conv_shortcut.weight" in w:
        x = conv2d(w, f"{name}.conv_shortcut", x)
    return x + y


def _middle(w, name, x, groups):
    x = _resnet(w, f"{name}.resnets.0", x, groups)
    b, h, width, c = x.shape
    attention = f"{name}.attentions.0"
    y = _norm(w, f"{attention}.group_norm", x, groups).reshape(b, h * width, c)
    q, k, v = (linear(w, f"{attention}.to_{part}", y) for part in "qkv")
    scores = jnp.einsum("bqc,bkc->bqk", q, k, preferred_element_type=F32) * c**-0.5
    y = jnp.einsum("bqk,bkc->bqc", jax.nn.softmax(scores, -1).astype(v.dtype), v)
    x = x + linear(w, f"{attention}.to_out.0", y).reshape(x.shape)
    return _resnet(w, f"{name}.resnets.1", x, groups)


def encode(c, w, image):
    """RGB in -1..1, `[B, H, W, 3]`, to mean and log-variance, `[B, H/8, W/8, C]` each."""
    groups, last = c["groups"], len(c["channels"]) - 1
    x = conv2d(w, "encoder.conv_in", image.astype(w["encoder.conv_in.weight"].dtype))
    for level in range(last + 1):
        for i in range(c["layers_per_block"]):
            x = _resnet(w, f"encoder.down_blocks.{level}.resnets.{i}", x, groups)
        if level < last:
            x = conv2d(w, f"encoder.down_blocks.{level}.downsamplers.0.conv", x, 2, [(0, 1), (0, 1)])
    x = _middle(w, "encoder.mid_block", x, groups)
    x = conv2d(w, "encoder.conv_out", jax.nn.silu(_norm(w, "encoder.conv_norm_out", x, groups)))
    mean, logvar = jnp.split(x.astype(F32), 2, -1)
    return mean, jnp.clip(logvar, -30.0, 20.0)


def decode(c, w, latents):
    """The autoencoder's own latents, `[B, h, w, C]`, to RGB around -1..1, `[B, 8h, 8w, 3]`, in f32."""
    groups, last = c["groups"], len(c["channels"]) - 1
    x = conv2d(w, "decoder.conv_in", latents.astype(w["decoder.conv_in.weight"].dtype))
    x = _middle(w, "decoder.mid_block", x, groups)
    for level in range(last + 1):
        for i in range(c["layers_per_block"] + 1):
            x = _resnet(w, f"decoder.up_blocks.{level}.resnets.{i}", x, groups)
        if level < last:
            x = jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)
            x = conv2d(w, f"decoder.up_blocks.{level}.upsamplers.0.conv", x)
    x = jax.nn.silu(_norm(w, "decoder.conv_norm_out", x, groups))
    return conv2d(w, "decoder.conv_out", x).astype(F32)
