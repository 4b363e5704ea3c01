"""Makes `parity/`, the fixture set that stands in this repository, so that parity is tested on every machine.

    pip install numpy safetensors
    python make_own_fixtures.py

An implementation of its own, in float64 and numpy alone, of everything the crate computes: one row of a batch at a time
and without padding, which the crate never does. Weights are random and small, stored as F32; values are computed from
the stored weights. The layout is that of the larger set the tests also accept (see `tests/parity/main.rs`).
"""

import shutil

from own_fixtures.files import OUT, write_json
from own_fixtures.gemma3 import gemma_weights, make_gemma3
from own_fixtures.jina_clip import jina_weights, make_jina_clip
from own_fixtures.lora import make_lora
from own_fixtures.next_dit import dit_weights, make_next_dit
from own_fixtures.pipeline import make_pipeline
from own_fixtures.sampler import make_sampler
from own_fixtures.vae import make_vae, vae_weights


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
    # One generator draws everything, so the order is part of the fixtures.
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
