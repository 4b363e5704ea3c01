"""The published folder layout: what the loader of `sakuga-model` reads."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from .layers import E4M3_MAX, is_rounded

GEMMA_PREFIX = ("model.", "language_model.model.")
JINA_PREFIX = ("", "text_model.transformer.roberta.")

TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"
TEXT_ENCODER = "text_encoder/model.safetensors"
CLIP_MODEL = "clip_model/model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"

KINDS = {"F32": np.float32, "F16": np.float16, "F8_E4M3": ml_dtypes.float8_e4m3fn}
KINDS_BY_TYPE = {np.dtype(value): name for name, value in KINDS.items()}


def write_json(path: Path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def rounded(tensors, kind):
    """Tensors as a checkpoint of this kind holds them: `e4m3` for 8-bit floats. In f32, without JAX."""

    def nearest(value):
        value = np.asarray(value, np.float32)
        if kind == "e4m3" and is_rounded(value):
            return np.clip(value, -E4M3_MAX, E4M3_MAX).astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
        return value.astype(np.float16).astype(np.float32)

    return {name: nearest(value) for name, value in tensors.items()}


def write_tensors(path: Path, tensors, dtype, kind=None):
    """Writes tensors in `dtype`; with the kind `e4m3` the large ones in 8-bit floats."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "e4m3":
        return _write_with_e4m3(path, rounded(tensors, kind), dtype)
    stored = {
        name: np.ascontiguousarray(np.asarray(value, np.float32).astype(dtype)) for name, value in tensors.items()
    }
    save_file(stored, path, metadata={"format": "pt"})


def _write_with_e4m3(path, tensors, dtype):
    """The format by hand: the library's functions for NumPy have no 8-bit floats."""
    header, parts, end = {"__metadata__": {"format": "pt"}}, [], 0
    for name, value in sorted(tensors.items()):
        value = np.asarray(value, np.float32)
        kind = "F8_E4M3" if is_rounded(value) else KINDS_BY_TYPE[np.dtype(dtype)]
        small = np.ascontiguousarray(value.astype(KINDS[kind]))
        parts.append(small.tobytes())
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [end, end + len(parts[-1])]}
        end += len(parts[-1])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(parts))


def read_tensors(path: Path):
    """Every tensor of a file in f32."""
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    tensors = {}
    for name, entry in json.loads(content[8:begin]).items():
        if name != "__metadata__":
            first, last = (begin + offset for offset in entry["data_offsets"])
            values = np.frombuffer(content[first:last], KINDS[entry["dtype"]])
            tensors[name] = values.reshape(entry["shape"]).astype(np.float32)
    return tensors


def _renamed(tensors, old, new):
    return {new + name.removeprefix(old): value for name, value in tensors.items()}


def _read(path: Path, new="", old=""):
    tensors = read_tensors(path)
    return _renamed(tensors, old, new) if (old or new) else tensors


def read_networks(folder: Path):
    """Weights of DiT, Gemma and Jina by their names within each network."""
    return {
        "dit": _read(folder / TRANSFORMER),
        "gemma": _read(folder / TEXT_ENCODER, *GEMMA_PREFIX),
        "jina": _read(folder / CLIP_MODEL, *JINA_PREFIX),
    }


def read_vae(folder: Path):
    """Weights of the autoencoder, its scale and its shift."""
    config = json.loads((folder / "vae/config.json").read_text(encoding="utf-8"))
    return _read(folder / VAE), config["scaling_factor"], config["shift_factor"]


def write_vae(folder: Path, config, weights, scale, shift, preview, dtype=np.float16):
    """The autoencoder and the linear preview of its latents."""
    c = config["vae"]
    levels = len(c["channels"])
    write_json(
        folder / "vae/config.json",
        {
            "_class_name": "AutoencoderKL",
            "act_fn": "silu",
            "block_out_channels": c["channels"],
            "down_block_types": ["DownEncoderBlock2D"] * levels,
            "up_block_types": ["UpDecoderBlock2D"] * levels,
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": c["latent_channels"],
            "layers_per_block": c["layers_per_block"],
            "norm_num_groups": c["groups"],
            "mid_block_add_attention": True,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
            "sample_size": config["edge_px"],
            "scaling_factor": scale,
            "shift_factor": shift,
        },
    )
    write_tensors(folder / VAE, weights, dtype, c.get("weights"))
    write_json(folder / "preview_decoder/linear.json", preview)


def write_networks(folder: Path, config, networks, notice="", dtype=np.float16):
    """DiT, Gemma and Jina with their configurations, and `model_index.json`, which completes the folder."""
    d, g, j = config["dit"], config["gemma"], config["jina"]
    write_json(
        folder / "transformer/config.json",
        {
            "_class_name": "NextDiT_3B_GQA_patch2_Adaln_Refiner_WHIT_CLIP",
            "model_type": "nextdit_clip",
            "dim": d["dim"],
            "n_layers": d["n_layers"],
            "n_refiner_layers": d["n_refiner_layers"],
            "n_heads": d["n_heads"],
            "n_kv_heads": d["n_kv_heads"],
            "patch_size": d["patch_size"],
            "in_channels": config["vae"]["latent_channels"],
            "axes_dims": d["axes_dims"],
            "axes_lens": d["axes_lens"],
            "cap_feat_dim": g["hidden"],
            "clip_text_dim": j["hidden"],
            "clip_img_dim": j["hidden"],
            "qk_norm": True,
            "norm_eps": 1e-5,
        },
    )
    write_tensors(folder / TRANSFORMER, networks["dit"] | {"norm_final.weight": np.ones(d["dim"])}, dtype)
    write_json(
        folder / "text_encoder/config.json",
        {
            "model_type": "gemma3_text",
            "vocab_size": g["vocab"],
            "hidden_size": g["hidden"],
            "intermediate_size": g["ffn"],
            "num_hidden_layers": g["layers"],
            "num_attention_heads": g["heads"],
            "num_key_value_heads": g["kv_heads"],
            "head_dim": g["head_dim"],
            "query_pre_attn_scalar": g["head_dim"],
            "hidden_activation": "gelu_pytorch_tanh",
            "rms_norm_eps": 1e-6,
            "max_position_embeddings": 8192,
            "rope_local_base_freq": 1e4,
            "rope_theta": 1e6,
            "sliding_window": 1024,
            "sliding_window_pattern": 6,
        },
    )
    write_tensors(folder / TEXT_ENCODER, _renamed(networks["gemma"], *GEMMA_PREFIX), dtype)
    write_json(
        folder / "clip_model/config.json",
        {
            "vocab_size": j["vocab"],
            "hidden_size": j["hidden"],
            "num_hidden_layers": j["layers"],
            "num_attention_heads": j["heads"],
            "intermediate_size": j["ffn"],
            "type_vocab_size": 1,
            "layer_norm_eps": 1e-5,
            "rotary_emb_base": 20000.0,
            "pad_token_id": 1,
            "bos_token_id": 0,
            "eos_token_id": 2,
            "hidden_act": "gelu",
            "position_embedding_type": "rotary",
            "lora_adaptations": [],
        },
    )
    write_tensors(folder / CLIP_MODEL, _renamed(networks["jina"], *JINA_PREFIX), dtype)
    index = {
        "_class_name": "NewbiePipeline",
        "transformer": ["transformer", "NextDiT_3B_GQA_patch2_Adaln_Refiner_WHIT_CLIP"],
        "text_encoder": ["text_encoder", "Gemma3ForConditionalGeneration"],
        "tokenizer": ["text_encoder", "AutoTokenizer"],
        "clip_model": ["clip_model", "JinaCLIPModel"],
        "clip_tokenizer": ["clip_model", "AutoTokenizer"],
        "vae": ["vae", "AutoencoderKL"],
        "_sakuga_name": config["name"],
        "_sakuga_system_prompt": "",
        "_sakuga_default_size_px": config["edge_px"],
        "_sakuga_gemma_tokens_max": 512,
        "_sakuga_jina_tokens_max": 512,
    }
    index |= {f"_sakuga_default_{name}": value for name, value in config["sampling"].items()}
    if notice:
        index["_sakuga_notice"] = notice
    write_json(folder / "model_index.json", index)
