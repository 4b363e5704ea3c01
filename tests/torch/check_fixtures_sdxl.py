"""Proves the modules of Stable Diffusion XL against stored references, in f32 on the CPU, at the tolerances of the set's manifest.

    python check_fixtures_sdxl.py DIR

DIR is a set as the parity tests of `sakuga-model` read it (SAKUGA_FIXTURES_SDXL). What this package does not have (ControlNet,
adapters, inpainting, solvers other than DPM++ 2M with Karras' schedule, prompts with weights) is counted as left out.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from check_fixtures import CPU, F32, Account, Cases
from sakuga_torch import clip_text, unet, vae
from sakuga_torch.sdxl_drawing import SdxlDrawer

# Text that only `PromptRules` of `sakuga-model` read.
MARKS = "()[]\\"


def check_unet(root, account):
    cases, networks = Cases(root / "unet"), {}
    for case in cases.list:
        folder = {"base": "model", "refiner": "refiner"}.get(case.get("net"))
        if folder is None:
            account.left_out += 1
            continue
        if folder not in networks:
            networks[folder] = unet.load(root / folder / "unet", CPU, F32)
        given = cases.of(case.get("inputs_from", case["name"])) | cases.of(case["name"])
        names = ("sample", "timestep", "encoder_hidden_states", "text_embeds", "time_ids")
        out = networks[folder](*(given[name] for name in names))
        account.compare(f"{case['name']}.out", out, given["out"], next(iter(account.tolerances)))


def check_clip(root, account):
    cases = Cases(root / "clip")
    encoders = [clip_text.load(root / "model" / part, CPU, F32) for part in ("text_encoder", "text_encoder_2")]
    tolerance = next(iter(account.tolerances))
    for case in cases.list:
        given = cases.of(case["name"])
        if "prompt_embeds" not in given or "input_ids_l" not in given:
            account.left_out += 1
            continue
        found = [
            encoder(input_ids=given[f"input_ids_{letter}"], output_hidden_states=True)
            for encoder, letter in zip(encoders, "lg", strict=True)
        ]
        states = torch.cat([output.hidden_states[-2] for output in found], -1)
        account.compare(f"{case['name']}.prompt_embeds", states, given["prompt_embeds"], tolerance)
        account.compare(f"{case['name']}.pooled", found[1].text_embeds, given["pooled"], tolerance)


def check_tokenizer(root, account):
    found = clip_text.tokenizer(root / "no such folder")
    golden = json.loads((root / "tokenizer" / "golden.json").read_text(encoding="utf-8"))
    for case in golden["cases"]:
        ids = found.encode(case["text"], add_special_tokens=False).ids
        account.compare(case["text"][:20], torch.tensor(ids), torch.tensor(case["ids"][1:-1]), "equal")


def is_drawn_here(case):
    scheduler = case.get("scheduler", {})
    is_karras = scheduler.get("config", {}).get("use_karras_sigmas") and "DPMSolver" in scheduler.get("class", "")
    plain = not any(mark in case.get("prompt", "") for mark in MARKS)
    known = {
        "name",
        "kind",
        "prompt",
        "steps",
        "cfg",
        "scheduler",
        "keep_cond",
        "keep_sample",
        "hw",
        "inputs",
        "inputs_from",
    }
    return case.get("kind") == "text2img" and is_karras and plain and set(case) <= known


def check_pipeline(root, account):
    """From a prompt to pixels, without a negative prompt."""
    cases = Cases(root / "pipeline")
    drawer = SdxlDrawer(root / "model", CPU, F32, time.perf_counter())
    for case in cases.list:
        if not is_drawn_here(case):
            account.left_out += 1
            continue
        given = cases.of(case.get("inputs_from", case["name"])) | cases.of(case["name"])
        noise = given["initial_noise"]
        drawer.guidance = case["cfg"]
        size_px = (noise.shape[3] * 8, noise.shape[2] * 8)
        latents = drawer.sample(drawer.conditions(case["prompt"]), noise, size_px, case["steps"])
        # Latents as the checkpoint stores them: scaled.
        account.compare(f"{case['name']}.latents", latents, given["latents"], "latents")
        image = (vae.to_image(drawer.decode(latents)) * 255).round()
        account.compare_pixels(f"{case['name']}.image", image, given["image_u8"])


COMPONENTS = {"unet": check_unet, "clip": check_clip, "tokenizer": check_tokenizer, "pipeline": check_pipeline}


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fixtures", type=Path, help="folder of a fixture set with a manifest.json")
    args = parser.parse_args()
    manifest = json.loads((args.fixtures / "manifest.json").read_text(encoding="utf-8"))
    failed = False
    for name, check in COMPONENTS.items():
        account = Account(name, manifest["components"][name]["tolerance_float32"])
        check(args.fixtures, account)
        account.report()
        failed = failed or bool(account.failures) or account.compared == 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
