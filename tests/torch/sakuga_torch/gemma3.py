"""Gemma 3's text tower as caption encoder: the class of transformers, filled from the checkpoint by our own reader."""

import torch
from torch import nn
from transformers import AutoModel, Gemma3TextConfig

from . import checkpoint

PREFIXES = ("language_model.model.", "model.language_model.", "language_model.", "model.", "")
TOLERATED = ("*vision_tower.*", "*multi_modal_projector.*", "*lm_head.weight", "spiece_model")

# What the published configuration says; everything else is the default of transformers' class.
PUBLISHED = {
    "vocab_size": 262208,
    "hidden_size": 2560,
    "intermediate_size": 10240,
    "num_hidden_layers": 34,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "sliding_window": 1024,
    "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    },
}


def build(values, device, dtype):
    """The tower, its weights not set."""
    config = Gemma3TextConfig(**values)
    # Not made on the meta device: the rotary frequencies are not weights and would never be filled.
    with torch.device(device):
        return AutoModel.from_config(config, dtype=dtype, attn_implementation="sdpa").requires_grad_(False).eval()


def captioner(tower):
    """Leaves out what `hidden_states[-2]` does not need: the last layer and the final norm."""
    tower.layers = tower.layers[:-1]
    tower.config.num_hidden_layers = len(tower.layers)
    tower.norm = nn.Identity()
    return tower


def load(folder, device, dtype):
    """The whole tower of `text_encoder/`."""
    values = checkpoint.read_json(folder / "config.json")
    values = {key: value for key, value in values.get("text_config", values).items() if key != "model_type"}
    files = checkpoint.weight_files(folder)
    return checkpoint.fill(
        build(values, device, dtype), checkpoint.read_tensors(files, device, dtype, PREFIXES, TOLERATED)
    )


def random(device, dtype):
    """The published sizes with random weights, for measuring time."""
    return checkpoint.randomise(build(PUBLISHED, device, dtype), device, dtype)


def hidden_states(tower, ids, mask):
    """All hidden states, 0 being the scaled embeddings and the last one normalised. ids and mask [B, L]."""
    found = tower(input_ids=ids, attention_mask=mask, use_cache=False, output_hidden_states=True)
    return found.hidden_states


def caption_features(shortened, ids, mask):
    """`hidden_states[-2]`, by a tower that `captioner` made: [B, L, hidden]."""
    return shortened(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
