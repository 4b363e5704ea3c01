"""Inputs and outputs of a checkpoint as a fixture set of the pipeline, for the parity test of `sakuga-model`."""

import shutil
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

from . import autoencoder, checkpoint, encoders, flow, next_dit
from .layers import F32
from .shards import tokens
from .tokenizer import body

INTERVALS = 3
SHIFT = 3.0
GUIDANCE = 3.5


def write(config, folder: Path, out: Path, text):
    """Runs the networks in f32 on one text and writes `out/manifest.json` and `out/pipeline`."""
    with jax.default_matmul_precision("highest"):
        _write(config, folder, out, text)


def _write(config, folder, out, text):
    networks = jax.tree.map(jnp.asarray, checkpoint.read_networks(folder))
    vae, scale, shift = checkpoint.read_vae(folder)
    ids, lengths = tokens(body(folder), [text, ""], max(config["tokens"]) - 2)
    width = int(lengths.max())
    ids, lengths = ids[:, :width], jnp.asarray(lengths)
    caption, caption_lengths, pooled = flow.read_texts(config, networks, ids, lengths)
    patch, edge = config["dit"]["patch_size"], config["edge_px"] // 8
    noise = np.random.default_rng(5).standard_normal((1, config["vae"]["latent_channels"], edge, edge))
    noise = noise.astype(np.float32)

    def latents(patches):
        return next_dit.unpatchify(patches, edge // patch, edge // patch, patch)

    grid = np.asarray(flow.shifted(jnp.linspace(0.0, 1.0, INTERVALS + 1), SHIFT))
    speed = jax.jit(partial(next_dit.velocity, config["dit"], grid=(edge // patch, edge // patch)))
    x = next_dit.patchify(jnp.asarray(noise), patch)
    states = [latents(x)]
    for t, after in zip(grid[:-1], grid[1:], strict=True):
        time = jnp.full((2,), t, F32)
        v = speed(networks["dit"], jnp.concatenate([x, x]), time, caption, caption_lengths, pooled)
        x = x + (after - t) * (v[1:] + GUIDANCE * (v[:1] - v[1:]))
        states.append(latents(x))
    sample = jax.jit(partial(autoencoder.decode, config["vae"]))(
        jax.tree.map(jnp.asarray, vae), states[-1].transpose(0, 2, 3, 1) / scale + shift
    ).transpose(0, 3, 1, 2)
    image = jnp.clip(sample / 2 + 0.5, 0, 1)

    pipeline = out / "pipeline"
    shutil.rmtree(pipeline, ignore_errors=True)
    shutil.copytree(folder, pipeline / "model", ignore=shutil.ignore_patterns("saved", "*.csv"))
    gemma_ids = np.asarray(encoders.gemma_ids(ids, lengths))
    tensors = {
        "gemma_input_ids": gemma_ids.astype(np.int64),
        "gemma_attention_mask": (np.arange(gemma_ids.shape[1]) <= np.asarray(lengths)[:, None]).astype(np.int64),
        "jina_input_ids": np.asarray(encoders.jina_ids(ids, lengths)).astype(np.int64),
        "noise": noise,
        "cap_feats": caption,
        "clip_text_pooled": pooled,
        "states": jnp.stack(states),
        "latents": states[-1],
        "sample": sample,
        "image": image,
        "image_u8_truncated": (np.asarray(image) * 255).astype(np.uint8),
    }
    stored = {f"drawn.{name}": np.ascontiguousarray(value) for name, value in tensors.items()}
    save_file(stored, pipeline / "cases.safetensors")
    case = {"name": "drawn", "solver": "euler", "num_sampling_steps": INTERVALS + 1, "t_shift": SHIFT}
    case |= {"cfg_scale": GUIDANCE, "cfg_trunc": 1.0, "renorm_cfg": 0.0}
    checkpoint.write_json(pipeline / "cases.json", {"cases": [case]})
    tolerance = {
        "latents_and_states": {"max_abs": 2e-3, "rel_l2": 2e-4},
        "sample_and_image": {"max_abs": 2e-3},
        "u8": "difference at most 1, in at most 0.5 % of the values",
    }
    part = {
        "gemma3": {"hidden_states": {"max_abs": 1e-3, "rel_l2": 1e-4}},
        "jina_clip": {"pooled": {"max_abs": 1e-3, "rel_l2": 1e-4}},
        "pipeline": tolerance,
    }
    components = {name: {"tolerance_float32": limits} for name, limits in part.items()}
    checkpoint.write_json(out / "manifest.json", {"fixture": "trained", "components": components})
