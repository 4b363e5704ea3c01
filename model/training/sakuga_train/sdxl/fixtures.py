"""Inputs and outputs of a checkpoint as a fixture set of Stable Diffusion XL, for the parity test of `sakuga-model`."""

import shutil
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

from .. import autoencoder
from ..checkpoint import read_vae, write_json
from . import checkpoint, clip_text, networks, noise, unet
from .tokenizer import Clip

# Times of the U-Net's cases, with the size of their latents.
UNET_CASES = (("first", 999, (8, 8)), ("wide", 500, (8, 12)), ("odd", 3, (9, 7)))


def write(config, folder: Path, out: Path, text):
    """Runs the networks in f32 on one text and writes `manifest.json` and a part for each network."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(folder, out / "model", ignore=shutil.ignore_patterns("*.csv"))
    with jax.default_matmul_precision("highest"):
        parts = networks.by_network({n: jnp.asarray(v) for n, v in checkpoint.read_networks(folder).items()})
        context, pooled = _texts(config, folder, out, parts, text)
        _unet(config, out, parts, context, pooled)
        _vae(config, folder, out)
    tolerance = {"max_abs": 1e-3, "rel_l2": 1e-4}
    kinds = {
        "clip": ["hidden_states_pooled_prompt_embeds"],
        "unet": ["out_and_x0", "inside"],
        "vae": ["sample_mean_logvar_latents", "inside"],
    }
    components = {part: {"tolerance_float32": dict.fromkeys(names, tolerance)} for part, names in kinds.items()}
    limits = components["unet"]["tolerance_float32"]
    limits["out_and_x0"] = tolerance | {"x0_at_t_above_900": {"max_abs": 1e-2}}
    components["vae"]["tolerance_float32"]["u8"] = "difference at most 1, in at most 0.5 % of the values"
    write_json(out / "manifest.json", {"fixture": "trained", "components": components})


def _save(out, part, cases, tensors):
    (out / part).mkdir(parents=True)
    write_json(out / part / "cases.json", {"cases": cases})
    stored = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    save_file(stored, out / part / "cases.safetensors")


def _texts(config, folder, out, parts, text):
    """The ids, states and pooled vector of the text's first chunk, and what the U-Net reads of all chunks."""
    clip = Clip(folder)
    inside = networks.TOKENS - 2
    body, lengths, counts = clip.bodies([text], inside, config["chunks"])
    body, lengths = body[:, : counts[0]].astype(np.int32), lengths[:, : counts[0]].astype(np.int32)
    tokens = body[0, 0, : lengths[0, 0]]
    tensors, states = {}, {}
    for encoder, pad in (("l", clip.end), ("g", 0)):
        ids = np.full((1, networks.TOKENS), pad, np.int64)
        ids[0, : len(tokens) + 2] = [clip.start, *tokens, clip.end]
        part = f"clip_{encoder}"
        states[encoder], last = clip_text.encode(config[part], parts[part], jnp.asarray(ids))
        tensors[f"drawn.input_ids_{encoder}"] = ids
        tensors[f"drawn.{encoder}.last_hidden_state"] = last
        tensors |= {f"drawn.{encoder}.hidden_states.{i}": state for i, state in enumerate(states[encoder])}
    tensors["drawn.prompt_embeds"] = jnp.concatenate([states["l"][-2], states["g"][-2]], -1)
    context, pooled = networks.read_texts(config, parts, jnp.asarray(body), jnp.asarray(lengths))
    tensors["drawn.pooled"] = pooled
    case = {"name": "drawn", "inputs": ["input_ids_l", "input_ids_g"]}
    # With one chunk the tokenizer of the crate is compared too.
    case["texts"] = [text] if counts[0] == 1 else []
    _save(out, "clip", [case], tensors)
    return context, pooled


def _unet(config, out, parts, context, pooled):
    cases, tensors, rng = [], {}, np.random.default_rng(5)
    for name, time, (height, width) in UNET_CASES:
        sample = rng.standard_normal((1, height, width, 4)).astype(np.float32)
        sizes = networks.sizes(1, 8 * height, 8 * width)
        times = jnp.full((1,), time)
        found = unet.predict(config, parts["unet"], jnp.asarray(sample), times, context, pooled, sizes)
        cases.append({"name": name, "net": "base", "x0": False})
        tensors |= {
            f"{name}.sample": sample.transpose(0, 3, 1, 2),
            f"{name}.timestep": np.asarray([time], np.int64),
            f"{name}.encoder_hidden_states": context,
            f"{name}.text_embeds": pooled,
            f"{name}.time_ids": sizes,
            f"{name}.out": found.transpose(0, 3, 1, 2),
        }
    _save(out, "unet", cases, tensors)
    # What the test reads besides.
    (out / "schedulers").mkdir()
    save_file({"alphas_cumprod": noise.alphas_cumprod()}, out / "schedulers/tables.safetensors")


def _vae(config, folder, out):
    vae, scale, shift = read_vae(folder)
    vae = {name: jnp.asarray(value) for name, value in vae.items()}
    rng = np.random.default_rng(6)
    image = np.tanh(rng.standard_normal((1, 32, 48, 3))).astype(np.float32)
    noises = rng.standard_normal((1, 4, 6, 4)).astype(np.float32)
    latents = rng.standard_normal((1, 6, 4, 4)).astype(np.float32)
    mean, logvar = jax.jit(partial(autoencoder.encode, config["vae"]))(vae, image)
    sample = jax.jit(partial(autoencoder.decode, config["vae"]))(vae, latents / scale + shift)
    tensors = {
        "encode.image": image,
        "encode.noise": noises,
        "encode.mean": mean,
        "encode.logvar": logvar,
        "encode.latents_from_mode": (mean - shift) * scale,
        "decode.latents": latents,
        "decode.sample": sample,
    }
    tensors = {name: value.transpose(0, 3, 1, 2) for name, value in tensors.items()}
    cases = [{"name": "encode", "kind": "encode"}, {"name": "decode", "kind": "decode"}]
    _save(out, "vae", cases, tensors)
