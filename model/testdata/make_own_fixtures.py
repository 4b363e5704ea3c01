"""Makes `parity/`, the fixture set that stands in this repository, so that parity is tested on every machine.

    pip install numpy safetensors
    python make_own_fixtures.py

An implementation of its own, in float64 and numpy alone, of everything the crate computes: one row of a batch at a time
and without padding, which the crate never does. Weights are random and small, stored as F32; values are computed from
the stored weights. The layout is that of the larger set the tests also accept (see `tests/parity/main.rs`).
"""

import json
import math
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

OUT = Path(__file__).parent / "parity"
rng = np.random.default_rng(1)
f64 = np.float64

# --- sizes -----------------------------------------------------------------------------------------------------------

DIT = dict(
    _class_name="NextDiT_3B_GQA_patch2_Adaln_Refiner_WHIT_CLIP",
    model_type="nextdit_clip",
    patch_size=2,
    dim=32,
    n_layers=2,
    n_refiner_layers=1,
    n_heads=4,
    n_kv_heads=2,
    in_channels=4,
    axes_dims=[4, 2, 2],
    axes_lens=[64, 32, 32],
    clip_text_dim=16,
    clip_img_dim=16,
    cap_feat_dim=16,
    qk_norm=True,
    norm_eps=1e-5,
)
DIT_FFN = 48
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

# --- helpers ---------------------------------------------------------------------------------------------------------


def draw(*shape, std=1.0, mean=0.0):
    return (mean + std * rng.standard_normal(shape)).astype(np.float32)


def matrix(outputs, inputs, gain=1.0):
    return draw(outputs, inputs, std=gain / math.sqrt(inputs))


def wide(weights):
    return {name: value.astype(f64) for name, value in weights.items()}


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")


def write_tensors(path, tensors):
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = {}
    for name, value in tensors.items():
        value = np.asarray(value)
        stored[name] = np.ascontiguousarray(value.astype(np.float32) if value.dtype == f64 else value)
    save_file(stored, path, metadata={"format": "pt"})


def linear(w, name, x):
    y = x @ w[name + ".weight"].T
    return y + w[name + ".bias"] if name + ".bias" in w else y


def rms(x, weight, eps):
    return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + eps) * weight


def layer_norm(x, eps, weight=1.0, bias=0.0):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + eps) * weight + bias


def silu(x):
    return x / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attend(q, k, v, scale, allowed=None):
    """q [S, H, D], k and v [S, G, D]; head h reads group h // (H / G)."""
    groups = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, groups, 1), np.repeat(v, groups, 1)
    scores = np.einsum("shd,thd->hst", q, k) * scale
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    return np.einsum("hst,thd->shd", softmax(scores), v)


def rotate_half(x, base, factor=1.0):
    """Pairs (i, i + D/2) of x [S, H, D], positions from 0."""
    half = x.shape[-1] // 2
    angle = np.outer(np.arange(len(x)), base ** (-np.arange(half) / half) / factor)[:, None]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], -1)


def pad(rows, width):
    out = np.zeros((len(rows), width) + rows[0].shape[1:], rows[0].dtype)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


# --- Next-DiT --------------------------------------------------------------------------------------------------------


def dit_weights():
    c, w = DIT, {}
    dim, head = c["dim"], c["dim"] // c["n_heads"]
    patch = c["patch_size"] ** 2 * c["in_channels"]
    adaln = min(dim, 1024)

    def lin(name, outputs, inputs, bias=True):
        w[name + ".weight"] = matrix(outputs, inputs)
        if bias:
            w[name + ".bias"] = draw(outputs, std=0.1)

    def block(name, modulated):
        lin(f"{name}.attention.qkv", (c["n_heads"] + 2 * c["n_kv_heads"]) * head, dim, False)
        lin(f"{name}.attention.out", dim, dim, False)
        for norm in "qk":
            w[f"{name}.attention.{norm}_norm.weight"] = draw(head, std=0.2, mean=1)
        for part, shape in (("w1", (DIT_FFN, dim)), ("w2", (dim, DIT_FFN)), ("w3", (DIT_FFN, dim))):
            lin(f"{name}.feed_forward.{part}", *shape, False)
        for norm in ("attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2"):
            w[f"{name}.{norm}.weight"] = draw(dim, std=0.2, mean=1)
        if modulated:
            lin(f"{name}.adaLN_modulation.1", 4 * dim, adaln)

    lin("x_embedder", dim, patch)
    lin("t_embedder.mlp.0", adaln, 256)
    lin("t_embedder.mlp.2", adaln, adaln)
    w["cap_embedder.0.weight"] = draw(c["cap_feat_dim"], std=0.2, mean=1)
    lin("cap_embedder.1", dim, c["cap_feat_dim"])
    w["clip_text_pooled_proj.0.weight"] = draw(c["clip_text_dim"], std=0.2, mean=1)
    lin("clip_text_pooled_proj.1", c["clip_text_dim"], c["clip_text_dim"])
    lin("time_text_embed.1", adaln, adaln + c["clip_text_dim"])
    for i in range(c["n_refiner_layers"]):
        block(f"context_refiner.{i}", False)
        block(f"noise_refiner.{i}", True)
    for i in range(c["n_layers"]):
        block(f"layers.{i}", True)
    w["norm_final.weight"] = draw(dim, mean=1)
    lin("final_layer.adaLN_modulation.1", dim, adaln)
    lin("final_layer.linear", patch, dim)
    return w


def dit_row(w, x, t, cap, pooled, see=lambda name, value: None):
    """One sample: x [C, H, W], cap [its own length, F]. Returns the velocity and shows values to `see`."""
    c = DIT
    p, (channels, height, width) = c["patch_size"], x.shape
    rows, columns, length = height // p, width // p, len(cap)
    head = c["dim"] // c["n_heads"]

    angle = t * np.exp(-math.log(10000) * np.arange(128) / 128)
    t_emb = linear(
        w, "t_embedder.mlp.2", silu(linear(w, "t_embedder.mlp.0", np.concatenate([np.cos(angle), np.sin(angle)])))
    )
    see("t_emb", t_emb)
    adaln = t_emb
    if pooled is not None:
        clip = linear(w, "clip_text_pooled_proj.1", rms(pooled, w["clip_text_pooled_proj.0.weight"], 1e-6))
        see("clip_emb", clip)
        adaln = linear(w, "time_text_embed.1", silu(np.concatenate([t_emb, clip])))
    see("adaln_input", adaln)

    def rope(positions):
        angles = [
            np.outer(positions[:, axis], 10000.0 ** (-np.arange(0, size, 2) / size))
            for axis, size in enumerate(c["axes_dims"])
        ]
        return np.concatenate(angles, 1)

    def turn(v, angles):
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
        out = np.empty_like(v)
        out[..., 0::2] = v[..., 0::2] * cos - v[..., 1::2] * sin
        out[..., 1::2] = v[..., 1::2] * cos + v[..., 0::2] * sin
        return out

    def block(name, h, angles, modulated):
        if modulated:
            mod = linear(w, f"{name}.adaLN_modulation.1", silu(adaln)).reshape(4, -1)
            s1, g1, s2, g2 = 1 + mod[0], np.tanh(mod[1]), 1 + mod[2], np.tanh(mod[3])
        else:
            s1 = g1 = s2 = g2 = 1.0
        norm = lambda part, v: rms(v, w[f"{name}.{part}.weight"], c["norm_eps"])
        n, g = c["n_heads"], c["n_kv_heads"]
        qkv = linear(w, f"{name}.attention.qkv", norm("attention_norm1", h) * s1).reshape(len(h), n + 2 * g, head)
        q, k, v = qkv[:, :n], qkv[:, n : n + g], qkv[:, n + g :]
        q = turn(rms(q, w[f"{name}.attention.q_norm.weight"], 1e-6), angles)
        k = turn(rms(k, w[f"{name}.attention.k_norm.weight"], 1e-6), angles)
        out = linear(w, f"{name}.attention.out", attend(q, k, v, head**-0.5).reshape(len(h), -1))
        h = h + g1 * norm("attention_norm2", out)
        f = norm("ffn_norm1", h) * s2
        f = silu(linear(w, f"{name}.feed_forward.w1", f)) * linear(w, f"{name}.feed_forward.w3", f)
        return h + g2 * norm("ffn_norm2", linear(w, f"{name}.feed_forward.w2", f))

    index = np.arange(length)
    cap_positions = np.stack([index, 0 * index, 0 * index], 1)
    r, q = np.divmod(np.arange(rows * columns), columns)
    img_positions = np.stack([np.full(rows * columns, length), r, q], 1)

    text = linear(w, "cap_embedder.1", rms(cap, w["cap_embedder.0.weight"], c["norm_eps"]))
    see("cap_emb", text)
    image = x.reshape(channels, rows, p, columns, p).transpose(1, 3, 2, 4, 0).reshape(rows * columns, -1)
    image = linear(w, "x_embedder", image)
    see("img_emb", image)
    for i in range(c["n_refiner_layers"]):
        text = block(f"context_refiner.{i}", text, rope(cap_positions), False)
        see(f"context_refiner.{i}", text)
        image = block(f"noise_refiner.{i}", image, rope(img_positions), True)
        see(f"noise_refiner.{i}", image)
    positions = np.concatenate([cap_positions, img_positions])
    angles = rope(positions)
    h = np.concatenate([text, image])
    for name, value in (
        ("joint_in", h),
        ("joint_mask", np.ones(len(h), np.int64)),
        ("position_ids", positions),
        ("rope_cos", np.cos(angles)),
        ("rope_sin", np.sin(angles)),
    ):
        see(name, value)
    for i in range(c["n_layers"]):
        h = block(f"layers.{i}", h, angles, True)
        see(f"layers.{i}", h)
    scale = 1 + linear(w, "final_layer.adaLN_modulation.1", silu(adaln))
    h = linear(w, "final_layer.linear", layer_norm(h, 1e-6) * scale)
    see("final_layer", h)
    out = h[length:].reshape(rows, columns, p, p, channels).transpose(4, 0, 2, 1, 3)
    return out.reshape(channels, height, width)


def guide(conditional, unconditional, scale, renorm):
    v = unconditional + scale * (conditional - unconditional)
    if renorm > 0:
        v = v * min(1, renorm * np.linalg.norm(conditional) / np.linalg.norm(v))
    return v


def make_next_dit(weights):
    w, tensors, cases = wide(weights), {}, []

    def inputs(name, hw, times, lengths, width, pooled=True, scale=1.0):
        given = {
            "x": draw(len(times), DIT["in_channels"], *hw),
            "t": np.array(times, np.float32),
            "cap_feats": draw(len(times), width, DIT["cap_feat_dim"], std=scale),
            "cap_mask": np.array([[int(i < n) for i in range(width)] for n in lengths], np.int64),
        }
        if pooled:
            given["clip_text_pooled"] = draw(len(times), DIT["clip_text_dim"], std=scale)
        tensors.update({f"{name}.{key}": value for key, value in given.items()})
        return given, sorted(given)

    def rows(given, see=lambda row: lambda name, value: None):
        pooled = given.get("clip_text_pooled")
        return [
            dit_row(
                w,
                given["x"][i].astype(f64),
                float(given["t"][i]),
                given["cap_feats"][i][: given["cap_mask"][i].sum()].astype(f64),
                None if pooled is None else pooled[i].astype(f64),
                see(i),
            )
            for i in range(len(given["t"]))
        ]

    for name, hw, times, lengths, width, pooled, scale in (
        ("one", (6, 8), [0.137], [5], 5, True, 1.0),
        ("one_no_clip", (4, 4), [0.4], [3], 4, False, 1.0),
        ("two_padded", (6, 4), [0.62, 0.21], [7, 2], 8, True, 1.0),
        ("small_text", (4, 6), [0.3], [4], 4, True, 0.002),
    ):
        given, names = inputs(name, hw, times, lengths, width, pooled, scale)
        seen = {}
        out = rows(given, lambda row: lambda key, value: seen.setdefault(key, []).append(value))
        for key, values in seen.items():
            lengths_seen = {len(value) for value in values}
            whole = width if key.startswith(("cap_emb", "context")) else max(lengths_seen)
            tensors[f"{name}.{key}"] = pad(values, whole)
        tensors[f"{name}.out"] = np.stack(out)
        cases.append({"name": name, "kind": "forward", "inputs": names, "intermediates": True})

    given, _ = inputs("mixed", (2, 2), [0.4, 0.05], [3, 6], 8)
    del tensors["mixed.x"]
    for i, hw in enumerate(((4, 2), (2, 8))):
        x = draw(DIT["in_channels"], *hw)
        tensors[f"mixed.x.{i}"] = x
        tensors[f"mixed.out.{i}"] = dit_row(
            w,
            x.astype(f64),
            float(given["t"][i]),
            given["cap_feats"][i][: given["cap_mask"][i].sum()].astype(f64),
            given["clip_text_pooled"][i].astype(f64),
        )
    cases.append({"name": "mixed", "kind": "forward_mixed_sizes", "n": 2})

    for name, t, trunc, renorm in (
        ("cfg", 0.1, 1.0, 0.0),
        ("cfg_renorm", 0.1, 1.0, 1.0),
        ("cfg_at_trunc", 0.25, 0.25, 1.0),
    ):
        given, names = inputs(name, (4, 6), [t] * 4, [5, 2, 1, 3], 6)
        given["x"][2:] = given["x"][:2]
        v = rows(given)
        scale, active = 4.5, t < trunc
        half = [guide(v[i], v[i + 2], scale, renorm) if active else v[i] for i in range(2)]
        tensors[f"{name}.model_out"] = np.stack(v)
        tensors[f"{name}.out"] = np.stack(half + half)
        case = {"name": name, "kind": "forward_with_cfg", "inputs": names}
        cases.append(case | {"cfg_scale": scale, "cfg_trunc": trunc, "renorm_cfg": renorm})

    directory = OUT / "next_dit"
    write_json(directory / "config.json", DIT)
    short = {k: v for k, v in DIT.items() if k not in ("cap_feat_dim", "qk_norm", "norm_eps")}
    write_json(directory / "layouts" / "config_shapes_decide.json", short)
    write_tensors(directory / "diffusion_pytorch_model.safetensors", weights)
    write_json(directory / "cases.json", {"cases": cases})
    write_tensors(directory / "cases.safetensors", tensors)


# --- Gemma 3 ---------------------------------------------------------------------------------------------------------


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


# --- Jina CLIP -------------------------------------------------------------------------------------------------------

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


# --- VAE -------------------------------------------------------------------------------------------------------------


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


# --- samplers --------------------------------------------------------------------------------------------------------


def ode_grid(points, shift):
    t = np.linspace(0, 1, points)
    return t / (t + shift - shift * t)


def dpm_sigmas(steps, shift):
    sigma = np.linspace(0.999, 0, steps + 1)
    return shift * sigma / (1 + (shift - 1) * sigma)


def solve(method, count, shift, x, field):
    """States and the times at which `field` was asked. `count` is points, or steps for dpm."""
    states, times = [x], []

    def v(y, t):
        times.append(t)
        return field(y, t)

    if method == "dpm":
        sigmas, previous = dpm_sigmas(count, shift), None
        lam = lambda s: math.log(1 - s) - math.log(s)
        for i, (s, t) in enumerate(zip(sigmas[:-1], sigmas[1:])):
            data = x + s * v(x, 1 - s)
            slope = 0.0
            if i + 1 < count:
                h = lam(t) - lam(s)
                if previous is not None:
                    slope = (data - previous[0]) / (previous[1] / h)
                previous = (data, h)
            factor = 1 - t - (1 - s) * t / s
            x = t / s * x + factor * (data + slope / 2)
            states.append(x)
        return np.stack(states), times
    grid = ode_grid(count, shift)
    for t, u in zip(grid[:-1], grid[1:]):
        d, k1 = u - t, v(x, t)
        if method == "euler":
            x = x + d * k1
        elif method == "midpoint":
            x = x + d * v(x + d / 2 * k1, t + d / 2)
        else:
            k2 = v(x + d / 3 * k1, t + d / 3)
            k3 = v(x + d * (k2 - k1 / 3), t + 2 * d / 3)
            k4 = v(x + d * (k1 - k2 + k3), u)
            x = x + d / 8 * (k1 + 3 * k2 + 3 * k3 + k4)
        states.append(x)
    return np.stack(states), times


def make_sampler():
    grids = {}
    for shift in (1, 2.5, 6):
        grids |= {f"ode.n{n}.shift{shift}": ode_grid(n, shift) for n in (2, 5, 18)}
        grids |= {f"dpm.sigmas.n{n}.shift{shift}": dpm_sigmas(n, shift) for n in (1, 2, 9)}
    tensors = {f"a.{name}": draw(2, 2, 3, 4) for name in ("x0", "target", "bias")}
    x0, target, bias = (tensors[f"a.{name}"].astype(f64) for name in ("x0", "target", "bias"))
    field = lambda x, t: (target - x) * (0.5 + t) + 0.3 * math.sin(3 * t) * bias + 0.2 * np.tanh(x)
    runs = []
    for method, count, shift in (("euler", 6, 6), ("midpoint", 5, 2.5), ("rk4", 4, 6), ("dpm", 7, 6), ("dpm", 1, 1)):
        name = f"{method}_{count}"
        states, times = solve(method, count, shift, x0, field)
        tensors[f"{name}.states"], tensors[f"{name}.x1"] = states, states[-1]
        tensors[f"{name}.model_times"] = np.array(times)
        key, grid = ("sigmas", dpm_sigmas(count, shift)) if method == "dpm" else ("times", ode_grid(count, shift))
        tensors[f"{name}.{key}"] = grid
        runs.append({"name": name, "method": method, "num_steps": count, "shift": shift, "field": "a"})
    directory = OUT / "sampler"
    write_json(directory / "cases.json", {"trajectories": runs})
    write_tensors(directory / "grids.safetensors", grids)
    write_tensors(directory / "trajectories.safetensors", tensors)


# --- adapters and the whole ------------------------------------------------------------------------------------------


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


def make_pipeline(dit, gemma, jina, vae, merged):
    model = OUT / "pipeline" / "model"
    write_json(model / "model_index.json", {"_class_name": "NewbiePipeline"})
    for part, source, config in (
        ("transformer", "next_dit", None),
        ("text_encoder", "gemma3", None),
        ("clip_model", "jina_clip", None),
        ("vae", "vae", None),
    ):
        (model / part).mkdir(parents=True, exist_ok=True)
        for file in ("config.json", "model.safetensors", "diffusion_pytorch_model.safetensors"):
            if (OUT / source / file).exists():
                shutil.copy(OUT / source / file, model / part / file)
    g_rows = [np.concatenate([[2], rng.integers(3, 40, 8)]), np.array([2])]
    j_rows = [np.concatenate([[0], rng.integers(4, 40, 5), [2]]), np.array([0, 2])]
    noise = draw(1, DIT["in_channels"], 6, 4)
    g_width, j_width = 16, 7
    tensors = {
        "empty.gemma_input_ids": pad([row.astype(np.int64) for row in g_rows], g_width),
        "empty.gemma_attention_mask": np.array([[int(i < len(r)) for i in range(g_width)] for r in g_rows], np.int64),
        "empty.jina_input_ids": np.stack([np.pad(r, (0, j_width - len(r)), constant_values=1) for r in j_rows]),
        "empty.noise": noise,
    }
    caps = [gemma_row(wide(gemma), row)[-2] for row in g_rows]
    pooled = [jina_row(wide(jina), row)[1] for row in j_rows]
    cases = []
    for solver, count, trunc, renorm, lora in (
        ("euler", 5, 1.0, 0.0, None),
        ("midpoint", 5, 0.25, 1.0, None),
        ("dpm", 4, 1.0, 1.0, None),
        ("euler", 3, 1.0, 0.0, [["rank2", 1.0]]),
    ):
        name = f"{solver}_{count}" + ("_lora" if lora else "")
        w = merged(1.0) if lora else wide(dit)

        def field(x, t):
            conditional = dit_row(w, x, t, caps[0], pooled[0])
            if np.float32(t) >= trunc:
                return conditional
            return guide(conditional, dit_row(w, x, t, caps[1], pooled[1]), 4.5, renorm)

        states, _ = solve(solver, count, 6, noise[0].astype(f64), field)
        sample, image = vae_decode(wide(vae), states[-1])
        for key, value in (
            ("cap_feats", pad(caps, g_width)),
            ("clip_text_pooled", np.stack(pooled)),
            ("states", states[:, None]),
            ("latents", states[-1][None]),
            ("sample", sample[None]),
            ("image", image[None]),
            ("image_u8_truncated", np.floor(image * 255).astype(np.uint8)[None]),
        ):
            tensors[f"{name}.{key}"] = value
        case = {"name": name, "inputs_from": "empty", "solver": solver, "num_sampling_steps": count, "t_shift": 6}
        cases.append(
            case | {"cfg_scale": 4.5, "cfg_trunc": trunc, "renorm_cfg": renorm} | ({"lora": lora} if lora else {})
        )
    write_json(OUT / "pipeline" / "cases.json", {"cases": cases})
    write_tensors(OUT / "pipeline" / "cases.safetensors", tensors)


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    near = lambda max_abs, rel_l2: {"max_abs": max_abs, "rel_l2": rel_l2}
    u8 = "difference at most 1, in at most 0.5 % of the values"
    tolerances = {
        "next_dit": {
            "forward_out": near(1e-4, 1e-5),
            "guided_out": near(5e-4, 2e-5),
            "intermediates": near(2e-4, 2e-5),
        },
        "gemma3": {"hidden_states": near(5e-4, 2e-5)},
        "jina_clip": {"pooled": near(2e-4, 2e-5), "hidden_states": near(3e-4, 3e-5)},
        "vae": {"sample": near(5e-5, 1e-5), "latents": near(1e-4, 1e-5), "intermediates": near(5e-4, 1e-5), "u8": u8},
        "sampler": {"grids": {"max_abs": 5e-7}, "ode_states": {"max_abs": 5e-6}, "dpm_states": {"max_abs": 1e-5}},
        "lora": {"out": near(2e-4, 2e-5)},
        "pipeline": {"latents_and_states": near(1e-3, 1e-4), "sample_and_image": {"max_abs": 1e-4}, "u8": u8},
    }
    manifest = {
        "fixture": "own",
        "made_by": "model/testdata/make_own_fixtures.py",
        "dtype": "float64, stored as float32",
    }
    manifest["components"] = {name: {"tolerance_float32": value} for name, value in tolerances.items()}
    write_json(OUT / "manifest.json", manifest)
    dit, gemma, jina, vae = dit_weights(), gemma_weights(), jina_weights(), vae_weights()
    make_next_dit(dit)
    make_gemma3(gemma)
    make_jina_clip(jina)
    make_vae(vae)
    make_sampler()
    merged = make_lora(dit)
    make_pipeline(dit, gemma, jina, vae, merged)


if __name__ == "__main__":
    main()
