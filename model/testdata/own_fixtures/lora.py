"""A PEFT adapter for Next-DiT."""

import numpy as np

from .files import OUT, write_json, write_tensors
from .next_dit import DIT, dit_row
from .numerics import draw, f64, wide


def make_lora(weights):
    """A PEFT adapter of rank 2, alpha 4."""
    rank, alpha, adapter = 2, 4, {}
    for name, value in weights.items():
        module = name.removesuffix(".weight")
        if module.endswith((".attention.qkv", ".feed_forward.w2", "time_text_embed.1")):
            adapter[f"base_model.model.{module}.lora_A.weight"] = draw(rank, value.shape[1], std=0.2)
            adapter[f"base_model.model.{module}.lora_B.weight"] = draw(value.shape[0], rank, std=0.2)
    tensors = {
        "inputs.x": draw(1, DIT["in_channels"], 4, 4),
        "inputs.t": np.array([0.3], np.float32),
        "inputs.cap_feats": draw(1, 5, DIT["cap_feat_dim"]),
        "inputs.cap_mask": np.ones((1, 5), np.int64),
        "inputs.clip_text_pooled": draw(1, DIT["clip_text_dim"]),
    }

    def merged(strength):
        w = wide(weights)
        for name in [name for name in adapter if ".lora_A." in name]:
            module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            b = adapter[name.replace("lora_A", "lora_B")].astype(f64)
            w[module + ".weight"] = w[module + ".weight"] + strength * alpha / rank * b @ adapter[name].astype(f64)
        return w

    cases = []
    for name, strength in (("base", 0.0), ("rank2_scale_1", 1.0), ("rank2_scale_minus_0p5", -0.5)):
        x, cap, pooled = (tensors[f"inputs.{k}"][0].astype(f64) for k in ("x", "cap_feats", "clip_text_pooled"))
        tensors[f"{name}.out"] = dit_row(merged(strength), x, float(tensors["inputs.t"][0]), cap, pooled)[None]
        cases.append({"name": name} | ({"adapters": [["rank2", strength]]} if strength else {}))
    directory = OUT / "lora"
    write_json(directory / "rank2" / "adapter_config.json", {"peft_type": "LORA", "r": rank, "lora_alpha": alpha})
    write_tensors(directory / "rank2" / "adapter_model.safetensors", adapter)
    write_json(directory / "cases.json", {"cases": cases})
    write_tensors(directory / "cases.safetensors", tensors)
    return merged
