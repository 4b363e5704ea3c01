"""The folder of a checkpoint as diffusers lays out Stable Diffusion XL, and the state of an unfinished training."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np

from ..checkpoint import read_tensors, write_json, write_tensors
from . import noise, unet
from .networks import TOKENS

FILES = {
    "unet": "unet/diffusion_pytorch_model.safetensors",
    "clip_l": "text_encoder/model.safetensors",
    "clip_g": "text_encoder_2/model.safetensors",
}
PREFIX = "text_model."
# What transformers keeps outside the text model.
OUTSIDE = "text_projection."


def _outer(part, name):
    return name if part == "unet" or name.startswith(OUTSIDE) else PREFIX + name


def read_networks(folder: Path):
    """The weights as one flat dictionary."""
    flat = {}
    for part, path in FILES.items():
        for name, value in read_tensors(folder / path).items():
            flat[f"{part}/{name.removeprefix(PREFIX)}"] = value
    return flat


def write_networks(folder: Path, config, flat, summary=None):
    """All but the autoencoder and the tokenizers."""
    u = config["unet"]
    has_text = [heads > 0 for heads in u["heads"]]
    down = ["CrossAttnDownBlock2D" if has else "DownBlock2D" for has in has_text]
    up = ["CrossAttnUpBlock2D" if has else "UpBlock2D" for has in reversed(has_text)]
    write_json(
        folder / "unet/config.json",
        {
            "_class_name": "UNet2DConditionModel",
            "act_fn": "silu",
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": u["size_features"],
            "attention_head_dim": [max(heads, 1) for heads in u["heads"]],
            "block_out_channels": u["channels"],
            "cross_attention_dim": unet.context_dim(config),
            "down_block_types": down,
            "flip_sin_to_cos": True,
            "freq_shift": 0,
            "in_channels": 4,
            "layers_per_block": u["layers_per_block"],
            "mid_block_type": "UNetMidBlock2DCrossAttn",
            "norm_eps": unet.EPS,
            "norm_num_groups": u["groups"],
            "out_channels": 4,
            "projection_class_embeddings_input_dim": unet.added_features(config),
            "sample_size": config["edge_px"] // 8,
            "transformer_layers_per_block": [max(depth, 1) for depth in u["depth"]],
            "up_block_types": up,
            "use_linear_projection": True,
        },
    )
    for part, folder_name, architecture in (
        ("clip_l", "text_encoder", "CLIPTextModel"),
        ("clip_g", "text_encoder_2", "CLIPTextModelWithProjection"),
    ):
        c = config[part]
        write_json(
            folder / folder_name / "config.json",
            {
                "architectures": [architecture],
                "model_type": "clip_text_model",
                "hidden_act": c["activation"],
                "hidden_size": c["hidden"],
                "intermediate_size": c["ffn"],
                "layer_norm_eps": 1e-5,
                "max_position_embeddings": TOKENS,
                "num_attention_heads": c["heads"],
                "num_hidden_layers": c["layers"],
                "projection_dim": c["projection"] or c["hidden"],
                "bos_token_id": config["start"],
                "eos_token_id": config["end"],
                "vocab_size": c["vocab"],
            },
        )
    write_json(
        folder / "scheduler/scheduler_config.json",
        {
            "_class_name": "EulerDiscreteScheduler",
            "beta_schedule": "scaled_linear",
            "beta_start": noise.BETAS[0],
            "beta_end": noise.BETAS[1],
            "num_train_timesteps": noise.TIMES,
            "prediction_type": "v_prediction",
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
        },
    )
    for part, path in FILES.items():
        tensors = {_outer(part, name.split("/", 1)[1]): v for name, v in flat.items() if name.startswith(part + "/")}
        write_tensors(folder / path, tensors, np.float16, config.get("weights"))
    index = {
        "_class_name": "StableDiffusionXLPipeline",
        "force_zeros_for_empty_prompt": True,
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "_sakuga_name": config["name"],
        "_sakuga_default_size_px": config["edge_px"],
    }
    index |= {f"_sakuga_default_{name}": value for name, value in config["sampling"].items()}
    if config.get("notice"):
        index["_sakuga_notice"] = config["notice"]
    write_json(folder / "model_index.json", index)
    if summary is not None:
        write_json(folder / "training.json", summary)


# Three files, so that each is small: weights and their averages in f32, what the optimiser keeps in bfloat16.
STATE = {"params": np.float32, "average": np.float32, "moments": ml_dtypes.bfloat16}


def write_state(folder: Path, state, summary):
    """The state of the optimiser and what is to be known of the training so far."""
    folder.mkdir(parents=True, exist_ok=True)
    groups = {
        "params": state["params"],
        "average": state["average"],
        "moments": {f"{kind}:{name}": v for kind in ("first", "second") for name, v in state[kind].items()},
    }
    for group, dtype in STATE.items():
        arrays = {name: np.asarray(value, np.float32).astype(dtype) for name, value in groups[group].items()}
        arrays = {name: value.view(np.uint16) if dtype != np.float32 else value for name, value in arrays.items()}
        draft = folder / f"{group}.draft.npz"
        np.savez(draft, **arrays)
        draft.rename(folder / f"{group}.npz")
    write_json(folder / "training.json", summary | {"optimiser_steps": int(state["step"])})


def read_state(folder: Path):
    """The state that `write_state` wrote, and its summary; None where there is none."""
    if not (folder / "training.json").exists():
        return None
    groups = {}
    for group, dtype in STATE.items():
        with np.load(folder / f"{group}.npz") as file:
            arrays = {name: file[name] for name in file.files}
        if dtype != np.float32:
            arrays = {name: value.view(dtype).astype(np.float32) for name, value in arrays.items()}
        groups[group] = arrays
    summary = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    moments = {kind: {} for kind in ("first", "second")}
    for name, value in groups["moments"].items():
        kind, rest = name.split(":", 1)
        moments[kind][rest] = value
    state = {"params": groups["params"], "average": groups["average"], **moments}
    state["step"] = np.asarray(summary["optimiser_steps"], np.int32)
    return state, summary
