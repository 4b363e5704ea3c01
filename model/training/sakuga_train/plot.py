"""Loss and learning rate over the samples of a training, as an SVG."""

import csv
from pathlib import Path


def plot(table: Path, out: Path, batch=512):
    """Reads `training.csv` and writes the picture; matplotlib is asked for here alone."""
    import matplotlib

    matplotlib.use("svg")
    # The same numbers give the same file.
    matplotlib.rcParams.update({"svg.hashsalt": "sakuga", "font.size": 9})
    import matplotlib.pyplot as plt

    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    samples = [int(row["step"]) * batch / 1e6 for row in rows]
    loss = [float(row["loss"]) for row in rows]
    smooth, value = [], loss[0]
    for one in loss:
        value = 0.9 * value + 0.1 * one
        smooth.append(value)
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    axes.plot(samples, loss, color="#c9b6e4", linewidth=0.8, label="25 steps")
    axes.plot(samples, smooth, color="#5b3e96", linewidth=1.6, label="smoothed")
    axes.set(xlabel="million samples", ylabel="mean squared error of the velocity", yscale="log")
    axes.set_yticks([0.2, 0.3, 0.5, 1.0, 2.0], ["0.2", "0.3", "0.5", "1", "2"])
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.legend(loc="upper right", frameon=False)
    rate = axes.twinx()
    rate.plot(samples, [1e3 * float(row["learning_rate"]) for row in rows], color="#e08a5b", linewidth=1)
    rate.set_ylabel("learning rate, thousandths", color="#e08a5b")
    figure.savefig(out, metadata={"Date": None})
