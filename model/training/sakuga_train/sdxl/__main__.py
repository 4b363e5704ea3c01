"""Command line of the trainer of SD-Anime; `python -m sakuga_train.sdxl --help`."""

import argparse
import json
import time
from pathlib import Path

BEGUN = time.time()


def log(text):
    print(f"[{time.time() - BEGUN:6.1f} s] {text}", flush=True)


def main():
    options = parser().parse_args()
    from .networks import completed

    config = completed(json.loads(options.config.read_text(encoding="utf-8")))
    options.run(config, options)


def parser():
    parser = argparse.ArgumentParser(prog="sakuga_train.sdxl", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="geometry and rates, such as sd-anime.json")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(run, text, *, data=False):
        one = commands.add_parser(run.__name__, help=text, description=text)
        one.set_defaults(run=run)
        one.add_argument("--checkpoint", type=Path, required=True, help="the folder of the checkpoint")
        if data:
            one.add_argument("--shards", type=Path, required=True, help="the folder `sakuga-figures dataset` writes to")
        return one

    command(tokenizer, "Make the tokenizer of both encoders from texts of a data set.", data=True)
    one = command(vae, "Train the autoencoder.", data=True)
    one.add_argument("--seconds", type=float, default=130, help="about how long to train")
    one.add_argument("--pictures", type=int, default=28672, help="how many pictures to learn from")
    one.add_argument("--most", type=int, default=10**9, help="stop after this number of steps")
    one.add_argument("--steps", type=int, default=25, help="steps between two looks at the clock")
    one = command(unet, "Train the U-Net with both encoders, or continue.", data=True)
    one.add_argument("--state", type=Path, help="the folder from which the next call continues [default: none]")
    one.add_argument("--pool", type=Path, help="a folder that keeps the encoded pictures for the next call")
    one.add_argument("--seconds", type=float, default=530, help="how long this call may last, compiling included")
    one.add_argument("--total", type=float, default=780, help="seconds of training over all calls")
    one.add_argument("--capacity", type=int, default=393216, help="pictures kept on the device as latents")
    one.add_argument("--most", type=int, default=10**9, help="stop after this number of steps")
    one.add_argument("--steps", type=int, default=25, help="steps between two rows of the table")
    one = command(programs, "Compile the programs of `unet` into JAX's compilation cache.")
    one.add_argument("--capacity", type=int, default=393216, help="as in `unet`")
    one = command(draw, "Draw the tags of a data set, as packed RGB.", data=True)
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--sheet", type=Path, help="a PNG of the first 24 pictures")
    one.add_argument("--steps", type=int)
    one.add_argument("--guidance", type=float)
    one.add_argument("--batch", type=int, default=64)
    one = command(plot, "Plot the training's table as an SVG.")
    one.add_argument("--out", type=Path, required=True)
    one = command(fixtures, "Write inputs and outputs of the checkpoint for the parity test.")
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--text", required=True)
    one = command(speed, "Measure how long the training step takes to compile and to run.")
    one.add_argument("--size", default="256x256")
    one.add_argument("--chunks", type=int, default=2)
    one.add_argument("--steps", type=int, default=50)
    one.add_argument("--capacity", type=int, default=393216, help="pictures kept on the device, as in `unet`")
    return parser


def tokenizer(config, options):
    """Reads every text of the shards, which are left as they are."""
    from . import tokenizer

    texts = []
    for path in sorted(options.shards.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            line = json.loads(line)
            texts += [line["flat-tags"], *line["flat-texts"]]
    entries, merges = tokenizer.train(texts, config["vocab"])
    if len(entries) != config["vocab"]:
        raise SystemExit(f"the texts give {len(entries)} entries, {config['vocab']} are asked for")
    tokenizer.write(options.checkpoint, entries, merges)
    clip = tokenizer.Clip(options.checkpoint)
    _, _, counts = clip.bodies(texts[:20000], 75, config["chunks"])
    shares = {n: round(float((counts == n).mean()), 4) for n in sorted(set(counts.tolist()))}
    log(f"{len(entries)} entries; texts by number of chunks: {shares}")


def vae(config, options):
    from ..train_vae import train

    train(
        config,
        options.shards,
        options.checkpoint,
        options.seconds,
        options.pictures,
        log=log,
        steps=options.steps,
        most=options.most,
    )


def unet(config, options):
    from .train import train

    train(
        config,
        options.shards,
        options.checkpoint,
        options.state,
        options.pool,
        options.seconds,
        options.total,
        options.capacity,
        log=log,
        steps=options.steps,
        most=options.most,
        begun_call=BEGUN,
    )


def programs(config, options):
    from .train import compile_all

    compile_all(config, options.capacity, log)


def draw(config, options):
    from .draw import draw_dataset

    sampling = config["sampling"]
    draw_dataset(
        config,
        options.checkpoint,
        options.shards,
        options.out,
        options.sheet,
        options.steps or sampling["steps"],
        sampling["guidance_scale"] if options.guidance is None else options.guidance,
        options.batch,
    )
    log("drawn")


def plot(config, options):
    from ..plot import plot

    plot(options.checkpoint / "training.csv", options.out, config["batch"])


def fixtures(config, options):
    from .fixtures import write

    write(config, options.checkpoint, options.out, options.text)
    log("fixtures written")


def speed(config, options):
    from .speed import measure

    measure(config, options.size, options.chunks, options.steps, options.capacity, log)


if __name__ == "__main__":
    main()
