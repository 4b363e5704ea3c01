"""The autoencoder: both ways, a picture at a time."""

import math

import numpy as np

from .files import OUT, write_json, write_tensors
from .numerics import attend, draw, f64, layer_norm, linear, matrix, silu, wide

VAE = dict(
    _class_name="AutoencoderKL",
    act_fn="silu",
    block_out_channels=[8, 8],
    down_block_types=["DownEncoderBlock2D"] * 2,
    up_block_types=["UpDecoderBlock2D"] * 2,
    in_channels=3,
    out_channels=3,
    latent_channels=4,
    layers_per_block=1,
    norm_num_groups=4,
    mid_block_add_attention=True,
    use_quant_conv=False,
    use_post_quant_conv=False,
    sample_size=16,
    scaling_factor=0.3611,
    shift_factor=0.1159,
)


def vae_weights():
    c, w = VAE, {}
    widths, blocks = c["block_out_channels"], c["layers_per_block"]

    def conv(name, outputs, inputs, size=3):
        w[name + ".weight"] = draw(outputs, inputs, size, size, std=1 / math.sqrt(inputs * size * size))
        w[name + ".bias"] = draw(outputs, std=0.1)

    def norm(name, size):
        w[name + ".weight"], w[name + ".bias"] = draw(size, std=0.2, mean=1), draw(size, std=0.1)

    def resnet(name, inputs, outputs):
        norm(name + ".norm1", inputs)
        conv(name + ".conv1", outputs, inputs)
        norm(name + ".norm2", outputs)
        conv(name + ".conv2", outputs, outputs)
        if inputs != outputs:
            conv(name + ".conv_shortcut", outputs, inputs, 1)

    def mid(name, size):
        resnet(name + ".resnets.0", size, size)
        norm(name + ".attentions.0.group_norm", size)
        for part in ("to_q", "to_k", "to_v", "to_out.0"):
            w[f"{name}.attentions.0.{part}.weight"] = matrix(size, size)
            w[f"{name}.attentions.0.{part}.bias"] = draw(size, std=0.1)
        resnet(name + ".resnets.1", size, size)

    conv("encoder.conv_in", widths[0], 3)
    width = widths[0]
    for i, size in enumerate(widths):
        for j in range(blocks):
            resnet(f"encoder.down_blocks.{i}.resnets.{j}", width, size)
            width = size
        if i + 1 < len(widths):
            conv(f"encoder.down_blocks.{i}.downsamplers.0.conv", size, size)
    mid("encoder.mid_block", width)
    norm("encoder.conv_norm_out", width)
    conv("encoder.conv_out", 2 * c["latent_channels"], width)
    conv("decoder.conv_in", width, c["latent_channels"])
    mid("decoder.mid_block", width)
    for i, size in enumerate(reversed(widths)):
        for j in range(blocks + 1):
            resnet(f"decoder.up_blocks.{i}.resnets.{j}", width, size)
            width = size
        if i + 1 < len(widths):
            conv(f"decoder.up_blocks.{i}.upsamplers.0.conv", size, size)
    norm("decoder.conv_norm_out", width)
    conv("decoder.conv_out", 3, width)
    return w


def convolve(w, name, x, stride=1, padding=(1, 1)):
    weight, (before, after) = w[name + ".weight"], padding
    size = weight.shape[-1]
    x = np.pad(x, ((0, 0), (before, after), (before, after)))
    rows, columns = ((edge - size) // stride + 1 for edge in x.shape[1:])
    out = np.zeros((weight.shape[0], rows, columns))
    for dy in range(size):
        for dx in range(size):
            window = x[:, dy : dy + stride * rows : stride, dx : dx + stride * columns : stride]
            out += np.einsum("oc,chw->ohw", weight[:, :, dy, dx], window)
    return out + w[name + ".bias"][:, None, None]


def group_norm(w, name, x):
    grouped = x.reshape(VAE["norm_num_groups"], -1)
    normed = layer_norm(grouped, 1e-6).reshape(x.shape)
    return normed * w[name + ".weight"][:, None, None] + w[name + ".bias"][:, None, None]


def vae_resnet(w, name, x):
    h = convolve(w, name + ".conv1", silu(group_norm(w, name + ".norm1", x)))
    h = convolve(w, name + ".conv2", silu(group_norm(w, name + ".norm2", h)))
    if name + ".conv_shortcut.weight" in w:
        x = convolve(w, name + ".conv_shortcut", x, padding=(0, 0))
    return x + h


def vae_mid(w, name, x, see):
    x = vae_resnet(w, name + ".resnets.0", x)
    see("mid_block.resnets.0", x)
    n = name + ".attentions.0"
    tokens = group_norm(w, n + ".group_norm", x).reshape(len(x), -1).T
    q, k, v = (linear(w, f"{n}.{part}", tokens)[:, None] for part in ("to_q", "to_k", "to_v"))
    out = linear(w, n + ".to_out.0", attend(q, k, v, len(x) ** -0.5)[:, 0])
    x = x + out.T.reshape(x.shape)
    see("mid_block.attentions.0", x)
    x = vae_resnet(w, name + ".resnets.1", x)
    see("mid_block", x)
    return x


def vae_encode(w, x, see):
    x = convolve(w, "encoder.conv_in", x)
    see("conv_in", x)
    for i in range(len(VAE["block_out_channels"])):
        for j in range(VAE["layers_per_block"]):
            x = vae_resnet(w, f"encoder.down_blocks.{i}.resnets.{j}", x)
        if f"encoder.down_blocks.{i}.downsamplers.0.conv.weight" in w:
            x = convolve(w, f"encoder.down_blocks.{i}.downsamplers.0.conv", x, 2, (0, 1))
        see(f"down_blocks.{i}", x)
    x = vae_mid(w, "encoder.mid_block", x, see)
    moments = convolve(w, "encoder.conv_out", silu(group_norm(w, "encoder.conv_norm_out", x)))
    mean, logvar = np.split(moments, 2)
    for name, value in (("mean", mean), ("mode", mean), ("logvar", np.clip(logvar, -30, 20))):
        see(name, value)
    see("model_latents", (mean - VAE["shift_factor"]) * VAE["scaling_factor"])


def vae_decode(w, latents, see=lambda name, value: None):
    x = latents / VAE["scaling_factor"] + VAE["shift_factor"]
    see("vae_latents", x)
    x = convolve(w, "decoder.conv_in", x)
    see("conv_in", x)
    x = vae_mid(w, "decoder.mid_block", x, see)
    for i in range(len(VAE["block_out_channels"])):
        for j in range(VAE["layers_per_block"] + 1):
            x = vae_resnet(w, f"decoder.up_blocks.{i}.resnets.{j}", x)
        if f"decoder.up_blocks.{i}.upsamplers.0.conv.weight" in w:
            x = convolve(w, f"decoder.up_blocks.{i}.upsamplers.0.conv", x.repeat(2, 1).repeat(2, 2))
        see(f"up_blocks.{i}", x)
    sample = convolve(w, "decoder.conv_out", silu(group_norm(w, "decoder.conv_norm_out", x)))
    image = np.clip((sample + 1) / 2, 0, 1)
    see("sample", sample)
    see("image", image)
    see("image_u8_truncated", np.floor(image * 255).astype(np.uint8))
    see("image_u8_rounded", np.rint(image * 255).astype(np.uint8))
    return sample, image


def make_vae(weights):
    w, tensors, cases = wide(weights), {}, []
    for name, kind, count, hw in (("encode", "encode", 1, (8, 12)), ("decode", "decode", 2, (4, 2))):
        channels, given = (3, "image") if kind == "encode" else (VAE["latent_channels"], "model_latents")
        x = draw(count, channels, *hw, std=0.4)
        tensors[f"{name}.{given}"] = x
        seen = {}
        for row in x.astype(f64):
            (vae_encode if kind == "encode" else vae_decode)(w, row, lambda key, v: seen.setdefault(key, []).append(v))
        tensors.update({f"{name}.{key}": np.stack(values) for key, values in seen.items()})
        cases.append({"name": name, "kind": kind, "inputs": [given], "intermediates": True})
    directory = OUT / "vae"
    write_json(directory / "config.json", VAE)
    write_tensors(directory / "diffusion_pytorch_model.safetensors", weights)
    write_json(directory / "cases.json", {"cases": cases})
    write_tensors(directory / "cases.safetensors", tensors)
