"""Compares what Sakuga computed from a checkpoint with PyTorch on the same tensors, and prints one JSON.

    python compare.py CHECKPOINT DUMP [--device cuda] [--save FILE]

CHECKPOINT is a folder of the published layout, DUMP a safetensors file with inputs and results of Sakuga. PyTorch computes
the same in bf16 and in f32; how far its bf16 lies from its f32 is the yardstick for how far ours may. README.md lists the
tensors of DUMP; every group of them is optional.
"""

import argparse
import gc
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from sakuga_torch import flow, gemma3, jina_clip, measures, next_dit, vae
from sakuga_torch.checkpoint import CheckpointError

TYPES = {"bf16": torch.bfloat16, "f32": torch.float32}

# What must be in DUMP for a result of ours to be compared: the result, then its inputs.
GROUPS = {
    "velocity": ("velocity", "latents", "times", "caption", "caption_lengths", "pooled"),
    "latents": ("latents_final", "noise", "steps", "guidance", "shift", "caption", "caption_lengths", "pooled"),
    "vae": ("image", "latents_final"),
    "picture": ("image", "noise", "steps", "guidance", "shift", "caption", "caption_lengths", "pooled"),
    "gemma": ("gemma_hidden", "gemma_ids"),
    "jina": ("jina_pooled", "jina_ids"),
}
PICTURES = ("vae", "picture")
RANKS = {
    **dict.fromkeys(("latents", "velocity", "noise", "latents_final", "image"), 4),
    **dict.fromkeys(("caption", "gemma_hidden"), 3),
    **dict.fromkeys(("pooled", "jina_pooled", "gemma_ids", "jina_ids"), 2),
    **dict.fromkeys(("caption_lengths", "times", "steps", "guidance", "shift"), 1),
    **dict.fromkeys(("guidance_until", "guidance_renorm"), 1),
}

# What is asked of full size in bf16: (measure, least value) against PyTorch's bf16.
GOALS = {
    "velocity": ("cosine", 0.9995),
    "gemma": ("cosine", 0.999),
    "jina": ("cosine", 0.999),
    "vae": ("psnr_db", 45.0),
    "picture": ("psnr_db", 35.0),
}

GEMMA_PAD = 0


class DumpError(Exception):
    """A file of ours that cannot be compared."""


def read_dump(path):
    """The tensors, and the groups that are complete."""
    if not path.is_file():
        raise DumpError(f"{path} is missing: README.md says what it holds")
    dump = load_file(str(path))
    for name, rank in RANKS.items():
        if name in dump and dump[name].dim() != rank:
            raise DumpError(f"`{name}` has shape {list(dump[name].shape)}; a tensor of rank {rank} is needed")
    groups = [group for group, names in GROUPS.items() if all(name in dump for name in names)]
    if not groups:
        raise DumpError(f"{path} has no complete group; one of these is needed: {GROUPS}")
    if "caption" in dump and max(dump["caption_lengths"]) > dump["caption"].shape[1]:
        raise DumpError("`caption_lengths` names more tokens than `caption` holds")
    if {"latents", "picture"} & set(groups) and float(dump["guidance"][0]) != 1 and len(dump["caption"]) < 2:
        raise DumpError("with guidance, `caption` needs a second row: the negative")
    return dump, groups


def scalar(dump, name, default=None):
    return float(dump[name][0]) if name in dump else default


def run_next_dit(folder, dump, groups, device, dtype):
    """The velocity of `latents`, and the latents that `noise` becomes."""
    network = next_dit.load(folder / "transformer", device, dtype)
    caption, pooled = dump["caption"].to(device), dump["pooled"].to(device)
    lengths, patch, found = dump["caption_lengths"].tolist(), network.config.patch_size, {}
    if "velocity" in groups:
        latents = dump["latents"].to(device)
        grid = (latents.shape[2] // patch, latents.shape[3] // patch)
        given = network.prepare(caption, lengths, pooled, [grid] * len(latents))
        found["velocity"] = network(given, latents, dump["times"]).cpu()
    if {"latents", "picture"} & set(groups):
        noise = dump["noise"].to(device)
        settings = [scalar(dump, "guidance"), scalar(dump, "guidance_until", 1.0), scalar(dump, "guidance_renorm", 0.0)]
        velocity = flow.guided_velocity(network, caption, lengths, pooled, noise.shape, *settings)
        times = flow.ode_times(int(scalar(dump, "steps")), scalar(dump, "shift"))
        found["latents"] = flow.euler(velocity, noise, times).cpu()
    return found


def run_vae(folder, dump, groups, device, dtype, latents):
    """Our latents drawn, and those that this type's network made."""
    decoder, found = vae.load(folder / "vae", device, dtype), {}

    def draw(latents):
        # One by one, so that memory does not grow with the batch.
        return torch.cat([vae.to_image(decoder(row.to(device))).cpu() for row in latents.split(1)])

    if "vae" in groups:
        found["vae"] = draw(dump["latents_final"])
    if "picture" in groups:
        found["picture"] = draw(latents)
    return found


def run_gemma(folder, dump, device, dtype):
    tower = gemma3.captioner(gemma3.load(folder / "text_encoder", device, dtype))
    ids = dump["gemma_ids"].to(device)
    return {"gemma": gemma3.caption_features(tower, ids, (ids != GEMMA_PAD).long()).float().cpu()}


def run_jina(folder, dump, device, dtype):
    tower = jina_clip.load(folder / "clip_model", device, dtype)
    return {"jina": tower(dump["jina_ids"].to(device)).float().cpu()}


def run(folder, dump, groups, device, dtype):
    """Everything in one type; one network at a time is in memory."""
    found = {}
    if {"velocity", "latents", "picture"} & set(groups):
        found |= run_next_dit(folder, dump, groups, device, dtype)
        release()
    if {"vae", "picture"} & set(groups):
        found |= run_vae(folder, dump, groups, device, dtype, found.get("latents"))
        release()
    if "gemma" in groups:
        found |= run_gemma(folder, dump, device, dtype)
        release()
    if "jina" in groups:
        found |= run_jina(folder, dump, device, dtype)
        release()
    return found


def release():
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def comparable(group, value, dump):
    """What counts of a result; for Gemma the tokens that are not padding, one a row."""
    return value[dump["gemma_ids"] != GEMMA_PAD] if group == "gemma" else value


def judge(group, dump, found):
    """The three distances of one group, and whether they are near enough."""
    ours, results = dump[GROUPS[group][0]].float(), {}
    for name, value in {"ours": ours, **{name: found[name][group] for name in TYPES}}.items():
        if value.shape != ours.shape:
            shapes = f"{list(ours.shape)} from us, {list(value.shape)} from PyTorch"
            raise DumpError(f"`{GROUPS[group][0]}` has another shape: {shapes}")
        results[name] = comparable(group, value, dump)
        if not bool(results[name].isfinite().all()):
            raise DumpError(f"`{group}` of {name} has values that are not finite")
    measure = measures.picture_nearness if group in PICTURES else measures.nearness
    pairs = (("ours", "bf16"), ("ours", "f32"), ("bf16", "f32"))
    verdict = {f"{a}_to_{b}": measure(results[a], results[b]) for a, b in pairs}
    if group in GOALS:
        key, least = GOALS[group]
        verdict["goals"] = {f"{key} to bf16 of at least {least}": verdict["ours_to_bf16"][key] >= least}
        if group == "picture":
            no_worse = verdict["ours_to_f32"][key] >= verdict["bf16_to_f32"][key]
            verdict["goals"]["no farther from f32 than bf16 is"] = no_worse
    return verdict


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="folder of the published layout")
    parser.add_argument("dump", type=Path, help="safetensors file with our inputs and results")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--only", nargs="+", choices=GROUPS, help="groups to compare, if not all that DUMP has")
    parser.add_argument("--save", type=Path, help="write PyTorch's results here, as `<group>.<type>`")
    args = parser.parse_args()
    # f32 is to be f32: products and convolutions in TF32 would spoil the yardstick.
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        dump, groups = read_dump(args.dump)
        groups = [group for group in groups if args.only is None or group in args.only]
        found = {}
        for name, dtype in TYPES.items():
            print(f"computing in {name}: {', '.join(groups)}", file=sys.stderr)
            found[name] = run(args.checkpoint, dump, groups, torch.device(args.device), dtype)
        verdict = {group: judge(group, dump, found) for group in groups}
    except (CheckpointError, DumpError) as error:
        sys.exit(f"error: {error}")
    if args.save:
        tensors = {f"{group}.{name}": value for name, values in found.items() for group, value in values.items()}
        save_file({name: value.contiguous() for name, value in tensors.items()}, str(args.save))
    page = {
        "machine": measures.machine(args.device),
        "checkpoint": args.checkpoint.resolve().name,
        "shapes": {group: list(dump[GROUPS[group][0]].shape) for group in groups},
        "groups": verdict,
        "groups_not_in_dump": [group for group in GROUPS if group not in groups],
    }
    print(json.dumps(page, indent=1, allow_nan=False))


if __name__ == "__main__":
    main()
