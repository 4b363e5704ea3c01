"""Times PyTorch on the networks at full size, and prints one JSON.

    python speed.py [CHECKPOINT] [--eager] [--compile] [--vae] [--text]

Measures one evaluation of the Next-DiT, with --vae the decoder, with --text Gemma's text tower; each eagerly, with
torch.compile, or both (eagerly if neither is asked for). Without a folder of a checkpoint, random weights of the published
sizes. Medians of warm repeats, by CUDA events on a GPU.
"""

import argparse
import gc
import json
import statistics
import sys
import time
from pathlib import Path

import torch
from sakuga_torch import gemma3, measures, next_dit, vae
from sakuga_torch.checkpoint import CheckpointError

WARM_CALLS = 3
# How long a call is repeated while clocks are read: longer than `nvidia-smi` takes to answer.
LOADED_S = 1.5
CLOCKS = ("clocks.sm", "clocks.mem", "clocks.max.sm", "power.draw", "temperature.gpu")


def measure(call, args):
    """Times `call`. `host_ms` is how long it took to return, that is to enqueue the work on a GPU."""
    on_gpu = args.device.type == "cuda"

    def finish():
        if on_gpu:
            torch.cuda.synchronize()

    begun = time.perf_counter()
    call()
    finish()
    first_s = time.perf_counter() - begun
    for _ in range(WARM_CALLS - 1):
        call()
    finish()
    if on_gpu:
        held = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    taken_ms, host_ms = [], []
    for _ in range(args.repeats):
        if on_gpu:
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
        begun = time.perf_counter()
        call()
        host_ms.append((time.perf_counter() - begun) * 1e3)
        if on_gpu:
            end.record()
        finish()
        taken_ms.append(start.elapsed_time(end) if on_gpu else (time.perf_counter() - begun) * 1e3)
    measured = {
        "median_ms": statistics.median(taken_ms),
        "min_ms": min(taken_ms),
        "max_ms": max(taken_ms),
        "host_ms": statistics.median(host_ms),
        "first_call_s": first_s,
    }
    if on_gpu:
        measured["extra_memory_gib"] = (torch.cuda.max_memory_allocated() - held) / 2**30
        for _ in range(max(1, int(LOADED_S * 1e3 / measured["median_ms"]))):
            call()
        measured["under_load"] = measures.nvidia_smi(*CLOCKS)
        finish()
    return measured


def in_modes(args, call, compile_parts):
    """Measures eagerly, then compiled; compiling cannot be undone, so it comes last."""
    measured = {}
    if args.eager:
        measured["eager"] = measure(call, args)
    if args.compile:
        for part in compile_parts:
            # Every shape gets its own kernels: the fastest without changing the model.
            part.compile(dynamic=False, mode=args.compile_mode)
        measured["compiled"] = measure(call, args)
    return measured


def say(text):
    print(text, file=sys.stderr, flush=True)


def time_next_dit(args):
    """One evaluation, all that a step computes; and what is computed once an image."""
    if args.checkpoint:
        network = next_dit.load(args.checkpoint / "transformer", args.device, args.dtype)
    else:
        network = next_dit.random(args.device, args.dtype)
    c = network.config
    edge = args.size // 8
    grids = [(edge // c.patch_size, edge // c.patch_size)] * args.batch
    latents = torch.randn(args.batch, c.in_channels, edge, edge, device=args.device)
    caption = torch.randn(args.batch, args.caption, c.cap_feat_dim, device=args.device, dtype=args.dtype)
    pooled = torch.randn(args.batch, c.clip_text_dim, device=args.device, dtype=args.dtype)
    times = torch.full((args.batch,), 0.3, device=args.device)

    def prepare():
        return network.prepare(caption, [args.caption] * args.batch, pooled, grids)

    given = prepare()
    # Eagerly: it is not part of a step, and most of it are rotary tables made on the host.
    measured = {"prepare_once_an_image": measure(prepare, args)}
    measured["evaluation"] = in_modes(args, lambda: network(given, latents, times), network.blocks)
    measured["parameters"] = sum(weight.numel() for weight in network.parameters())
    return measured


def time_vae(args):
    if args.checkpoint:
        decoder = vae.load(args.checkpoint / "vae", args.device, args.dtype)
    else:
        decoder = vae.random(args.device, args.dtype)
    edge = args.size // 8
    latents = torch.randn(1, decoder.config.latent_channels, edge, edge, device=args.device)
    measured = {}
    if args.eager:
        measured["eager_channels_first"] = measure(lambda: vae.to_image(decoder(latents)), args)
    # Convolutions on tensor cores want channels last.
    decoder.to(memory_format=torch.channels_last)
    latents = latents.to(memory_format=torch.channels_last)
    return measured | in_modes(args, lambda: vae.to_image(decoder(latents)), [decoder])


def time_text(args):
    if args.checkpoint:
        tower = gemma3.load(args.checkpoint / "text_encoder", args.device, args.dtype)
    else:
        tower = gemma3.random(args.device, args.dtype)
    tower = gemma3.captioner(tower)
    ids = torch.randint(3, tower.config.vocab_size, (1, args.text_tokens), device=args.device)
    mask = torch.ones_like(ids)
    return in_modes(args, lambda: gemma3.caption_features(tower, ids, mask), tower.layers)


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "checkpoint", type=Path, nargs="?", help="folder of the published layout; random weights without"
    )
    parser.add_argument("--eager", action="store_true", help="measure without torch.compile")
    parser.add_argument("--compile", action="store_true", help="measure with torch.compile, block by block")
    parser.add_argument("--compile-mode", default="default", help="torch.compile's `mode`")
    parser.add_argument("--vae", action="store_true", help="also the decoder, batch 1")
    parser.add_argument("--text", action="store_true", help="also Gemma's text tower, batch 1")
    parser.add_argument("--no-dit", action="store_true", help="leave the Next-DiT out")
    parser.add_argument("--size", type=int, default=1024, help="edge of the square picture in pixels")
    parser.add_argument("--batch", type=int, default=2, help="rows of the Next-DiT: 2 is one picture with guidance")
    parser.add_argument("--caption", type=int, default=256, help="caption tokens of each row")
    parser.add_argument("--text-tokens", type=int, default=544, help="tokens that Gemma reads")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--device", type=torch.device, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=("bf16", "f32"), default="bf16")
    args = parser.parse_args()
    args.eager = args.eager or not args.compile
    args.dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[args.dtype]
    # Blocks share their code, so all shapes count against one limit.
    torch._dynamo.config.recompile_limit = 64
    parts = {"next_dit": time_next_dit, "vae_decode": time_vae, "gemma_text": time_text}
    wanted = {"next_dit": not args.no_dit, "vae_decode": args.vae, "gemma_text": args.text}
    results = {}
    try:
        for name in (name for name in parts if wanted[name]):
            say(f"measuring {name}")
            results[name] = parts[name](args)
            gc.collect()
            if args.device.type == "cuda":
                torch.cuda.empty_cache()
    except CheckpointError as error:
        sys.exit(f"error: {error}")
    page = {
        "machine": measures.machine(args.device),
        "weights": args.checkpoint.resolve().name if args.checkpoint else "random",
        "settings": {
            "size_px": args.size,
            "batch": args.batch,
            "caption_tokens": args.caption,
            "text_tokens": args.text_tokens,
            "dtype": str(args.dtype).removeprefix("torch."),
            "repeats": args.repeats,
            "compile_mode": args.compile_mode,
        },
        "results": results,
    }
    print(json.dumps(page, indent=1, allow_nan=False))


if __name__ == "__main__":
    main()
