"""Times PyTorch's U-Net and decoder of Stable Diffusion XL with random weights of the published sizes, and prints one JSON.

    python speed_sdxl.py [--eager] [--compile] [--refiner] [--vae] [--channels-first]

Measures one evaluation of both halves of guidance at 1024 x 1024 in bf16 and 30 of them in a row, with --refiner one of the refiner,
with --vae the decoder too; eagerly, with torch.compile, or both (eagerly if neither is asked for). Medians of warm repeats, by CUDA
events. The networks are those of `sakuga_torch`, which `check_fixtures_sdxl.py` compares with references.
"""

import argparse
import json
import statistics
import sys
import time

import torch
from sakuga_torch import checkpoint, measures, sdxl_drawing, unet, vae

WARM_CALLS = 3
STEPS = 30
VAE = {"latent_channels": 4, "scaling_factor": 0.13025, "shift_factor": 0.0}


def milliseconds(call, repeats):
    for _ in range(WARM_CALLS):
        call()
    taken = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        taken.append(start.elapsed_time(end))
    return {"median_ms": statistics.median(taken), "min_ms": min(taken), "max_ms": max(taken)}


def measured(network, call, args):
    """Eagerly, then compiled; compiling cannot be undone, so it comes last."""
    result = {}
    if args.eager:
        result["eager"] = milliseconds(call, args.repeats)
        print(result, file=sys.stderr, flush=True)
    if args.compile:
        network.compile(dynamic=False)
        begun = time.perf_counter()
        call()
        torch.cuda.synchronize()
        first = time.perf_counter() - begun
        result["compiled"] = milliseconds(call, args.repeats) | {"first_call_s": first}
        print(result, file=sys.stderr, flush=True)
    return result


def layout(tensors, args):
    return tensors if args.channels_first else tensors.to(memory_format=torch.channels_last)


def time_unet(config, args, steps=None):
    network = layout(unet.random(config, args.device, args.dtype), args)
    edge = args.size // 8
    options = {"device": args.device, "dtype": args.dtype}
    sample = layout(torch.randn(2, 4, edge, edge, **options), args)
    text = torch.randn(2, 77, config["cross_attention_dim"], **options)
    pooled = torch.randn(2, 1280, **options)
    count = (config["projection_class_embeddings_input_dim"] - 1280) // config["addition_time_embed_dim"]
    sizes = torch.full((2, count), float(args.size), device=args.device)
    moment = torch.tensor(500.0, device=args.device)

    def evaluate():
        return network(sample, moment, text, pooled, sizes)

    result = {"evaluation": measured(network, evaluate, args)}
    if steps:

        def in_a_row():
            for _ in range(steps):
                evaluate()

        result[f"{steps}_evaluations"] = milliseconds(in_a_row, 3)
    result["parameters"] = sum(weight.numel() for weight in network.parameters())
    return result


def time_vae(args):
    with torch.device("meta"):
        decoder = sdxl_drawing.Decoder(vae.VaeConfig(**VAE))
    decoder = layout(checkpoint.randomise(decoder, args.device, args.dtype), args)
    edge = args.size // 8
    latents = layout(torch.randn(1, 4, edge, edge, device=args.device, dtype=args.dtype), args)
    return measured(decoder, lambda: decoder(latents), args)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for flag in ("eager", "compile", "refiner", "vae", "channels-first"):
        parser.add_argument(f"--{flag}", action="store_true")
    parser.add_argument("--size", type=int, default=1024, help="pixels")
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args()
    args.eager = args.eager or not args.compile
    args.device, args.dtype = torch.device("cuda"), torch.bfloat16
    with torch.no_grad():
        report = {"machine": measures.machine(args.device), "unet": time_unet(unet.BASE, args, STEPS)}
        if args.refiner:
            report["refiner"] = time_unet(unet.REFINER, args)
        if args.vae:
            report["vae_decode"] = time_vae(args)
    json.dump(report, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
