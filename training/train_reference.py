"""Trains the reference network exactly as the reference system does (R2 to R5).

`python train_reference.py OUT [--filters 64|128]`: AT&T's first 35 subjects, pairs of neighbouring
pictures, contrastive loss with margin 1, Adam, 10 epochs, batch 64. Writes the data grids, the loss
curve, the score pictures and a report on the 5 held-out subjects, and the network as ONNX with a
card, so that `facelatch` can load it.
"""

import argparse
import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import torch

import data
import evaluate
import export
import loop
import losses
import networks
import plots

SEED = 20190401
EPOCHS = 10
BATCH = 64
THRESHOLD = 0.5
SCORED = 8

CARD = """\
[model]
name = "reference ({filters} filters)"
file = "{file}"
sha256 = "{digest}"

[input]
width = 92
height = 112
colour = "gray"
mean = [0.0]
deviation = [1.0]

[crop]
width = 1.0
height = 1.0
shift_x = 0.0
shift_y = 0.0

[output]
size = 128
metric = "euclidean"
normalise = false

[thresholds]
# The reference's own: pairs match at a distance below 0.5, an attempt at a mean similarity of 0.3.
default_fmr = {fmr}
at_fmr = {{ "{fmr}" = 0.5 }}
attempt = 0.3

[training]
origin = "AT&T/ORL faces, the first 35 subjects by name; contrastive loss, {epochs} epochs."
terms = "AT&T asks: please give credit to Olivetti Research Laboratory (Samaria and Harter, 1994)."
results = "{results}"
train_your_own = "training/train.sh reference"
"""


def loaded(pictures):
    """Whole pictures in 0..1, as one tensor."""
    faces = np.stack([picture.load() for picture in pictures])
    return torch.from_numpy(faces[:, None].astype(np.float32) / 255)


def draw_data(out):
    """The grids of R2: nine pictures of one subject, and one picture of nine subjects."""
    subjects = data.att_subjects()
    one = [picture.load() for picture in data.att_pictures(subjects[0])[:9]]
    plots.grid(one, out / "subject.png", title=f"{subjects[0]}: nine pictures")
    first = [data.att_pictures(subject)[0].load() for subject in subjects[:9]]
    plots.grid(first, out / "subjects.png", title="the first subjects")


def train(filters, out, threads):
    """The trained network, and its wall time in seconds."""
    torch.manual_seed(SEED)
    loop.quiet_threads(threads)
    pictures = data.att_train()
    faces = loaded(pictures)
    pairs = np.array(data.reference_pairs(pictures, np.random.default_rng(SEED)))
    network = loop.laid_out(networks.Reference(filters))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-7)
    run = loop.Run(out)
    parts = {"network": network, "optimiser": optimiser}
    for epoch in range(run.resume(parts), EPOCHS):
        order = np.random.default_rng([SEED, epoch]).permutation(len(pairs))
        loss_sum = right = 0.0
        for start in range(0, len(order), BATCH):
            first, second, same = pairs[order[start : start + BATCH]].T
            same = torch.from_numpy(same).float()
            vectors = network(torch.cat([faces[first], faces[second]]))
            distances = losses.distance(*vectors.chunk(2))
            loss = losses.contrastive(distances, same)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss_sum += loss.item() * len(same)
            right += ((distances < THRESHOLD) == same.bool()).sum().item()
        run.log(epoch=epoch + 1, loss=loss_sum / len(pairs), accuracy=right / len(pairs), seconds=run.elapsed())
        run.save(parts, epoch + 1)
    return network, run.elapsed()


def judge(network, out):
    """Figures on the 5 held-out subjects, and the score pictures of R5."""
    pictures = data.att_test()
    with torch.no_grad():
        vectors = torch.cat([network(part) for part in loaded(pictures).split(10)]).numpy()

    def distances(pairs):
        return np.array([np.linalg.norm(vectors[a] - vectors[b]) for a, b in pairs])

    pairs = np.array(data.reference_pairs(pictures, np.random.default_rng(SEED)))
    scores, same = distances(pairs[:, :2]), pairs[:, 2] == 1
    shown = [(*pairs[i, :2], scores[i], same[i]) for i in np.linspace(0, len(pairs) - 1, SCORED).astype(int)]
    plots.scored_pairs(
        [(pictures[a].load(), pictures[b].load(), score, label) for a, b, score, label in shown],
        out / "scores.png",
    )
    every = [(i, j) for i in range(len(pictures)) for j in range(i + 1, len(pictures))]
    every_same = np.array([pictures[i].subject == pictures[j].subject for i, j in every])
    every_scores = distances(every)

    def summary(scores, same):
        best, share = evaluate.best_threshold(scores, same)
        return {
            "pairs": len(same),
            "genuine_mean": float(scores[same].mean()),
            "genuine_max": float(scores[same].max()),
            "impostor_mean": float(scores[~same].mean()),
            "impostor_min": float(scores[~same].min()),
            "accuracy_at_0.5": float(((scores < THRESHOLD) == same).mean()),
            "best_threshold": float(best),
            "accuracy_at_best": float(share),
            "fmr_at_0.5": float((scores[~same] < THRESHOLD).mean()),
        }

    return {
        "scored_pairs": [[pictures[a].path, pictures[b].path, round(float(s), 3)] for a, b, s, _ in shown],
        "reference_pairs": summary(scores, same),
        "all_pairs": summary(every_scores, every_same),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--filters", type=int, default=64, choices=(64, 128))
    parser.add_argument("--threads", type=int, default=2)
    option = parser.parse_args()
    option.out.mkdir(parents=True, exist_ok=True)
    draw_data(option.out)
    network, seconds = train(option.filters, option.out, option.threads)
    plots.curve(option.out / "curve.csv", option.out / "curve.png")
    report = {"seconds": seconds, "parameters": networks.parameters(network), **judge(network.eval(), option.out)}
    (option.out / "report.json").write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))

    name = f"reference{option.filters}"
    onnx.save(export.onnx_of(network), option.out / f"{name}.onnx")
    held_out = report["all_pairs"]
    card = CARD.format(
        filters=option.filters,
        file=f"{name}.onnx",
        digest=sha256((option.out / f"{name}.onnx").read_bytes()).hexdigest(),
        epochs=EPOCHS,
        fmr=max(0.001, round(held_out["fmr_at_0.5"], 3)),
        results=f"5 held-out AT&T subjects, all pairs: accuracy {held_out['accuracy_at_0.5']:.3f} at distance 0.5.",
    )
    (option.out / f"{name}.toml").write_text(card)


if __name__ == "__main__":
    main()
