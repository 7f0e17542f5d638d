"""The weights of the patterns' cue (crates/core/src/liveness/lbp.rs): logistic regression on nuaa, by people.

`python train_patterns.py OUT --folds` prints APCER and BPCER per fold of people never trained on, of the
patterns alone and with the network of the same fold (OUT/fold0.pt to fold4.pt of `train_liveness.py OUT
--folds`); `python train_patterns.py OUT` trains on all given people and writes OUT/patterns.bin.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

import liveness_data
import train_liveness

SIDE = 64
DISTANCES = (1, 2, 4)
PARTS = 3
CLASSES = 59
# The penalty of large weights. 3e-4 to 3e-3 came out alike.
PENALTY = 1e-3
# What the fusion makes of the two (crates/core/src/liveness/fusion.rs): a cut logit each, the patterns' at half weight.
NETWORK, WEIGHT, AGAINST, FOR = 2.5, 0.5, -1.4, 1.5
RING = [(-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1)]


def classes():
    """The class of each of the 256 patterns: those with at most two changes around the ring, and the rest."""
    even = [p for p in range(256) if bin(p ^ ((p >> 1) | ((p & 1) << 7))).count("1") <= 2]
    table = np.full(256, CLASSES - 1)
    table[even] = np.arange(len(even))
    return table


CLASS = classes()


def square(picture, box):
    """The face's box, what of it is in the picture, as a square of SIDE: means of areas."""
    x, y, w, h = box
    part = picture[max(y, 0) : y + h, max(x, 0) : x + w]
    return cv2.resize(np.ascontiguousarray(part), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def figures(face):
    """Square roots of how often each class comes: over the face and each part, at each distance."""
    rows = []
    for d in DISTANCES:
        n = SIDE - 2 * d
        middle = face[d : d + n, d : d + n]
        pattern = np.zeros((n, n), np.int32)
        for bit, (dy, dx) in enumerate(RING):
            neighbour = face[d + dy * d : d + dy * d + n, d + dx * d : d + dx * d + n]
            pattern |= (neighbour >= middle).astype(np.int32) << bit
        kind = CLASS[pattern]
        edges = [p * n // PARTS for p in range(PARTS + 1)]
        parts = [kind]
        parts += [kind[a:b, e:f] for a, b in zip(edges, edges[1:]) for e, f in zip(edges, edges[1:])]
        rows += [np.sqrt(np.bincount(part.ravel(), minlength=CLASSES) / part.size) for part in parts]
    return np.concatenate(rows).astype(np.float32)


def nuaa():
    """(figures, is live, person), in the order of `liveness_data.nuaa_faces`."""
    rows = [
        (figures(square(picture, box)), live, person)
        for picture, box, live, person in liveness_data.nuaa_faces()
    ]
    values, live, people = zip(*rows, strict=True)
    return np.stack(values), np.array(live), np.array(people)


def learn(values, live):
    """Weights and constant of the log odds of a living face."""
    mean = values.mean(0)
    x, y = torch.tensor(values - mean), torch.tensor(live, dtype=torch.float32)
    weights, constant = torch.zeros(x.shape[1], requires_grad=True), torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights, constant], max_iter=60, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        fit = torch.nn.functional.binary_cross_entropy_with_logits(x @ weights + constant, y)
        total = fit + PENALTY * (weights * weights).sum()
        total.backward()
        return total

    optimiser.step(loss)
    weights, constant = weights.detach().numpy(), constant.detach().item()
    return weights, constant - float(mean @ weights)


def written(weights, constant):
    """The file: step and constant, then the weights in steps."""
    step = np.abs(weights).max() / 127
    steps = np.round(weights / step).astype(np.int8)
    return np.array([step, constant], "<f4").tobytes() + steps.tobytes()


def report(name, scores, live):
    told = train_liveness.told
    passed, missed = int((scores[~live] >= 0).sum()), int((scores[live] < 0).sum())
    print(f"{name}: {told('APCER', passed, int((~live).sum()))}, {told('BPCER', missed, int(live.sum()))}", flush=True)


def network_of(path):
    network = train_liveness.Small()
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


def folds(out, values, live, people):
    canvases, same, _ = liveness_data.nuaa()
    assert (same == live).all()
    names = np.unique(people)
    alone, together = np.zeros(len(live)), np.zeros(len(live))
    for fold in range(train_liveness.FOLDS):
        test = np.isin(people, names[fold :: train_liveness.FOLDS])
        weights, constant = learn(values[~test], live[~test])
        alone[test] = values[test] @ weights + constant
        share = train_liveness.scores(network_of(out / f"fold{fold}.pt"), canvases[test]).astype(float)
        network = np.log(share.clip(1e-6, 1 - 1e-6) / (1 - share).clip(1e-6, 1))
        together[test] = network.clip(-NETWORK, NETWORK) + (WEIGHT * alone[test]).clip(AGAINST, FOR)
        who = " ".join(names[fold :: train_liveness.FOLDS])
        report(f"fold {fold} (people {who}), patterns alone", alone[test], live[test])
        report(f"fold {fold} (people {who}), with the network", together[test], live[test])
    report("all folds, patterns alone", alone, live)
    report("all folds, with the network", together, live)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--folds", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    values, live, people = nuaa()
    if options.folds:
        folds(options.out, values, live, people)
    else:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "patterns.bin").write_bytes(written(*learn(values, live)))


if __name__ == "__main__":
    main()
