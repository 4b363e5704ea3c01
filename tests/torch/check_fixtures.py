"""Proves the modules against stored references, in f32 on the CPU, at the tolerances of the set's manifest.

    python check_fixtures.py [--fixtures DIR]

Without DIR it is the set that stands in this repository. What this package does not have (the encoder half of the
autoencoder, solvers other than Euler, adapters of the Next-DiT) is counted as left out.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from sakuga_torch import flow, gemma3, jina_clip, next_dit, vae

OWN = Path(__file__).resolve().parents[2] / "model/testdata/parity"
CPU, F32 = torch.device("cpu"), torch.float32


class Account:
    """Counts the comparisons of one component and how much of their tolerances they used."""

    def __init__(self, name, tolerances):
        self.name, self.tolerances = name, tolerances
        self.compared = self.left_out = 0
        self.failures, self.share = [], 0.0

    def compare(self, name, found, expected, kind):
        """`kind` names the tolerance; `equal` allows none."""
        self.compared += 1
        if found.shape != expected.shape:
            self.failures.append(f"{name}: shape {list(found.shape)}, {list(expected.shape)} expected")
            return
        difference = (found.double() - expected.double()).abs()
        if kind == "equal":
            shares = {"equal": 0.0 if bool((difference == 0).all()) else float("inf")}
        else:
            measured = {"max_abs": difference.max(), "rel_l2": difference.norm() / expected.double().norm()}
            limits = self.tolerances[kind]
            shares = {key: float(value) / limits[key] for key, value in measured.items() if key in limits}
        worst = max(shares.values())
        # Written so that a NaN fails.
        if not worst <= 1:
            self.failures.append(f"{name}: {worst:.3g} times its tolerance ({kind})")
        self.share = max(self.share, worst)

    def compare_pixels(self, name, found, expected):
        """Levels of 0..255: at most 1 apart, in at most 0.5 % of the values."""
        self.compared += 1
        difference = (found.int() - expected.int()).abs()
        if found.shape != expected.shape or difference.max() > 1 or (difference > 0).double().mean() > 0.005:
            self.failures.append(f"{name}: pixels differ")

    def report(self):
        for failure in self.failures:
            print(f"  {failure}")
        left_out = f", {self.left_out} cases left out" if self.left_out else ""
        print(
            f"{self.name}: {self.compared} comparisons, {len(self.failures)} failed, "
            f"{100 * self.share:.1f} % of a tolerance used at most{left_out}"
        )


class Cases:
    """The cases of one component and their tensors."""

    def __init__(self, folder):
        self.list = json.loads((folder / "cases.json").read_text(encoding="utf-8"))["cases"]
        self.tensors = load_file(str(folder / "cases.safetensors"))

    def of(self, name):
        """Tensors of one case by their names within it."""
        return {key[len(name) + 1 :]: value for key, value in self.tensors.items() if key.split(".")[0] == name}


def rows_where(value, mask):
    """[B, S, ...] to what `mask` [B, S] shows of it; `value` may be cut at the longest row."""
    return value[mask[:, : value.shape[1]].bool()]


def check_next_dit(folder, account):
    cases = Cases(folder)
    networks = {}
    for case in cases.list:
        name, files = case["name"], case.get("weights")
        if files not in networks:
            networks[files] = next_dit.load(folder, CPU, F32, [folder / files] if files else None)
        network, given = networks[files], cases.of(name)
        if case["kind"] == "forward_mixed_sizes":
            given["x"] = [given[f"x.{i}"] for i in range(case["n"])]
        patch = network.config.patch_size
        grids = [(x.shape[-2] // patch, x.shape[-1] // patch) for x in given["x"]]
        lengths, seen = given["cap_mask"].sum(1).tolist(), {}
        prepared = network.prepare(given["cap_feats"], lengths, given.get("clip_text_pooled"), grids, seen.__setitem__)
        out = network(prepared, given["x"], given["t"], seen.__setitem__)
        if case["kind"] == "forward_mixed_sizes":
            for i, image in enumerate(out):
                account.compare(f"{name}.out.{i}", image, given[f"out.{i}"], "forward_out")
        elif case["kind"] == "forward":
            account.compare(f"{name}.out", out, given["out"], "forward_out")
        else:
            # Without guidance the authors run the conditional half alone, so the other rows are not compared.
            is_guided = float(given["t"][0]) < case["cfg_trunc"]
            conditional, unconditional = out.chunk(2)
            if "model_out" in given:
                account.compare(f"{name}.model_out", out, given["model_out"], "forward_out")
            guided = conditional
            if is_guided:
                guided = flow.guide(conditional, unconditional, case["cfg_scale"], case["renorm_cfg"])
            account.compare(f"{name}.out", torch.cat([guided, guided]), given["out"], "guided_out")
        if case.get("intermediates"):
            joint, caption = given["joint_mask"], given["cap_mask"]
            for key, value in seen.items():
                if key not in given:
                    account.failures.append(f"{name}.{key}: not in the set")
                elif key in ("t_emb", "clip_emb", "adaln_input", "img_emb") or key.startswith("noise_refiner"):
                    account.compare(f"{name}.{key}", value, given[key], "intermediates")
                else:
                    mask = caption if key.startswith(("cap_emb", "context_refiner")) else joint
                    kind = "equal" if key == "position_ids" else "intermediates"
                    account.compare(f"{name}.{key}", rows_where(value, mask), rows_where(given[key], mask), kind)


def check_vae(folder, account):
    cases, decoder = Cases(folder), vae.load(folder, CPU, F32)
    for case in cases.list:
        if case["kind"] != "decode":
            account.left_out += 1
            continue
        name, seen = case["name"], {}
        given = cases.of(name)
        sample = decoder(given["model_latents"], seen.__setitem__)
        image = vae.to_image(sample)
        account.compare(f"{name}.sample", sample, given["sample"], "sample")
        account.compare(f"{name}.image", image, given["image"], "sample")
        account.compare(f"{name}.vae_latents", seen.pop("vae_latents"), given["vae_latents"], "latents")
        account.compare_pixels(f"{name}.image_u8_truncated", (image * 255).floor(), given["image_u8_truncated"])
        for key, value in seen.items() if case["intermediates"] else ():
            account.compare(f"{name}.{key}", value, given[key], "intermediates")


def check_gemma3(folder, account):
    cases, whole = Cases(folder), gemma3.load(folder, CPU, F32)
    shortened = gemma3.captioner(gemma3.load(folder, CPU, F32))
    for case in cases.list:
        name = case["name"]
        given = cases.of(name)
        ids, mask = given["input_ids"], given["attention_mask"]
        found = {f"hidden_states.{i}": state for i, state in enumerate(gemma3.hidden_states(whole, ids, mask))}
        found["cap_feats"] = gemma3.caption_features(shortened, ids, mask)
        for key, value in found.items():
            account.compare(f"{name}.{key}", rows_where(value, mask), rows_where(given[key], mask), "hidden_states")


def check_jina_clip(folder, account):
    cases, towers = Cases(folder), {}
    for case in cases.list:
        name, without = case["name"], case.get("task", "") is None
        if without not in towers:
            towers[without] = jina_clip.load(folder, CPU, F32, without_adapter=without)
        given, seen = cases.of(name), {}
        pooled = towers[without](given["input_ids"], seen.__setitem__)
        account.compare(f"{name}.pooled", pooled, given["pooled"], "pooled")
        mask = given["input_ids"] != towers[without].config.pad_token_id
        for key, value in seen.items():
            account.compare(f"{name}.{key}", rows_where(value, mask), rows_where(given[key], mask), "hidden_states")


def check_sampler(folder, account):
    for name, expected in load_file(str(folder / "grids.safetensors")).items():
        kind, points, shift = name.split(".", 2)
        if kind == "ode":
            points, shift = int(points[1:]), 1.0 if shift == "none" else float(shift.removeprefix("shift"))
            account.compare(name, torch.tensor(flow.ode_times(points - 1, shift)), expected, "grids")


def check_pipeline(folder, account):
    """From ids to pixels: what `compare.py` does with a picture."""
    cases, model = Cases(folder), folder / "model"
    tower = gemma3.captioner(gemma3.load(model / "text_encoder", CPU, F32))
    clip = jina_clip.load(model / "clip_model", CPU, F32)
    network, decoder = next_dit.load(model / "transformer", CPU, F32), vae.load(model / "vae", CPU, F32)
    for case in cases.list:
        if case["solver"] != "euler" or case.get("lora"):
            account.left_out += 1
            continue
        name = case["name"]
        given, expected = cases.of(case.get("inputs_from", name)), cases.of(name)
        mask = given["gemma_attention_mask"]
        caption = gemma3.caption_features(tower, given["gemma_input_ids"], mask)
        pooled = clip(given["jina_input_ids"])
        velocity = flow.guided_velocity(
            network,
            caption,
            mask.sum(1).tolist(),
            pooled,
            given["noise"].shape,
            case["cfg_scale"],
            case["cfg_trunc"],
            case["renorm_cfg"],
        )
        states = [given["noise"]]
        times = flow.ode_times(case["num_sampling_steps"] - 1, case["t_shift"])
        latents = flow.euler(velocity, given["noise"], times, states.append)
        sample = decoder(latents)
        account.compare(f"{name}.states", torch.stack(states), expected["states"], "latents_and_states")
        account.compare(f"{name}.latents", latents, expected["latents"], "latents_and_states")
        account.compare(f"{name}.sample", sample, expected["sample"], "sample_and_image")
        account.compare(f"{name}.image", vae.to_image(sample), expected["image"], "sample_and_image")


COMPONENTS = {
    "next_dit": check_next_dit,
    "vae": check_vae,
    "gemma3": check_gemma3,
    "jina_clip": check_jina_clip,
    "sampler": check_sampler,
    "pipeline": check_pipeline,
}


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fixtures", type=Path, default=OWN, help="folder of a fixture set with a manifest.json")
    parser.add_argument("--only", nargs="+", choices=COMPONENTS, default=list(COMPONENTS), help="components to check")
    args = parser.parse_args()
    manifest = json.loads((args.fixtures / "manifest.json").read_text(encoding="utf-8"))
    failed = False
    for name in args.only:
        account = Account(name, manifest["components"][name]["tolerance_float32"])
        COMPONENTS[name](args.fixtures / name, account)
        account.report()
        failed = failed or bool(account.failures) or account.compared == 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
