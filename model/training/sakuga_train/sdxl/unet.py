"""The U-Net of Stable Diffusion XL under diffusers' names; images are channels-last here."""

import jax
import jax.numpy as jnp

from ..layers import F32, Init, conv2d, group_norm, layer_norm, linear
from .clip_text import attention

EPS = 1e-5
TRANSFORMER_EPS = 1e-6
LAYER_NORM_EPS = 1e-5
PERIOD_MAX = 10_000.0
SIZES = 6


def added_features(c):
    """Width of the pooled text and the sinusoids of the six sizes."""
    return c["clip_g"]["projection"] + SIZES * c["unet"]["size_features"]


def context_dim(c):
    return c["clip_l"]["hidden"] + c["clip_g"]["hidden"]


def init(c, source):
    make = Init(source)
    u = c["unet"]
    channels, heads, layers = u["channels"], u["heads"], u["layers_per_block"]
    time, context = 4 * channels[0], context_dim(c)

    def conv(name, inputs, outputs, kernel, gain=1.0):
        make.normal(f"{name}.weight", (outputs, inputs, kernel, kernel), gain * (inputs * kernel * kernel) ** -0.5)
        make.constant(f"{name}.bias", (outputs,), 0.0)

    def norm(name, width):
        make.constant(f"{name}.weight", (width,), 1.0)
        make.constant(f"{name}.bias", (width,), 0.0)

    def resnet(name, inputs, outputs):
        norm(f"{name}.norm1", inputs)
        conv(f"{name}.conv1", inputs, outputs, 3)
        make.linear(f"{name}.time_emb_proj", outputs, time)
        norm(f"{name}.norm2", outputs)
        conv(f"{name}.conv2", outputs, outputs, 3, 0.3)
        if inputs != outputs:
            conv(f"{name}.conv_shortcut", inputs, outputs, 1)

    def transformer(name, level):
        if not heads[level]:
            return
        width = channels[level]
        norm(f"{name}.norm", width)
        make.linear(f"{name}.proj_in", width, width)
        for i in range(u["depth"][level]):
            block = f"{name}.transformer_blocks.{i}"
            for part, inputs in (("attn1", width), ("attn2", context)):
                make.linear(f"{block}.{part}.to_q", width, width, bias=False)
                make.linear(f"{block}.{part}.to_k", width, inputs, bias=False)
                make.linear(f"{block}.{part}.to_v", width, inputs, bias=False)
                make.linear(f"{block}.{part}.to_out.0", width, width, gain=0.5)
            for n in (1, 2, 3):
                norm(f"{block}.norm{n}", width)
            make.linear(f"{block}.ff.net.0.proj", 8 * width, width)
            make.linear(f"{block}.ff.net.2", width, 4 * width, gain=0.5)
        make.linear(f"{name}.proj_out", width, width, gain=0.5)

    for name, inputs in (("time_embedding", channels[0]), ("add_embedding", added_features(c))):
        make.linear(f"{name}.linear_1", time, inputs)
        make.linear(f"{name}.linear_2", time, time)
    conv("conv_in", 4, channels[0], 3)
    last = len(channels) - 1
    for level, width in enumerate(channels):
        for i in range(layers):
            resnet(f"down_blocks.{level}.resnets.{i}", channels[max(level - 1, 0)] if i == 0 else width, width)
            transformer(f"down_blocks.{level}.attentions.{i}", level)
        if level < last:
            conv(f"down_blocks.{level}.downsamplers.0.conv", width, width, 3)
    for i in range(2):
        resnet(f"mid_block.resnets.{i}", channels[last], channels[last])
    transformer("mid_block.attentions.0", last)
    for up in range(last + 1):
        level = last - up
        width, above = channels[level], channels[max(level - 1, 0)]
        for i in range(layers + 1):
            inputs = channels[min(level + 1, last)] if i == 0 else width
            resnet(f"up_blocks.{up}.resnets.{i}", inputs + (above if i == layers else width), width)
            transformer(f"up_blocks.{up}.attentions.{i}", level)
        if up < last:
            conv(f"up_blocks.{up}.upsamplers.0.conv", width, width, 3)
    norm("conv_norm_out", channels[0])
    conv("conv_out", channels[0], 4, 3, 0.1)
    return make.weights


def sinusoid(numbers, width):
    """Cosines, then sines of numbers `[...]`: `[..., width]` in f32."""
    half = width // 2
    angle = numbers.astype(F32)[..., None] * PERIOD_MAX ** (-jnp.arange(half) / half)
    return jnp.concatenate([jnp.cos(angle), jnp.sin(angle)], -1)


def predict(c, w, sample, times, context, pooled, sizes):
    """The prediction for noisy latents, in f32.

    sample [B, h, w, 4], times [B] of 1000, context [B, T, width], pooled [B, projection], sizes [B, 6] in pixels.
    """
    u = c["unet"]
    channels, layers = u["channels"], u["layers_per_block"]
    dtype = w["conv_in.weight"].dtype

    def norm(name, x, eps=EPS):
        return group_norm(w, name, x, u["groups"], eps)

    def mlp(name, x):
        return linear(w, f"{name}.linear_2", jax.nn.silu(linear(w, f"{name}.linear_1", x.astype(dtype))))

    added = sinusoid(sizes, u["size_features"]).reshape(len(sample), -1)
    added = jnp.concatenate([pooled.astype(F32), added], -1)
    time = mlp("time_embedding", sinusoid(times, channels[0])) + mlp("add_embedding", added)
    time = jax.nn.silu(time)
    context = context.astype(dtype)

    def resnet(name, x):
        y = conv2d(w, f"{name}.conv1", jax.nn.silu(norm(f"{name}.norm1", x)))
        y = y + linear(w, f"{name}.time_emb_proj", time)[:, None, None]
        y = conv2d(w, f"{name}.conv2", jax.nn.silu(norm(f"{name}.norm2", y)))
        return (conv2d(w, f"{name}.conv_shortcut", x) if f"{name}.conv_shortcut.weight" in w else x) + y

    def attend(name, x, source, heads):
        def project(part, y):
            return linear(w, f"{name}.to_{part}", y).reshape(*y.shape[:2], heads, -1)

        y = attention(project("q", x), project("k", source), project("v", source))
        return linear(w, f"{name}.to_out.0", y.reshape(x.shape))

    def transformer(name, x, level):
        heads = u["heads"][level]
        if not heads:
            return x
        batch, height, width, channels = x.shape
        y = norm(f"{name}.norm", x, TRANSFORMER_EPS).reshape(batch, height * width, channels)
        y = linear(w, f"{name}.proj_in", y)
        for i in range(u["depth"][level]):
            block = f"{name}.transformer_blocks.{i}"

            def normed(n, y, block=block):
                return layer_norm(y, LAYER_NORM_EPS, w[f"{block}.norm{n}.weight"], w[f"{block}.norm{n}.bias"])

            own = normed(1, y)
            y = y + attend(f"{block}.attn1", own, own, heads)
            y = y + attend(f"{block}.attn2", normed(2, y), context, heads)
            value, gate = jnp.split(linear(w, f"{block}.ff.net.0.proj", normed(3, y)), 2, -1)
            y = y + linear(w, f"{block}.ff.net.2", value * jax.nn.gelu(gate, approximate=False))
        return x + linear(w, f"{name}.proj_out", y).reshape(x.shape)

    x = conv2d(w, "conv_in", sample.astype(dtype))
    skips, last = [x], len(channels) - 1
    for level in range(last + 1):
        for i in range(layers):
            x = resnet(f"down_blocks.{level}.resnets.{i}", x)
            x = transformer(f"down_blocks.{level}.attentions.{i}", x, level)
            skips.append(x)
        if level < last:
            x = conv2d(w, f"down_blocks.{level}.downsamplers.0.conv", x, 2)
            skips.append(x)
    x = resnet("mid_block.resnets.0", x)
    x = transformer("mid_block.attentions.0", x, last)
    x = resnet("mid_block.resnets.1", x)
    for up in range(last + 1):
        for i in range(layers + 1):
            x = resnet(f"up_blocks.{up}.resnets.{i}", jnp.concatenate([x, skips.pop()], -1))
            x = transformer(f"up_blocks.{up}.attentions.{i}", x, last - up)
        if up < last:
            x = jnp.repeat(jnp.repeat(x, 2, 1), 2, 2)
            # An edge that was odd when it was halved is one shorter than twice its half.
            x = conv2d(w, f"up_blocks.{up}.upsamplers.0.conv", x[:, : skips[-1].shape[1], : skips[-1].shape[2]])
    return conv2d(w, "conv_out", jax.nn.silu(norm("conv_norm_out", x))).astype(F32)
