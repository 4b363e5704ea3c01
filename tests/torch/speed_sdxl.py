"""Times diffusers' U-Net and decoder of Stable Diffusion XL with random weights of the published sizes, and prints one JSON.

    python speed_sdxl.py [--eager] [--compile] [--vae] [--channels-last]

Measures one evaluation of both halves of guidance at 1024 x 1024 in bf16 and 30 of them in a row, with --vae the decoder
too; eagerly, with torch.compile (110 s were seen on an H200), or both (eagerly if neither is asked for). Needs diffusers.
Medians of warm repeats, by CUDA events.
"""

import argparse
import json
import statistics
import sys
import time

import torch
from sakuga_torch import measures

WARM_CALLS = 3
STEPS = 30

UNET = {
    "sample_size": 128,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
VAE = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "scaling_factor": 0.13025,
}


def random(kind, config, device, dtype):
    """A network of these sizes, made on the device: filling it on the host would take longer than the measurement."""
    with torch.device(device):
        network = kind(**config)
    return network.to(dtype).eval().requires_grad_(False)


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


def time_unet(args):
    from diffusers import UNet2DConditionModel

    network = random(UNet2DConditionModel, UNET, args.device, args.dtype)
    if args.channels_last:
        network = network.to(memory_format=torch.channels_last)
    edge = args.size // 8
    options = {"device": args.device, "dtype": args.dtype}
    sample = torch.randn(2, 4, edge, edge, **options)
    text = torch.randn(2, 77, 2048, **options)
    sizes = torch.tensor([[args.size, args.size, 0, 0, args.size, args.size]] * 2, **options)
    added = {"text_embeds": torch.randn(2, 1280, **options), "time_ids": sizes}
    moment = torch.tensor(500.0, device=args.device)

    def evaluate():
        return network(sample, moment, text, added_cond_kwargs=added, return_dict=False)[0]

    result = {"evaluation": measured(network, evaluate, args)}

    def steps():
        for _ in range(STEPS):
            evaluate()

    result[f"{STEPS}_evaluations"] = milliseconds(steps, 3)
    result["parameters"] = sum(weight.numel() for weight in network.parameters())
    return result


def time_vae(args):
    from diffusers import AutoencoderKL

    network = random(AutoencoderKL, VAE, args.device, args.dtype)
    if args.channels_last:
        network = network.to(memory_format=torch.channels_last)
    latents = torch.randn(1, 4, args.size // 8, args.size // 8, device=args.device, dtype=args.dtype)
    return measured(network.decoder, lambda: network.decode(latents, return_dict=False)[0], args)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for flag in ("eager", "compile", "vae", "channels-last"):
        parser.add_argument(f"--{flag}", action="store_true")
    parser.add_argument("--size", type=int, default=1024, help="pixels")
    parser.add_argument("--repeats", type=int, default=20)
    args = parser.parse_args()
    args.eager = args.eager or not args.compile
    args.device, args.dtype = torch.device("cuda"), torch.bfloat16
    with torch.no_grad():
        report = {"machine": measures.machine(args.device), "unet": time_unet(args)}
        if args.vae:
            report["vae_decode"] = time_vae(args)
    json.dump(report, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
