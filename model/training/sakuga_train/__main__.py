"""Command line of the trainer; `python -m sakuga_train --help`."""

import argparse
import json
import time
from pathlib import Path

BEGUN = time.time()


def log(text):
    print(f"[{time.time() - BEGUN:6.1f} s] {text}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="sakuga_train", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="geometry and rates, such as embedded.json")
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name, text, *, data=False):
        one = commands.add_parser(name, help=text, description=text)
        one.add_argument("--checkpoint", type=Path, required=True, help="the folder of the checkpoint")
        if data:
            one.add_argument("--shards", type=Path, required=True, help="the folder `sakuga-figures dataset` writes to")
        return one

    def clock(one, seconds):
        one.add_argument("--seconds", type=float, default=seconds, help="about how long to train")
        one.add_argument("--most", type=int, default=10**9, help="stop after this number of steps")
        one.add_argument("--steps", type=int, default=25, help="steps between two looks at the clock")

    one = command("tokenizer", "Make the tokenizer of both encoders from texts of a data set.", data=True)
    one = command("vae", "Train the autoencoder.", data=True)
    clock(one, 130)
    one.add_argument("--pictures", type=int, default=28672, help="how many pictures to learn from")
    one = command("dit", "Train the Next-DiT with both encoders.", data=True)
    clock(one, 1000)
    one.add_argument("--capacity", type=int, default=393216, help="pictures kept on the device as latents")
    one.add_argument(
        "--resume", type=Path, help="a folder with the networks of an earlier call, or with those to begin with"
    )
    one = command("grow", "Make a deeper network with thinner layers from a trained one, to begin with.", data=True)
    one.add_argument("--old", type=Path, required=True, help="the folder of the trained checkpoint")
    one = command("draw", "Draw the texts of a data set, as packed RGB.", data=True)
    one.add_argument(
        "--form", choices=["xml", "tags", "caption", "unknown-xml", "unknown-tags", "unknown-caption"], default="xml"
    )
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--steps", type=int)
    one.add_argument("--shift", type=float)
    one.add_argument("--guidance", type=float)
    one.add_argument("--batch", type=int, default=64)
    one = command("plot", "Plot the training's table as an SVG.")
    one.add_argument("--out", type=Path, required=True)
    one = command("fixtures", "Write inputs and outputs of the checkpoint for the parity test.")
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--text", required=True)
    options = parser.parse_args()
    config = json.loads(options.config.read_text(encoding="utf-8"))
    config["dit"]["in_channels"] = config["vae"]["latent_channels"]

    if options.command == "tokenizer":
        make_tokenizer(config, options)
    elif options.command == "vae":
        from .train_vae import train

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
    elif options.command == "dit":
        from .train_dit import train

        train(
            config,
            options.shards,
            options.checkpoint,
            options.seconds,
            options.capacity,
            options.resume,
            log=log,
            steps=options.steps,
            most=options.most,
        )
    elif options.command == "grow":
        from .grow import grow

        grow(config, options.old, options.shards, options.checkpoint, log)
    elif options.command == "draw":
        from .draw import draw_dataset

        sampling = config["sampling"]
        draw_dataset(
            config,
            options.checkpoint,
            options.shards,
            options.form,
            options.out,
            options.steps or sampling["steps"],
            options.shift or sampling["shift"],
            options.guidance or sampling["guidance_scale"],
            options.batch,
        )
        log("drawn")
    elif options.command == "plot":
        from .plot import plot

        plot(options.checkpoint / "training.csv", options.out)
    else:
        from .fixtures import write

        write(config, options.checkpoint, options.out, options.text)
        log("fixtures written")


def make_tokenizer(config, options):
    """Reads every text of the shards, which are left as they are."""
    from . import checkpoint, tokenizer

    texts = []
    for path in sorted(options.shards.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            line = json.loads(line)
            texts += [*line["texts"], line["xml"], line["tags"], line["caption"]]
    made = tokenizer.train(texts, config["gemma"]["vocab"])
    lengths = sorted(len(encoding.ids) for encoding in made.encode_batch(texts[:20000]))
    gemma, jina = tokenizer.variants(made)
    checkpoint.write_json(options.checkpoint / "text_encoder/tokenizer.json", gemma)
    checkpoint.write_json(options.checkpoint / "clip_model/tokenizer.json", jina)
    middle, high = lengths[len(lengths) // 2], lengths[len(lengths) * 99 // 100]
    log(f"{made.get_vocab_size()} pieces; texts have {middle} tokens, 99 % up to {high}, the longest {lengths[-1]}")


if __name__ == "__main__":
    main()
