"""Pictures for people: data grids, loss curves, score pictures."""

import csv

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend must be chosen first)


def curve(table, out):
    """Every column of a run's CSV over its first column, one panel each."""
    with open(table, newline="") as file:
        header, *rows = csv.reader(file)
    columns = list(zip(*[[float(value) for value in row] for row in rows]))
    shown = [i for i, name in enumerate(header) if i and name not in ("seconds", "rate")]
    figure, axes = plt.subplots(1, len(shown), figsize=(4.5 * len(shown), 3.2), squeeze=False)
    for axis, i in zip(axes[0], shown):
        axis.plot(columns[0], columns[i], linewidth=1)
        axis.set(title=header[i], xlabel=header[0])
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out, dpi=110)
    plt.close(figure)


def grid(pictures, out, columns=3, title=""):
    """Pictures of one person in a grid (R2)."""
    rows = -(-len(pictures) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(1.6 * columns, 2 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, picture in zip(axes.flat, pictures):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=255)
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(out, dpi=110)
    plt.close(figure)


def scored_pairs(pairs, out, columns=4):
    """(picture, picture, distance, same) pairs side by side, the distance as title (R5)."""
    rows = -(-len(pairs) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.6 * columns, 2.1 * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (one, two, distance, same) in zip(axes.flat, pairs):
        axis.imshow([list(a) + list(b) for a, b in zip(one, two)], cmap="gray", vmin=0, vmax=255)
        axis.set_title(f"{distance:.3f}", color="green" if same else "firebrick", fontsize=10)
    figure.tight_layout()
    figure.savefig(out, dpi=110)
    plt.close(figure)
