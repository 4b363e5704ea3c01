"""Gemma 3: all hidden states of a row."""

import math

import numpy as np

from .files import OUT, write_json, write_tensors
from .numerics import attend, draw, linear, matrix, pad, rms, rng, rotate_half, wide

GEMMA = dict(
    model_type="gemma3_text",
    vocab_size=40,
    hidden_size=16,
    intermediate_size=24,
    num_hidden_layers=7,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=8,
    query_pre_attn_scalar=8,
    hidden_activation="gelu_pytorch_tanh",
    rms_norm_eps=1e-6,
    max_position_embeddings=131072,
    rope_theta=1e6,
    rope_local_base_freq=1e4,
    rope_scaling={"factor": 8.0, "rope_type": "linear"},
    sliding_window=6,
    sliding_window_pattern=6,
)


def gemma_weights():
    c, w = GEMMA, {}
    d, h, q, kv = c["hidden_size"], c["head_dim"], c["num_attention_heads"], c["num_key_value_heads"]
    w["embed_tokens.weight"] = draw(c["vocab_size"], d, std=0.3)
    for i in range(c["num_hidden_layers"]):
        n = f"layers.{i}."
        for part, outputs, inputs in (
            ("self_attn.q_proj", q * h, d),
            ("self_attn.k_proj", kv * h, d),
            ("self_attn.v_proj", kv * h, d),
            ("self_attn.o_proj", d, q * h),
            ("mlp.gate_proj", c["intermediate_size"], d),
            ("mlp.up_proj", c["intermediate_size"], d),
            ("mlp.down_proj", d, c["intermediate_size"]),
        ):
            w[n + part + ".weight"] = matrix(outputs, inputs)
        for part, size in (
            ("self_attn.q_norm", h),
            ("self_attn.k_norm", h),
            ("input_layernorm", d),
            ("post_attention_layernorm", d),
            ("pre_feedforward_layernorm", d),
            ("post_feedforward_layernorm", d),
        ):
            w[n + part + ".weight"] = draw(size, std=0.2)
    w["norm.weight"] = draw(d, std=0.2)
    return {f"language_model.model.{name}": value for name, value in w.items()}


def gemma_row(weights, ids):
    """All hidden states of one unpadded row; the last one is normalised."""
    c, w = GEMMA, {name.removeprefix("language_model.model."): value for name, value in weights.items()}
    h = c["head_dim"]
    norm = lambda name, v: rms(v, 1 + w[name + ".weight"], c["rms_norm_eps"])
    gelu = lambda v: 0.5 * v * (1 + np.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)))
    x = w["embed_tokens.weight"][ids] * math.sqrt(c["hidden_size"])
    s = len(ids)
    distance = np.arange(s)[:, None] - np.arange(s)
    states = [x]
    for i in range(c["num_hidden_layers"]):
        n, is_global = f"layers.{i}.", (i + 1) % c["sliding_window_pattern"] == 0
        allowed = (distance >= 0) & (is_global | (distance < c["sliding_window"]))
        base, factor = (c["rope_theta"], 8.0) if is_global else (c["rope_local_base_freq"], 1.0)
        y = norm(n + "input_layernorm", x)
        heads = lambda part: linear(w, n + f"self_attn.{part}_proj", y).reshape(s, -1, h)
        q = rotate_half(norm(n + "self_attn.q_norm", heads("q")), base, factor)
        k = rotate_half(norm(n + "self_attn.k_norm", heads("k")), base, factor)
        y = attend(q, k, heads("v"), c["query_pre_attn_scalar"] ** -0.5, allowed).reshape(s, -1)
        x = x + norm(n + "post_attention_layernorm", linear(w, n + "self_attn.o_proj", y))
        y = norm(n + "pre_feedforward_layernorm", x)
        y = gelu(linear(w, n + "mlp.gate_proj", y)) * linear(w, n + "mlp.up_proj", y)
        x = x + norm(n + "post_feedforward_layernorm", linear(w, n + "mlp.down_proj", y))
        states.append(x)
    states[-1] = norm("norm", x)
    return states


def make_gemma3(weights):
    w, tensors, cases = wide(weights), {}, []
    for name, lengths, width in (("one", [13], 13), ("two_padded", [11, 1], 16)):
        rows = [np.concatenate([[2], rng.integers(3, GEMMA["vocab_size"], n - 1)]) for n in lengths]
        states = [gemma_row(w, row) for row in rows]
        tensors[f"{name}.input_ids"] = pad([row.astype(np.int64) for row in rows], width)
        tensors[f"{name}.attention_mask"] = np.array([[int(i < n) for i in range(width)] for n in lengths], np.int64)
        for i in range(len(states[0])):
            tensors[f"{name}.hidden_states.{i}"] = pad([state[i] for state in states], width)
        tensors[f"{name}.cap_feats"] = tensors[f"{name}.hidden_states.{GEMMA['num_hidden_layers'] - 1}"]
        tensors[f"{name}.last_hidden_state"] = tensors[f"{name}.hidden_states.{GEMMA['num_hidden_layers']}"]
        cases.append({"name": name, "inputs": ["input_ids", "attention_mask"], "lengths": lengths})
    directory = OUT / "gemma3"
    write_json(directory / "config.json", {"model_type": "gemma3", "text_config": GEMMA})
    write_tensors(directory / "model.safetensors", weights)
    write_json(directory / "cases.json", {"cases": cases})
    write_tensors(directory / "cases.safetensors", tensors)
