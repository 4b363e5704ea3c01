"""The whole: from token ids over every solver to pictures."""

import shutil

import numpy as np

from .files import OUT, write_json, write_tensors
from .gemma3 import gemma_row
from .jina_clip import jina_row
from .next_dit import DIT, dit_row, guide
from .numerics import draw, f64, pad, rng, wide
from .sampler import solve
from .vae import vae_decode


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
