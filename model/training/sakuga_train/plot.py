"""Loss and learning rate over the samples of a training, as an SVG."""

import csv
from pathlib import Path


# Rows of the table on each side of one that are averaged with it.
HALF_WINDOW = 10


def centred_mean(values: list[float], place: int) -> float:
    """The mean of the values around a place, as many on one side as on the other, so that it does not lag behind them."""
    half = min(HALF_WINDOW, place, len(values) - 1 - place)
    window = values[place - half : place + half + 1]
    return sum(window) / len(window)


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
    smooth = [centred_mean(loss, place) for place in range(len(loss))]
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    axes.plot(samples, loss, color="#c9b6e4", linewidth=0.8, label="mean of 25 steps")
    axes.plot(samples, smooth, color="#5b3e96", linewidth=1.6, label=f"mean of {25 * (2 * HALF_WINDOW + 1)} steps")
    axes.set_title(f"Training of the embedded model: loss and learning rate over {samples[-1]:.1f} million samples")
    axes.set(xlabel="million samples", ylabel="mean squared error of the velocity", yscale="log")
    axes.set_yticks([0.2, 0.3, 0.5, 1.0, 2.0], ["0.2", "0.3", "0.5", "1", "2"])
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.legend(loc="upper right", frameon=False)
    rate = axes.twinx()
    rate.set_ylim(0, 1.1e3 * max(float(row["learning_rate"]) for row in rows))
    rate.plot(samples, [1e3 * float(row["learning_rate"]) for row in rows], color="#e08a5b", linewidth=1)
    rate.set_ylabel("learning rate, thousandths", color="#e08a5b")
    figure.savefig(out, metadata={"Date": None})
