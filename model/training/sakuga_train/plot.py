"""Loss and learning rate over the samples of a training, as an SVG."""

import csv
from pathlib import Path

# Rows on either side of a mean. Each row is the mean loss of 25 steps.
REACH = 5


def centred_mean(values, at):
    """The mean of the values around one, with as many before as after it, so that it does not lag."""
    reach = min(REACH, at, len(values) - 1 - at)
    around = values[at - reach : at + reach + 1]
    return sum(around) / len(around)


def plot(table: Path, out: Path, batch=512):
    """Reads `training.csv` and writes the picture; matplotlib is asked for here alone."""
    import matplotlib

    matplotlib.use("svg")
    # The same numbers give the same file. Text stays text: as outlines of letters the file would be twice as large.
    matplotlib.rcParams.update({"svg.hashsalt": "sakuga", "svg.fonttype": "none", "font.size": 9})
    import matplotlib.pyplot as plt

    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    # A table without samples is of one batch size.
    samples = [int(row.get("samples") or int(row["step"]) * batch) / 1e6 for row in rows]
    loss = [float(row["loss"]) for row in rows]
    smooth = [centred_mean(loss, at) for at in range(len(loss))]
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    axes.plot(samples, loss, color="#c9b6e4", linewidth=0.8, label="mean over 25 steps")
    axes.plot(samples, smooth, color="#5b3e96", linewidth=1.6, label=f"centred mean over {25 * (2 * REACH + 1)} steps")
    axes.set_title("Loss and learning rate of the training", fontsize=10)
    axes.set(xlabel="million samples", ylabel="mean squared error of the velocity", yscale="log")
    axes.set_yticks([0.2, 0.3, 0.5, 1.0, 2.0], ["0.2", "0.3", "0.5", "1", "2"])
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.legend(loc="upper right", frameon=False)
    rate = axes.twinx()
    rate.plot(samples, [1e3 * float(row["learning_rate"]) for row in rows], color="#e08a5b", linewidth=1)
    rate.set_ylabel("learning rate, thousandths", color="#e08a5b")
    figure.savefig(out, metadata={"Date": None})
