"""Measures PyTorch by the protocol of `sakuga bench`, and writes the same record.

    python bench.py CHECKPOINT --out torch.json [--compile] [--refiner CHECKPOINT]
    sakuga bench compare sakuga-bench/run.json torch.json --out both.html

A folder with `unet/` is of Stable Diffusion XL, another one of NewBie. The prompts are those of `sakuga bench`, from its own
files; for Stable Diffusion XL, prompts in XML are the lists of tags that Sakuga makes of them. PyTorch keeps no texts: a text that is new in its last tag, or
that was just read, is computed like any other. A picture ends with its pixels on the host; there is no PNG.
"""

import argparse
import shlex
import sys
import time
from pathlib import Path

PROGRAM_BEGUN = time.perf_counter()

import torch  # noqa: E402
from sakuga_torch import measures  # noqa: E402
from sakuga_torch.checkpoint import CheckpointError  # noqa: E402
from sakuga_torch.device_stats import Sampler  # noqa: E402
from sakuga_torch.drawing import NewbieDrawer  # noqa: E402
from sakuga_torch.record import Case, Loading, Protocol, Record, System, Text, write  # noqa: E402
from sakuga_torch.sdxl_drawing import SdxlDrawer  # noqa: E402

IMPORTED = time.perf_counter()

PROMPTS = Path(__file__).parents[2] / "client" / "bench" / "src" / "prompts"
SEED = 20250826
# Name, title, file: as client/bench/src/case.rs has them.
CASES = [
    ("one-xml", "one character, XML", "one.xml"),
    ("one-text", "one character, text", "one.txt"),
    ("two-xml", "two characters, XML", "two.xml"),
    ("two-text", "two characters, text", "two.txt"),
]
QUICK = CASES[2]
KINDS = ("cold", "prefix", "cached")


def size(text):
    width, _, height = text.lower().partition("x")
    edges = int(width), int(height)
    if any(edge <= 0 or edge % 16 for edge in edges):
        raise ValueError("width and height are multiples of 16")
    return edges


def say(text):
    print(text, file=sys.stderr, flush=True)


def opened(args, dtype):
    if (args.checkpoint / "unet").is_dir():
        return SdxlDrawer(args.checkpoint, args.device, dtype, PROGRAM_BEGUN, args.refiner)
    return NewbieDrawer(args.checkpoint, args.device, dtype, PROGRAM_BEGUN)


def prompt_of(drawer, file):
    # What the server's encoders read of these files: the text without the line end after it.
    file = file.replace(".xml", ".tags") if isinstance(drawer, SdxlDrawer) else file
    return (PROMPTS / file).read_text(encoding="utf-8").rstrip("\n")


def draw_cases(drawer, args, sampler, run_begun):
    cases = []
    for name, title, file in [QUICK] if args.quick else CASES:
        # The record has the file as it is: `compare` looks whether both runs drew the same.
        case = Case(name, title, (PROMPTS / file).read_text(encoding="utf-8"))
        for count, jobs in ((args.warmup, case.warmup), (args.repeats, case.repeats)):
            for index in range(count):
                say(f"{title}: {'warm-up' if jobs is case.warmup else 'picture'} {index + 1} of {count}")
                seed = SEED + index
                jobs.append(drawer.draw(prompt_of(drawer, file), seed, args.size, args.steps, run_begun, sampler))
        cases.append(case)
    return cases


def time_texts(drawer, args):
    text = prompt_of(drawer, QUICK[2])
    system_prompt = drawer.system_prompt(text)
    # The shapes of these texts are compiled, if at all, before anything counts.
    for _ in range(args.warmup):
        drawer.time_text(text, system_prompt)
    return [Text(kind, drawer.time_text(text, system_prompt)) for _ in range(args.repeats) for kind in KINDS]


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="folder of the published layout")
    parser.add_argument("--out", type=Path, required=True, help="the record, a JSON file")
    parser.add_argument("--compile", action="store_true", help="with torch.compile, block by block")
    parser.add_argument("--compile-mode", default="default", help="torch.compile's `mode`")
    parser.add_argument("--size", type=size, help="WxH in pixels; the model's without")
    parser.add_argument("--steps", type=int, help="the model's without")
    parser.add_argument("--guidance", type=float, help="the model's without")
    parser.add_argument("--refiner", type=Path, help="folder of a refiner, for Stable Diffusion XL")
    parser.add_argument("--repeats", type=int, help="5 without, 2 with --quick")
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="two characters as XML alone, two pictures")
    parser.add_argument("--device", type=torch.device, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=("bf16", "f32"), help="bf16 on a GPU, f32 on a CPU")
    args = parser.parse_args()
    args.repeats = args.repeats or (2 if args.quick else 5)
    precision = args.dtype or ("bf16" if args.device.type == "cuda" else "f32")
    begun_unix_ms = int(time.time() * 1e3)
    try:
        dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[precision]
        drawer = opened(args, dtype)
    except CheckpointError as error:
        sys.exit(f"error: {error}")
    args.size = args.size or (drawer.size_px, drawer.size_px)
    args.steps = args.steps or drawer.steps
    drawer.guidance = args.guidance or drawer.guidance
    if args.compile:
        drawer.compile(args.compile_mode)
    sampler = Sampler(args.device)
    if sampler.nvml is None:
        say(f"no samples of the device: {sampler.reason}")
    warm_begun = time.perf_counter()
    cases = draw_cases(drawer, args, sampler, warm_begun)
    first = (cases[0].warmup or cases[0].repeats)[0]
    imports = Loading("imports", 0.0, (IMPORTED - PROGRAM_BEGUN) * 1e3)
    warm_up = Loading("warm-up", (warm_begun - PROGRAM_BEGUN) * 1e3, first.timings.total_ms)
    machine = measures.machine(args.device)
    record = Record(
        program="tests/torch/bench.py",
        command=shlex.join(["python", *sys.argv]),
        begun_unix_ms=begun_unix_ms,
        protocol=Protocol(
            width_px=args.size[0],
            height_px=args.size[1],
            steps=args.steps,
            solver=drawer.solver,
            guidance_scale=drawer.guidance,
            guidance_until=drawer.until,
            shift=drawer.shift,
            repeats=args.repeats,
            warmup=args.warmup,
            seed=SEED,
        ),
        system=System(
            engine="PyTorch compiled" if args.compile else "PyTorch eager",
            version=machine["torch"],
            device=f"{args.device} {machine['device']}",
            precision=precision,
            model=drawer.name,
            notice=drawer.index.get("_sakuga_notice", ""),
            parameters=drawer.parameters(),
        ),
        cases=cases,
        loading=[imports, *drawer.loading, warm_up],
        texts=time_texts(drawer, args),
    )
    write(record, args.out)
    say(f"wrote {args.out}")


if __name__ == "__main__":
    main()
