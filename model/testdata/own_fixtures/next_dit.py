"""Next-DiT: a sample at a time, guidance, and the cases of its forward passes."""

import math

import numpy as np

from .files import OUT, write_json, write_tensors
from .numerics import attend, draw, f64, layer_norm, linear, matrix, pad, rms, silu, wide

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
