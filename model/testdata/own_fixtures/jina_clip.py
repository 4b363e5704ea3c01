"""Jina CLIP: hidden states and the pooled vector of a row, with one of its adapters merged."""

import math

import numpy as np

from .files import OUT, write_json, write_tensors
from .numerics import attend, draw, layer_norm, linear, matrix, pad, rng, rotate_half, wide

JINA = dict(
    vocab_size=40,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    type_vocab_size=1,
    layer_norm_eps=1e-5,
    rotary_emb_base=20000.0,
    pad_token_id=1,
    bos_token_id=0,
    eos_token_id=2,
    max_position_embeddings=8194,
    hidden_act="gelu",
    position_embedding_type="rotary",
    lora_adaptations=["retrieval.query", "text-matching"],
    lora_alpha=2,
    lora_rank=2,
)

JINA_PREFIX = "text_model.transformer.roberta."


def jina_weights():
    c, w = JINA, {}
    d, f, r, tasks = c["hidden_size"], c["intermediate_size"], c["lora_rank"], len(c["lora_adaptations"])

    def lin(name, outputs, inputs):
        part = f"{name}.parametrizations.weight"
        w[part + ".original"] = matrix(outputs, inputs)
        w[part + ".0.lora_A"], w[part + ".0.lora_B"] = draw(tasks, r, inputs, std=0.3), draw(tasks, outputs, r, std=0.3)
        w[name + ".bias"] = draw(outputs, std=0.1)

    def emb(name, rows):
        part = f"embeddings.{name}.parametrizations.weight"
        w[part + ".original"] = draw(rows, d)
        w[part + ".0.lora_A"], w[part + ".0.lora_B"] = draw(tasks, rows, r, std=0.5), draw(tasks, r, d, std=0.5)

    def norm(name):
        w[name + ".weight"], w[name + ".bias"] = draw(d, std=0.2, mean=1), draw(d, std=0.1)

    emb("word_embeddings", c["vocab_size"])
    emb("token_type_embeddings", 1)
    norm("emb_ln")
    for i in range(c["num_hidden_layers"]):
        n = f"encoder.layers.{i}."
        lin(n + "mixer.Wqkv", 3 * d, d)
        lin(n + "mixer.out_proj", d, d)
        lin(n + "mlp.fc1", f, d)
        lin(n + "mlp.fc2", d, f)
        norm(n + "norm1")
        norm(n + "norm2")
    return {JINA_PREFIX + name: value for name, value in w.items()}


def jina_row(weights, ids, adapter=True):
    """All hidden states and the pooled vector of one unpadded row; adapter 0 merged."""
    c, w, scale = JINA, {}, JINA["lora_alpha"] / JINA["lora_rank"]
    for name, value in weights.items():
        name = name.removeprefix(JINA_PREFIX)
        if name.endswith(".original"):
            part = JINA_PREFIX + name.removesuffix(".original")
            a, b = weights[part + ".0.lora_A"][0], weights[part + ".0.lora_B"][0]
            change = (a @ b if "embeddings" in name else b @ a) * scale
            w[name.replace(".parametrizations.weight.original", ".weight")] = value + change * adapter
        elif ".parametrizations." not in name:
            w[name] = value
    norm = lambda name, v: layer_norm(v, c["layer_norm_eps"], w[name + ".weight"], w[name + ".bias"])
    gelu = lambda v: 0.5 * v * (1 + np.vectorize(math.erf)(v / math.sqrt(2)))
    heads, s = c["num_attention_heads"], len(ids)
    head = c["hidden_size"] // heads
    x = norm("emb_ln", w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][0])
    states = [x]
    for i in range(c["num_hidden_layers"]):
        n = f"encoder.layers.{i}."
        q, k, v = linear(w, n + "mixer.Wqkv", x).reshape(s, 3, heads, head).transpose(1, 0, 2, 3)
        q, k = rotate_half(q, c["rotary_emb_base"]), rotate_half(k, c["rotary_emb_base"])
        x = norm(n + "norm1", x + linear(w, n + "mixer.out_proj", attend(q, k, v, head**-0.5).reshape(s, -1)))
        x = norm(n + "norm2", x + linear(w, n + "mlp.fc2", gelu(linear(w, n + "mlp.fc1", x))))
        states.append(x)
    return states, x.mean(0)


def make_jina_clip(weights):
    w, tensors, cases = wide(weights), {}, []
    for name, lengths, width, task in (
        ("one", [7], 7, "retrieval.query"),
        ("two_padded", [9, 2], 12, "retrieval.query"),
        ("without_adapter", [5], 5, None),
    ):
        rows = [np.concatenate([[0], rng.integers(4, JINA["vocab_size"], n - 2), [2]]) for n in lengths]
        results = [jina_row(w, row, task is not None) for row in rows]
        ids = np.full((len(rows), width), JINA["pad_token_id"], np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
        tensors[f"{name}.input_ids"] = ids
        for i in range(JINA["num_hidden_layers"] + 1):
            tensors[f"{name}.hidden_states.{i}"] = pad([states[i] for states, _ in results], width)
        tensors[f"{name}.last_hidden_state"] = tensors[f"{name}.hidden_states.{JINA['num_hidden_layers']}"]
        tensors[f"{name}.pooled"] = np.stack([pooled for _, pooled in results])
        cases.append({"name": name, "inputs": ["input_ids"], "lengths": lengths, "task": task})
    directory = OUT / "jina_clip"
    write_json(directory / "config.json", jina_config())
    write_tensors(directory / "model.safetensors", weights)
    write_json(directory / "cases.json", {"cases": cases})
    write_tensors(directory / "cases.safetensors", tensors)


def jina_config():
    text = {"default_lora_task": "retrieval.query", "embed_dim": JINA["hidden_size"], "hf_model_config_kwargs": JINA}
    return {"model_type": "jina_clip", "projection_dim": JINA["hidden_size"], "text_config": text}
