"""Trains the first default network: the small residual network by the contrastive loss alone.

`python train_first.py OUT [--minutes 5]` on AT&T's first 35 people and `lfw/train`. It is the
plainest thing that works, kept as the lower bound that `train_default.py` is measured against.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch

import crops
import evaluate
import export
import loop
import losses
import networks
import plots
import samples

RULE = crops.CropRule(0.9, 1.04)
POSITIVES = 64
SEED = 20190401


def pairs_of(groups, people, rng):
    """As many negative as positive pairs, alternating as in the reference: (first, second, same)."""
    first, second, same = [], [], []
    for own in rng.choice(len(people), POSITIVES):
        one, two = rng.choice(groups[people[own]], 2, replace=False)
        stranger = (own + 1 + rng.integers(len(people) - 1)) % len(people)
        first += [one, one]
        second += [two, rng.choice(groups[people[stranger]])]
        same += [1, 0]
    return first, second, np.array(same, np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    torch.manual_seed(SEED)
    loop.quiet_threads(options.threads)
    faces = samples.identities(RULE)
    groups = {}
    for index, face in enumerate(faces):
        groups.setdefault(face.label, []).append(index)
    groups = {label: group for label, group in groups.items() if len(group) > 1}
    people = list(groups)
    print(f"{len(faces)} faces, {len(people)} people with two or more", flush=True)

    def make(rng, _step):
        first, second, same = pairs_of(groups, people, rng)
        crops_ = np.stack([faces[i].door(rng, strength=0.5) for i in first + second])
        return crops_[:, None], same

    network = loop.laid_out(networks.DenseResidual())
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=0.05)
    run = loop.Run(options.out)
    parts = {"network": network, "optimiser": optimiser}
    step = run.resume(parts)
    network.train()
    totals = np.zeros(2)
    for faces_, same in loop.batches(make, SEED, step, options.steps):
        for group in optimiser.param_groups:
            group["lr"] = loop.rate(step, options.steps, options.rate, warmup=50)
        with loop.autocast():
            vectors = network(faces_)
        first, second = vectors.chunk(2)
        distances = losses.distance(first, second)
        loss = losses.contrastive(distances, same)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
        totals += loss.item(), ((distances < 0.5) == same.bool()).float().mean().item()
        if step % 50 == 0 or step == options.steps:
            run.log(step=step, loss=totals[0] / 50, accuracy=totals[1] / 50, seconds=run.elapsed())
            totals[:] = 0
            run.save(parts, step)

    model = export.onnx_of(network)
    onnx.save(model, options.out / "float.onnx")
    plots.curve(options.out / "curve.csv", options.out / "curve.png")
    embed = evaluate.runner(model.SerializeToString())
    print("lfw/test", evaluate.verdict(*evaluate.lfw_test(embed, RULE)))
    print("att last 5", evaluate.verdict(*evaluate.att_test(embed)))


if __name__ == "__main__":
    main()
